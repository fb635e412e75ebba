# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Changes of the parameters and of the planner while the control loop runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import NamedTuple

from cem_planner_ros.control.control_settings import ControlSettings, ParameterSet
from cem_planner_ros.errors import describe
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner


class ControlSetup(NamedTuple):
    """The parameters and the planner in use; always replaced as a whole."""

    parameters: ParameterSet
    planner: Planner
    iteration_time: float


class Changes:
    """
    Takes over a change between two periods, or keeps the setup in use.

    A plugin may refuse a value, and a new planner may fail to take over. A set of parameters may
    contain a refused value beside good ones. The good values are then taken over without the
    refused one.

    Args:
        parameters, planner, iteration_time: the first setup.
        use: called with the settings that apply from now on.
    """

    def __init__(
        self,
        parameters: ParameterSet,
        planner: Planner,
        iteration_time: float,
        use: Callable[[ControlSettings], None],
    ):
        self.used = ControlSetup(parameters, planner, iteration_time)
        """What the loop works with."""
        self._requested = self.used
        self._use = use
        self._lock = threading.Lock()

    @property
    def is_waiting(self) -> bool:
        """Whether a change waits that is neither taken over nor refused yet."""
        return self._requested is not self.used

    def request(
        self, parameters: ParameterSet, planner: Planner | None, iteration_time: float
    ) -> None:
        """Request other values, and another planner if it is not None. Any thread may call it."""
        with self._lock:
            if planner is None:
                _, planner, iteration_time = self._requested
            self._requested = ControlSetup(parameters, planner, iteration_time)
            self._use(parameters.control_settings)

    def take_over(self, plan: Plan | None) -> str | None:
        """
        Take over the last request. Only the planner thread calls it.

        Args:
            plan: the plan with which another planner continues.

        Returns: why the request was refused; "" if it was taken over; None without a request.
        """
        requested = self._requested
        if requested is self.used:
            return None
        error = self._try(requested, plan)
        if error is None:
            self.used = requested
            return ""
        self.used = self._good_part(requested)
        with contextlib.suppress(Exception):  # Restore the values in use.
            self.used.parameters.tune(self.used.planner)
        with self._lock:
            if self._requested is requested:
                self._requested = self.used
                self._use(self.used.parameters.control_settings)
            elif self._requested.planner is requested.planner:  # A newer request for it came.
                _, planner, iteration_time = self.used
                self._requested = ControlSetup(self._requested.parameters, planner, iteration_time)
        return f"a change was not taken over: {describe(error)}"

    def _try(self, setup: ControlSetup, plan: Plan | None) -> Exception | None:
        """Set the values in a planner; return the error of a plugin or planner, if there is one."""
        try:
            setup.parameters.tune(setup.planner)
            if setup.planner is not self.used.planner and plan is not None:
                setup.planner.adopt(plan)
        except Exception as error:  # A plugin may raise anything.
            return error
        return None

    def _good_part(self, requested: ControlSetup) -> ControlSetup:
        """Return the configuration in use, updated with the values that no plugin refuses."""
        used = self.used

        def is_accepted(parameters: ParameterSet) -> bool:
            return self._try(used._replace(parameters=parameters), None) is None

        return used._replace(parameters=used.parameters.merged(requested.parameters, is_accepted))
