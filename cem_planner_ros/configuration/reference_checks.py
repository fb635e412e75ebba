# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Checks of costs that follow references."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.reference_cost import ReferenceCost
from cem_planner_ros.costs.track import Track
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.fields import TOPIC

OF_MESSAGES = ("type", "max_age", "fields")
"""Parameters of such a cost, or groups of them, that are used with a topic only."""


def reference_problems(costs: Mapping[str, Cost]) -> list[str]:
    """Return the mistakes of topics of references."""
    sources = {name: cost.reference_source for name, cost in costs.items()}
    return [
        f"parameter '{name}.topic' is {source.topic!r}, allowed: a ROS topic name, such as "
        "joint_trajectory, /robot/joint_trajectory or ~/reference, or empty"
        for name, source in sources.items()
        if source is not None and not re.fullmatch(TOPIC, source.topic)
    ]


def reference_warnings(
    value: Mapping[str, Any], dynamics: Dynamics, costs: Mapping[str, Cost]
) -> list[str]:
    """Return warnings about parameters without effect: for a topic, or a signal not followed."""
    found = []
    for name, cost in costs.items():
        if not isinstance(cost, ReferenceCost):
            continue
        has_topic = cost.reference_source is not None
        unused = [
            f"{name}.{parameter.name}"
            for parameter in type(cost).parameters_for(dynamics)
            if parameter.name.partition(".")[0] in (("target",) if has_topic else OF_MESSAGES)
            and value[f"{name}.{parameter.name}"] != parameter.default
        ]
        if unused:
            source = (
                f"the reference comes from {name}.topic"
                if has_topic
                else f"{name}.topic is empty, so the reference is {name}.target"
            )
            found.append(f"{', '.join(unused)}: no effect, as {source}")
        found += _of_no_signal(name, cost, value, unused)
    return found


def _of_no_signal(
    name: str, cost: ReferenceCost, value: Mapping[str, Any], told: Collection[str]
) -> list[str]:
    """Return a warning about parameters of signals that a cost does not follow."""
    unused = []
    for parameter in cost.parameters:
        group, _, signal = parameter.name.partition(".")
        if (
            isinstance(cost, Track)
            and group in ("weight", "target", "fields")
            and signal not in cost.followed
            and value[f"{name}.{parameter.name}"] != parameter.default
            and f"{name}.{parameter.name}" not in told
        ):
            unused.append(f"{name}.{parameter.name}")
    if not unused:
        return []
    return [
        f"{', '.join(unused)}: no effect, as {name} follows {', '.join(cost.followed)} only; add "
        f"the others to {name}.signals"
    ]
