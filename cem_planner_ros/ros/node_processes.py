# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Runs nodes as child processes in an isolated DDS domain, for demo and benchmark."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.ros.process import ending_signals

READY_TIMEOUT = 180.0
"""Time for compiling the planner, s; only torch.compile needs minutes."""

LAST_LINES = 5
"""Number of lines of a log that are shown when its process fails."""

DIE_WITH_PARENT = (
    "import ctypes; ctypes.CDLL(None).prctl(1, 2); " if sys.platform == "linux" else ""
)
"""prctl(PR_SET_PDEATHSIG, SIGINT): the child processes end also when this process is killed."""


def isolate() -> None:
    """
    Choose a DDS domain on this machine only, so that no robot is reached.

    From now on, SIGTERM and SIGHUP end this process as Ctrl-C does. Raises ConfigurationError
    without rclpy.
    """
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 100)))
    end_as_by_ctrl_c()
    try:
        with interruptible_after():
            import rclpy  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"this needs rclpy: source a ROS 2 setup.bash, or `make install` ({error})"
        ) from error


def spin_once(executor) -> None:
    """Let an rclpy executor work for at most 0.1 s; Ctrl-C raises after that."""
    with interruptible_after():
        executor.spin_once(timeout_sec=0.1)


@contextlib.contextmanager
def interruptible_after() -> Iterator[None]:
    """
    Let a signal that ends a process raise KeyboardInterrupt at the end of a block, not within it.

    Inside rclpy or an import, the exception could become another error.
    """
    came: list[int] = []
    with _handled_by(lambda number, _: came.append(number)):
        yield
    if came:
        raise KeyboardInterrupt


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore signals that end a process: a second Ctrl-C must not keep it from ending in order."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handled_by(handler: Callable | signal.Handlers) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in ending_signals()}
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)


def end_as_by_ctrl_c() -> None:
    """Let SIGTERM, and SIGHUP of a closed terminal, raise KeyboardInterrupt from now on."""
    for number in {*ending_signals()} - {signal.SIGINT}:
        signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def running(
    nodes: Mapping[str, tuple[Path | None, Mapping[str, Any]]], logs: Path
) -> Iterator[dict[str, subprocess.Popen]]:
    """
    Start nodes in order; end them in reverse order with SIGINT, or SIGKILL if needed.

    Args:
        nodes: {function of `ros/process.py`: (YAML file or None, further parameters)}.
        logs: folder of their logs, NAME.log.
    """
    started: dict[str, subprocess.Popen] = {}
    with contextlib.ExitStack() as stack:
        try:
            for name, (file, parameters) in nodes.items():
                code = DIE_WITH_PARENT
                code += f"from cem_planner_ros.ros.process import {name} as run; exit(run())"
                arguments = ["--ros-args"]
                if file is not None:
                    arguments += ["--params-file", str(file)]
                for parameter, value in parameters.items():
                    arguments += ["-p", f"{parameter}:={value}"]
                log = stack.enter_context((logs / f"{name}.log").open("w"))
                started[name] = subprocess.Popen(
                    [sys.executable, "-c", code, *arguments],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # Only this process receives Ctrl-C; it ends the others in order.
                    start_new_session=True,
                )
            yield started
        finally:
            # A second Ctrl-C must not leave a process behind. Ending takes some seconds at most.
            with uninterrupted():
                # The planner started last and ends first: its safe command must reach the plant.
                for process in reversed(started.values()):
                    process.send_signal(signal.SIGINT)
                    try:
                        process.wait(5.0)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()


def check(processes: Mapping[str, subprocess.Popen], logs: Path) -> None:
    """Raise ConfigurationError, with the end of the log, if a process ended by itself."""
    for name, process in processes.items():
        if process.poll() is not None:
            raise ConfigurationError(
                f"the {name} ended {_how(process.returncode)}; its last lines:\n"
                f"{_last_lines(logs, name)}"
            )


def _how(status: int) -> str:
    return f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"


def check_ready(logs: Path, elapsed: float) -> None:
    """Raise ConfigurationError if the planner has sent no plan in `elapsed` s and never will."""
    said = _last_lines(logs, "planner")
    if elapsed > READY_TIMEOUT or "not configured" in said:
        raise ConfigurationError(
            f"no planned command in {elapsed:.0f} s; the last lines of the planner:\n{said}"
        )


def _last_lines(logs: Path, name: str) -> str:
    lines = (logs / f"{name}.log").read_text(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-LAST_LINES:] or ["(none: is the disk full?)"])
