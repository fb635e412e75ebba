"""A physics engine as the model: any MJCF or URDF file in MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.dynamics.physics_file import PhysicsFile
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter


class Mujoco(PhysicsFile):
    """
    The physics of an MJCF or URDF file; MuJoCo simulates candidates in CPU threads.

    States, actions and outputs are those of `PhysicsFile`.
    """

    parameters = (
        *PhysicsFile.parameters,
        Parameter(
            "threads",
            1,
            "Number of CPU threads that simulate candidates.",
            low=1,
            high=256,
            when=INACTIVE,
        ),
    )

    threads: torch.Tensor

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, device: torch.device | str = "cpu"
    ):
        super().__init__(values, device=device)
        import mujoco
        from mujoco.rollout import Rollout

        self._mujoco = mujoco
        threads = int(self.threads)
        self._data = [mujoco.MjData(self.model) for _ in range(threads)]
        # Without threads it runs in the calling thread.
        self._engine = Rollout(nthread=threads if threads > 1 else 0)

    def rollout(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """Return the signals (H, nx + ny, N); arguments as in `Dynamics.rollout`."""
        ends = self.step_ends(durations)
        steps = np.diff(ends, prepend=0)
        actions = np.ascontiguousarray(sequence.cpu().numpy().transpose(2, 0, 1), np.float64)
        if self.sensors.needs_next:
            steps[-1] += 1
        control = actions.repeat(steps, axis=1)
        if len(self.actuators) < self.model.nu:
            control, given = np.zeros((*control.shape[:2], self.model.nu)), control
            control[..., self.actuators] = given
        start = np.zeros((state.shape[1], 1 + state.shape[0]))  # the first column is time
        start[:, 1:] = state.cpu().numpy().T
        spec = self._mujoco.mjtState.mjSTATE_CTRL
        if self.reference_sources:
            control, spec = self._with_mocap(control)
        states, sensed = self._engine.rollout(
            self.model, self._data, start, control, control_spec=int(spec)
        )
        # After instability MuJoCo restarts at time zero, or time stands still.
        times = np.concatenate((start[:, None, 0], states[..., 0]), 1)
        failed = np.maximum.accumulate(np.diff(times) <= 0.0, 1)[:, ends - 1]
        signals = np.concatenate(
            (states[:, ends - 1, 1:], self._outputs(sensed, ends)), 2, dtype=np.float32
        )
        signals[failed] = np.nan
        # Steps and samples stand side by side in memory, as costs see them.
        rows = torch.from_numpy(np.ascontiguousarray(signals.transpose(2, 1, 0)))
        return rows.to(state.device).transpose(0, 1)

    def _with_mocap(self, control: np.ndarray) -> tuple[np.ndarray, int]:
        """Return controls (N, time steps, nu) with the poses of mocap bodies, and what they are."""
        kinds = self._mujoco.mjtState
        count, steps, _ = control.shape
        # The sensors of the end of a step belong to the next one, so a pose is that of its begin.
        times = self.begin + self.model.opt.timestep * np.arange(steps)
        poses = self.mocap_bodies.controls(self.references, times)
        rows = np.broadcast_to(poses, (count, *poses.shape))
        spec = kinds.mjSTATE_CTRL | kinds.mjSTATE_MOCAP_POS | kinds.mjSTATE_MOCAP_QUAT
        return np.concatenate((control, rows), 2), spec

    def _outputs(self, sensed: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """
        Return the outputs (N, H, ny) after each model step.

        Args:
            sensed: (N, time steps, ny), the sensors in each time step.
            ends: (H,), how many time steps have passed at the end of each model step.
        """
        sensors, found = self.sensors, sensed[:, ends - 1]
        if sensors.needs_next:
            found[..., sensors.of_next] = sensed[:, ends][..., sensors.of_next]
        if len(sensors.peaks):
            begins = np.concatenate(([0], ends[:-1]))
            during = sensed[:, : ends[-1], sensors.peaks]
            found[..., sensors.peaks] = np.maximum.reduceat(during, begins, axis=1)
        return found
