# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Makes a second planner while the first one controls; it takes over when it is ready."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from rclpy.impl.rcutils_logger import RcutilsLogger

from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.errors import ConfigurationError, describe
from cem_planner_ros.ros.node_parameters import NodeParameters
from cem_planner_ros.ros.ready_planner import ReadyPlanner, fewer_samples, make_planner


class PlannerSwap:
    """
    Makes the next planner in a thread of its own, and hands it over.

    A planner is not handed over if its parameters changed again while it was made, or if it is too
    slow. Everything except making the planner happens in the executor thread.

    Args:
        table: the parameters; their values when the making begins are used.
        log: logger of the node.
        take_over: called with the planner that controls from now on.
    """

    def __init__(
        self,
        table: NodeParameters,
        log: RcutilsLogger,
        take_over: Callable[[ReadyPlanner], None],
    ):
        self._table = table
        self._log = log
        self._take_over = take_over
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner_rebuild")
        self._making: Future | None = None
        self._values: dict[str, object] = {}
        self.problem = ""
        """Why the last new planner did not take over; "" if it did."""

    @property
    def is_making(self) -> bool:
        """Whether a planner is being made."""
        return self._making is not None

    def begin(self, before: ReadyPlanner) -> None:
        """Start to make a planner from the present parameters, unless one is being made."""
        if self._making is None:
            self.problem = ""
            self._values = self._table.current()
            self._making = self._thread.submit(make_planner, self._values, before=before)

    def abandon(self) -> None:
        """Do not hand over the planner that is being made; the node stops controlling."""
        self._making = None

    def close(self) -> None:
        """Make no more planners; a running compiler cannot be stopped and is left alone."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def look(self, ready: ReadyPlanner | None, loop: ControlLoop | None) -> None:
        """Hand over a planner that is ready; make one if the device of `loop` failed."""
        if self._making is not None and self._making.done():
            making, self._making = self._making, None
            try:
                made = making.result()
                if self._table.differs_from(made.configuration):
                    self.begin(ready)
                else:
                    _check_fits(made, ready, loop)
                    self._take_over(made)
            except Exception as error:  # A model may raise any error; the old planner continues.
                why = error if isinstance(error, ConfigurationError) else describe(error)
                self.problem = f"no new planner, the old one continues: {why}"
                self._log.error(self.problem)
                if self._table.current() != self._values:  # Changed again meanwhile.
                    self.begin(ready)
        if self._making is not None or not self._table.active:
            return
        if loop.needs_another_device and self._table.configuration.values["allow_cpu_fallback"]:
            samples, reason = fewer_samples(loop.planner), loop.commander.tick.reason
            self._log.error(f"{reason}: going on with {samples} samples on the CPU")
            self._table.force({"planner.device": "cpu", "planner.samples": samples})
            self.begin(ready)


def _check_fits(made: ReadyPlanner, ready: ReadyPlanner, loop: ControlLoop) -> None:
    """
    Raise ConfigurationError if a planner is too slow and the present one is not.

    An iteration in batches may end with a share of its candidates.
    """
    values = made.configuration.values
    budget = values["budget_fraction"] / values["control_rate"]
    least, before = (
        one.iteration_time * one.planner.execution.least_share for one in (made, ready)
    )
    is_too_slow = least > budget >= before
    if is_too_slow and not loop.needs_another_device:
        raise ConfigurationError(
            f"one iteration takes {1e3 * least:.0f} ms, of a period planning may take "
            f"{1e3 * budget:.0f} ms"
        )
