"""Warnings about costs that follow references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.reference_cost import ReferenceCost
from cem_planner_ros.dynamics.base import Dynamics

OF_MESSAGES = ("type", "max_age", "fields")
"""Parameters of such a cost, or groups of them, that are used with a topic only."""


def reference_warnings(
    value: Mapping[str, Any], dynamics: Dynamics, costs: Mapping[str, Cost]
) -> list[str]:
    """Return warnings about a topic without which, or with which, parameters have no effect."""
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
    return found
