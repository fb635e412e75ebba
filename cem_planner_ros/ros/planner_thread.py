# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The planner thread makes planners and runs the control loop; only it uses PyTorch."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from rclpy.impl.rcutils_logger import RcutilsLogger

from cem_planner_ros.configuration import cpu_set
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.realtime import process_settings, thread_settings
from cem_planner_ros.errors import ConfigurationError, describe

END_TIMEOUT = 3.0
"""Time for the thread to end its last period, s."""

STILL_WAITING = 10.0
"""Time between two log lines during a long configure, s."""

Result = TypeVar("Result")


class PlannerThread:
    """
    One thread for everything that uses PyTorch, and process settings while it controls.

    Args:
        log: logger of the node.
        interrupted: called during a long call; returns whether to give up.
    """

    def __init__(self, log: RcutilsLogger, interrupted: Callable[[], bool]):
        self._log = log
        self._interrupted = interrupted
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner")
        self._is_busy = False
        self._control: Future | None = None
        self._stop = threading.Event()
        self._settings = contextlib.ExitStack()

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """
        Call a function in this thread and return its result; log regularly while it runs.

        Raises the errors of the function, and ConfigurationError if the node is interrupted.
        """
        began = said = time.monotonic()
        call = self._thread.submit(function, *arguments)
        while not call.done():
            self._is_busy = True
            if time.monotonic() > said + STILL_WAITING:
                said = time.monotonic()
                self._log.info(
                    f"still configuring after {said - began:.0f} s: compiling, or a plugin that "
                    "does not return"
                )
            if self._interrupted():
                raise ConfigurationError("interrupted while configuring")
            time.sleep(0.02)
        self._is_busy = False
        return call.result()

    @property
    def is_controlling(self) -> bool:
        """Whether a control loop was started and not yet joined."""
        return self._control is not None

    def begin(
        self, loop: ControlLoop, values: Mapping[str, Any], on_failure: Callable[[], None]
    ) -> None:
        """
        Run a control loop until `stop`; if it raises an error, call `on_failure` in this thread.

        `values` are the values of all parameters; `realtime.*` are used here.
        """
        self._stop = threading.Event()  # A loop that hangs keeps its own event.
        self._settings.enter_context(
            process_settings(
                lock_memory=values["realtime.lock_memory"],
                freeze_garbage=values["realtime.freeze_garbage"],
                switch_interval=values["realtime.switch_interval"],
                warn=self._log.warning,
            )
        )
        self._control = self._thread.submit(self._run, loop, self._stop, values, on_failure)

    def stop(self) -> None:
        """Tell the control loop to begin no more periods."""
        self._stop.set()

    def join(self) -> bool:
        """
        Wait for the end of the control loop; return whether it has ended.

        If a plugin does not return, its thread is left behind, and another one replaces it.
        """
        has_ended = True
        try:
            self._control.result(END_TIMEOUT)
        except FutureTimeoutError:
            has_ended = False
            self._log.error(
                f"the model or a cost did not return within {END_TIMEOUT:g} s: its thread is left "
                "behind, and a new planner is made when the node is activated"
            )
            self._thread.shutdown(wait=False)
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner")
        self._control = None  # Only now, so that a transition that failed here can be tried again.
        self._settings.close()
        return has_ended

    def close(self) -> None:
        """End the thread; a running compiler cannot be stopped and is left alone."""
        self._thread.shutdown(wait=not self._is_busy)

    def _run(
        self,
        loop: ControlLoop,
        stop: threading.Event,
        values: Mapping[str, Any],
        on_failure: Callable[[], None],
    ) -> None:
        try:
            with thread_settings(
                priority=values["realtime.priority"],
                cpus=cpu_set(values["realtime.cpus"]),
                warn=self._log.warning,
            ):
                loop.run(stop)
        except BaseException as error:  # Whatever it is, the robot must stop.
            loop.problem = f"the control loop ended: {describe(error)}"
            self._log.fatal(f"the control loop ended:\n{traceback.format_exc()}")
            if not loop.commander.is_closed:
                on_failure()
