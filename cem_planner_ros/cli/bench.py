"""Measure on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from cem_planner_ros.benchmarks import machine, plan, quality, scaling
from cem_planner_ros.errors import ConfigurationError


@dataclass(frozen=True)
class Benchmark:
    """
    What can be measured: `run` yields rows, `line` makes of a row what `columns` print.

    `columns` are (title, width), the first left-aligned.
    """

    help: str
    run: Callable[[argparse.Namespace, Callable[[str], None]], Iterable[dict]]
    columns: tuple[tuple[str, int], ...]
    line: Callable[[dict], tuple]


BENCHMARKS = {
    "plan": Benchmark(
        "time of a plan",
        lambda options, say: plan.run(options.device, options.quick, say),
        (
            *(("workload", 32), ("backend", 14), ("p50 ms", 8), ("p99 ms", 8), ("ratio", 6)),
            *(("cold s", 7), ("cached", 7), ("ready", 6)),
        ),
        lambda row: (
            *(row["name"], row["backend"], row["plan_ms"]["p50"], row["plan_ms"]["p99"]),
            *(row["ratio_to_reference"], *row["compile_s"].values(), row["ready_s"]),
        ),
    ),
    "scaling": Benchmark(
        "how it grows with N, H and I, and where it goes",
        lambda options, say: scaling.run(options.device, options.quick, say),
        (("workload", 28), ("p50 ms", 9), ("p99 ms", 9), *((p, 9) for p in scaling.PHASES)),
        lambda row: (row["name"], *row["plan_ms"].values(), *row["phases_ms"].values()),
    ),
    "quality": Benchmark(
        "cost of closed loops at equal rollouts",
        lambda options, say: quality.run(options.quick, say),
        (("task", 52), ("cost", 10), ("std", 8), ("successes", 9)),
        lambda row: (row["name"], *row["cost"].values(), f"{row['successes']}/{row['seeds']}"),
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is measured, where, and where the results go."""
    parser.add_argument(
        "what",
        choices=tuple(BENCHMARKS),
        help="; ".join(f"{name}: {benchmark.help}" for name, benchmark in BENCHMARKS.items()),
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="scaling: a picture, as PNG")
    parser.add_argument("--quick", action="store_true", help="less of everything, for a first look")


def run(options: argparse.Namespace) -> int:
    """Print a table row by row as it is measured; the results as JSON go to a file."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("--device cuda: PyTorch finds no CUDA device here")
    if options.plot and options.what != "scaling":
        raise ConfigurationError("--plot: there is a picture of 'scaling' only")

    def say(text: str) -> None:
        print(f"  ... {text}", file=sys.stderr, flush=True)

    benchmark = BENCHMARKS[options.what]
    widths = [width for _, width in benchmark.columns]

    def show(values: Iterable) -> None:
        cells = zip(map(str, values), widths, strict=False)
        first, *rest = cells
        print(first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest), flush=True)

    show(title for title, _ in benchmark.columns)
    measured = []
    for row in benchmark.run(options, say):
        measured.append(row)
        show(benchmark.line(row))
    if options.json:
        results = {"machine": machine.describe(), "rows": measured}
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    if options.plot:
        try:
            scaling.plot(measured, options.plot)
        except ImportError as error:
            raise ConfigurationError(f"--plot: {error}; install matplotlib") from error
    return 0
