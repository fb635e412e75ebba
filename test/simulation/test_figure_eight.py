# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A figure of eight whose shape changes, and how well it was flown."""

import math

import numpy as np
import pytest

from cem_planner_ros.simulation import figure_eight
from cem_planner_ros.simulation.figure_eight import AHEAD, LOWEST, MOST_ERROR, SETTLE, FigureOfEight


@pytest.fixture(scope="module")
def figure():
    return FigureOfEight(3)


def test_it_is_flown_at_one_speed_without_jumps(figure):
    times = np.arange(0.0, 6.0, 0.01)
    velocities = np.diff(figure.position(times), axis=0) / 0.01
    np.testing.assert_allclose(np.linalg.norm(velocities, axis=1), 1.5, rtol=0.02)
    assert np.linalg.norm(np.diff(velocities, axis=0), axis=1).max() < 0.15


def test_each_second_says_what_is_flown_in_it_and_no_more(figure):
    for second in range(4):
        times, positions, velocities = figure.trajectory(second, AHEAD)
        assert (times[0], times[-1]) == pytest.approx((second, second + AHEAD))
        off = np.linalg.norm(positions - figure.position(times), axis=1)
        is_now = times <= second + 1.0 + 1e-9
        assert off[is_now].max() < 1e-3
        assert off[~is_now].max() > 0.01
        np.testing.assert_allclose(np.linalg.norm(velocities, axis=1), 1.5, rtol=1e-6)


def test_what_is_flown_does_not_depend_on_when_one_asks(figure):
    other = FigureOfEight(3)
    other.trajectory(5, 1.0)
    times = np.linspace(0.0, 3.0, 50)
    np.testing.assert_array_equal(other.position(times), figure.position(times))
    assert np.abs(FigureOfEight(4).position(times) - figure.position(times)).max() > 0.1


def test_distances_begin_with_the_figure(figure):
    times = np.array([-0.5, 0.0, 1.0])
    positions = figure.position(np.maximum(times, 0.0)) + [0.0, 0.03, 0.04]
    np.testing.assert_allclose(figure.distances(times, positions), [np.nan, 0.05, 0.05])


def flight(error, height=1.0):
    times = np.linspace(-1.0, SETTLE + 2.0, 100)
    distances = np.where(times < SETTLE, 9.0, error)
    return figure_eight.result(times, distances, np.full(100, height))


def test_a_flight_is_judged_from_when_it_has_settled():
    result = flight(0.9 * MOST_ERROR)
    assert (result.error, result.most) == pytest.approx((0.9 * MOST_ERROR,) * 2)
    assert result.problems == []
    assert "from the figure" in flight(1.1 * MOST_ERROR).problems[0]
    assert flight(0.01, 0.5 * LOWEST).problems == ["it fell"]


def test_a_flight_that_never_began_is_no_success():
    times = np.full(5, np.nan)
    result = figure_eight.result(times, times, np.ones(5))
    assert math.isnan(result.error)
    assert "did not begin" in result.problems[0]
