# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The legs of a robot around a pose: what moves and loads its feet, and how its base moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError, did_you_mean

SOFTEST = 1.0
"""Smallest stiffness of a servo with which a load is made up for, N m/rad."""

DAMPING = 1e-4
"""Damping of the inverse of a leg's Jacobian, m^2/rad^2, for legs that are nearly straight."""


class Base(NamedTuple):
    """
    How the base of a robot with legs moves and stands.

    Attributes:
        velocity: (3,), forward, sideways, m/s, and turning, rad/s, in the frame of the base.
        tilt: angle between the axis of the base that is vertical at the keyframe and the vertical,
            rad.
        height: over the lowest foot, m.
    """

    velocity: np.ndarray
    tilt: float
    height: float


class Legs:
    """
    What moves and loads the feet of a robot at a keyframe.

    Args:
        feet: sites of the feet.
        keyframe: the pose around which the feet move, with its controls.
        dynamics: the model, of a MuJoCo file whose actions are positions of joints.

    Raises ConfigurationError if the file lacks a foot or the keyframe, or has other actuators.
    """

    feet: np.ndarray
    """The places of the feet (feet, 3) in the frame of the base, m."""
    stance: np.ndarray
    """The actions (nu,) of the keyframe."""
    measured: np.ndarray
    """The rows (nu,) of the states that the actions command."""
    alike: np.ndarray
    """
    For each action the one whose share of the range it has if the legs of a side move alike (nu,).

    The joints of a leg count from the base on.
    """
    height: float
    """Of the base over the lowest foot, m."""

    def __init__(self, feet: Iterable[str], keyframe: str, dynamics: Dynamics):
        import mujoco

        feet = tuple(feet)
        _check(feet, keyframe, dynamics)
        self._mujoco, self._model = mujoco, dynamics.model
        model, self._data = self._model, mujoco.MjData(self._model)
        data = self._data
        mujoco.mj_resetDataKeyframe(model, data, model.key(keyframe).id)
        mujoco.mj_forward(model, data)
        joints = [model.joint(dynamics.measured_by[name]) for name in dynamics.action_names]
        columns = [int(joint.dofadr[0]) for joint in joints]
        self._sites = [model.site(foot).id for foot in feet]
        self._base = int(model.body_rootid[model.site_bodyid[self._sites[0]]])
        to_base = data.xmat[self._base].reshape(3, 3).T
        self._up = to_base[:, 2].copy()
        self.stance = np.array(dynamics.named_actions[f"keyframe:{keyframe}"])
        self.measured = np.array(
            [dynamics.state_names.index(dynamics.measured_by[n]) for n in dynamics.action_names]
        )
        weight = -to_base @ model.opt.gravity * model.body_subtreemass[self._base]
        stiffness = np.maximum(-model.actuator_biasprm[dynamics.actuators, 1], SOFTEST)
        jacobians = []
        for site in self._sites:
            jacobian = np.zeros((3, model.nv))
            mujoco.mj_jacSite(model, data, jacobian, None, site)
            jacobians.append(to_base @ jacobian[:, columns])
        self._inverse = np.array(
            [each.T @ np.linalg.inv(each @ each.T + DAMPING * np.eye(3)) for each in jacobians]
        )
        self._sag = np.array([-each.T @ weight / stiffness for each in jacobians])
        self.feet = (data.site_xpos[self._sites] - data.xpos[self._base]) @ to_base.T
        self.alike = _alike(jacobians, self.feet)
        self.height = self._height()

    def actions(self, moved: np.ndarray, load: np.ndarray) -> np.ndarray:
        """
        Return the actions (n, nu) that move and load the feet.

        Args:
            moved: (3, feet, n), from where the feet are at the keyframe, m.
            load: (feet, n), share of the weight that each foot carries. A servo gives way by torque
                over stiffness, which the actions make up for.
        """
        bent = np.einsum("fuk,kfn->nu", self._inverse, moved)
        return self.stance + bent + np.einsum("fu,fn->nu", self._sag, load)

    def base(self, state: np.ndarray) -> Base:
        """Return how the base moves and stands in a state (nx,)."""
        model, data = self._model, self._data
        data.qpos[:], data.qvel[:] = np.split(state[: model.nq + model.nv], [model.nq])
        self._mujoco.mj_kinematics(model, data)
        self._mujoco.mj_comPos(model, data)
        self._mujoco.mj_comVel(model, data)
        found, body = np.zeros(6), self._mujoco.mjtObj.mjOBJ_BODY
        self._mujoco.mj_objectVelocity(model, data, body, self._base, found, 1)
        upright = (data.xmat[self._base].reshape(3, 3) @ self._up)[2]
        tilt = float(np.arccos(np.clip(upright, -1.0, 1.0)))
        return Base(np.array((found[3], found[4], found[2])), tilt, self._height())

    def _height(self) -> float:
        data = self._data
        return float(data.xpos[self._base, 2] - data.site_xpos[self._sites, 2].min())


def _alike(jacobians: Sequence[np.ndarray], feet: np.ndarray) -> np.ndarray:
    """Return `Legs.alike` (nu,) of the Jacobians (3, nu) of feet at places (feet, 3)."""
    alike = np.arange(jacobians[0].shape[1])
    first: dict[tuple[bool, int], int] = {}
    for jacobian, foot in zip(jacobians, feet, strict=True):
        for place, action in enumerate(np.flatnonzero(np.abs(jacobian).max(0))):
            alike[action] = first.setdefault((foot[1] > 0.0, place), action)
    return alike


def _check(feet: Iterable[str], keyframe: str, dynamics: Dynamics) -> None:
    """Raise ConfigurationError if a model cannot have such legs."""
    model = getattr(dynamics, "model", None)
    if model is None or f"keyframe:{keyframe}" not in dynamics.named_actions:
        known = ", ".join(name.partition(":")[2] for name in dynamics.named_actions) or "none"
        raise ConfigurationError(
            f"a gait needs a MuJoCo file with the keyframe '{keyframe}', the model has {known}"
        )
    sites = [model.site(index).name for index in range(model.nsite)]
    for foot in feet:
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
