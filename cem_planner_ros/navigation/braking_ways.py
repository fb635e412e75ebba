# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The ways on which a mobile robot brakes to a standstill."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cem_planner_ros.navigation.planar_robot import DriveSettings, PlanarRobot

STEP = 0.04
"""Time between two poses of a way, s."""

Profile = tuple[tuple[float, ...], tuple[float, ...]]
"""Times of changes (6,), s, and the speed then (6,), linear in between."""

Speeds = tuple[list[float], list[float]]
"""The three measured speeds, and those that commands in force may give instead."""


class BrakingWays:
    """
    Predicts the poses of a robot that brakes, as the stop guard has to assume them.

    Args:
        robot: where pose and speeds stand in states and actions.
    """

    def __init__(self, robot: PlanarRobot):
        self._robot = robot

    def after(
        self,
        settings: DriveSettings,
        state: np.ndarray,
        age: float,
        before: np.ndarray,
        actions: Sequence[np.ndarray | None],
        safe: np.ndarray,
    ) -> list[list[np.ndarray]]:
        """
        Return for each action the ways on which the robot may brake after it: one, or two.

        A way is poses (n, 3), m and rad, from the state to a standstill, STEP apart in time. Until
        the command takes effect, the robot keeps its speed, or gains the speed that a command in
        force may still give it. Then it follows the command for one period, with limited
        acceleration. Then it brakes evenly. The steering angle of a car follows its command at
        once, and is that of the safe command while the car brakes.

        If commands in force may turn the robot back, there is a second way, on which the speeds
        that they turn back are zero at the state already.

        Args:
            settings: accelerations and delays.
            state: (nx,).
            age: age of the state, s.
            before: (k, nu), the commands that may act between the state and the next command, the
                newest last; (nu,) for one.
            actions: each (nu,), the next command; None to brake as soon as possible.
            safe: (nu,), the safe command.
        """
        before = np.atleast_2d(before)
        kept, turned_back = (self._speeds(state, before, turns) for turns in (False, True))
        starts = [kept] if turned_back == kept else [kept, turned_back]
        return [
            [self._way(settings, state, age, before[-1], start, action, safe) for start in starts]
            for action in actions
        ]

    def _way(
        self,
        settings: DriveSettings,
        state: np.ndarray,
        age: float,
        newest: np.ndarray,
        start: Speeds,
        action: np.ndarray | None,
        safe: np.ndarray,
    ) -> np.ndarray:
        """
        Return the way (n, 3) that begins with speeds `start`; arguments as for `after`.

        `newest` (nu,) is the last of the commands before.
        """
        begin = max(age, 0.0) + settings.actuation_delay + settings.reaction
        following = np.zeros_like(newest) if action is None else action
        profiles = [
            _profile(*speed, begin, settings.period)
            for speed in zip(
                *start,
                self._robot.commanded(following),
                (settings.acceleration, settings.acceleration, settings.yaw_acceleration),
                (settings.deceleration, settings.deceleration, settings.yaw_deceleration),
                strict=True,
            )
        ]
        times = np.arange(0.0, max(changes[-1] for changes, _ in profiles) + STEP, STEP)
        speeds = [np.interp(times, *profile) for profile in profiles]
        if settings.turning_radius:  # A car that brakes on a curve stays on it.
            most = np.abs(speeds[0]) / settings.turning_radius
            speeds[2] = np.clip(speeds[2], -most, most)
        forward, sideways, turning = (0.5 * STEP * (speed[1:] + speed[:-1]) for speed in speeds)
        if settings.wheel_base:
            steered = [self._robot.steering_angle(each) for each in (newest, following, safe)]
            turning = self._turned(times, profiles[0], steered, settings.wheel_base)
        way = np.empty((len(times), 3))
        way[0] = self._robot.pose(state)
        way[1:, 2] = turning
        np.cumsum(way[:, 2], out=way[:, 2])
        middle = 0.5 * (way[1:, 2] + way[:-1, 2])
        cos, sin = np.cos(middle), np.sin(middle)
        way[1:, 0] = cos * forward - sin * sideways
        way[1:, 1] = sin * forward + cos * sideways
        np.cumsum(way[:, :2], 0, out=way[:, :2])
        return way

    def _speeds(self, state: np.ndarray, before: np.ndarray, turns_back: bool) -> Speeds:
        """Return the speeds with which a way begins; with `turns_back` those of the second one."""
        measured, given = list(self._robot.measured(state, before[-1])), []
        lows, highs = (self._robot.commanded(some) for some in (before.min(0), before.max(0)))
        for index, (low, high) in enumerate(zip(lows, highs, strict=True)):
            first = measured[index]
            along, against = (high, low) if (first or high + low) >= 0.0 else (low, high)
            if turns_back and against * (first or along) < 0.0:
                measured[index], along = 0.0, against
            given.append(along)
        return measured, given

    def _turned(
        self,
        times: np.ndarray,
        profile: Profile,
        angles: Sequence[float],
        wheel_base: float,
    ) -> np.ndarray:
        """
        Return by how much a car turns (n - 1,), rad, between times (n,), s.

        It turns by tan(angle) / wheel base for each metre that it drives.

        Args:
            times: the first one is 0.
            profile: that of the forward speed, see `_profile`.
            angles: (3,), the steering angle, rad, in the first interval, in the second, and
                afterwards.
        """
        changes, speeds = profile
        every = np.union1d(times, changes)
        speed = np.interp(every, changes, speeds)
        driven = np.concatenate(([0.0], np.cumsum(0.5 * np.diff(every) * (speed[1:] + speed[:-1]))))
        interval = np.searchsorted((changes[2], changes[4]), every[:-1], side="right")
        angle = np.array(angles)[interval]
        turned = np.concatenate(([0.0], np.cumsum(np.diff(driven) * np.tan(angle) / wheel_base)))
        return np.diff(np.interp(times, every, turned))


def _profile(
    first: float,
    given: float,
    wanted: float,
    faster: float,
    slower: float,
    begin: float,
    period: float,
) -> Profile:
    """
    Return one of the three speeds of a robot until it stands.

    Speed is gained as early as it can be, and lost as late as it may be.

    Args:
        first: speed at the state.
        given: speed that a command in force may give.
        wanted: speed of the command.
        faster, slower: largest acceleration and guaranteed deceleration, per s.
        begin: time of the state until the command takes effect, s.
        period: time for which it is followed, s.
    """
    second = first
    if abs(given) > abs(first) and given * first >= 0.0:
        second = _towards(given, first, faster * begin)
    gained = abs(second - first) / faster
    if wanted * second < 0.0:  # First brake to a stop, with the guaranteed deceleration.
        wanted = 0.0
    is_faster = abs(wanted) > abs(second)
    third = _towards(wanted, second, (faster if is_faster else slower) * period)
    followed = begin + (abs(third - second) / faster if is_faster else period)
    end = begin + period
    times = (0.0, gained, begin, followed, end, end + abs(third) / slower)
    return times, (first, second, second, third, third, 0.0)


def _towards(wanted: float, speed: float, reach: float) -> float:
    """Return the speed nearest to the wanted one, within reach."""
    return speed + min(max(wanted - speed, -reach), reach)
