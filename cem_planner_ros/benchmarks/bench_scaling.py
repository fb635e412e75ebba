# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Growth of the time of a plan with N, H and I, and the share of each phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.benchmarks import machine
from cem_planner_ros.benchmarks.bench_plan import THREADS, Workload
from cem_planner_ros.compile.cpp_execution import CppExecution

BASE = Workload("cartpole", 1024, 30, 5)

AXES = {
    "samples": (256, 512, 1024, 2048, 4096, 8192, 16384),
    "horizon": (10, 15, 30, 60, 120, 240),
    "iterations": (1, 2, 5, 10, 20),
}

PHASES = ("sampling", "rollout", "refit", "rest")
"""The rest is the shift, the transfer of state and plan, and Python."""


def run(device: str, quick: bool, say: Callable[[str], None]) -> Iterator[dict]:
    """Yield a row for each size along each axis, the others as in `BASE`."""
    torch.set_num_threads(THREADS)
    for axis, sizes in AXES.items():
        for size in sizes[:2] if quick else sizes:
            workload = replace(BASE, **{axis: size})
            say(f"{axis} {size}")
            planner = workload.planner(device)
            state = np.zeros(len(planner.dynamics.state_names))
            spent = None
            if isinstance(planner.execution, CppExecution):
                spent = planner.execution.measure()
            times, phases = [], []
            for tick in range(20 if quick else 300):
                before = spent.clone() if spent is not None else None
                began = time.perf_counter()
                planner.plan(state, 0.02 * tick)
                times.append(1e3 * (time.perf_counter() - began))
                if spent is not None:
                    own = 1e3 * (spent - before).numpy()
                    phases.append((*own, times[-1] - own.sum()))
            medians = np.median(phases, 0).round(4).tolist() if phases else []
            yield {
                "name": f"cartpole, {axis} {size}",
                "axis": axis,
                "size": size,
                "device": device,
                "backend": planner.execution.name,
                "plan_ms": machine.quantiles(times, digits=4),
                "phases_ms": dict(zip(PHASES, medians, strict=False)),
            }


def plot(rows: list[dict], file: Path) -> None:
    """
    Write the rows as a picture, an axis a column: time, and the share of each phase.

    Raises ImportError without matplotlib.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import StrMethodFormatter

    axes = list(dict.fromkeys(row["axis"] for row in rows))
    figure, panels = pyplot.subplots(
        2, len(axes), figsize=(4 * len(axes), 6), layout="constrained", squeeze=False
    )
    for axis, (upper, lower) in zip(axes, panels.T, strict=True):
        own = [row for row in rows if row["axis"] == axis]
        sizes = [row["size"] for row in own]
        p50 = np.array([row["plan_ms"]["p50"] for row in own])
        upper.loglog(sizes, p50, "o-", label="p50")
        upper.loglog(sizes, [row["plan_ms"]["p99"] for row in own], "--", label="p99")
        proportional = p50[-1] * np.array(sizes) / sizes[-1]
        upper.loglog(sizes, proportional, ":", color="grey", label="proportional")
        upper.set(title=axis, ylabel="plan [ms]")
        upper.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        upper.yaxis.set_minor_formatter("")
        upper.legend()
        upper.grid(alpha=0.3)
        if all(row["phases_ms"] for row in own):
            shares = np.array([[row["phases_ms"][phase] for phase in PHASES] for row in own])
            shares = 100.0 * shares / shares.sum(1, keepdims=True)
            lower.stackplot(sizes, shares.T, labels=PHASES)
            lower.set(xscale="log", ylim=(0, 100), ylabel="share of the time [%]")
        lower.set_xlabel(axis)
        for panel in (upper, lower):
            panel.set_xticks(sizes, sizes)
            panel.xaxis.set_minor_formatter("")
    handles, labels = lower.get_legend_handles_labels()
    if labels:
        # Within the panels it would hide what it explains.
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.savefig(file, dpi=90)
    pyplot.close(figure)
