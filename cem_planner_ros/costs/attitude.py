# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Errors between attitudes that are quaternions (w, x, y, z), from body to world, of any length."""

from __future__ import annotations

from collections.abc import Sequence

import torch

TINY = 1e-12
"""Added to a squared length, so that the quotient of a rotation by no angle is finite."""


def rotation_vector(attitude: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """
    Return the rotation (3, N), rad, from a reference (4, N) to an attitude (4, N).

    It is the rotation vector in the axes of the reference: its length is the angle between the two,
    at most pi. With the quaternion d = conj(reference) attitude it is 2 log(d), where -d is taken
    if the first number of d is negative, because q and -q are one attitude (Sola, Quaternion
    kinematics for the error-state Kalman filter, 2017, section 2.4).
    """
    w, x, y, z = attitude
    rw, rx, ry, rz = reference
    cos = rw * w + rx * x + ry * y + rz * z
    axis = torch.stack(
        (
            rw * x - rx * w - ry * z + rz * y,
            rw * y + rx * z - ry * w - rz * x,
            rw * z - rx * y + ry * x - rz * w,
        )
    )
    sin = torch.sqrt((axis * axis).sum(0) + TINY)
    angle = 2.0 * torch.atan2(sin, torch.abs(cos))
    return axis * (torch.where(cos < 0.0, -angle, angle) / sin)


def with_nearer_signs(
    state: torch.Tensor, target: torch.Tensor, quaternions: Sequence[Sequence[int]]
) -> torch.Tensor:
    """
    Return a state (nx, N) in which quaternions have the sign that is nearer to a target (nx, 1).

    `quaternions` has the four rows of each.
    """
    rows = list(state)
    for quaternion in quaternions:
        parts = [state[row] * target[row] for row in quaternion]
        sign = torch.where(parts[0] + parts[1] + parts[2] + parts[3] < 0.0, -1.0, 1.0)
        for row in quaternion:
            rows[row] = rows[row] * sign
    return torch.stack(rows) if quaternions else state
