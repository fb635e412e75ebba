"""Checks of the messages of commands."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import did_you_mean
from cem_planner_ros.fields import ANGLES, COMMAND_TYPES, JOINT_TRAJECTORY, QUATERNION


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
        problems.append(f"parameters 'command.fields' are {listed}, allowed: different ones")
    turns = set(listed) & {*ANGLES, *QUATERNION}
    if not (turns <= {*ANGLES} or turns == {*QUATERNION}):
        problems.append(
            f"parameters 'command.fields' are {listed}, allowed for an orientation: some of roll, "
            "pitch and yaw, or all of qw, qx, qy and qz"
        )
    return problems
