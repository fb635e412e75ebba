# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
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

RELEASE_TIMEOUT = 5.0
"""Time for the answer to a release, s."""


class StopButton:
    """
    Calls `~/emergency_stop` of a planner with a node and a thread of its own.

    Whatever else the process does, a press is sent by the thread that presses, and is sent again
    until the planner answers, also to a planner that is started later. The last press or release
    counts. A release is sent once: sent again later, it could undo a press of somebody else.

    Args:
        context: the context of rclpy.
        planner: fully qualified name of the planner.
        told: called by the thread of the button, with a text, and whether the stop is pressed as
            far as this button knows.
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
        # Reentrant: where the planner has answered already, the answer is taken while it is sent.
        self._lock = threading.RLock()
        self._wanted: bool | None = None
        self._result: tuple[str, bool] | None = None
        self._pressed_at = self._sent_at = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stop_button", daemon=True)
        self._thread.start()

    def press(self, is_pressed: bool) -> None:
        """Press or release the emergency stop. Any thread may call it; it does not wait."""
        with self._lock:
            self._wanted, self._result = is_pressed, None
            self._pressed_at = time.monotonic()
            if not self._send() and not is_pressed:
                self._give_up(f"not released: {self._planner} is not there")

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
                now = time.monotonic()
                if self._wanted and now > self._sent_at + AGAIN:
                    self._send()
                elif self._wanted is False and now > self._pressed_at + RELEASE_TIMEOUT:
                    self._give_up(f"release not acknowledged by {self._planner}: try it again")
                news = self._news(now)
            if news is not None:
                self._told(*news)

    def _send(self) -> bool:
        """Send the request that is wanted if somebody serves it; the lock is held."""
        if not self._client.service_is_ready():
            return False
        self._sent_at, wanted = time.monotonic(), self._wanted
        future = self._client.call_async(SetBool.Request(data=wanted))
        future.add_done_callback(lambda answer: self._on_answer(wanted, answer))
        return True

    def _give_up(self, text: str) -> None:
        """End a release without an answer; the lock is held."""
        self._wanted, self._result = None, (text, True)

    def _on_answer(self, asked: bool, answer) -> None:
        response = answer.result()
        if response is None:
            return
        with self._lock:
            if asked is not self._wanted:
                return  # A later press counts.
            # Where the safe command could not be sent, the planner goes on sending it.
            self._wanted = None
            self._result = f"acknowledged by {self._planner}: {response.message}", asked

    def _news(self, now: float) -> tuple[str, bool] | None:
        """Return what is to be told, if anything is new; the lock is held."""
        if self._wanted is None:
            result, self._result = self._result, None
            return result
        what = "emergency stop" if self._wanted else "release of the emergency stop"
        seconds = now - self._pressed_at
        return f"{what} sent, not acknowledged for {seconds:.1f} s", self._wanted
