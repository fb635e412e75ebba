"""Running the nodes as processes that end cleanly."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable

# What else is needed is imported later: until the signals are handled, Ctrl-C is a traceback.

SWITCH_INTERVAL = 0.0005
"""s after which a thread must let another run; Python's 5 ms are a quarter of a 50 Hz period."""


LISTEN = 0.2
"""s between configuring and activating by itself, in which a latched emergency stop comes in."""


def planner() -> int:
    """Run the planner node until SIGINT or SIGTERM."""

    def load() -> Callable:
        from cem_planner_ros.ros.node import PlannerNode

        return lambda is_over: PlannerNode(interrupted=is_over)

    return _run("planner_node", load, start=lambda node, listen: node.autostart(listen))


def simulator() -> int:
    """Run the simulator node until SIGINT or SIGTERM."""

    def load() -> Callable:
        from cem_planner_ros.ros.simulator import SimulatorNode

        return lambda is_over: SimulatorNode()

    return _run("simulator_node", load)


def mapper() -> int:
    """Run the node that makes costmaps until SIGINT or SIGTERM."""

    def load() -> Callable:
        from cem_planner_ros.ros.mapper import MapperNode

        return lambda is_over: MapperNode()

    return _run("costmap_node", load)


def _run(name: str, load: Callable, start: Callable = lambda node, listen: None) -> int:
    """
    Make a node, spin it until a signal comes, close it, and return the exit status.

    rclpy's own signal handlers would end the context before a last command could go out; these only
    take note. During the imports, which take seconds, there is nothing to close, and a signal ends
    the process at once. The exit status is 0 after a signal, 1 if the node cannot be made, and 2
    for a wrong command line.

    Args:
        name: of the executable.
        load: imports the node; returns what makes it, given a function that says whether a signal
            came.
        start: called with the node, and a function that lets messages in for a moment.
    """
    status = [1]  # Of an exception that nobody expects.
    # Registered first, it is called last: what Python would clean up after that takes a second of
    # the processor, mostly PyTorch's modules, and nobody needs it.
    atexit.register(lambda: _end(status[0]))
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        signal.signal(number, lambda number, _: _end(0))
    from cem_planner_ros.ros.command_line import correction, usage, without_params_files

    if {"-h", "--help"} & set(sys.argv[1:]):
        print(usage(name))
        status[0] = 0
        return 0
    wrong = correction(name, sys.argv[1:])
    if wrong:
        print(f"error: {wrong}", file=sys.stderr)
        status[0] = 2
        return 2
    print(f"{name}: starting", flush=True)
    # Plugins are found where `python -m cem_planner_ros check` finds them.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    sys.setswitchinterval(SWITCH_INTERVAL)

    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from cem_planner_ros.errors import ConfigurationError

    make = load()
    signals: list[int] = []  # An Event has a lock, for which a second signal would wait for ever.
    for number in numbers:
        signal.signal(number, lambda number, _: signals.append(number))

    def is_over() -> bool:
        return bool(signals)

    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:
        # A parameter file that rcl cannot parse; the node says at configure what is wrong with it.
        print(f"error: {str(error).splitlines()[0]}; starting without it", file=sys.stderr)
        rclpy.try_shutdown()
        arguments = without_params_files(sys.argv)
        try:
            rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        except Exception as error:
            print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
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
        # A compiler cannot be called off, and Python would wait for it; a lost device cannot be
        # given back, and Python would try.
        _end(status[0])
    return status[0]


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
        with contextlib.suppress(OSError, ValueError):  # Whoever read it is gone.
            stream.flush()
    os._exit(status)


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
