"""A planner that is ready to control: compiled, warmed up and measured."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from cem_planner_ros.compile.cpp_execution import CppExecution
from cem_planner_ros.configuration import Configuration, configure
from cem_planner_ros.planning.planner import Planner

WARM_UP_PLANS = 5

SHRINK = 8
"""How many times fewer candidates the planner gets that stands in for a device that failed."""


class ReadyPlanner(NamedTuple):
    """A planner that is ready; times in s; what its configuration is warned of."""

    configuration: Configuration
    planner: Planner
    plan_time: float
    iteration_time: float
    warnings: list[str]


def make_planner(
    values: Mapping[str, Any],
    source: str = "",
    leftover: Collection[str] = (),
    before: ReadyPlanner | None = None,
) -> ReadyPlanner:
    """
    Load plugins, make the planner, compile it and warm it up; arguments as for `configure`.

    Where `before` has the same plugins, they and what was compiled for them are used again: that
    takes milliseconds instead of seconds, and hardly any of Python's time beside a running loop.

    Raises ConfigurationError if the values cannot work.
    """
    torch.set_num_threads(1)
    configuration = configure(values, source, leftover)
    shared = None
    # Compiling anew would change the numbers of plugins for a moment, to see what they do.
    if before is not None and isinstance(before.planner.execution, CppExecution):
        shared = configuration.with_plugins_of(before.configuration)
    if shared is not None:
        configuration = shared
    planner = configuration.planner(None if shared is None else before.planner)
    start = np.zeros(len(configuration.dynamics.state_names))
    times = []
    for _ in range(WARM_UP_PLANS):
        began = time.perf_counter()
        iterations = planner.plan(start, 0.0).iterations
        times.append(time.perf_counter() - began)
    planner.reset()
    took = min(times)
    return ReadyPlanner(configuration, planner, took, took / iterations, configuration.warnings())


def fewer_samples(planner: Planner) -> int:
    """Return a population SHRINK times smaller, or the smallest that the search can do with."""
    search = planner.search
    least = search.modes * max(2 * search.elites, search.injected)
    return min(search.samples, max(search.samples // SHRINK, least))
