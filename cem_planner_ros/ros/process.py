# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Runs nodes as processes that end cleanly."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable

# Other modules are imported later: before the handlers are set, Ctrl-C prints a traceback.

SWITCH_INTERVAL = 0.0005
"""
Time after which a Python thread must let another one run, s; Python's 5 ms are a quarter of a 50 Hz
period.
"""


LISTEN = 0.2
"""Time between automatic configuring and activating, to receive a latched emergency stop, s."""


def ending_signals() -> list[signal.Signals]:
    """
    Return the signals that end a process.

    SIGHUP is one of them unless nohup ignores it: it comes when the terminal or the SSH connection
    closes.
    """
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if is_ignored else [signal.SIGHUP])]


def planner() -> int:
    """Run the planner node until a signal ends it."""

    def load() -> Callable:
        from cem_planner_ros.ros.node import PlannerNode

        return lambda is_over: PlannerNode(interrupted=is_over)

    return _run("planner_node", load, start=lambda node, listen: node.autostart(listen))


def simulator() -> int:
    """Run the simulator node until a signal ends it."""

    def load() -> Callable:
        from cem_planner_ros.ros.simulator import SimulatorNode

        return lambda is_over: SimulatorNode()

    return _run("simulator_node", load)


def mapper() -> int:
    """Run the node that makes costmaps until a signal ends it."""

    def load() -> Callable:
        from cem_planner_ros.ros.mapper import MapperNode

        return lambda is_over: MapperNode()

    return _run("costmap_node", load)


def viewer() -> int:
    """Run the node that serves the page in a browser until a signal ends it."""

    def load() -> Callable:
        # The planner goes first where both want the same core.
        os.nice(5)
        from cem_planner_ros.ros.view_node import ViewNode

        return lambda is_over: ViewNode()

    return _run("view_node", load)


def _run(name: str, load: Callable, start: Callable = lambda node, listen: None) -> int:
    """
    Make a node, spin it until a signal comes, close it, and return the exit status.

    rclpy's own signal handlers would end the context before the last command can be sent. The
    handlers of this module only record the signal. During the imports, which take seconds, there is
    nothing to close, so a signal ends the process at once. The exit status is 0 after a signal, 1
    if the node cannot be made, and 2 for a wrong command line.

    Args:
        name: name of the executable.
        load: imports the node and returns a function that makes it; that function gets a function
            that says whether a signal came.
        start: called with the node and a function that receives messages for a moment.
    """
    status = [1]  # Exit status of an unexpected exception.
    # Registered first, so called last. Python's clean-up after that would take a second, mostly for
    # PyTorch's modules, and is not needed.
    atexit.register(lambda: _end(status[0]))
    numbers = ending_signals()
    for number in numbers:
        signal.signal(number, lambda number, _: _end(0))
    answered = _answered(name)
    if answered is not None:
        status[0] = answered
        return answered
    print(f"{name}: starting", flush=True)
    # Plugins are found where `python -m cem_planner_ros check` finds them.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    sys.setswitchinterval(SWITCH_INTERVAL)

    import rclpy

    from cem_planner_ros.errors import ConfigurationError

    try:
        make = load()
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    signals: list[int] = []  # An Event has a lock, for which a second signal could wait forever.
    for number in numbers:
        signal.signal(number, lambda number, _: signals.append(number))

    def is_over() -> bool:
        return bool(signals)

    if not _init():
        status[0] = 2
        return 2
    node = None
    try:
        node = make(is_over)
        _spin(node, is_over, start)
        status[0] = 0
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    loop = sys.modules.get("cem_planner_ros.control.loop")
    threads = sys.modules["threading"].enumerate()
    is_compiling = any(thread.name.startswith("planner") for thread in threads)
    if is_compiling or (loop and loop.LOST_PLANNERS):
        # A compiler cannot be stopped, and Python would wait for it. A lost device cannot be freed,
        # and Python would try to.
        _end(status[0])
    return status[0]


def _answered(name: str) -> int | None:
    """Answer --help or a wrong command line, and return the exit status; None for a right one."""
    from cem_planner_ros.ros.command_line import correction, usage

    if {"-h", "--help"} & set(sys.argv[1:]):
        print(usage(name))
        return 0
    wrong = correction(name, sys.argv[1:])
    if wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    return None


def _init() -> bool:
    """Initialise rclpy, without the parameter files if rcl refuses one; return whether it is."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from cem_planner_ros.ros.command_line import without_params_files

    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        return True
    except Exception as error:
        # rcl cannot parse a parameter file; the node reports the error when it is configured.
        print(f"error: {str(error).splitlines()[0]}; starting without the file", file=sys.stderr)
        rclpy.try_shutdown()
    arguments = without_params_files(sys.argv)
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        return True
    except Exception as error:
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
        return False


def _spin(node, is_over: Callable[[], bool], start: Callable) -> None:
    """Start a node and serve it until `is_over`."""
    import rclpy
    from rclpy.executors import ExternalShutdownException

    executor = light_executor()
    executor.add_node(node)

    def listen() -> None:
        end = time.monotonic() + LISTEN
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.02)

    start(node, listen)
    while rclpy.ok() and not is_over():
        try:
            executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            break
        except Exception:
            import traceback

            node.get_logger().error(f"a callback failed:\n{traceback.format_exc()}")


def _end(status: int) -> None:
    """End the process now, without Python's clean-up."""
    import contextlib

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # The reader of the output is gone.
            stream.flush()
    os._exit(status)


def light_executor():
    """
    Return the executor that needs the least CPU time.

    The older executor goes through all entities in Python for each message, and the planner waits
    for the interpreter's lock meanwhile.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:  # Before Kilted.
        from rclpy.executors import SingleThreadedExecutor

        return SingleThreadedExecutor()
    return EventsExecutor()
