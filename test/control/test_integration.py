# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from cem_planner_ros.control.integration import Integration

PERIOD = 0.1


@pytest.fixture
def integration():
    """The first action is a speed whose position is state 1; the second is sent as it is."""
    return Integration((1, None), PERIOD)


def send(integration, speed, time, position=3.0, is_stopped=False):
    state = None if position is None else np.array([7.0, position])
    return integration.command(np.array([speed, 5.0]), time, state, is_stopped)


def test_a_speed_becomes_the_position_at_the_time_of_the_next_command(integration):
    # What is measured later does not count: a joint lags behind its set-point.
    sent = [send(integration, 2.0, 0.1 * k, position=3.0) for k in range(4)]
    np.testing.assert_allclose(sent, [(3.2, 5.0), (3.4, 5.0), (3.6, 5.0), (3.8, 5.0)])


def test_commands_in_unequal_intervals_have_the_integral_of_the_speed(integration):
    speeds, times = [1.0, 2.0, -1.0, 0.0], [0.0, 0.03, 0.09, 0.15]
    sent = [send(integration, *each)[0] for each in zip(speeds, times, strict=True)]
    reached = 3.0 + np.cumsum([0.0, 0.03 * 1.0, 0.06 * 2.0, 0.06 * -1.0])
    np.testing.assert_allclose(sent, reached + PERIOD * np.array(speeds))


def test_after_a_pause_the_last_set_point_is_where_it_goes_on(integration):
    assert send(integration, 2.0, 0.0)[0] == pytest.approx(3.2)
    assert send(integration, 2.0, 50.0)[0] == pytest.approx(3.4)
    assert send(integration, 2.0, 20.0)[0] == pytest.approx(3.4)  # The clock was set back.


def test_without_a_state_there_is_no_position_to_send(integration):
    assert send(integration, 0.0, 0.0, position=None, is_stopped=True) is None
    assert send(integration, 0.0, 0.1, position=3.0, is_stopped=True)[0] == 3.0


def test_a_stop_holds_the_set_point_and_the_next_move_begins_where_the_joint_is(integration):
    send(integration, 2.0, 0.0)
    held = [send(integration, 0.0, 0.1 * k, 3.0 - k, is_stopped=True)[0] for k in (1, 2, 3)]
    np.testing.assert_allclose(held, 3.2)
    assert send(integration, 2.0, 0.4, position=1.0)[0] == pytest.approx(1.2)


def test_a_new_start_begins_at_what_is_measured(integration):
    send(integration, 2.0, 0.0)
    integration.forget()
    assert send(integration, 0.0, 0.1, position=-1.0, is_stopped=True)[0] == -1.0
