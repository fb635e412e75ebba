"""Rolling candidates out through a model and adding up what they cost, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.particles import Particles


class Rollout:
    """
    The cost of action sequences under a model and a sum of cost terms.

    The stage costs are weighted with the length of their step over dt, so that a shorter first step
    counts for less; at full steps the weight is one.

    Where the model has members, candidates run through them as `particles` says, which also makes
    one cost of those that a candidate has under them.
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

        `state` is (nx, N), the actions (nu, N), `time` and `duration` 0-d, s; `time` is that of the
        end of the step, from the start of the plan. `applied` is what the actuators make of
        `action`.
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
            actuators: what follows the actions with a lag; None for what does at once.
            with_returns: whether what the model itself says counts, where it says something.
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
        if with_returns and self.dynamics.judges:
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
        return self.particles.judge(total, samples, members) if members > 1 else total

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

        Of a model that judges, what its return contributes comes last.
        """
        given = (state, actions.unsqueeze(-1), previous_action, durations, actuators)
        alone = [Rollout(self.dynamics, [t], self.dt, self.particles) for t in self.costs]
        parts = [one(*given, with_returns=False) for one in alone]
        if self.dynamics.judges:
            parts.append(Rollout(self.dynamics, [], self.dt, self.particles)(*given))
        return torch.cat(parts)

    def terms(
        self, states: torch.Tensor, actions: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """
        Return what each cost makes (len(costs),) of the states (nx, H) after actions (nu, H).

        The steps of one candidate are judged like as many samples, so it takes as long as one step
        does, not H. `durations` is (H,), s; before the first action it was in force already.
        """
        previous = torch.cat((actions[:, :1], actions[:, :-1]), 1)
        times = torch.cumsum(durations, 0)
        parts = []
        for term in self.costs:
            try:
                stage = term.stage(states, actions, previous, times).expand(len(times))
            except (RuntimeError, ValueError, TypeError):  # It needs the time to be one number.
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

        The first row is `state` (nx,); `durations` is (H,), s; the actions are what the actuators
        apply. For sequences (H, nu, n) they are (H + 1, nx, n). Of a model with members it is the
        mean of their states.
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
        """Return what `trajectory` does, arrays of arrays, float64 of float32."""
        given = (
            torch.tensor(value, dtype=torch.float32, device=device)
            for value in (state, actions, durations)
        )
        return self.trajectory(*given).cpu().numpy().astype(np.float64)
