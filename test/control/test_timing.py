import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem_planner_ros.control.timing import SLOWEST, SPEED_INTERVAL, History, Quantile, Speed


@given(st.lists(st.floats(0.0, 1e3), min_size=1, max_size=300), st.floats(0.0, 1.0))
def test_a_quantile_is_that_of_the_last_measurements(values, share):
    quantile = Quantile(share, window=100)
    for value in values:
        quantile.add(value)
    last = sorted(values[-100:])
    assert quantile.value == last[round(share * (len(last) - 1))]


@given(st.lists(st.one_of(st.floats(-1e3, 1e3), st.just(float("nan"))), max_size=40))
def test_a_history_holds_the_last_rows(values):
    history = History(("one", "two"), 16)
    for value in values:
        history.add(value, 2.0)
    expected = [value for value in values[-16:] if value == value]
    np.testing.assert_array_equal(np.sort(history.column("one")), np.sort(expected))
    assert len(history.column("two")) == min(len(values), 16)


@pytest.mark.parametrize("factor", [0.1, 1.0, 25.0])
def test_the_speed_of_a_clock_is_measured(factor):
    speed = Speed()
    assert speed.value == 1.0
    for index in range(20):
        steady = 7.0 + index * SPEED_INTERVAL / 3
        speed.look(3.0 + factor * steady, steady)
    assert speed.value == pytest.approx(factor)


def test_a_clock_that_stands_still_is_taken_to_go_on():
    speed = Speed()
    for steady in np.arange(0.0, 3.0, 0.1):
        speed.look(5.0, steady)
    assert speed.value == SLOWEST
