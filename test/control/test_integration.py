# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from cem_planner_ros.configuration import configure
from cem_planner_ros.configuration.yaml_files import load_yaml
from cem_planner_ros.control.integration import Integration, most_leads
from cem_planner_ros.paths import share

PERIOD = 0.1
MOST = 1.0


@pytest.fixture
def integration():
    """The first action is a speed whose position is state 1; the second is sent as it is."""
    return Integration((1, None), PERIOD, np.array([MOST, MOST]))


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


class Joint:
    """Follows its set-point with a lag, unless it is blocked."""

    def __init__(self, lag=0.05):
        self.position, self.lag = 0.0, lag

    def follow(self, target, is_blocked=False):
        """Move for a period; return how far."""
        moved = 0.0 if is_blocked else (1.0 - np.exp(-PERIOD / self.lag)) * (target - self.position)
        self.position += moved
        return moved


def test_a_set_point_waits_for_a_blocked_joint_which_does_not_jump_far_when_it_is_free(integration):
    joint, moves, waits = Joint(), [], []
    for tick in range(100):
        target = send(integration, 2.0, PERIOD * tick, joint.position)[0]
        moves.append(joint.follow(target, is_blocked=10 <= tick < 60))
        waits.append(integration.waiting[0])
        assert target - joint.position <= MOST + 1e-9
    assert not any(waits[:10])
    assert all(waits[20:60])
    assert max(moves) <= MOST  # After 5 s at 2 rad/s it was 10 rad without the limit.
    np.testing.assert_allclose(moves[-30:], 2.0 * PERIOD, rtol=1e-3)  # It goes on as before.
    assert not any(waits[-30:])


def test_a_set_point_comes_back_at_once_from_a_blocked_joint(integration):
    ahead = [send(integration, 2.0, PERIOD * tick)[0] for tick in range(50)]
    back = [send(integration, -2.0, PERIOD * tick)[0] for tick in range(50, 54)]
    np.testing.assert_allclose(back, ahead[-1] - 2.0 * PERIOD * np.arange(1, 5), atol=1e-9)


@pytest.mark.parametrize("speed", [0.0, 0.3, -0.3])
def test_a_set_point_does_not_sink_with_a_joint_that_hangs_far_below_it(integration, speed):
    send(integration, 0.0, 0.0, position=3.0)
    sent = [send(integration, speed, PERIOD * k, position=3.0 - 2.0 * MOST)[0] for k in (1, 2, 3)]
    expected = 3.0 + min(speed, 0.0) * PERIOD * np.arange(1, 4)  # It is free to come nearer.
    np.testing.assert_allclose(sent, expected)


def test_a_wider_limit_counts_from_the_next_command_on(integration):
    held = [send(integration, 2.0, PERIOD * tick)[0] for tick in range(50)]
    assert held[-1] == pytest.approx(3.0 + MOST)
    integration.most_lead = np.array([2.0 * MOST, MOST])
    assert send(integration, 2.0, 50 * PERIOD)[0] == pytest.approx(3.0 + MOST + 2.0 * PERIOD)


@pytest.mark.parametrize("rate", [2.0, 25.0])
def test_a_joint_at_its_bound_that_lags_as_action_lag_says_is_not_disturbed(rate):
    values = load_yaml(share("config") / "arm.yaml")
    values = {name: value for name, value in values.items() if name != "command.max_lead"}
    values |= {"control_rate": rate, "planner.dt": 1.0 / rate, "actuation_delay": 0.1}
    settings = configure(values).control_settings
    most = most_leads(settings, 0.0)
    joint, integration = Joint(settings.lag[0]), Integration((0,), 1.0 / rate, most[:1])
    before = [0.0] * (1 + round(0.1 * rate))  # What is measured is as old as the delay.
    speed = np.array([settings.limits.high[0]])
    for tick in range(100):
        sent = integration.command(speed, tick / rate, np.array([before.pop(0)]), False)
        step = 1.0 - np.exp(-1.0 / rate / joint.lag)
        joint.position += step * (sent[0] - joint.position)
        before.append(joint.position)
        assert not integration.waiting[0]
