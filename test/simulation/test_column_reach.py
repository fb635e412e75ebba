# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Goals around a column, and how well they were reached."""

import numpy as np
import pytest

from cem_planner_ros.simulation import column_reach
from cem_planner_ros.simulation.column_reach import (
    COLUMN,
    DISTANCE,
    EVERY,
    MOST_ERROR,
    REACH,
    STATIONS,
    GoalsAroundColumn,
)


def test_goals_go_around_the_column_from_one_to_the_next():
    goals = np.array([GoalsAroundColumn(5).goal(index) for index in range(30)])
    again = GoalsAroundColumn(5)
    np.testing.assert_array_equal(again.goal(29), goals[29])
    off = goals[:, :2] - COLUMN
    np.testing.assert_allclose(np.hypot(*off.T), DISTANCE)
    steps = np.linalg.norm(np.diff(goals[:, :2], axis=0), axis=1)
    chord = 2.0 * DISTANCE * np.sin(0.5 * np.diff(STATIONS)[0])
    np.testing.assert_allclose(steps, chord)
    assert len(np.unique(np.round(off, 6), axis=0)) == len(STATIONS)
    w, x, y, z = goals[:, 3:].T
    np.testing.assert_allclose(w * w + x * x + y * y + z * z, 1.0)
    np.testing.assert_allclose(1.0 - 2.0 * (x * x + y * y), -1.0)  # The tip points down.


def test_each_goal_holds_for_its_time():
    goals = GoalsAroundColumn(0)
    assert [goals.index(time) for time in (0.0, EVERY - 0.01, EVERY, 2.5 * EVERY)] == [0, 0, 1, 2]
    times = np.array([0.0, EVERY])
    tips = np.array([goals.goal(0)[:3], goals.goal(1)[:3] + [0.03, 0.0, 0.04]])
    np.testing.assert_allclose(goals.distances(times, tips), [0.0, 0.05], atol=1e-9)


def judged(error, touched=False, jump=0.0):
    times = np.arange(0.0, 3 * EVERY, 0.05)
    distances = np.where(times % EVERY < REACH - 1e-6, 0.5, error)
    return column_reach.result(times, distances, touched, jump, 0.06)


def test_errors_count_from_a_second_after_a_goal():
    result = judged(0.9 * MOST_ERROR)
    assert result.errors == pytest.approx(3 * [0.9 * MOST_ERROR])
    assert result.problems == []
    assert "(3 of 3 goals)" in judged(1.1 * MOST_ERROR).problems[0]


def test_touches_and_jumps_are_problems_and_so_is_no_goal():
    assert judged(0.0, touched=True).problems == ["it touched something"]
    assert "0.100 rad from the measured position" in judged(0.0, jump=0.1).problems[0]
    none = column_reach.result(np.zeros(0), np.zeros(0), False, 0.0, 0.06)
    assert none.errors == []
    assert "no goal" in none.problems[0]
