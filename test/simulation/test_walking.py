# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The verdict about a walk, on walks that are made up."""

import numpy as np
import pytest

from cem_planner_ros.simulation import walking


def walk(off=(0.0, 0.0, 0.0), sway=0.0, heights=None, seconds=walking.DURATION):
    times = np.arange(0.0, seconds, 0.01)
    wanted = np.array([walking.command_at(time) for time in times])
    velocities = wanted + np.array(off)
    velocities[:, 1] += sway * np.sin(2.0 * np.pi * times / walking.STRIDE)
    height = np.full(len(times), 0.3) if heights is None else heights(times)
    return walking.Walk(times, velocities, height, np.ones(len(times)))


def test_a_walk_as_commanded_is_a_success():
    found, problems = walking.judge(walk())
    assert not problems
    assert found["velocity_error_m_s"] == 0.0
    assert found["fell"] is False
    assert found["stands_at_the_end"] is True
    assert found["down_after_push_s"] == 0.0


def test_sway_within_a_stride_is_no_error():
    found, problems = walking.judge(walk(sway=0.3))
    assert not problems
    assert found["velocity_error_m_s"] < 0.01


@pytest.mark.parametrize(
    ("off", "text"), [((0.12, 0.0, 0.0), "velocity error"), ((0.0, 0.0, 0.3), "turning error")]
)
def test_a_wrong_velocity_is_no_success(off, text):
    _, problems = walking.judge(walk(off=off))
    assert len(problems) == 1
    assert problems[0].startswith(text)


def test_a_fall_is_told_with_its_time():
    found, problems = walking.judge(walk(heights=lambda t: np.where((t > 4) & (t < 5), 0.1, 0.3)))
    assert found["fell"] is True
    assert problems == ["fell after 4.0 s"]


def test_the_robot_may_lie_after_the_push_but_not_stay_there():
    begin = walking.PUSH_TIME
    found, problems = walking.judge(
        walk(heights=lambda t: np.where((t > begin) & (t < begin + 2.0), 0.08, 0.3))
    )
    assert not problems
    assert found["fell"] is False
    assert found["down_after_push_s"] == pytest.approx(2.0, abs=0.02)
    found, problems = walking.judge(walk(heights=lambda t: np.where(t > begin, 0.08, 0.3)))
    assert "does not stand after the push" in problems


def test_a_recording_that_breaks_off_is_no_success():
    _, problems = walking.judge(walk(seconds=6.0))
    assert any("no state after" in problem for problem in problems)
    nothing = walking.Walk(np.zeros(0), np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    _, problems = walking.judge(nothing)
    assert problems


def test_velocities_are_in_the_frame_of_the_trunk():
    """Turned by 90 degrees to the left, a motion along y is forward."""
    half = np.sqrt(0.5)
    poses = np.array([[1.0, 2.0, 0.3, half, 0.0, 0.0, half]])
    velocities, heights, uprights = walking.motion(poses, np.array([[0.0, 0.5, 0, 0, 0, 0.4]]))
    np.testing.assert_allclose(velocities, [[0.5, 0.0, 0.4]], atol=1e-12)
    np.testing.assert_allclose((heights[0], uprights[0]), (0.3, 1.0))
