# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The machine of a benchmark, and the measuring of times."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.compile.plan_graph import GraphExecution
from cem_planner_ros.planning.planner import Planner

PERCENT = {"p50": 50, "p99": 99, "max": 100}
"""Quantiles of the results by their names."""


def describe() -> dict[str, object]:
    """Return processor, cores, device and versions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    cuda = torch.cuda.is_available()
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def gpu_ms(enqueue: Callable[[], object], repeats: int = 50) -> float:
    """
    Return the time, ms, that a GPU takes for what a call gives it to do, by CUDA events.

    Between the events are `repeats` calls, so that the GPU does not wait for the host.
    """
    enqueue()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(repeats):
        enqueue()
    end.record()
    torch.cuda.synchronize()
    return round(begin.elapsed_time(end) / repeats, 4)


def on_gpu(planner: Planner, plan: Callable[[], object], profiles: bool) -> dict[str, object]:
    """
    Return what the row of a planner on a GPU has besides: `gpu_ms` and, if asked for, `launches`.

    Args:
        planner: whose last plan's graph is launched again; without a graph there is no `gpu_ms`.
        plan: makes a plan.
        profiles: whether a plan is profiled.
    """
    if planner.device.type != "cuda":
        return {}
    plan()
    row: dict[str, object] = {}
    if isinstance(planner.execution, GraphExecution):
        row["gpu_ms"] = gpu_ms(planner.execution.repeat)
    return row | ({"launches": launches(plan)} if profiles else {})


def launches(function: Callable[[], object]) -> dict[str, dict[str, float]]:
    """Return how often a call launches each kernel or copy, and how long they take, us."""
    from torch.profiler import ProfilerActivity, profile

    function()
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        function()
        torch.cuda.synchronize()
    on_device = [event for event in profiler.key_averages() if event.self_device_time_total > 0]
    return {
        event.key: {"count": event.count, "us": round(event.self_device_time_total, 2)}
        for event in sorted(on_device, key=lambda event: -event.self_device_time_total)
    }


def print_launches(rows: Iterable[dict]) -> None:
    """Print the launches of rows that have some."""
    for row in rows:
        for kernel, figures in row.get("launches", {}).items():
            print(f"  {row['name']}: {figures['count']:4} x {kernel[:60]:<60} {figures['us']:9} us")


def interleaved(
    functions: dict[str, Callable[[], object]], rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """
    Return p50, p99 and max (ms) of each function, their calls taking turns.

    The speed of a shared machine drifts; taking turns, in `rounds` of `seconds` s each, lets all
    see the same drift.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            end = time.perf_counter() + seconds / rounds
            while True:
                began = time.perf_counter()
                function()
                now = time.perf_counter()
                times[name].append(1e3 * (now - began))
                if now > end:
                    break
    return {name: quantiles(values, tuple(PERCENT), 4) for name, values in times.items()}


def quantiles(
    values: Sequence[float] | np.ndarray, names: Sequence[str] = ("p50", "p99"), digits: int = 3
) -> dict[str, float | None]:
    """Return quantiles of PERCENT of the numbers that are not NaN; None each if there are none."""
    numbers = np.asarray(values)[~np.isnan(values)]
    return {
        name: round(float(np.percentile(numbers, PERCENT[name])), digits) if numbers.size else None
        for name in names
    }
