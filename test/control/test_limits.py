import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cem_planner_ros.control.limits import CommandLimits, SafeAction

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


def test_a_safe_action_is_a_number_or_what_the_state_measures_within_bounds():
    safe = SafeAction((0.3, "measured"), (0, 2), (-1.0, -2.0), (1.0, 0.5))
    np.testing.assert_array_equal(safe.at(np.array([5.0, 6.0, -0.7])), [0.3, -0.7])
    np.testing.assert_array_equal(safe.at(np.array([5.0, 6.0, 3.0])), [0.3, 0.5])
    assert safe.at(None) is None
    np.testing.assert_array_equal(SafeAction((0.3,), (0,), (-1.0,), (1.0,)).at(None), [0.3])
