"""Running the nodes as processes that end cleanly."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable

from cem_planner_ros.errors import ConfigurationError

SWITCH_INTERVAL = 0.0005
"""s after which a thread must let another run; Python's 5 ms are a quarter of a 50 Hz period."""


LISTEN = 0.2
"""s between configuring and activating by itself, in which a latched emergency stop comes in."""


def planner() -> int:
    """Run the planner node until SIGINT or SIGTERM."""

    def make(interrupted: Callable[[], bool]):
        from cem_planner_ros.ros.node import PlannerNode

        return PlannerNode(interrupted=interrupted)

    return _run(make, start=lambda node, listen: node.autostart(listen))


def simulator() -> int:
    """Run the simulator node until SIGINT or SIGTERM."""

    def make(interrupted: Callable[[], bool]):
        from cem_planner_ros.simulation.node import SimulatorNode

        return SimulatorNode()

    return _run(make)


def mapper() -> int:
    """Run the node that makes costmaps until SIGINT or SIGTERM."""

    def make(interrupted: Callable[[], bool]):
        from cem_planner_ros.ros.mapper import MapperNode

        return MapperNode()

    return _run(make)


def _run(make: Callable, start: Callable = lambda node, listen: None) -> int:
    """
    Make a node, spin it until a signal comes, close it, and return the exit status.

    rclpy's own signal handlers would end the context before a last command could go out; these only
    take note. They are set before the imports, which take seconds, so that Ctrl-C is clean from the
    start on.
    """
    signals: list[int] = []  # An Event has a lock, for which a second signal would wait for ever.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.append(number))

    def is_over() -> bool:
        return bool(signals)

    sys.setswitchinterval(SWITCH_INTERVAL)

    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:
        # A parameter file that rcl cannot parse; the node says at configure what is wrong with it.
        print(f"error: {str(error).splitlines()[0]}; starting without it", file=sys.stderr)
        rclpy.try_shutdown()
        rclpy.init(
            args=without_params_files(sys.argv), signal_handler_options=SignalHandlerOptions.NO
        )
    node = None
    try:
        node = make(is_over)
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
                # An invalid transition request raises here on Jazzy (rclpy #1209).
                node.get_logger().error(f"a callback failed:\n{traceback.format_exc()}")
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    loop = sys.modules.get("cem_planner_ros.control.loop")
    is_compiling = any(thread.name.startswith("planner") for thread in threading.enumerate())
    if is_compiling or (loop and loop.LOST):
        # A compiler cannot be called off, and Python would wait for it; a lost device cannot be
        # given back, and Python would try.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def light_executor():
    """
    Return the executor that costs least.

    The older one goes through all entities in Python for each message, and holds the interpreter's
    lock against the planner meanwhile.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:  # Before Kilted.
        from rclpy.executors import SingleThreadedExecutor

        return SingleThreadedExecutor()
    return EventsExecutor()


def without_params_files(arguments: list[str]) -> list[str]:
    """Return a command line without its --params-file options."""
    kept: list[str] = []
    for argument in arguments:
        if kept and kept[-1] == "--params-file":
            kept.pop()
        else:
            kept.append(argument)
    return kept
