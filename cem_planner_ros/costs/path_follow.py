# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The cost of following a reference path."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.path_progress import PathProgress
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter
from cem_planner_ros.plugins.plan_inputs import PlanInputs

POINTS = 32
"""Number of points of the path among which each state looks for the nearest one."""

SHARES = np.linspace(0.0, 1.0, POINTS)

BACK = 0.1
"""Share of the window that lies behind the robot, at most."""

EDGE = 1e-6
"""Distance before the end of a leg at which its direction is read, m; keeps a quotient finite."""

AHEAD = 1.1
"""Factor on the top speed, with which a candidate may progress along the path."""

SLACK = 0.2
"""Progress, m, that a candidate may have beyond that."""

UNREACHABLE = 1e4
"""Squared distance, m^2, that is added to a point for each metre it lies too far ahead."""

FAST = 1e3
"""Top speed of a model whose speed is not an action, m/s: too fast to matter."""

STAGES = 16
"""Number of parts of the horizon; in each part a path with times has one speed."""


class PathFollow(Cost):
    """
    The distance from a path, the error of the heading, the progress, and the error of time.

    Once a period, `PathProgress` finds the place of the robot on the path. A window of the path
    around this place is cut into POINTS. Each state of each candidate looks for its nearest point
    in the window, among those that the robot can reach by that time at its top speed. The window
    ends at the end of a leg, and before the path comes near itself. So nothing is carried from step
    to step, and legs side by side, crossings and reversals are driven in their order. With the
    distance e from the path, the error h of the heading, and the progress p since the place of the
    robot, the cost of a step is

        lateral_weight (sqrt(1 + (e / tolerance)^2) - 1) + heading_weight (1 - cos h)
        + progress_weight (end of the window - p) + time_weight (p - p(t))^2,

    where the last term is only for paths with times, and `clear_lateral_weight` replaces
    `lateral_weight` while the window is clear of obstacles. The wanted heading is the direction of
    the path, turned by pi where the path's headings say that it is driven backwards. For a robot
    that moves sideways, it is turned by the mean angle between the path's headings and its
    direction within the window. Without a path the cost is zero.
    """

    places = ()
    takes_times = True
    inputs = ("path",)
    parameters = (
        Parameter(
            "lateral_weight",
            0.2,
            "Weight of the distance from the path, near obstacles on the costmap.",
            low=0.0,
        ),
        Parameter(
            "clear_lateral_weight",
            5.0,
            "Weight of the distance from the path where no obstacle is within `clearance` of it.",
            low=0.0,
        ),
        Parameter(
            "clearance",
            0.5,
            "Distance to the nearest obstacle from which on the path is clear.",
            unit="m",
            low=0.0,
        ),
        Parameter(
            "tolerance",
            0.2,
            "Distance from the path at which the cost changes from quadratic to linear.",
            unit="m",
            low=1e-3,
        ),
        Parameter("heading_weight", 0.1, "Weight of the error of the heading.", low=0.0),
        Parameter(
            "progress_weight",
            1.5,
            "Weight of each metre of the window that is still to be driven.",
            unit="1/m",
            low=0.0,
        ),
        Parameter(
            "time_weight",
            0.0,
            "Weight of the squared error of progress, on a path with times.",
            unit="1/m^2",
            low=0.0,
        ),
        Parameter(
            "window",
            3.0,
            "Length of the path that is considered at once.",
            unit="m",
            low=0.1,
            when=INACTIVE,
        ),
        Parameter(
            "horizon", 3.0, "Time that the schedule of a path with times covers.", unit="s", low=0.1
        ),
    )

    lateral_weight: torch.Tensor
    clear_lateral_weight: torch.Tensor
    clearance: torch.Tensor
    tolerance: torch.Tensor
    heading_weight: torch.Tensor
    progress_weight: torch.Tensor
    time_weight: torch.Tensor
    window: torch.Tensor
    horizon: torch.Tensor

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        super().__init__(dynamics, values, device=device)
        self._rows = rows_of(dynamics, "x", "y", "yaw")
        # For each point of the window: x, y, cosine and sine of the direction, progress. For each
        # part of the schedule: begin and end, s from the start of the plan, and speed.
        facts = ("is_there", "end", "ends", "spacing", "speed", "is_clear", "first", "has_times")
        shapes = {"points": (POINTS, 5), "schedule": (STAGES, 3), "turned": (2,)}
        self._inputs = PlanInputs(device, **shapes, **dict.fromkeys(facts, ()))
        self.reset()
        self._action_names = dynamics.action_names
        self._moves_sideways = bool({*dynamics.sideways_names} & {*dynamics.action_names})
        self._speed_names = (*dynamics.forward_names, *dynamics.sideways_names)
        self.set_bounds(np.array(dynamics.action_low), np.array(dynamics.action_high))

    def reset(self) -> None:
        """Begin the next path at the place of the robot then."""
        self.progress = PathProgress()
        """Where the robot is on the path."""

    def set_bounds(self, low: np.ndarray, high: np.ndarray) -> None:
        """Take over the top speed, which bounds the progress of candidates."""
        most = dict(zip(self._action_names, np.maximum(np.abs(low), np.abs(high)), strict=True))
        speeds = [most[name] for name in self._speed_names if name in most]
        self._inputs.host["speed"][...] = AHEAD * np.linalg.norm(speeds) if speeds else FAST

    def prepare(self, state: np.ndarray, time: float, surroundings: Surroundings) -> None:
        """Find the place of the robot on the path, and cut the window and the schedule."""
        here = np.array([state[row] for row in self._rows[:2]])
        self.progress.update(surroundings.path, here, time)
        path = self.progress.path
        self._inputs.host["is_there"][...] = path is not None
        if path is not None:
            self._cut(path, time, surroundings.costmap)
        self._inputs.send()

    def _cut(self, path: ReferencePath, time: float, costmap: Costmap | None) -> None:
        host, place = self._inputs.host, self.progress.place
        window, leg_end = self.value("window"), self.progress.leg[1]
        begin, end = self.progress.window(BACK * window, window)
        lengths = begin + (end - begin) * SHARES
        along, points = path.along(np.minimum(lengths, leg_end - EDGE)), path.at(lengths)
        rows = host["points"]
        rows[:, :2], rows[:, 2:4] = points - self.origin[self._rows[:2]], along
        rows[:, 4] = lengths - place
        turned = 1.0 + 0.0j
        if path.headings is not None:
            # Half a turn if the robot drives backwards; any angle if it can move sideways.
            turned = (np.exp(1j * path.heading(lengths)) * (along @ (1.0, -1.0j))).mean()
            if not self._moves_sideways:
                turned = complex(math.copysign(1.0, turned.real))
            turned /= max(abs(turned), EDGE)
        host["turned"][:] = turned.real, turned.imag
        # Where nothing is in the way, there is no reason to leave the path.
        is_clear = costmap is None or costmap.clearance(points).min() >= self.value("clearance")
        host["is_clear"][...] = is_clear
        host["end"][...] = end - place
        host["ends"][...] = end == leg_end
        host["spacing"][...] = (end - begin) / (POINTS - 1)
        host["has_times"][...] = path.times is not None
        if path.times is not None:
            edges = np.linspace(0.0, self.value("horizon"), STAGES + 1)
            wanted = np.interp(time + edges, path.times, path.lengths)
            wanted = np.minimum(wanted, leg_end) - place
            speed = np.diff(wanted) / np.diff(edges)
            host["schedule"].T[:] = edges[:-1], edges[1:], speed
            host["first"][...] = wanted[0]

    def errors(
        self, state: torch.Tensor, time: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Return squared distance (N,), m^2, 1 - cos of the heading's error, and progress, m.

        Args:
            state: (nx, N).
            time: 0-d or (N,), s, since the candidates left the place of the robot.
        """
        x, y, yaw = (state[row] for row in self._rows)
        # No candidate is farther along the path than the robot can have driven.
        progress = self._inputs.points[:, 4]
        if time.dim():  # Each state has a time of its own.
            progress = progress[:, None]
        too_far = progress - self._inputs.speed * time
        away = UNREACHABLE * torch.relu(too_far - SLACK)
        nearest = self._inputs.points[0]
        chosen = [torch.zeros_like(x) + value for value in nearest]
        least = (x - nearest[0]) ** 2 + (y - nearest[1]) ** 2
        for index in range(1, POINTS):
            point = self._inputs.points[index]
            distance = (x - point[0]) ** 2 + (y - point[1]) ** 2 + away[index]
            closer = distance < least
            least = torch.where(closer, distance, least)
            chosen = [torch.where(closer, p, c) for p, c in zip(point, chosen, strict=True)]
        near_x, near_y, cos, sin, place = chosen
        dx, dy = x - near_x, y - near_y
        along, across = cos * dx + sin * dy, cos * dy - sin * dx
        spacing = self._inputs.spacing
        within = torch.maximum(torch.minimum(along, spacing), -spacing)
        beyond = along - within
        # Beyond the window the path continues, unless it ends there.
        beyond = torch.where(beyond > 0.0, self._inputs.ends * beyond, beyond)
        turned = self._inputs.turned
        facing = cos * turned[0] - sin * turned[1], sin * turned[0] + cos * turned[1]
        heading = 1.0 - (torch.cos(yaw) * facing[0] + torch.sin(yaw) * facing[1])
        return across * across + beyond * beyond, heading, place + within

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the cost of one step, shape (N,)."""
        squared, heading, progress = self.errors(state, time)
        inputs = self._inputs
        off = squared / (self.tolerance * self.tolerance)
        more = self.clear_lateral_weight - self.lateral_weight
        cost = (self.lateral_weight + inputs.is_clear * more) * (torch.sqrt(1.0 + off) - 1.0)
        cost = cost + self.heading_weight * heading
        left = torch.relu(inputs.end - progress)
        cost = cost + self.progress_weight * left
        wanted = inputs.first
        for begin, end, speed in inputs.schedule:
            wanted = wanted + speed * torch.relu(torch.minimum(time, end) - begin)
        late = progress - wanted
        cost = cost + inputs.has_times * self.time_weight * late * late
        return inputs.is_there * cost
