# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A gait of a robot with legs, whose steps are candidates of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError, did_you_mean

STANDING = 0.02
"""Speeds below which a robot is commanded to stand, m/s and rad/s."""

TAIL = 2
"""Degrees of freedom of Student's t-distribution of the velocities that are drawn."""

MOST_DRIFT = 0.3
"""Largest integral of the velocity error, m/s and rad/s."""

LONGEST = 0.1
"""Longest time between two plans that is integrated over, s."""

SOFTEST = 1.0
"""Smallest stiffness of a servo with which a load is made up for, N m/rad."""

LANDED = 1e-6
"""Height below which a foot is on the ground, m; the sine of its step does not quite end at 0."""

MOST_CAUGHT = 1.5
"""Largest velocity of steps that catch the robot, as a multiple of its velocity."""

DAMPING = 1e-4
"""Damping of the inverse of a leg's Jacobian, m^2/rad^2, for legs that are nearly straight."""


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

    def __post_init__(self):
        for name, low, high in (
            ("frequency", 0.1, 20.0),
            ("swing", 0.05, 0.95),
            ("lift", 0.0, 1.0),
            ("stride", 0.1, 10.0),
            ("integral", 0.0, 10.0),
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
        self._legs = Legs(gait, dynamics)
        self.reset()

    def reset(self) -> None:
        """Begin the random velocities again, and the integral at the drift of the gait."""
        self._random = np.random.default_rng(self._seed)
        self._time, self._drift = np.inf, np.array(self._gait.drift)

    def __call__(self, state: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return sequences (E, H, nu) over steps between `edges` (H + 1,), s."""
        wanted = self._velocity()
        error = self._legs.velocity(state) - wanted
        self._learn(error, edges[0], wanted)
        drawn = self._random.standard_t(TAIL, (self._count, 3)) * self._gait.spread
        drawn[1::2] += self._random.uniform(0.0, MOST_CAUGHT, (self._count // 2, 1)) * error
        drawn[0] = 0.0
        if not _is_standing(wanted):
            drawn -= self._drift
        times = 0.5 * (edges[1:] + edges[:-1])
        sequences = np.array([self.sequence(times, wanted + one) for one in drawn])
        return np.clip(sequences, self._low, self._high)

    def _learn(self, error: np.ndarray, time: float, wanted: np.ndarray) -> None:
        """Integrate the difference of the velocity from the commanded one while it steps."""
        if time < self._time:  # A new run.
            self._drift[:] = self._gait.drift
        elif not _is_standing(wanted):
            self._drift += self._gait.integral * min(time - self._time, LONGEST) * error
            known = np.array(self._gait.drift)
            self._drift.clip(known - MOST_DRIFT, known + MOST_DRIFT, out=self._drift)
        self._time = time

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


class Legs:
    """
    What moves and loads the feet of a robot at a keyframe.

    Args:
        gait: names the feet and the keyframe.
        dynamics: the model, of a MuJoCo file whose actions are positions of joints.

    Raises ConfigurationError as `GaitCandidates`.
    """

    feet: np.ndarray
    """The places of the feet (feet, 3) in the frame of the base, m."""

    def __init__(self, gait: Gait, dynamics: Dynamics):
        import mujoco

        _check(gait, dynamics)
        self._mujoco, self._model = mujoco, dynamics.model
        model, self._data = self._model, mujoco.MjData(self._model)
        data = self._data
        mujoco.mj_resetDataKeyframe(model, data, model.key(gait.keyframe).id)
        mujoco.mj_forward(model, data)
        joints = [model.joint(dynamics.measured_by[name]) for name in dynamics.action_names]
        columns = [int(joint.dofadr[0]) for joint in joints]
        self._base = int(model.body_rootid[int(model.site(next(iter(gait.feet))).bodyid[0])])
        to_base = data.xmat[self._base].reshape(3, 3).T
        self._stance = np.array(dynamics.named_actions[f"keyframe:{gait.keyframe}"])
        weight = -to_base @ model.opt.gravity * model.body_subtreemass[self._base]
        stiffness = np.maximum(-model.actuator_biasprm[dynamics.actuators, 1], SOFTEST)
        places, inverses, sags = [], [], []
        for foot in gait.feet:
            site = model.site(foot)
            jacobian = np.zeros((3, model.nv))
            mujoco.mj_jacSite(model, data, jacobian, None, site.id)
            jacobian = to_base @ jacobian[:, columns]
            square = jacobian @ jacobian.T + DAMPING * np.eye(3)
            inverses.append(jacobian.T @ np.linalg.inv(square))
            sags.append(-jacobian.T @ weight / stiffness)
            places.append(to_base @ (data.site_xpos[site.id] - data.xpos[self._base]))
        self.feet = np.array(places)
        self._inverse, self._sag = np.array(inverses), np.array(sags)

    def actions(self, moved: np.ndarray, load: np.ndarray) -> np.ndarray:
        """
        Return the actions (n, nu) that move and load the feet.

        Args:
            moved: (3, feet, n), from where the feet are at the keyframe, m.
            load: (feet, n), share of the weight that each foot carries. A servo gives way by torque
                over stiffness, which the actions make up for.
        """
        bent = np.einsum("fuk,kfn->nu", self._inverse, moved)
        return self._stance + bent + np.einsum("fu,fn->nu", self._sag, load)

    def velocity(self, state: np.ndarray) -> np.ndarray:
        """Return forward, sideways, m/s, and turning velocity, rad/s, (3,) of the base."""
        model, data = self._model, self._data
        data.qpos[:], data.qvel[:] = np.split(state[: model.nq + model.nv], [model.nq])
        self._mujoco.mj_kinematics(model, data)
        self._mujoco.mj_comPos(model, data)
        self._mujoco.mj_comVel(model, data)
        found, body = np.zeros(6), self._mujoco.mjtObj.mjOBJ_BODY
        self._mujoco.mj_objectVelocity(model, data, body, self._base, found, 1)
        return np.array((found[3], found[4], found[2]))


def _is_standing(velocity: np.ndarray) -> bool:
    """Return whether a velocity (3,) is that of a robot that is commanded to stand."""
    return bool((np.abs(velocity) < STANDING).all())


def _check(gait: Gait, dynamics: Dynamics) -> None:
    """Raise ConfigurationError if a model cannot have a gait."""
    model = getattr(dynamics, "model", None)
    if model is None or f"keyframe:{gait.keyframe}" not in dynamics.named_actions:
        known = ", ".join(name.partition(":")[2] for name in dynamics.named_actions) or "none"
        raise ConfigurationError(
            f"a gait needs a MuJoCo file with the keyframe '{gait.keyframe}', the model has {known}"
        )
    sites = [model.site(index).name for index in range(model.nsite)]
    for foot in gait.feet:
        if foot not in sites:
            raise ConfigurationError(
                f"a gait has the foot '{foot}', allowed: a site of the file, which has "
                f"{', '.join(sites) or 'none'}{did_you_mean(foot, sites)}"
            )
    joints = [model.joint(index).name for index in range(model.njnt)]
    others = [
        name for name in dynamics.action_names if dynamics.measured_by.get(name) not in joints
    ]
    if others:
        raise ConfigurationError(
            f"a gait needs actions that are positions of joints, which {', '.join(others)} are not"
        )


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
            "velocity, and perhaps keyframe, frequency, swing, lift, spread, drift, stride and "
            "integral"
        ) from error
