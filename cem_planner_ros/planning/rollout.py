# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The rollout: simulates candidates and adds up their costs, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.particles import Particles
from cem_planner_ros.planning.stage_costs import StageCosts


class Rollout:
    """
    The cost of action sequences under a model and a sum of cost terms.

    Each stage cost is multiplied by the length of its step divided by dt, so that a short first
    step counts for less.

    If the model has members, `particles` says how candidates run through them, and reduces the
    costs of a candidate under its members to one cost.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        costs: Sequence[Cost],
        dt: float,
        particles: Particles | None = None,
    ):
        self.dynamics = dynamics
        self.costs = tuple(costs)
        self.dt = dt
        self.particles = particles or Particles()
        self._stage_costs = [StageCosts(cost) for cost in self.costs]
        self._rows = len(dynamics.signal_names)
        self.reads_numbers: tuple[str, ...] = ()
        """Methods found to read numbers in Python; what is compiled would keep those numbers."""

    def reset(self) -> None:
        """Let costs and model forget what they remember of earlier plans."""
        for plugin in (*self.costs, self.dynamics):
            plugin.reset()

    def prepare(
        self,
        state: np.ndarray,
        applied: np.ndarray,
        time: float,
        stamp: float,
        surroundings: Surroundings,
        edges: np.ndarray,
    ) -> np.ndarray:
        """
        Tell costs and model what the next plan begins with; return the origin (nx,).

        The rollout then takes states from which the origin is subtracted. It is zero if a cost
        needs states as they are. Arguments as for `Planner.plan`, and `edges` (H + 1,), s from the
        start of the plan, of its steps.
        """
        origin = np.zeros_like(state)
        if all(cost.places is not None for cost in self.costs):
            origin = self.dynamics.origin(state)
        for cost in self.costs:
            cost.set_origin(origin)
            cost.set_edges(edges)
            cost.prepare(state, stamp, surroundings)
        self.dynamics.set_references(surroundings.references, stamp)
        self.dynamics.begin_plan(state, applied, time)
        return origin

    def step(
        self,
        state: torch.Tensor,
        applied: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
        duration: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Return the state (nx, N) after one step, and its stage cost (N,).

        `state` is (nx, N), the actions are (nu, N), `time` and `duration` are 0-d, s. `time` is
        from the start of the plan to the end of the step. `applied` is what the actuators apply
        when `action` is commanded.
        """
        before, state = state, self.dynamics.step(state, applied, duration)
        given = self._signals(state), action, previous_action, time
        return state, self._stage(*given, before, duration)

    def _signals(self, state: torch.Tensor) -> torch.Tensor:
        """Return signals (nx + ny, N) of what a rollout returned: signals, or states (nx, N)."""
        if len(state) == self._rows:
            return state
        return torch.cat((state, self.dynamics.output(state)))

    def _seen(self, term: Cost, signals: torch.Tensor) -> torch.Tensor:
        """Return the rows of signals (..., nx + ny, N) that a cost gets."""
        if term.reads_outputs or not self.dynamics.output_names:
            return signals
        return signals[..., : len(self.dynamics.state_names), :]

    def _stage(
        self,
        signals: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
        before: torch.Tensor,
        duration: torch.Tensor,
    ) -> torch.Tensor:
        cost = torch.zeros_like(signals[0])
        for term in self.costs:
            given = self._seen(term, signals), action, previous_action, time, before
            cost = cost + term.stage(*term.asked_for(*given))
        return cost * (duration / self.dt)

    def terminal(self, state: torch.Tensor) -> torch.Tensor:
        """Return the terminal cost (N,) of states (nx, N) or signals (nx + ny, N)."""
        signals = self._signals(state)
        cost = torch.zeros_like(signals[0])
        for term in self.costs:
            cost = cost + term.terminal(self._seen(term, signals))
        return cost

    def __call__(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        actuators: Actuators | None = None,
    ) -> torch.Tensor:
        """
        Return the cost (N,) of each sequence.

        Args:
            state: (nx,), where all candidates begin.
            sequence: (H, nu, N).
            previous_action: (nu,), the action in force until now.
            durations: (H,), s.
            actuators: the lag with which actuators follow the actions; None for no lag.
        """
        samples, members = sequence.shape[-1], self.dynamics.members
        columns = self._columns(state, sequence, previous_action, durations, actuators)
        start, sequence, applied, previous = columns
        total = torch.zeros_like(sequence[0, 0])
        if self.dynamics.predicts_return:
            total = total - self.dynamics.returns(start, applied, durations)
        states = self._states(start, applied, durations)
        if self.dynamics.rolls_out_itself:
            for part in self._parts(start, states, sequence, previous, durations):
                total = total + part
        else:
            times, before = torch.cumsum(durations, 0), start
            for state, action, time, duration in zip(
                states, sequence, times, durations, strict=True
            ):
                given = self._signals(state), action, previous, time
                total = total + self._stage(*given, before, duration)
                previous, before = action, state[: len(start)]
            total = total + self.terminal(state)
        return self.particles.combine(total, samples, members) if members > 1 else total

    def breakdown(
        self,
        state: torch.Tensor,
        actions: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        actuators: Actuators | None = None,
    ) -> torch.Tensor:
        """
        Return what each cost contributes (len(costs),) to one action sequence (H, nu).

        If the model predicts a return, the contribution of its return comes last.
        """
        sequence, members = actions.unsqueeze(-1), self.dynamics.members
        columns = self._columns(state, sequence, previous_action, durations, actuators)
        start, sequence, applied, previous = columns
        states = self._states(start, applied, durations)
        parts = self._parts(start, states, sequence, previous, durations)
        if self.dynamics.predicts_return:
            returns = self.dynamics.returns(start, applied, durations)
            parts.append(-returns)
        if members > 1:
            parts = [self.particles.combine(part, 1, members) for part in parts]
        return torch.cat(parts)

    def _columns(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        actuators: Actuators | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Return a column for each member of each candidate; arguments as in `__call__`.

        Returns: states (nx, C), actions and what is applied (H, nu, C), previous actions (nu, C).
        """
        members = self.dynamics.members
        applied = actuators.follow(sequence, durations) if actuators else sequence
        if members > 1:
            sequence, applied = (self.particles.spread(s, members) for s in (sequence, applied))
        start, previous = (
            vector.unsqueeze(-1).expand(-1, sequence.shape[-1])
            for vector in (state, previous_action)
        )
        return start, sequence, applied, previous

    def _states(
        self, start: torch.Tensor, applied: torch.Tensor, durations: torch.Tensor
    ) -> Iterable[torch.Tensor]:
        """Return the H states (nx, C), or signals, that what is applied (H, nu, C) leads to."""
        if self.dynamics.members > 1 and self.particles.propagation == "ts_1":
            return self.particles.shuffled(self.dynamics, start, applied, durations)
        return self.dynamics.rollout(start, applied, durations)

    def _parts(
        self,
        start: torch.Tensor,
        states: Iterable[torch.Tensor],
        sequence: torch.Tensor,
        previous: torch.Tensor,
        durations: torch.Tensor,
    ) -> list[torch.Tensor]:
        """
        Return what each cost contributes (C,), evaluated over all steps at once.

        Args:
            start: (nx, C), before the first step.
            states: H states (nx, C) or signals.
            sequence: (H, nu, C).
            previous: (nu, C), before the first step.
            durations: (H,), s.
        """
        if isinstance(states, torch.Tensor) and states.shape[1] == self._rows:
            signals = states
        else:
            signals = torch.stack([self._signals(state) for state in states])
        previous = torch.cat((previous.unsqueeze(0), sequence[:-1]))
        before = signals[:, : len(start)]  # Which no cost sees, unless one asks for it.
        if any(cost.reads_previous_state for cost in self.costs):
            before = torch.cat((start.unsqueeze(0), before[:-1]))
        times, weights = torch.cumsum(durations, 0), (durations / self.dt).unsqueeze(-1)
        parts = []
        for term, stage_costs in zip(self.costs, self._stage_costs, strict=True):
            seen = self._seen(term, signals)
            stage = stage_costs(seen, sequence, previous, times, before)
            parts.append((weights * stage).sum(0) + term.terminal(seen[-1]))
        return parts

    def terms(
        self, states: torch.Tensor, actions: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """
        Return what each cost contributes (len(costs),) to actions (nu, H).

        `states` is (nx, H + 1), before each action and after the last one. The model must compute
        its outputs in `output`, if it has any.

        The H steps of the candidate are evaluated as H samples in one call, which takes as long as
        one step. `durations` is (H,), s. The action in force before the plan is taken to be the
        first action.
        """
        previous = torch.cat((actions[:, :1], actions[:, :-1]), 1)
        times = torch.cumsum(durations, 0)
        signals = self._signals(states[:, 1:])
        parts = []
        for term in self.costs:
            seen = self._seen(term, signals)
            given = term.asked_for(seen, actions, previous, times, states[:, :-1])
            try:
                stage = term.stage(*given).expand(len(times))
            except (RuntimeError, ValueError, TypeError):  # It needs a 0-d time.
                columns = (part if part is times else part.split(1, 1) for part in given)
                steps = zip(*columns, strict=True)
                stage = torch.cat([term.stage(*step).expand(1) for step in steps])
            weighted = (stage * durations).sum() / self.dt
            parts.append(weighted + term.terminal(seen[:, -1:])[0])
        return torch.stack(parts)

    def trajectory(
        self, state: torch.Tensor, actions: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """
        Return the states (H + 1, nx) that an action sequence (H, nu) leads through.

        The first row is `state` (nx,). `durations` is (H,), s. The actions are what the actuators
        apply. For sequences (H, nu, n) the result is (H + 1, nx, n). If the model has members, the
        result is the mean of their states.
        """
        sequence = actions.reshape(*actions.shape[:2], -1)
        shape = self.dynamics.members, sequence.shape[-1]
        start = state.unsqueeze(-1).expand(-1, shape[1])
        columns = start.repeat(1, shape[0]), sequence.repeat(1, 1, shape[0])
        moved = (step[: len(state)] for step in self.dynamics.rollout(*columns, durations))
        states = [start, *(columns.unflatten(-1, shape).mean(-2) for columns in moved)]
        return torch.stack(states).reshape(-1, len(state), *actions.shape[2:])

    def predict(
        self,
        state: np.ndarray,
        actions: np.ndarray,
        durations: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> np.ndarray:
        """Return what `trajectory` does, computed in float32, as NumPy arrays of float64."""
        given = (
            torch.tensor(value, dtype=torch.float32, device=device)
            for value in (state, actions, durations)
        )
        return self.trajectory(*given).cpu().numpy().astype(np.float64)
