"""The emergency stop of the page: pressed at once, and until the planner has acknowledged it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import SetBool

AGAIN = 0.5
"""Time without an answer after which the request is sent again, s."""

LOOK = 0.1
"""Time between two looks at what has to be sent, s."""


class StopButton:
    """
    Calls `~/emergency_stop` of a planner with a node and a thread of its own.

    Whatever else the process does, a press is sent by the thread that presses, and is sent again
    until the planner answers, also to a planner that is started later. The last press or release
    counts.

    Args:
        context: the context of rclpy.
        planner: fully qualified name of the planner.
        told: called with a text, and whether the stop is pressed as far as this button knows.
    """

    def __init__(self, context: Context, planner: str, told: Callable[[str, bool], None]):
        self._planner, self._told = planner, told
        self._node = rclpy.create_node(
            "_cem_planner_stop_button",
            context=context,
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._client = self._node.create_client(SetBool, f"{planner}/emergency_stop")
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._lock = threading.Lock()
        self._wanted: bool | None = None
        self._pressed_at = self._sent_at = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stop_button", daemon=True)
        self._thread.start()

    def press(self, is_pressed: bool) -> None:
        """Press or release the emergency stop. Any thread may call it; it does not wait."""
        with self._lock:
            self._wanted, self._pressed_at = is_pressed, time.monotonic()
            self._send()
        self._tell()

    def close(self) -> None:
        """End the thread; what was not acknowledged is not sent again."""
        self._end.set()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()

    def _run(self) -> None:
        while not self._end.is_set():
            self._executor.spin_once(timeout_sec=LOOK)
            with self._lock:
                waits = self._wanted is not None
                if waits and time.monotonic() > self._sent_at + AGAIN:
                    self._send()
            if waits:
                self._tell()

    def _send(self) -> None:
        """Send the request that is wanted if somebody serves it; the lock is held."""
        if not self._client.service_is_ready():
            return
        self._sent_at, wanted = time.monotonic(), self._wanted
        future = self._client.call_async(SetBool.Request(data=wanted))
        future.add_done_callback(lambda answer: self._on_answer(wanted, answer))

    def _on_answer(self, asked: bool, answer) -> None:
        response = answer.result()
        if response is None:
            return
        with self._lock:
            if asked is not self._wanted:
                return  # A later press counts.
            # Where the safe command could not be sent, the planner goes on sending it.
            self._wanted = None
        self._told(f"acknowledged by {self._planner}: {response.message}", asked)

    def _tell(self) -> None:
        with self._lock:
            wanted, since = self._wanted, time.monotonic() - self._pressed_at
        if wanted is None:
            return
        what = "emergency stop" if wanted else "release of the emergency stop"
        self._told(f"{what} sent, not acknowledged for {since:.1f} s", wanted)
