"""Rolling candidates out through a model and adding up what they cost, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import DifferentialEquation, Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.particles import Particles
from cem_planner_ros.plugins.parameter import Parameterised

TRIALS = 5
"""Samples that plugins are tried out with."""

TRIAL_STEPS = 3
"""Model steps of a rollout that is tried out."""

ATTEMPTS = 1000
FAR = 1e3
"""Random states at which a cost should not be zero throughout, and how far from zero they are."""


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

    def try_out(self, device: torch.device) -> None:
        """
        Call every plugin with random inputs and look at what comes back.

        What reads numbers in Python is noted in `reads_numbers`. Raises ConfigurationError, naming
        the plugin, what was expected and what came, if it raises, returns another shape, type or
        device than it should, changes what it was given, returns something else the second time, or
        lets samples influence one another.
        """
        dynamics = self.dynamics
        dynamics.check()
        dynamics.check_dt(self.dt)
        nx = len(dynamics.state_names)
        generator = torch.Generator().manual_seed(0)
        low, high = (
            torch.tensor(bound, dtype=torch.float32)[:, None]
            for bound in (dynamics.action_low, dynamics.action_high)
        )
        state = torch.randn(nx, TRIALS, generator=generator).to(device)
        random = torch.rand(TRIAL_STEPS, len(low), TRIALS, generator=generator)
        sequence = (low + (high - low) * random).to(device)
        action, previous = sequence[0], sequence[1]
        time = torch.tensor(self.dt, device=device)
        model = dynamics.member or dynamics
        if isinstance(model, DifferentialEquation):
            _try_out(model, "derivative", (state, action), (nx, TRIALS))
        members = dynamics.members
        columns = TRIALS * members
        states, actions = state.repeat(1, members), action.repeat(1, members)
        _try_out(dynamics, "step", (states, actions, time), (nx, columns), states)
        tried: list[tuple[Parameterised, str, tuple[torch.Tensor, ...]]] = []
        if dynamics.rolls_out_itself:
            each = sequence.repeat(1, 1, members)
            durations = time.repeat(TRIAL_STEPS)
            shape = (TRIAL_STEPS, nx, columns)
            _try_out(dynamics, "rollout", (states, each, durations), shape, states)
            if dynamics.judges:  # All candidates begin in one state.
                alike = state[:, :1].repeat(1, columns)
                _try_out(dynamics, "returns", (alike, each, durations), (columns,))
        else:
            # Over a short time what samples have to do with one another may be lost in rounding.
            second = torch.ones_like(time)
            _try_out(dynamics, "step", (states, actions, second), (nx, columns), states)
            tried.append((dynamics, "step", (states, actions, time)))
        for term in self.costs:
            for method, given in (
                ("stage", (state, action, previous, time)),
                ("terminal", (state,)),
            ):
                _try_out(term, method, given, (TRIALS,))
                tried.append((term, method, given))
        self.reads_numbers = tuple(_name(*each[:2]) for each in tried if _reads_numbers(*each))

    def try_samples(self, samples: int, device: torch.device) -> None:
        """Raise ConfigurationError if the model cannot take as many `samples` as a plan has."""
        columns = samples * self.dynamics.members
        state, action = (
            torch.zeros(len(names), columns, device=device)
            for names in (self.dynamics.state_names, self.dynamics.action_names)
        )
        given = state, action, torch.tensor(self.dt, device=device)
        try:
            _call(self.dynamics, "step", given, state.shape)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"parameter 'planner.samples' is {samples}, but the model cannot take so many "
                f"samples at once, expected that it takes any number of them: {error}"
            ) from error

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


def _try_out(
    plugin: Parameterised,
    method: str,
    arguments: tuple[torch.Tensor, ...],
    shape: tuple[int, ...],
    start: torch.Tensor | None = None,
) -> None:
    """
    Call a method of a plugin in several ways.

    Args:
        plugin, method: what is called.
        arguments: samples are the last dimension of those with two and more.
        shape: of what it should return.
        start: what the result is a change of; the change then counts, not the value.
    """
    name = _name(plugin, method)
    result = _call(plugin, method, arguments, shape)
    again = _call(plugin, method, arguments, shape)
    if not torch.equal(result.nan_to_num(), again.nan_to_num()):
        raise ConfigurationError(
            f"{name} returned {again.tolist()} where the same arguments gave {result.tolist()} "
            "before, expected the same: no random numbers and no memory"
        )
    tolerance = _rounding(result, start)
    for sample in range(TRIALS):
        column = slice(sample, None, TRIALS)  # One for each member.
        alone = _call(
            plugin,
            method,
            tuple(value[..., column] if value.ndim > 1 else value for value in arguments),
            (*shape[:-1], shape[-1] // TRIALS),
        )
        together = result[..., column]
        same = (alone == together) | (alone - together).abs().le(tolerance)
        if not (same | (alone.isnan() & together.isnan())).all():
            raise ConfigurationError(
                f"{name} returned {together[..., 0].tolist()} for a sample among {TRIALS} and "
                f"{alone[..., 0].tolist()} for the same one alone, expected the same: samples, "
                "the last dimension, must not influence one another"
            )


def _rounding(result: torch.Tensor, start: torch.Tensor | None) -> torch.Tensor:
    """Return by how much each row of results (..., N) may differ for float32 and its sums."""
    finite = result.nan_to_num(posinf=0.0, neginf=0.0)
    size = finite.abs().amax(-1, keepdim=True)
    if start is None:
        return 1e-4 * size + 1e-7
    change = (finite - start).abs().amax(-1, keepdim=True)
    return 1e-3 * change + 1e-5 * size + 1e-7


def _call(
    plugin: Parameterised, method: str, arguments: tuple[torch.Tensor, ...], shape: tuple[int, ...]
) -> torch.Tensor:
    """Call a method of a plugin and return its result, checked; states of a rollout in one."""
    name = _name(plugin, method)
    before = [argument.clone() for argument in arguments]
    try:
        with torch.no_grad():
            result = getattr(plugin, method)(*arguments)
            results = list(result) if method == "rollout" else [result]
    except Exception as error:
        raise ConfigurationError(f"{name} raised {type(error).__name__}: {error}") from error
    if method == "rollout":
        if len(results) != shape[0]:
            raise ConfigurationError(
                f"{name} returned {len(results)} states for {shape[0]} actions, expected one after "
                "each"
            )
        shape = shape[1:]
    for result in results:
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
    return torch.stack(results) if method == "rollout" else results[0]


@torch.no_grad()
def costs_nothing(cost: Cost, dynamics: Dynamics, device: torch.device) -> bool:
    """Return whether a cost is zero at each of ATTEMPTS random states and actions up to FAR."""
    generator = torch.Generator().manual_seed(0)

    def random(rows: int) -> torch.Tensor:
        size = FAR ** (2.0 * torch.rand(rows, ATTEMPTS, generator=generator) - 1.0)
        return (size * torch.randn(rows, ATTEMPTS, generator=generator).sign()).to(device)

    state = random(len(dynamics.state_names))
    action, previous = (random(len(dynamics.action_names)) for _ in range(2))
    stage = cost.stage(state, action, previous, torch.tensor(1.0, device=device))
    return not (stage.any() or cost.terminal(state).any())


class _Readings(TorchFunctionMode):
    """Notes whether a number of a tensor becomes one of Python."""

    WAYS = tuple(getattr(torch.Tensor, n) for n in ("item", "__float__", "__int__", "__bool__"))

    found = False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.found |= func in self.WAYS
        return func(*args, **(kwargs or {}))


def _reads_numbers(plugin: Parameterised, method: str, arguments: tuple[torch.Tensor, ...]) -> bool:
    before = plugin.readings
    with torch.no_grad(), _Readings() as readings:
        getattr(plugin, method)(*arguments)
    return readings.found or plugin.readings > before


def _name(plugin: Parameterised, method: str) -> str:
    """Return a method of a plugin in words: its class, and its name in a configuration."""
    of = f" of '{plugin.instance}'" if plugin.instance else ""
    return f"{type(plugin).__name__}.{method}{of}"
