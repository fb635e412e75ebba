# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Checks of the arguments of a planner that are not settings of the search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.reference_cost import ReferenceCost
from cem_planner_ros.dynamics.action_parameters import action_parameters
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

OF_REFERENCE = "reference:"
"""How a nominal action begins that is the reference of the state whose name follows."""

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
    low: Sequence[float] | None,
    high: Sequence[float] | None,
    rate: Sequence[float] | None,
    lag: Sequence[float] | None,
    std: Sequence[float] | None = None,
    std_min: Sequence[float] | None = None,
) -> list[np.ndarray]:
    """
    Return low, high, rate, lag, std and std_min, each (nu,), float32, after checking them.

    Each value is checked against the parameter action.GROUP.NAME of the model. A rate must be above
    zero; it is infinite if there is no limit. None stands for the bounds of the model, no limit of
    rates, no lag, and a std of zero. Raises ConfigurationError.
    """
    names = dynamics.action_names
    declared = {parameter.name: parameter for parameter in action_parameters(dynamics)}
    found = []
    none = (0.0,) * len(names)
    usual = dynamics.action_low, dynamics.action_high, (math.inf,) * len(names), none, none, none
    groups = {"low": low, "high": high, "rate": rate, "lag": lag, "std": std, "std_min": std_min}
    for (group, chosen), otherwise in zip(groups.items(), usual, strict=True):
        given = otherwise if chosen is None else chosen
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


class NominalAction(NamedTuple):
    """
    The action with which a search begins that has no last plan.

    Attributes:
        action: (nu,); where a state gives it, the middle of the bounds.
        states: {row of an action: row of the state that gives it}.
        wanted: {row of an action: the cost, and the place in what it follows, that give it}.
        low, high: (nu,), bounds.
    """

    action: np.ndarray
    states: dict[int, int]
    wanted: dict[int, tuple[ReferenceCost, int]]
    low: np.ndarray
    high: np.ndarray

    def at(self, state: np.ndarray) -> np.ndarray:
        """Return the nominal action (nu,) in a state (nx,), with what costs want now."""
        if not self.states and not self.wanted:
            return self.action
        action = self.action.copy()
        action[list(self.states)] = state[list(self.states.values())]
        for row, (cost, place) in self.wanted.items():
            action[row] = cost.reference_now[place]
        return action.clip(self.low, self.high)


def nominal_action(
    dynamics: Dynamics,
    costs: Sequence[Cost],
    nominal: Sequence[float | str | None] | None,
    low: np.ndarray,
    high: np.ndarray,
) -> NominalAction:
    """
    Return the nominal action between bounds (nu,), each `nominal` as for `Planner`.

    Raises ConfigurationError if one is not within the bounds, or names no state, or if no cost
    follows a reference of the state that it names.
    """
    names, action = dynamics.action_names, 0.5 * (low + high)
    states: dict[int, int] = {}
    wanted: dict[int, tuple[ReferenceCost, int]] = {}
    given = [None] * len(names) if nominal is None else list(nominal)
    if len(given) != len(names):
        raise ConfigurationError(
            f"nominal is {given!r}, allowed: a number, the name of a state or None for each of "
            f"{', '.join(names)}"
        )
    for row, (name, value) in enumerate(zip(names, given, strict=True)):
        if value is None:
            continue
        if not isinstance(value, str):
            problem = nominal_problem(name, value, value, float(low[row]), float(high[row]))
            if problem:
                raise ConfigurationError(problem)
            action[row] = value
        elif value.startswith(OF_REFERENCE):
            wanted[row] = follower(name, value.removeprefix(OF_REFERENCE), costs)
        elif value in dynamics.state_names:
            states[row] = dynamics.state_names.index(value)
        else:
            raise ConfigurationError(
                f"nominal of '{name}' is {value!r}, allowed: a number, None, or one of the states "
                f"{', '.join(dynamics.state_names)}"
            )
    return NominalAction(action, states, wanted, low, high)


def follower(action: str, state: str, costs: Sequence[Cost]) -> tuple[ReferenceCost, int]:
    """
    Return the cost that follows a reference of a state, and the place of the state in it.

    Raises ConfigurationError, naming the action, if there is no such cost.
    """
    for cost in costs:
        if isinstance(cost, ReferenceCost) and state in cost.followed:
            return cost, cost.followed.index(state)
    raise ConfigurationError(
        f"parameter 'action.nominal.{action}' is reference, allowed with a cost 'track' or 'pose' "
        f"that follows the state '{state}': add '{state}' to the signals of one"
    )


def nominal_problem(name: str, given: object, value: float, low: float, high: float) -> str:
    """Return why an action within bounds cannot have a nominal value, `given`; "" if it can."""
    if np.float32(low) <= np.float32(value) <= np.float32(high):
        return ""
    return (
        f"parameter 'action.nominal.{name}' is {given}, allowed: from action.low.{name} to "
        f"action.high.{name}, which are {low} and {high}"
    )


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
