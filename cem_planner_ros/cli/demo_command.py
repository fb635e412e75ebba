"""Control a simulated plant over ROS 2, with plant and planner as processes."""

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
from pathlib import Path

import numpy as np

from cem_planner_ros.cli.scenarios import SCENARIOS, DemoRecording, Scenario
from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.control.ladder import FRESH, PREVIOUS_PLAN, STATUSES
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.ros import node_processes

DISCOVERY = 1.5
"""Time in which nodes of the same machine find each other, s."""

OTHERS_END = 20.0
"""Time to wait for other publishers on the same topics to end, s, such as an earlier demo."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare scenario, seed, duration and report."""
    parser.add_argument(
        "--scenario", choices=sorted(SCENARIOS), default="cartpole", help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="of planner and plant (default: 0)")
    durations = ", ".join(f"{name} {kind.duration:g}" for name, kind in SCENARIOS.items())
    parser.add_argument(
        "--duration", type=float, metavar="S", help=f"seconds at most (default: {durations})"
    )
    parser.add_argument(
        "--report", type=Path, default=Path("report"), metavar="DIR", help="default: %(default)s"
    )


def run(options: argparse.Namespace) -> int:
    """Run a scenario; the exit status is 0 if it went well and the commands were on time."""
    kind = SCENARIOS[options.scenario]
    duration = kind.duration if options.duration is None else options.duration
    if not max(kind.min_duration, 1.0) <= duration < math.inf:
        raise ConfigurationError(
            f"--duration is {duration:g}, allowed: at least {max(kind.min_duration, 1.0):g} s"
        )
    if options.seed < 0:
        raise ConfigurationError(f"--seed is {options.seed}, allowed: at least 0")
    scenario = kind(options.seed)
    try:
        options.report.mkdir(parents=True, exist_ok=True)
        for name in (*(f"{node}.log" for node in kind.files), "summary.json", "demo.png"):
            (options.report / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--report {options.report}: {error}") from error
    node_processes.isolate()
    nodes = {
        node: (scenario.config / file, scenario.parameters(node))
        for node, file in kind.files.items()
    }
    planner_file = nodes["planner"][0]
    configuration = configure(
        load_yaml(planner_file) | {"planner.device": "cpu"}, str(planner_file)
    )
    _wait_for_others(configuration)
    with node_processes.running(nodes, options.report) as running:
        # Looking on must not take the processor from those it looks at.
        os.nice(10)
        recording = _record(scenario, configuration, duration, running, options.report)
    period = 1.0 / configuration.values["control_rate"]
    found, problems = scenario.evaluate(recording, duration)
    timing = _timing(recording, period)
    problems += _lateness(timing, kind.max_late_share)
    summary = {
        "scenario": options.scenario,
        "seed": options.seed,
        "success": not problems,
        **found,
        **timing,
    }
    _show(scenario, summary, problems, options.report)
    for line in (options.report / "planner.log").read_text().splitlines():
        if "planning runs as" in line:
            print(line)
    (options.report / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    _plot(scenario, configuration.dynamics.action_names, recording, options.report)
    return 1 if problems else 0


def _wait_for_others(configuration: Configuration) -> None:
    """
    Wait until nobody else speaks on the topics of a configuration, such as a demo that ends.

    Raises ConfigurationError if somebody still does after OTHERS_END s.
    """
    import rclpy
    from rclpy.node import Node
    from rclpy.signals import SignalHandlerOptions

    from cem_planner_ros.ros import endpoints

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("demo")
    topics = [
        node.resolve_topic_name(configuration.values[f"{side}.topic"])
        for side in ("state", "command")
    ]
    began, alone_since, told = time.monotonic(), None, ""
    try:
        while True:
            time.sleep(0.1)
            now = time.monotonic()
            found = {topic: endpoints.other_publishers(node, topic) for topic in topics}
            text = "; ".join(
                f"{', '.join(names)} on '{topic}'" for topic, names in found.items() if names
            )
            if text and now > began + OTHERS_END:
                raise ConfigurationError(
                    f"another planner or plant already publishes: {text}; end it, or give this "
                    "demo another ROS_DOMAIN_ID (this one is "
                    f"{os.environ['ROS_DOMAIN_ID']})"
                )
            if text and text != told:
                told = text
                print(f"waiting for others to end, who publish: {text}", flush=True)
            alone_since = None if text else alone_since or now
            if alone_since is not None and now > alone_since + DISCOVERY:
                return
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _record(
    scenario: Scenario,
    configuration: Configuration,
    duration: float,
    running: dict[str, subprocess.Popen],
    logs: Path,
) -> DemoRecording:
    """Listen for `duration` s from the first planned command on, and show progress."""
    import rclpy
    from rclpy.node import Node
    from std_msgs.msg import Float64MultiArray

    from cem_planner_ros.ros.diagnostics import STATISTICS
    from cem_planner_ros.ros.messages import command_reader, message_class, state_reader
    from cem_planner_ros.ros.process import light_executor

    value = configuration.values
    read_state = state_reader(value["state.type"], configuration.fields("state"))
    read_action = command_reader(value["command.type"], configuration.fields("command"))
    recording = DemoRecording()
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
        statistics = dict(zip(STATISTICS, message.data, strict=False))
        if math.isnan(began) and statistics["status"] == fresh:
            began = time.monotonic()
        elif not math.isnan(began):
            recording.statistics.append((time.monotonic() - began, statistics))

    rclpy.init(args=[])
    node = Node("demo")
    executor = light_executor()
    executor.add_node(node)
    node.create_subscription(message_class(value["state.type"]), value["state.topic"], on_state, 50)
    node.create_subscription(
        message_class(value["command.type"]), value["command.topic"], on_action, 50
    )
    node.create_subscription(Float64MultiArray, "/cem_planner/statistics", on_statistics, 50)
    scenario.watch(node, configuration)
    started = time.monotonic()
    try:
        with _progress(duration) as progress:
            while math.isnan(began) or time.monotonic() < began + duration:
                if not math.isnan(began) and scenario.is_over(recording):
                    break
                node_processes.spin_once(executor)
                node_processes.check(running, logs)
                if math.isnan(began):
                    node_processes.check_ready(logs, time.monotonic() - started)
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


def _timing(recording: DemoRecording, period: float) -> dict:
    """Return what the summary says of times, in ms, and of commands."""
    statistics = [s for _, s in recording.statistics]

    def quantiles(values: list[float], *names: str) -> dict[str, float | None]:
        numbers = np.array([v for v in values if not math.isnan(v)])
        share = {"p50": 50, "p99": 99, "max": 100}
        return {
            name: round(float(np.percentile(numbers, share[name])), 3) if numbers.size else None
            for name in names
        }

    return {
        "plan_ms": quantiles([s["plan_ms"] for s in statistics], "p50", "p99", "max"),
        "state_age_ms": quantiles([s["state_age_ms"] for s in statistics], "p50", "p99"),
        "period_jitter_ms": quantiles(
            [abs(s["interval_ms"] - 1e3 * period) for s in statistics], "p50", "p99"
        ),
        "commands": len(recording.actions),
        "late": int(sum(s["late"] for s in statistics)),
        "missing": int(statistics[-1]["missing"] - statistics[0]["missing"]) if statistics else 0,
        "previous_plan": sum(s["status"] == STATUSES.index(PREVIOUS_PLAN) for s in statistics),
    }


def _lateness(timing: dict, allowed: float) -> list[str]:
    """Return what is wrong with when the commands came."""
    missed, periods = timing["late"] + timing["missing"], timing["commands"] + timing["missing"]
    if not timing["commands"]:
        return ["no commands"]
    if missed < allowed * periods:
        return []
    share = 100 * missed / periods
    return [
        f"{share:.1f} % of the commands late or missing, allowed {100 * allowed:g} %: is the "
        "machine busy?"
    ]


def _show(scenario: Scenario, summary: dict, problems: list[str], report: Path) -> None:
    """Print the summary as a table."""

    def row(values: dict[str, float | None]) -> str:
        return "  ".join(f"{k} {v:.2f}" if v is not None else f"{k} -" for k, v in values.items())

    rows = {
        **scenario.rows(summary),
        "plan time (ms)": row(summary["plan_ms"]),
        "state age (ms)": row(summary["state_age_ms"]),
        "period jitter (ms)": row(summary["period_jitter_ms"]),
        "missed deadlines": f"{summary['late']} late, {summary['missing']} missing "
        f"of {summary['commands'] + summary['missing']}; "
        f"{summary['previous_plan']} by the previous plan",
        "result": "FAILED: " + "; ".join(problems) if problems else "success",
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
    scenario: Scenario, action_names: tuple[str, ...], recording: DemoRecording, report: Path
) -> None:
    """Write the map, the signals, the commands and the plan time over time as PNG."""
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
    heights = [1.0] * len(panels)
    figure = pyplot.figure(
        figsize=(9, 2 * len(panels) + 4 * scenario.has_map), layout="constrained"
    )
    above = int(scenario.has_map)
    grid = figure.add_gridspec(above + len(panels), 1, height_ratios=[2.0] * above + heights)
    if scenario.has_map:
        scenario.draw(figure.add_subplot(grid[0]), recording)
    axes = [figure.add_subplot(grid[above])]
    axes += [figure.add_subplot(cell, sharex=axes[0]) for cell in list(grid)[above + 1 :]]
    for axis, (label, times, values) in zip(axes, panels, strict=True):
        axis.plot(times, values, linewidth=1.0)
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        axis.label_outer()
    axes[-1].set_xlabel("time [s]")
    figure.savefig(report / "demo.png", dpi=110)
    pyplot.close(figure)
