# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Worlds to drive in: MuJoCo files with a reference path and obstacles on it.

A world is an MJCF file with a robot and, as <custom> numbers, `path` (x, y of its points), `start`
and `goal` (x, y, yaw); optionally `obstacles`, the number of obstacles that the seed places, and
`doorway` (x, y), which they keep clear; and `pedestrians`, the number of those who walk across the
path. Walls and other objects are the upright boxes and cylinders of the worldbody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import first_file, share
from cem_planner_ros.simulation.pedestrians import HEIGHT as PEDESTRIAN_HEIGHT
from cem_planner_ros.simulation.pedestrians import Pedestrian, across

if TYPE_CHECKING:
    import mujoco

ROBOT_WIDTH = 0.4
"""Width of models/diff_drive, m."""

DOORWAY = 1.3 * ROBOT_WIDTH
"""Width of a doorway, m; no passage may be narrower."""

TURNING = 0.6
"""Width of a passage elsewhere, m; the robot's diagonal, so that it can turn on the spot."""

KEEP_AWAY = 1.0
"""Distance of an obstacle from start, goal, doorway and other obstacles, m."""

SIZES = (0.15, 0.4)
"""Smallest and largest side or diameter of an obstacle, m."""

HEIGHT = 0.5
"""Height of an obstacle, m."""

SPACING = 0.05
"""Spacing of the grid on which a way is searched, m; the middle of a doorway must be on it."""

BESIDE = 2.0
"""Distance to the sides of the path in which a way is searched, m."""

ATTEMPTS = 1000
"""Number of places tried for an obstacle before giving up."""


class Outlines(NamedTuple):
    """
    The objects on the ground, seen from above.

    Attributes:
        boxes: (b, 5) x, y, yaw, length, width; in m, rad.
        circles: (c, 3) x, y, radius; in m.
    """

    boxes: np.ndarray
    circles: np.ndarray


@dataclass(frozen=True)
class World:
    """
    A world with its obstacles.

    Attributes:
        model: the MuJoCo model with its obstacles.
        path: (n, 2) points of the reference path, m.
        start, goal: (3,) x, y, yaw in m, rad.
        fixed: objects that the path avoids.
        obstacles: objects that the path does not avoid.
        pedestrians: those who walk; each is a mocap body of the model, in this order.
    """

    model: mujoco.MjModel
    path: np.ndarray
    start: np.ndarray
    goal: np.ndarray
    fixed: Outlines
    obstacles: Outlines
    pedestrians: tuple[Pedestrian, ...] = ()


def load(name: str, seed: int = 0) -> World:
    """
    Return a world, given its name in the folder worlds or the path of its file.

    Raises ConfigurationError if mujoco is not installed, the world cannot be loaded, or it has no
    room for its obstacles.
    """
    try:
        import mujoco
    except ImportError as error:
        raise ConfigurationError(
            f"a world needs the package mujoco (pip install mujoco): {error}"
        ) from error
    file = _find(name)
    try:
        spec = mujoco.MjSpec.from_file(str(file))
        model = spec.compile()
    except ValueError as error:
        raise ConfigurationError(f"world '{file}': {error}") from error
    numbers = {model.numeric(i).name: model.numeric(i).data for i in range(model.nnumeric)}
    for key, count in (("path", 2), ("start", 3), ("goal", 3)):
        if key not in numbers or len(numbers[key]) % count:
            raise ConfigurationError(
                f"world '{file}' needs <numeric name=\"{key}\"/> with {count} numbers for each "
                "point or pose"
            )
    path = numbers["path"].reshape(-1, 2).copy()
    start, goal = numbers["start"].copy(), numbers["goal"].copy()
    fixed = _outlines(mujoco, model)
    random = np.random.default_rng([seed, *file.stem.encode()])  # other ones in each world
    obstacles = _place(
        random,
        int(numbers.get("obstacles", [0])[0]),
        path,
        fixed,
        start[:2],
        goal[:2],
        numbers.get("doorway", np.zeros(0)).reshape(-1, 2),
    )
    if obstacles is None:
        raise ConfigurationError(f"world '{file}' has no room for its obstacles, with seed {seed}")
    _add(mujoco, spec, obstacles)
    walkers = across(random, int(numbers.get("pedestrians", [0])[0]), path)
    _add_pedestrians(mujoco, spec, walkers)
    return World(spec.compile(), path, start, goal, fixed, obstacles, walkers)


def clearance(points: np.ndarray, outlines: Outlines) -> np.ndarray:
    """Return the distance (...), m, of points (..., 2) from objects; negative inside of them."""
    result = np.full(points.shape[:-1], np.inf)
    for x, y, yaw, length, width in outlines.boxes:
        turn = np.array(((math.cos(yaw), -math.sin(yaw)), (math.sin(yaw), math.cos(yaw))))
        beyond = np.abs((points - (x, y)) @ turn) - (0.5 * length, 0.5 * width)
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=-1)
        result = np.minimum(result, outside + np.minimum(beyond.max(axis=-1), 0.0))
    for x, y, radius in outlines.circles:
        result = np.minimum(result, np.linalg.norm(points - (x, y), axis=-1) - radius)
    return result


def _find(name: str) -> Path:
    folder = share("worlds")
    if found := first_file((folder / f"{name}.xml", Path(name))):
        return found
    names = ", ".join(sorted(file.stem for file in folder.glob("*.xml")))
    raise ConfigurationError(f"world '{name}' does not exist, allowed: {names}, or a MuJoCo file")


def _outlines(mujoco, model) -> Outlines:
    boxes, circles = [], []
    for index in np.flatnonzero(model.geom_bodyid == 0):
        kind, size = model.geom_type[index], model.geom_size[index]
        x, y, _ = model.geom_pos[index]
        if kind == mujoco.mjtGeom.mjGEOM_BOX:
            w, _, _, z = model.geom_quat[index]
            boxes.append((x, y, 2.0 * math.atan2(z, w), 2.0 * size[0], 2.0 * size[1]))
        elif kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
            circles.append((x, y, size[0]))
    return Outlines(np.array(boxes).reshape(-1, 5), np.array(circles).reshape(-1, 3))


def _place(
    random: np.random.Generator,
    count: int,
    path: np.ndarray,
    fixed: Outlines,
    start: np.ndarray,
    goal: np.ndarray,
    doorways: np.ndarray,
) -> Outlines | None:
    """Return obstacles on the path with a way around them; None if there is no room."""
    placed = Outlines(np.zeros((0, 5)), np.zeros((0, 3)))
    low = np.round((path.min(axis=0) - BESIDE) / SPACING)
    high = np.round((path.max(axis=0) + BESIDE) / SPACING)
    x, y = (SPACING * np.arange(*bounds) for bounds in zip(low, high, strict=True))
    nodes = np.stack(np.meshgrid(x, y), axis=-1)
    ends = [tuple(np.round((p - nodes[0, 0]) / SPACING).astype(int)[::-1]) for p in (start, goal)]
    # Between two nodes the way is narrower than at both, except in the middle of a doorway.
    needed = np.full(nodes.shape[:2], 0.5 * TURNING + 0.71 * SPACING)
    for doorway in doorways:
        needed[np.linalg.norm(nodes - doorway, axis=-1) < TURNING] = 0.5 * DOORWAY - 1e-6
    free = clearance(nodes, fixed) >= needed
    for _ in range(count):
        middles = np.concatenate((placed.boxes[:, :2], placed.circles[:, :2]))
        keep_away = np.concatenate(((start, goal), doorways, middles))
        for _ in range(ATTEMPTS):
            new = _on_path(random, path)
            if clearance(keep_away, new).min() < KEEP_AWAY:
                continue
            still_free = free & (clearance(nodes, new) >= needed)
            if _connected(still_free, *ends):
                break
        else:
            return None
        free = still_free
        placed = Outlines(*map(np.concatenate, zip(placed, new, strict=True)))
    return placed


def _on_path(random: np.random.Generator, path: np.ndarray) -> Outlines:
    """Return a box or a cylinder on the path (n, 2)."""
    steps = np.diff(path, axis=0)
    arc = np.concatenate(([0.0], np.cumsum(np.linalg.norm(steps, axis=1))))
    length, width = random.uniform(*SIZES, 2)
    at, aside = random.uniform(0.0, arc[-1]), random.uniform(-0.5, 0.5) * min(length, width)
    segment = min(np.searchsorted(arc, at, side="right"), len(steps)) - 1
    along = steps[segment] / (arc[segment + 1] - arc[segment])
    left = np.array((-along[1], along[0]))
    x, y = path[segment] + (at - arc[segment]) * along + aside * left
    if random.random() < 0.5:
        return Outlines(np.zeros((0, 5)), np.array([(x, y, 0.5 * min(length, width))]))
    yaw = random.uniform(-math.pi, math.pi)
    return Outlines(np.array([(x, y, yaw, length, width)]), np.zeros((0, 3)))


def _connected(free: np.ndarray, begin: tuple[int, int], end: tuple[int, int]) -> bool:
    """Return whether a way leads from one free node of a grid to another."""
    reached = np.zeros_like(free)
    reached[begin] = free[begin]
    while not reached[end]:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= free
        if np.array_equal(grown, reached):
            return False
        reached = grown
    return True


def _add(mujoco, spec, obstacles: Outlines) -> None:
    """Add obstacles to a world, named obstacle_1 and so on."""
    shapes = [
        (mujoco.mjtGeom.mjGEOM_BOX, x, y, yaw, (0.5 * length, 0.5 * width, 0.5 * HEIGHT))
        for x, y, yaw, length, width in obstacles.boxes
    ]
    shapes += [
        (mujoco.mjtGeom.mjGEOM_CYLINDER, x, y, 0.0, (radius, 0.5 * HEIGHT, 0.0))
        for x, y, radius in obstacles.circles
    ]
    for number, (kind, x, y, yaw, size) in enumerate(shapes, start=1):
        spec.worldbody.add_geom(
            name=f"obstacle_{number}",
            type=kind,
            pos=(x, y, 0.5 * HEIGHT),
            quat=(math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw)),
            size=size,
            rgba=(0.8, 0.3, 0.2, 1.0),
        )


def _add_pedestrians(mujoco, spec, walkers: tuple[Pedestrian, ...]) -> None:
    """Add pedestrians to a world, named pedestrian_1 and so on; a plant moves them."""
    for number, walker in enumerate(walkers, start=1):
        half = 0.5 * PEDESTRIAN_HEIGHT
        body = spec.worldbody.add_body(
            name=f"pedestrian_{number}", mocap=True, pos=(*walker.at(0.0)[0], half)
        )
        body.add_geom(
            name=f"pedestrian_{number}",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=(walker.radius, half, 0.0),
            rgba=(0.2, 0.6, 0.3, 1.0),
        )
