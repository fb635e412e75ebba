# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The parameters of each action of a model, and the words that stand for values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter, named

MEASURED = "measured"
"""A safe or nominal action that is the measured position instead of a number."""

REFERENCE = "reference"
"""A nominal action that is the reference of what measures the action."""

MIDDLE = "middle"
"""A nominal action in the middle of the bounds."""


def action_parameters(dynamics: Dynamics) -> tuple[Parameter, ...]:
    """Return the parameters of each action: bounds, rate, safe value, search and lag."""
    none = [0.0] * len(dynamics.action_names)
    wide = " Where there is no limit, a wide bound together with action.std."
    words = {"safe": (MEASURED,), "nominal": (MIDDLE, MEASURED, REFERENCE, *dynamics.named_actions)}
    groups: tuple[tuple[str, Sequence[float | str], str, float | None, str], ...] = (
        ("low", dynamics.action_low, "", None, "Smallest {name} that is commanded." + wide),
        ("high", dynamics.action_high, "", None, "Largest {name} that is commanded." + wide),
        ("rate", none, "/s", 0.0, "Largest change of {name} per second; 0 for no limit."),
        (
            "safe",
            [_safe(dynamics, row) for row in range(len(none))],
            "",
            None,
            "The {name} that is commanded when no plan may be used. measured commands the "
            "value that the state in action.measured_by has when the stop begins.",
        ),
        (
            "nominal",
            [MIDDLE] * len(dynamics.action_names),
            "",
            None,
            "The {name} with which the search begins, also after a reset: a number; middle, "
            "halfway between action.low and action.high; measured, the value of the state in "
            "action.measured_by; reference, the value that a cost track or pose wants of this "
            "state; or keyframe:NAME, that of a keyframe of a MuJoCo file.",
        ),
        (
            "std",
            none,
            "",
            0.0,
            "Standard deviation of {name} in the first iteration of a period; 0 takes "
            "planner.std_initial as a share of half the range.",
        ),
        (
            "std_min",
            none,
            "",
            0.0,
            "Smallest standard deviation of {name}; 0 takes planner.std_min as a share of half "
            "the range. Where action.std is given, 0 takes action.std times planner.std_min / "
            "planner.std_initial.",
        ),
    )
    parameters = tuple(
        replace(
            parameter,
            default=default if isinstance(default, str) else float(default),
            unit=unit + suffix,
            words=words.get(group, ()),
        )
        for group, defaults, suffix, low, text in groups
        for parameter, default, unit in zip(
            named(f"action.{group}", dynamics.action_names, 0.0, text, low=low),
            defaults,
            dynamics.action_units,
            strict=True,
        )
    )
    beta = "Exponent of the noise of {name}; a value below 0 uses planner.noise_beta."
    lag = "Time constant with which the actuator follows the commanded {name}; 0 for no lag."
    states = tuple(
        Parameter(
            f"action.measured_by.{name}",
            dynamics.measured_by.get(name, ""),
            f"Name of the state that measures what {name} commands, in the same unit, such as "
            "the position of a joint for its position controller; empty if there is none.",
            when=INACTIVE,
        )
        for name in dynamics.action_names
    )
    return (
        *parameters,
        *states,
        *named(
            "action.noise_beta",
            dynamics.action_names,
            -1.0,
            beta,
            low=-1.0,
            high=8.0,
            when=INACTIVE,
        ),
        *named("action.lag", dynamics.action_names, 0.0, lag, unit="s", low=0.0, high=10.0),
    )


def _safe(dynamics: Dynamics, row: int) -> float | str:
    """Return 0, or where it is out of bounds what is measured, or else the nearest bound."""
    low, high = dynamics.action_low[row], dynamics.action_high[row]
    if low <= 0.0 <= high:
        return 0.0
    is_measured = dynamics.action_names[row] in dynamics.measured_by
    return MEASURED if is_measured else min((low, high), key=abs)
