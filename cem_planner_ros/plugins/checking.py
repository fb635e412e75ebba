# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Plugins are tried out with random inputs before anything relies on them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import DifferentialEquation, Dynamics
from cem_planner_ros.errors import ConfigurationError, describe
from cem_planner_ros.plugins.parameter import Parameterised

TRIALS = 5
"""Number of samples with which plugins are tried out."""

TRIAL_STEPS = 3
"""Number of model steps of a rollout that is tried out."""

ATTEMPTS = 1000
FAR = 1e3
"""Number of random states at which a cost should not always be zero, and their largest size."""

SAME = 2e-6
"""Relative change of a sample's result that other samples may cause; float32 resolves 1e-7."""

TINY = 1e-7


def try_out(
    dynamics: Dynamics, costs: Sequence[Cost], dt: float, device: torch.device
) -> tuple[str, ...]:
    """
    Call every plugin with random inputs; return the methods that read numbers in Python.

    Compiled code would keep such numbers as constants. Raises ConfigurationError, naming the
    plugin, what was expected and what came, if a method raises an error, returns a wrong shape,
    type or device, changes its arguments, returns something else the second time, or lets samples
    influence each other.
    """
    dynamics.check()
    dynamics.check_dt(dt)
    nx = len(dynamics.state_names)
    generator = torch.Generator().manual_seed(0)
    low, high = (
        torch.tensor(bound, dtype=torch.float32)[:, None]
        for bound in (dynamics.action_low, dynamics.action_high)
    )
    state, before = (torch.randn(nx, TRIALS, generator=generator).to(device) for _ in range(2))
    random = torch.rand(TRIAL_STEPS, len(low), TRIALS, generator=generator)
    sequence = (low + (high - low) * random).to(device)
    action, previous = sequence[0], sequence[1]
    time = torch.tensor(dt, device=device)
    model = dynamics.member or dynamics
    if isinstance(model, DifferentialEquation):
        _try_out(model, "derivative", (state, action), (nx, TRIALS))
    members = dynamics.members
    columns = TRIALS * members
    states, actions = state.repeat(1, members), action.repeat(1, members)
    _try_out(dynamics, "step", (states, actions, time), (nx, columns), states)
    tried: list[tuple[Parameterised, str, tuple[torch.Tensor, ...]]] = []
    outputs = len(dynamics.output_names)
    signals = torch.cat((state, torch.randn(outputs, TRIALS, generator=generator).to(device)))
    if outputs and not dynamics.rolls_out_itself:
        _try_out(dynamics, "output", (states,), (outputs, columns))
        tried.append((dynamics, "output", (states,)))
    if dynamics.rolls_out_itself:
        each = sequence.repeat(1, 1, members)
        durations = time.repeat(TRIAL_STEPS)
        shape = (TRIAL_STEPS, nx + outputs, columns)
        start = torch.cat((states, states.new_zeros(outputs, columns)))
        _try_out(dynamics, "rollout", (states, each, durations), shape, start)
        if dynamics.predicts_return:  # All candidates begin in the same state.
            alike = state[:, :1].repeat(1, columns)
            _try_out(dynamics, "returns", (alike, each, durations), (columns,))
    else:
        # Over a short step, rounding may hide an influence between samples.
        second = torch.ones_like(time)
        _try_out(dynamics, "step", (states, actions, second), (nx, columns), states)
        tried.append((dynamics, "step", (states, actions, time)))
    for term in costs:
        seen = signals if term.reads_outputs else state
        for method, given in (
            ("stage", term.asked_for(seen, action, previous, time, before)),
            ("terminal", (seen,)),
        ):
            _try_out(term, method, given, (TRIALS,))
            tried.append((term, method, given))
    return tuple(_name(*each[:2]) for each in tried if _reads_numbers(*each))


def try_samples(dynamics: Dynamics, samples: int, dt: float, device: torch.device) -> None:
    """Raise ConfigurationError if the model cannot compute `samples` samples at once."""
    columns = samples * dynamics.members
    state, action = (
        torch.zeros(len(names), columns, device=device)
        for names in (dynamics.state_names, dynamics.action_names)
    )
    given = state, action, torch.tensor(dt, device=device)
    try:
        _call(dynamics, "step", given, state.shape)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"parameter 'planner.samples' is {samples}, but the model cannot take so many "
            f"samples at once, expected that it takes any number of them: {error}"
        ) from error


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
        plugin, method: the method that is called.
        arguments: samples are the last dimension of arguments with two or more dimensions.
        shape: expected shape of the result.
        start: if given, the change of the result from `start` is compared, not the result.
    """
    name = _name(plugin, method)
    result = _call(plugin, method, arguments, shape)
    again = _call(plugin, method, arguments, shape)
    is_exact = not isinstance(plugin, Dynamics) or plugin.is_repeatable
    slack = torch.zeros(()) if is_exact else _rounding(result, result, start)
    differing = _difference(again, result, slack)
    if differing:
        raise ConfigurationError(
            f"{name} returned {differing[0]} where the same arguments gave {differing[1]} before, "
            "expected the same: no random numbers and no memory"
        )
    among_others = [_shifted(value) for value in arguments]
    for sample in range(TRIALS):
        column = slice(sample, None, TRIALS)  # One column for each member.
        mixed, alone = [], []
        for value, other in zip(arguments, among_others, strict=True):
            if value.ndim > 1:
                other = other.clone()
                other[..., column] = value[..., column]
            mixed.append(other)
            alone.append(value[..., column] if value.ndim > 1 else value)
        own = result[..., column]
        before = None if start is None else start[..., column]
        # These are the same operations on the same numbers, so rounding hardly differs.
        slack = SAME * own.abs() + TINY if is_exact else _rounding(own, result, before)
        got = _call(plugin, method, tuple(mixed), shape)[..., column]
        differing = _difference(own, got, slack)
        others = "the same one among other samples"
        if not differing:
            got = _call(plugin, method, tuple(alone), (*shape[:-1], shape[-1] // TRIALS))
            differing = _difference(own, got, _rounding(own, result, before))
            others = "the same one alone"
        if differing:
            raise ConfigurationError(
                f"{name} returned {differing[0]} for a sample among {TRIALS} and {differing[1]} "
                f"for {others}, expected the same: samples, the last dimension, must not influence "
                "one another"
            )


def _shifted(value: torch.Tensor) -> torch.Tensor:
    """Return an argument with its samples in another order, within each member."""
    if value.ndim < 2:
        return value
    return value.unflatten(-1, (-1, TRIALS)).roll(1, -1).flatten(-2)


def _rounding(own: torch.Tensor, result: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
    """Return the difference of results (..., P) of all (..., N) that rounding may cause."""
    size = result.nan_to_num(posinf=0.0, neginf=0.0).abs().amax(-1, keepdim=True)
    if before is None:
        return 1e-4 * own.abs() + 3e-5 * size + TINY
    return 1e-3 * (own - before).abs() + 1e-5 * size + TINY


def _difference(
    one: torch.Tensor, other: torch.Tensor, tolerance: torch.Tensor
) -> tuple[str, str] | None:
    """Return the first two numbers that differ by more than a tolerance; None if there are none."""
    same = (one == other) | ((one - other).abs() <= tolerance) | (one.isnan() & other.isnan())
    if same.all():
        return None
    first = tuple((~same).nonzero()[0].tolist())
    pair = one[first].item(), other[first].item()
    short = f"{pair[0]:.4g}", f"{pair[1]:.4g}"
    if short[0] != short[1]:
        return short
    return short[0], f"{short[1]} ({pair[1] - pair[0]:+.1g})"


def _call(
    plugin: Parameterised, method: str, arguments: tuple[torch.Tensor, ...], shape: tuple[int, ...]
) -> torch.Tensor:
    """Call a method of a plugin and return its checked result; stacked states of a rollout."""
    name = _name(plugin, method)
    before = [argument.clone() for argument in arguments]
    try:
        with torch.no_grad():
            result = getattr(plugin, method)(*arguments)
            results = list(result) if method == "rollout" else [result]
    except Exception as error:
        raise ConfigurationError(f"{name} raised {describe(error)}") from error
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

    seen = dynamics.signal_names if cost.reads_outputs else dynamics.state_names
    state = random(len(seen))
    action, previous = (random(len(dynamics.action_names)) for _ in range(2))
    given = state, action, previous, torch.tensor(1.0, device=device)
    stage = cost.stage(*cost.asked_for(*given, random(len(dynamics.state_names))))
    return not (stage.any() or cost.terminal(state).any())


class _Readings(TorchDispatchMode):
    """Notes whether an operation converts a tensor into a Python number, as item and equal do."""

    found = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found |= any("Tensor" not in str(result.type) for result in func._schema.returns)
        return func(*args, **(kwargs or {}))


class _Views(TorchFunctionMode):
    """Notes whether Python or NumPy gets all numbers of a tensor, without an operation."""

    WAYS = tuple(
        getattr(torch.Tensor, name)
        for name in ("tolist", "numpy", "__array__", "__dlpack__", "untyped_storage", "data_ptr")
    )

    found = False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.found |= func in self.WAYS
        if func in (torch.tensor, torch.as_tensor) and isinstance(args[0], (list, tuple)):
            self.found |= any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(args[0]))
        return func(*args, **(kwargs or {}))


def _reads_numbers(plugin: Parameterised, method: str, arguments: tuple[torch.Tensor, ...]) -> bool:
    before = plugin.readings
    with torch.no_grad(), _Views() as views, _Readings() as readings:
        getattr(plugin, method)(*arguments)
    return views.found or readings.found or plugin.readings > before


def _name(plugin: Parameterised, method: str) -> str:
    """Return the name of a method for messages: its class, and the plugin's name in the YAML."""
    of = f" of '{plugin.instance}'" if plugin.instance else ""
    return f"{type(plugin).__name__}.{method}{of}"
