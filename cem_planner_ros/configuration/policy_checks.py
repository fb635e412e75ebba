# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Checks of the policy or gait that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.reference_cost import ReferenceCost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import find
from cem_planner_ros.policies.gait import GaitCandidates
from cem_planner_ros.policies.linear_policy import LinearPolicy, MatchedPolicy
from cem_planner_ros.policies.linear_policy import load as load_policy


def policy_problems(
    value: Mapping[str, Any], dynamics: Dynamics, costs: Mapping[str, Cost]
) -> list[str]:
    """Return the mistakes of the policy or gait that the values name."""
    if not value["policy.file"]:
        return []
    low, high = (
        np.array([value[f"action.{group}.{name}"] for name in dynamics.action_names])
        for group in ("low", "high")
    )
    try:
        policy = load_policy(find(value["policy.file"]))
        if isinstance(policy, LinearPolicy):
            MatchedPolicy(policy, dynamics, low, high)
            return []
        GaitCandidates(policy, dynamics, lambda: np.zeros(3), low, high, 1)
    except ConfigurationError as error:
        return [f"parameter 'policy.file': {error}"]
    if value["fallback"] == "policy":
        return [
            "parameter 'fallback' is policy, allowed with a gait: ramp_to_safe or keep_last, as a "
            "gait only proposes candidates"
        ]
    follows = costs.get(policy.velocity)
    if not isinstance(follows, ReferenceCost) or len(follows.followed) < 3:
        names = [name for name, cost in costs.items() if isinstance(cost, ReferenceCost)]
        return [
            f"parameter 'policy.file': velocity of the gait is '{policy.velocity}', allowed: a "
            "cost mean_velocity, or track whose first three signals are the forward, sideways and "
            f"turning velocity of the body; of this kind are {', '.join(names) or 'none'}"
        ]
    return []
