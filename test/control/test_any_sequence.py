# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Whatever happens to the control loop, in any order: what docs/safety.md promises of commands."""

import itertools
import random
import types

import numpy as np
import pytest

from cem_planner_ros.configuration import configure
from cem_planner_ros.control import tick as control
from cem_planner_ros.control.ladder import FRESH, PREVIOUS_PLAN, STOPPED
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import Attempt, StateSample
from cem_planner_ros.planning.plan import Plan

PERIOD = 0.1
PERIODS = 150
FINE = 0.01
"""Step of the clock, s; between two of them anything may happen."""

VALUES = {
    "planner.device": "cpu",
    "control_rate": 1.0 / PERIOD,
    "max_state_age": 0.15,
    "dynamics.plugin": "double_integrator",
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["running"],
    "running.weight.x": 1.0,
    "action.safe.x_ddot": -0.5,
}
SAFE = [-0.5, 0.0]
CONFIGURATIONS = {
    rate: configure(VALUES | {"command.rate": rate}) for rate in (0.0, 50.0)
}  # Not live.


class Machine:
    """A loop on a clock that only moves in `pass_time`, with the watchdog beside it."""

    search = types.SimpleNamespace(dt=0.5)

    def __init__(self, seed):
        self.random = random.Random(seed)
        pick = self.random.choice
        self.max_plan_age, self.hold_time = pick([0.05, 0.2, 0.5]), pick([0.0, 0.45])
        self.rate = pick([1.0, 5.0])
        self.configuration = CONFIGURATIONS[pick([*CONFIGURATIONS])].changed(
            {
                "max_plan_age": self.max_plan_age,
                "hold_time": self.hold_time,
                "recover_periods": pick([1, 3]),
                "fallback": pick(["ramp_to_safe", "keep_last"]),
                "command_phase": pick([0.0, 0.4]),
                "actuation_delay": pick([0.0, 0.1]),
                "action.rate.x_ddot": self.rate,
                "action.low_pass.x_ddot": pick([0.0, 0.2]),
            }
        )
        self.time, self.last_good = 100.0, -np.inf
        self.events, self.broken = [], []
        self.sent = None
        """Time and value of the last command; None if the clock jumped, or it was not sent."""
        self.is_closed = self.is_halted = False
        self.mend()

        def clock():
            return self.time

        self.loop = ControlLoop(
            self,
            self.configuration,
            self.read,
            self.send,
            clock=clock,
            steady=clock,
            sleep=lambda stop, seconds: self.pass_time(seconds),
        )
        self.commander = self.loop.commander

    def mend(self):
        self.error, self.value, self.plan_time = None, 1.0, FINE
        self.reads, self.sends = "state", True

    # What the loop is given

    def read(self):
        if self.reads == "error":
            raise RuntimeError("no state")
        if self.reads == "nothing":
            return None
        return StateSample(np.zeros(4), self.time - (1.0 if self.reads == "old" else 0.0))

    def predict(self, plan, state):
        return np.array([state, state])

    def tune(self, **values):
        """Everything fits."""

    def reset(self):
        """There is no warm start."""

    def plan(self, state, time, previous_action, applied, surroundings, stamp, until):
        began, epoch, error, value = self.time, self.commander.epoch, self.error, self.value
        self.pass_time(self.plan_time)
        if error is not None:
            raise error
        if np.isfinite(value) and epoch == self.commander.epoch:
            self.last_good = began
        return Plan(np.array([time, time + 0.5]), np.full((1, 2), value), value, 1, 0.0)

    def send(self, action):
        if not self.sends:
            self.sent = None
            raise RuntimeError("no network")
        self.check(np.array(action))
        self.sent = self.time, np.array(action)

    def check(self, action):
        """Note a command that must not be sent now; the loop would catch an error."""
        status, is_safe = self.commander.ladder.status, np.allclose(action, SAFE)
        broken = {
            "after the end": self.is_closed,
            "out of bounds": not (np.abs(action) <= 1.0 + 1e-9).all(),
            "in a halt": self.is_halted and not is_safe,
            "not stopped": status == STOPPED and not is_safe,
        }
        if self.sent is not None:
            before, last = self.sent
            age, elapsed = self.time - self.last_good, self.time - before
            reach = self.rate * min(elapsed, PERIOD) + 1e-6
            usable = max(self.max_plan_age, PERIOD) + 1e-9
            is_planned = status in (FRESH, PREVIOUS_PLAN) and not is_safe
            broken |= {
                "too fast": not is_safe and abs(action[0] - last[0]) > reach,
                "of an old plan": is_planned and age > usable,
                "not safe in time": not is_safe and age > usable + self.hold_time + 2 * PERIOD,
                "missing before": elapsed > 2 * PERIOD + FINE,
            }
        for what in itertools.compress(broken, broken.values()):
            self.broken.append(f"a command {what}: {self.events[-20:]}")

    # What happens

    def pass_time(self, seconds):
        """Let time pass, with the watchdog, and with whatever happens meanwhile."""
        end = self.time + seconds
        while self.time < end - 1e-9:
            self.time += min(FINE, end - self.time)
            if self.random.random() < 0.05:
                self.happen()
            late = Attempt(control.OVER_BUDGET, is_failure=False)
            if self.time >= self.commander.deadline(self.commander.due):
                self.commander.complete(self.commander.due, late)
            if self.time >= self.commander.next_between:
                self.commander.between()
        return False

    def happen(self):
        """Let one thing happen."""
        pick = self.random.choice
        event = pick(
            ["good"] * 4
            + ["value", "value", "error", "nan", "slow", "hang", "read", "halt", "tap", "go on"]
            + ["forget", "jump", "limits", "network"]
        )
        self.events.append((event, round(self.time, 2)))
        if event == "good":
            self.mend()
            self.go_on()
        elif event == "value":
            self.value = self.random.uniform(-2.0, 2.0)
        elif event == "error":
            self.error = pick([RuntimeError("plugin"), SystemExit("plugin")])
        elif event == "nan":
            self.value = np.nan
        elif event in ("slow", "hang"):
            self.plan_time = 0.15 if event == "slow" else 1.5
        elif event == "read":
            self.reads = pick(["error", "nothing", "old"])
        elif event == "network":
            self.sends = False
        elif event == "go on":
            self.go_on()
        elif event in ("halt", "tap"):
            self.halt(pick([control.PAUSED, control.EMERGENCY_STOP]))
            if event == "tap":
                self.go_on()
        elif event == "forget":
            self.loop.forget()
        elif event == "jump":
            self.time += pick([-5.0, -0.5, 5.0])
            self.sent, self.last_good = None, -np.inf
            self.loop.forget(is_jump=True)
        elif event == "limits":
            rate = {"action.low_pass.x_ddot": pick([0.0, 0.2])}
            self.loop.change(self.configuration.changed(rate))

    def halt(self, cause):
        try:
            self.commander.halt(cause)
        except RuntimeError:
            assert not self.sends  # The next period tries again.
        self.is_halted = True

    def go_on(self):
        self.is_halted = False
        self.commander.halt("")

    def period(self):
        self.pass_time(max(0.0, self.commander.due - self.time))
        self.loop.tick(self.commander.due)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_commands_keep_their_promises(seed):
    machine = Machine(seed)
    machine.commander.begin(machine.time)
    for _ in range(PERIODS):
        machine.period()
    assert machine.commander.ladder.steps[FRESH] > 3  # It was no run of faults only.
    machine.commander.close()
    machine.mend()
    machine.is_closed = True
    machine.loop.tick(machine.commander.due)
    machine.commander.halt(control.EMERGENCY_STOP)
    machine.pass_time(1.0)
    assert not machine.broken
