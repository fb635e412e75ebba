"""A model that is a physics engine: any MJCF or URDF file in MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping
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


class Mujoco(Dynamics):
    """
    The physics of an MJCF or URDF file, rolled out by MuJoCo in threads, on the CPU.

    The states are the positions of the joints under their names, their speeds as NAME_dot, and the
    activations of actuators that have one as NAME_act; a ball joint has the positions NAME_qw,
    NAME_qx, NAME_qy, NAME_qz and the speeds NAME_wx to NAME_wz, a free joint NAME_x, NAME_y, NAME_z
    and their speeds too. A joint without a name is called joint and its number. Actions are the
    actuators, within their control range or else [-1, 1]; a file without actuators, as all of URDF,
    gets a motor in each hinge and slide joint, within its effort limit. A model step is a whole
    number of the file's time steps, at least one, so `planner.dt` should be a few of them. From
    where a simulation became unstable its states are NaN.

    Raises ConfigurationError if mujoco is not installed or cannot load the file.
    """

    state_names = action_names = action_low = action_high = action_units = ()
    parameters = (
        Parameter("file", "", "The MJCF or URDF file.", when=INACTIVE),
        Parameter("threads", 1, "CPU threads that roll out.", low=1, high=256, when=INACTIVE),
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
        actuators = [model.actuator(index) for index in range(model.nu)]
        self.action_names = tuple(a.name or f"actuator{a.id}" for a in actuators)
        limits = [a.ctrlrange if a.ctrllimited[0] else (-1.0, 1.0) for a in actuators]
        self.action_low, self.action_high = (
            tuple(float(limit[side]) for limit in limits) for side in (0, 1)
        )
        self.action_units = ("",) * model.nu
        threads = int(self.threads)
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        # Without threads it runs in the one that calls.
        self._engine = Rollout(nthread=threads if threads > 1 else 0)

    def check_dt(self, dt: float) -> None:
        """Raise ConfigurationError if `dt`, s, is less than the time step of the file."""
        step = self.model.opt.timestep
        if dt < (1.0 - 1e-6) * step:
            raise ConfigurationError(
                f"parameter 'planner.dt' is {dt}, allowed: at least the time step of file "
                f"'{self.file}', which is {step} s"
            )

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the state (nx, N) after the time steps in `dt`, s."""
        return self.rollout(state, action.unsqueeze(0), dt.reshape(1))[0]

    def rollout(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """Return the states (H, nx, N) after each step; arguments as in `Dynamics.rollout`."""
        counts = durations.cpu().numpy().astype(np.float64) / self.model.opt.timestep
        steps = np.maximum(1, np.diff(np.round(np.cumsum(counts)), prepend=0.0)).astype(int)
        control = sequence.cpu().numpy().transpose(2, 0, 1).repeat(steps, axis=1)
        start = np.zeros((state.shape[1], 1 + state.shape[0]))  # the first column is time
        start[:, 1:] = state.cpu().numpy().T
        states, _ = self._engine.rollout(
            self.model, self._data, start, np.ascontiguousarray(control, np.float64)
        )
        # MuJoCo begins anew, at time zero, where it became unstable, or stands still.
        times = np.concatenate((start[:, None, 0], states[..., 0]), 1)
        failed = np.maximum.accumulate(np.diff(times) <= 0.0, 1)
        states[failed] = np.nan
        ends = states[:, np.cumsum(steps) - 1, 1:].transpose(1, 2, 0)
        return torch.from_numpy(np.ascontiguousarray(ends, np.float32)).to(state.device)

    def _name_states(self, mujoco) -> None:
        model = self.model
        point, ball = ("x", "y", "z"), ("qw", "qx", "qy", "qz")
        positions, speeds, angles = [], [], []
        for index in range(model.njnt):
            joint = model.joint(index)
            name = joint.name
            kind = int(joint.type[0])
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
            f"{model.actuator(index).name or f'actuator{index}'}_act{part or ''}"
            for index in range(model.nu)
            for part in range(max(0, model.actuator_actnum[index]))
        ]
        self.state_names = (*positions, *speeds, *activations)
        self.angle_names = tuple(angles)


def load(file: Path) -> mujoco.MjModel:
    """
    Return the physics of an MJCF or URDF file, with names and motors as `Mujoco` says.

    The simulator loads what it simulates in the same way, so that the fields of its messages are
    the states and actions of the model. Raises ConfigurationError, naming the file, if MuJoCo
    refuses it.
    """
    import mujoco

    try:
        spec = mujoco.MjSpec.from_file(str(file))
        spec.compile()  # Numbers the joints.
        for joint in spec.joints:
            joint.name = joint.name or f"joint{joint.id}"
        if not spec.actuators:
            _add_motors(spec, mujoco)
        return spec.compile()
    except ValueError as error:
        raise ConfigurationError(f"file '{file}': {error}") from error


def _add_motors(spec, mujoco) -> None:
    for joint in spec.joints:
        if joint.type in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            low, high = joint.actfrcrange
            spec.add_actuator(
                name=joint.name,
                target=joint.name,
                trntype=mujoco.mjtTrn.mjTRN_JOINT,
                ctrllimited=low < high,
                ctrlrange=(low, high),
            )
