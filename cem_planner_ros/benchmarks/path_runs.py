# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
How truly a robot drives along paths whose parts lie near each other, or that turn round.

The control loop of the node drives the planner's own model in an empty world, in lockstep: what is
measured is how the path is followed, not how well the model is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from cem_planner_ros.benchmarks import bench_drive
from cem_planner_ros.benchmarks.mppi import ReferenceMPPI
from cem_planner_ros.configuration import Configuration
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.simulation.plants import ModelPlant
from cem_planner_ros.studies import episode
from cem_planner_ros.studies.courses import PathCourse
from cem_planner_ros.studies.workers import Here, Workers, in_order

AT_MOST = 60.0
"""s for a path."""

SPACING = 0.05
"""m between two points of a path, about."""


def arc(start: Pose, radius: float, angle: float, forward: bool = True) -> np.ndarray:
    """
    Return the poses (n, 3), m and rad, of an arc that begins at a pose, the first one left out.

    Args:
        start: where the robot is.
        radius: m; positive with the centre to the left, inf for a straight line.
        angle: rad that the robot turns, of either sign; for a straight line its length, m.
        forward: whether the robot drives forwards.
    """
    sign = 1.0 if forward else -1.0
    is_straight = np.isinf(radius)
    length = abs(angle) if is_straight else abs(radius * angle)
    driven = sign * np.linspace(0.0, length, max(2, round(length / SPACING) + 1))[1:]
    x, y, yaw = start
    if is_straight:
        poses = x + driven * np.cos(yaw), y + driven * np.sin(yaw), yaw + 0.0 * driven
    else:
        turned = yaw + driven / radius
        poses = (
            x + radius * (np.sin(turned) - np.sin(yaw)),
            y - radius * (np.cos(turned) - np.cos(yaw)),
            turned,
        )
    return np.stack(poses, -1)


def chain(*parts: tuple[float, float, bool]) -> np.ndarray:
    """Return the poses (n, 3) of arcs (radius, angle, forward), one after the other, from 0."""
    poses = np.zeros((1, 3))
    for part in parts:
        poses = np.vstack((poses, arc(Pose(*poses[-1]), *part)))
    return poses


LINE = float("inf")

PATHS = {
    "hairpin": chain((LINE, 2.0, True), (0.3, np.pi, True), (LINE, 2.0, True)),
    "cusp": chain((LINE, 1.5, True), (-2.0, 0.8, False)),
    "figure_eight": chain((1.0, 2.0 * np.pi, True), (-1.0, 2.0 * np.pi, True)),
    # Past the space, and back into it between two others, as a car does.
    "parking": chain((LINE, 1.5, True), (-1.2, 0.7, False), (1.2, 0.7, False), (LINE, 0.2, True)),
}
"""Poses (n, 3) of each path, m and rad."""


def run(quick: bool, say: Callable[[str], None], workers: Workers | None = None) -> Iterator[dict]:
    """Yield a row for each of PATHS and each of `bench_drive.METHODS`."""
    names = list(PATHS)[: 1 if quick else None]
    calls = [(name, method) for method in bench_drive.METHODS for name in names]
    found = in_order(workers or Here(), _drive_along, calls)
    for name, method in calls:
        say(f"path {name}, {method}")
        yield {"name": name, "method": method, **next(found)}


def _drive_along(name: str, method: str) -> dict:
    """Return how a run went; a worker may call it."""
    torch.set_num_threads(1)
    return drive(*bench_drive.method(method), PATHS[name])


def drive(
    configuration: Configuration,
    planner: Planner | ReferenceMPPI,
    poses: np.ndarray,
    at_most: float = AT_MOST,
) -> dict:
    """
    Return how the robot drove along poses (n, 3), m and rad, from the first to the last.

    `missed_m` is the largest distance of a point of the path from the driven track, of which the
    nearest point counts that keeps the order of the path.
    """
    start = np.zeros(len(configuration.dynamics.state_names))
    start[:3] = poses[0]
    plant = ModelPlant(configuration, start, max_step=0.01)
    course = PathCourse(plant, poses, configuration.planar_robot().moves_sideways)
    run = episode.drive(configuration, planner, course, at_most)
    return {
        "missed_m": round(missed(poses[:, :2], run.states[:, :2]), 3),
        "time_s": round(run.seconds, 2),
        "reached": run.is_goal_reached,
    }


def missed(points: np.ndarray, track: np.ndarray) -> float:
    """Return how far points (n, 2) are from a track (m, 2) at most, each met in its order, m."""
    worst = np.zeros(len(track))
    for point in points:
        worst = np.maximum(worst, np.linalg.norm(track - point, axis=1))
        worst = np.minimum.accumulate(worst)
    return float(worst[-1])
