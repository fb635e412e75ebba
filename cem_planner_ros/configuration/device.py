# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Where to plan, if that is left to be measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cem_planner_ros.configuration.build import configure
from cem_planner_ros.configuration.plan_timing import timed_plans
from cem_planner_ros.configuration.values import Configuration
from cem_planner_ros.errors import first_line
from cem_planner_ros.planning.planner import Planner

TRIED = 20
"""Plans that are timed on each device, after as many as it takes to warm up."""

WARM_UP = 3

AT_MOST = 0.5
"""s of plans for each device; slow ones are timed a few times only."""


def planner_of(
    values: Mapping[str, Any], file: str = "", leftover: Collection[str] = ()
) -> tuple[Configuration, Planner, str]:
    """
    Return the configuration of values, its planner, and why it plans where it does.

    With `planner.device` "auto", where there is a GPU, a planner is made there and one on the CPU,
    and the one whose plans take less time is taken. The reason is "" where nothing was measured.

    Args:
        values, file, leftover: as for `configure`.

    Raises ConfigurationError if the values cannot work.
    """
    configuration = configure(values, file, leftover)
    if configuration.values["planner.device"] != "auto" or configuration.device.type == "cpu":
        return configuration, configuration.planner(), ""
    configurations = {
        str(configuration.device): configuration,
        "cpu": configure_on("cpu", values, file, leftover),
    }
    planners, took, problems = {}, {}, {}
    for name, one in configurations.items():
        try:
            planners[name] = one.planner()
            took[name] = plan_time(planners[name])
        except Exception as error:  # A plugin may raise anything, and a GPU may be full.
            problems[name] = error
    if not took:
        raise next(iter(problems.values()))
    fastest = min(took, key=took.__getitem__)
    found = [f"{1e3 * seconds:.2f} ms on {name}" for name, seconds in took.items()]
    found += [f"none on {name} ({first_line(error)})" for name, error in problems.items()]
    return configurations[fastest], planners[fastest], f"a plan takes {', '.join(found)}"


def configure_on(
    device: str, values: Mapping[str, Any], file: str = "", leftover: Collection[str] = ()
) -> Configuration:
    """Return the configuration of values on a device, though they leave the device open."""
    configuration = configure({**values, "planner.device": device}, file, leftover)
    asked = {**configuration.values, "planner.device": "auto"}
    return replace(configuration, values=asked)


def plan_time(planner: Planner, clock: Callable[[], float] = time.monotonic) -> float:
    """Return the median time of a plan from rest, s; the planner forgets its plans."""
    dt = planner.search.dt
    timed = timed_plans(planner, TRIED, AT_MOST, period=dt, warm_up=WARM_UP, clock=clock)
    return float(np.median([seconds for _, seconds in timed]))
