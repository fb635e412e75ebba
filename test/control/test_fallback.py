# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from cem_planner_ros.control.control_settings import KEEP_LAST, POLICY, ControlSettings
from cem_planner_ros.control.fallback import Fallback
from cem_planner_ros.control.limits import CommandLimits, SafeAction
from cem_planner_ros.control.stop_action import StopAction
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.dynamics.action_parameters import MEASURED

SETTINGS = ControlSettings(
    control_rate=10.0,
    budget_fraction=0.8,
    command_phase=0.0,
    actuation_delay=0.0,
    max_state_age=0.2,
    max_plan_age=0.2,
    hold_time=1.0,
    recover_periods=1,
    fallback="ramp_to_safe",
    limits=CommandLimits(np.array([-2.0]), np.array([2.0]), np.array([1.0]), np.array([0.0])),
    safe=SafeAction((0.0,), (None,), (-2.0,), (2.0,)),
    lag=np.zeros(1),
)


def with_safe(value, row):
    return dataclasses.replace(SETTINGS, safe=SafeAction((value,), (row,), (-2.0,), (2.0,)))


def actions(settings, sample=None, safe_action=lambda: np.array([0.0])):
    """What is sent 0, 0.5 and 2 s after the fallback began at a command of 1."""
    fallback = Fallback(settings, np.array([1.0]))
    times = (0.0, 0.5, 2.0)
    return [fallback.action(time, time, sample, safe_action)[0] for time in times]


def test_it_goes_evenly_to_the_safe_action():
    assert actions(SETTINGS) == [1.0, 0.5, 0.0]
    assert actions(dataclasses.replace(SETTINGS, hold_time=0.0)) == [0.0, 0.0, 0.0]


def test_it_keeps_the_last_command_and_asks_for_no_safe_action():
    settings = dataclasses.replace(SETTINGS, fallback=KEEP_LAST)
    assert actions(settings, safe_action=lambda: 1 / 0) == [1.0, 1.0, 1.0]


def test_it_follows_a_policy_while_the_state_is_young():
    settings = dataclasses.replace(SETTINGS, fallback=POLICY, policy=lambda state: 3.0 * state)
    sample = StateSample(np.array([0.5]), 0.0)
    assert actions(settings, sample) == [1.5, 0.75, 0.0]
    assert actions(settings, None) == [1.0, 0.5, 0.0]


def test_the_ramp_after_a_policy_begins_where_and_when_the_policy_ended():
    settings = dataclasses.replace(SETTINGS, fallback=POLICY, policy=lambda state: state)
    fallback = Fallback(settings, np.array([1.0]))

    def action(elapsed, state, age):
        sample = StateSample(np.array([state]), 7.0 + elapsed - age)
        return fallback.action(7.0 + elapsed, elapsed, sample, lambda: np.array([0.0]))[0]

    assert [action(0.2, 0.5, 0.0), action(0.4, -0.8, 0.0)] == [0.5, -0.8]
    # The state is too old from here on; 0.6 of the second that the fallback takes are left.
    ramp = [action(elapsed, -0.8, elapsed - 0.1) for elapsed in (0.4, 0.55, 0.7, 1.0, 1.2)]
    assert ramp == pytest.approx([-0.8, -0.6, -0.4, 0.0, 0.0])
    # A state that comes again is followed again, and the next ramp begins there.
    assert action(0.8, 0.6, 0.0) == 0.6
    assert action(0.9, 0.6, 0.5) == pytest.approx(0.3)
    fallback.begin(np.array([1.0]))
    assert action(0.5, 0.6, 0.5) == pytest.approx(0.5)


def test_without_a_known_safe_action_the_last_command_is_kept():
    assert actions(SETTINGS, safe_action=lambda: None) == [1.0, 1.0, 1.0]


def test_a_measured_safe_action_is_unknown_before_the_first_state_and_then_stays():
    stop = StopAction(with_safe(MEASURED, 0))
    assert not stop.is_placed
    assert stop.action(None) is None
    np.testing.assert_array_equal(stop.action(np.array([0.7])), [0.7])
    np.testing.assert_array_equal(stop.action(np.array([0.1])), [0.7])
    stop.forget()
    np.testing.assert_array_equal(stop.action(np.array([0.1])), [0.1])


def test_a_safe_action_that_becomes_measured_before_the_first_state_is_unknown():
    stop = StopAction(with_safe(0.25, None))
    assert stop.is_placed
    np.testing.assert_array_equal(stop.action(None), [0.25])
    stop.use(with_safe(MEASURED, 0))
    assert stop.action(None) is None


def test_what_is_measured_begins_there_and_keeps_its_rate_until_a_plan_is_followed():
    stop = StopAction(with_safe(0.0, 0))
    before = stop.place(np.array([1.5]), stop.first_action())
    np.testing.assert_array_equal(before, [1.5])
    safe = stop.action(np.array([1.5]))
    assert stop.paced(safe, before, 0.1) == pytest.approx([1.4])
    stop.follow_plan()
    assert stop.paced(safe, before, 0.1) == pytest.approx([0.0])
