# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The shape of an arm as capsules: how far they are from each other, and from what stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cem_planner_ros.dynamics.rigid_motion import Number, length, plus, times, total

if TYPE_CHECKING:
    import mujoco


@dataclass(frozen=True)
class Capsule:
    """
    A capsule that stands for a geom: all points at most a radius away from a segment.

    Attributes:
        body: the body that carries it.
        ends: (2, 3), the ends of the segment in the frame of the body, m.
        radius: m.
    """

    body: int
    ends: np.ndarray
    radius: float

    @property
    def length(self) -> float:
        """The length of the segment, m; 0 for a sphere."""
        return float(np.linalg.norm(self.ends[1] - self.ends[0]))

    @property
    def shares(self) -> list[float]:
        """Where on the segment the distance from what stands is taken, from 0 to 1."""
        steps = math.ceil(self.length / (1.5 * self.radius))
        return [step / steps for step in range(steps + 1)] if steps else [0.0]


def capsule(model: mujoco.MjModel, geom: int, body: int, frame: np.ndarray) -> Capsule:
    """
    Return a geom as a capsule along its longest axis.

    For a box it reaches the edges, for other shapes the faces of the bounding box. Its round ends
    stand out of cylinders, boxes and meshes by half the radius.

    Args:
        model: the file.
        geom: index of the geom.
        body: the body that carries it.
        frame: (4, 4), the pose of the geom in the frame of this body.
    """
    import mujoco

    kind, size = model.geom_type[geom], model.geom_size[geom]
    middle, axis = np.zeros(3), 2
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        radius, half = size[0], 0.0
    elif kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        radius, half = size[0], size[1]
    else:
        middle, sides = np.split(model.geom_aabb[geom], 2)
        axis = int(np.argmax(sides))
        across = np.delete(sides, axis)
        is_box = kind == mujoco.mjtGeom.mjGEOM_BOX
        radius = float(np.hypot(*across)) if is_box else float(across.max())
        half = max(sides[axis] - 0.5 * radius, 0.0)
    ends = np.tile(np.append(middle, 1.0), (2, 1))
    ends[:, axis] += (-half, half)
    return Capsule(body, (ends @ frame.T)[:, :3], float(radius))


def between(
    first: Sequence[Sequence[Number]],
    second: Sequence[Sequence[Number]],
    lengths: tuple[float, float],
) -> Number:
    """
    Return the least distance of two segments of known lengths, m, given their ends (2, 3).

    Ericson, Real-Time Collision Detection, section 5.1.9.
    """
    (begin, end), (other, other_end) = first, second
    along = [plus(b, times(-1.0, a)) for a, b in zip(begin, end, strict=True)]
    across = [plus(b, times(-1.0, a)) for a, b in zip(other, other_end, strict=True)]
    off = [plus(a, times(-1.0, b)) for a, b in zip(begin, other, strict=True)]
    a, e = lengths[0] ** 2, lengths[1] ** 2
    c, f, b = _dot(along, off), _dot(across, off), _dot(along, across)
    s: Number = 0.0
    t: Number = 0.0
    if a and e:
        # Parallel segments are as far apart everywhere that they overlap.
        spread = plus(a * e * (1.0 + 1e-6), times(-1.0, times(b, b)))
        s = _share(plus(times(b, f), times(-e, c)) / spread)
        t = _share(times(1.0 / e, plus(times(b, s), f)))
        s = _share(times(1.0 / a, plus(times(b, t), times(-1.0, c))))
    elif e:
        t = _share(times(1.0 / e, f))
    elif a:
        s = _share(times(-1.0 / a, c))
    return length(
        plus(plus(o, times(s, x)), times(-1.0, times(t, y)))
        for o, x, y in zip(off, along, across, strict=True)
    )


def _dot(a: Sequence[Number], b: Sequence[Number]) -> Number:
    return total(times(x, y) for x, y in zip(a, b, strict=True))


def _share(number: Number) -> Number:
    if isinstance(number, torch.Tensor):
        return torch.clamp(number, 0.0, 1.0)
    return min(max(number, 0.0), 1.0)


def distance_to(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> Callable:
    """
    Return a function: point (3) -> signed distance, m, from a geom that stands still.

    Ellipsoids, meshes and other shapes are their bounding boxes.
    """
    import mujoco

    kind, size = model.geom_type[geom], [float(value) for value in model.geom_size[geom]]
    place, rows = data.geom_xpos[geom].tolist(), data.geom_xmat[geom].reshape(3, 3).T.tolist()
    if kind not in _SHAPES:
        middle, sides = np.split(model.geom_aabb[geom], 2)
        place = (place + data.geom_xmat[geom].reshape(3, 3) @ middle).tolist()
        kind, size = mujoco.mjtGeom.mjGEOM_BOX, sides.tolist()
    measure = _SHAPES[int(kind)]

    def distance(point: Sequence[Number]) -> Number:
        off = [plus(a, -b) for a, b in zip(point, place, strict=True)]
        local = [total(times(float(r), o) for r, o in zip(row, off, strict=True)) for row in rows]
        return measure(local, size)

    return distance


def _plane(point: Sequence[Number], size: Sequence[float]) -> Number:
    return point[2]


def _sphere(point: Sequence[Number], size: Sequence[float]) -> Number:
    return length(point) - size[0]


def _capsule(point: Sequence[Number], size: Sequence[float]) -> Number:
    x, y, z = point
    beyond = torch.relu(torch.abs(_tensor(z, point)) - size[1])
    return length((x, y, beyond)) - size[0]


def _cylinder(point: Sequence[Number], size: Sequence[float]) -> Number:
    x, y, z = point
    across, along = length((x, y)) - size[0], torch.abs(_tensor(z, point)) - size[1]
    return _outside((_tensor(across, point), along))


def _box(point: Sequence[Number], size: Sequence[float]) -> Number:
    return _outside([torch.abs(_tensor(p, point)) - s for p, s in zip(point, size, strict=True)])


def _outside(beyond: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the signed distance for what a point is beyond each pair of faces."""
    deepest = beyond[0]
    for other in beyond[1:]:
        deepest = torch.maximum(deepest, other)
    return length([torch.relu(each) for each in beyond]) - torch.relu(-deepest)


def _tensor(number: Number, beside: Sequence[Number]) -> torch.Tensor:
    """Return a number as a tensor (N,), as others beside it are."""
    if isinstance(number, torch.Tensor):
        return number
    (like,) = [other for other in beside if isinstance(other, torch.Tensor)][:1]
    return torch.zeros_like(like) + number


_SHAPES = {0: _plane, 2: _sphere, 3: _capsule, 5: _cylinder, 6: _box}
"""By mjtGeom."""
