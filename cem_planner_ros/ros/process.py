"""Running a node as a process that ends cleanly."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

SWITCH_INTERVAL = 0.0005
"""s after which a thread must let another run; Python's 5 ms are a quarter of a 50 Hz period."""


def run_node(
    make: Callable[..., Node],
    arguments: list[str] | None = None,
    start: Callable[[Node], None] = lambda node: None,
) -> int:
    """
    Make a node, spin it until SIGINT or SIGTERM, close it, and return the exit status.

    rclpy's own handlers would end the context before a last command could go out; these only take
    note. `make` is called with `interrupted`, a function that tells whether a signal came, and the
    node must have a method `close`.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    node = make(interrupted=stop.is_set)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        start(node)
        while rclpy.ok() and not stop.is_set():
            try:
                executor.spin_once(timeout_sec=0.1)
            except ExternalShutdownException:
                break
            except Exception:
                # An invalid transition request raises here on Jazzy (rclpy #1209).
                node.get_logger().error(f"a callback failed:\n{traceback.format_exc()}")
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
