# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A walk of a robot with legs: what it is commanded, a push, and how well it followed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

COMMANDS = (
    (0.0, (0.0, 0.0, 0.0)),
    (2.0, (0.5, 0.0, 0.0)),
    (7.0, (0.0, 0.2, 0.0)),
    (10.0, (0.0, 0.0, 0.5)),
    (13.0, (0.0, 0.0, 0.0)),
)
"""(time, s; velocity commanded from then on: forward, sideways, m/s, and turning, rad/s)."""

PUSH_TIME = 15.0
"""When the robot, which stands, is pushed, s."""

PUSH = (20.0, 0.0, 0.0)
"""The impulse of the push in the axes of the world, N s: sideways, after what it turned."""

DURATION = 20.0
"""s"""

STRIDE = 0.5
"""Velocities are averaged over this time, s, that of one step of each foot."""

SETTLING = 1.0
"""Time after a change of the command in which the velocity is not measured, s."""

RECOVERY = 3.0
"""Time after the push in which the robot may lie, s."""

LOW, TILTED = 0.15, 0.6
"""Height of the trunk, m, and cosine of its tilt, below which a robot has fallen."""

ERROR = 0.1
"""Largest root mean square error of the velocity in the plane, m/s."""

TURNING_ERROR = 0.2
"""Largest root mean square error of the turning velocity, rad/s."""


class Walk(NamedTuple):
    """
    The measured motion of the trunk.

    Attributes:
        times: (n,), s, ascending.
        velocities: (n, 3), forward, sideways, m/s, in the frame of the trunk, and turning, rad/s.
        heights: (n,), of the trunk, m.
        uprights: (n,), cosine of the angle between the axis z of the trunk and the vertical.
    """

    times: np.ndarray
    velocities: np.ndarray
    heights: np.ndarray
    uprights: np.ndarray

    @property
    def is_down(self) -> np.ndarray:
        """(n,), whether the robot has fallen."""
        return (self.heights < LOW) | (self.uprights < TILTED)


def command_at(time: float) -> np.ndarray:
    """Return the commanded velocity (3,) at a time, s."""
    return np.array([velocity for begin, velocity in COMMANDS if begin <= time][-1])


def motion(poses: np.ndarray, speeds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return velocities (n, 3), heights (n,) and uprights (n,) as in `Walk`.

    Args:
        poses: (n, 7), position, m, and quaternion w, x, y, z of a free joint.
        speeds: (n, 6), linear velocity in the world, m/s, and angular velocity in the body, rad/s.
    """
    w, x, y, z = poses[:, 3:].T
    # The rows of the rotation from world to body.
    forward = np.stack((1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)), 1)
    sideways = np.stack((2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)), 1)
    linear = speeds[:, :3]
    velocities = np.stack(
        ((forward * linear).sum(1), (sideways * linear).sum(1), speeds[:, 5]), axis=1
    )
    return velocities, poses[:, 2], 1 - 2 * (x * x + y * y)


def present_error(walk: Walk) -> float:
    """Return how far the mean velocity in the plane is from what is commanded at the end, m/s."""
    return float(np.linalg.norm((walk.velocities.mean(axis=0) - command_at(walk.times[-1]))[:2]))


def judge(walk: Walk, duration: float = DURATION) -> tuple[dict[str, Any], list[str]]:
    """
    Return how a walk of `duration` s went, and the reasons of a failure.

    The error is that of the velocity averaged over a stride, where the command has not changed
    for SETTLING s and no push disturbs it.
    """
    error, turning = _errors(walk, duration)
    fell = [t for t in walk.times[walk.is_down] if not _is_pushed(t)]
    stands = bool(len(walk.times)) and not walk.is_down[walk.times > walk.times[-1] - 1.0].any()
    problems = []
    if not len(walk.times) or walk.times[-1] < duration - SETTLING:
        problems.append(f"no state after {walk.times[-1] if len(walk.times) else 0.0:.1f} s")
    if fell:
        problems.append(f"fell after {fell[0]:.1f} s")
    if duration > PUSH_TIME + RECOVERY and not stands:
        problems.append("does not stand after the push")
    if error is None or not error < ERROR:
        problems.append(f"velocity error {_text(error)} m/s, allowed {ERROR:g}")
    if turning is None or not turning < TURNING_ERROR:
        problems.append(f"turning error {_text(turning)} rad/s, allowed {TURNING_ERROR:g}")
    return {
        "velocity_error_m_s": error,
        "turning_error_rad_s": turning,
        "fell": bool(fell),
        "stands_at_the_end": stands,
        "down_after_push_s": _down_after_push(walk),
        "lowest_height_m": round(float(walk.heights.min()), 3) if len(walk.times) else None,
    }, problems


def _text(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.3f}"


def _down_after_push(walk: Walk) -> float | None:
    """Return how long after the push the robot was down at last, s; 0 if never, None before."""
    if not len(walk.times) or walk.times[-1] < PUSH_TIME:
        return None
    down = walk.times[walk.is_down & (walk.times >= PUSH_TIME)]
    return round(float(down[-1]) - PUSH_TIME, 2) if len(down) else 0.0


def _is_pushed(time: float) -> bool:
    return PUSH_TIME <= time < PUSH_TIME + RECOVERY


def _errors(walk: Walk, duration: float) -> tuple[float | None, float | None]:
    """Return the root mean square errors in the plane, m/s, and of turning, rad/s."""
    step = 0.02
    times = np.arange(0.0, min(duration, PUSH_TIME), step)
    count = round(STRIDE / step)
    if len(walk.times) < 2 or len(times) <= count:
        return None, None
    measured = np.stack([np.interp(times, walk.times, each) for each in walk.velocities.T])
    mean = np.stack([np.convolve(each, np.full(count, 1.0 / count), "valid") for each in measured])
    begins, ends = times[: mean.shape[1]], times[count - 1 :]
    changes = np.array([begin for begin, _ in COMMANDS])[:, None]
    # A stride counts if it begins SETTLING after the last change before its end.
    counts = ~((changes <= ends) & (begins < changes + SETTLING)).any(0)
    counts &= ends < walk.times[-1]
    if not counts.any():
        return None, None
    wanted = np.array([command_at(time) for time in ends[counts]]).T
    error = mean[:, counts] - wanted
    plane = float(np.sqrt(np.mean((error[:2] ** 2).sum(0))))
    return round(plane, 3), round(float(np.sqrt(np.mean(error[2] ** 2))), 3)
