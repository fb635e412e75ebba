# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A physics engine on a GPU as the model: any MJCF or URDF file in MuJoCo Warp."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cem_planner_ros.dynamics.mjcf import control_range
from cem_planner_ros.dynamics.physics_file import PhysicsFile
from cem_planner_ros.errors import ConfigurationError, first_line
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

if TYPE_CHECKING:
    import mujoco

    from cem_planner_ros.dynamics.warp_worlds import Worlds

_logger = logging.getLogger(__name__)

FIRST = 1.3
"""The first step of a plan may be so many times as long as the others."""

AT_ONCE = 32
"""Candidates that a CPU simulates at once; it gains nothing from more."""

KEPT = 8
"""Numbers of candidates and of steps for which worlds are kept."""

MOVED_STEPS, MOVED_POSES, RANDOM_POSES = 100, 8, 20
"""Contacts are counted in time steps with random controls, from poses, and in random poses."""

SPARE = 2
"""There are rows of constraints for so many times the contacts that were counted."""


class MujocoWarp(PhysicsFile):
    """
    The physics of an MJCF or URDF file; MuJoCo Warp simulates all candidates at once on a GPU.

    States, actions, outputs and their names are those of `mujoco`. Numbers are float32. On a CPU it
    computes the same, but slowly.

    Raises ConfigurationError also if the packages are not installed, or if MuJoCo Warp does not
    support what is in the file.
    """

    parameters = (
        *PhysicsFile.parameters,
        Parameter(
            "contacts",
            0,
            "Number of contacts that a candidate may have, on average over all candidates. 0 takes "
            "a multiple of those that the robot has when it moves randomly. With more, candidates "
            "are invalid, and the log says so.",
            low=0,
            high=100000,
            when=INACTIVE,
        ),
        Parameter(
            "constraints",
            0,
            "Number of rows of constraints that a candidate may have (limits, equalities, friction "
            "and contacts, each with up to 10 rows); 0 derives it from `contacts`. With more, the "
            "candidate is invalid, and the log says so.",
            low=0,
            high=100000,
            when=INACTIVE,
        ),
        Parameter(
            "deterministic",
            True,
            "Whether a GPU returns exactly the same each time. If false, sums differ by rounding, "
            "and plans take less time.",
            when=INACTIVE,
        ),
    )

    contacts: torch.Tensor
    constraints: torch.Tensor
    deterministic: bool

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, device: torch.device | str = "cpu"
    ):
        super().__init__(values, device=device)
        try:
            from cem_planner_ros.dynamics import warp_worlds
        except ImportError as error:
            raise ConfigurationError(
                "the model 'mujoco_warp' needs the packages mujoco-warp and warp-lang (pip install "
                f"mujoco-warp): {error}"
            ) from error
        self._warp = warp_worlds
        self._device = torch.device(device)
        if self._device.type == "cuda" and self._device.index is None:
            self._device = torch.device("cuda", torch.cuda.current_device())
        model, sensors = self.model, self.sensors
        kinds = np.ones(model.nsensordata, int)
        kinds[sensors.of_next], kinds[sensors.peaks] = 0, 2
        try:
            self._physics = warp_worlds.Physics(
                model, kinds, np.array(self.actuators), self._device, bool(self.deterministic)
            )
        except ConfigurationError:
            raise
        except OSError as error:
            raise ConfigurationError(
                f"Warp has no folder for its kernels ({error}): let WARP_CACHE_PATH name one that "
                "can be written"
            ) from error
        except (NotImplementedError, ValueError) as error:
            what = first_line(error).rstrip(".")
            raise ConfigurationError(
                f"MuJoCo Warp cannot simulate file '{self.file}': {what}; take it out of the file, "
                "or use the model 'mujoco'"
            ) from error
        self._physics.moves_bodies = bool(self.reference_sources)
        contacts, others = counted(model)
        # The boxes around two geoms meet more often than the geoms.
        near = min(self._physics.pairs, 64)
        self._physics.contacts = int(self.contacts) or max(16, 2 * SPARE * contacts, near)
        self._physics.constraints = int(self.constraints) or rows_for(
            model, int(self.contacts) or max(8, SPARE * contacts), others
        )
        self.is_repeatable = bool(self.deterministic) or self._device.type == "cpu"
        self._worlds: dict[tuple[int, int], Worlds] = {}
        self._moved: set[tuple[int, int]] = set()
        self._longest = 0.0
        self._reported = 0

    def warnings(self) -> list[str]:
        """Return warnings about the file, and one on a CPU."""
        found = super().warnings()
        if self._device.type == "cpu":
            found.append(
                "the model 'mujoco_warp' runs on a CPU, where 'mujoco' is faster: set "
                "planner.device to cuda, or dynamics.plugin to mujoco"
            )
        return found

    def set_references(self, references: Mapping[str, Reference], time: float) -> None:
        """Move mocap bodies along their references, in rollouts that begin at `time`, s."""
        super().set_references(references, time)
        self._moved.clear()

    def rollout(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """Return the signals (H, nx + ny, N); arguments as in `Dynamics.rollout`."""
        count = state.shape[1]
        most = AT_ONCE if self._device.type == "cpu" else count
        parts = [
            self._simulated(state[:, i : i + most], sequence[..., i : i + most], durations)
            for i in range(0, count, most)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def _simulated(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        key = worlds_for(state.shape[1]), len(sequence)
        try:
            worlds = self._worlds.pop(key, None)
            if worlds is None:
                steps = self._most_steps(durations)
                worlds = self._warp.Worlds(self._physics, *key, steps)
                self._moved.discard(key)
            self._worlds[key] = worlds  # The newest one comes last.
            if len(self._worlds) > KEPT:
                if self._device.type == "cuda":
                    torch.cuda.synchronize(self._device)
                del self._worlds[next(iter(self._worlds))]
            poses = None
            if self.reference_sources and key not in self._moved:
                times = self.begin + self.model.opt.timestep * np.arange(worlds.steps)
                poses = self.mocap_bodies.poses(self.references, times)
                self._moved.add(key)
            signals = worlds.simulate(state, sequence, durations, poses)
        except RuntimeError as error:
            if "allocate" in str(error) or "out of memory" in str(error):
                raise torch.cuda.OutOfMemoryError(str(error)) from error
            raise
        self._report(worlds.exceeded)
        return signals

    def _most_steps(self, durations: torch.Tensor) -> int:
        """Return how many time steps a horizon may have whose steps are like these."""
        first, *others = durations.tolist()
        self._longest = max(self._longest, *others or [first])
        total = len(others) * self._longest + max(first, FIRST * self._longest)
        # One for rounding, and one for the sensors that the next time step computes.
        return math.ceil(total / self.model.opt.timestep) + 2

    def _report(self, exceeded: int) -> None:
        """Log once which limits candidates have exceeded."""
        limits = self._warp.LIMITS
        new = exceeded & ~self._reported
        self._reported |= new
        for name, bits, value in (
            ("constraints", limits.NEFC | limits.NJMAX_NNZ, self._physics.constraints),
            (
                "contacts",
                limits.BROADPHASE | limits.NARROWPHASE | limits.CCD,
                self._physics.contacts,
            ),
        ):
            if new & int(bits):
                _logger.warning(
                    "candidates needed more %s than dynamics.%s, which is %d, and were invalid: "
                    "increase it",
                    name,
                    name,
                    value,
                )
                new &= ~int(bits)
        if new:
            names = ", ".join(limit.name for limit in limits if new & limit and limit != limits.ALL)
            _logger.warning(
                "candidates exceeded limits of MuJoCo Warp (%s), and were invalid", names
            )


def worlds_for(count: int) -> int:
    """Return how many worlds simulate `count` candidates: a power of two, or 1.5 times one."""
    power = 1 << (count - 1).bit_length()
    return 3 * power // 4 if power >= 4 and count <= 3 * power // 4 else power


def counted(model: mujoco.MjModel) -> tuple[int, int]:
    """Return the most contacts, and rows of equalities and friction, of random movements."""
    samples = [(data.ncon, data.ne + data.nf) for data in _samples(model)]
    contacts, rows = zip(*samples, strict=True)
    return max(contacts), max(rows)


def rows_for(model: mujoco.MjModel, contacts: int, others: int) -> int:
    """Return how many rows of constraints so many contacts, all limits and others need."""
    import mujoco

    size = int(max(model.geom_condim.max(initial=1), model.pair_dim.max(initial=1)))
    if model.opt.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL:
        size = max(1, 2 * (size - 1))
    limits = int(model.jnt_limited.sum() + model.tendon_limited.sum())
    return others + limits + size * contacts


def _samples(model: mujoco.MjModel) -> Iterator[mujoco.MjData]:
    """Yield a model that moves with random controls from its keyframes, and in random poses."""
    import mujoco

    data, random = mujoco.MjData(model), np.random.default_rng(0)
    low, high = control_range(model)[0].T
    for key in range(-1, min(model.nkey, MOVED_POSES - 1)):
        mujoco.mj_resetData(model, data)
        if key >= 0:
            mujoco.mj_resetDataKeyframe(model, data, key)
        for step in range(MOVED_STEPS):
            if step % 10 == 0:
                data.ctrl[:] = random.uniform(low, high)
            mujoco.mj_step(model, data)
            yield data
    for _ in range(RANDOM_POSES):
        mujoco.mj_resetData(model, data)
        data.qpos[:] = random.standard_normal(model.nq)
        mujoco.mj_forward(model, data)
        yield data
