# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Rotations and points whose numbers are constants or tensors (N,).

Products with a constant zero are left out, so that a compiled model computes only what a robot's
axes and offsets make necessary. Quaternions (w, x, y, z) have length one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch

Number: TypeAlias = "float | torch.Tensor"


def times(a: Number, b: Number) -> Number:
    """Return a product."""
    for one, other in ((a, b), (b, a)):
        if isinstance(one, float) and one in (0.0, 1.0, -1.0):
            return 0.0 if not one else (other if one > 0.0 else -other)
    return a * b


def plus(a: Number, b: Number) -> Number:
    """Return a sum."""
    for one, other in ((a, b), (b, a)):
        if isinstance(one, float) and one == 0.0:
            return other
    return a + b


def total(numbers: Iterable[Number]) -> Number:
    """Return the sum of several."""
    result: Number = 0.0
    for number in numbers:
        result = plus(result, number)
    return result


def product(a: Sequence[Number], b: Sequence[Number]) -> list[Number]:
    """Return the rotation b and then a, both quaternions (4)."""
    (aw, ax, ay, az), (bw, bx, by, bz) = a, b

    def row(signs: Sequence[float], pairs: Sequence[tuple[Number, Number]]) -> Number:
        return total(times(s, times(*p)) for s, p in zip(signs, pairs, strict=True))

    return [
        row((1.0, -1.0, -1.0, -1.0), ((aw, bw), (ax, bx), (ay, by), (az, bz))),
        row((1.0, 1.0, 1.0, -1.0), ((aw, bx), (ax, bw), (ay, bz), (az, by))),
        row((1.0, -1.0, 1.0, 1.0), ((aw, by), (ax, bz), (ay, bw), (az, bx))),
        row((1.0, 1.0, -1.0, 1.0), ((aw, bz), (ax, by), (ay, bx), (az, bw))),
    ]


def turn(axis: Sequence[float], angle: torch.Tensor) -> list[Number]:
    """Return the quaternion of a rotation about a unit axis (3) by an angle (N,), rad."""
    sin = torch.sin(0.5 * angle)
    return [torch.cos(0.5 * angle), *(times(float(part), sin) for part in axis)]


def matrix(q: Sequence[Number]) -> list[list[Number]]:
    """Return the rotation matrix, 3 rows of 3, of a quaternion."""
    w, x, y, z = q
    x2, y2, z2 = (times(2.0, part) for part in (x, y, z))
    xx, yy, zz = times(x, x2), times(y, y2), times(z, z2)
    xy, xz, yz = times(x, y2), times(x, z2), times(y, z2)
    wx, wy, wz = times(w, x2), times(w, y2), times(w, z2)

    def minus(a: Number, b: Number) -> Number:
        return plus(a, times(-1.0, b))

    return [
        [minus(1.0, plus(yy, zz)), minus(xy, wz), plus(xz, wy)],
        [plus(xy, wz), minus(1.0, plus(xx, zz)), minus(yz, wx)],
        [minus(xz, wy), plus(yz, wx), minus(1.0, plus(xx, yy))],
    ]


def moved(
    rotation: Sequence[Sequence[Number]], origin: Sequence[Number], point: Sequence[float]
) -> list[Number]:
    """Return a point (3) of a body, m, in the world, for the body's rotation matrix and origin."""
    return [
        plus(start, total(times(a, float(b)) for a, b in zip(row, point, strict=True)))
        for row, start in zip(rotation, origin, strict=True)
    ]


def length(parts: Iterable[Number]) -> Number:
    """Return the length of a vector."""
    square = total(times(part, part) for part in parts)
    return torch.sqrt(square + 1e-12) if isinstance(square, torch.Tensor) else math.sqrt(square)
