# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Simulations side by side in MuJoCo Warp, as graphs; imported only where Warp is installed."""

import math
import threading
from typing import Any

import mujoco
import mujoco_warp
import numpy as np
import torch
import warp as wp

from cem_planner_ros.dynamics import warp_kernels
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.plan_inputs import PlanInputs, pinned

LONGEST = {"cpu": 2, "cuda": 128}
"""
Time steps of a graph at most.

A GPU gets the whole horizon of most robots in one graph. On a CPU a launch costs next to nothing,
and it takes long to make a graph.
"""

HUGE = 1e10
"""Positions, speeds and accelerations from which on a simulation is unstable, as in MuJoCo."""

LIMITS = mujoco_warp.OverflowType
HARMLESS = int(LIMITS.ITERATIONS | LIMITS.LS_ITERATIONS)
"""Limits that MuJoCo has too: the solver then has an approximate result."""

_CAPTURING = threading.Lock()
"""Warp has one capture and one current stream for all threads of a process."""

wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)  # It would print each kernel.


class Physics:
    """
    A model of MuJoCo on a device.

    Args:
        model: the model.
        sensors: (number of sensor values,), for each one 0 if the next time step computes it, 1 if
            it is that of the last time step, 2 if it is the largest of a model step.
        actuators: (nu,), the actuator of each action.
        device: where it is simulated.
        deterministic: whether a GPU adds up in the same order each time.

    Raises NotImplementedError or ValueError if MuJoCo Warp cannot simulate the model, and
    ConfigurationError if the driver is too old.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        sensors: np.ndarray,
        actuators: np.ndarray,
        device: torch.device,
        deterministic: bool,
    ):
        if model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP:
            raise NotImplementedError("sleeping islands (flag sleep) are a state besides others")
        wp.init()
        self.source, self.torch_device = model, device
        self.device = wp.device_from_torch(device)
        with _CAPTURING, wp.ScopedDevice(self.device):
            if self.device.is_cuda and not wp.is_conditional_graph_supported():
                raise ConfigurationError(
                    "the driver of the GPU is too old for the model 'mujoco_warp', expected one of "
                    "CUDA 12.4 or later: update it, or use the model 'mujoco'"
                )
            self.model = mujoco_warp.put_model(model)
            self.model.opt.warn_overflow = 0
            everything = mujoco_warp.DeterminismType.ALL
            self.model.opt.deterministic = int(everything) if deterministic else 0
            wp.synchronize_device(self.device)
        self.pairs = len(self.model.nxn_geom_pair_filtered)
        """The number of pairs of geoms that may collide."""
        self.contacts, self.constraints = 0, 0
        """How many of them a world may have."""
        self.sensors, self.actuators = (
            torch.tensor(numbers, dtype=torch.int32, device=device)
            for numbers in (sensors, actuators)
        )
        self.signals = model.nq + model.nv + model.na + model.nsensordata
        self.extra = int((sensors == 0).any())
        """Time steps after the last model step, for the sensors that the next one computes."""
        self.moves_bodies = False
        """Whether mocap bodies move within a rollout."""


class Worlds:
    """
    Worlds in which candidates are simulated at once, in buffers that PyTorch and Warp share.

    The launches of the time steps are recorded in graphs, at first use. Nothing in a rollout waits
    for a GPU. What a GPU notices is known before a later rollout.

    Args:
        physics: the model.
        count: W, the number of worlds.
        horizon: H, the number of model steps.
        steps: the number of time steps of the longest horizon that is expected.
    """

    def __init__(self, physics: Physics, count: int, horizon: int, steps: int):
        self._physics = physics
        model, device = physics.source, physics.torch_device

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.steps = steps
        """The number of time steps for which there are poses of mocap bodies."""
        self._unit = min(steps, LONGEST[device.type])
        self._state = zeros(model.nq + model.nv + model.na, count)
        self._sequence = zeros(horizon, len(physics.actuators), count)
        self._durations = zeros(horizon)
        self._signals = zeros(horizon, physics.signals, count)
        self._mocap = PlanInputs(device, poses=(steps, model.nmocap, 7))
        self._status = zeros(2, dtype=torch.int32)
        """How many time steps were needed, and the limits that were exceeded."""
        self._seen = self._status
        if device.type == "cuda":
            self._seen = pinned(torch.zeros(2, dtype=torch.int32))
        counters = [zeros(horizon, dtype=torch.int32)]
        counters += [zeros(count, dtype=torch.int32) for _ in range(3)]
        with _CAPTURING, wp.ScopedDevice(physics.device):
            self._data = mujoco_warp.make_data(
                model, nworld=count, nconmax=physics.contacts, njmax=physics.constraints
            )
            self._shared = {
                name: wp.from_torch(tensor)
                for name, tensor in (
                    ("state", self._state),
                    ("sequence", self._sequence),
                    ("durations", self._durations),
                    ("signals", self._signals),
                    ("poses", self._mocap.poses),
                    ("status", self._status),
                    *zip(("ends", "ticks", "place", "failed"), counters, strict=True),
                    ("sensors", physics.sensors),
                    ("actuators", physics.actuators),
                )
            }
            wp.synchronize_device(physics.device)  # Warp has filled them on a stream of its own.
        self._graphs: dict[bool, Any] = {}

    def simulate(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        durations: torch.Tensor,
        poses: np.ndarray | None = None,
    ) -> torch.Tensor:
        """
        Return the signals (H, nx + ny, N); N is at most W.

        Args:
            state: (nx, N).
            sequence: (H, nu, N).
            durations: (H,), s.
            poses: (time steps, nmocap, 7), of mocap bodies, if they changed.
        """
        count = state.shape[1]
        # The other worlds do as the last candidate does, so that they need no more contacts.
        for buffer, given in ((self._state, state), (self._sequence, sequence)):
            buffer[..., :count] = given
            buffer[..., count:] = given[..., -1:]
        self._durations.copy_(durations)
        if poses is not None:
            self._mocap.host["poses"][:] = poses
            self._mocap.send()
        self._launch(True)
        for _ in range(math.ceil(self._needed() / self._unit) - 1):
            self._launch(False)
        if self._seen is not self._status:
            self._seen.copy_(self._status, non_blocking=True)
        return self._signals[..., :count].clone()

    @property
    def exceeded(self) -> int:
        """The limits (OverflowType) that a rollout exceeded; on a GPU one that has ended."""
        return int(self._seen[1])

    def _needed(self) -> int:
        # On a CPU the first graph has counted them already.
        counted = int(self._seen[0])
        return counted if self._seen is self._status else max(self.steps, counted)

    def _launch(self, is_first: bool) -> None:
        if is_first not in self._graphs:
            self._graphs[is_first] = self._captured(is_first)
        graph, device = self._graphs[is_first], self._physics.torch_device
        stream = None
        if device.type == "cuda":
            stream = wp.stream_from_torch(torch.cuda.current_stream(device))
        wp.capture_launch(graph, stream=stream)

    def _captured(self, is_first: bool) -> Any:
        """Return a graph of so many time steps as a unit has; the first one begins a rollout."""
        physics = self._physics
        with _CAPTURING, wp.ScopedDevice(physics.device):
            if not physics.device.is_cuda:
                return self._recorded(is_first, None)
            # The stream that PyTorch uses by default cannot be captured.
            current = torch.cuda.current_stream(physics.torch_device)
            side = torch.cuda.Stream(physics.torch_device)
            side.wait_stream(current)
            stream = wp.stream_from_torch(side)
            with wp.ScopedStream(stream, sync_enter=False):
                graph = self._recorded(is_first, stream)
            current.wait_stream(side)
            return graph

    def _recorded(self, is_first: bool, stream: Any) -> Any:
        if is_first:
            self._enqueue_begin()
            self._enqueue_step()  # Loads the kernels, and compiles them the first time.
            if stream is not None:
                wp.synchronize_stream(stream)
        with wp.ScopedCapture(self._physics.device, stream=stream) as capture:
            if is_first:
                self._enqueue_begin()
            for _ in range(self._unit):
                self._enqueue_step()
        return capture.graph

    def _enqueue_begin(self) -> None:
        data, shared = self._data, self._shared
        wp.launch(
            warp_kernels.begin,
            dim=data.nworld,
            inputs=[
                shared["state"],
                shared["durations"],
                wp.float64(self._physics.source.opt.timestep),
                self._physics.extra,
                *(data.qpos, data.qvel, data.act, data.qacc_warmstart, data.time, data.overflow),
                *(shared[name] for name in ("ends", "ticks", "place", "failed")),
                *(shared["signals"], shared["status"]),
            ],
        )

    def _enqueue_step(self) -> None:
        physics, data, shared = self._physics, self._data, self._shared
        wp.launch(
            warp_kernels.control,
            dim=(data.nworld, len(physics.actuators)),
            inputs=[shared["sequence"], shared["actuators"], shared["place"], data.ctrl],
        )
        if physics.moves_bodies:
            wp.launch(
                warp_kernels.move,
                dim=(data.nworld, physics.source.nmocap),
                inputs=[shared["poses"], shared["ticks"], data.mocap_pos, data.mocap_quat],
            )
        mujoco_warp.step(physics.model, data)
        wp.launch(
            warp_kernels.record,
            dim=data.nworld,
            inputs=[
                *(data.qpos, data.qvel, data.qacc, data.act, data.sensordata),
                *(shared["sensors"], data.overflow, int(LIMITS.ALL) & ~HARMLESS, HUGE),
                *(shared[name] for name in ("ends", "ticks", "place", "failed")),
                *(shared["signals"], shared["status"]),
            ],
        )
