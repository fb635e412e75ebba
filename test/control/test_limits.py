# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem_planner_ros.configuration import configure
from cem_planner_ros.control.limits import CommandLimits, SafeAction, TurningLimit

LIMITS = CommandLimits(
    low=np.array([-1.0, -2.0]),
    high=np.array([1.0, 0.5]),
    rate=np.array([3.0, np.inf]),
    low_pass=np.array([0.0, 0.1]),
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=True)


@given(st.lists(NUMBERS, min_size=2, max_size=2), st.floats(0.0, 1.0))
def test_whatever_is_planned_the_command_is_within_limits(action, elapsed):
    before = np.array([0.5, -0.5])
    command = LIMITS.apply(np.array(action), before, elapsed)
    assert (command >= LIMITS.low).all()
    assert (command <= LIMITS.high).all()
    assert abs(command[0] - before[0]) <= 3.0 * elapsed + 1e-6


def test_the_low_pass_reaches_63_percent_in_its_time_constant_at_any_rate():
    for periods in (1, 7):
        command = np.zeros(2)
        for _ in range(periods):
            command = LIMITS.apply(np.array([0.0, 0.5]), command, 0.1 / periods)
        np.testing.assert_allclose(command[1], 0.5 * (1 - np.exp(-1)))


def test_without_rate_and_low_pass_an_action_goes_out_as_it_is():
    free = CommandLimits(LIMITS.low, LIMITS.high, np.full(2, np.inf), np.zeros(2))
    action = np.array([0.1, 0.3])
    np.testing.assert_array_equal(free.apply(action, np.array([-0.7, -0.9]), 0.0), action)


def test_bounds_hold_also_when_they_were_moved_past_the_last_command():
    assert LIMITS.apply(np.array([0.0, 0.0]), np.array([9.0, 0.0]), 0.01)[0] == 1.0


def test_bounds_that_were_moved_past_the_last_command_may_be_approached_evenly():
    limits = replace(LIMITS, slowing=np.array([0.8, math.inf]), rate=np.full(2, math.inf))
    command, sent = np.array([2.0, 0.4]), []
    for _ in range(30):
        command = limits.apply(np.array([0.9, 0.4]), command, 0.05)
        sent.append(command[0])
    np.testing.assert_allclose(sent[:25], 2.0 - 0.04 * np.arange(1, 26))
    assert sent[26:] == [0.9] * 4
    for before, expected in ((2.0, 1.96), (-3.0, -2.96), (1.02, 0.98), (0.9, 0.0)):
        command = limits.apply(np.zeros(2), np.array([before, 9.0]), 0.05)
        assert command[0] == pytest.approx(expected)
        assert command[1] == 0.5  # At once.


def test_a_safe_action_is_a_number_or_what_the_state_measures_within_bounds():
    safe = SafeAction((0.3, "measured"), (0, 2), (-1.0, -2.0), (1.0, 0.5))
    np.testing.assert_array_equal(safe.at(np.array([5.0, 6.0, -0.7])), [0.3, -0.7])
    np.testing.assert_array_equal(safe.at(np.array([5.0, 6.0, 3.0])), [0.3, 0.5])
    assert safe.at(None) is None
    np.testing.assert_array_equal(SafeAction((0.3,), (0,), (-1.0,), (1.0,)).at(None), [0.3])


@given(
    st.lists(st.floats(-2.0, 2.0), min_size=2, max_size=2).map(np.array),
    st.lists(st.floats(-2.0, 2.0), min_size=2, max_size=2).map(np.array),
    st.floats(0.2, 5.0),
)
def test_a_car_is_commanded_no_tighter_turn_than_it_can(action, before, radius):
    everything = np.full(2, math.inf)
    limits = CommandLimits(
        np.array([-0.5, -1.0]),
        np.array([1.0, 1.0]),
        everything,
        np.zeros(2),
        TurningLimit(radius, forward=0, turning=1),
    )
    forward, turning = limits.apply(action, before, 0.05)
    assert abs(turning) <= abs(forward) / radius + 1e-9
    assert forward == np.clip(action[0], -0.5, 1.0)
    if abs(action[1]) <= min(abs(forward) / radius, 1.0):
        assert turning == action[1]


def test_the_turning_radius_of_commands_is_that_of_the_model():
    values = {
        "planner.device": "cpu",
        "dynamics.plugin": "ackermann_drive",
        "dynamics.turning_radius": 2.0,
        "state.type": "std_msgs/msg/Float64MultiArray",
        "costs": ["terminal"],
        "terminal.plugin": "goal_pose",
    }
    limits = configure(values).control_settings.limits
    np.testing.assert_allclose(limits.apply(np.array([0.4, 0.7]), np.zeros(2), 1.0), [0.4, 0.2])
