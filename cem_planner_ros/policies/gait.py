# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A gait of a robot with legs, whose steps are candidates of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.policies.legs import Base, Legs

STANDING = 0.02
"""Speeds below which a robot is commanded to stand, m/s and rad/s."""

TAIL = 2
"""Degrees of freedom of Student's t-distribution of the velocities that are drawn."""

MOST_DRIFT = 0.3
"""Largest integral of the velocity error, m/s and rad/s."""

LONGEST = 0.1
"""Longest time between two plans that is integrated over, s."""

LANDED = 1e-6
"""Height below which a foot is on the ground, m; the sine of its step does not quite end at 0."""

MOST_CAUGHT = 1.5
"""Largest velocity of steps that catch the robot, as a multiple of its velocity."""

LOW = 0.6
"""Height of the base over its lowest foot, as a share of that at the keyframe: below, it lies."""

RISES = 0.25
"""Probability that a candidate of a robot that has fallen is the way to the keyframe."""

RISE = (0.1, 1.0)
"""Shortest and longest duration of this way, s."""

AT_BOUND = 0.5
"""Probability that a joint is at one of its bounds in a motion of a robot that has fallen."""


@dataclass(frozen=True)
class Gait:
    """
    How feet step: when each leaves the ground, how long, and how high.

    Attributes:
        feet: {site of a foot: phase of its step, from 0 to 1}.
        velocity: name of the cost that follows the velocity command; its first three signals are
            the forward, the sideways and the turning velocity of the body, m/s and rad/s.
        keyframe: the pose around which the feet step, with its controls.
        frequency: of the steps, Hz.
        swing: share of a step in which the foot is in the air.
        lift: height of a step, m.
        spread: scale of the differences of further candidates' velocities, m/s, m/s and rad/s.
        drift: the velocity with which the robot moves when it steps on the spot, m/s, m/s and
            rad/s. It is subtracted from that of the steps, and the integral is added to it.
        stride: factor of the length of a step, for legs that give way and move the robot less far.
        integral: gain of the integral of the velocity error, 1/s; 0 for steps without it.
        fallen: tilt of the base from which the robot has fallen, rad. The candidates are then
            motions to get up; 0 for a robot that does not.
    """

    feet: Mapping[str, float]
    velocity: str
    keyframe: str = "home"
    frequency: float = 2.0
    swing: float = 0.5
    lift: float = 0.06
    spread: tuple[float, float, float] = (0.3, 0.3, 0.5)
    drift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    stride: float = 1.0
    integral: float = 0.5
    fallen: float = 0.0

    def __post_init__(self):
        for name, low, high in (
            ("frequency", 0.1, 20.0),
            ("swing", 0.05, 0.95),
            ("lift", 0.0, 1.0),
            ("stride", 0.1, 10.0),
            ("integral", 0.0, 10.0),
            ("fallen", 0.0, 3.1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigurationError(f"{name} of a gait is {value}, allowed: {low} to {high}")
        if len(self.feet) < 2:
            raise ConfigurationError(
                f"feet of a gait are {', '.join(self.feet) or 'none'}, expected at least two sites"
            )
        for foot, phase in self.feet.items():
            if not 0.0 <= phase <= 1.0:
                raise ConfigurationError(
                    f"the foot '{foot}' of a gait has the phase {phase}, allowed: 0 to 1"
                )
        for name, least in (("spread", 0.0), ("drift", -np.inf)):
            value = getattr(self, name)
            if len(value) != 3 or not np.isfinite(value).all() or min(value) < least:
                text = " of at least 0" if least == 0.0 else ""
                raise ConfigurationError(
                    f"{name} of a gait is {list(value)}, expected three finite numbers{text}: "
                    "forward and sideways (m/s), turning (rad/s)"
                )

    def swinging(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return where the feet are in their steps at times (n,), s.

        Returns: their places (feet, n) from where they stand on average, in lengths of a step, and
            their heights (feet, n) above the ground, m. On the ground a foot moves back evenly.
        """
        phases = np.array(list(self.feet.values()))
        phase = (self.frequency * times + phases[:, None]) % 1.0
        angle = np.pi * np.minimum(phase / self.swing, 1.0)
        back = 0.5 - (phase - self.swing) / (1.0 - self.swing)
        place = np.where(phase < self.swing, -0.5 * np.cos(angle), back)
        return place, self.lift * np.sin(angle)


class GaitCandidates:
    """
    Action sequences of a gait, as candidates for `Planner(policy=...)`.

    The first sequence steps with the commanded velocity, or stands if that is zero. The velocities
    of the others are drawn anew for each plan, half of them around it, the other half around a
    random multiple of the measured velocity, at most MOST_CAUGHT. Most are near and a few far away,
    so the search chooses among steps that speed up, brake, or catch a robot that was pushed, whose
    feet have to follow it (Raibert, Legged Robots That Balance, 1986).
    Joint angles follow from the places of the feet by the damped inverse of the Jacobian of each
    leg at the keyframe (Nakamura and Hanafusa, 1986). It is exact for small steps only, which the
    search makes up for.

    If the base is tilted by more than `Gait.fallen` or lies low, most sequences are two random
    poses, one after the other, in which the legs of a side move alike and joints are often at a
    bound. Among such motions are those that roll a robot over from its side or its back. The other
    sequences lead from the measured pose to the keyframe.

    Args:
        gait: the gait.
        dynamics: the model, of a MuJoCo file whose actions are positions of joints.
        velocity: returns the commanded velocity (3,).
        low, high: (nu,), bounds of the actions.
        count: E, how many sequences.
        seed: seed of the drawn velocities.

    Raises ConfigurationError if the file lacks a foot or the keyframe, or has other actuators.
    """

    def __init__(
        self,
        gait: Gait,
        dynamics: Dynamics,
        velocity: Callable[[], np.ndarray],
        low: np.ndarray,
        high: np.ndarray,
        count: int,
        seed: int = 0,
    ):
        self._gait, self._velocity, self._count = gait, velocity, count
        self._low, self._high = low, high
        self._seed = seed
        self._legs = Legs(gait.feet, gait.keyframe, dynamics)
        self.reset()

    def reset(self) -> None:
        """Begin the random velocities again, and the integral at the drift of the gait."""
        self._random = np.random.default_rng(self._seed)
        self._time, self._drift = np.inf, np.array(self._gait.drift)

    def __call__(self, state: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return sequences (E, H, nu) over steps between `edges` (H + 1,), s."""
        wanted, base = self._velocity(), self._legs.base(state)
        error, times = base.velocity - wanted, 0.5 * (edges[1:] + edges[:-1])
        is_down = self._is_down(base)
        self._learn(error, edges[0], is_walking=not (is_down or _is_standing(wanted)))
        if is_down:
            sequences = self._getting_up(state, times - edges[0])
        else:
            sequences = self._steps(times, wanted, error)
        return np.clip(sequences, self._low, self._high)

    def _is_down(self, base: Base) -> bool:
        fallen = self._gait.fallen
        return bool(fallen) and (base.tilt > fallen or base.height < LOW * self._legs.height)

    def _learn(self, error: np.ndarray, time: float, is_walking: bool) -> None:
        """Integrate the difference of the velocity from the commanded one while it walks."""
        if time < self._time:  # A new run.
            self._drift[:] = self._gait.drift
        elif is_walking:
            self._drift += self._gait.integral * min(time - self._time, LONGEST) * error
            known = np.array(self._gait.drift)
            self._drift.clip(known - MOST_DRIFT, known + MOST_DRIFT, out=self._drift)
        self._time = time

    def _steps(self, times: np.ndarray, wanted: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Return sequences (E, H, nu) that step at times (H,) with velocities near `wanted`."""
        drawn = self._random.standard_t(TAIL, (self._count, 3)) * self._gait.spread
        drawn[1::2] += self._random.uniform(0.0, MOST_CAUGHT, (self._count // 2, 1)) * error
        drawn[0] = 0.0
        if not _is_standing(wanted):
            drawn -= self._drift
        return np.array([self.sequence(times, wanted + one) for one in drawn])

    def _getting_up(self, state: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return sequences (E, H, nu) that may bring a robot on its feet, from now, time 0, on."""
        count, legs, random = self._count, self._legs, self._random
        shares = random.random((2, count, len(self._low)))
        shares = np.where(random.random(shares.shape) < AT_BOUND, np.round(shares), shares)
        poses = self._low + shares[..., legs.alike] * (self._high - self._low)
        is_second = times > random.uniform(0.0, times[-1], (count, 1))
        sequences = np.where(is_second[..., None], poses[1, :, None], poses[0, :, None])
        share = np.minimum(times / random.uniform(*RISE, (count, 1)), 1.0)[..., None]
        rising = (1.0 - share) * state[legs.measured] + share * legs.stance
        # Also the first one is random: on a busy machine it may be the only one that is simulated.
        return np.where(random.random((count, 1, 1)) < RISES, rising, sequences)

    def sequence(self, times: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Return the actions (n, nu) at times (n,), s, that step with a velocity (3,)."""
        feet = len(self._gait.feet)
        if _is_standing(velocity):
            moved, load = np.zeros((3, feet, len(times))), np.full((feet, len(times)), 1.0 / feet)
            return self._legs.actions(moved, load)
        place, height = self._gait.swinging(times)
        forward, sideways, turning = self._gait.stride * velocity
        x, y, _ = self._legs.feet.T
        speed = np.stack((forward - turning * y, sideways + turning * x))  # (2, feet)
        length = speed * (1.0 - self._gait.swing) / self._gait.frequency
        moved = np.concatenate((length[..., None] * place, height[None]))
        carries = (height < LANDED).astype(float)
        return self._legs.actions(moved, carries / np.maximum(carries.sum(0), 1.0))


def _is_standing(velocity: np.ndarray) -> bool:
    """Return whether a velocity (3,) is that of a robot that is commanded to stand."""
    return bool((np.abs(velocity) < STANDING).all())


def from_content(content: Any) -> Gait:
    """Return the gait of a YAML file's content. Raises ConfigurationError if it is none."""
    try:
        given = dict(content["gait"])
        feet = {str(name): float(phase) for name, phase in given.pop("feet").items()}
        for name in ("spread", "drift"):
            if name in given:
                given[name] = tuple(map(float, given[name]))
        return Gait(feet=feet, **given)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{error if str(error) else type(error).__name__}; expected gait: with feet and "
            "velocity, and perhaps keyframe, frequency, swing, lift, spread, drift, stride, "
            "integral and fallen"
        ) from error
