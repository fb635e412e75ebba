# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem_planner_ros.control.timing import SPEED_INTERVAL, History, Quantile, Speed


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


def test_the_speed_of_a_clock_that_moves_in_large_steps_is_measured_too():
    speed = Speed()
    for steady in np.arange(0.0, 5.0, 0.02):
        speed.look(2.0 * (steady // 0.1) * 0.1, steady)
    assert speed.value == pytest.approx(2.0, rel=0.2)


def test_a_clock_that_stands_still_is_taken_to_go_on_as_before():
    speed = Speed()
    steps = [(4.0 * steady, steady) for steady in np.arange(0.0, 2.0, 0.1)]
    steps += [(8.0, 2.0 + pause) for pause in np.arange(0.0, 30.0, 0.1)]
    steps += [(8.0 + 4.0 * after, 32.0 + after) for after in np.arange(0.1, 0.4, 0.1)]
    for step in steps:
        speed.look(*step)
    assert speed.value == pytest.approx(4.0, rel=0.1)
