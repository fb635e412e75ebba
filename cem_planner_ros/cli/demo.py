"""Control a simulated plant over ROS 2: two processes that meet over DDS, and an observer."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cem_planner_ros import processes
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.control.ladder import FRESH, SHIFTED, STATUSES
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share

GOAL_WINDOW = 2.0
"""s at the end of the run over which the goal must hold."""

MAX_LATE_SHARE = 0.01

PROCESS_NOISE = 0.02
"""Of the simulated actions, over half their range; it is what makes seeds differ."""


@dataclass(frozen=True)
class Scenario:
    """
    A plant, a planner for it, and what to look at.

    Attributes:
        planner_file, simulator_file: YAML files in the package's config.
        error: distance (rad or m) from the goal of a state (nx,), in the model's order.
        tolerance: the goal is reached while the error is below it.
        signals: (label, function of the state) to show over time.
    """

    planner_file: str
    simulator_file: str
    goal: str
    error: Callable[[np.ndarray], float]
    tolerance: float
    signals: tuple[tuple[str, Callable[[np.ndarray], float]], ...]


def _wrap(angle: float) -> float:
    return math.remainder(angle, 2.0 * math.pi)


SCENARIOS = {
    name: Scenario(
        planner_file=f"{name}.yaml",
        simulator_file="cartpole_simulator.yaml",
        goal="upright",
        error=lambda state: abs(_wrap(state[2])),
        tolerance=0.2,
        signals=(
            ("angle [rad]", lambda state: _wrap(state[2])),
            ("cart [m]", lambda state: state[0]),
        ),
    )
    for name in ("cartpole", "cartpole_learned")
}


@dataclass
class Recording:
    """What was seen on the topics; times in s since the first planned command."""

    states: list[tuple[float, np.ndarray]] = field(default_factory=list)
    actions: list[tuple[float, np.ndarray]] = field(default_factory=list)
    statistics: list[tuple[float, dict[str, float]]] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare scenario, seed, duration and report."""
    parser.add_argument(
        "--scenario", choices=sorted(SCENARIOS), default="cartpole", help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="of planner and plant (default: 0)")
    parser.add_argument(
        "--duration", type=float, default=10.0, metavar="S", help="seconds (default: 10)"
    )
    parser.add_argument(
        "--report", type=Path, default=Path("report"), metavar="DIR", help="default: %(default)s"
    )


def run(options: argparse.Namespace) -> int:
    """Run a scenario; the exit status is 0 if the goal held and the commands were on time."""
    if not GOAL_WINDOW <= options.duration < math.inf:
        raise ConfigurationError(
            f"--duration is {options.duration:g}, allowed: at least {GOAL_WINDOW:g} s, the time "
            "over which the goal must hold"
        )
    if options.seed < 0:
        raise ConfigurationError(f"--seed is {options.seed}, allowed: at least 0")
    scenario = SCENARIOS[options.scenario]
    try:
        options.report.mkdir(parents=True, exist_ok=True)
        for name in ("planner.log", "simulator.log", "summary.json", "demo.png"):
            (options.report / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--report {options.report}: {error}") from error
    processes.isolate()
    planner_file = share("config") / scenario.planner_file
    configuration = configure(
        load_yaml(planner_file) | {"planner.device": "cpu"}, str(planner_file)
    )
    with processes.running(_nodes(scenario, options.seed), options.report) as running:
        # Looking on must not take the processor from those it looks at.
        os.nice(10)
        recording = _record(scenario, configuration, options.duration, running, options.report)
    period = 1.0 / configuration.values["control_rate"]
    summary = _summary(scenario, options, recording, period)
    _show(scenario, summary, options.report)
    for line in (options.report / "planner.log").read_text().splitlines():
        if "planning runs as" in line:
            print(line)
    (options.report / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    _plot(scenario, configuration.dynamics.action_names, recording, options.report)
    return 0 if summary["success"] else 1


def _nodes(scenario: Scenario, seed: int) -> dict[str, tuple[Path, dict[str, object]]]:
    """Return what `processes.running` starts."""
    config = share("config")
    return {
        "simulator": (
            config / scenario.simulator_file,
            {"seed": seed, "process_noise": PROCESS_NOISE},
        ),
        "planner": (
            config / scenario.planner_file,
            {"planner.seed": seed, "publish_statistics": "true"},
        ),
    }


def _record(
    scenario: Scenario,
    configuration,
    duration: float,
    running: dict[str, subprocess.Popen],
    logs: Path,
) -> Recording:
    """Listen for `duration` s from the first planned command on, and show progress."""
    import rclpy
    from rclpy.node import Node
    from std_msgs.msg import Float64MultiArray

    from cem_planner_ros.ros.diagnostics import STATISTICS
    from cem_planner_ros.ros.messages import MESSAGES, command_reader, state_reader
    from cem_planner_ros.ros.process import light_executor

    value = configuration.values
    read_state = state_reader(value["state.type"], configuration.fields("state"))
    read_action = command_reader(value["command.type"], configuration.fields("command"))
    recording = Recording()
    fresh = float(STATUSES.index(FRESH))
    began = math.nan

    def on_state(message) -> None:
        if not math.isnan(began):
            recording.states.append((time.monotonic() - began, read_state(message)))

    def on_action(message) -> None:
        if not math.isnan(began):
            recording.actions.append((time.monotonic() - began, read_action(message)))

    def on_statistics(message) -> None:
        nonlocal began
        statistics = dict(zip(STATISTICS, message.data, strict=True))
        if math.isnan(began) and statistics["status"] == fresh:
            began = time.monotonic()
        elif not math.isnan(began):
            recording.statistics.append((time.monotonic() - began, statistics))

    rclpy.init(args=[])
    node = Node("demo")
    executor = light_executor()
    executor.add_node(node)
    node.create_subscription(MESSAGES[value["state.type"]], value["state.topic"], on_state, 50)
    node.create_subscription(MESSAGES[value["command.type"]], value["command.topic"], on_action, 50)
    node.create_subscription(Float64MultiArray, "/cem_planner/statistics", on_statistics, 50)
    started = time.monotonic()
    try:
        with _progress(duration) as progress:
            while math.isnan(began) or time.monotonic() < began + duration:
                executor.spin_once(timeout_sec=0.1)
                processes.check(running, logs)
                if math.isnan(began):
                    processes.check_ready(logs, time.monotonic() - started)
                    progress(0.0, "starting: compiling the planner")
                elif recording.states and recording.statistics:
                    state, action = recording.states[-1][1], recording.actions[-1:]
                    text = "  ".join(
                        f"{label} {get(state):+.2f}" for label, get in scenario.signals
                    )
                    plan = recording.statistics[-1][1]["plan_ms"]
                    force = f"  command {action[0][1][0]:+.1f}" if action else ""
                    progress(time.monotonic() - began, f"{text}{force}  plan {plan:.1f} ms")
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return recording


@contextlib.contextmanager
def _progress(duration: float) -> Iterator[Callable[[float, str], None]]:
    """Yield a function that shows elapsed time and a text: a bar on a terminal, else some lines."""
    try:
        from rich.progress import BarColumn, Progress, TextColumn
    except ImportError:
        terminal = False
    else:
        terminal = sys.stdout.isatty()
    if terminal:
        columns = (TextColumn("{task.completed:4.1f} s"), BarColumn(20), "{task.description}")
        with Progress(*columns) as bar:
            task = bar.add_task("", total=duration)
            yield lambda elapsed, text: bar.update(task, completed=elapsed, description=text)
        return
    shown = -1.0

    def show(elapsed: float, text: str) -> None:
        nonlocal shown
        if elapsed >= shown + 1.0:
            shown = math.floor(elapsed)
            print(f"{elapsed:5.1f} s  {text}", flush=True)

    yield show


def _summary(
    scenario: Scenario, options: argparse.Namespace, recording: Recording, period: float
) -> dict:
    """Return what summary.json holds."""
    end = options.duration
    errors = [(t, scenario.error(state)) for t, state in recording.states]
    last = [error < scenario.tolerance for t, error in errors if t >= end - GOAL_WINDOW]
    outside = [t for t, error in errors if error >= scenario.tolerance]
    reached = errors and errors[-1][1] < scenario.tolerance
    statistics = [s for _, s in recording.statistics]
    commands = len(recording.actions)
    late = int(sum(s["late"] for s in statistics))
    missing = int(statistics[-1]["missing"] - statistics[0]["missing"]) if statistics else 0
    shifted = sum(s["status"] == STATUSES.index(SHIFTED) for s in statistics)
    on_time = commands > 0 and late + missing < MAX_LATE_SHARE * (commands + missing)

    def quantiles(values: list[float], *names: str) -> dict[str, float | None]:
        numbers = np.array([v for v in values if not math.isnan(v)])
        share = {"p50": 50, "p99": 99, "max": 100}
        return {
            name: round(float(np.percentile(numbers, share[name])), 3) if numbers.size else None
            for name in names
        }

    return {
        "scenario": options.scenario,
        "seed": options.seed,
        "success": bool(last) and all(last) and on_time,
        "time_to_goal_s": round(max(outside, default=0.0), 3) if reached else None,
        "upright_share_last_2s": round(float(np.mean(last)), 4) if last else 0.0,
        "plan_ms": quantiles([s["plan_ms"] for s in statistics], "p50", "p99", "max"),
        "state_age_ms": quantiles([s["state_age_ms"] for s in statistics], "p50", "p99"),
        "period_jitter_ms": quantiles(
            [abs(s["interval_ms"] - 1e3 * period) for s in statistics], "p50", "p99"
        ),
        "commands": commands,
        "late": late,
        "missing": missing,
        "shifted": shifted,
    }


def _why(scenario: Scenario, summary: dict) -> str:
    """Return what kept a run from success."""
    reasons = []
    if summary["upright_share_last_2s"] < 1.0:
        reasons.append(f"not {scenario.goal} for the last {GOAL_WINDOW:g} s")
    missed, periods = summary["late"] + summary["missing"], summary["commands"] + summary["missing"]
    if missed >= MAX_LATE_SHARE * periods:
        share = 100 * missed / periods if periods else 100.0
        reasons.append(
            f"{share:.1f} % of the commands late or missing, allowed {100 * MAX_LATE_SHARE:g} %: "
            "is the machine busy?"
        )
    return "; ".join(reasons)


def _show(scenario: Scenario, summary: dict, report: Path) -> None:
    """Print the summary as a table."""

    def row(values: dict[str, float | None]) -> str:
        return "  ".join(f"{k} {v:.2f}" if v is not None else f"{k} -" for k, v in values.items())

    reached = summary["time_to_goal_s"]
    rows = {
        f"time to {scenario.goal}": f"{reached:.2f} s" if reached is not None else "never",
        f"{scenario.goal}, last 2 s": f"{100 * summary['upright_share_last_2s']:.1f} %",
        "plan time (ms)": row(summary["plan_ms"]),
        "state age (ms)": row(summary["state_age_ms"]),
        "period jitter (ms)": row(summary["period_jitter_ms"]),
        "missed deadlines": f"{summary['late']} late, {summary['missing']} missing "
        f"of {summary['commands'] + summary['missing']}; {summary['shifted']} by an earlier plan",
        "result": "success" if summary["success"] else f"FAILED: {_why(scenario, summary)}",
        "report": str(report),
    }
    title = f"{summary['scenario']}, seed {summary['seed']}"
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(title, *(f"  {name:<20} {text}" for name, text in rows.items()), sep="\n")
        return
    table = Table(title=title, show_header=False)
    for name, text in rows.items():
        table.add_row(name, text)
    Console().print(table)


def _plot(
    scenario: Scenario, action_names: tuple[str, ...], recording: Recording, report: Path
) -> None:
    """Write the signals, the commands and the plan time over time as PNG."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        print("no picture: matplotlib is not installed", file=sys.stderr)
        return
    panels: list[tuple[str, list[float], list[float]]] = []
    times = [t for t, _ in recording.states]
    for label, get in scenario.signals:
        panels.append((label, times, [get(state) for _, state in recording.states]))
    times = [t for t, _ in recording.actions]
    for index, name in enumerate(action_names):
        panels.append((name, times, [action[index] for _, action in recording.actions]))
    times = [t for t, _ in recording.statistics]
    panels.append(("plan time [ms]", times, [s["plan_ms"] for _, s in recording.statistics]))
    figure, axes = pyplot.subplots(
        len(panels), sharex=True, figsize=(9, 2 * len(panels)), layout="constrained"
    )
    for axis, (label, times, values) in zip(axes, panels, strict=True):
        axis.plot(times, values, linewidth=1.0)
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("time [s]")
    figure.savefig(report / "demo.png", dpi=110)
    pyplot.close(figure)
