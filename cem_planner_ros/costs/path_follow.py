"""The cost of following a reference path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.navigation.surroundings import ReferencePath, Surroundings
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter
from cem_planner_ros.plugins.plan_inputs import PlanInputs

POINTS = 32
"""Number of points of the path among which each state looks for the nearest one."""

BACK = 0.1
"""Share of the window that lies behind the robot."""

LOST = 2.0
"""Distance from the path, m, beyond which the whole path is searched for the nearest point."""

SAME_LENGTH = 0.01
"""Largest difference of lengths along two paths that count as the same path, moved, m."""

STAGES = 16
"""Number of parts of the horizon; in each part a path with times has one speed."""


class PathFollow(Cost):
    """
    The distance from a path, the error of the heading, the progress, and the error of time.

    Once a period, the place of the robot on the path is searched near its place in the period
    before. A window of the path around this place is cut into POINTS. Each state of each candidate
    looks for its nearest point in the window, so nothing is carried from step to step. The path may
    cross itself, but not within one window. A new path that ends where it begins is driven from its
    beginning. With the distance e from the path, the error h of the heading, and the progress p
    since the place of the robot, the cost of a step is

        lateral_weight (sqrt(1 + (e / tolerance)^2) - 1) + heading_weight (1 - cos h)
        + progress_weight (end of the window - p) + time_weight (p - p(t))^2,

    where the last term is only for paths with times. Without a path the cost is zero.
    """

    places = ()
    inputs = ("path",)
    parameters = (
        Parameter("lateral_weight", 0.2, "Weight of the distance from the path.", low=0.0),
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
        facts: dict[str, tuple[int, ...]] = dict.fromkeys(
            ("is_there", "end", "ends", "spacing", "first", "has_times"), ()
        )
        self._inputs = PlanInputs(device, points=(POINTS, 5), schedule=(STAGES, 3), **facts)
        self._path: ReferencePath | None = None
        self.arc_length = 0.0
        """Arc length, m, where the robot is."""

    def prepare(self, state: np.ndarray, time: float, surroundings: Surroundings) -> None:
        """Find the robot's place on the path, and cut the window and the schedule."""
        path = surroundings.path
        self._inputs.host["is_there"][...] = path is not None
        if path is not None:
            self._cut(path, state, time)
        self._path = path
        self._inputs.send()

    def _cut(self, path: ReferencePath, state: np.ndarray, time: float) -> None:
        host = self._inputs.host
        here = np.array([state[row] for row in self._rows[:2]])
        window = self.value("window")
        is_known = self._path is not None and _is_moved(self._path, path)
        if is_known:
            around = (self.arc_length - BACK * window, self.arc_length + window)
            self.arc_length = path.nearest(here, *around)

        def distance(place: float) -> float:
            return float(np.linalg.norm(path.at(np.asarray(place)) - here))

        # Also if the place is unknown, as after a state that was not finite.
        if not (is_known and distance(self.arc_length) <= LOST):
            self.arc_length = path.nearest(here)
        if not is_known:
            first = path.nearest(here, before=window)
            if distance(first) <= distance(self.arc_length) + self.value("tolerance"):
                self.arc_length = first
        ahead = min(window, path.lengths[-1] - self.arc_length)
        progress = np.linspace(max(-BACK * window, -self.arc_length), ahead, POINTS)
        lengths = self.arc_length + progress
        points, heading = path.at(lengths), path.heading(lengths)
        points = points - self.origin[self._rows[:2]]
        host["points"].T[:] = *points.T, np.cos(heading), np.sin(heading), progress
        host["end"][...] = ahead
        host["ends"][...] = ahead < window
        host["spacing"][...] = progress[1] - progress[0]
        host["has_times"][...] = path.times is not None
        if path.times is not None:
            edges = np.linspace(0.0, self.value("horizon"), STAGES + 1)
            wanted = np.interp(time + edges, path.times, path.lengths) - self.arc_length
            speed = np.diff(wanted) / np.diff(edges)
            host["schedule"].T[:] = edges[:-1], edges[1:], speed
            host["first"][...] = wanted[0]

    def errors(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return squared distance (N,), m^2, 1 - cos of the heading's error, and progress, m."""
        x, y, yaw = (state[row] for row in self._rows)
        nearest = self._inputs.points[0]
        chosen = [torch.zeros_like(x) + value for value in nearest]
        least = (x - nearest[0]) ** 2 + (y - nearest[1]) ** 2
        for point in self._inputs.points[1:]:
            distance = (x - point[0]) ** 2 + (y - point[1]) ** 2
            closer = distance < least
            least = torch.where(closer, distance, least)
            chosen = [torch.where(closer, p, c) for p, c in zip(point, chosen, strict=True)]
        near_x, near_y, cos, sin, progress = chosen
        dx, dy = x - near_x, y - near_y
        along, across = cos * dx + sin * dy, cos * dy - sin * dx
        spacing = self._inputs.spacing
        within = torch.maximum(torch.minimum(along, spacing), -spacing)
        beyond = along - within
        # Beyond the window the path continues, unless it ends there.
        beyond = torch.where(beyond > 0.0, self._inputs.ends * beyond, beyond)
        heading = 1.0 - (torch.cos(yaw) * cos + torch.sin(yaw) * sin)
        return across * across + beyond * beyond, heading, progress + within

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the cost of one step, shape (N,)."""
        squared, heading, progress = self.errors(state)
        inputs = self._inputs
        off = squared / (self.tolerance * self.tolerance)
        cost = self.lateral_weight * (torch.sqrt(1.0 + off) - 1.0)
        cost = cost + self.heading_weight * heading
        left = torch.relu(inputs.end - progress)
        cost = cost + self.progress_weight * left
        wanted = inputs.first
        for begin, end, speed in inputs.schedule:
            wanted = wanted + speed * torch.relu(torch.minimum(time, end) - begin)
        late = progress - wanted
        cost = cost + inputs.has_times * self.time_weight * late * late
        return inputs.is_there * cost


def _is_moved(path: ReferencePath, other: ReferencePath) -> bool:
    """Return whether two paths are equal, except for a correction of their frame."""
    return path is other or (
        path.points.shape == other.points.shape
        and np.abs(path.points - other.points).max() < LOST
        and np.allclose(path.lengths, other.lengths, atol=SAME_LENGTH)
    )
