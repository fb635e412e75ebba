# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The cost of obstacles in a costmap, and of obstacles that move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.navigation.costmap import SUBDIVIDED, Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose, compose
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter
from cem_planner_ros.plugins.plan_inputs import PlanInputs

NOWHERE = (1e6, 1e6, 0.0, 0.0, 0.0)
"""A moving obstacle, see `MovingObstacles.nearest`, that is too far away to cost anything."""


class Obstacles(Cost):
    """
    The cost of being near obstacles, and of touching one.

    Discs cover the footprint. The clearance c is the smallest distance between the centre of a disc
    and an obstacle, minus the disc's radius. The distance is read from the distance field of
    the costmap. The cost of a step is

        weight max(0, 1 - c / inflation)^2,   and collision_weight more where c < margin.

    collision_weight is so much larger than all other costs of a plan that the search never accepts
    a collision to reduce another cost. Among plans that all collide, the one with the shortest
    collision is the best. Without a costmap the cost is zero; the control loop decides whether the
    robot may then drive.

    Of a costmap with more than `cells` on a side, only the part around the robot is used.

    A moving obstacle is a disc. At the end of each step it is where it will be if it keeps its
    velocity. Its clearance is the exact distance to the smaller one of a box and a circle around
    the footprint.
    """

    places = ()
    inputs: tuple[str, ...] = ("costmap",)
    parameters = (
        Parameter("weight", 0.5, "Weight of a clearance below inflation.", low=0.0),
        Parameter(
            "inflation",
            0.25,
            "Clearance above which an obstacle costs nothing.",
            unit="m",
            low=1e-3,
        ),
        Parameter(
            "collision_weight",
            1e4,
            "Cost of each model step in which the robot touches an obstacle.",
            low=0.0,
        ),
        Parameter(
            "margin", 0.0, "Clearance below which the robot counts as touching.", unit="m", low=0.0
        ),
        Parameter(
            "footprint",
            "",
            "Corners of the robot's outline, x and y of each in turn, such as '0.2 0.2 0.2 -0.2 "
            "-0.2 -0.2 -0.2 0.2'; if empty, the outline is a circle.",
            when=INACTIVE,
        ),
        Parameter(
            "radius",
            0.25,
            "Radius of the robot's outline if it is a circle.",
            unit="m",
            low=1e-3,
            when=INACTIVE,
        ),
        Parameter(
            "discs",
            24,
            "Largest number of discs that cover the border of a footprint with corners. With few "
            "discs, they stick out.",
            low=3,
            high=200,
            when=INACTIVE,
        ),
        Parameter(
            "cells",
            200,
            "Number of cells on a side of the part of the costmap that is used.",
            low=8,
            high=2048,  # With more, float32 would not count the finer cells exactly.
            when=INACTIVE,
        ),
        Parameter(
            "moving_obstacles",
            0,
            "Number of moving obstacles that are considered, those nearest to the robot. With more "
            "than 0, the robot drives only while it receives drive.moving_obstacles_topic.",
            low=0,
            high=200,
            when=INACTIVE,
        ),
    )

    weight: torch.Tensor
    inflation: torch.Tensor
    collision_weight: torch.Tensor
    margin: torch.Tensor
    footprint: str
    radius: torch.Tensor
    discs: torch.Tensor
    cells: torch.Tensor
    moving_obstacles: torch.Tensor

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        super().__init__(dynamics, values, device=device)
        self._rows = rows_of(dynamics, "x", "y", "yaw")
        self._own = Footprint.of(self.footprint, float(self.radius), int(self.discs))
        self.robot_footprint = self._own

        self._size = SUBDIVIDED * int(self.cells)
        self._field = torch.zeros(self._size**2, device=device)
        self._count = int(self.moving_obstacles)
        if self._count:
            self.inputs = (*self.inputs, "moving_obstacles")
        # The corner of the map, its direction, finer cells per m, and the last finer cell. Of each
        # moving obstacle x, y, both speeds and the radius, when the plan begins. The discs, and
        # the box with round corners, that cover the robot.
        shapes = {"discs": (len(self._own.radii), 3), "box": (5,)}
        self._inputs = PlanInputs(device, place=(7,), moving=(self._count, 5), **shapes)
        self._used: Footprint | None = None
        self._take_footprint(self._own)
        self._told: Costmap | None = None
        self._room = self._cut = (0, 0)
        self._corner = np.zeros(2)
        self._forget()

    def _forget(self) -> None:
        self._told = None
        self._field.fill_(float(torch.finfo(torch.float32).max) / 1e6)

    def prepare(self, state: np.ndarray, time: float, surroundings: Surroundings) -> None:
        """Take over the costmap around the robot, and the moving obstacles nearest to it."""
        place = np.array([state[row] for row in self._rows[:2]])
        if surroundings.costmap is not None:
            self._take_costmap(surroundings.costmap, place)
        elif self._told is not None:
            self._forget()
        self._take_footprint(surroundings.footprint or self._own)
        if self._count:
            self._take_moving(surroundings.moving_obstacles, place, time)
        self._inputs.send()

    def _take_footprint(self, footprint: Footprint) -> None:
        if footprint is self._used:
            return
        host = self._inputs.host
        most = len(host["discs"])
        covered = footprint.covered(most)
        discs = np.column_stack((covered.centers, covered.radii))
        # Discs that are not needed are where another one is.
        host["discs"][:] = discs[np.arange(most) % len(discs)]
        host["box"][:] = np.hstack(footprint.enclosing)
        self._used = footprint

    def _take_moving(self, known: MovingObstacles | None, place: np.ndarray, time: float) -> None:
        """Take over the moving obstacles as they will be at `time`, s of their stamp's clock."""
        moving = self._inputs.host["moving"]
        moving[:] = NOWHERE
        if known is not None:
            nearest = known.after(time - known.stamp).nearest(place, self._count)
            nearest[:, :2] -= self.origin[self._rows[:2]]
            moving[: len(nearest)] = nearest

    def _take_costmap(self, costmap: Costmap, place: np.ndarray) -> None:
        """Take over the costmap if it is new or the robot left the middle of the part in use."""
        if costmap is not self._told:
            self._room = tuple(max(0, size - self._size) for size in costmap.distance.shape)
            self._cut_out(costmap, place)
        elif any(self._room):
            off = np.abs(costmap.index(place) - self._cut - 0.5 * self._size)
            if (off > 0.25 * self._size)[np.array(self._room) > 0].any():
                self._cut_out(costmap, place)
        self._inputs.host["place"][:2] = self._corner - self.origin[self._rows[:2]]

    def _cut_out(self, costmap: Costmap, place: np.ndarray) -> None:
        """Copy the part of the distance field around a place (2,), m, to the device."""
        middle = np.nan_to_num(costmap.index(place))
        row, column = np.clip(middle - 0.5 * self._size, 0, self._room).astype(int)
        part = costmap.distance[row : row + self._size, column : column + self._size]
        rows, columns = part.shape
        field = self._field.view(self._size, self._size)
        field[:rows, :columns] = torch.from_numpy(np.ascontiguousarray(part))
        self._told, self._cut = costmap, (row, column)
        finer = SUBDIVIDED / costmap.resolution
        corner = compose(costmap.origin, Pose(column / finer, row / finer, 0.0))
        self._corner = np.array(corner[:2])
        cos, sin = math.cos(corner.yaw), math.sin(corner.yaw)
        directions = cos * finer, sin * finer
        self._inputs.host["place"][2:] = *directions, rows - 1, columns - 1, self._size

    def clearance(self, state: torch.Tensor) -> torch.Tensor:
        """Return the distance (N,), m, from the footprint in states (nx, N) to obstacles."""
        x, y, yaw = (state[row] for row in self._rows)
        cos, sin = torch.cos(yaw), torch.sin(yaw)
        left, low, along, across, last_row, last_column, size = self._inputs.place
        dx, dy = x - left, y - low
        ahead, aside, radii = self._inputs.discs.T[..., None]
        # In finer cells of the map, first the robot, then from there the centres of the discs.
        column, row = along * dx + across * dy, along * dy - across * dx
        cos, sin = along * cos + across * sin, along * sin - across * cos
        column = torch.floor(column + cos * ahead - sin * aside).clamp(min=0.0)
        row = torch.floor(row + sin * ahead + cos * aside).clamp(min=0.0)
        # A state that is not finite is read from any cell; its clearance becomes NaN all the same.
        place = torch.minimum(row, last_row) * size + torch.minimum(column, last_column)
        place = torch.where(place == place, place, 0.0)
        clearance = (self._field[place.long()] - radii).amin(0)
        return clearance + 0.0 * (x + y + yaw)

    def moving_clearance(self, state: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """
        Return the distance (N,), m, from the robot in states (nx, N) to moving obstacles.

        `time` is 0-d, s from the start of the plan.
        """
        x, y, yaw = (state[row] for row in self._rows)
        cos, sin = torch.cos(yaw), torch.sin(yaw)
        left, low, speed_x, speed_y, radius = self._inputs.moving.T[:, :, None]
        dx, dy = left + time * speed_x - x, low + time * speed_y - y
        ahead, aside, half_length, half_width, rounding = self._inputs.box
        beyond_x = torch.abs(cos * dx + sin * dy - ahead) - half_length
        beyond_y = torch.abs(cos * dy - sin * dx - aside) - half_width
        out_x, out_y = torch.relu(beyond_x), torch.relu(beyond_y)
        outside = torch.sqrt(out_x * out_x + out_y * out_y)
        inside = torch.maximum(beyond_x, beyond_y).clamp(max=0.0)
        return (outside + inside - radius).amin(0) - rounding

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the cost of the clearance after one step, shape (N,)."""
        clearance = self.clearance(state)
        if self._count:
            clearance = torch.minimum(clearance, self.moving_clearance(state, time))
        near = torch.relu(1.0 - clearance / self.inflation)
        touches = torch.where(clearance < self.margin, self.collision_weight, 0.0)
        return self.weight * near * near + touches
