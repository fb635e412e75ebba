# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The plants of the simulator node: MuJoCo, or a dynamics plugin."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cem_planner_ros.compile.cpu import Kernel, Trajectory
from cem_planner_ros.configuration import Configuration, configure
from cem_planner_ros.dynamics.mjcf import acting, control_range, load
from cem_planner_ros.dynamics.mocap import MocapBodies
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.planning.rollout import Rollout

PUSH = 0.2
"""Duration of a push, s."""

IMU_TYPE = "sensor_msgs/msg/Imu"

ODOMETRY_FIELDS = (
    *("x", "y", "z", "qw", "qx", "qy", "qz"),
    *("linear.x", "linear.y", "linear.z", "angular.x", "angular.y", "angular.z"),
)
"""The fields of nav_msgs/msg/Odometry, with the twist in the frame of the body."""

IMU_FIELDS = ("qw", "qx", "qy", "qz", "angular.x", "angular.y", "angular.z")
"""The fields of sensor_msgs/msg/Imu of a ball joint, with the rates in the frame of its body."""


class Plant(Protocol):
    """
    The interface of a plant for the simulator node.

    `state_fields` and `command_fields` are the message fields of state and action, in order.
    """

    state_topic: str
    command_topic: str
    """Default topics of states and commands."""
    state_type: str
    state_fields: dict[str, str]
    command_type: str
    command_fields: dict[str, str]
    action_range: np.ndarray
    """Half the range (nu,) of each action; the process noise is given in this unit."""
    idle: np.ndarray
    """The action (nu,) without commands."""

    def state(self) -> np.ndarray:
        """Return the state, in the order of `state_fields`."""

    def step(self, action: np.ndarray, duration: float) -> None:
        """Hold `action` (nu,) for `duration` s."""


@dataclass
class _Push:
    """A force (3,), N, in the world, on a body for so many more time steps."""

    body: int
    force: np.ndarray
    steps: int


class MujocoPlant:
    """
    A MuJoCo model as the plant.

    It begins at a keyframe, and without commands its action is that of this keyframe. All hinge and
    slide joints are published as joint states, bodies with a free joint as odometry, and ball
    joints as an IMU. The commands are for the actuators that the file does not disable. Mocap
    bodies are where references have them.

    Args:
        file: the MJCF or URDF file.
        keyframe: name of the first state. If empty, it is "start" if the file has this keyframe, or
            else the pose of the file, with the action zero.
        mocap: poses of mocap bodies, see `mocap.POSES`.
        mocap_topics: where references of mocap bodies come from, see `mocap.TOPICS`.
        allow_missing_meshes: whether geoms that collide are left out if their meshes are missing.

    Raises ConfigurationError if mujoco is not installed, the file cannot be loaded, or it has no
    such keyframe or mocap body.
    """

    state_type = "sensor_msgs/msg/JointState"
    state_topic = "joint_states"
    command_type = "std_msgs/msg/Float64MultiArray"
    command_topic = "effort"

    def __init__(
        self,
        file: str | Path,
        keyframe: str = "",
        mocap: Sequence[str] = (),
        mocap_topics: Sequence[str] = (),
        *,
        allow_missing_meshes: bool = False,
    ):
        try:
            import mujoco
        except ImportError as error:
            raise ConfigurationError(
                f"the plant 'mujoco' needs the package mujoco (pip install mujoco): {error}"
            ) from error
        self._mujoco = mujoco
        self._model = load(Path(file), allow_missing_meshes=allow_missing_meshes)
        self._mocap = MocapBodies(self._model, mocap, mocap_topics)
        self.reference_sources = self._mocap.sources
        """The topics of mocap bodies by the name of the reference."""
        self._data = mujoco.MjData(self._model)
        start = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_KEY, keyframe or "start")
        if start >= 0:
            mujoco.mj_resetDataKeyframe(self._model, self._data, start)
        elif keyframe:
            names = [self._model.key(i).name for i in range(self._model.nkey)]
            raise ConfigurationError(
                f"parameter 'start' is {keyframe!r}, allowed: a keyframe of file '{file}', which "
                f"has {', '.join(names) or 'none'}"
            )
        self._mocap.held[:] = np.hstack((self._data.mocap_pos, self._data.mocap_quat))
        single = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
        joints = [self._model.joint(i) for i in range(self._model.njnt)]
        self.free_joints, self.ball_joints = (
            {
                joint.name: self._model.body(joint.bodyid[0]).name
                for joint in joints
                if int(joint.type[0]) == int(kind)
            }
            for kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL)
        )
        """{joint: its body}."""
        joints = [joint for joint in joints if int(joint.type[0]) in map(int, single)]
        self._positions = [joint.qposadr[0] for joint in joints]
        self._velocities = [joint.dofadr[0] for joint in joints]
        self.state_fields = {
            f"{kind} {joint.name}": f"{kind}[{joint.name}]"
            for kind in ("position", "velocity")
            for joint in joints
        }
        self._actuators = acting(self._model)
        names = [self._model.actuator(i).name for i in self._actuators]
        self.command_fields = {name: f"data[{i}]" for i, name in enumerate(names)}
        self.idle = self._data.ctrl[self._actuators].copy()
        limits = control_range(self._model)[0][self._actuators]
        self.action_range = 0.5 * (limits[:, 1] - limits[:, 0])
        self._surplus = 0.0
        self.restarts = 0
        """How often the simulation became unstable; it then begins again at the file's pose."""
        self._moves = self._model.body_weldid[self._model.geom_bodyid] != 0
        self._is_ground = self._model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        self._touched: dict[str, None] = {}
        self._pushes: list[_Push] = []

    @property
    def time(self) -> float:
        """Simulated time, s."""
        return self._data.time

    def state(self) -> np.ndarray:
        """Return positions, then velocities, of all joints."""
        return np.concatenate((self._data.qpos[self._positions], self._data.qvel[self._velocities]))

    def physics_state(self) -> np.ndarray:
        """Return positions, speeds and activations of everything, as the model `mujoco` has it."""
        return np.concatenate((self._data.qpos, self._data.qvel, self._data.act))

    @property
    def touched(self) -> tuple[str, ...]:
        """The names of geoms, except the ground, that something touched, in order of touch."""
        return tuple(self._touched)

    def odometry(self, joint: str) -> np.ndarray:
        """Return what ODOMETRY_FIELDS of the body of a free joint are, shape (13,), m, rad, s."""
        first, dof = self._model.joint(joint).qposadr[0], self._model.joint(joint).dofadr[0]
        pose = self._data.qpos[first : first + 7]
        # MuJoCo has the velocity in the world, and the angular velocity in the body.
        linear, angular = np.split(self._data.qvel[dof : dof + 6], [3])
        to_body, in_body = np.zeros(4), np.zeros(3)
        self._mujoco.mju_negQuat(to_body, pose[3:])
        self._mujoco.mju_rotVecQuat(in_body, linear, to_body)
        return np.concatenate((pose, in_body, angular))

    def attitude(self, joint: str) -> np.ndarray:
        """Return what IMU_FIELDS of a ball joint are, shape (7,), rad/s: its states."""
        first, dof = self._model.joint(joint).qposadr[0], self._model.joint(joint).dofadr[0]
        return np.concatenate((self._data.qpos[first : first + 4], self._data.qvel[dof : dof + 3]))

    def move(self, references: Mapping[str, Reference], time: float) -> None:
        """Put mocap bodies where their references are at a time, s, on the clock of stamps."""
        poses = self._mocap.poses(references, np.array([time]))[0]
        self._data.mocap_pos[:], self._data.mocap_quat[:] = poses[:, :3], poses[:, 3:]

    def push(self, joint: str, impulse: np.ndarray) -> None:
        """Push the body of a free joint for PUSH s with an impulse (3,), N s, in the world."""
        body = int(self._model.joint(joint).bodyid[0])
        steps = max(1, round(PUSH / self._model.opt.timestep))
        self._pushes.append(_Push(body, impulse / (steps * self._model.opt.timestep), steps))
        self._apply_pushes()

    def _apply_pushes(self) -> None:
        """Apply the forces of all pushes that last, which add up."""
        self._data.xfrc_applied[:, :3] = 0.0
        for push in self._pushes:
            self._data.xfrc_applied[push.body, :3] += push.force

    def _end_step_of_pushes(self) -> None:
        """Count a time step of each push; end those that are over."""
        for push in self._pushes:
            push.steps -= 1
        self._pushes = [push for push in self._pushes if push.steps]
        self._apply_pushes()

    def step(self, action: np.ndarray, duration: float) -> None:
        """Step the physics; time of less than one step is kept for the next call."""
        self._data.ctrl[self._actuators] = action
        step = self._model.opt.timestep
        steps = int((self._surplus + duration) / step + 1e-9)
        self._surplus += duration - steps * step
        for _ in range(steps):
            before = self._data.time
            self._mujoco.mj_step(self._model, self._data)
            self.restarts += self._data.time < before
            if self._pushes:
                self._end_step_of_pushes()
            if self._data.ncon:
                self._note_contacts()

    def _note_contacts(self) -> None:
        """Add what is touched now: what stands still, or else the second one of two."""
        contacts = self._data.contact
        geoms = contacts.geom[(contacts.dist < 0.0) & ~self._is_ground[contacts.geom].any(axis=1)]
        for first, second in geoms:
            index = second if self._moves[first] else first
            self._touched[self._model.geom(index).name or f"geom {index}"] = None


class ModelPlant:
    """
    The planner's own model as the plant, integrated in steps of at most `max_step` s.

    The model is compiled as for planning if possible, so that the plant needs little CPU time
    beside a planner.

    Args:
        configuration: configuration of the planner, with model, message fields and types.
        start: the first state (nx,).
        max_step: longest step, s.
    """

    def __init__(self, configuration: Configuration, start: np.ndarray, max_step: float = 0.005):
        self._dynamics = configuration.dynamics
        if self._dynamics.rolls_out_itself:
            raise ConfigurationError(
                f"the plant 'model' is given {configuration.values['dynamics.plugin']}, allowed: a "
                "model in PyTorch; give the file of a physics engine to the plant 'mujoco'"
            )
        if configuration.values["state.sources"]:
            raise ConfigurationError(
                "the plant 'model' publishes its state on one topic, but state.sources is "
                f"{configuration.values['state.sources']}, allowed: none"
            )
        if any(row is not None for row in configuration.integrated_rows()):
            raise ConfigurationError(
                "the plant 'model' takes the actions of the model, but command.integrate sends "
                "positions in their place, allowed: empty"
            )
        names = self._dynamics.state_names
        if len(start) != len(names):
            raise ConfigurationError(
                f"parameter 'start' is {list(start)}, allowed: {len(names)} numbers, "
                f"for {', '.join(names)}"
            )
        self._state = np.asarray(start, np.float64)
        self._max_step = max_step
        rollout = Rollout(self._dynamics, [], max_step)
        self._of_steps: dict[int, Callable[..., np.ndarray]] = {}
        try:
            self._predict = functools.partial(Trajectory, Kernel(rollout))
        except Exception:  # Tracing runs the model, which may raise any error.
            self._predict = lambda steps: rollout.predict
        self.state_topic = configuration.values["state.topic"]
        self.command_topic = configuration.values["command.topic"]
        self.state_type = configuration.values["state.type"]
        self.state_fields = configuration.fields("state")
        self.command_type = configuration.values["command.type"]
        self.command_fields = configuration.fields("command")
        low, high = np.array(configuration.action("low")), np.array(configuration.action("high"))
        self.action_range = 0.5 * (high - low)
        self.idle = np.zeros(len(low))

    def reset(self, state: np.ndarray) -> None:
        """Begin again at a state (nx,)."""
        self._state = np.asarray(state, np.float64)

    def state(self) -> np.ndarray:
        """Return the state, in the order of the model's names."""
        return self._state

    def step(self, action: np.ndarray, duration: float) -> None:
        """Integrate over `duration` in equal steps."""
        steps = max(1, int(np.ceil(duration / self._max_step - 1e-9)))
        if steps not in self._of_steps:
            self._of_steps[steps] = self._predict(steps)
        actions = np.broadcast_to(action, (steps, len(action)))
        durations = np.full(steps, duration / steps)
        origin = self._dynamics.origin(self._state)
        start = self._state - origin
        self._state = self._of_steps[steps](start, actions, durations)[-1] + origin


def model_plant(values: Mapping[str, Any], planner_file: str, start: str) -> ModelPlant:
    """
    Return the plant with the model of a planner's YAML file.

    `start` has numbers separated by blanks, or is empty. Raises ConfigurationError if the file or
    `start` is missing or wrong.
    """
    if not planner_file:
        raise ConfigurationError("the plant 'model' needs the parameter 'planner_file'")
    configuration = configure(values | {"planner.device": "cpu"}, planner_file)
    count = len(configuration.dynamics.state_names)
    try:
        numbers = [float(number) for number in start.split()] or [0.0] * count
    except ValueError as error:
        raise ConfigurationError(f"parameter 'start' is {start!r}: {error}") from error
    return ModelPlant(configuration, np.array(numbers))
