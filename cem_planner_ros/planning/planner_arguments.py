"""Checks of the arguments of a planner that are not settings of the search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError, first_line
from cem_planner_ros.planning.settings import Search
from cem_planner_ros.plugins.parameter import FLOAT32_MAX, INACTIVE, Parameter

ARGUMENTS = (
    Parameter(
        "planner.device",
        "auto",
        "Where to plan: auto, cpu, cuda or cuda:INDEX. With auto, where there is a GPU, a plan is "
        "timed there and on the CPU when the node is configured, and the faster one is taken.",
        when=INACTIVE,
    ),
    Parameter(
        "planner.threads",
        1,
        "Number of CPU threads of a compiled rollout, and of a rollout through the members of"
        " an ensemble.",
        low=1,
        high=256,
        when=INACTIVE,
    ),
    Parameter("planner.seed", 0, "Seed of the sampled noise.", low=0, when=INACTIVE),
)
"""The declarations of those arguments of `Planner` that are parameters of the node too."""

PERIOD = Parameter("period", 0.02, "From one command to the next.", unit="s", low=5e-4, high=10.0)
"""What the node has as `control_rate`."""

MOST_APART = 1e18
"""Between the bounds of an action; float32 cannot hold the square of much more."""


def check_plugins(dynamics: Dynamics, costs: Sequence[Cost]) -> None:
    """Raise ConfigurationError unless `dynamics` is a model and `costs` is a list of costs."""
    if not isinstance(dynamics, Dynamics):
        raise ConfigurationError(f"dynamics is {dynamics!r}, expected a Dynamics object")
    if not isinstance(costs, Sequence) or not costs:
        raise ConfigurationError(f"costs is {costs!r}, allowed: a list of at least one Cost")
    for cost in costs:
        if not isinstance(cost, Cost):
            raise ConfigurationError(f"costs has {cost!r}, expected Cost objects")


def search_settings(settings: Mapping[str, Any], dynamics: Dynamics) -> Search:
    """
    Return the settings of the search of a model after checking them.

    Raises TypeError for a name that is no setting, ConfigurationError for a value that is not
    allowed.
    """
    unknown = set(settings) - {field.name for field in fields(Search)}
    if unknown:
        raise TypeError(f"Planner has no setting '{min(unknown)}'")
    search = Search(**settings)
    beta = search.noise_beta
    if isinstance(beta, tuple) and len(beta) != len(dynamics.action_names):
        raise ConfigurationError(
            f"noise_beta has {len(beta)} entries, allowed: one number, or one for each of "
            f"{', '.join(dynamics.action_names)}"
        )
    return search


def usable_device(name: torch.device | str) -> torch.device:
    """Return the device called `name`. Raises ConfigurationError if a trial on it fails."""
    try:
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if torch.device(name).type not in ("cpu", "cuda"):
            raise ValueError("neither cpu nor cuda")
        return torch.empty(0, device=name).device
    except Exception as error:  # torch raises RuntimeError, AssertionError or ValueError here.
        raise ConfigurationError(
            f"parameter 'planner.device' is '{name}', allowed: auto, cpu, or a CUDA device that "
            f"works here ({first_line(error)})"
        ) from error


def bounds_problem(name: str, low: float, high: float) -> str:
    """Return why an action cannot have these bounds; "" if it can."""
    given = f"parameter 'action.low.{name}' is {low}"
    # In float32, in which the planner computes.
    if not np.float32(low) < np.float32(high):
        return f"{given}, allowed: less than action.high.{name}, which is {high}"
    if high - low > MOST_APART:
        return f"{given}, allowed: at most {MOST_APART:g} below action.high.{name}, which is {high}"
    return ""


def action_limits(
    dynamics: Dynamics,
    low: Sequence[float],
    high: Sequence[float],
    rate: Sequence[float],
    lag: Sequence[float],
) -> list[np.ndarray]:
    """
    Return low, high, rate and lag, each (nu,), float32, after checking them.

    Each value is checked against the parameter action.GROUP.NAME of the model. A rate must be above
    zero; it is infinite if there is no limit. Raises ConfigurationError.
    """
    names = dynamics.action_names
    declared = {parameter.name: parameter for parameter in dynamics.action_parameters()}
    found = []
    groups = {"low": low, "high": high, "rate": rate, "lag": lag}
    for group, given in groups.items():
        try:
            values = given.tolist() if hasattr(given, "tolist") else list(given)
        except TypeError:  # Not a sequence.
            values = None
        if not isinstance(values, list) or len(values) != len(names):
            raise ConfigurationError(
                f"{group} is {given!r}, allowed: a number for each of {', '.join(names)}"
            )
        for name, value in zip(names, values, strict=True):
            if group == "rate" and value == math.inf:
                continue
            if group == "rate" and value == 0.0:
                raise ConfigurationError(
                    f"rate of '{name}' is 0, allowed: above 0, infinity for no limit"
                )
            declared[f"action.{group}.{name}"].check(value)
        found.append(np.array(values, np.float32))
    for name, least, most in zip(names, *found[:2], strict=True):
        problem = bounds_problem(name, float(least), float(most))
        if problem:
            raise ConfigurationError(problem)
    return found


def check_times(time: float, until: float) -> None:
    """Raise ValueError if a plan cannot begin at `time`, s, or search until then."""
    if not math.isfinite(time):
        raise ValueError(f"time is {time}, expected a finite time in s")
    if math.isnan(until):
        raise ValueError("until is nan, expected a time in s; inf for no limit")


def vector(what: str, values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return values as an array (n,). Raises ValueError if shape or numbers are not allowed."""
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(names),):
        raise ValueError(f"{what} has shape {values.shape}, expected ({len(names)},)")
    # A comparison with NaN is false.
    good = np.abs(values) <= FLOAT32_MAX
    if not good.all():
        bad = ", ".join(
            f"{n} {v:.4g}" for n, v, g in zip(names, values, good, strict=True) if not g
        )
        raise ValueError(f"{what} has {bad}, expected numbers that are finite in float32")
    return values
