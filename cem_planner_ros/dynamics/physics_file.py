# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What models of a physics file have in common: names of states, actions and outputs, warnings."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.mjcf import (
    OF_A_JOINT,
    ONE_AXIS,
    acting,
    control_range,
    followers,
    load,
    measured_by,
)
from cem_planner_ros.dynamics.mjcf_files import missing
from cem_planner_ros.dynamics.mjcf_sensors import output_names
from cem_planner_ros.dynamics.mocap import POSES, TOPICS, MocapBodies
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.paths import find
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

if TYPE_CHECKING:
    import mujoco


class PhysicsFile(Dynamics):
    """
    A model that simulates an MJCF or URDF file; subclasses implement `rollout`.

    The states are the positions of the joints (NAME), their speeds (NAME_dot), and the activations
    of actuators that have one (NAME_act). A ball joint has the positions NAME_qw, NAME_qx, NAME_qy,
    NAME_qz and the speeds NAME_wx, NAME_wy, NAME_wz. A free joint also has NAME_x, NAME_y, NAME_z
    and their speeds. A joint or actuator without a name is called joint or actuator plus the next
    free number.

    The actions are the actuators that the file does not disable, within their control range. If the
    file has none, it is derived from the limits of joint or force, or else a guess: [0, 1] for a
    muscle, [-1, 1] for other actuators. In a file without actuators, such as URDF, each hinge and
    slide joint gets a motor within its effort limit, unless the joint follows another one by an
    equality (mimic in URDF).

    The outputs are the sensors of the file, and those that `outputs` adds: NAME for one number,
    NAME_x, NAME_y, NAME_z for three, NAME_qw, NAME_qx, NAME_qy, NAME_qz for a quaternion, and
    NAME_0, NAME_1 and so on for others. An output is that of the end of the model step, but a force
    or an acceleration is that of its last time step, and touch and contact are the largest ones of
    the model step.

    A model step is a whole number of time steps, at least one; `planner.dt` should be a few of
    them. When a simulation becomes unstable, its states are NaN from then on.

    Raises ConfigurationError if mujoco is not installed, if it cannot load the file, or if no
    actuator of the file acts.
    """

    parameters: tuple[Parameter, ...] = (
        Parameter("file", "", "The MJCF or URDF file of the robot.", when=INACTIVE),
        Parameter(
            "outputs",
            [],
            "Sensors that are added to those of the file: NAME: SENSOR OBJECTS, where SENSOR is a "
            "sensor of MJCF and OBJECTS says of what, as in 'hand: framepos site grip', "
            "'com: subtreecom trunk', 'bump: contact body hand body table' or 'energy: e_kinetic'. "
            "A section {NAME: SENSOR OBJECTS} may be given too.",
            when=INACTIVE,
            has_entries=True,
        ),
        POSES,
        TOPICS,
        Parameter(
            "time_step",
            0.0,
            "Time step of the physics in rollouts; 0 for that of the file. A larger one makes "
            "plans faster and less exact.",
            unit="s",
            low=0.0,
            high=0.1,
            when=INACTIVE,
        ),
        Parameter(
            "allow_missing_meshes",
            False,
            "Whether geoms that collide are left out if their meshes are missing; geoms that only "
            "show something are left out in any case.",
            when=INACTIVE,
        ),
    )

    file: str
    outputs: list[str]
    mocap: list[str]
    allow_missing_meshes: bool
    mocap_topics: list[str]

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, device: torch.device | str = "cpu"
    ):
        super().__init__(values, device=device)
        try:
            import mujoco
        except ImportError as error:
            raise ConfigurationError(
                "the models 'mujoco' and 'mujoco_warp' need the package mujoco (pip install "
                f"mujoco): {error}"
            ) from error
        if not self.file:
            raise ConfigurationError(
                "parameter 'file' is missing, expected the MJCF or URDF file of the robot"
            )
        try:
            file = find(self.file)
        except ConfigurationError as error:
            raise ConfigurationError(f"parameter 'file' cannot be used: {error}") from error
        allowed = bool(self.allow_missing_meshes)
        self._remarks: list[str] = []
        self.model = load(file, self.outputs, allow_missing_meshes=allowed, remarks=self._remarks)
        if self.value("time_step"):
            self.model.opt.timestep = self.value("time_step")
        model, full = self.model, mujoco.mjtState.mjSTATE_FULLPHYSICS
        if mujoco.mj_stateSize(model, full) != 1 + model.nq + model.nv + model.na:
            raise ConfigurationError(
                f"file '{file}' has a state besides positions, speeds and activations, as of "
                "plugins or delays, which is not supported"
            )
        self._name_states(mujoco)
        self.sensors = Sensors(model, self.state_names)
        self.output_names = self.sensors.names
        self.quaternion_names += self.sensors.quaternions
        self.actuators = acting(model)
        """The index in the file of the actuator of each action."""
        self.action_names = tuple(model.actuator(index).name for index in self.actuators)
        limits, guessed = (each[self.actuators] for each in control_range(model))
        self.action_low, self.action_high = (tuple(map(float, bounds)) for bounds in limits.T)
        self.guessed_actions = tuple(
            name for name, is_guess in zip(self.action_names, guessed, strict=True) if is_guess
        )
        self.action_units = ("",) * len(self.actuators)
        self.measured_by = measured_by(model, self.actuators)
        self.named_actions = self._keyframes()
        self.mocap_bodies = MocapBodies(model, self.mocap, self.mocap_topics)
        self.reference_sources = self.mocap_bodies.sources
        self.references: Mapping[str, Reference] = {}
        """The references of `reference_sources` that are known."""
        self.begin = 0.0
        """When the plan begins, s, on the clock of the references."""

    def check(self) -> None:
        """
        Raise ConfigurationError also, naming the file.

        It is raised if nothing in the file moves or is driven, or two states have the same name.
        """
        if not self.action_names:
            what = (
                "no actuator, and no hinge or slide joint that could get a motor"
                if self.state_names
                else "no joint"
            )
            raise ConfigurationError(
                f"file '{self.file}' has {what}, expected a robot with at least one actuator: add "
                "them to the file, or include it in a scene that has them"
            )
        for name, count in Counter(self.state_names).items():
            if count > 1:
                raise ConfigurationError(
                    f"file '{self.file}' has {count} states called '{name}', expected different "
                    "names: the speed of joint NAME is NAME_dot, the activation of actuator NAME "
                    "is NAME_act; rename a joint or an actuator"
                )
        for name in (*self.state_names, *self.action_names):
            if "." in name:
                raise ConfigurationError(
                    f"file '{self.file}' has a joint or an actuator whose name has a dot, "
                    f"'{name}', expected none, since dots separate the parts of a parameter's "
                    "name: rename it in the file"
                )
        super().check()

    def warnings(self) -> list[str]:
        """Return warnings about joints and actuators of the file."""
        model = self.model
        found = [f"file '{self.file}': MuJoCo says: {text}" for text in self._remarks]
        idle = [model.actuator(i).name for i in range(model.nu) if i not in self.actuators]
        if idle:
            found.append(
                f"file '{self.file}' disables the groups of the actuators {', '.join(idle)} "
                "(actuatorgroupdisable): they are no actions"
            )
        derived = [
            name
            for name, index in zip(self.action_names, self.actuators, strict=True)
            if not model.actuator_ctrllimited[index] and name not in self.guessed_actions
        ]
        if derived:
            found.append(
                f"file '{self.file}' gives no control range (ctrlrange) of {', '.join(derived)}: "
                "the defaults of action.low and action.high are derived from the limits of the "
                "joint or of the force"
            )
        left_out = missing(find(self.file), bool(self.allow_missing_meshes))
        if left_out.files:
            found.append(
                f"file '{self.file}' names {len(left_out.files)} meshes and textures that do not "
                f"exist or that MuJoCo does not read, such as {left_out.files[0]}: what they show "
                "is left out, and nothing collides with it"
            )
        if left_out.bodies:
            found.append(
                f"file '{self.file}' lacks meshes with which the bodies "
                f"{', '.join(left_out.bodies)} collide: plans may lead them through obstacles"
            )
        return found + self._joint_warnings()

    def _joint_warnings(self) -> list[str]:
        """Return warnings about joints that follow others, or have several drivers."""
        model, found = self.model, []
        drivers: dict[int, list[str]] = {}
        for index, name in zip(self.actuators, self.action_names, strict=True):
            if model.actuator(index).trntype[0] in OF_A_JOINT:
                drivers.setdefault(int(model.actuator(index).trnid[0]), []).append(name)
        led = []
        for joint, leader in followers(model).items():
            follows = f"'{model.joint(leader).name}'" if leader >= 0 else "a fixed position"
            name = f"joint '{model.joint(joint).name}' of file '{self.file}'"
            if joint in drivers and leader >= 0 and leader not in drivers:
                continue  # The leader has no other driver, so it follows this joint.
            if joint in drivers:
                found.append(
                    f"{name} follows {follows} by an equality, yet is driven by "
                    f"{', '.join(drivers[joint])}: the action works against the equality"
                )
            else:
                led.append(f"{model.joint(joint).name} ({follows})")
        if led:
            found.append(
                f"joints of file '{self.file}' follow others by an equality, {', '.join(led)}: "
                "they are no actions"
            )
        found += [
            f"joint '{model.joint(joint).name}' of file '{self.file}' is driven by "
            f"{len(names)} actions at once, {', '.join(names)}: their forces add up"
            for joint, names in drivers.items()
            if len(names) > 1 and model.jnt_type[joint] in ONE_AXIS
        ]
        return found

    @property
    def rest_state(self) -> np.ndarray:
        """The state (nx,) at rest in the pose of `rest_keyframe`."""
        model, key = self.model, self.rest_keyframe
        positions = model.qpos0 if key < 0 else model.key_qpos[key]
        return np.concatenate((positions, np.zeros(model.nv + model.na)))

    @property
    def rest_keyframe(self) -> int:
        """The index of the keyframe home or start, or of the first one; -1 if there is none."""
        names = [self.model.key(index).name for index in range(self.model.nkey)]
        usual = (names.index(name) for name in ("home", "start") if name in names)
        return next(usual, 0 if names else -1)

    def check_dt(self, dt: float) -> None:
        """Raise ConfigurationError if `dt`, s, is less than a time step."""
        step, of_file = self.model.opt.timestep, not self.value("time_step")
        if dt < (1.0 - 1e-6) * step:
            source = f"the time step of file '{self.file}'" if of_file else "dynamics.time_step"
            raise ConfigurationError(
                f"parameter 'planner.dt' is {dt}, allowed: at least {source}, which is {step:g} s"
            )

    def set_references(self, references: Mapping[str, Reference], time: float) -> None:
        """Move mocap bodies along their references, in rollouts that begin at `time`, s."""
        self.references, self.begin = references, time

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the state (nx, N) after the time steps that fit into `dt`, s."""
        return self.rollout(state, action.unsqueeze(0), dt.reshape(1))[0, : len(state)]

    @abstractmethod
    def rollout(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """Return the signals (H, nx + ny, N); arguments as in `Dynamics.rollout`."""

    def step_ends(self, durations: torch.Tensor) -> np.ndarray:
        """Return how many time steps have passed at the end of each of the H steps."""
        counts = durations.cpu().numpy().astype(np.float64) / self.model.opt.timestep
        steps = np.maximum(1, np.diff(np.round(np.cumsum(counts)), prepend=0.0)).astype(int)
        return np.cumsum(steps)

    def _keyframes(self) -> dict[str, tuple[float, ...]]:
        """
        Return {keyframe:NAME: action (nu,)} of the named keyframes.

        If all controls of a keyframe are zero, because only its pose is given, an actuator that
        controls a position holds the pose.
        """
        model, found = self.model, {}
        rows = {name: row for row, name in enumerate(self.state_names)}
        for key in range(model.nkey):
            name, controls = model.key(key).name, model.key_ctrl[key][self.actuators].copy()
            for action, state in self.measured_by.items() if not controls.any() else ():
                if rows[state] < model.nq:
                    controls[self.action_names.index(action)] = model.key_qpos[key][rows[state]]
            if name:
                found[f"keyframe:{name}"] = tuple(map(float, controls))
        return found

    def _name_states(self, mujoco) -> None:
        model = self.model
        point, ball = ("x", "y", "z"), ("qw", "qx", "qy", "qz")
        positions, speeds, angles, quaternions = [], [], [], []
        for index in range(model.njnt):
            joint = model.joint(index)
            name = joint.name
            kind = int(joint.type[0])
            if kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL):
                quaternions.append(tuple(f"{name}_{part}" for part in ball))
            if kind == mujoco.mjtJoint.mjJNT_FREE:
                positions += [f"{name}_{part}" for part in (*point, *ball)]
                speeds += [f"{name}_{part}_dot" for part in point]
                speeds += [f"{name}_w{part}" for part in point]
            elif kind == mujoco.mjtJoint.mjJNT_BALL:
                positions += [f"{name}_{part}" for part in ball]
                speeds += [f"{name}_w{part}" for part in point]
            else:
                positions.append(name)
                speeds.append(f"{name}_dot")
                if kind == mujoco.mjtJoint.mjJNT_HINGE and not model.jnt_limited[index]:
                    angles.append(name)
        activations = [
            f"{model.actuator(index).name}_act{part or ''}"
            for index in range(model.nu)
            for part in range(max(0, model.actuator_actnum[index]))
        ]
        self.state_names = (*positions, *speeds, *activations)
        self.angle_names = tuple(angles)
        self.quaternion_names = tuple(quaternions)


class Sensors:
    """
    The sensors of a model as outputs.

    A time step of MuJoCo begins with the sensors of positions and velocities, for the state before
    the step. Those of the state after a model step therefore belong to the next time step.
    """

    def __init__(self, model: mujoco.MjModel, states: Iterable[str]):
        import mujoco

        of_each = output_names(model, set(states))
        self.names = tuple(name for names in of_each for name in names)
        self.quaternions = tuple(names for names in of_each if names[0].endswith("_qw"))
        """The names (w, x, y, z) of each quaternion among them."""
        size = model.sensor_dim
        is_late = (model.sensor_needstage == mujoco.mjtStage.mjSTAGE_ACC).repeat(size)
        kinds = int(mujoco.mjtSensor.mjSENS_TOUCH), int(mujoco.mjtSensor.mjSENS_CONTACT)
        is_peak = np.isin(model.sensor_type, kinds).repeat(size)
        self.of_next = np.flatnonzero(~is_late)
        """The rows of positions and velocities, which the next time step computes."""
        self.peaks = np.flatnonzero(is_peak)
        """The rows of touch and contact, of which a model step has the largest ones."""
        self.needs_next = bool(len(self.of_next))
        """Whether a rollout must go on for a time step after its last model step."""
