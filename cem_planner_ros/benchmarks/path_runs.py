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
from cem_planner_ros.navigation.path_headings import path_through
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.surroundings import Costmap, Surroundings
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant

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


def run(quick: bool, say: Callable[[str], None]) -> Iterator[dict]:
    """Yield a row for each of PATHS and each method of `bench_drive.methods`."""
    torch.set_num_threads(1)
    compared = bench_drive.methods()
    for name in list(PATHS)[: 1 if quick else None]:
        for method, planner in compared.items():
            say(f"path {name}, {method}")
            yield {"name": name, "method": method, **drive(*planner, PATHS[name])}


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
    planner.reset()
    start = np.zeros(len(configuration.dynamics.state_names))
    start[:3] = poses[0]
    plant = ModelPlant(configuration, start, max_step=0.01)
    lockstep = Lockstep(configuration, planner, plant.state, plant.step)
    commander = lockstep.loop.commander
    path = path_through(poses, configuration.planar_robot().moves_sideways)
    low, high = poses[:, :2].min(0) - 2.0, poses[:, :2].max(0) + 2.0
    columns, rows = np.ceil((high - low) / 0.05).astype(int)
    free, corner = np.zeros((rows, columns), np.int8), Pose(*low, 0.0)
    goal, track = Pose(*poses[-1]), [start[:2]]
    while lockstep.time < at_most and not commander.is_goal_reached:
        costmap = Costmap(free, 0.05, corner, lockstep.time)
        commander.surroundings = Surroundings(goal, path, costmap)
        lockstep.period()
        track.append(plant.state()[:2])
    return {
        "missed_m": round(missed(poses[:, :2], np.array(track)), 3),
        "time_s": round(lockstep.time, 2),
        "reached": commander.is_goal_reached,
    }


def missed(points: np.ndarray, track: np.ndarray) -> float:
    """Return how far points (n, 2) are from a track (m, 2) at most, each met in its order, m."""
    worst = np.zeros(len(track))
    for point in points:
        worst = np.maximum(worst, np.linalg.norm(track - point, axis=1))
        worst = np.minimum.accumulate(worst)
    return float(worst[-1])
