"""Control loop and plant on one simulated clock, for runs that can be repeated exactly."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import StateSample, Tick
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner


class Lockstep:
    """
    The control loop of the node without ROS; its clock stands still while it plans.

    Each period has all its iterations, however fast the machine is. `plan_times` has the real times
    of the plans.

    Args:
        configuration: configuration of the loop.
        planner: planner of this configuration.
        state: returns the plant's state (nx,), in the order of the model.
        step: holds an action (nu,) for a duration, s.
    """

    def __init__(
        self,
        configuration: Configuration,
        planner: Planner,
        state: Callable[[], np.ndarray],
        step: Callable[[np.ndarray, float], None],
    ):
        self.time = 0.0
        self.plan_times: list[float] = []
        """Real time of each plan, s."""
        self.failure: Exception | None = None
        """Raised instead of planning, for tests of failures."""
        self._plan = planner.plan
        self._step = step
        self._action = np.zeros(len(configuration.dynamics.action_names))
        clock = self.clock
        self.loop = ControlLoop(
            _PlannerWithoutDeadline(planner, self),
            configuration,
            lambda: StateSample(state(), self.time),
            self._send,
            clock=clock,
            steady=clock,
        )

    def clock(self) -> float:
        """Return the simulated time, s."""
        return self.time

    def period(self) -> Tick:
        """Run one period: plan, send, and simulate the plant."""
        commander = self.loop.commander
        commander.begin(self.time)
        tick = self.loop.tick(self.time)
        self._step(self._action, commander.period)
        self.time += commander.period
        return tick

    def plan(self, *arguments, until: float, **options) -> Plan:
        """Plan without a deadline."""
        if self.failure is not None:
            raise self.failure
        began = time.perf_counter()
        plan = self._plan(*arguments, **options)
        self.plan_times.append(time.perf_counter() - began)
        return plan

    def _send(self, action: np.ndarray) -> None:
        self._action = action


class _PlannerWithoutDeadline:
    """A planner that plans without a deadline."""

    def __init__(self, planner: Planner, lockstep: Lockstep):
        self._planner = planner
        self.plan = lockstep.plan

    def __getattr__(self, name: str):
        return getattr(self._planner, name)
