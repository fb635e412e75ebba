# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The time of a plan, compared with a plain reference planner in the same run."""

from __future__ import annotations

import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from cem_planner_ros.benchmarks import bench_drive, machine, tasks
from cem_planner_ros.benchmarks.reference import HANGING, PlainCEM
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.navigation.surroundings import NOTHING
from cem_planner_ros.planning.planner import Planner

THREADS = 2

DRIVE = "drive.yaml"
"""The task with all costs of driving."""


@dataclass(frozen=True)
class Workload:
    """A model and the size of its search."""

    task: str
    samples: int
    horizon: int
    iterations: int

    @property
    def name(self) -> str:
        """Name of the workload in the results."""
        return f"{self.task} {self.samples} x {self.horizon} x {self.iterations}"

    def planning(self, device: str) -> tuple[Planner, Callable[[], object]]:
        """Return its planner, compiled, and what makes the next plan."""
        planner = self.planner(device)
        state, times = np.zeros(len(planner.dynamics.state_names)), itertools.count()
        around = bench_drive.around() if self.task == DRIVE else NOTHING
        period = planner.search.dt
        return planner, lambda: planner.plan(state, period * next(times), surroundings=around)

    def planner(self, device: str, backend: str = "auto") -> Planner:
        """Return its planner, compiled."""
        if self.task == DRIVE:
            sizes = {name: getattr(self, name) for name in ("samples", "horizon", "iterations")}
            return bench_drive.load(**sizes, backend=backend, device=device).planner()
        model, costs = self._objective(device)
        return Planner(
            model,
            costs,
            samples=self.samples,
            elites=min(100, self.samples),
            iterations=self.iterations,
            horizon=self.horizon,
            dt=0.02,
            backend=backend,
            device=device,
            threads=min(THREADS, os.cpu_count() or 1),
        )

    def _objective(self, device: str) -> tuple[Dynamics, list[Cost]]:
        if self.task == "diff_drive":
            return tasks.diff_drive(device)
        task = tasks.TASKS[self.task]
        model = task.dynamics(device=device)
        return model, [task.cost(model, device=device)]


WORKLOADS = {
    "cpu": (
        Workload("cartpole", 1024, 30, 5),
        Workload("cartpole", 4096, 50, 5),
        Workload("diff_drive", 2048, 100, 1),
        Workload("quadrotor", 1024, 50, 3),
        Workload("cartpole", 8192, 30, 5),
        Workload("cartpole", 1024, 60, 5),
    ),
    "cuda": (
        Workload("cartpole", 1024, 30, 5),
        Workload("diff_drive", 2048, 100, 1),
        Workload("diff_drive", 16384, 100, 1),
        Workload("diff_drive", 65536, 100, 1),
        Workload("quadrotor", 8192, 50, 3),
        Workload(DRIVE, 16384, 56, 1),
    ),
}
"""The last two on the CPU show how the time grows with N and H."""


def run(
    device: str, quick: bool, say: Callable[[str], None], profiles: bool = False
) -> Iterator[dict]:
    """Yield a row of results for each workload; with `profiles` it has the launches of a plan."""
    torch.set_num_threads(min(THREADS, os.cpu_count() or 1))
    for workload in WORKLOADS[device][:2] if quick else WORKLOADS[device]:
        say(f"{workload.name}: starting it in processes of its own")
        with tempfile.TemporaryDirectory() as cache:
            cold, cached = (_start(workload, device, cache) for _ in range(2))
        say(f"{workload.name}: timing plans")
        planner, plan = workload.planning(device)
        reference = PlainCEM(workload.samples, workload.horizon, workload.iterations, device=device)
        times = machine.interleaved(
            {
                "plan": plan,
                "reference": lambda r=reference: r.plan(torch.tensor(HANGING)),
            },
            rounds=3 if quick else 10,
            seconds=1.0 if quick else 5.0,
        )
        yield {
            "name": workload.name,
            "device": device,
            "backend": planner.execution.name,
            "samples": workload.samples,
            "horizon": workload.horizon,
            "iterations": workload.iterations,
            "modes": 1,
            "plan_ms": times["plan"],
            **machine.on_gpu(planner, plan, profiles),
            "reference_ms": times["reference"],
            "compile_s": {"cold": cold["compile_s"], "cached": cached["compile_s"]},
            "ready_s": cached["ready_s"],
            "peak_mb": cached["peak_mb"],
            "ratio_to_reference": round(times["reference"]["p50"] / times["plan"]["p50"], 1),
        }


def _start(workload: Workload, device: str, cache: str) -> dict[str, float]:
    """Return what a process of its own needs until its first plan, with a given kernel cache."""
    code = (
        "from cem_planner_ros.benchmarks.bench_plan import Workload, start\n"
        f"start({workload!r}, {device!r})"
    )
    began = time.perf_counter()
    output = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"XDG_CACHE_HOME": cache, "TORCHINDUCTOR_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return json.loads(output) | {"ready_s": round(time.perf_counter() - began, 2)}


def start(workload: Workload, device: str) -> None:
    """Make a planner and one plan, and print how long the making took and the memory in use."""
    began = time.perf_counter()
    _, plan = workload.planning(device)
    compiled = time.perf_counter() - began
    plan()
    if device == "cpu":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    else:
        peak = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps({"compile_s": round(compiled, 2), "peak_mb": round(peak, 1)}))
