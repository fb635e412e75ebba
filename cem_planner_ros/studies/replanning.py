# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Episodes of a recorded run: each of its control periods is planned again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.configuration.cross_checks import search_settings
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning import recorded_run
from cem_planner_ros.learning.recorded_run import RecordedRun
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.settings import Search

FEWEST = 2
"""Control periods of an episode, at least."""

INPUTS = ("goal", "path", "costmap", "moving_obstacles")

MEASURED = {"plan_cost", "command_change", "plan_time"}
"""The objectives that an episode of a recorded run measures."""


class RecordedPart(NamedTuple):
    """Control periods of a recorded run: those of number `first` to `end` - 1."""

    run: RecordedRun
    first: int
    end: int

    @property
    def states(self) -> np.ndarray:
        """The recorded states (n, nx) at the begin of these periods."""
        return self.run.states[self.first : self.end]


class PlansAgain(NamedTuple):
    """
    The plans of n periods.

    Attributes:
        costs: (n,), of each plan under today's model and costs.
        commands: (n, nu), the first action of each plan.
        plan_times: (n,), s of real time.
    """

    costs: np.ndarray
    commands: np.ndarray
    plan_times: np.ndarray


def load(
    recording: str, configuration: Configuration, begin: float, duration: float
) -> RecordedPart:
    """
    Return a part of a recorded run.

    Args:
        recording: the folder of a rosbag2, or a file of `Planner.record()`.
        configuration: configuration of the run, read from a file.
        begin, duration: of the part, s.

    Raises ConfigurationError if the recording cannot be read, is of another model, or is too short.
    """
    place = Path(recording)
    if place.is_dir():
        run = recorded_run.from_bag(place, Path(configuration.file), configuration)
    else:
        run = recorded_run.from_planner(place, configuration)
    first, end = np.searchsorted(run.times, (begin - 1e-6, begin + duration))
    if end - first < FEWEST:
        raise ConfigurationError(
            f"the recording '{recording}' lasts {run.times[-1]:.3g} s: it has {end - first} "
            f"control periods from {begin:g} s on, expected at least {FEWEST}"
        )
    return RecordedPart(run, int(first), int(end))


def lacking(part: RecordedPart, configuration: Configuration) -> list[str]:
    """Return what costs and model need of the surroundings, and a part has in no period."""
    surroundings = part.run.surroundings[part.first : part.end]
    has = {name for known in surroundings for name in INPUTS if getattr(known, name) is not None}
    followed = {name for known in surroundings for name in known.references}
    found = [name for name in INPUTS if name in configuration.inputs - has]
    found += [f"reference of {name}" for name in configuration.reference_sources.keys() - followed]
    return found


def replan(
    configuration: Configuration, planner: Planner, base: Configuration, part: RecordedPart
) -> PlansAgain:
    """
    Plan periods of a run again, each from the recorded state and the last plan made here.

    The states are those of the recording. They do not follow from the commands of the new plans.
    The costs see the periods before the part, so that the robot is on the same branch of a path
    that crosses itself as it was then.

    Args:
        configuration: configuration of the planner.
        planner: the planner.
        base: configuration with today's values, whose model and costs judge.
        part: the periods.
    """
    run, judge = part.run, _rollout(base)
    costs, commands, plan_times = [], [], []
    edges = planner.search.dt * np.arange(planner.search.horizon + 1)
    planner.reset()
    judge.reset()
    for rollout in (planner.rollout, judge):
        run.show(rollout, 0, part.first, edges)
    for index in range(part.first, part.end):
        known = run.known_once(index)
        began = time.perf_counter()
        plan = run.plan(planner, index, known)
        plan_times.append(time.perf_counter() - began)
        commands.append(plan.actions[0])
        costs.append(_cost(judge, base, plan, run, index, known))
    return PlansAgain(np.array(costs), np.array(commands), np.array(plan_times))


def _rollout(base: Configuration) -> Rollout:
    """Return the rollout of a configuration, whose model and costs belong to no planner."""
    search = Search(**search_settings(base.values, base.dynamics))
    for cost in base.costs.values():
        cost.set_bounds(*(np.array(base.action(side)) for side in ("low", "high")))
    return Rollout(base.dynamics, list(base.costs.values()), search.dt, search.through_members)


@torch.no_grad()
def _cost(
    judge: Rollout,
    base: Configuration,
    plan: Plan,
    run: RecordedRun,
    index: int,
    known: Surroundings,
) -> float:
    """Return the cost of a plan of a period."""
    edges = plan.edges - plan.edges[0]
    origin = run.prepare(judge, index, known, edges)
    start, actions, previous, steps, lag, applied = (
        torch.tensor(given, dtype=torch.float32, device=base.device)
        for given in (
            *(run.states[index] - origin, plan.actions, run.previous[index]),
            *(np.diff(edges), base.action("lag"), run.applied[index]),
        )
    )
    return float(judge.breakdown(start, actions, previous, steps, Actuators(lag, applied)).sum())
