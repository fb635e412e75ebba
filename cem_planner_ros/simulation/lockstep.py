# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
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
    The control loop of the node without ROS; plans take `planning_time` of its clock, none if 0.

    Each period has all its iterations, however fast the machine is. `plan_times` has the real times
    of the plans.

    Args:
        configuration: configuration of the loop.
        planner: planner of this configuration.
        state: returns the plant's state (nx,), in the order of the model.
        step: holds an action (nu,) for a duration, s.
        planning_time: simulated time of a plan, s, in which the plant moves on.
    """

    def __init__(
        self,
        configuration: Configuration,
        planner: Planner,
        state: Callable[[], np.ndarray],
        step: Callable[[np.ndarray, float], None],
        planning_time: float = 0.0,
    ):
        self.time = 0.0
        self.plan_times: list[float] = []
        """Real time of each plan, s."""
        self.failure: Exception | None = None
        """Raised instead of planning, for tests of failures."""
        self._plan = planner.plan
        self._step = step
        self._planning_time = planning_time
        self._action: np.ndarray | None = None
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
        commander, began = self.loop.commander, self.time
        commander.begin(began)
        tick = self.loop.tick(began)
        self._wait(commander.period - (self.time - began))
        return tick

    def plan(self, *arguments, until: float, **options) -> Plan:
        """Plan without a deadline."""
        if self.failure is not None:
            raise self.failure
        began = time.perf_counter()
        plan = self._plan(*arguments, **options)
        self.plan_times.append(time.perf_counter() - began)
        self._wait(self._planning_time)
        return plan

    def _wait(self, duration: float) -> None:
        if duration > 0.0:
            action = self.loop.commander.last_action if self._action is None else self._action
            self._step(action, duration)
            self.time += duration

    def _send(self, action: np.ndarray) -> None:
        self._action = action


class _PlannerWithoutDeadline:
    """A planner that plans without a deadline."""

    def __init__(self, planner: Planner, lockstep: Lockstep):
        self._planner = planner
        self.plan = lockstep.plan

    def __getattr__(self, name: str):
        return getattr(self._planner, name)
