"""Measure on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from cem_planner_ros.benchmarks import machine, plan, quality
from cem_planner_ros.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is measured, where, and where the results go."""
    parser.add_argument(
        "what",
        choices=("plan", "quality"),
        help="plan: time of a plan; quality: cost of closed loops at equal rollouts",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--quick", action="store_true", help="less of everything, for a first look")


def run(options: argparse.Namespace) -> int:
    """Print a table row by row as it is measured; the results as JSON go to a file."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("--device cuda: PyTorch finds no CUDA device here")

    def say(text: str) -> None:
        print(f"  ... {text}", file=sys.stderr, flush=True)

    if options.what == "plan":
        rows = plan.run(options.device, options.quick, say)
        columns = (
            "{name:32} {backend:14} {p50:>8} {p99:>8} {ratio:>6} {cold:>7} {cached:>7} {ready:>6}"
        )
        print(
            columns.format(
                name="workload",
                backend="backend",
                p50="p50 ms",
                p99="p99 ms",
                ratio="ratio",
                cold="cold s",
                cached="cached",
                ready="ready",
            )
        )
    else:
        rows = quality.run(options.quick, say)
        columns = "{name:40} {mean:>10} {std:>8} {successes:>9}"
        print(columns.format(name="task", mean="cost", std="std", successes="successes"))
    measured = []
    for row in rows:
        measured.append(row)
        if options.what == "plan":
            line = {**row, **row["plan_ms"], **row["compile_s"]}
            line |= {"ratio": row["ratio_to_reference"], "ready": row["ready_s"]}
        else:
            line = {**row, **row["cost"], "successes": f"{row['successes']}/{row['seeds']}"}
        print(columns.format(**line), flush=True)
    if options.json:
        results = {"machine": machine.describe(), "rows": measured}
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0
