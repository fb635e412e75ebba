# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The courses of episodes: a plant, and what is around it."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cem_planner_ros.configuration import Configuration, configure
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import JOINT_STATE
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.local_map import LocalMap
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.path_headings import path_through
from cem_planner_ros.navigation.poses import Pose, placed
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.paths import find
from cem_planner_ros.readers import offsets
from cem_planner_ros.simulation import worlds
from cem_planner_ros.simulation.plants import ModelPlant, MujocoPlant
from cem_planner_ros.simulation.robot import LIDAR, SCAN_RATE, RobotPlant
from cem_planner_ros.studies.scenario import StudyScenario

MAX_STEP = 0.01
"""Longest step with which the model is integrated as a plant, s."""

AROUND = 2.0
"""Width of the free costmap around a path, m."""

RESOLUTION = 0.05
"""Of this costmap, m; coarser if it would have more than MOST_CELLS on a side."""

MOST_CELLS = 2000

OUTLINE = 0.05
"""Distance between two points of an outline for the clearance, m, at most."""


class Course:
    """
    A plant with nothing around it.

    Attributes:
        state: returns the true state (nx,), in the order of the planner's model.
        step: holds an action (nu,), in the order of this model, for a duration, s.
        idle: (nu,), the action without commands.
        path: the path to be followed; None without one.
        touched: names of what the plant has touched.
    """

    path: ReferencePath | None = None
    touched: Sequence[str] = ()

    def __init__(
        self,
        state: Callable[[], np.ndarray],
        step: Callable[[np.ndarray, float], None],
        idle: np.ndarray,
    ):
        self.state = state
        self.step = step
        self.idle = idle

    def surroundings(self, time: float) -> Surroundings | None:
        """Return what is known of the surroundings at a time, s; None if there is nothing new."""
        return None

    def clearance(self, states: np.ndarray) -> float | None:
        """Return the least distance, m, to anything in states (n, nx); None if nothing is there."""
        return None


class PathCourse(Course):
    """
    A robot on a path in a free place.

    Args:
        plant: the robot; it stands at the first pose.
        poses: (n, 3), m and rad; the last one is the goal.
        moves_sideways: whether the robot can move sideways.
    """

    def __init__(self, plant: ModelPlant, poses: np.ndarray, moves_sideways: bool):
        super().__init__(plant.state, plant.step, plant.idle)
        self.path = path_through(poses, moves_sideways)
        self._goal = Pose(*poses[-1])
        low, high = poses[:, :2].min(0) - AROUND, poses[:, :2].max(0) + AROUND
        self._resolution = max(RESOLUTION, (high - low).max() / MOST_CELLS)
        columns, rows = np.ceil((high - low) / self._resolution).astype(int)
        self._free, self._corner = np.zeros((rows, columns), np.int8), Pose(*low, 0.0)

    def surroundings(self, time: float) -> Surroundings:
        """Return goal, path, and a free costmap."""
        costmap = Costmap(self._free, self._resolution, self._corner, time)
        return Surroundings(self._goal, self.path, costmap)


class WorldCourse(Course):
    """
    The robot with a lidar in a world.

    Args:
        world_name: name or file of the world.
        seed: of obstacles, pedestrians and the lidar's noise.
        padding: the parameter drive.moving_obstacles_padding, m.
        footprint: outline of the robot, for the clearance.
        sees_moving: whether the planner receives moving obstacles though nobody walks.
    """

    def __init__(
        self,
        world_name: str,
        seed: int,
        padding: float,
        footprint: Footprint | None = None,
        sees_moving: bool = False,
    ):
        self._world = world = worlds.load(world_name, seed)
        self._plant = plant = RobotPlant(world, seed=seed)
        super().__init__(plant.state, plant.step, plant.idle)
        self.path = ReferencePath.through(world.path)
        self._goal = Pose(*world.goal)
        self._map = LocalMap()
        self._scanned = -1.0
        self._padding = padding
        self._footprint = footprint
        self._sees_moving = sees_moving

    @property
    def touched(self) -> Sequence[str]:
        """Names of what the robot has touched."""
        return self._plant.touched

    def surroundings(self, time: float) -> Surroundings | None:
        """Return goal, path, a costmap of the scans, and pedestrians; None between two scans."""
        if time < self._scanned + 1.0 / SCAN_RATE - 1e-6:
            return None
        self._scanned = time
        plant, seen, moving = self._plant, self._map, None
        seen.update(Pose(*plant.state()[:3]), plant.scan(), **LIDAR)
        costmap = Costmap(seen.cells.copy(), seen.resolution, Pose(*seen.origin, 0.0), time)
        if plant.has_pedestrians:
            moving = MovingObstacles(*plant.moving_obstacles(), time, time)
            costmap = costmap.without(moving, self._padding)
        elif self._sees_moving:
            nobody = np.zeros((0, 2))
            moving = MovingObstacles(nobody, nobody, np.zeros(0), time, time)
        return Surroundings(self._goal, self.path, costmap, moving_obstacles=moving)

    def clearance(self, states: np.ndarray) -> float | None:
        """Return the least distance, m, of the robot's outline to the objects that stand."""
        if self._footprint is None:
            return None
        closed = self._footprint.at(0.0, 0.0, 0.0)
        pieces = [
            np.linspace(begin, end, max(2, int(np.linalg.norm(end - begin) / OUTLINE) + 2))
            for begin, end in itertools.pairwise(closed)
        ]
        outline = np.vstack(pieces)
        points = placed(outline, states[:, :3])
        distances = (
            worlds.clearance(points, objects).min()
            for objects in (self._world.fixed, self._world.obstacles)
        )
        return float(min(distances))


def make(
    scenario: StudyScenario, seed: int, configuration: Configuration, base: Configuration
) -> Course:
    """
    Return the course of an episode.

    Args:
        scenario: what to simulate.
        seed: of everything that is random.
        configuration: configuration of the planner.
        base: configuration with today's values, whose model is the plant "model".

    Raises ConfigurationError if the plant does not go with the configuration.
    """
    if scenario.plant == "robot":
        padding = configuration.values["drive.moving_obstacles_padding"]
        sees_moving = "moving_obstacles" in configuration.inputs
        return WorldCourse(scenario.world, seed, padding, base.footprint, sees_moving)
    if scenario.plant == "mujoco":
        return _of_mujoco(MujocoPlant(find(scenario.model_file), scenario.keyframe), configuration)
    names = base.dynamics.state_names
    start, random = np.zeros(len(names)), np.random.default_rng([seed, 0])
    for name, bounds in scenario.start.items():
        start[names.index(name)] = random.uniform(*bounds)
    poses = np.array(scenario.path)
    if len(poses) and poses.shape[1] == 2:
        ways = np.diff(poses, axis=0)
        headings = np.arctan2(ways[:, 1], ways[:, 0])
        poses = np.column_stack((poses, [*headings, headings[-1]]))
    if len(poses) and not scenario.start:
        start[:3] = poses[0]
    plant = _model_plant(json.dumps(_with_errors(scenario, base), sort_keys=True), base.file)
    plant.reset(start)
    if len(poses):
        return PathCourse(plant, poses, base.planar_robot().moves_sideways)
    return Course(plant.state, plant.step, plant.idle)


def check(scenario: StudyScenario, base: Configuration) -> None:
    """
    Raise ConfigurationError if a course cannot be made, by today's values.

    Of the plant "model" only the values are checked, as it would be compiled.
    """
    if scenario.plant in ("robot", "mujoco"):
        make(scenario, [*scenario.seeds, *scenario.unseen][0], base, base)
    elif scenario.plant == "model":
        configure(_with_errors(scenario, base), base.file)


def _with_errors(scenario: StudyScenario, base: Configuration) -> dict[str, Any]:
    """Return today's values with the errors of the plant's model."""
    errors = {}
    for name, factor in scenario.model_errors.items():
        value = base.values[f"dynamics.{name}"]
        if value == 0.0:
            raise ConfigurationError(
                f"'model_errors' has a factor of 'dynamics.{name}', which is 0 and stays 0: leave "
                "it out, or give it another value in the file that is tuned"
            )
        errors[f"dynamics.{name}"] = factor * value
    return {**base.values, **errors}


@functools.lru_cache(maxsize=4)
def _model_plant(values: str, file: str) -> ModelPlant:
    """Return the plant with the model of values, which are given as JSON; it is compiled once."""
    configuration = configure(json.loads(values), file)
    return ModelPlant(configuration, np.zeros(len(configuration.dynamics.state_names)), MAX_STEP)


def _of_mujoco(plant: MujocoPlant, configuration: Configuration) -> Course:
    """Return a course with the states and actions of a MuJoCo file in the order of the model."""
    rows, added = [], []
    known = list(plant.state_fields.values())
    for name, field in configuration.fields("state").items():
        match = JOINT_STATE.match(field)
        kind, joint, *offset = match.groups() if match else ("", "", None, None)
        if f"{kind}[{joint}]" not in known:
            raise ConfigurationError(
                f"the plant 'mujoco' has {', '.join(known) or 'no joints'}, but the parameter "
                f"state.fields.{name} is {field!r}"
            )
        rows.append(known.index(f"{kind}[{joint}]"))
        added += offsets([(kind, joint, *offset)]).tolist()
    places = list(plant.command_fields.values())
    columns = []
    for name, field in configuration.fields("command").items():
        if field not in places:
            raise ConfigurationError(
                f"the plant 'mujoco' takes {', '.join(places)}, but the parameter "
                f"command.fields.{name} is {field!r}"
            )
        columns.append(places.index(field))

    def step(action: np.ndarray, duration: float) -> None:
        command = plant.idle.copy()
        command[columns] = action
        plant.step(command, duration)

    return Course(lambda: plant.state()[rows] + added, step, plant.idle[columns])
