# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Warnings about topics that several parameters name, where that makes no sense."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cem_planner_ros.configuration import state_sources
from cem_planner_ros.configuration.yaml_files import NODE_NAME
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics

DRIVING = {
    "goal": "geometry_msgs/msg/PoseStamped",
    "path": "nav_msgs/msg/Path",
    "costmap": "nav_msgs/msg/OccupancyGrid",
    "moving_obstacles": "sensor_msgs/msg/PointCloud2",
}
"""The message types of a robot that drives, by the inputs of its costs."""

STATE, REFERENCE, COMMAND = "state", "reference", "command"


class NamedTopic(NamedTuple):
    """A topic that a parameter names, and what it is for: STATE, REFERENCE or COMMAND."""

    parameter: str
    topic: str
    type: str
    use: str


def absolute(topic: str, node: str = NODE_NAME, namespace: str = "/") -> str:
    """Return the absolute name of a topic of a node, without what a launch file may remap."""
    start = f"{namespace.rstrip('/')}/"
    return topic if topic.startswith("/") else start + re.sub(r"^~", node, topic)


def topic_warnings(
    value: Mapping[str, Any],
    dynamics: Dynamics,
    costs: Mapping[str, Cost],
    resolve: Callable[[str], str] = absolute,
) -> list[str]:
    """Return warnings about topics that two parameters name; `resolve` makes them absolute."""
    return [
        f"{_both(one, other)}: {problem}"
        for one, other in itertools.combinations(_topics(value, dynamics, costs), 2)
        if resolve(one.topic) == resolve(other.topic) and (problem := _problem(one, other))
    ]


def _both(one: NamedTopic, other: NamedTopic) -> str:
    if one.topic == other.topic:
        return f"{one.parameter} and {other.parameter} are both {one.topic!r}"
    return (
        f"{one.parameter}, which is {one.topic!r}, and {other.parameter}, which is "
        f"{other.topic!r}, are one topic"
    )


def _topics(
    value: Mapping[str, Any], dynamics: Dynamics, costs: Mapping[str, Cost]
) -> list[NamedTopic]:
    """Return the topics on which there is something to read or to send."""
    found = [
        NamedTopic(f"{prefix}.topic", value[f"{prefix}.topic"], value[f"{prefix}.type"], STATE)
        for prefix in state_sources.prefixes(value).values()
    ]
    references = {f"{name}.topic": cost.reference_source for name, cost in costs.items()}
    references |= {
        f"dynamics.mocap_topics ({name.removeprefix('mocap ')})": source
        for name, source in dynamics.reference_sources.items()
    }
    found += [
        NamedTopic(name, source.topic, source.type, REFERENCE)
        for name, source in references.items()
        if source is not None
    ]
    inputs = {name for cost in costs.values() for name in cost.inputs}
    unused = {"goal", "path"} if inputs and value["drive.follow_path"] else set()
    found += [
        NamedTopic(f"drive.{name}_topic", value[f"drive.{name}_topic"], kind, REFERENCE)
        for name, kind in DRIVING.items()
        if name in inputs - unused
    ]
    command = NamedTopic("command.topic", value["command.topic"], value["command.type"], COMMAND)
    return [*found, command]


def _problem(one: NamedTopic, other: NamedTopic) -> str:
    """Return what is wrong if two parameters have the same topic; "" if nothing is."""
    if one.type != other.type:
        return (
            f"they have the types {one.type} and {other.type}, and a topic has one type, so one of "
            "them receives nothing"
        )
    if (one.use, other.use) == (STATE, STATE):
        return "both sources read the same messages; one source can have all fields"
    if (one.use, other.use) == (STATE, REFERENCE):
        return "the reference is the measured state, so the robot stays where it is"
    if other.use == COMMAND:
        return f"the node would read its own commands as the {one.use}"
    return ""  # Two costs, or a cost and a body of the model, may follow one reference.
