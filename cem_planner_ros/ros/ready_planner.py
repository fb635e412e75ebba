# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A planner that is ready to control: compiled, warmed up and measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch

from cem_planner_ros.compile.cpp_execution import CppExecution
from cem_planner_ros.configuration import Configuration, configure, configure_on, planner_of
from cem_planner_ros.configuration.plan_timing import timed_plans
from cem_planner_ros.planning.planner import Planner

WARM_UP_PLANS = 5
PATIENCE = 2.0
"""Number of plans that are timed, and the time after which no more are, s."""

SHRINK = 8
"""Factor by which the candidates are reduced when the CPU replaces a failed device."""


class ReadyPlanner(NamedTuple):
    """
    A planner that is ready, and measured times in s.

    `device_reason` says why it plans on its device, "" if this was not measured.
    """

    configuration: Configuration
    planner: Planner
    plan_time: float
    iteration_time: float
    device_reason: str = ""


def make_planner(
    values: Mapping[str, Any],
    source: str = "",
    leftover: Collection[str] = (),
    before: ReadyPlanner | None = None,
) -> ReadyPlanner:
    """
    Load plugins; make, compile and warm up the planner; arguments as for `configure`.

    If `before` has the same plugins, they and their compiled code are used again. This takes
    milliseconds instead of seconds, and hardly any Python time beside a running loop.

    Raises ConfigurationError if values are not allowed.
    """
    torch.set_num_threads(1)
    shared, reason = None, ""
    if before is None:
        configuration, planner, reason = planner_of(values, source, leftover)
    else:
        if values.get("planner.device", "auto") == "auto":
            # Nothing is measured beside a running loop.
            device = str(before.configuration.device)
            configuration = configure_on(device, values, source, leftover)
        else:
            configuration = configure(values, source, leftover)
        # Compiling anew would change the numbers of plugins for a moment, to see what they do.
        if isinstance(before.planner.execution, CppExecution):
            shared = configuration.with_plugins_of(before.configuration)
        configuration = shared or configuration
        planner = configuration.planner(before.planner if shared else None)
    took = min(seconds for _, seconds in timed_plans(planner, WARM_UP_PLANS, PATIENCE))
    of_each = took / planner.search.iterations
    return ReadyPlanner(configuration, planner, took, of_each, reason)


def fewer_samples(planner: Planner) -> int:
    """Return a number of candidates SHRINK times smaller, or the smallest one allowed."""
    search = planner.search
    least = search.modes * max(2 * search.elites, search.injected)
    return min(search.samples, max(search.samples // SHRINK, least))
