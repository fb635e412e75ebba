# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
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
from typing import TYPE_CHECKING

import numpy as np

from cem_planner_ros.cli import demo_report
from cem_planner_ros.cli.demo_scenario import DemoRecording, Scenario
from cem_planner_ros.cli.scenarios import SCENARIOS
from cem_planner_ros.cli.view_command import check_packages
from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.configuration.state_sources import StateSource
from cem_planner_ros.control.ladder import FRESH, STATUSES
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import lock_folder
from cem_planner_ros.readers import stamp_of
from cem_planner_ros.ros import node_processes

if TYPE_CHECKING:
    from rclpy.node import Node

DISCOVERY = 1.5
"""Time in which nodes of the same machine find each other, s."""

MOST_AGE = 1.0
"""Age of a state from which its stamp is not believed, s."""

MOST_SEED = 2**63 - 1
"""That of an integer parameter."""

OTHERS_END = 20.0
"""Time to wait for others with the same topics or report to end, s, such as an earlier demo."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare scenario, seed, duration, report and page."""
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
    parser.add_argument(
        "--view",
        type=int,
        nargs="?",
        const=8080,
        metavar="PORT",
        help="serve a page in a browser (default port: 8080); without --duration, the nodes go on "
        "after the scenario, until Ctrl-C",
    )


def run(options: argparse.Namespace) -> int:
    """Run a scenario; the exit status is 0 if it went well and the commands were on time."""
    kind = SCENARIOS[options.scenario]
    duration = kind.duration if options.duration is None else options.duration
    if not max(1.0, kind.min_duration) <= duration < math.inf:
        raise ConfigurationError(
            f"--duration is {duration:g}, allowed: at least {max(1.0, kind.min_duration):g} s"
        )
    if not 0 <= options.seed <= MOST_SEED:
        raise ConfigurationError(f"--seed is {options.seed}, allowed: from 0 to {MOST_SEED}")
    if options.view is not None:
        if not 0 < options.view <= 65535:
            raise ConfigurationError(f"--view is {options.view}, allowed: from 1 to 65535")
        check_packages()
    stale = [*(f"{node}.log" for node in kind.files), "summary.json", "demo.png"]
    with _claimed(options.report, stale):
        return _run(options, kind(options.seed), duration)


def _run(options: argparse.Namespace, scenario: Scenario, duration: float) -> int:
    """Run a scenario, and write its report."""
    node_processes.isolate()
    nodes = {
        node: (scenario.config / file, scenario.parameters(node))
        for node, file in scenario.files.items()
    }
    planner_file = nodes["planner"][0]
    if options.view is not None:
        nodes = {"viewer": (None, {"port": options.view})} | nodes
    configuration = configure(
        load_yaml(planner_file) | {"planner.device": "cpu"}, str(planner_file)
    )
    _wait_for_others(configuration)
    with node_processes.running(nodes, options.report) as running:
        # Looking on must not take the processor from those it looks at.
        os.nice(10)
        if options.view is not None:
            print(f"the page is at http://127.0.0.1:{options.view}/", flush=True)
        recording = _record(scenario, configuration, duration, running, options.report)
        if options.view is not None and options.duration is None:
            _go_on(running, options.report)
    period = 1.0 / configuration.values["control_rate"]
    found, problems = scenario.evaluate(recording, duration)
    timing = demo_report.timing(recording, period)
    problems += demo_report.lateness(timing, scenario.max_late_share)
    summary = {
        "scenario": options.scenario,
        "seed": options.seed,
        "success": not problems,
        **found,
        **timing,
    }
    (options.report / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    demo_report.show(scenario, summary, problems, options.report)
    for line in (options.report / "planner.log").read_text().splitlines():
        if "planning runs as" in line:
            print(line)
    demo_report.plot(scenario, configuration.dynamics, recording, options.report)
    return 1 if problems else 0


def _claimed(folder: Path, stale: list[str]) -> contextlib.AbstractContextManager:
    """
    Make the folder of the report, delete stale files, and keep other demos from it meanwhile.

    Raises ConfigurationError if another demo still has it after OTHERS_END s, or it cannot be
    written.
    """
    began, told = time.monotonic(), False
    while True:
        try:
            lock = lock_folder(folder)
            for name in stale:
                (folder / name).unlink(missing_ok=True)
            return lock
        except BlockingIOError as error:
            if time.monotonic() > began + OTHERS_END:
                raise ConfigurationError(
                    f"--report {folder} is the folder of another demo: wait until it has ended, or "
                    "give this one another folder"
                ) from error
        except OSError as error:
            raise ConfigurationError(f"--report {folder}: {error}") from error
        if not told:
            told = True
            print(f"waiting for another demo, whose folder is {folder}, to end", flush=True)
        time.sleep(0.1)


def _go_on(running: dict[str, subprocess.Popen], logs: Path) -> None:
    """Let the nodes run until Ctrl-C."""
    print("the scenario is over, the nodes go on; Ctrl-C ends them", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            node_processes.check(running, logs)
            time.sleep(0.2)


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
    names = [source.topic for source in configuration.sources]
    names.append(configuration.values["command.topic"])
    topics = [node.resolve_topic_name(name) for name in names]
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

    from cem_planner_ros.ros.process import light_executor

    rclpy.init(args=[])
    node = Node("demo")
    executor = light_executor()
    executor.add_node(node)
    recording = DemoRecording()
    _listen(node, configuration, recording)
    scenario.watch(node, configuration, recording)
    started = time.monotonic()
    command = f"command {demo_report.action_labels(configuration.dynamics)[0]}"
    try:
        with _progress(duration) as progress:
            while not recording.now >= duration:
                if recording.now >= 0.0 and scenario.is_over(recording):
                    break
                node_processes.spin_once(executor)
                node_processes.check(running, logs)
                if math.isnan(recording.began):
                    node_processes.check_ready(logs, time.monotonic() - started)
                    progress(0.0, lambda: "starting: compiling the planner")
                elif recording.states and recording.statistics:
                    progress(recording.now, lambda: _readings(scenario, command, recording))
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return recording


def _listen(node: Node, configuration: Configuration, recording: DemoRecording) -> None:
    """Let a node record states, commands and statistics."""
    from std_msgs.msg import Float64MultiArray

    from cem_planner_ros.readers import command_reader, part_reader
    from cem_planner_ros.ros.diagnostics import STATISTICS
    from cem_planner_ros.ros.messages import message_class

    value = configuration.values
    read_action = command_reader(value["command.type"], configuration.fields("command"))
    newest = np.full(len(configuration.dynamics.state_names), np.nan)
    fresh = float(STATUSES.index(FRESH))

    def age(message) -> float:
        """Return how long ago a message was stamped, s; 0 if that cannot be."""
        stamp = stamp_of(message)
        since = 0.0 if stamp is None else 1e-9 * node.get_clock().now().nanoseconds - stamp
        return since if 0.0 < since < MOST_AGE else 0.0

    def hear_state(source: StateSource) -> None:
        read, rows = part_reader(source.type, source.fields), list(source.rows)

        def on_state(message) -> None:
            part = read(message)
            newest[rows] = np.where(np.isnan(part), newest[rows], part)
            measured = recording.now - age(message)
            if measured >= 0.0 and not np.isnan(newest).any():
                recording.states.append((measured, newest.copy()))

        node.create_subscription(message_class(source.type), source.topic, on_state, 50)

    def on_action(message) -> None:
        action = read_action(message)
        if recording.first is None and not np.isnan(newest).any():
            recording.first = newest.copy(), action
        if recording.now >= 0.0:
            recording.actions.append((recording.now, action))

    def on_statistics(message) -> None:
        statistics = dict(zip(STATISTICS, message.data, strict=False))
        if recording.now >= 0.0:
            recording.statistics.append((recording.now, statistics))
        elif statistics["status"] == fresh:
            recording.began = time.monotonic()

    for source in configuration.sources:
        hear_state(source)
    node.create_subscription(
        message_class(value["command.type"]), value["command.topic"], on_action, 50
    )
    node.create_subscription(Float64MultiArray, "/cem_planner/statistics", on_statistics, 50)


def _readings(scenario: Scenario, command: str, recording: DemoRecording) -> str:
    """Return what progress says: readings, time of the plan, and the command if actions are few."""
    told = [demo_report.reading(*each) for each in scenario.readings(recording)]
    told.append(f"plan {recording.statistics[-1][1]['plan_ms']:.1f} ms")
    action = recording.actions[-1:]
    if action and len(action[0][1]) <= demo_report.MOST_PANELS:
        told.append(demo_report.reading(command, f"{action[0][1][0]:+.1f}"))
    return "  ".join(told)


@contextlib.contextmanager
def _progress(duration: float) -> Iterator[Callable[[float, Callable[[], str]], None]]:
    """
    Yield a function that shows elapsed time and a text: a bar on a terminal, else some lines.

    It may be called as often as messages come. It makes the text only when it shows it.
    """
    try:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column
    except ImportError:
        terminal = False
    else:
        terminal = sys.stdout.isatty()
    if terminal:
        # On a narrow terminal the bar gets shorter, then the end of the text is cut off.
        whole, cut = (Column(no_wrap=True, min_width=width) for width in (6, None))
        columns = (
            TextColumn("{task.completed:4.1f} s", table_column=whole),
            BarColumn(20),
            TextColumn("{task.description}", table_column=cut, markup=False),
        )
        with Progress(*columns) as bar:
            task = bar.add_task("", total=duration)
            yield _at_most_every(
                0.1, lambda at, text: bar.update(task, completed=at, description=text)
            )
    else:
        yield _at_most_every(1.0, lambda at, text: print(f"{at:5.1f} s  {text}", flush=True))


def _at_most_every(
    interval: float, show: Callable[[float, str], None]
) -> Callable[[float, Callable[[], str]], None]:
    """Return a function that makes and shows a text if an interval, s, began since the last one."""
    due = 0.0

    def offer(elapsed: float, text: Callable[[], str]) -> None:
        nonlocal due
        if elapsed >= due:
            due = elapsed - elapsed % interval + interval
            show(elapsed, text())

    return offer
