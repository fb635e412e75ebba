# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
How punctual the control loop is: the real node against a plant without physics, over DDS.

Planner, plant and this observer are separate processes. The times are those that the planner
publishes in `~/statistics`. The arriving commands are counted separately.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cem_planner_ros.benchmarks import machine, page_watcher
from cem_planner_ros.configuration import NODE_NAME, configure, load_yaml
from cem_planner_ros.control.ladder import FRESH, PREVIOUS_PLAN, STATUSES
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share
from cem_planner_ros.ros import node_processes

SEARCH = {"samples": 1024, "horizon": 30, "iterations": 5}

NO_SEARCH = {"samples": 4, "elites": 1, "horizon": 1, "iterations": 1}
"""The same loop with a plan of four candidates over one step: all but the planning."""

STATE_RATE = 710.0
"""
Hz; a state waits for the next period for half of its own period at the median.

No multiple of usual control rates, or chance would decide once for a whole run how long.
"""

REBUILD_INTERVAL = 4.0
"""s from one change of the number of candidates to the next, which makes a new planner each."""

SETTLING = 1.0
"""s after the first plan that are not counted; other nodes are still being found."""

FIRST_MINUTE = 60.0
"""s after which memory may grow no more; half of a run that is shorter than twice that."""


@dataclass
class LoopRecording:
    """What was seen: arrivals (s), statistics by label, memory (MB) and processor time (s)."""

    commands: list[float] = field(default_factory=list)
    labels: tuple[str, ...] = ()
    rows: list[np.ndarray] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    busy: list[tuple[float, float]] = field(default_factory=list)
    stolen: list[float] = field(default_factory=list)
    page: list[tuple[float, float, float]] = field(default_factory=list)
    rebuilds: int = 0

    def column(self, label: str) -> np.ndarray:
        """Return one statistic over the periods (T,)."""
        return np.array(self.rows)[:, self.labels.index(label)]


def run(
    rate: float,
    seconds: float,
    say: Callable[[str], None],
    *,
    load: bool = False,
    rebuild: bool = False,
    planning: bool = True,
    priority: int = 0,
    phase: float = 0.0,
    device: str = "cpu",
    view: bool = False,
) -> dict:
    """
    Return the figures of one run.

    Args:
        rate: of control, Hz.
        seconds: that are counted.
        say: shows progress.
        load: whether another process keeps a core busy.
        rebuild: whether N changes every few seconds, under `allow_rebuild`.
        planning: without it, the loop runs with `NO_SEARCH`.
        priority: of the planner under SCHED_FIFO; 0 for the ordinary scheduler.
        phase: the parameter command_phase.
        device: the parameter planner.device.
        view: whether a page shows the planner, and a browser without a picture the page.

    Raises ConfigurationError if a process ends by itself, no plan comes or a change is refused.
    """
    # Says how far others disturbed the run: it should be near zero at its beginning.
    described = machine.describe() | {"load_average": round(os.getloadavg()[0], 2)}
    node_processes.isolate()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        logs = Path(folder)
        nodes = _nodes(rate, planning, priority, phase, device)
        if view:
            port = page_watcher.free_port()
            nodes = {"viewer": (None, {"port": port})} | nodes
        running = stack.enter_context(node_processes.running(nodes, logs))
        if view:
            received = stack.enter_context(page_watcher.watching(port))
        if load:
            stack.enter_context(_busy_core())
        recording = _record(seconds, running, logs, say, rebuild)
        if "'realtime.priority' is not possible" in (logs / "planner.log").read_text():
            raise ConfigurationError(f"--priority {priority}: the system refuses it")
    result = {"machine": described, **figures(recording, rate, seconds)}
    if view:
        result["view"] = _of_the_page(recording, received)
    # What is not as usual is said in the result too.
    usual = {"load": False, "rebuilds": 0, "planning": True, "priority": 0, "phase": 0.0}
    usual["device"] = "cpu"
    given = {
        "load": load,
        "rebuilds": recording.rebuilds,
        "planning": planning,
        "priority": priority,
        "phase": phase,
        "device": device,
    }
    return result | {name: given[name] for name in given if given[name] != usual[name]}


def figures(recording: LoopRecording, rate: float, seconds: float) -> dict:
    """
    Return what the JSON holds besides the machine.

    `commands` arrived here. `late` went out after their period's end. `missing` are periods without
    a command, by the node's own count or by what arrived, whichever is more. `previous_plan` are
    commands that read an earlier plan, for want of their own. `latency_ms` is from the stamp of the
    state that a command rests on to its publication. `jitter_ms` is how far the interval from
    command to command is from the period. `latency_less_plan_ms` is the latency of commands with a
    plan of their own, less the time of that plan. `cpu_share` is the share of one core. `stolen_s`
    is what the host of a virtual machine took from all cores meanwhile.
    """
    if len(recording.rows) < 2 or len(recording.commands) < 2:
        raise ConfigurationError(
            f"{len(recording.commands)} commands and {len(recording.rows)} statistics arrived in "
            f"{seconds:g} s, needed: at least 2 of each; let it run longer"
        )
    period_ms = 1e3 / rate
    column = recording.column
    latency, plan = column("latency_ms"), column("plan_ms")
    iterations = column("iterations")
    jitter = np.abs(column("interval_ms") - period_ms)
    names = tuple(machine.PERCENT)
    own_count = column("missing")[-1] - column("missing")[0]
    since = min(FIRST_MINUTE, seconds / 2)
    memory = np.array([mb for elapsed, mb in recording.memory if elapsed >= since])
    (first, busy_first), (last, busy_last) = recording.busy[0], recording.busy[-1]
    return {
        "rate_hz": rate,
        "seconds": seconds,
        "commands": len(recording.commands),
        "late": int(column("late").sum()),
        "missing": max(int(own_count), missing(recording.commands, rate)),
        "previous_plan": int((column("status") == STATUSES.index(PREVIOUS_PLAN)).sum()),
        "latency_ms": machine.quantiles(latency, names),
        "latency_less_plan_ms": machine.quantiles(latency - plan, names),
        "jitter_ms": machine.quantiles(jitter, names),
        "plan_ms": machine.quantiles(plan, names),
        "iterations": {"p50": float(np.median(iterations)), "min": int(iterations.min())},
        "rss_growth_mb": round(float(memory[-1] - memory[0]), 3) if memory.size else 0.0,
        "cpu_share": round((busy_last - busy_first) / max(1e-9, last - first), 3),
        "stolen_s": round(recording.stolen[-1] - recording.stolen[0], 2),
    }


def _of_the_page(recording: LoopRecording, received: list[int]) -> dict[str, float]:
    """Return the figures of the node of the page, from FIRST_MINUTE or the middle on."""
    times, memory, busy = np.array(recording.page).T
    later = times >= times[0] + min(FIRST_MINUTE, 0.5 * (times[-1] - times[0]))
    return {
        "cpu_share": round((busy[-1] - busy[0]) / max(1e-9, times[-1] - times[0]), 3),
        "rss_mb": round(memory[-1], 1),
        "rss_growth_mb": round(memory[later][-1] - memory[later][0], 3),
        "messages": len(received),
        "received_mb": round(sum(received) / 1e6, 2),
    }


def missing(arrivals: list[float], rate: float) -> int:
    """
    Return how many periods between the first and the last arrival (s) had no command.

    Commands come at the periods' beginnings and a delay that varies; which period the first and the
    last one belong to is told from ones whose delay is near the usual.
    """
    turns = np.array(arrivals) * rate
    phase = np.angle(np.exp(2j * np.pi * turns).mean()) / (2 * np.pi)
    usual = np.flatnonzero(np.abs((turns - phase + 0.5) % 1.0 - 0.5) < 0.25)
    if usual.size < 2:
        return 0
    first, last = usual[0], usual[-1]
    periods = round(turns[last] - turns[first])
    return max(0, periods - int(last - first))


def _nodes(
    rate: float, planning: bool, priority: int, phase: float, device: str
) -> dict[str, tuple[Path | None, dict[str, object]]]:
    """Return planner and plant, for `node_processes.running`."""
    file = share("config") / "cartpole.yaml"
    search = SEARCH if planning else NO_SEARCH
    value = load_yaml(file)
    return {
        "simulator": (
            share("config") / "cartpole_simulator.yaml",
            {
                "plant": "model",
                "planner_file": file,
                "start": f"'0.0 0.0 {math.pi} 0.0'",
                "rate": STATE_RATE,
                "state_topic": value["state.topic"],
                "command_topic": value["command.topic"],
            },
        ),
        "planner": (
            file,
            {
                "control_rate": rate,
                "publish_statistics": "true",
                "allow_rebuild": "true",
                "planner.device": device,
                "realtime.priority": priority,
                "command_phase": phase,
                **{f"planner.{name}": number for name, number in search.items()},
            },
        ),
    }


@contextlib.contextmanager
def _busy_core() -> Iterator[None]:
    """Keep one core busy by a process of its own."""
    code = node_processes.DIE_WITH_PARENT + "\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _record(
    seconds: float,
    running: dict[str, subprocess.Popen],
    logs: Path,
    say: Callable[[str], None],
    rebuild: bool,
) -> LoopRecording:
    """Listen for `seconds` from a second after the first plan on."""
    import rclpy
    from rclpy.node import Node
    from std_msgs.msg import Float64MultiArray

    from cem_planner_ros.ros.messages import message_class
    from cem_planner_ros.ros.process import light_executor

    value = configure(load_yaml(share("config") / "cartpole.yaml")).values
    recording = LoopRecording()
    fresh = STATUSES.index(FRESH)
    began = math.inf

    def counts(now: float) -> bool:
        return began <= now <= began + seconds

    def on_command(message) -> None:
        now = time.monotonic()
        if counts(now):
            recording.commands.append(now)

    def on_statistics(message) -> None:
        nonlocal began
        now = time.monotonic()
        if not recording.labels:
            recording.labels = tuple(dimension.label for dimension in message.layout.dim)
        row = np.array(message.data)
        if math.isinf(began) and row[recording.labels.index("status")] == fresh:
            began = now + SETTLING
        if counts(now):
            recording.rows.append(row)

    rclpy.init(args=[])
    # Looking on must not take the processor from those it looks at.
    os.nice(10)
    node = Node("onlooker")
    executor = light_executor()
    executor.add_node(node)
    kind, topic = message_class(value["command.type"]), value["command.topic"]
    node.create_subscription(kind, topic, on_command, 1000)
    node.create_subscription(Float64MultiArray, f"/{NODE_NAME}/statistics", on_statistics, 1000)
    change_samples = _changer(node) if rebuild else None
    say("starting planner and plant, compiling")
    started = time.monotonic()
    sampled = said = -math.inf
    pid = running["planner"].pid
    try:
        while (now := time.monotonic()) <= began + seconds:
            node_processes.spin_once(executor)
            node_processes.check(running, logs)
            if math.isinf(began):
                node_processes.check_ready(logs, now - started)
            if now >= began and now > sampled + 0.5:
                sampled = now
                recording.memory.append((now - began, resident_mb(pid)))
                recording.busy.append((now, processor_seconds(pid)))
                recording.stolen.append(stolen_seconds())
                if "viewer" in running:
                    page = running["viewer"].pid
                    recording.page.append((now, resident_mb(page), processor_seconds(page)))
            if change_samples and now > began + REBUILD_INTERVAL * (recording.rebuilds + 0.5):
                recording.rebuilds += 1
                change_samples(SEARCH["samples"] // (1 + recording.rebuilds % 2))
            if now >= began and now > said + 5.0:
                said = now
                say(f"{now - began:3.0f} of {seconds:g} s, {len(recording.commands)} commands")
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return recording


def _changer(node) -> Callable[[int], None]:
    """Return a function that sets planner.samples, after seeing that the change before was made."""
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    client = node.create_client(SetParameters, f"/{NODE_NAME}/set_parameters")
    pending = []

    def change(samples: int) -> None:
        for future in pending:
            if not future.done():
                raise ConfigurationError(
                    f"planner.samples was not set within {REBUILD_INTERVAL:g} s"
                )
            (result,) = future.result().results
            if not result.successful:
                raise ConfigurationError(f"planner.samples was refused: {result.reason}")
        message = Parameter("planner.samples", value=samples).to_parameter_msg()
        pending[:] = [client.call_async(SetParameters.Request(parameters=[message]))]

    return change


def resident_mb(pid: int) -> float:
    """Return the memory of a process that is in RAM, MB (Linux: /proc/PID/statm)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process, s (Linux: /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stolen_seconds() -> float:
    """Return the time that the host of a virtual machine took from it, s (Linux: /proc/stat)."""
    cpu = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(cpu[8]) / os.sysconf("SC_CLK_TCK")
