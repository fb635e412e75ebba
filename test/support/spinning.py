# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Nodes of this process, spun by a thread."""

import contextlib
import threading

from rclpy.executors import SingleThreadedExecutor


@contextlib.contextmanager
def spinning(node):
    """Spin a node while the context lasts."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def kept(made, ended):
    """Spin a node until the stack `ended` is left, which then closes and destroys it; return it."""
    ended.callback(made.destroy_node)
    ended.callback(made.close)
    ended.enter_context(spinning(made))
    return made
