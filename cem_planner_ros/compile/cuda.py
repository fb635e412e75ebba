# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The rollout on a GPU: the step of model and costs, generated as for the CPU, as a CUDA kernel.

A rollout in PyTorch is some thousand launches of a few microseconds each; generated, it is one, a
thread for each candidate. The search around it is in `plan_graph.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.compile.arguments import Struct, declared
from cem_planner_ros.compile.cpu import COMPARED, TILE, compare
from cem_planner_ros.compile.driver import Gpu
from cem_planner_ros.compile.generate import CHOICES, fill, step_code, traceable
from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.plugins.plan_inputs import pinned

FEW = 16384
"""Candidates up to which blocks are small, which spreads them over all processors of a GPU."""

SHORT = 150
"""Operations of a step up to which two of them are written one after the other, to overlap."""

MOST_CONSTANTS = 16_000
"""Numbers in a GPU's constant memory, 64 kB, which an instruction reads without a register."""

_FILES = Path(__file__).parent
HEADER = (_FILES / "device.h").read_text()
_ROLLOUT, _SEARCH = _FILES / "rollout.cu", _FILES / "search.cu"


class Header(Struct):
    """The struct Header of device.h, made of what stands there."""

    _fields_, KINDS = declared(HEADER, "Header")


class DeviceArguments(Struct):
    """The struct Arguments of device.h, made of what stands there."""

    _fields_, KINDS = declared(HEADER, "Arguments")


class CudaRollout:
    """
    A rollout as one CUDA kernel; called as `Rollout` is.

    Raises UnsupportedError if the model or a cost cannot be translated or compiled, or if the
    kernel does not compute what PyTorch does, compared with at most so many `samples`.
    """

    def __init__(self, rollout: Rollout, gpu: Gpu, samples: int = COMPARED):
        members, particles = rollout.dynamics.members, rollout.particles
        traced = traceable(rollout)
        self.members = members
        self._gpu, device = gpu, gpu.device
        sizes, parts, numbers = step_code(traced, device)
        for number in numbers:
            if number.device != device:
                raise UnsupportedError(f"a constant lives on {number.device}, not on {device}")
        parts, gathered = _on_device(parts, members)
        sizes |= {"MEMBERS": members, "TENSORS": len(numbers), "CONSTANTS": max(1, len(gathered))}
        sizes["UNROLLED"] = 2 if parts["STEP"].count(";") <= SHORT else 1
        self.refresh = rollout.dynamics.refresh if members > 1 else lambda: None
        rows = [numbers]
        if members > 1:
            rows = [rollout.dynamics.variant(p, numbers) for p in range(members)]
        self._numbers = rows
        addresses = [row[i].data_ptr() + 4 * j for row in rows for i, j in gathered]
        pointers = [number.data_ptr() for row in rows for number in row]
        self._sizes = sizes["NX"], sizes["NU"]
        module = gpu.module(HEADER + fill(_ROLLOUT, sizes, parts))
        self._gather, self._roll_out = (module.function(n) for n in ("gather", "roll_out"))
        self._constants, self._kept = module.address("constants"), 4 * len(addresses)
        self.always = {
            "gathered": len(addresses),
            "addresses": torch.tensor(addresses or [0], device=device),
            "constants": torch.zeros(max(1, len(addresses)), device=device),
            "numbers": torch.tensor(pointers or [0], device=device),
            "members": members,
            **particles.as_arguments(members),
        }
        """What the rollout takes among the arguments of a search."""
        if members > 1:
            self._combine = gpu.module(search_text(sizes["NU"])).function("combine")
        compare(rollout, self, device, samples)

    def enqueue(self, arguments: DeviceArguments, gathers: bool = False) -> None:
        """Launch the kernel; the numbers of the plugins were gathered, or are now."""
        if gathers:
            self._gather((1, 1), 256, arguments)
        if self._kept and (gathers or arguments.iteration == 0):
            self._gpu.copy(self._constants, arguments.constants, self._kept)
        threads = 32 if arguments.total * self.members <= FEW else 128
        self._roll_out((-(-arguments.total // threads), self.members), threads, arguments)
        if self.members > 1:
            self._combine((-(-arguments.total // 128), 1), 128, arguments)

    def __call__(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        actuators: Actuators | None = None,
    ) -> torch.Tensor:
        """Return the cost (N,) of each sequence, as `Rollout.__call__`."""
        if actuators is None:
            actuators = Actuators(torch.zeros_like(previous_action), previous_action)
        horizon, _, samples = sequence.shape
        self.refresh()
        costs = sequence.new_empty(self.members, samples)
        arguments = DeviceArguments()
        arguments.set(
            **self.always,
            **actuators._asdict(),
            horizon=horizon,
            total=samples,
            stride=samples,
            state=state.contiguous(),
            before=previous_action,
            durations=durations,
            actions=sequence.shape[1],
            sequence=sequence.contiguous(),
            follow=torch.empty(horizon, sequence.shape[1], 2, device=sequence.device),
            costs=costs,
        )
        self.enqueue(arguments, gathers=True)
        return costs[0]

    def predict(self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray) -> np.ndarray:
        """Return what `Rollout.predict` does."""
        (nx, nu), (horizon, _, *more) = self._sizes, actions.shape
        samples = actions[0, 0].size
        sizes = nx, nu, nu, nu, horizon, actions.size, samples, (horizon + 1) * nx * samples
        sizes += (2 * horizon * nu,)
        # The device reads and writes the host's memory: for so little, copies would take longer.
        room = self._room(sum(sizes))[: sum(sizes)]
        state_, *zeros, durations_, sequence, costs, states, follow = room.split(sizes)
        for place, values in ((state_, state), (durations_, durations), (sequence, actions)):
            place.numpy()[:] = values.reshape(-1)
        arguments = DeviceArguments()
        arguments.set(
            **self.always,
            horizon=horizon,
            actions=nu,
            total=samples,
            stride=samples,
            state=state_,
            durations=durations_,
            sequence=sequence,
            follow=follow,
            costs=costs,
            states=states,
            **dict(zip(("before", "applied", "lag"), zeros, strict=True)),
        )
        self.enqueue(arguments, gathers=True)
        self._gpu.wait()
        found = states.numpy().reshape(horizon + 1, nx, *more)
        return found.astype(np.float64)

    def _room(self, size: int) -> torch.Tensor:
        """Return memory of the host that the device reads and writes, all of it zero."""
        room = self.__dict__.get("_predicting")
        if room is None or len(room) < size:
            room = self._predicting = on_host(torch.zeros(2 * size), self._gpu.device)
        return room.zero_()


def on_host(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the host as one that a device reads and writes by itself."""
    return pinned(tensor) if device.type == "cuda" else tensor


def search_text(actions: int) -> str:
    """Return the text of search.cu for a number of actions."""
    return HEADER + fill(_SEARCH, {"NU": actions, "TILE": TILE} | CHOICES, {})


def _on_device(parts: dict[str, str], members: int) -> tuple[dict[str, str], list[tuple[int, int]]]:
    """
    Return code for a GPU, and which numbers (tensor, element) are read from constant memory.

    Those that are too many for it, as are the weights of networks, are read where they are used.
    """
    own = re.compile(r"const float (n(\d+)_(\d+)) = numbers\[\d+\]\[\d+\];")
    code = parts["NUMBERS"]
    found = [(match[1], int(match[2]), int(match[3])) for match in own.finditer(code)]
    fits = len(found) * members <= MOST_CONSTANTS
    row = f"member * {len(found)} + " if members > 1 else ""
    lines = [
        f"#define {name} constants[{row}{place}]" if fits else f"#define {name} table{i}[{j}]"
        for place, (name, i, j) in enumerate(found)
    ]
    rest = own.sub("", code)
    parts = {"NUMBERS": "\n".join([rest, *lines]), "STEP": parts["STEP"]} | {
        "TERMINAL": parts["TERMINAL"]
    }
    # Tables are looked up through pointers that are read once.
    parts = {name: re.sub(r"\bnumbers\[(\d+)\]", r"table\1", text) for name, text in parts.items()}
    tables = dict.fromkeys(re.findall(r"\btable(\d+)\b", "\n".join(parts.values())))
    begin = [f"const float* const __restrict__ table{i} = numbers[{i}];" for i in tables]
    parts["NUMBERS"] = "\n".join([*begin, parts["NUMBERS"]])
    return parts, [(i, j) for _, i, j in found] if fits else []
