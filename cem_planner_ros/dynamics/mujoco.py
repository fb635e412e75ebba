# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A physics engine as the model: any MJCF or URDF file in MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.dynamics.physics_file import PhysicsFile
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

KEPT_SIZES = 8
"""Most sizes of rollouts for which arrays are kept."""


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

        self._kept: dict[tuple[int, int], tuple[np.ndarray, ...]] = {}
        is_whole = len(self.actuators) == self.model.nu
        self._columns = slice(self.model.nu) if is_whole else self.actuators
        kinds = mujoco.mjtState
        moved = kinds.mjSTATE_MOCAP_POS | kinds.mjSTATE_MOCAP_QUAT
        self._spec = int(kinds.mjSTATE_CTRL | (moved if self.reference_sources else 0))
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
        of_step = np.arange(len(steps)).repeat(steps)
        control, states, sensed = self._arrays(state.shape[1], len(of_step))
        # The file may disable other actuators; their controls stay zero.
        control[..., self._columns] = actions[:, of_step]
        if self.reference_sources:
            # The sensors of the end of a step belong to the next one: poses are those of begins.
            times = self.begin + self.model.opt.timestep * np.arange(len(of_step))
            poses = self.mocap_bodies.controls(self.references, times)
            control[..., self.model.nu :] = poses
        start = np.zeros((state.shape[1], 1 + state.shape[0]))  # the first column is time
        start[:, 1:] = state.cpu().numpy().T
        self._engine.rollout(
            self.model,
            self._data,
            start,
            control,
            control_spec=self._spec,
            state=states,
            sensordata=sensed,
        )
        size = state.shape[0] + sensed.shape[-1]
        # Steps and samples stand side by side in memory, as costs see them.
        signals = np.empty((size, len(ends), len(states)), np.float32)
        signals[: len(state)] = states[:, ends - 1, 1:].transpose(2, 1, 0)
        signals[len(state) :] = self._outputs(sensed, ends).transpose(2, 1, 0)
        # After instability MuJoCo restarts at time zero, or time stands still.
        if states[:, -1, 0].min() < (len(of_step) - 0.5) * self.model.opt.timestep:
            times = np.concatenate((start[:, None, 0], states[..., 0]), 1)
            failed = np.maximum.accumulate(np.diff(times) <= 0.0, 1)[:, ends - 1]
            signals[:, failed.T] = np.nan
        rows = torch.from_numpy(signals)
        return rows.to(state.device).transpose(0, 1)

    def _arrays(self, count: int, steps: int) -> tuple[np.ndarray, ...]:
        """
        Return arrays for controls, states and sensors of so many candidates and time steps.

        They are used again by the next rollout of this size: new ones would take time, since the
        operating system gives their memory page by page.
        """
        if (count, steps) not in self._kept:
            if len(self._kept) >= KEPT_SIZES:
                self._kept.clear()
            model = self.model
            poses = 7 * model.nmocap if self.reference_sources else 0
            sizes = model.nu + poses, 1 + model.nq + model.nv + model.na, model.nsensordata
            self._kept[count, steps] = tuple(np.zeros((count, steps, size)) for size in sizes)
        return self._kept[count, steps]

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
