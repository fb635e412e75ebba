# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Measure on this machine."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from cem_planner_ros.benchmarks import (
    bench_drive,
    bench_dynamics,
    bench_learning,
    bench_loop,
    bench_physics,
    bench_plan,
    bench_policy,
    bench_quality,
    bench_robots,
    bench_scaling,
    machine,
    path_runs,
    robot_episodes,
)
from cem_planner_ros.benchmarks.part import Part
from cem_planner_ros.cli.bench_table import (
    table,
    table_of_robots,
    table_of_runs,
    table_of_walks,
    write,
)
from cem_planner_ros.cli.hired_workers import OPTIONS as JOBS
from cem_planner_ros.cli.hired_workers import hire
from cem_planner_ros.errors import ConfigurationError, did_you_mean

Say = Callable[[str], None]


def _plan(options: argparse.Namespace, say: Say) -> dict:
    _check_device(options)
    return _with_launches(
        table(
            (
                *(("workload", 32), ("backend", 14), ("p50 ms", 8), ("p99 ms", 8), ("GPU ms", 8)),
                *(("ratio", 6), ("cold s", 7), ("cached", 7), ("ready", 6)),
            ),
            bench_plan.run(options.device, options.quick, say, options.profile),
            lambda row: (
                *(row["name"], row["backend"], row["plan_ms"]["p50"], row["plan_ms"]["p99"]),
                *(row.get("gpu_ms", "-"), row["ratio_to_reference"]),
                *(*row["compile_s"].values(), row["ready_s"]),
            ),
        )
    )


def _scaling(options: argparse.Namespace, say: Say) -> dict:
    _check_device(options)
    results = table(
        (("workload", 28), ("p50 ms", 9), ("p99 ms", 9), *((p, 9) for p in bench_scaling.PHASES)),
        bench_scaling.run(options.device, options.quick, say),
        lambda row: (row["name"], *row["plan_ms"].values(), *row["phases_ms"].values()),
    )
    if options.plot:
        try:
            bench_scaling.plot(results["rows"], options.plot)
        except ImportError as error:
            raise ConfigurationError(f"--plot: {error}; install matplotlib") from error
    return results


def _quality(options: argparse.Namespace, say: Say) -> dict:
    suite = SUITES[options.suite]
    chosen = {"--task": suite.TASKS, "--method": suite.METHODS}
    if suite is bench_quality:
        chosen["--rollouts"] = suite.ROLLOUTS
    elif options.rollouts is not None and options.rollouts < 1:
        raise ConfigurationError(f"--rollouts is {options.rollouts}, allowed: from 1")
    for name, allowed in chosen.items():
        value = getattr(options, name.removeprefix("--"))
        if value not in (None, *allowed):
            raise ConfigurationError(
                f"{name} is '{value}', allowed with --suite {options.suite}: "
                f"{', '.join(map(str, allowed))}{did_you_mean(str(value), map(str, allowed))}"
            )
    part = Part(options.quick, options.task, options.method, options.rollouts, options.seeds)
    if suite is bench_robots:
        columns = (("task", 40), ("cost", 10), ("std", 8), ("N", 6), ("I", 3), ("seeds", 6))
        columns = (*columns, ("steps", 6))
        last = ("samples", "iterations", "seeds", "steps")

        def line(row: dict) -> tuple:
            return (row["name"], *row["cost"].values(), *(row[name] for name in last))
    else:
        columns = (("task", 52), ("cost", 10), ("std", 8), ("successes", 9))
        columns = (*columns, ("steady command RMS", 40))

        def line(row: dict) -> tuple:
            steady = (f"{name} {rms:g}" for name, rms in row["steady_command_rms"].items())
            successes = f"{row['successes']}/{row['seeds']}"
            return (row["name"], *row["cost"].values(), successes, ", ".join(steady))

    with hire(options) as workers:
        return table(columns, suite.run(part, say, workers), line, options.json)


def _dynamics(options: argparse.Namespace, say: Say) -> dict:
    _check_device(options)
    return _with_launches(
        table(
            (("model", 24), ("steps per second", 60), ("GPU ms", 10)),
            bench_dynamics.run(options.device, options.quick, say, options.profile),
            lambda row: (
                row["name"],
                ", ".join(f"{way} {value:,}" for way, value in row["steps_per_s"].items()),
                row.get("gpu_ms", {}).get("kernel", "-"),
            ),
        )
    )


def _physics(options: argparse.Namespace, say: Say) -> dict:
    _check_device(options)
    plans = table(
        (
            *(("plan", 24), ("engine", 12), ("exact", 6), ("p50 ms", 9), ("p99", 9), ("CPU", 9)),
            ("fit into a period", 24),
        ),
        bench_physics.run(options.device, options.quick, say),
        lambda row: (
            *(row["name"], row["engine"], row["deterministic"]),
            *(row["plan_ms"]["p50"], row["plan_ms"]["p99"], row["processor_ms"]),
            ", ".join(f"{r} {most['p99']}" for r, most in row["candidates_per_period"].items()),
        ),
    )
    walks = table_of_walks(bench_physics.walks(options.device, options.quick, say))
    return plans | {"walks": walks["rows"]}


def _loop(options: argparse.Namespace, say: Say) -> dict:
    for name, value, low, high in (
        ("--rate", options.rate, 1.0, 2000.0),
        ("--seconds", options.seconds, 1.0, math.inf),
        ("--phase", options.phase, 0.0, 0.7),
        ("--priority", options.priority, 0, 98),
    ):
        if not (low <= value <= high and math.isfinite(value)):
            limit = f" to {high:g}" if math.isfinite(high) else ""
            raise ConfigurationError(f"{name} is {value:g}, allowed: from {low:g}{limit}")
    results = bench_loop.run(
        options.rate,
        options.seconds,
        say,
        load=options.load,
        rebuild=options.rebuild,
        planning=not options.without_planning,
        priority=options.priority,
        phase=options.phase,
        device=options.device,
        view=options.view,
    )
    for name, value in results.items():
        if isinstance(value, dict):
            value = "  ".join(f"{key} {figure}" for key, figure in value.items())
        print(f"{name:<22} {value}")
    return results


def _learning(options: argparse.Namespace, say: Say) -> dict:
    with hire(options) as workers:
        return table(
            (("model", 22), ("J", 9), ("std", 7), ("successes", 9), ("error over H", 12)),
            bench_learning.run(options.quick, say, workers),
            lambda row: (
                *(row["name"], *row["cost"].values(), f"{row['successes']}/{row['seeds']}"),
                row.get("error_over_the_horizon", "-"),
            ),
        )


def _drive(options: argparse.Namespace, say: Say) -> dict:
    _check_device(options)
    times = table(
        (
            *(("plan, all costs of config/drive.yaml", 38), ("backend", 10), ("p50 ms", 7)),
            *(("p99", 6), ("GPU ms", 7), ("costmap p50 ms", 14), ("p99", 6)),
        ),
        bench_drive.plan_times(options.device, options.quick, options.profile),
        lambda row: (
            *(row["name"], row["backend"], *row["plan_ms"].values(), row.get("gpu_ms", "-")),
            *row["costmap_ms"].values(),
        ),
    )
    _with_launches(times)
    pictures = bench_drive.marker_times(options.quick)
    if pictures:
        p50, p99 = pictures["marker_ms"].values()
        print(f"{pictures['name']}, published: p50 {p50} ms of processor time, p99 {p99}")
    else:
        say("markers are left out: this needs rclpy and visualization_msgs")
    with hire(options) as workers:
        empty = table_of_runs(("method", 14), bench_drive.smoothness(options.quick, say, workers))
        runs = table_of_runs(("seed", 14), bench_drive.run(options.quick, say, workers))
        free = sum(row["arrived"] and not row["touched"] for row in runs["rows"])
        print(f"{free} of {len(runs['rows'])} arrived without touching anything")
        paths = table(
            (("path", 12), ("method", 14), ("reached", 7), ("missed m", 8), ("time s", 6)),
            path_runs.run(options.quick, say, workers),
            lambda row: (
                *(row["name"], row["method"], "yes" if row["reached"] else "NO"),
                *(row["missed_m"], row["time_s"]),
            ),
        )
    smooth = {
        world: [row for row in empty["rows"] if row["world"] == world]
        for world in bench_drive.EMPTY_WORLDS
    }
    others = {"plans": times["rows"], "markers": pictures, "paths": paths["rows"]}
    return runs | smooth | others


def _policy(options: argparse.Namespace, say: Say) -> dict:
    return table(
        (("use", 40), ("J", 9), ("std", 7), ("successes", 9), ("plan p50 ms", 11), ("p99", 7)),
        bench_policy.run(options.quick, say),
        lambda row: (
            *(row["name"], *row["cost"].values(), f"{row['successes']}/{row['seeds']}"),
            *row["plan_ms"].values(),
        ),
    )


def _ensemble(options: argparse.Namespace, say: Say) -> dict:
    _check_device(options)
    return _with_launches(
        table(
            (
                *(("workload", 44), ("backend", 12), ("p50 ms", 9), ("GPU ms", 9)),
                *(("products ms", 11), ("ratio", 6), ("loss", 8)),
            ),
            bench_learning.plan_times(options.device, options.quick, options.profile),
            lambda row: (
                *(row["name"], row["backend"], row["plan_ms"]["p50"], row.get("gpu_ms", "-")),
                *(row["products_ms"]["p50"], row["ratio_to_products"], row["loss"]),
            ),
        )
    )


@dataclass(frozen=True)
class Benchmark:
    """What can be measured; `options` are those beside --json, with their settings."""

    help: str
    run: Callable[[argparse.Namespace, Say], dict]
    options: dict[str, dict]


DEVICE = {"--device": {"choices": ("cpu", "cuda"), "default": "cpu", "help": "default: cpu"}}
PROFILE = {
    "--profile": {
        "action": "store_true",
        "help": "on a GPU, list what a plan launches, how often, and how long it takes",
    }
}
QUICK = {"--quick": {"action": "store_true", "help": "less of everything, for a first look"}}

SUITES = {"plants": bench_quality, "robots": bench_robots}
SUITE = {
    "--suite": {
        **{"choices": tuple(SUITES), "default": "plants"},
        "help": "plants: cart-pole, doorway and quadrotor; robots: robots of Gymnasium beside "
        "the published iCEM, and those of examples/robots beside the optimisers of judo, which "
        "needs mujoco and the packages with the files, and takes hours "
        "(default: %(default)s)",
    },
    "--task": {"metavar": "NAME", "help": "only this task of the suite"},
    "--method": {"metavar": "NAME", "help": "only this method"},
    "--rollouts": {
        **{"type": int, "metavar": "N"},
        "help": "only so many rollouts in a control period, over all iterations: a budget of the "
        "plants, or any number for robots",
    },
    "--seeds": {
        **{"type": int, "nargs": "+", "metavar": "SEED"},
        "help": "the seeds of the runs (default: 0 to 9 for plants, 0 to 4 for robots)",
    },
}

BENCHMARKS = {
    "plan": Benchmark(
        "time of a plan beside the plainest planner", _plan, DEVICE | QUICK | PROFILE
    ),
    "scaling": Benchmark(
        "growth of the time with N, H and I, and where it goes",
        _scaling,
        DEVICE | QUICK | {"--plot": {"type": Path, "metavar": "FILE", "help": "write it as PNG"}},
    ),
    "quality": Benchmark("cost of closed loops at equal rollouts", _quality, QUICK | SUITE | JOBS),
    "dynamics": Benchmark("model steps per second", _dynamics, DEVICE | QUICK | PROFILE),
    "physics": Benchmark(
        "time of plans of robots with legs in MuJoCo (Warp)", _physics, DEVICE | QUICK
    ),
    "learning": Benchmark(
        "cost of the demo's swing-up with models learned from its data", _learning, QUICK | JOBS
    ),
    "drive": Benchmark(
        "arrivals of a robot in worlds with obstacles, and time of its plans",
        _drive,
        DEVICE | QUICK | PROFILE | JOBS,
    ),
    "robots": Benchmark(
        "robots of the demos in lockstep with the shipped configurations",
        lambda options, say: table_of_robots(robot_episodes.run(options.quick, say)),
        QUICK,
    ),
    "policy": Benchmark(
        "use of a searched policy: as candidates, and where there is no plan", _policy, QUICK
    ),
    "ensemble": Benchmark(
        "time of a plan with an ensemble beside its bare products of matrices",
        _ensemble,
        DEVICE | QUICK | PROFILE,
    ),
    "loop": Benchmark(
        "punctuality of the node against a plant without physics, over DDS",
        _loop,
        DEVICE
        | {
            "--rate": {
                **{"type": float, "default": 50.0, "metavar": "HZ"},
                "help": "of control (default: %(default)g)",
            },
            "--seconds": {
                **{"type": float, "default": 60.0, "metavar": "S"},
                "help": "counted (default: %(default)g)",
            },
            "--load": {"action": "store_true", "help": "another process keeps a core busy"},
            "--rebuild": {"action": "store_true", "help": "the number of candidates changes"},
            "--priority": {
                **{"type": int, "default": 0, "metavar": "P"},
                "help": "of the planner under SCHED_FIFO (default: the ordinary scheduler)",
            },
            "--phase": {
                **{"type": float, "default": 0.0, "metavar": "SHARE"},
                "help": "the parameter command_phase (default: %(default)g)",
            },
            "--view": {"action": "store_true", "help": "a page in a browser shows the planner"},
            "--without-planning": {
                "action": "store_true",
                "help": "the same loop with plans of four candidates over one step: what the "
                "machine, Python and DDS do on their own",
            },
        },
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is measured, how, and where the results go."""
    targets = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, benchmark in BENCHMARKS.items():
        target = targets.add_parser(
            name, help=benchmark.help, description=f"Measure the {benchmark.help}."
        )
        target.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
        for option, settings in benchmark.options.items():
            target.add_argument(option, **settings)


def run(options: argparse.Namespace) -> int:
    """Print figures as they are measured; the results as JSON go to a file."""

    def say(text: str) -> None:
        print(f"  ... {text}", file=sys.stderr, flush=True)

    results = BENCHMARKS[options.what].run(options, say)
    if options.json:
        write(options.json, results)
    return 0


def _check_device(options: argparse.Namespace) -> None:
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("--device cuda: PyTorch finds no CUDA device here")


def _with_launches(results: dict) -> dict:
    """Return results after printing the launches that their rows have."""
    machine.print_launches(results["rows"])
    return results
