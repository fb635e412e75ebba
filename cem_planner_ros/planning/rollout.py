"""Rolling candidates out through a model and adding up what they cost, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.parameters import Parameterised
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.particles import Particles

TRIALS = 5
"""Samples that plugins are tried out with."""


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

    def try_out(self, device: torch.device) -> None:
        """
        Call every plugin with random inputs and look at what comes back.

        Raises ConfigurationError, naming the plugin, what was expected and what came, if it raises,
        returns another shape, type or device than it should, changes what it was given, returns
        something else the second time, or lets samples influence one another.
        """
        self.dynamics.check()
        nx = len(self.dynamics.state_names)
        generator = torch.Generator().manual_seed(0)
        low, high = (
            torch.tensor(bound, dtype=torch.float32)[:, None]
            for bound in (self.dynamics.action_low, self.dynamics.action_high)
        )
        state = torch.randn(nx, TRIALS, generator=generator).to(device)
        action, previous = (
            (low + (high - low) * torch.rand(len(low), TRIALS, generator=generator)).to(device)
            for _ in range(2)
        )
        time = torch.tensor(self.dt, device=device)
        members = self.dynamics.members
        each = (state.repeat(1, members), action.repeat(1, members), time)
        _try_out(self.dynamics, "step", each, (nx, TRIALS * members))
        for term in self.costs:
            _try_out(term, "stage", (state, action, previous, time), (TRIALS,))
            _try_out(term, "terminal", (state,), (TRIALS,))

    def trajectory(
        self, state: torch.Tensor, actions: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """
        Return the states (H + 1, nx) that one action sequence (H, nu) leads through.

        The first row is `state` (nx,); `durations` is (H,), s; the actions are what the actuators
        apply. Of a model with members it is the
        mean of their states.
        """
        members = self.dynamics.members
        columns = state.unsqueeze(-1).expand(-1, members)
        sequence = actions.unsqueeze(-1).expand(-1, -1, members)
        states = self.dynamics.rollout(columns, sequence, durations)
        return torch.stack([state, *(columns.mean(-1) for columns in states)])

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


def _try_out(
    plugin: Parameterised, method: str, arguments: tuple[torch.Tensor, ...], shape: tuple[int, ...]
) -> None:
    """Call a method of a plugin in several ways; `shape` is what it should return."""
    name = f"{type(plugin).__name__}.{method}"
    result = _call(plugin, method, arguments, shape)
    again = _call(plugin, method, arguments, shape)
    if not torch.equal(result.nan_to_num(), again.nan_to_num()):
        raise ConfigurationError(
            f"{name} returned {again.tolist()} where the same arguments gave {result.tolist()} "
            "before, expected the same: no random numbers and no memory"
        )
    rounding = 1e-4 * max(1.0, float(result.nan_to_num(posinf=0.0, neginf=0.0).abs().max()))
    for sample in range(TRIALS):
        column = slice(sample, None, TRIALS)  # One for each member.
        alone = _call(
            plugin,
            method,
            tuple(value[:, column] if value.ndim else value for value in arguments),
            (*shape[:-1], shape[-1] // TRIALS),
        )
        together = result[..., column]
        if not torch.allclose(alone, together, rtol=1e-3, atol=rounding, equal_nan=True):
            raise ConfigurationError(
                f"{name} returned {together[..., 0].tolist()} for a sample among {TRIALS} and "
                f"{alone[..., 0].tolist()} for the same one alone, expected the same: samples, "
                "the last dimension, must not influence one another"
            )


def _call(
    plugin: Parameterised, method: str, arguments: tuple[torch.Tensor, ...], shape: tuple[int, ...]
) -> torch.Tensor:
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
    if result.device != arguments[0].device:
        raise ConfigurationError(
            f"{name} returned a tensor on {result.device}, expected {arguments[0].device}"
        )
    for argument, value in zip(arguments, before, strict=True):
        if not torch.equal(argument, value):
            raise ConfigurationError(f"{name} changes its arguments in place")
    return result
