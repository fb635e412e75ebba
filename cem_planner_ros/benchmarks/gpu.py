# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
All that is to be measured on a GPU, in one run of at most 8 minutes without MuJoCo Warp.

    python -m cem_planner_ros.benchmarks.gpu --json gpu.json

Times of plans, driving, model steps, an ensemble and the node's loop; where `planner.device: auto`
plans; and what becomes of a planner whose GPU fails or is full, in processes of their own. Plans of
a robot with legs come last, for MuJoCo Warp first compiles for minutes. A part that fails is noted,
and the others go on. The file is written anew after each part.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from cem_planner_ros.benchmarks import (
    bench_drive,
    bench_dynamics,
    bench_learning,
    bench_loop,
    bench_physics,
    bench_plan,
    machine,
)
from cem_planner_ros.configuration import load_yaml, planner_of
from cem_planner_ros.errors import describe
from cem_planner_ros.paths import share

RATE, SECONDS = 500.0, 20.0
"""Hz and s of the node's loop."""

LIMIT = 60.0
"""s for a process whose GPU fails."""

FAILURES = {
    "lost": """
        gpu = Gpu(planner.device)
        source = HEADER + 'extern "C" __global__ void fail(const Arguments a) { __trap(); }'
        gpu.module(source).function("fail")((1, 1), 1, DeviceArguments())
    """,
    "full": """
        free, _ = torch.cuda.mem_get_info()
        held = torch.empty(int(0.99 * free), dtype=torch.uint8, device="cuda")
        planner = Workload("diff_drive", 4_000_000, 100, 1).planner("cuda")
    """,
}
"""What happens to a GPU between two plans."""

FAILING = """
import os
import numpy as np
import torch
from cem_planner_ros.benchmarks.bench_plan import Workload
from cem_planner_ros.compile.cuda import HEADER, DeviceArguments
from cem_planner_ros.compile.driver import Gpu
from cem_planner_ros.control.loop import is_device_failure

planner = Workload("cartpole", 1024, 30, 5).planner("cuda")
planner.plan(np.zeros(4), 0.0)
try:
    if True:{failure}
    planner.plan(np.zeros(len(planner.dynamics.state_names)), 0.02)
    print("nothing was noticed")
except Exception as error:
    what = "a failure of the device" if is_device_failure(error) else "not taken for one"
    print(f"{{what}}: {{type(error).__name__}}: {{str(error).splitlines()[0]}}")
    on_cpu = Workload("cartpole", 128, 30, 5).planner("cpu")
    print(f"the CPU goes on: cost {{on_cpu.plan(np.zeros(4), 0.02).cost:.4g}}", flush=True)
os._exit(0)
"""


def failure(kind: str) -> str:
    """Return what a planner said whose GPU failed in one of the ways of FAILURES."""
    code = FAILING.format(failure=FAILURES[kind])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT
    )
    return done.stdout.strip() or done.stderr.strip()[-500:]


def chosen(samples: int) -> str:
    """Return where, and why there, `planner.device: auto` plans for so many candidates."""
    values = load_yaml(share("config") / "cartpole.yaml") | {"planner.samples": samples}
    configuration, _, reason = planner_of(values | {"planner.device": "auto"})
    return f"{configuration.device}: {reason}"


def parts(quick: bool, say: Callable[[str], None]) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    return {
        "plan": lambda: list(bench_plan.run("cuda", quick, say, profiles=True)),
        "drive": lambda: list(bench_drive.plan_times("cuda", quick, profiles=True)),
        "ensemble": lambda: list(bench_learning.plan_times("cuda", True, profiles=True)),
        "lost": lambda: failure("lost"),
        "full": lambda: failure("full"),
        "auto": lambda: {str(samples): chosen(samples) for samples in (256, 1024, 16384)},
        "dynamics": lambda: list(bench_dynamics.run("cuda", True, say)),
        "loop": lambda: bench_loop.run(RATE, SECONDS / 4 if quick else SECONDS, say, device="cuda"),
        "physics": lambda: list(bench_physics.run("cuda", True, say)),
        "walks": lambda: list(bench_physics.walks("cuda", quick, say)),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write the results as JSON."""
    parser = argparse.ArgumentParser(description="Measure all there is to measure on a GPU.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="for the results")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--only", nargs="+", metavar="PART", help="such as plan or lost")
    options = parser.parse_args(arguments)
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"[{time.perf_counter() - began:5.0f} s] {text}", file=sys.stderr, flush=True)

    if not torch.cuda.is_available():
        print("PyTorch finds no CUDA device here", file=sys.stderr)
        return 1
    results: dict[str, object] = {"machine": machine.describe()}
    for name, measure in parts(options.quick, say).items():
        if options.only and name not in options.only:
            continue
        say(name)
        try:
            results[name] = measure()
        except Exception as error:  # The other parts go on.
            results[name] = {"failed": describe(error)}
        print(json.dumps({name: results[name]}), flush=True)
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
