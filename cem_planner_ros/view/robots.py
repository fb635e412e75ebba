# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Where the bodies of a robot are, from its state: from a model file, or from the states' names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.dynamics import mjcf
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import JOINT_STATE, POSITION, QUATERNION
from cem_planner_ros.paths import find

ENDINGS = (".xml", ".urdf", ".mjcf")
"""Of the files of models that show the robot; others hold networks."""

TIP = "tip"
"""Name of the site whose way is drawn as that of a plan."""

CART = """
<mujoco><worldbody>
  <geom type="capsule" fromto="-3 0 0 3 0 0" size="0.02" rgba=".6 .6 .6 1"/>
  <body><joint name="x" type="slide" axis="1 0 0"/>
    <geom type="box" size="{cart} {half_cart} {half_cart}" rgba=".2 .4 .8 1"/>
    <body><joint name="theta" axis="0 1 0"/>
      <geom type="capsule" fromto="0 0 0 0 0 {length}" size="{thick}" rgba=".9 .5 .1 1"/>
      <site name="tip" pos="0 0 {length}"/>
    </body></body>
</worldbody></mujoco>"""

PENDULUM = """
<mujoco><worldbody>
  <geom type="sphere" size="{thick}" rgba=".6 .6 .6 1"/>
  <body><joint name="theta" axis="0 1 0"/>
    <geom type="capsule" fromto="0 0 0 0 0 {length}" size="{thick}" rgba=".9 .5 .1 1"/>
    <site name="tip" pos="0 0 {length}"/>
  </body>
</worldbody></mujoco>"""

ARM_LINK = """
  <body pos="{before} 0 0"><joint name="{joint}" axis="0 -1 0"/>
    <geom type="capsule" fromto="0 0 0 {length} 0 0" size="{thick}" rgba="{colour} 1"/>"""

FLYING = """
<mujoco><worldbody>
  <body><joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/>
    <joint name="z" type="slide" axis="0 0 1"/><joint name="q" type="ball"/>
    <geom type="box" size=".25 .02 .01" euler="0 0 45" rgba=".3 .3 .3 1"/>
    <geom type="box" size=".25 .02 .01" euler="0 0 -45" rgba=".3 .3 .3 1"/>
    <geom type="cylinder" size=".09 .005" pos=".18 .18 .03" rgba=".9 .5 .1 1"/>
    <geom type="cylinder" size=".09 .005" pos=".18 -.18 .03" rgba=".9 .5 .1 1"/>
    <geom type="cylinder" size=".09 .005" pos="-.18 .18 .03" rgba=".2 .4 .8 1"/>
    <geom type="cylinder" size=".09 .005" pos="-.18 -.18 .03" rgba=".2 .4 .8 1"/>
    <site name="tip"/>
  </body>
</worldbody></mujoco>"""

PLANAR = """
<mujoco><asset>
  <mesh name="outline" vertex="{vertices}"/>
</asset><worldbody>
  <body><joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/>
    <joint name="yaw" axis="0 0 1"/>
    <geom type="mesh" mesh="outline" rgba=".2 .4 .8 1"/>
    <geom type="box" size="{nose} {thin} {thin}" pos="{front} 0 {height}" rgba=".9 .5 .1 1"/>
    <site name="tip"/>
  </body>
</worldbody></mujoco>"""

BALL = """
<mujoco><worldbody>
  <body><joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/>
    <joint name="z" type="slide" axis="0 0 1"/>
    <geom type="sphere" size=".05" rgba=".2 .4 .8 1"/><site name="tip"/>
  </body>
</worldbody></mujoco>"""


class Poses(NamedTuple):
    """Poses of the bodies of a robot in k states."""

    positions: np.ndarray  # (k, body, 3), m
    quaternions: np.ndarray  # (k, body, 4), w x y z
    tips: np.ndarray  # (k, 3), m, the point whose way is drawn


class Robot:
    """
    A robot as bodies of MuJoCo, moved by a state without simulating anything.

    Args:
        model: the bodies and joints. Each position of a joint is the state of this name, or the
            state that is read from this joint of a JointState. Others keep their default, but if
            x, y and yaw belong to no joint, they are the pose of the free joint or else of all.
        names: names of the states.
        fields: {state: field of its message}.
    """

    def __init__(
        self, model: mujoco.MjModel, names: Sequence[str], fields: Mapping[str, str] | None = None
    ):
        self.model = model
        self._data = mujoco.MjData(model)
        rows = {name: row for row, name in enumerate(names)}
        read = {name: JOINT_STATE.match(field) for name, field in (fields or {}).items()}
        by_joint = {
            match[2]: (name, float(f"{match[3] or '+'}{match[4] or 0}"))
            for name, match in read.items()
            if match and match[1] == "position"
        }
        free = [j for j in range(model.njnt) if len(_parts(model, j)) > 1]
        moved: list[tuple[int, int, float]] = []
        used = set()
        for joint in range(model.njnt):
            prefix = model.joint(joint).name
            for index, part in enumerate(_parts(model, joint)):
                name, offset = f"{prefix}_{part}" if part else prefix, 0.0
                if name not in rows and len(free) == 1 and part:
                    name = part
                if name not in rows:
                    name, offset = by_joint.get(name, (name, 0.0))
                if name in rows:
                    used.add(name)
                    moved.append((int(model.jnt_qposadr[joint]) + index, rows[name], offset))
        self.is_moved = bool(moved)
        """Whether any state moves it."""
        self._qpos = [place for place, _, _ in moved]
        self._states = [row for _, row, _ in moved]
        self._offsets = np.array([offset for _, _, offset in moved])
        self.is_planar = is_planar = {"x", "y", "yaw"} <= rows.keys()
        """Whether its states are a pose in the plane."""
        self.is_moved |= is_planar
        self._yaw = rows["yaw"] if is_planar and "yaw" not in used else None
        self._whole = [rows["x"], rows["y"]] if is_planar and "x" not in used else None
        self._free = None
        if self._yaw is not None and self._whole is None and free:
            self._free = int(model.jnt_qposadr[free[0]])
        self._tip = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, TIP)
        is_floating = bool(model.njnt) and model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
        self._tip_body = int(model.jnt_bodyid[0]) if is_floating else model.nbody - 1

    def poses(self, states: np.ndarray) -> Poses:
        """Return where the bodies are in states (k, nx)."""
        model, data = self.model, self._data
        found = Poses(
            *(np.zeros((len(states), *s)) for s in ((model.nbody, 3), (model.nbody, 4), (3,)))
        )
        for index, state in enumerate(states):
            data.qpos[self._qpos] = state[self._states] - self._offsets
            if self._free is not None:
                half = 0.5 * state[self._yaw]
                data.qpos[self._free + 3 : self._free + 7] = math.cos(half), 0, 0, math.sin(half)
            mujoco.mj_kinematics(model, data)
            found.positions[index], found.quaternions[index] = data.xpos, data.xquat
            found.tips[index] = (
                data.site_xpos[self._tip] if self._tip >= 0 else data.xipos[self._tip_body]
            )
        if self._whole is not None:
            _move(found, states[:, self._whole], states[:, self._yaw])
        return found


def _move(poses: Poses, places: np.ndarray, yaw: np.ndarray) -> None:
    """Turn and move poses in place, each by its pose in the plane: (k, 2) and (k,)."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.zeros((len(yaw), 3, 3))
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = cos, -sin, sin, cos
    turn[:, 2, 2] = 1.0
    shift = np.pad(places, ((0, 0), (0, 1)))
    poses.positions[:] = np.einsum("kij,kbj->kbi", turn, poses.positions) + shift[:, None]
    poses.tips[:] = np.einsum("kij,kj->ki", turn, poses.tips) + shift
    w, z = np.cos(0.5 * yaw)[:, None], np.sin(0.5 * yaw)[:, None]
    old_w, old_x, old_y, old_z = np.moveaxis(poses.quaternions.copy(), -1, 0)
    poses.quaternions[:] = np.stack(
        (
            w * old_w - z * old_z,
            w * old_x - z * old_y,
            w * old_y + z * old_x,
            w * old_z + z * old_w,
        ),
        -1,
    )


def _parts(model: mujoco.MjModel, joint: int) -> tuple[str, ...]:
    """Return what follows the name of a joint in the names of its positions."""
    kind = int(model.jnt_type[joint])
    if kind == mujoco.mjtJoint.mjJNT_FREE:
        return POSITION + QUATERNION
    return QUATERNION if kind == mujoco.mjtJoint.mjJNT_BALL else ("",)


def from_configuration(configuration: Configuration, file: str = "") -> Robot | None:
    """
    Return the robot that a configuration describes; None if nothing says what it looks like.

    Args:
        configuration: the configuration of the planner.
        file: MJCF or URDF file of the robot; "" for that of the model, if it has one.

    Raises ConfigurationError if the file cannot be read.
    """
    names, values = configuration.dynamics.state_names, configuration.values
    of_model = str(values.get("dynamics.file", ""))
    if not file and of_model.endswith(ENDINGS):
        file = of_model
    if file:
        return from_file(find(file), names, configuration.fields("state"))
    footprint = configuration.footprint
    outline = None if footprint is None else footprint.at(0.0, 0.0, 0.0)
    return from_names(names, values, outline)


def from_file(file: Path, names: Sequence[str], fields: Mapping[str, str]) -> Robot:
    """
    Return the robot of an MJCF or URDF file.

    Raises ConfigurationError if the file cannot be loaded, or no state moves the robot.
    """
    robot = Robot(mjcf.load(file), names, fields)
    if not robot.is_moved:
        joints = [robot.model.joint(index).name for index in range(robot.model.njnt)]
        raise ConfigurationError(
            f"no state moves a joint of {file}: the states are {', '.join(names)}, the joints "
            f"{', '.join(joints) or 'none'}; a joint is moved by the state of its name, or by that "
            "which state.fields reads from it"
        )
    return robot


def from_names(
    names: Sequence[str], values: Mapping[str, Any], outline: np.ndarray | None = None
) -> Robot | None:
    """
    Return a robot that is drawn from the names of its states; None if they say nothing.

    Args:
        names: names of the states.
        values: parameters of the node, for lengths.
        outline: (m, 2), m, the footprint of a robot that drives.
    """
    known = set(names)

    def number(name: str, default: float) -> float:
        value = values.get(f"dynamics.{name}", default)
        return float(value) if isinstance(value, (int, float)) else default

    if {"x", "theta"} <= known:
        length = 2.0 * number("half_length", 0.5)
        text = CART.format(
            length=length, cart=0.15 * length, half_cart=0.08 * length, thick=0.02 * length
        )
    elif {"x", "y", "z", *QUATERNION} <= known:
        text = FLYING
    elif {"x", "y", "yaw"} <= known:
        text = _planar(outline)
    elif {"x", "y"} <= known:
        text = BALL
    elif "theta" in known:
        length = number("length", 1.0)
        text = PENDULUM.format(length=length, thick=0.03 * length)
    else:
        joints = [name for name in names if f"{name}_dot" in known]
        if not joints:
            return None
        text = _arm(joints, [number(f"{part}_length", 0.5) for part in ("upper", "lower")])
    return Robot(mujoco.MjModel.from_xml_string(text), names)


def _planar(outline: np.ndarray | None) -> str:
    if outline is None:
        outline = np.array([[0.25, 0.2], [-0.25, 0.2], [-0.25, -0.2], [0.25, -0.2]])
    size = float(np.abs(outline).max())
    corners = [(*corner, z) for z in (0.02, 0.4 * size) for corner in outline]
    front = float(outline[:, 0].max())
    return PLANAR.format(
        vertices=" ".join(f"{value:.5f}" for corner in corners for value in corner),
        nose=0.3 * size,
        thin=0.06 * size,
        front=front - 0.3 * size,
        height=0.45 * size,
    )


def _arm(joints: Sequence[str], lengths: Sequence[float]) -> str:
    """Return an arm in a vertical plane, which is stretched along x where all angles are zero."""
    links, before = [], 0.0
    for index, joint in enumerate(joints):
        length = lengths[index] if index < len(lengths) else 0.4
        colour = ".2 .4 .8" if index % 2 == 0 else ".9 .5 .1"
        links.append(
            ARM_LINK.format(
                before=before, joint=joint, length=length, thick=0.06 * length, colour=colour
            )
        )
        before = length
    end = f'<site name="{TIP}" pos="{before} 0 0"/>'
    return (
        "<mujoco><worldbody>"
        + "".join(links)
        + end
        + "</body>" * len(joints)
        + "</worldbody></mujoco>"
    )
