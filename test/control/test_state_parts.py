# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""States whose parts come at different times, brought to one time."""

import itertools

import numpy as np
import pytest
import torch

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.control.control_settings import ControlSettings
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.state_parts import StateParts
from cem_planner_ros.control.tick import STALE_STATE
from cem_planner_ros.paths import share

ROW = {name: np.array([row]) for row, name in enumerate(("arm", "base"))}


class Clock:
    """A clock that stands unless it is moved."""

    def __init__(self):
        self.time = 10.0

    def __call__(self):
        return self.time


@pytest.fixture
def parts():
    return StateParts(Clock(), np.zeros(2, bool))


def say(parts, name, value, time):
    assert parts.merge(ROW[name], np.array([value]), None, time) == ""


def test_a_state_has_the_newest_values_and_is_as_old_as_the_oldest(parts):
    say(parts, "arm", 1.0, 9.9)
    assert parts.newest is None
    say(parts, "base", 5.0, 9.8)
    newest = parts.newest
    np.testing.assert_array_equal(newest.state, [1.0, 5.0])
    assert newest.time == 9.8
    np.testing.assert_array_equal(newest.times, [9.9, 9.8])


def test_parts_of_one_time_are_a_state_of_that_time(parts):
    say(parts, "arm", 1.0, 9.9)
    say(parts, "base", 5.0, 9.9)
    assert parts.newest.times is None
    assert parts.newest.start is None


def test_at_the_time_of_the_oldest_part_the_others_are_as_they_were_then(parts):
    for time in (9.70, 9.74, 9.78, 9.82, 9.86, 9.90):
        say(parts, "arm", 100.0 * time, time)
    say(parts, "base", 5.0, 9.80)
    np.testing.assert_allclose(parts.newest.start, [980.0, 5.0])
    np.testing.assert_allclose(parts.newest.state, [990.0, 5.0])


def test_a_part_that_was_not_heard_of_so_early_begins_with_its_first_value(parts):
    say(parts, "base", 5.0, 9.80)
    say(parts, "arm", 7.0, 9.85)
    say(parts, "arm", 8.0, 9.90)
    np.testing.assert_array_equal(parts.newest.start, [7.0, 5.0])


@pytest.mark.parametrize(("time", "value"), [(9.81, 3.1), (9.85, -3.1)])
def test_an_angle_that_wraps_is_never_between_its_two_values(time, value):
    parts = StateParts(Clock(), np.array([True, False]))
    say(parts, "arm", 3.1, 9.80)
    say(parts, "arm", -3.1, 9.86)
    say(parts, "base", 5.0, time)
    assert parts.newest.start[0] == value


def test_a_clock_that_is_set_back_leaves_nothing_of_later(parts):
    say(parts, "arm", 1.0, 10.0)
    say(parts, "base", 1.0, 10.0)
    parts.forget()
    assert parts.newest is None
    say(parts, "arm", 2.0, 5.0)
    say(parts, "base", 3.0, 4.9)
    np.testing.assert_array_equal(parts.newest.start, [2.0, 3.0])


PENDULUM = configure(
    load_yaml(share("config") / "pendulum.yaml")
    | {
        "planner.device": "cpu",
        "planner.backend": "eager",
        "planner.samples": 16,
        "planner.elites": 4,
        "planner.iterations": 1,
        "planner.horizon": 5,
        "planner.dt": 0.02,
        "max_state_age": 0.3,
        "action.lag.torque": 0.0,
    }
)


class Swing:
    """A pendulum that is planned for, while its angle and its speed are told late."""

    def __init__(self, delays, settings=PENDULUM):
        self.clock = Clock()
        self.parts = StateParts(self.clock, np.array([True, False]))
        self.delays = delays
        self.predicted = []
        self.action = np.zeros(1)
        self.motion = [(self.clock.time - 1.0, np.array([2.0, 0.0]))]
        self.loop = ControlLoop(
            settings.planner(),
            settings,
            lambda: self.parts.newest,
            self._send,
            report_plan=lambda plan, state, applied: self.predicted.append(state),
            clock=self.clock,
            steady=self.clock,
        )
        self.move(1.0)

    def _send(self, action):
        self.action = action

    def move(self, duration, step=0.002):
        """The plant moves on; the angle comes every 6 ms, the speed every 10 ms, late."""
        for _ in range(round(duration / step)):
            time, state = self.motion[-1]
            column, action = (torch.tensor(v)[:, None] for v in (state, self.action))
            after = PENDULUM.dynamics.step(column, action, torch.tensor(step, dtype=torch.float64))
            self.motion.append((time + step, after[:, 0].numpy()))
            for row, (delay, every) in enumerate(zip(self.delays, (3, 5), strict=True)):
                index = len(self.motion) - 1 - round(delay / step)
                if index >= 0 and index % every == 0:
                    measured, value = self.motion[index]
                    self.parts.merge(np.array([row]), value[[row]], None, measured)

    def period(self):
        """Return the predicted state and the true one, at the time of the command."""
        self.loop.commander.begin(self.clock.time)
        tick = self.loop.tick(self.clock.time)
        truth = self.motion[-1][1]
        self.clock.time += 0.02
        self.move(0.02)
        return tick, truth


@pytest.mark.parametrize("delays", [(0.0, 0.0), (0.004, 0.1), (0.12, 0.0), (0.05, 0.05)])
def test_two_sources_with_different_delays_give_the_state_of_the_motion(delays):
    swing = Swing(delays)
    errors = []
    for count in itertools.count():
        _, truth = swing.period()
        if count > 15:  # The commands of the time before the first period are not known.
            errors.append(swing.predicted[-1] - truth)
        if count == 60:
            break
    speeds = [state[1] for _, state in swing.motion]
    assert max(speeds) - min(speeds) > 1.0
    np.testing.assert_allclose(np.array(errors), 0.0, atol=0.02)
    naive = np.abs(np.diff(speeds[-500:])).max() * max(delays) / 0.002
    if max(delays) > 0.06:
        assert naive > 0.1  # What the newest values would be wrong by.


def test_each_part_has_a_largest_age_of_its_own():
    ages = PENDULUM.control_settings
    limited = ControlSettings(**{**vars(ages), "max_state_age": np.array([0.05, 0.5])})
    assert limited.is_recent(Swing((0.0, 0.2)).parts.newest, 10.0)
    assert not limited.is_recent(Swing((0.2, 0.0)).parts.newest, 10.0)


def test_a_part_that_stops_makes_the_state_stale():
    swing = Swing((0.0, 0.0))
    assert swing.period()[0].plan is not None
    swing.delays = (0.0, 1000.0)
    for _ in range(20):
        tick, _ = swing.period()
    assert tick.cause == STALE_STATE
