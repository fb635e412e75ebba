# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What was known of the surroundings over a bag: goal, path, costmap, obstacles, references."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.configuration.driving_table import RAW_COSTMAP
from cem_planner_ros.learning import bags
from cem_planner_ros.navigation.followed_reference import FollowedReference
from cem_planner_ros.navigation.frame_tree import FrameTree
from cem_planner_ros.navigation.goal_and_path import GoalAndPath
from cem_planner_ros.navigation.obstacle_messages import moving_obstacles_of
from cem_planner_ros.navigation.received_grid import ReceivedGrid, without_recent
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.readers import MessageError, stamp_of

KINDS = {
    "goal": "geometry_msgs/msg/PoseStamped",
    "path": "nav_msgs/msg/Path",
    "moving_obstacles": "sensor_msgs/msg/PointCloud2",
}
"""The type of the messages of an input; that of the costmap is a parameter."""

UPDATES = {RAW_COSTMAP: "nav2_msgs/msg/CostmapUpdate"}
"""The type of the updates of a costmap, by the type of whole ones; else that of map_msgs."""

TRANSFORMS = ("/tf", "/tf_static")


def from_bag(
    folder: Path, configuration: Configuration, times: np.ndarray, offset: float, notes: list[str]
) -> list[Surroundings]:
    """
    Return what the planner knew of the surroundings at times (n,), s, ascending.

    Goals and paths count from the moment at which they came, also if the node was not active then.
    Stamps are on the clock on which `times - offset` are; the surroundings are on this clock too.

    Args:
        folder: the rosbag2.
        configuration: has the topics, and what costs and model need.
        times: as those of the messages in the bag.
        offset: see `BagContent`.
        notes: what is missing or cannot be used is added.
    """
    known = _Known(configuration)
    if not known.topics:
        return [NOTHING] * len(times)
    found: list[Surroundings] = []
    for name, arrived, message in bags.messages(folder, known.topics, notes):
        while len(found) < len(times) and times[len(found)] < arrived:
            found.append(known.at(times[len(found)] - offset))
        known.take(name, message, arrived - offset)
    found += [known.at(time - offset) for time in times[len(found) :]]
    notes += known.notes()
    return found


class _Known:
    """What the messages so far say; as in a node, but for the frames. Times are of stamps, s."""

    def __init__(self, configuration: Configuration):
        self._values = values = configuration.values
        self._now, self._has_moved = NOTHING, False
        self._frames, self._grid = FrameTree(values["frame_id"]), ReceivedGrid()
        self._heard: Counter[str] = Counter()
        self._problems: Counter[tuple[str, str]] = Counter()
        self.topics: dict[str, tuple[str, str]] = {}
        """{name: (topic, type)} of what has to be read."""
        self._take: dict[str, Callable[[Any, float], None]] = {}
        moves_sideways = bool(configuration.inputs) and configuration.planar_robot().moves_sideways
        self._way = GoalAndPath(moves_sideways)
        for name in sorted(configuration.inputs):
            topic = values[f"drive.{name}_topic"]
            kind = KINDS.get(name) or values["drive.costmap_type"]
            self._read(name, topic, kind, getattr(self, f"_take_{name}"))
        self._followed = {
            name: FollowedReference(source, source.topic)
            for name, source in configuration.reference_sources.items()
        }
        for name, one in self._followed.items():
            take = functools.partial(self._take_reference, name)
            self._read(f"reference of {name}", one.topic, one.source.type, take)
        self._needed = dict(self.topics)
        if "costmap" in self.topics:
            topic, kind = self.topics["costmap"]
            updates = UPDATES.get(kind, "map_msgs/msg/OccupancyGridUpdate")
            self._read("costmap update", f"{topic}_updates", updates, self._take_update)
        for topic in TRANSFORMS if self.topics else ():
            self._read(topic, topic, "tf2_msgs/msg/TFMessage", self._take_transforms)

    def _read(self, name: str, topic: str, kind: str, take: Callable[[Any, float], None]) -> None:
        self.topics[name], self._take[name] = (topic, kind), take

    def take(self, name: str, message, time: float) -> None:
        """Take over a message that came at a time, or note what is wrong with it."""
        self._heard[name] += 1
        try:
            self._take[name](message, time)
        except MessageError as error:
            self._problems[name, str(error)] += 1

    def at(self, time: float) -> Surroundings:
        """Return what is known at a time; frames may have moved since the last one."""
        if self._has_moved:
            self._has_moved = False
            with contextlib.suppress(MessageError):
                self._settle()
            for one in self._followed.values():
                one.settle(time, self._frames.transform_of)
            self._use_references()
        return self._now

    def notes(self) -> list[str]:
        """Return what is missing, and what could not be used."""
        missing = [f"{n} ({topic})" for n, (topic, _) in self._needed.items() if not self._heard[n]]
        found = [f"the bag has no {', no '.join(missing)}"] if missing else []
        return found + [
            f"{count} of {self._heard[name]} messages of the {name} left out: {problem}"
            for (name, problem), count in self._problems.items()
        ]

    def _take_transforms(self, message, time: float) -> None:
        self._frames.take(message)
        self._has_moved = self._frames.is_needed

    def _take_goal(self, message, time: float) -> None:
        self._ask_for(self._way.take_goal, message)

    def _take_path(self, message, time: float) -> None:
        self._ask_for(self._way.take_path, message)

    def _ask_for(self, take: Callable[[Any], None], message) -> None:
        try:
            take(message)
        except MessageError:
            self._way.forget()
            self._settle()
            raise
        self._settle()

    def _settle(self) -> None:
        """Use goal and path. Raises MessageError if they cannot be used yet."""
        try:
            self._way.settle(self._frames.pose_of)
        finally:
            self._now = replace(self._now, goal=self._way.goal, path=self._way.path)

    def _take_costmap(self, message, time: float) -> None:
        self._grid.take(message)
        self._use_grid(message, time)

    def _take_update(self, message, time: float) -> None:
        self._grid.update(message)
        self._use_grid(message, time)

    def _use_grid(self, message, time: float) -> None:
        values, moving = self._values, self._now.moving_obstacles
        made = self._grid.costmap(
            self._frames.pose_of, _measured(message, time), values["drive.lethal"]
        )
        padding = values["drive.moving_obstacles_padding"]
        max_age = values["drive.max_moving_obstacles_age"]
        made = without_recent(made, moving, padding, max_age)
        self._now = replace(self._now, costmap=made)

    def _take_moving_obstacles(self, message, time: float) -> None:
        frame, stamp = self._frames.pose_of(message.header.frame_id), _measured(message, time)
        moving = moving_obstacles_of(message, frame, stamp, stamp)
        self._now = replace(self._now, moving_obstacles=moving)

    def _take_reference(self, name: str, message, time: float) -> None:
        one = self._followed[name]
        ignored = one.ignored
        one.take(message, time, self._frames.transform_of)
        self._use_references()
        if one.ignored > ignored:
            raise MessageError(one.problem)

    def _use_references(self) -> None:
        known = {name: one.reference for name, one in self._followed.items()}
        followed = {name: found for name, found in known.items() if found is not None}
        self._now = replace(self._now, references=followed)


def _measured(message, time: float) -> float:
    """Return when a message that came at a time was measured, s."""
    stamp = stamp_of(message)
    return time if stamp is None else min(stamp, time)
