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
        self.reads_numbers: tuple[str, ...] = ()
        """Methods found to read numbers in Python; what is compiled would keep those numbers."""

    def prepare(
        self,
        state: np.ndarray,
        applied: np.ndarray,
        time: float,
        stamp: float,
        surroundings: Surroundings,
    ) -> np.ndarray:
        """
        Tell costs and model what the next plan begins with; return the origin (nx,).

        The rollout then takes states from which the origin is subtracted. It is zero if a cost
        needs states as they are. Arguments as for `Planner.plan`.
        """
        origin = np.zeros_like(state)
        if all(cost.places is not None for cost in self.costs):
            origin = self.dynamics.origin(state)
        for cost in self.costs:
            cost.set_origin(origin)
            cost.prepare(state, stamp, surroundings)
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
        state = self.dynamics.step(state, applied, duration)
        return state, self._stage(state, action, previous_action, time, duration)

    def _stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
        duration: torch.Tensor,
    ) -> torch.Tensor:
        cost = torch.zeros_like(state[0])
        for term in self.costs:
            cost = cost + term.stage(state, action, previous_action, time)
        return cost * (duration / self.dt)

    def terminal(self, state: torch.Tensor) -> torch.Tensor:
        """Return the terminal cost (N,) of the states (nx, N)."""
        cost = torch.zeros_like(state[0])
        for term in self.costs:
            cost = cost + term.terminal(state)
        return cost

    def __call__(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        actuators: Actuators | None = None,
        with_returns: bool = True,
    ) -> torch.Tensor:
        """
        Return the cost (N,) of each sequence.

        Args:
            state: (nx,), where all candidates begin.
            sequence: (H, nu, N).
            previous_action: (nu,), the action in force until now.
            durations: (H,), s.
            actuators: the lag with which actuators follow the actions; None for no lag.
            with_returns: whether the return that a model predicts is subtracted.
        """
        samples, members = sequence.shape[-1], self.dynamics.members
        applied = actuators.follow(sequence, durations) if actuators else sequence
        if members > 1:
            sequence, applied = (self.particles.spread(s, members) for s in (sequence, applied))
        columns = sequence.shape[-1]
        state = state.unsqueeze(-1).expand(-1, columns)
        previous = previous_action.unsqueeze(-1).expand(-1, columns)
        times = torch.cumsum(durations, 0)
        total = torch.zeros_like(sequence[0, 0])
        if with_returns and self.dynamics.predicts_return:
            total = total - self.dynamics.returns(state, applied, durations)
        states: Iterable[torch.Tensor]
        if members > 1 and self.particles.propagation == "ts_1":
            states = self.particles.shuffled(self.dynamics, state, applied, durations)
        else:
            states = self.dynamics.rollout(state, applied, durations)
        for state, action, time, duration in zip(states, sequence, times, durations, strict=True):
            total = total + self._stage(state, action, previous, time, duration)
            previous = action
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
        given = (state, actions.unsqueeze(-1), previous_action, durations, actuators)
        alone = [Rollout(self.dynamics, [t], self.dt, self.particles) for t in self.costs]
        parts = [one(*given, with_returns=False) for one in alone]
        if self.dynamics.predicts_return:
            parts.append(Rollout(self.dynamics, [], self.dt, self.particles)(*given))
        return torch.cat(parts)

    def terms(
        self, states: torch.Tensor, actions: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """
        Return what each cost contributes (len(costs),) for states (nx, H) after actions (nu, H).

        The H steps of the candidate are evaluated as H samples in one call, which takes as long as
        one step. `durations` is (H,), s. The action in force before the plan is taken to be the
        first action.
        """
        previous = torch.cat((actions[:, :1], actions[:, :-1]), 1)
        times = torch.cumsum(durations, 0)
        parts = []
        for term in self.costs:
            try:
                stage = term.stage(states, actions, previous, times).expand(len(times))
            except (RuntimeError, ValueError, TypeError):  # It needs a 0-d time.
                columns = (part.split(1, 1) for part in (states, actions, previous))
                steps = zip(*columns, times, strict=True)
                stage = torch.cat([term.stage(*step).expand(1) for step in steps])
            weighted = (stage * durations).sum() / self.dt
            parts.append(weighted + term.terminal(states[:, -1:])[0])
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
        states = self.dynamics.rollout(*columns, durations)
        states = [start, *(columns.unflatten(-1, shape).mean(-2) for columns in states)]
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
