"""The parameters and the planner that the control loop uses, and changes of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import NamedTuple

from cem_planner_ros.control.settings import ControlSettings, ParameterSet
from cem_planner_ros.errors import describe
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner


class Setup(NamedTuple):
    """What the loop works with; replaced whole."""

    parameters: ParameterSet
    planner: Planner
    iteration_time: float


class Changes:
    """
    Takes changes over between two periods, or leaves what is in use.

    A plugin may refuse a value, and a planner may not be able to go on. A set of parameters may
    hold a value that is refused, now or before, and others that are good. These are taken over.

    Args:
        parameters, planner, iteration_time: what is used first.
        use: called with the settings that count from now on.
    """

    def __init__(
        self,
        parameters: ParameterSet,
        planner: Planner,
        iteration_time: float,
        use: Callable[[ControlSettings], None],
    ):
        self.used = Setup(parameters, planner, iteration_time)
        """What the loop works with."""
        self._asked = self.used
        self._use = use
        self._lock = threading.Lock()

    @property
    def is_waiting(self) -> bool:
        """Whether a change came that was neither taken over nor refused."""
        return self._asked is not self.used

    def ask(self, parameters: ParameterSet, planner: Planner | None, iteration_time: float) -> None:
        """Ask for other values, and another planner if it is not None; by any thread."""
        with self._lock:
            if planner is None:
                _, planner, iteration_time = self._asked
            self._asked = Setup(parameters, planner, iteration_time)
            self._use(parameters.control_settings)

    def take(self, plan: Plan | None) -> str | None:
        """
        Take over what was asked for last; by the loop's thread.

        Args:
            plan: that another planner goes on with.

        Returns: why it cannot be, "" if it was, None if nothing was asked for.
        """
        asked = self._asked
        if asked is self.used:
            return None
        error = self._try(asked, plan)
        if error is None:
            self.used = asked
            return ""
        self.used = self._good_part(asked)
        with contextlib.suppress(Exception):  # Whatever was tried last.
            self.used.parameters.tune(self.used.planner)
        with self._lock:
            if self._asked is asked:
                self._asked = self.used
                self._use(self.used.parameters.control_settings)
            elif self._asked.planner is asked.planner:  # Others came meanwhile, for that planner.
                _, planner, iteration_time = self.used
                self._asked = Setup(self._asked.parameters, planner, iteration_time)
        return f"a change was not taken over: {describe(error)}"

    def _try(self, setup: Setup, plan: Plan | None) -> Exception | None:
        """Bring a planner to the values; return what a plugin or the planner raised, if it did."""
        try:
            setup.parameters.tune(setup.planner)
            if setup.planner is not self.used.planner and plan is not None:
                setup.planner.adopt(plan)
        except Exception as error:  # A plugin may raise anything.
            return error
        return None

    def _good_part(self, asked: Setup) -> Setup:
        """Return what is in use with those of the values that nobody refuses."""
        used = self.used

        def is_accepted(parameters: ParameterSet) -> bool:
            return self._try(used._replace(parameters=parameters), None) is None

        return used._replace(parameters=used.parameters.merged(asked.parameters, is_accepted))
