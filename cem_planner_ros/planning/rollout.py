"""Rolling candidates out through a model and adding up what they cost, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError


class Rollout:
    """
    The cost of action sequences under a model and a sum of cost terms.

    The stage costs are weighted with the length of their step over dt, so that a shorter first step
    counts for less; at full steps the weight is one.
    """

    def __init__(self, dynamics: Dynamics, costs: Sequence[Cost], dt: float):
        self.dynamics = dynamics
        self.costs = tuple(costs)
        self.dt = dt

    def step(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
        duration: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Return the state (nx, N) after one step, and its stage cost (N,).

        `state` is (nx, N), the actions (nu, N), `time` and `duration` 0-d, s; `time` is that of the
        end of the step, from the start of the plan.
        """
        state = self.dynamics.step(state, action, duration)
        cost = torch.zeros_like(state[0])
        for term in self.costs:
            cost = cost + term.stage(state, action, previous_action, time)
        return state, cost * (duration / self.dt)

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
    ) -> torch.Tensor:
        """
        Return the cost (N,) of each sequence.

        Args:
            state: (nx,), where all candidates begin.
            sequence: (H, nu, N).
            previous_action: (nu,), the action in force until now.
            durations: (H,), s.
        """
        samples = sequence.shape[-1]
        state = state.unsqueeze(-1).expand(-1, samples)
        previous = previous_action.unsqueeze(-1).expand(-1, samples)
        times = torch.cumsum(durations, 0)
        total = torch.zeros_like(sequence[0, 0])
        for action, time, duration in zip(sequence, times, durations, strict=True):
            state, cost = self.step(state, action, previous, time, duration)
            total = total + cost
            previous = action
        return total + self.terminal(state)

    def try_out(self, device: torch.device) -> None:
        """
        Take one step with every plugin and look at what comes back.

        Raises ConfigurationError, naming the plugin, if it raises, returns another shape or type
        than it should, or changes what it was given.
        """
        nx, nu = len(self.dynamics.state_names), len(self.dynamics.action_names)
        for samples in (3, 1):
            state = torch.full((nx, samples), 0.1, device=device)
            action = torch.full((nu, samples), 0.1, device=device)
            time = torch.tensor(self.dt, device=device)
            given = (state, action, time)
            self._call(self.dynamics, "step", given, (nx, samples))
            for term in self.costs:
                self._call(term, "stage", (state, action, action.clone(), time), (samples,))
                self._call(term, "terminal", (state,), (samples,))

    @staticmethod
    def _call(plugin, method: str, arguments: tuple[torch.Tensor, ...], shape: tuple) -> None:
        name = f"{type(plugin).__name__}.{method}"
        before = [argument.clone() for argument in arguments]
        try:
            with torch.no_grad():
                result = getattr(plugin, method)(*arguments)
        except Exception as error:
            raise ConfigurationError(f"{name} raised {type(error).__name__}: {error}") from error
        if not isinstance(result, torch.Tensor):
            raise ConfigurationError(f"{name} returned {type(result).__name__}, expected a tensor")
        if tuple(result.shape) != shape or result.dtype != torch.float32:
            raise ConfigurationError(
                f"{name} returned {result.dtype} of shape {tuple(result.shape)}, expected "
                f"{torch.float32} of shape {shape} for {shape[-1]} samples"
            )
        for argument, value in zip(arguments, before, strict=True):
            if not torch.equal(argument, value):
                raise ConfigurationError(f"{name} changes its arguments in place")

    def trajectory(
        self, state: torch.Tensor, actions: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """
        Return the states (H + 1, nx) that one action sequence (H, nu) leads through.

        The first row is `state` (nx,); `durations` is (H,), s.
        """
        states = [state.unsqueeze(-1)]
        for action, duration in zip(actions, durations, strict=True):
            states.append(self.dynamics.step(states[-1], action.unsqueeze(-1), duration))
        return torch.cat(states, -1).T
