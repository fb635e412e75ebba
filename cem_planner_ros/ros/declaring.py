# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Declares parameters on a ROS node, and reads the values that parameter files hold for it."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from cem_planner_ros.configuration.yaml_files import ROS_PARAMETERS, load_yaml
from cem_planner_ros.errors import ConfigurationError, did_you_mean
from cem_planner_ros.plugins.parameter import INACTIVE, LIVE, READ_ONLY, Parameter
from cem_planner_ros.ros.command_line import params_files

LAUNCH_FILE = "launch_params_"
"""Prefix of the names of files to which launch writes parameters of a launch file."""

CHANGES = {
    LIVE: "may be set at any time",
    INACTIVE: "may be set while the node is not active",
    READ_ONLY: "is read when the node starts",
}
"""When a parameter may change, in words."""

UNBOUNDED = (-(2**63), 2**63 - 1, -sys.float_info.max, sys.float_info.max)
"""Ends of ranges that do not limit anything."""


def read_files(files: Sequence[str], node: Node) -> dict[str, Any]:
    """
    Return the parameters of a node in YAML files.

    Raises ConfigurationError if a file cannot be read, or if no file has a section for the node.
    Files that launch wrote do not count.
    """
    name = node.get_name(), node.get_namespace()
    load_yaml([file for file in files if not Path(file).name.startswith(LAUNCH_FILE)], *name)
    return load_yaml(files, *name)


def declare(node: Node, table: Sequence[Parameter]) -> tuple[dict[str, Any], set[str]]:
    """
    Declare the parameters of a node without plugins.

    Returns all values by name, and the names of the given ones. Unknown names are logged as a
    warning. Raises ConfigurationError, with one line for each wrong value.
    """
    given = read_files(params_files(sys.argv), node)
    overrides = node._parameter_overrides.items()
    given |= {name: p.value for name, p in overrides if p.value is not None}
    values, problems = {}, []
    for parameter in table:
        try:
            value = parameter.check(given.get(parameter.name, parameter.default))
        except ConfigurationError as error:
            problems.append(str(error))
            continue
        values[parameter.name] = value
        node.declare_parameter(parameter.name, value, descriptor(parameter), ignore_override=True)
    if problems:
        raise ConfigurationError("\n".join(problems))
    names = [p.name for p in table]
    for name in sorted(given):
        if name not in names and name.partition(".")[0] not in ROS_PARAMETERS:
            hint = did_you_mean(name, names)
            node.get_logger().warning(f"the parameter '{name}' is ignored: it is unknown{hint}")
    return values, given.keys() & set(names)


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Return the descriptor of a parameter, which `ros2 param describe` shows."""
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    result = ParameterDescriptor(
        name=parameter.name,
        description=f"{parameter.description}{unit}",
        additional_constraints=f"{parameter.allowed}; {CHANGES[parameter.when]}",
        read_only=parameter.when == READ_ONLY,
        # An empty list has no type for rclpy.
        dynamic_typing=bool(parameter.words) or parameter.default == [],
    )
    if parameter.low is None and parameter.high is None:
        return result
    if parameter.is_float:
        largest = sys.float_info.max
        result.floating_point_range = [
            FloatingPointRange(
                from_value=-largest if parameter.low is None else float(parameter.low),
                to_value=largest if parameter.high is None else float(parameter.high),
            )
        ]
    else:
        result.integer_range = [
            IntegerRange(
                from_value=-(2**63) if parameter.low is None else math.ceil(parameter.low),
                to_value=2**63 - 1 if parameter.high is None else math.floor(parameter.high),
                step=1,
            )
        ]
    return result


def declaration(descriptor: ParameterDescriptor, value: Any) -> Parameter:
    """
    Return the declaration that a descriptor of `descriptor` says, with a value as its default.

    Of a descriptor that somebody else made it is as much as the descriptor says.
    """
    allowed, _, said = descriptor.additional_constraints.rpartition("; ")
    when = {words: when for when, words in CHANGES.items()}.get(said, "")
    if not when:
        allowed, when = "", READ_ONLY if descriptor.read_only else LIVE
    description, bracket, unit = descriptor.description.removesuffix("]").rpartition(" [")
    if not bracket or not descriptor.description.endswith("]"):
        description, unit = descriptor.description, ""
    low = high = None
    for bounds in (*descriptor.floating_point_range, *descriptor.integer_range):
        low = None if bounds.from_value in UNBOUNDED else bounds.from_value
        high = None if bounds.to_value in UNBOUNDED else bounds.to_value
    choices, words = allowed.removeprefix("one of ").split(", "), ()
    if not allowed.startswith("one of "):
        choices = ()
    is_number = allowed.startswith(("an integer", "a finite number"))
    if descriptor.dynamic_typing and is_number:
        _, *words = allowed.split(", or ")
    return Parameter(
        descriptor.name, value, description, unit, low, high, tuple(choices), when, tuple(words)
    )


def python_value(message) -> Any:
    """Return the value of a ParameterValue."""
    value = parameter_value_to_python(message)
    # rclpy gives lists as arrays or tuples.
    return value if isinstance(value, (bool, int, float, str, type(None))) else list(value)
