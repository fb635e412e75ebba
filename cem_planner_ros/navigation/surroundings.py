# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The surroundings of a mobile robot: goal, path, costmap and moving obstacles; references.

Everything is in the frame of the state (`frame_id`), in m and rad. Objects of this module never
change; a new object replaces an old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.references import Reference


@dataclass(frozen=True)
class GoalTolerance:
    """
    The tolerances within which a goal is reached.

    Attributes:
        xy: largest distance to the goal, m.
        yaw: largest error of the heading, rad.
        speed: speed below which the robot counts as standing, m/s.
        yaw_rate: yaw rate below which the robot counts as standing, rad/s.
        is_stateful: whether the distance is no longer checked once it was below `xy`.
    """

    xy: float
    yaw: float
    speed: float
    yaw_rate: float
    is_stateful: bool = False


@dataclass(frozen=True, eq=False)
class Surroundings:
    """
    What is known of the surroundings; an unknown part is None.

    `tolerance` says when the goal is reached. If it is None, the parameters `drive.*` do. If
    `footprint` is None, the robot has the one of the parameters. `references` has the reference of
    each cost that follows one, by the name of the cost, from the first message on.
    """

    goal: Pose | None = None
    path: ReferencePath | None = None
    costmap: Costmap | None = None
    moving_obstacles: MovingObstacles | None = None
    tolerance: GoalTolerance | None = None
    references: Mapping[str, Reference] = field(default_factory=dict)
    footprint: Footprint | None = None


NOTHING = Surroundings()
