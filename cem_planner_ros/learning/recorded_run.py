# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Recorded runs: the states and plans of each control period, from a planner or from a bag."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning import bags, recorded_surroundings, task
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.planning.plan import Plan, TimeGrid
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.surroundings_columns import surroundings_of

BETWEEN = 0.1
"""Time between two periods that costs see on the way to a later one, s."""


class RecordedRun(NamedTuple):
    """
    n control periods. Times are s since the first period.

    `previous` is the action in force before each period, `applied` what actuators applied then.
    `plans` has None for a period without a recorded plan. `surroundings` has what was known in each
    period; nothing was if it is empty. Its clock has `begin` at the first period, s.
    """

    times: np.ndarray  # (n,)
    states: np.ndarray  # (n, nx)
    previous: np.ndarray  # (n, nu)
    applied: np.ndarray  # (n, nu)
    plans: list[Plan | None]
    notes: list[str]
    begin: float = 0.0
    surroundings: Sequence[Surroundings] = ()

    def known(self, index: int) -> Surroundings:
        """Return what was known of the surroundings in a period."""
        return self.surroundings[index] if len(self.surroundings) else NOTHING

    def known_once(self, index: int) -> Surroundings:
        """Return the same with a costmap of its own, so the run does not keep distance fields."""
        known = self.known(index)
        if known.costmap is None:
            return known
        return replace(known, costmap=replace(known.costmap))

    def prepare(
        self, rollout: Rollout, index: int, known: Surroundings, edges: np.ndarray
    ) -> np.ndarray:
        """Tell a rollout what a period begins with, as `Rollout.prepare`; return the origin."""
        time = float(self.times[index])
        return rollout.prepare(
            self.states[index], self.applied[index], time, self.begin + time, known, edges
        )

    def show(self, rollout: Rollout, first: int, end: int, edges: np.ndarray) -> None:
        """
        Show a rollout the periods from `first` to `end` - 1, before the period `end` is planned.

        From these follow where the robot is on a path that crosses itself, and what is held until a
        reference comes. They are shown at least every BETWEEN s, without costmap and obstacles.

        Args:
            rollout: the rollout, whose costs and model may remember.
            first, end: numbers of periods.
            edges: (H + 1,), s from the start of a plan.
        """
        time = -np.inf
        for index in range(first, end):
            if index == end - 1 or self.times[index] >= time + min(BETWEEN, 0.5 * edges[-1]):
                time = self.times[index]
                seen = replace(self.known(index), costmap=None, moving_obstacles=None)
                self.prepare(rollout, index, seen, edges)

    def plan(
        self,
        planner: Planner,
        index: int,
        known: Surroundings,
        time: float | None = None,
        iterations: int | None = None,
    ) -> Plan:
        """Plan a period with a planner, from its own time or from another one, s."""
        time = float(self.times[index]) if time is None else time
        return planner.plan(
            self.states[index],
            time,
            self.previous[index],
            applied=self.applied[index],
            surroundings=known,
            stamp=self.begin + time,
            iterations=iterations,
        )


def from_planner(file: Path, configuration: Configuration) -> RecordedRun:
    """
    Return the run in a file that `Planner.record()` has saved.

    Raises ConfigurationError if the file cannot be read or is of another model.
    """
    try:
        with np.load(file) as run:
            described = json.loads(str(run["planner"]))
            names = ("time", "state", "previous_action", "applied", "actions")
            times, states, previous, applied, actions = (run[name] for name in names)
            begin = float(run["stamp"][0]) if "stamp" in run else float(times[0])
            known = surroundings_of(run)
        search = described["search"]
        recorded = {"states": described["states"], "actions": described["actions"]}
        dt, horizon = float(search["dt"]), int(search["horizon"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ConfigurationError(
            f"run '{file}' cannot be read, expected a file of Planner.record(): {error}"
        ) from error
    dynamics = configuration.dynamics
    for what, own in (("states", dynamics.state_names), ("actions", dynamics.action_names)):
        if recorded[what] != list(own):
            raise ConfigurationError(
                f"run '{file}' has the {what} {', '.join(recorded[what])}, expected those of the "
                f"model in {configuration.file}: {', '.join(own)}"
            )
    times = times - times[0]
    grid = TimeGrid(0.0, dt)
    plans: list[Plan | None] = [
        Plan(grid.edges(time, horizon), sequence, np.nan, 0, 0.0, dynamics.action_names)
        for time, sequence in zip(times, actions, strict=True)
    ]
    return RecordedRun(times, states, previous, applied, plans, [], begin, known)


def from_bag(folder: Path, file: Path, configuration: Configuration) -> RecordedRun:
    """
    Return the run in a bag, with a period for each command.

    The state of a period is the last one before its command. Plans are those of the topic `~/plan`.
    Goal, path, costmap, moving obstacles and references are what had come by then.

    Args:
        folder: the rosbag2.
        file: parameter file of the node; it has the topics and fields.
        configuration: the configuration of this file.

    Raises ConfigurationError if the bag cannot be read or lacks states or commands.
    """
    content = bags.read(folder, task.load(file))
    states, commands = content.states, content.commands
    begin = np.searchsorted(states.times, commands.times, side="right") - 1
    is_finite = np.isfinite(commands.values).all(1)
    usable = (begin >= 0) & is_finite & np.isfinite(states.values[begin]).all(1)
    usable[1:] &= is_finite[:-1]
    usable[:1] = False  # The action before the first command is not known.
    kept = np.flatnonzero(usable)
    if not kept.size:
        raise ConfigurationError(
            f"bag '{folder}' has no command after a state and another command, expected both over "
            "the same time"
        )
    previous = commands.values[kept - 1]
    times, origin = commands.times[kept], commands.times[kept[0]]
    notes, names = list(content.notes), configuration.dynamics.action_names
    made = bags.tables(folder, "/plan")
    plans: list[Plan | None] = [None] * len(times)
    arrived = np.array([time for time, _, _ in made])
    for index, time in enumerate(times):
        # The plan is published just after the command that comes from it.
        at = int(np.searchsorted(arrived, time))
        later = times[index + 1] if index + 1 < len(times) else np.inf
        if at < len(made) and arrived[at] < later:
            _, columns, rows = made[at]
            if not {"time", *names} <= set(columns):
                continue
            edges = rows[:, columns.index("time")] + time - origin
            actions = rows[:-1, [columns.index(name) for name in names]]
            plans[index] = Plan(edges, actions, np.nan, 0, 0.0, names)
    if not any(plan is not None for plan in plans):
        notes.append("the bag has no plans (topic ~/plan): only plans made again are shown")
    found = states.values[begin[kept]]
    known = recorded_surroundings.from_bag(folder, configuration, times, content.offset, notes)
    begins = origin - content.offset
    return RecordedRun(times - origin, found, previous, previous, plans, notes, begins, known)
