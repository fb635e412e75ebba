# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Checks of actions and of the messages of commands."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from cem_planner_ros.configuration.state_sources import prefixes
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import did_you_mean
from cem_planner_ros.fields import (
    ANGLES,
    COMMAND_TYPES,
    JOINT_TRAJECTORY,
    POSITION,
    QUATERNION,
    WORLD,
    is_velocity,
)

WIDE = 1e5
"""Between the bounds of an action, in its unit; wider bounds probably stand for none."""

UNLIKELY = {"rad/s": (30.0, "degrees per second"), "rad": (10.0, "degrees"), "m/s": (60.0, "mm/s")}
"""{unit of an action: (bound above which it is unlikely, the unit that was probably meant)}."""

KINDS = {
    **dict.fromkeys((*POSITION, *ANGLES, *QUATERNION, "position"), "a position"),
    **dict.fromkeys(("velocity", "linear", "angular", "speed"), "a velocity"),
    **{"steering_angle": "a position", "steering_angle_velocity": "a velocity"},
    **{"acceleration": "an acceleration", "jerk": "a jerk"},
    **dict.fromkeys(("effort", "force", "torque"), "a force or torque"),
}
"""What a field is, by its name up to a bracket or a dot; others say nothing."""


def command_problems(
    value: Mapping[str, Any], dynamics: Dynamics, wrong: Collection[str]
) -> list[str]:
    """Return what is wrong with the fields of the command, and what is sent in place of actions."""
    names, states = dynamics.action_names, dynamics.state_names
    if "command.type" in wrong:
        return []
    problems, kind = [], value["command.type"]
    grammar = COMMAND_TYPES[kind]
    fields_ = {name: value[f"command.fields.{name}"] for name in names}
    for name, field in fields_.items():
        if not grammar.match(field):
            what = f"is {field!r}" if field else "is missing"
            hint = grammar.hint(field) if field else ""
            problems.append(
                f"parameter 'command.fields.{name}' {what}, allowed for {kind}: "
                f"{grammar.words}{hint}"
            )
    integrals = {name: value[f"command.integrate.{name}"] for name in names}
    for name, state in integrals.items():
        if state and state not in states:
            problems.append(
                f"parameter 'command.integrate.{name}' is {state!r}, allowed: empty, or one of the "
                f"states {', '.join(states)}{did_you_mean(state, states)}"
            )
        elif state and list(integrals.values()).index(state) < list(integrals).index(name):
            problems.append(
                f"parameter 'command.integrate.{name}' is {state!r}, which another action is "
                "integrated to already, allowed: a state for each action"
            )
    preview = value["command.preview"]
    if preview and (grammar is not JOINT_TRAJECTORY or any(integrals.values())):
        problems.append(
            f"parameter 'command.preview' is {preview}, allowed: 0, unless command.type is "
            "trajectory_msgs/msg/JointTrajectory and no action is integrated"
        )
    listed = [field for field in fields_.values() if field]
    if len(set(listed)) < len(listed):
        problems.append(
            f"parameters 'command.fields' are {listed}, allowed: different ones, since one message "
            "has all actions"
        )
    turns = set(listed) & {*ANGLES, *QUATERNION}
    if not (turns <= {*ANGLES} or turns == {*QUATERNION}):
        problems.append(
            f"parameters 'command.fields' are {listed}, allowed for an orientation: some of roll, "
            "pitch and yaw, or all of qw, qx, qy and qz"
        )
    return problems


def integration_warnings(value: Mapping[str, Any], dynamics: Dynamics) -> list[str]:
    """Return warnings about actions that are integrated into a field of another unit."""
    measured = {
        name: value[f"{prefix}.fields.{name}"]
        for prefix in prefixes(value).values()
        for name in dynamics.state_names
        if value[f"{prefix}.fields.{name}"]
    }
    found = []
    for action in dynamics.action_names:
        state, field = value[f"command.integrate.{action}"], value[f"command.fields.{action}"]
        if not state:
            continue
        is_speed = is_velocity(state, "data[0]")
        sent = _kind(measured[state]) or ("a velocity" if is_speed else "a position")
        wanted = _kind(field)
        if wanted and wanted != sent:
            found.append(
                f"command.integrate.{action} is {state!r}, so what is sent is {sent}, but "
                f"command.fields.{action} is {field!r}, which is {wanted}"
            )
    return found


def _kind(field: str) -> str:
    """Return what a field of a message is; "" if its name does not say it."""
    return KINDS.get(re.split(r"[\[.]", field.removeprefix(WORLD))[0], "")


def unit_warnings(value: Mapping[str, Any], dynamics: Dynamics) -> list[str]:
    """Return warnings about bounds of actions that are probably given in another unit."""
    found = []
    for name, unit in zip(dynamics.action_names, dynamics.action_units, strict=True):
        most, other = UNLIKELY.get(unit, (math.inf, ""))
        for group in ("low", "high"):
            bound = value[f"action.{group}.{name}"]
            if most < abs(bound) < WIDE:
                found.append(
                    f"action.{group}.{name} is {bound:g}, in {unit}: a value in {other} has to be "
                    "converted"
                )
    return found


def std_warnings(value: Mapping[str, Any], name: str) -> list[str]:
    """Return warnings about the standard deviation of an action."""
    low, high, std, least = (
        value[f"action.{group}.{name}"] for group in ("low", "high", "std", "std_min")
    )
    if not std and high - low > WIDE:
        share = value["planner.std_initial"]
        return [
            f"action.low.{name} and action.high.{name} are {low:g} and {high:g}, so candidates "
            f"have a standard deviation of {0.5 * share * (high - low):g} (planner.std_initial): "
            f"if the bounds stand for none, set action.std.{name}, in the unit of {name}"
        ]
    if std > high - low:
        return [
            f"action.std.{name} is {std:g}, above the range of {name}, which is from {low:g} to "
            f"{high:g}: most candidates are at a bound"
        ]
    if std and least > std:
        return [
            f"action.std_min.{name} is {least:g}, above action.std.{name}, which is {std:g}: the "
            "search never becomes finer than its first iteration"
        ]
    return []
