"""What a robot that drives must not do: drive aimlessly, blindly, or into what it can see."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.configuration import configure
from cem_planner_ros.control.tick import (
    GOAL_REACHED,
    NO_GOAL,
    OUTSIDE_COSTMAP,
    STALE_COSTMAP,
    StateSample,
)
from cem_planner_ros.navigation.driving import Driving
from cem_planner_ros.navigation.surroundings import Costmap, Pose, ReferencePath, Surroundings

VALUES = {
    "planner.device": "cpu",
    "control_rate": 20.0,
    "dynamics.plugin": "diff_drive_lag",
    "dynamics.lag": 0.1,
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["obstacles", "way", "end"],
    "obstacles.plugin": "obstacles",
    "obstacles.footprint": "0.22 0.20  0.22 -0.20  -0.22 -0.20  -0.22 0.20",
    "way.plugin": "path_follow",
    "end.plugin": "goal_pose",
}
REST, AHEAD = np.zeros(2), np.array([0.5, 0.0])
RESOLUTION = 0.02
FRONT = 0.22


def driving(**changes):
    return Driving(configure(VALUES | {name.replace("__", "."): v for name, v in changes.items()}))


def costmap(*boxes, time=10.0, size=4.0):
    """A map around the origin; boxes are x and y of two corners, m."""
    cells = np.zeros((round(size / RESOLUTION),) * 2, np.int8)
    for x0, y0, x1, y1 in boxes:
        low_x, low_y, high_x, high_y = (
            round((value + size / 2) / RESOLUTION) for value in (x0, y0, x1, y1)
        )
        cells[low_y:high_y, low_x:high_x] = 100
    return Costmap(cells, RESOLUTION, Pose(-size / 2, -size / 2, 0.0), time)


GOAL = Pose(1.0, 0.0, 0.0)
WAY = ReferencePath.through(np.array([[0.0, 0.0], [1.0, 0.0]]))
HERE = StateSample(np.zeros(5), 10.0)
THERE = StateSample(np.array([1.02, -0.03, 0.1, 0.05, 0.0]), 10.0)
FREE = Surroundings(GOAL, WAY, costmap())


def cause(robot, sample=HERE, now=10.0, before=REST, **changes):
    robot.surroundings = dataclasses.replace(FREE, **changes)
    return robot.refuses(sample, before, now)[0]


ROBOT = driving()


@pytest.fixture
def robot():
    ROBOT.reached = None
    ROBOT.surroundings = FREE
    return ROBOT


def test_it_drives_to_a_goal_and_along_a_path_but_not_without_both(robot):
    assert cause(robot) == cause(robot, path=None) == cause(robot, goal=None) == ""
    assert cause(robot, goal=None, path=None) == NO_GOAL


@pytest.mark.parametrize(
    ("costs", "known", "text"),
    [(["obstacles", "way"], "goal", "no path"), (["obstacles", "end"], "path", "no goal")],
)
def test_what_no_cost_looks_at_is_nothing_to_drive_to(costs, known, text):
    names = [f"{name}." for name in VALUES["costs"] if name not in costs]
    values = {name: v for name, v in VALUES.items() if not name.startswith(tuple(names))}
    robot = Driving(configure(values | {"costs": costs}))
    robot.surroundings = Surroundings(**{known: getattr(FREE, known)}, costmap=costmap())
    assert robot.refuses(HERE, REST, 10.0) == (NO_GOAL, text)


def test_a_goal_stays_reached_until_there_is_another_one(robot):
    assert cause(robot, THERE) == GOAL_REACHED
    assert cause(robot) == GOAL_REACHED
    assert cause(robot, goal=Pose(1.0, 1.0, 0.0)) == ""


@pytest.mark.parametrize(
    "state",
    [
        [1.11, 0.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, 0.3, 0.0, 0.0],
        [1.0, 0.0, 0.0, -0.2, 0.0],
    ],
)
def test_beside_the_goal_turned_off_or_passing_by_it_is_not_reached(robot, state):
    assert cause(robot, StateSample(np.array(state), 10.0)) == ""


def test_it_knows_how_long_it_stands_where_it_should_drive(robot):
    moving = StateSample(np.array([0.0, 0.0, 0.0, 0.3, 0.0]), 10.0)
    assert cause(robot, moving, now=10.0) == ""
    assert robot.standing == 0.0
    cause(robot, HERE, now=10.5)
    cause(robot, HERE, now=16.0)
    assert robot.standing == 6.0
    cause(robot, HERE, now=17.0, goal=None, path=None)
    assert robot.standing == 0.0


def test_a_heading_is_the_same_after_a_full_turn(robot):
    state = THERE.state + [0.0, 0.0, 2.0 * math.pi, 0.0, 0.0]
    assert cause(robot, StateSample(state, 10.0)) == GOAL_REACHED


def test_the_speed_of_a_robot_that_does_not_measure_it_is_the_command():
    values = {name: v for name, v in VALUES.items() if name != "dynamics.lag"}
    robot = Driving(configure(values | {"dynamics.plugin": "diff_drive"}))
    there = StateSample(THERE.state[:3], 10.0)
    assert cause(robot, there, before=np.array([0.2, 0.0])) == ""
    assert cause(robot, there) == GOAL_REACHED


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"costmap": None}, STALE_COSTMAP),
        ({"now": 10.6}, STALE_COSTMAP),
        ({"now": 10.4}, ""),
        ({"now": 9.0}, STALE_COSTMAP),
        ({"costmap": costmap(time=math.nan)}, STALE_COSTMAP),
        ({"sample": StateSample(np.array([2.1, 0.0, 0.0, 0.0, 0.0]), 10.0)}, OUTSIDE_COSTMAP),
        ({"sample": StateSample(np.full(5, math.nan), 10.0)}, OUTSIDE_COSTMAP),
        ({"costmap": Costmap(np.zeros((0, 0), np.int8), 0.1, GOAL, 10.0)}, OUTSIDE_COSTMAP),
    ],
)
def test_it_does_not_drive_blindly(robot, changes, expected):
    assert cause(robot, **changes) == expected


def test_values_changed_while_it_drives_count(robot):
    changed = driving()
    configuration = configure(VALUES)
    assert cause(changed, now=10.6) == STALE_COSTMAP
    changed.use(configuration.changed({"drive.max_costmap_age": 1.0}))
    assert cause(changed, now=10.6) == ""


def braked(state, commands, lag=0.1, limits=(1.0, 4.0)):
    """The states (n, 5) of a robot under (command, duration), as of `diff_drive_lag`."""
    dt = 0.005
    x, y, yaw, *speeds = state
    way = [(x, y, yaw, *speeds)]
    for command, duration in commands:
        for _ in range(math.ceil(duration / dt)):
            v, rate = speeds
            for i, limit in enumerate(limits):
                change = min(max((command[i] - speeds[i]) / lag, -limit), limit)
                speeds[i] += dt * change
            # Between the old and the new speeds.
            v, rate = 0.5 * (v + speeds[0]), 0.5 * (rate + speeds[1])
            middle = yaw + 0.5 * dt * rate
            x, y = x + dt * v * math.cos(middle), y + dt * v * math.sin(middle)
            yaw += dt * rate
            way.append((x, y, yaw, *speeds))
    return np.array(way)


def least_clearance(footprint, way, boxes):
    """The least distance, m, from discs on a way to boxes, below zero within."""
    discs = footprint.discs_at(*way[::4, :3].T).reshape(-1, 1, 2)
    boxes = np.array(boxes)
    outside = np.maximum(np.maximum(boxes[:, :2] - discs, discs - boxes[:, 2:]), 0.0)
    return np.linalg.norm(outside, axis=2).min() - footprint.radius


REACTION = 0.1
"""The default of drive.reaction: so long it may take until a command has an effect."""


@pytest.mark.parametrize("v", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("before", [0.0, 0.25, 0.5])
def test_before_a_wall_it_says_in_time_that_it_could_not_stop(robot, v, before):
    sample = StateSample(np.array([0.0, 0.0, 0.0, v, 0.0]), 9.97)
    command = np.array([0.5, 0.0])
    way = braked(
        sample.state,
        [((before, 0.0), 0.03 + REACTION), (command, 0.05), (REST, 1.5)],
    )
    needs = FRONT + way[-1, 0]
    for distance in np.arange(0.26, 1.0, RESOLUTION):
        robot.surroundings = Surroundings(costmap=costmap((distance, -0.5, distance + 0.1, 0.5)))
        can = robot.can_stop(sample, np.array([before, 0.0]), command, 10.0)
        if distance < needs:
            assert not can, (distance, needs)
        # A map is exact to 0.7 of a cell; the lag of the motors is not known; discs stick out.
        if distance > needs + 0.1:
            assert can, (distance, needs)


boxes = st.tuples(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9)).map(
    lambda corner: [round(value / RESOLUTION) * RESOLUTION for value in corner]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(boxes, min_size=1, max_size=4),
    st.tuples(st.floats(-0.35, 0.5), st.floats(-1.9, 1.9)),
    st.tuples(st.floats(-0.35, 0.5), st.floats(-1.9, 1.9)),
    st.tuples(st.floats(-0.35, 0.5), st.floats(-1.9, 1.9)),
    st.floats(-3.2, 3.2),
    st.floats(0.0, 0.06),
)
def test_where_it_could_stop_braking_touches_nothing(corners, speeds, before, action, yaw, age):
    sample = StateSample(np.array([0.0, 0.0, yaw, *speeds]), 10.0 - age)
    obstacles = [(x, y, x + 0.1, y + 0.1) for x, y in corners]
    if least_clearance(ROBOT.footprint, np.array([[0.0, 0.0, yaw]]), obstacles) < RESOLUTION:
        return
    ROBOT.surroundings = Surroundings(costmap=costmap(*obstacles, size=2.2))
    if ROBOT.can_stop(sample, np.array(before), np.array(action), 10.0):
        commands = [(before, age + REACTION), (action, 0.05), (REST, 1.5)]
        way = braked(sample.state, commands)
        assert least_clearance(ROBOT.footprint, way, obstacles) > -RESOLUTION


@pytest.mark.parametrize(
    ("turned", "command", "is_towards"),
    [(0.0, [0.3, 0.0], True), (0.0, [-0.3, 0.0], False), (math.pi, [-0.3, 0.0], True)],
)
def test_it_stops_for_what_is_where_it_goes_and_not_for_what_is_behind(
    robot, turned, command, is_towards
):
    robot.surroundings = Surroundings(costmap=costmap((0.28, -0.5, 0.4, 0.5)))
    command = np.array(command)
    sample = StateSample(np.array([0.0, 0.0, turned, *command]), 10.0)
    assert robot.can_stop(sample, command, command, 10.0) is not is_towards


def test_sideways_it_looks_sideways():
    fields = {f"state.fields.{name}": f"data[{i}]" for i, name in enumerate(("x", "y", "yaw"))}
    robot = driving(dynamics__plugin="omni_drive", **fields)
    robot.surroundings = Surroundings(costmap=costmap((-0.5, 0.28, 0.5, 0.4)))
    for command, can in (([0.0, 0.4, 0.0], False), ([0.0, -0.4, 0.0], True), ([0.4, 0, 0], True)):
        command = np.array(command)
        sample = StateSample(np.array([0.0, 0.0, 0.0, *command]), 10.0)
        assert robot.can_stop(sample, command, command, 10.0) is can
    # Turned to the right, its left is where there is room.
    command = np.array([0.0, 0.4, 0.0])
    sample = StateSample(np.array([0.0, 0.0, -math.pi / 2, *command]), 10.0)
    assert robot.can_stop(sample, command, command, 10.0)


def test_a_command_is_made_as_small_as_it_has_to_be_or_refused(robot):
    sample = StateSample(np.zeros(5), 10.0)
    command = np.array([0.5, 0.0])
    shares = []
    for distance in (1.0, *np.arange(0.34, 0.22, -RESOLUTION)):
        robot.surroundings = Surroundings(costmap=costmap((distance, -0.5, distance + 0.1, 0.5)))
        bounded = robot.bounded(sample, REST, command, REST, 10.0)
        shares.append(0.0 if bounded is None else bounded[0] / 0.5)
        assert robot.is_imminent == (bounded is None)
    assert shares[0] == 1.0
    assert shares[-1] == 0.0
    assert shares == sorted(shares, reverse=True)


def test_out_of_a_place_that_is_too_narrow_it_may_drive_but_not_further_into_it(robot):
    # The walls on both sides are where its corners are, and there is one ahead.
    walls = [(-0.4, 0.18, 0.4, 0.3), (-0.4, -0.3, 0.4, -0.18), (0.2, -0.3, 0.3, 0.3)]
    robot.surroundings = Surroundings(costmap=costmap(*walls))
    ahead, back = np.array([0.3, 0.0]), np.array([-0.3, 0.0])
    assert robot.bounded(HERE, REST, ahead, REST, 10.0) is None
    np.testing.assert_array_equal(robot.bounded(HERE, REST, back, REST, 10.0), back)


def test_to_touch_something_on_one_side_excuses_nothing_on_another(robot):
    beside, ahead = (0.0, 0.19, 0.04, 0.23), (0.26, -0.1, 0.3, 0.0)
    slow = np.array([0.15, 0.0])
    sample = StateSample(np.array([0.0, 0.0, 0.0, *slow]), 10.0)
    robot.surroundings = Surroundings(costmap=costmap(beside))
    assert robot.can_stop(sample, slow, slow, 10.0)
    robot.surroundings = Surroundings(costmap=costmap(beside, ahead))
    assert not robot.can_stop(sample, slow, slow, 10.0)


def pushed(robot, periods):
    """The states (5,) after each period in which it is told to drive ahead, from rest."""
    states, before = [np.zeros(5)], REST
    for _ in range(periods):
        bounded = robot.bounded(StateSample(states[-1], 10.0), before, AHEAD, REST, 10.0)
        before = REST if bounded is None else bounded
        states.append(braked(states[-1], [(before, 0.05)])[-1])
    return states[1:]


@pytest.mark.parametrize("slope", [0.15, 0.4, 1.0])
def test_however_long_it_is_told_to_it_does_not_creep_into_a_wall(robot, slope):
    resolution = 0.05
    rows, columns = np.mgrid[:80, :80] * resolution - 2.0
    cells = np.where(rows > 0.45 - slope * columns, 100, 0).astype(np.int8)
    wall = Costmap(cells, resolution, Pose(-2.0, -2.0, 0.0), 10.0)
    robot.surroundings = Surroundings(costmap=wall)
    states = pushed(robot, 120)
    least = min(wall.clearance(robot.footprint.discs_at(*s[:3, None])).min() for s in states)
    assert least - robot.footprint.radius > -0.01
    assert states[-1][0] > 0.05


@pytest.mark.parametrize("overlap", [0.02, 0.06, 0.1, 0.16])
def test_however_deep_it_is_in_a_wall_it_presses_no_further(robot, overlap):
    start = FRONT - overlap
    robot.surroundings = Surroundings(costmap=costmap((start, -1.0, start + 1.5, 1.0)))
    state = pushed(robot, 100)[-1]
    assert state[0] < 0.03
    assert robot.bounded(StateSample(state, 10.0), REST, -AHEAD, REST, 10.0) is not None


def test_a_deep_contact_on_one_side_excuses_no_shallow_one_ahead(robot):
    beside, ahead = (-0.05, 0.1, 0.05, 0.3), (0.2, -0.5, 0.5, -0.1)
    robot.surroundings = Surroundings(costmap=costmap(beside, ahead))
    assert pushed(robot, 60)[-1][0] < 0.03


def test_a_command_to_reverse_brakes_no_harder_than_the_robot_surely_does():
    robot = driving(drive__acceleration=3.0, drive__deceleration=0.3)
    robot.surroundings = Surroundings(costmap=costmap((0.6, -1.0, 0.8, 1.0)))
    sample, back = StateSample(np.array([0.0, 0.0, 0.0, 0.5, 0.0]), 10.0), np.array([-0.6, 0.0])
    assert not robot.can_stop(sample, AHEAD, REST, 10.0)
    assert not robot.can_stop(sample, back, back, 10.0)


def test_a_command_is_made_smaller_towards_the_safe_one(robot):
    safe = np.array([-0.1, 0.0])
    sample = StateSample(np.array([0.0, 0.0, 0.0, 0.3, 0.0]), 10.0)
    shares = set()
    for wall in np.arange(0.3, 0.45, RESOLUTION):
        robot.surroundings = Surroundings(costmap=costmap((wall, -0.5, wall + 0.1, 0.5)))
        bounded = robot.bounded(sample, AHEAD, AHEAD, safe, 10.0)
        if bounded is not None:
            shares.add(round((bounded[0] - safe[0]) / (AHEAD[0] - safe[0]), 9))
    assert shares <= {1.0, 0.75, 0.5, 0.25}
    assert len(shares) > 1
