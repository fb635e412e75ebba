# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""An arm of joints one after the other, by its kinematics alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.dynamics.arm_shapes import Capsule, between, capsule, distance_to
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.mjcf import load
from cem_planner_ros.dynamics.rigid_motion import Number, matrix, moved, plus, product, times, turn
from cem_planner_ros.errors import ConfigurationError, did_you_mean
from cem_planner_ros.paths import find
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

FAR = 1e3
"""The clearance of an arm that can touch nothing, m."""

POSES = 20_000
"""Number of random poses that show which geoms can come near each other."""

NEAR = 0.03
"""Clearance below which they are near, m."""


class SerialArm(Dynamics):
    """
    The joints between the base and the tip of an MJCF or URDF file; their speeds are the actions.

    q' = q + speed dt, with forward kinematics along the chain (Lynch and Park, Modern Robotics,
    chapter 4). It suits arms whose drives follow positions or speeds: `command.integrate` sends
    positions, and `action.lag` is the time in which the drives follow. Forces, and what the arm
    carries, are not considered. The other joints of the file, such as those of a gripper, stand as
    they are in the file.

    The states are the positions of the joints (NAME), the actions their speeds (NAME_speed). The
    outputs are the pose of the tip (tip_x, tip_y, tip_z, tip_qw, tip_qx, tip_qy, tip_qz), its
    `clearance`, the least distance, m, between geoms that may touch each other, negative in a
    contact, and `margin`, the least distance of a joint from its limits, rad or m. For the
    clearance the moving geoms are capsules, and meshes that stand still are their bounding boxes.
    What may touch each other is what MuJoCo's filter lets collide, except what is never near each
    other in a large sample of poses.

    Raises ConfigurationError if mujoco is not installed, if it cannot load the file, or if the
    file has no such tip or no joint before it.
    """

    parameters = (
        Parameter("file", "", "The MJCF or URDF file of the robot.", when=INACTIVE),
        Parameter(
            "tip",
            "tip",
            "Name of the site, or else of the body, whose pose is the output tip.",
            when=INACTIVE,
        ),
        Parameter(
            "speed",
            1.0,
            "Largest speed of each joint by default, in rad/s or m/s; action.low and action.high "
            "say it for one joint.",
            low=1e-3,
            when=INACTIVE,
        ),
    )

    file: str
    tip: str
    speed: torch.Tensor
    quaternion_names = (("tip_qw", "tip_qx", "tip_qy", "tip_qz"),)
    output_names = ("tip_x", "tip_y", "tip_z", *quaternion_names[0], "clearance", "margin")

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, device: torch.device | str = "cpu"
    ):
        super().__init__(values, device=device)
        try:
            import mujoco
        except ImportError as error:
            raise ConfigurationError(
                f"the model 'serial_arm' needs the package mujoco (pip install mujoco): {error}"
            ) from error
        self._model = model = load(find(self.file))
        self._data = data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        body, self._tip = self._find_tip(mujoco)
        chain = [body]
        while chain[0]:
            chain.insert(0, int(model.body_parentid[chain[0]]))
        self._bodies = chain[1:]
        self._joints = [
            [int(model.body_jntadr[each]) + number for number in range(model.body_jntnum[each])]
            for each in self._bodies
        ]
        joints = [joint for each in self._joints for joint in each]
        kinds = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
        wrong = [model.joint(joint).name for joint in joints if model.jnt_type[joint] not in kinds]
        if wrong or not joints:
            problem = f"the free or ball joint '{wrong[0]}'" if wrong else "no joint"
            raise ConfigurationError(
                f"file '{self.file}' has {problem} between the base and '{self.tip}', expected "
                "hinge and slide joints"
            )
        self._is_hinge = [int(model.jnt_type[joint]) == kinds[0] for joint in joints]
        self.state_names = tuple(model.joint(joint).name for joint in joints)
        self.action_names = tuple(f"{name}_speed" for name in self.state_names)
        speed = self.value("speed")
        self.action_low, self.action_high = (-speed,) * len(joints), (speed,) * len(joints)
        self.action_units = tuple("rad/s" if hinge else "m/s" for hinge in self._is_hinge)
        self._limits = [
            (row, float(model.jnt_range[joint][0]), float(model.jnt_range[joint][1]))
            for row, joint in enumerate(joints)
            if model.jnt_limited[joint]
        ]
        self._rest = model.qpos0[[int(model.jnt_qposadr[joint]) for joint in joints]]
        self._pairs = self._collisions()
        self._pairs = [pair for pair in self._pairs if self._comes_near(pair)]

    def _find_tip(self, mujoco) -> tuple[int, np.ndarray]:
        """Return the body of the tip, and the pose (4, 4) of the tip in its frame."""
        model, data = self._model, self._data
        sites = [model.site(index).name for index in range(model.nsite)]
        bodies = [model.body(index).name for index in range(model.nbody)]
        if self.tip in sites:
            site = model.site(self.tip).id
            body = int(model.site_bodyid[site])
            place, turned = data.site_xpos[site], data.site_xmat[site]
            return body, np.linalg.inv(self._frame(body)) @ _pose(place, turned)
        if self.tip in bodies:
            return int(model.body(self.tip).id), np.eye(4)
        known = [*filter(None, sites), *bodies[1:]]
        raise ConfigurationError(
            f"parameter 'dynamics.tip' is {self.tip!r}, allowed: a site or a body of file "
            f"'{self.file}', which has {', '.join(known)}{did_you_mean(self.tip, known)}"
        )

    def _frame(self, body: int) -> np.ndarray:
        """Return the pose (4, 4) of a body in the pose of the file."""
        return _pose(self._data.xpos[body], self._data.xmat[body])

    def _carrier(self, body: int) -> int:
        """Return the body of the chain that carries a body; 0 for what stands still."""
        while body and body not in self._bodies:
            body = int(self._model.body_parentid[body])
        moves = [self._bodies[i] for i, joints in enumerate(self._joints) if joints]
        before = self._bodies[: self._bodies.index(body) + 1] if body else []
        return body if any(each in moves for each in before) else 0

    def _collisions(self) -> list[tuple[Capsule, Any]]:
        """Return what may touch: a capsule, and another one or a function of a point."""
        model, found = self._model, []
        carriers = [self._carrier(int(body)) for body in model.geom_bodyid]
        solids: dict[int, Capsule] = {}
        for geom, carrier in enumerate(carriers):
            if carrier:
                pose = _pose(self._data.geom_xpos[geom], self._data.geom_xmat[geom])
                frame = np.linalg.inv(self._frame(carrier)) @ pose
                solids[geom] = capsule(model, geom, carrier, frame)
        excluded = {tuple(sorted((int(s) >> 16, int(s) & 0xFFFF))) for s in model.exclude_signature}
        for first in solids:
            for second, carrier in enumerate(carriers):
                if (carrier and second <= first) or not self._may_touch(first, second, excluded):
                    continue
                other = solids.get(second) or distance_to(model, self._data, second)
                found.append((solids[first], other))
        return found

    def _may_touch(self, first: int, second: int, excluded: set[tuple[int, ...]]) -> bool:
        """Return whether MuJoCo's filter lets two geoms collide."""
        model = self._model
        kinds, partners = model.geom_contype, model.geom_conaffinity
        if not (kinds[first] & partners[second] or kinds[second] & partners[first]):
            return False
        bodies = [int(model.geom_bodyid[geom]) for geom in (first, second)]
        if tuple(sorted(bodies)) in excluded:
            return False
        welds = [int(model.body_weldid[body]) for body in bodies]
        parents = [int(model.body_weldid[model.body_parentid[weld]]) for weld in welds]
        is_child = all(welds) and (welds[0] == parents[1] or welds[1] == parents[0])
        return welds[0] != welds[1] and not is_child

    @property
    def rest_state(self) -> np.ndarray:
        """The pose of the file (nx,)."""
        return self._rest.copy()

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the positions of the joints (nx, N) after `dt`, s."""
        return state + dt * action

    def output(self, state: torch.Tensor) -> torch.Tensor:
        """Return pose of the tip, clearance and margin, (9, N)."""
        poses = self._kinematics(state)
        attitude, rotation, origin = poses[self._bodies[-1]]
        place = moved(rotation, origin, self._tip[:3, 3].tolist())
        pose = [*place, *product(attitude, _quaternion(self._tip[:3, :3]))]
        rows = [*pose, self._clearance(poses), self._margin(state)]
        zero = torch.zeros_like(state[0])
        return torch.stack([row if isinstance(row, torch.Tensor) else zero + row for row in rows])

    def _kinematics(self, state: torch.Tensor) -> dict[int, tuple]:
        """Return {body: (quaternion, rotation matrix, origin)} of the bodies of the chain."""
        model, row, found = self._model, 0, {}
        attitude: list[Number] = [1.0, 0.0, 0.0, 0.0]
        origin: list[Number] = [0.0, 0.0, 0.0]
        rotation = matrix(attitude)
        for body, joints in zip(self._bodies, self._joints, strict=True):
            origin = moved(rotation, origin, model.body_pos[body].tolist())
            attitude = product(attitude, _rounded(model.body_quat[body]))
            for joint in joints:
                axis, anchor = _rounded(model.jnt_axis[joint]), _rounded(model.jnt_pos[joint])
                change = state[row] - float(self._rest[row])
                if not self._is_hinge[row]:
                    along = moved(matrix(attitude), (0.0, 0.0, 0.0), axis)
                    origin = [plus(a, times(b, change)) for a, b in zip(origin, along, strict=True)]
                elif any(anchor):
                    hinge = moved(matrix(attitude), origin, anchor)
                    attitude = product(attitude, turn(axis, change))
                    origin = moved(matrix(attitude), hinge, [-part for part in anchor])
                else:
                    attitude = product(attitude, turn(axis, change))
                row += 1
            rotation = matrix(attitude)
            found[body] = attitude, rotation, origin
        return found

    def _comes_near(self, pair: tuple[Capsule, Any]) -> bool:
        """Return whether two may touch in some pose, by the poses of a large sample."""
        random = np.random.default_rng(0)
        low, high = np.full((2, len(self.state_names)), [[-math.pi], [math.pi]])
        for row, least, most in self._limits:
            low[row], high[row] = least, most
        sample = random.uniform(low, high, (POSES, len(low))).T
        state = torch.as_tensor(sample, dtype=torch.float32, device=self.speed.device)
        gaps = self._gaps(pair, self._kinematics(state))
        return any(torch.is_tensor(gap) and bool((gap < NEAR).any()) for gap in gaps)

    def _gaps(self, pair: tuple[Capsule, Any], poses: Mapping[int, tuple]) -> list[Number]:
        """Return the distances of one from points of the other, or from the other."""
        solid, other = pair
        begin, end = _ends(solid, poses)
        if isinstance(other, Capsule):
            lengths = solid.length, other.length
            gap = between((begin, end), _ends(other, poses), lengths)
            return [gap - solid.radius - other.radius]
        points = [
            [
                plus(a, times(share, plus(b, times(-1.0, a))))
                for a, b in zip(begin, end, strict=True)
            ]
            for share in solid.shares
        ]
        return [other(p) - solid.radius for p in points if any(map(torch.is_tensor, p))]

    def _clearance(self, poses: Mapping[int, tuple]) -> Number:
        """Return the least distance between geoms that may touch."""
        least: Number = FAR
        for pair in self._pairs:
            for gap in self._gaps(pair, poses):
                if isinstance(gap, torch.Tensor):
                    least = torch.minimum(least, gap) if isinstance(least, torch.Tensor) else gap
        return least

    def _margin(self, state: torch.Tensor) -> Number:
        least: torch.Tensor | None = None
        for row, low, high in self._limits:
            half = 0.5 * (high - low)
            margin = half - torch.abs(state[row] - (low + half))
            least = margin if least is None else torch.minimum(least, margin)
        return FAR if least is None else least


def _pose(place: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Return a pose (4, 4) of a position (3,) and a rotation matrix (9,)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turned.reshape(3, 3), place
    return pose


def _ends(solid: Capsule, poses: Mapping[int, tuple]) -> tuple[list[Number], list[Number]]:
    """Return the ends of a capsule's segment in the world."""
    _, rotation, origin = poses[solid.body]
    begin, end = (moved(rotation, origin, _rounded(each)) for each in solid.ends)
    return begin, end


def _quaternion(rotation: np.ndarray) -> list[float]:
    import mujoco

    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, rotation.ravel())
    return _rounded(quaternion)


def _rounded(values: np.ndarray) -> list[float]:
    """Return numbers as floats, with those that are zero but for rounding as zero."""
    return [0.0 if abs(value) < 1e-12 else float(value) for value in values]
