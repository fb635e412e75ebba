"""A physics engine as the model: any MJCF or URDF file in MuJoCo."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import find
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

if TYPE_CHECKING:
    import mujoco

_OF_A_JOINT = (0, 1)
"""mjTRN_JOINT and mjTRN_JOINTINPARENT: transmissions to a joint."""


class Mujoco(Dynamics):
    """
    The physics of an MJCF or URDF file; MuJoCo simulates candidates in CPU threads.

    The states are the positions of the joints (NAME), their speeds (NAME_dot), and the activations
    of actuators that have one (NAME_act). A ball joint has the positions NAME_qw, NAME_qx, NAME_qy,
    NAME_qz and the speeds NAME_wx, NAME_wy, NAME_wz. A free joint also has NAME_x, NAME_y, NAME_z
    and their speeds. A joint or actuator without a name is called joint or actuator plus the next
    free number. The actions are the actuators that the file does not disable, within their control
    range. If the file has no control range, the bounds are a guess: [0, 1] for a muscle, [-1, 1]
    for other actuators. In a file without actuators, such as URDF, each hinge and slide joint gets
    a motor within its effort limit, unless the joint follows another one by an equality (mimic in
    URDF). A model step is a whole number of the file's time steps, at least one; `planner.dt`
    should be a few of them. When a simulation becomes unstable, its states are NaN from then on.

    Raises ConfigurationError if mujoco is not installed, if it cannot load the file, or if no
    actuator of the file acts.
    """

    parameters = (
        Parameter("file", "", "The MJCF or URDF file of the robot.", when=INACTIVE),
        Parameter(
            "threads",
            1,
            "Number of CPU threads that simulate candidates.",
            low=1,
            high=256,
            when=INACTIVE,
        ),
    )

    file: str
    threads: torch.Tensor

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, device: torch.device | str = "cpu"
    ):
        super().__init__(values, device=device)
        try:
            import mujoco
            from mujoco.rollout import Rollout
        except ImportError as error:
            raise ConfigurationError(
                f"the model 'mujoco' needs the package mujoco (pip install mujoco): {error}"
            ) from error
        file = find(self.file)
        self.model = load(file)
        model, full = self.model, mujoco.mjtState.mjSTATE_FULLPHYSICS
        if mujoco.mj_stateSize(model, full) != 1 + model.nq + model.nv + model.na:
            raise ConfigurationError(
                f"file '{file}' has a state besides positions, speeds and activations, as of "
                "plugins or delays, which is not supported"
            )
        self._name_states(mujoco)
        self._actuators = acting(model)
        self.action_names = tuple(model.actuator(index).name for index in self._actuators)
        limits = control_range(model)[self._actuators].T
        self.action_low, self.action_high = (tuple(map(float, bounds)) for bounds in limits)
        self.guessed_actions = tuple(
            name
            for name, index in zip(self.action_names, self._actuators, strict=True)
            if not model.actuator_ctrllimited[index]
        )
        self.action_units = ("",) * len(self._actuators)
        self.measured_by = _measured_by(model, self._actuators)
        threads = int(self.threads)
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        # Without threads it runs in the calling thread.
        self._engine = Rollout(nthread=threads if threads > 1 else 0)

    def check(self) -> None:
        """Raise ConfigurationError also, naming the file, if two states have the same name."""
        for name, count in Counter(self.state_names).items():
            if count > 1:
                raise ConfigurationError(
                    f"file '{self.file}' has {count} states called '{name}', expected different "
                    "names: the speed of joint NAME is NAME_dot, the activation of actuator NAME "
                    "is NAME_act; rename a joint or an actuator"
                )
        super().check()

    def warnings(self) -> list[str]:
        """Return warnings about joints and actuators of the file."""
        model, found = self.model, []
        idle = [model.actuator(i).name for i in range(model.nu) if i not in self._actuators]
        if idle:
            found.append(
                f"file '{self.file}' disables the groups of the actuators {', '.join(idle)} "
                "(actuatorgroupdisable): they are no actions"
            )
        drivers: dict[int, list[str]] = {}
        for index, name in zip(self._actuators, self.action_names, strict=True):
            if model.actuator(index).trntype[0] in _OF_A_JOINT:
                drivers.setdefault(int(model.actuator(index).trnid[0]), []).append(name)
        for joint, leader in followers(model).items():
            follows = f"'{model.joint(leader).name}'" if leader >= 0 else "a fixed position"
            name = f"joint '{model.joint(joint).name}' of file '{self.file}'"
            if joint in drivers:
                found.append(
                    f"{name} follows {follows} by an equality, yet is driven by "
                    f"{', '.join(drivers[joint])}: the action works against the equality"
                )
            else:
                found.append(f"{name} follows {follows} by an equality: it is no action")
        found += [
            f"joint '{model.joint(joint).name}' of file '{self.file}' is driven by "
            f"{len(names)} actions at once, {', '.join(names)}: their forces add up"
            for joint, names in drivers.items()
            if len(names) > 1
        ]
        return found

    def check_dt(self, dt: float) -> None:
        """Raise ConfigurationError if `dt`, s, is less than the time step of the file."""
        step = self.model.opt.timestep
        if dt < (1.0 - 1e-6) * step:
            raise ConfigurationError(
                f"parameter 'planner.dt' is {dt}, allowed: at least the time step of file "
                f"'{self.file}', which is {step} s"
            )

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the state (nx, N) after the time steps that fit into `dt`, s."""
        return self.rollout(state, action.unsqueeze(0), dt.reshape(1))[0]

    def rollout(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """Return the states (H, nx, N) after each step; arguments as in `Dynamics.rollout`."""
        counts = durations.cpu().numpy().astype(np.float64) / self.model.opt.timestep
        steps = np.maximum(1, np.diff(np.round(np.cumsum(counts)), prepend=0.0)).astype(int)
        actions = sequence.cpu().numpy().transpose(2, 0, 1)
        control = np.zeros((*actions.shape[:2], self.model.nu))
        control[..., self._actuators] = actions
        start = np.zeros((state.shape[1], 1 + state.shape[0]))  # the first column is time
        start[:, 1:] = state.cpu().numpy().T
        states, _ = self._engine.rollout(
            self.model, self._data, start, control.repeat(steps, axis=1)
        )
        # After instability MuJoCo restarts at time zero, or time stands still.
        times = np.concatenate((start[:, None, 0], states[..., 0]), 1)
        failed = np.maximum.accumulate(np.diff(times) <= 0.0, 1)
        states[failed] = np.nan
        ends = states[:, np.cumsum(steps) - 1, 1:].transpose(1, 2, 0)
        return torch.from_numpy(np.ascontiguousarray(ends, np.float32)).to(state.device)

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


def _measured_by(model: mujoco.MjModel, actuators: Iterable[int]) -> dict[str, str]:
    """Return {actuator: state} for actuators that control the position or speed of a joint."""
    import mujoco

    found = {}
    for index in actuators:
        gain, bias = model.actuator_gainprm[index][0], model.actuator_biasprm[index]
        joint = int(model.actuator_trnid[index][0])
        is_servo = (
            model.actuator_trntype[index] in _OF_A_JOINT
            and int(model.jnt_type[joint])
            in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
            and int(model.actuator_gaintype[index]) == mujoco.mjtGain.mjGAIN_FIXED
            and int(model.actuator_biastype[index]) == mujoco.mjtBias.mjBIAS_AFFINE
            and model.actuator_gear[index][0] == 1.0
            and gain > 0.0
        )
        # Its force is gain * control + bias . (1, position, speed).
        if is_servo and bias[1] == -gain:
            found[model.actuator(index).name] = model.joint(joint).name
        elif is_servo and bias[1] == 0.0 and bias[2] == -gain:
            found[model.actuator(index).name] = f"{model.joint(joint).name}_dot"
    return found


def load(file: Path) -> mujoco.MjModel:
    """
    Return the physics of an MJCF or URDF file, with names and motors as in `Mujoco`.

    The simulator uses this function too, so that the fields of its messages are the states and
    actions of the model. Raises ConfigurationError, naming the file, if MuJoCo refuses the file.
    """
    import mujoco

    try:
        spec = mujoco.MjSpec.from_file(str(file))
        model = spec.compile()  # Number unnamed joints and actuators.
        taken = {item.name for item in (*spec.joints, *spec.actuators)}
        for kind, items in (("joint", spec.joints), ("actuator", spec.actuators)):
            for item in items:
                item.name = item.name or _free_name(kind, item.id, taken)
                taken.add(item.name)
        if not spec.actuators:
            _add_motors(spec, mujoco, followers(model))
        model = spec.compile()
    except ValueError as error:
        raise ConfigurationError(f"file '{file}': {error}") from error
    if model.nu and not acting(model):
        raise ConfigurationError(
            f"file '{file}' disables all of its actuators (flag actuation, or "
            "actuatorgroupdisable), expected that one acts"
        )
    return model


def acting(model: mujoco.MjModel) -> list[int]:
    """Return the indices of the actuators that the file does not disable."""
    import mujoco

    if model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_ACTUATION:
        return []
    off = model.opt.disableactuator
    return [index for index in range(model.nu) if not off >> int(model.actuator_group[index]) & 1]


def control_range(model: mujoco.MjModel) -> np.ndarray:
    """Return the control range (nu, 2) of each actuator; a guess if the file has none."""
    import mujoco

    is_muscle = model.actuator_dyntype == mujoco.mjtDyn.mjDYN_MUSCLE
    guess = np.stack((np.where(is_muscle, 0.0, -1.0), np.ones(model.nu)), 1)
    return np.where(model.actuator_ctrllimited[:, None], model.actuator_ctrlrange, guess)


def followers(model: mujoco.MjModel) -> dict[int, int]:
    """Return {joint: the joint that it follows by an active equality; -1 for a fixed position}."""
    import mujoco

    bits = mujoco.mjtDisableBit
    if model.opt.disableflags & (bits.mjDSBL_EQUALITY | bits.mjDSBL_CONSTRAINT):
        return {}
    return {
        int(model.eq_obj1id[i]): int(model.eq_obj2id[i])
        for i in range(model.neq)
        if model.eq_type[i] == mujoco.mjtEq.mjEQ_JOINT and model.eq_active0[i]
    }


def _free_name(kind: str, number: int, taken: set[str]) -> str:
    """Return KIND plus the first number, from `number` on, that gives a new name."""
    names = (f"{kind}{count}" for count in itertools.count(number))
    return next(
        name
        for name in names
        if not any(other == name or other.startswith(f"{name}_") for other in taken)
    )


def _add_motors(spec, mujoco, following: Collection[int]) -> None:
    for joint in spec.joints:
        is_single = joint.type in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
        if is_single and joint.id not in following:
            low, high = joint.actfrcrange
            spec.add_actuator(
                name=joint.name,
                target=joint.name,
                trntype=mujoco.mjtTrn.mjTRN_JOINT,
                ctrllimited=low < high,
                ctrlrange=(low, high),
            )
