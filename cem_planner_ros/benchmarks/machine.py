"""The machine of a benchmark, and the measuring of times."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch


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
    return {
        name: dict(
            zip(
                ("p50", "p99", "max"),
                (round(float(v), 4) for v in np.percentile(values, [50, 99, 100])),
                strict=True,
            )
        )
        for name, values in times.items()
    }
