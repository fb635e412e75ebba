# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The stop guard and obstacles that move: the robot stands before it meets one."""

import math

import numpy as np
import pytest
from guards import can_stop
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.configuration import configure
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.stop_guard import OUTSIDE_COSTMAP, STALE_MOVING_OBSTACLES

VALUES = {
    "planner.device": "cpu",
    "control_rate": 20.0,
    "dynamics.plugin": "diff_drive_lag",
    "dynamics.lag": 0.1,
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["obstacles"],
    "obstacles.plugin": "obstacles",
    "obstacles.footprint": "0.22 0.20  0.22 -0.20  -0.22 -0.20  -0.22 0.20",
    "obstacles.moving_obstacles": 4,
}
CONFIGURATION = configure(VALUES)
HALF_LENGTH, HALF_WIDTH = 0.22, 0.20
HERE, REST, AHEAD = np.zeros(5), np.zeros(2), np.array([0.5, 0.0])
EMPTY = Costmap(np.zeros((80, 80), np.int8), 0.05, Pose(-2.0, -2.0, 0.0), 10.0)

REACTION, DECELERATION, YAW_DECELERATION = 0.1, 0.8, 3.0
"""The defaults of drive.reaction, drive.deceleration and drive.yaw_deceleration."""

DT = 0.01


def objects(*rows, time=10.0):
    """Obstacles x, y, vx, vy, radius."""
    rows = np.array(rows, float).reshape(-1, 5)
    return MovingObstacles(rows[:, :2], rows[:, 2:4], rows[:, 4], time, time)


@pytest.fixture
def guard():
    return CONFIGURATION.stop_guard()


def braked(speeds, before, command, age):
    """
    Poses (n, 3), DT apart, of a robot at the origin until it stands.

    It keeps its speeds or takes those of the command in force, follows the command for a period,
    and then brakes as it surely does.
    """
    (v, w), begin = speeds, age + REACTION
    rates = (1.0, 4.0), (DECELERATION, YAW_DECELERATION)
    poses, time = [(0.0, 0.0, 0.0)], 0.0
    while time < begin + 0.05 or v or w:
        aims = before if time < begin else command if time < begin + 0.05 else (0.0, 0.0)
        new = []
        for now, aim, faster, slower in zip((v, w), aims, *rates, strict=True):
            if time < begin and (abs(aim) <= abs(now) or aim * now < 0.0):
                aim = now
            if aim * now < 0.0:
                aim = 0.0
            change = DT * (faster if abs(aim) > abs(now) else slower)
            new.append(now + min(max(aim - now, -change), change))
        x, y, yaw = poses[-1]
        turn, mean = 0.5 * DT * (w + new[1]), 0.5 * (v + new[0])
        middle = yaw + 0.5 * turn
        moved = DT * mean * math.cos(middle), DT * mean * math.sin(middle)
        poses.append((x + moved[0], y + moved[1], yaw + turn))
        (v, w), time = new, time + DT
    return np.array(poses)


def clearance(poses, rows):
    """The least distance, m, of obstacles from the robot while it drives; they begin with it."""
    rows = np.array(rows).reshape(-1, 5)
    times = DT * np.arange(len(poses))[:, None]
    dx = rows[:, 0] + times * rows[:, 2] - poses[:, :1]
    dy = rows[:, 1] + times * rows[:, 3] - poses[:, 1:2]
    cos, sin = np.cos(poses[:, 2:]), np.sin(poses[:, 2:])
    ahead = np.abs(cos * dx + sin * dy) - HALF_LENGTH
    aside = np.abs(cos * dy - sin * dx) - HALF_WIDTH
    outside = np.hypot(np.maximum(ahead, 0.0), np.maximum(aside, 0.0))
    return float((outside + np.minimum(np.maximum(ahead, aside), 0.0) - rows[:, 4]).min())


walkers = st.tuples(
    st.floats(-1.5, 1.5),
    st.floats(-1.5, 1.5),
    st.floats(-1.5, 1.5),
    st.floats(-1.5, 1.5),
    st.floats(0.05, 0.4),
)
twists = st.tuples(st.floats(-0.35, 0.5), st.floats(-1.9, 1.9))


@settings(max_examples=200)
@given(st.lists(walkers, min_size=1, max_size=4), twists, twists, twists, st.floats(0.0, 0.06))
def test_where_it_could_stop_it_stands_before_it_meets_anybody(rows, speeds, before, command, age):
    """Unless somebody would meet it even if it braked at once, and then stood."""
    guard, known = CONFIGURATION.stop_guard(), objects(*rows)
    state = np.array([0.0, 0.0, 0.0, *speeds])
    arguments = (EMPTY, state, age, np.array(before))
    way = braked(speeds, before, REST, age)
    way = np.concatenate((way, np.repeat(way[-1:], round(2.5 / DT), axis=0)))
    if clearance(way, rows) < 0.02:
        return
    if can_stop(guard, *arguments, np.array(command), known):
        assert clearance(braked(speeds, before, command, age), rows) > -0.02


@settings(max_examples=100)
@given(st.lists(walkers, min_size=1, max_size=4), twists, twists, st.floats(-3.2, 3.2))
def test_a_command_is_refused_only_if_somebody_would_be_met(rows, speeds, command, yaw):
    guard = CONFIGURATION.stop_guard()
    if clearance(braked(speeds, speeds, command, 0.0), rows) < 0.1:
        return
    # The same, turned.
    cos, sin = math.cos(yaw), math.sin(yaw)
    rows = np.array(rows)
    rows[:, :2] = rows[:, :2] @ [[cos, sin], [-sin, cos]]
    rows[:, 2:4] = rows[:, 2:4] @ [[cos, sin], [-sin, cos]]
    state = np.array([0.0, 0.0, yaw, *speeds])
    chosen = guard.bounded(
        EMPTY, state, 0.0, np.array(speeds), np.array(command), REST, objects(*rows)
    )
    np.testing.assert_array_equal(chosen, command)
    assert not guard.is_imminent


def test_where_somebody_will_be_it_does_not_drive_and_where_somebody_was_it_does(guard):
    state = np.array([0.0, 0.0, 0.0, 0.5, 0.0])
    # The robot stands after 0.8 s, 0.25 m ahead.
    comes, leaves = (0.75, 0.9, 0.0, -1.2, 0.3), (0.75, -0.2, 0.0, -1.2, 0.3)
    stands = (0.75, -0.2, 0.0, 0.0, 0.3)
    for row, can in ((comes, False), (leaves, True), (stands, False)):
        assert can_stop(guard, EMPTY, state, 0.0, AHEAD, AHEAD, objects(row)) is can, row


def test_it_may_follow_somebody_who_walks_ahead_of_it_as_fast(guard):
    state = np.array([0.0, 0.0, 0.0, 0.5, 0.0])
    walks, stands = (0.55, 0.0, 0.5, 0.0, 0.25), (0.55, 0.0, 0.0, 0.0, 0.25)
    assert can_stop(guard, EMPTY, state, 0.0, AHEAD, AHEAD, objects(walks))
    assert not can_stop(guard, EMPTY, state, 0.0, AHEAD, AHEAD, objects(stands))


def test_out_of_the_way_of_somebody_it_may_drive_and_not_into_it(guard):
    comes = objects((0.62, 0.0, -1.0, 0.0, 0.3))
    back = np.array([-0.35, 0.0])
    for command, can in ((-back, False), (back, True)):
        chosen = guard.bounded(EMPTY, HERE, 0.0, REST, command, REST, comes)
        assert (chosen is not None) is can
        assert guard.is_imminent is not can


@pytest.mark.parametrize("side", [1, -1])
def test_it_does_not_stop_in_the_way_of_somebody_whom_it_passes_in_time(guard, side):
    """It could not stand before it is met, and would be met where it stands."""
    state, before = np.array([0.0, 0.0, 0.0, 0.5, 0.0]), AHEAD
    comes = (0.11, 0.84 * side, -0.06, -0.51 * side, 0.29)
    for period in range(40):
        x, y, vx, vy, radius = comes
        known = objects((x + 0.05 * period * vx, y + 0.05 * period * vy, vx, vy, radius))
        before = guard.bounded(EMPTY, state, 0.0, before, AHEAD, REST, known)
        np.testing.assert_array_equal(before, AHEAD)
        state[0] += 0.05 * 0.5
    # If it is in front of the robot, the robot waits.
    passes = objects((0.65, 0.7, 0.0, -0.7, 0.29))
    state = np.array([0.0, 0.0, 0.0, 0.5, 0.0])
    chosen = guard.bounded(EMPTY, state, 0.0, AHEAD, AHEAD, REST, passes)
    assert chosen is None or chosen[0] < 0.4


@pytest.mark.parametrize("costmap", [None, EMPTY])
def test_the_way_that_is_shown_is_that_of_the_last_command_also_after_a_refusal(guard, costmap):
    free, near = objects(), objects([1.3, 0.0, -0.5, 0.0, 0.3])
    assert guard.bounded(costmap, HERE, 0.0, REST, AHEAD, REST, free).tolist() == AHEAD.tolist()
    went = guard.stopping
    state = np.array([0.5, 0.0, 0.0, 0.5, 0.0])
    assert guard.bounded(costmap, state, 0.0, AHEAD, AHEAD, AHEAD, near) is None
    assert (guard.moving, guard.stopping[0, 0]) == (near, 0.5)
    assert went[0, 0] == 0.0 < went[-1, 0]


def test_an_obstacle_that_stands_stops_it_where_a_map_does(guard):
    state = np.array([0.0, 0.0, 0.0, 0.5, 0.0])
    distances = np.arange(0.3, 1.5, 0.01)
    can = [
        can_stop(guard, EMPTY, state, 0.0, AHEAD, AHEAD, objects((HALF_LENGTH + d, 0, 0, 0, 0.0)))
        for d in distances - HALF_LENGTH
    ]
    way = braked((0.5, 0.0), AHEAD, AHEAD, 0.0)[-1, 0]
    nearest = distances[can][0]
    assert nearest == pytest.approx(HALF_LENGTH + way, abs=0.02)
    assert all(can[can.index(True) :])


def test_the_margin_counts_and_a_costmap_too():
    wide = CONFIGURATION.changed({"drive.margin": 0.2}).stop_guard()
    slow = np.array([0.1, 0.0])
    beside = objects((0.3, 0.5, 0.0, 0.0, 0.2))
    assert can_stop(CONFIGURATION.stop_guard(), EMPTY, HERE, 0.0, REST, slow, beside)
    assert not can_stop(wide, EMPTY, HERE, 0.0, REST, slow, beside)
    cells = np.zeros((80, 80), np.int8)
    cells[:, 45:] = 100
    wall = Costmap(cells, 0.05, Pose(-2.0, -2.0, 0.0), 10.0)
    guard = CONFIGURATION.stop_guard()
    fast = np.array([0.0, 0.0, 0.0, 0.5, 0.0])
    behind, ahead = objects((-1.5, 0, 0, 0, 0.1)), objects((0.4, 0, 0, 0, 0.1))
    assert can_stop(guard, EMPTY, fast, 0.0, AHEAD, AHEAD, behind)
    assert not can_stop(guard, wall, fast, 0.0, AHEAD, AHEAD, behind)
    assert not can_stop(guard, None, fast, 0.0, AHEAD, AHEAD, ahead)


@pytest.mark.parametrize(
    ("known", "now", "reason"),
    [
        (objects(), 10.4, ""),
        (objects((0, 0, 0, 0, 0.1), time=9.7), 10.0, ""),
        (None, 10.0, "no moving obstacles yet"),
        (objects(time=9.4), 10.0, "the moving obstacles are 0.60 s old"),
        (objects(time=10.7), 10.0, "the moving obstacles are -0.70 s old"),
        (objects(time=math.nan), 10.0, "the moving obstacles are nan s old"),
    ],
)
def test_with_old_moving_obstacles_or_none_it_does_not_drive(guard, known, now, reason):
    cause = STALE_MOVING_OBSTACLES if reason else ""
    assert guard.check(EMPTY, HERE, now, known) == (cause, reason)


def test_how_old_they_may_be_changes_while_it_drives_and_the_costmap_comes_first(guard):
    old = objects(time=9.3)
    assert guard.check(EMPTY, HERE, 10.0, old)[0] == STALE_MOVING_OBSTACLES
    guard.settings = CONFIGURATION.changed({"drive.max_moving_obstacles_age": 1.0}).drive_settings()
    assert guard.check(EMPTY, HERE, 10.0, old)[0] == ""
    assert guard.check(EMPTY, np.full(5, 9.0), 10.0, None)[0] == OUTSIDE_COSTMAP


def test_without_them_as_an_input_their_age_does_not_count():
    guard = configure(VALUES | {"obstacles.moving_obstacles": 0}).stop_guard()
    assert guard.check(EMPTY, HERE, 10.0) == ("", "")
