# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""No robot drives blindly, or into what its costmap shows."""

import math

import numpy as np
import pytest
from guards import can_stop
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.configuration import configure
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.planar_robot import PlanarRobot
from cem_planner_ros.navigation.poses import Pose, placed
from cem_planner_ros.navigation.stop_guard import OUTSIDE_COSTMAP, STALE_COSTMAP, StopGuard

VALUES = {
    "planner.device": "cpu",
    "control_rate": 20.0,
    "dynamics.plugin": "diff_drive_lag",
    "dynamics.lag": 0.1,
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["obstacles"],
    "obstacles.plugin": "obstacles",
    "obstacles.footprint": "0.22 0.20  0.22 -0.20  -0.22 -0.20  -0.22 0.20",
}
REST, AHEAD = np.zeros(2), np.array([0.5, 0.0])
RESOLUTION = 0.02
FRONT = 0.22
CORNERS = [(0.22, 0.20), (0.22, -0.20), (-0.22, -0.20), (-0.22, 0.20)]


CONFIGURATION = configure(VALUES)
CAR = configure(VALUES | {"dynamics.plugin": "ackermann_drive"})


def make_guard(**changes):
    values = {name.replace("__", "."): value for name, value in changes.items()}
    return configure(VALUES | values).stop_guard()


@pytest.fixture
def guard():
    return CONFIGURATION.stop_guard()


def costmap(*boxes, time=10.0, size=4.0):
    """A map around the origin; boxes are x and y of two corners, m."""
    cells = np.zeros((round(size / RESOLUTION),) * 2, np.int8)
    for x0, y0, x1, y1 in boxes:
        low_x, low_y, high_x, high_y = (
            round((value + size / 2) / RESOLUTION) for value in (x0, y0, x1, y1)
        )
        cells[low_y:high_y, low_x:high_x] = 100
    return Costmap(cells, RESOLUTION, Pose(-size / 2, -size / 2, 0.0), time)


HERE = np.zeros(5)


@pytest.mark.parametrize(
    ("known", "state", "now", "expected"),
    [
        (None, HERE, 10.0, STALE_COSTMAP),
        (costmap(), HERE, 10.0, ""),
        (costmap(), HERE, 10.6, STALE_COSTMAP),
        (costmap(), HERE, 10.4, ""),
        (costmap(), HERE, 9.0, STALE_COSTMAP),
        (costmap(time=math.nan), HERE, 10.0, STALE_COSTMAP),
        (costmap(), np.array([2.1, 0.0, 0.0, 0.0, 0.0]), 10.0, OUTSIDE_COSTMAP),
        (costmap(), np.full(5, math.nan), 10.0, OUTSIDE_COSTMAP),
        (Costmap(np.zeros((0, 0), np.int8), 0.1, Pose(0, 0, 0), 10.0), HERE, 10.0, OUTSIDE_COSTMAP),
    ],
)
def test_a_robot_does_not_drive_blindly(guard, known, state, now, expected):
    assert guard.check(known, state, now)[0] == expected


def test_values_changed_while_it_drives_count():
    changed = CONFIGURATION.stop_guard()
    assert changed.check(costmap(), HERE, 10.6)[0] == STALE_COSTMAP
    changed.settings = CONFIGURATION.changed({"drive.max_costmap_age": 1.0}).drive_settings()
    assert changed.check(costmap(), HERE, 10.6)[0] == ""


def test_the_robot_keeps_clear_with_the_footprint_that_it_has_now(guard):
    """Something was folded out, and then in again."""
    known, fast = costmap((0.5, -1.0, 0.6, 1.0)), np.array([0.0, 0.0, 0.0, 0.3, 0.0])
    assert can_stop(guard, known, fast, 0.0, 0.6 * AHEAD, 0.6 * AHEAD)
    guard.use(Footprint.around(np.array([(0.45, 0.2), (0.45, -0.2), (-0.2, -0.2), (-0.2, 0.2)]), 9))
    assert not can_stop(guard, known, fast, 0.0, 0.6 * AHEAD, 0.6 * AHEAD)
    guard.use(None)
    assert can_stop(guard, known, fast, 0.0, 0.6 * AHEAD, 0.6 * AHEAD)


def test_what_a_larger_footprint_touches_from_the_beginning_is_not_pushed_further(guard):
    known = costmap((0.4, -1.0, 0.5, 1.0))
    long = Footprint.around(np.array([(0.45, 0.2), (0.45, -0.2), (-0.22, -0.2), (-0.22, 0.2)]), 24)
    guard.use(long)
    assert not can_stop(guard, known, HERE, 0.0, REST, 0.2 * AHEAD)
    assert can_stop(guard, known, HERE, 0.0, REST, -0.2 * AHEAD)
    assert can_stop(guard, known, HERE, 0.0, REST, REST)


def clipped(polygon, axis, bound, sign):
    """The part of a polygon, a list of points, where sign * (coordinate - bound) >= 0."""
    part = []
    for a, b in zip([polygon[-1], *polygon[:-1]], polygon, strict=True):
        a_off, b_off = sign * (a[axis] - bound), sign * (b[axis] - bound)
        if (a_off < 0.0) != (b_off < 0.0):
            share = a_off / (a_off - b_off)
            part.append(tuple(p + share * (q - p) for p, q in zip(a, b, strict=True)))
        if b_off >= 0.0:
            part.append(b)
    return part


def covered(known, corners, pose):
    """The area, m^2, that a polygon of corners in a pose has in common with occupied cells."""
    x, y, yaw = pose
    cos, sin = math.cos(yaw), math.sin(yaw)
    polygon = [(x + cos * u - sin * v, y + sin * u + cos * v) for u, v in corners]
    side, origin, total = known.resolution, (known.origin.x, known.origin.y), 0.0
    (left, right), (low, high) = (
        [int((end(p[axis] for p in polygon) - origin[axis]) / side) for end in (min, max)]
        for axis in (0, 1)
    )
    near = known.cells[max(low, 0) : high + 1, max(left, 0) : right + 1] == 100
    for row, column in zip(*np.nonzero(near), strict=True):
        part = polygon
        for axis, index in ((0, column + max(left, 0)), (1, row + max(low, 0))):
            for bound, sign in ((index, 1), (index + 1, -1)):
                part = part and clipped(part, axis, origin[axis] + bound * side, sign)
        pairs = zip(part, [*part[1:], *part[:1]], strict=True)
        total += 0.5 * abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs))
    return total


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
    discs = placed(footprint.centers, way[::4, :3])[..., None, :]
    boxes = np.array(boxes)
    outside = np.maximum(np.maximum(boxes[:, :2] - discs, discs - boxes[:, 2:]), 0.0)
    return (np.linalg.norm(outside, axis=-1).min(-1) - footprint.radii).min()


REACTION = 0.1
"""The default of drive.reaction: so long it may take until a command has an effect."""


@pytest.mark.parametrize("v", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("before", [0.0, 0.25, 0.5])
def test_before_a_wall_it_says_in_time_that_it_could_not_stop(guard, v, before):
    sample = np.array([0.0, 0.0, 0.0, v, 0.0])
    command = np.array([0.5, 0.0])
    way = braked(
        sample,
        [((before, 0.0), 0.03 + REACTION), (command, 0.05), (REST, 1.5)],
    )
    needs = FRONT + way[-1, 0]
    for distance in np.arange(0.26, 1.0, RESOLUTION):
        known = costmap((distance, -0.5, distance + 0.1, 0.5))
        can = can_stop(guard, known, sample, 0.03, np.array([before, 0.0]), command)
        if distance < needs:
            assert not can, (distance, needs)
        # A cell counts as the disc around it; the lag of the motors is not known.
        if distance > needs + 0.1:
            assert can, (distance, needs)


boxes = st.tuples(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9)).map(
    lambda corner: [round(value / RESOLUTION) * RESOLUTION for value in corner]
)


@settings(max_examples=150)
@given(
    st.lists(boxes, min_size=1, max_size=4),
    st.tuples(st.floats(-0.35, 0.5), st.floats(-1.9, 1.9)),
    st.tuples(st.floats(-0.35, 0.5), st.floats(-1.9, 1.9)),
    st.tuples(st.floats(-0.35, 0.5), st.floats(-1.9, 1.9)),
    st.floats(-3.2, 3.2),
    st.floats(0.0, 0.06),
)
def test_where_it_could_stop_braking_touches_nothing(corners, speeds, before, action, yaw, age):
    sample = np.array([0.0, 0.0, yaw, *speeds])
    obstacles = [(x, y, x + 0.1, y + 0.1) for x, y in corners]
    known, guard = costmap(*obstacles, size=2.2), CONFIGURATION.stop_guard()
    is_near = least_clearance(guard.footprint, sample[None, :3], obstacles) < RESOLUTION
    if is_near or covered(known, CORNERS, sample[:3]):
        return
    if can_stop(guard, known, sample, age, np.array(before), np.array(action)):
        commands = [(before, age + REACTION), (action, 0.05), (REST, 1.5)]
        way = braked(sample, commands)
        assert least_clearance(CONFIGURATION.footprint, way, obstacles) > -RESOLUTION


@pytest.mark.parametrize(
    ("turned", "command", "is_towards"),
    [(0.0, [0.3, 0.0], True), (0.0, [-0.3, 0.0], False), (math.pi, [-0.3, 0.0], True)],
)
def test_it_stops_for_what_is_where_it_goes_and_not_for_what_is_behind(
    guard, turned, command, is_towards
):
    known = costmap((0.28, -0.5, 0.4, 0.5))
    command = np.array(command)
    sample = np.array([0.0, 0.0, turned, *command])
    assert can_stop(guard, known, sample, 0.0, command, command) is not is_towards


def test_sideways_it_looks_sideways():
    fields = {f"state.fields.{name}": f"data[{i}]" for i, name in enumerate(("x", "y", "yaw"))}
    guard = make_guard(dynamics__plugin="omni_drive", **fields)
    known = costmap((-0.5, 0.28, 0.5, 0.4))
    for command, can in (([0.0, 0.4, 0.0], False), ([0.0, -0.4, 0.0], True), ([0.4, 0, 0], True)):
        command = np.array(command)
        sample = np.array([0.0, 0.0, 0.0, *command])
        assert can_stop(guard, known, sample, 0.0, command, command) is can
    # Turned to the right, its left is where there is room.
    command = np.array([0.0, 0.4, 0.0])
    sample = np.array([0.0, 0.0, -math.pi / 2, *command])
    assert can_stop(guard, known, sample, 0.0, command, command)


def test_a_command_is_made_as_small_as_it_has_to_be_or_refused(guard):
    sample = np.zeros(5)
    command = np.array([0.5, 0.0])
    shares = []
    for distance in (1.0, *np.arange(0.34, 0.22, -RESOLUTION)):
        known = costmap((distance, -0.5, distance + 0.1, 0.5))
        bounded = guard.bounded(known, sample, 0.0, REST, command, REST)
        shares.append(0.0 if bounded is None else bounded[0] / 0.5)
        assert guard.is_imminent == (bounded is None)
    assert shares[0] == 1.0
    assert shares[-1] == 0.0
    assert shares == sorted(shares, reverse=True)


def test_out_of_a_place_that_is_too_narrow_it_may_drive_but_not_further_into_it(guard):
    # The walls on both sides are where its corners are, and there is one ahead.
    walls = [(-0.4, 0.18, 0.4, 0.3), (-0.4, -0.3, 0.4, -0.18), (0.2, -0.3, 0.3, 0.3)]
    known = costmap(*walls)
    ahead, back = np.array([0.3, 0.0]), np.array([-0.3, 0.0])
    assert guard.bounded(known, HERE, 0.0, REST, ahead, REST) is None
    np.testing.assert_array_equal(guard.bounded(known, HERE, 0.0, REST, back, REST), back)


def test_to_touch_something_on_one_side_excuses_nothing_on_another(guard):
    beside, ahead = (0.0, 0.19, 0.04, 0.23), (0.26, -0.1, 0.3, 0.0)
    slow = np.array([0.15, 0.0])
    sample = np.array([0.0, 0.0, 0.0, *slow])
    known = costmap(beside)
    assert can_stop(guard, known, sample, 0.0, slow, slow)
    known = costmap(beside, ahead)
    assert not can_stop(guard, known, sample, 0.0, slow, slow)


def pushed(guard, known, periods):
    """The states (5,) after each period in which it is told to drive ahead, from rest."""
    states, before = [np.zeros(5)], REST
    for _ in range(periods):
        bounded = guard.bounded(known, states[-1], 0.0, before, AHEAD, REST)
        before = REST if bounded is None else bounded
        states.append(braked(states[-1], [(before, 0.05)])[-1])
    return states[1:]


@pytest.mark.parametrize("slope", [0.15, 0.4, 1.0])
def test_however_long_it_is_told_to_it_does_not_creep_into_a_wall(guard, slope):
    resolution = 0.05
    rows, columns = np.mgrid[:80, :80] * resolution - 2.0
    cells = np.where(rows > 0.45 - slope * columns, 100, 0).astype(np.int8)
    wall = Costmap(cells, resolution, Pose(-2.0, -2.0, 0.0), 10.0)
    states = pushed(guard, wall, 120)
    assert max(covered(wall, CORNERS, state[:3]) for state in states) == 0.0
    assert states[-1][0] > 0.02


@pytest.mark.parametrize("overlap", [0.02, 0.06, 0.1, 0.16])
def test_however_deep_it_is_in_a_wall_it_presses_no_further(guard, overlap):
    start = FRONT - overlap
    known = costmap((start, -1.0, start + 1.5, 1.0))
    state = pushed(guard, known, 100)[-1]
    assert state[0] < 0.03
    assert guard.bounded(known, state, 0.0, REST, -AHEAD, REST) is not None


def test_a_deep_contact_on_one_side_excuses_no_shallow_one_ahead(guard):
    beside, ahead = (-0.05, 0.1, 0.05, 0.3), (0.2, -0.5, 0.5, -0.1)
    known = costmap(beside, ahead)
    assert pushed(guard, known, 60)[-1][0] < 0.03


def test_a_command_to_reverse_brakes_no_harder_than_the_robot_surely_does():
    guard = make_guard(drive__acceleration=3.0, drive__deceleration=0.3)
    known = costmap((0.6, -1.0, 0.8, 1.0))
    sample, back = np.array([0.0, 0.0, 0.0, 0.5, 0.0]), np.array([-0.6, 0.0])
    assert not can_stop(guard, known, sample, 0.0, AHEAD, REST)
    assert not can_stop(guard, known, sample, 0.0, back, back)


def test_a_command_is_made_smaller_towards_the_safe_one(guard):
    safe = np.array([-0.1, 0.0])
    sample = np.array([0.0, 0.0, 0.0, 0.3, 0.0])
    shares = set()
    for wall in np.arange(0.3, 0.45, RESOLUTION):
        known = costmap((wall, -0.5, wall + 0.1, 0.5))
        bounded = guard.bounded(known, sample, 0.0, AHEAD, AHEAD, safe)
        if bounded is not None:
            shares.add(round((bounded[0] - safe[0]) / (AHEAD[0] - safe[0]), 9))
    assert shares <= {1.0, 0.75, 0.5, 0.25}
    assert len(shares) > 1


def test_what_is_inside_the_footprint_counts_and_not_only_what_is_at_its_border(guard):
    """A thin pole that the map shows within the robot: it may leave, and go no deeper."""
    known = costmap((0.14, -0.02, 0.16, 0.0))
    assert guard.bounded(known, HERE, 0.0, REST, AHEAD, REST) is None
    assert guard.bounded(known, HERE, 0.0, REST, -AHEAD, REST) is not None


def test_a_robot_in_contact_may_drive_along_a_wall_and_away_from_it(guard):
    state, before = np.zeros(5), REST
    known = costmap((-2.0, 0.18, 2.0, 0.5))
    for _ in range(200):
        before = guard.bounded(known, state, 0.0, before, AHEAD, REST)
        before = REST if before is None else before
        state = braked(state, [(before, 0.05)])[-1]
    assert state[0] > 0.5
    assert covered(known, CORNERS, state[:3]) < covered(known, CORNERS, np.zeros(3)) + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("wish", [0.5, 0.04])
@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_half_a_minute_of_pushing_brings_it_no_nearer_to_a_wall_than_the_margin(wish, margin):
    guard, state, before = make_guard(drive__margin=margin), np.zeros(5), REST
    known = costmap((0.6, -2.0, 0.8, 2.0))
    for _ in range(600):
        before = guard.bounded(known, state, 0.0, before, np.array([wish, 0.0]), REST)
        before = REST if before is None else before
        state = braked(state, [(before, 0.05)])[-1]
    assert state[0] + FRONT < 0.6 - margin
    assert state[0] + FRONT > 0.6 - margin - RESOLUTION


class Push:
    """A robot of random outline among random obstacles, with wishes that change at random."""

    def __init__(self, seed, starts_free):
        random = self.random = np.random.default_rng(seed)
        count = random.integers(3, 9)
        around = (np.arange(count) + random.uniform(-0.3, 0.3, count)) * math.tau / count
        away = random.uniform(0.12, 0.5, count)
        self.corners = np.stack((away * np.cos(around), away * np.sin(around)), 1).tolist()
        outline = " ".join(f"{x:.9f} {y:.9f}" for x, y in self.corners)
        self.omni = bool(random.random() < 0.5)
        plugin, count = ("omni_drive", 6) if self.omni else ("diff_drive_lag", 5)
        self.guard = make_guard(
            obstacles__footprint=outline,
            dynamics__plugin=plugin,
            drive__margin=float(random.choice([0.0, 0.05])),
        )
        self.state = np.zeros(count)
        side = float(random.choice([0.02, 0.05, 0.1]))
        size = round(4.0 / side)
        cells = np.zeros((size, size), np.int8)
        for _ in range(random.integers(0, 5)):
            (row, column), (rows, columns) = (random.integers(1, n, 2) for n in (size, size // 4))
            cells[row : row + rows, column : column + columns] = 100
        poles = random.integers(1, 30)
        cells[random.integers(0, size, poles), random.integers(0, size, poles)] = 100
        self.known = Costmap(cells, side, Pose(-2.0, -2.0, 0.0), 10.0)
        while (self.covered() == 0.0) != starts_free:
            self.state[:3] = random.uniform((-1.5, -1.5, -3.0), (1.5, 1.5, 3.0))

    def covered(self):
        """How many cells the robot covers."""
        return covered(self.known, self.corners, self.state[:3]) / self.known.resolution**2

    def drive(self, seconds):
        """How many cells it covers at most, and how many m it drives."""
        speeds = self.state[3:]
        rest, top = np.zeros(len(speeds)), np.array([0.5, 0.5, 1.9] if self.omni else [0.5, 1.9])
        limits, lag = 2.0 * top, self.random.uniform(0.01, 0.1)
        before = wish = rest
        most, way = 0.0, 0.0
        for period in range(round(20 * seconds)):
            if self.random.random() < 0.04:
                wish = self.random.uniform(-top, top) * self.random.choice([1.0, 0.3, 0.05])
            sent = self.guard.bounded(self.known, self.state, 0.0, before, wish, rest)
            before = rest if sent is None else sent
            for _ in range(5):
                change = np.clip((before - speeds) / lag, -limits, limits)
                speeds += 0.005 * change
                forward, left = (speeds[0], speeds[1]) if self.omni else (speeds[0], 0.0)
                cos, sin = np.cos(self.state[2]), np.sin(self.state[2])
                self.state[:3] += 0.01 * np.array(
                    (cos * forward - sin * left, sin * forward + cos * left, speeds[-1])
                )
                speeds += 0.005 * change
                way += 0.01 * math.hypot(forward, left)
            if period % 10 == 0:
                most = max(most, self.covered())
        return most, way


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_wished_for_a_minute_nothing_is_ever_touched(seed):
    most, way = Push(seed, starts_free=True).drive(60.0)
    assert most == 0.0
    assert way > 0.1


@pytest.mark.parametrize("seed", range(100, 104))
def test_where_something_is_touched_already_it_gets_no_worse(seed):
    push = Push(seed, starts_free=False)
    before = push.covered()
    assert push.drive(20.0)[0] <= before + 0.3


@settings(max_examples=30)
@given(st.floats(-0.7, 0.7), st.floats(-0.7, 0.7), st.floats(0.5, 3.0))
def test_a_car_that_brakes_on_a_curve_turns_no_tighter_than_it_can(forward, turning, radius):
    guard = CAR.changed({"dynamics.turning_radius": radius}).stop_guard()
    turning = float(np.clip(turning, -abs(forward) / radius, abs(forward) / radius))
    state, action = np.array([0.0, 0.0, 0.0, forward, turning]), np.array([forward, turning])
    can_stop(guard, costmap(), state, 0.0, action, action)
    steps = np.diff(guard.stopping, axis=0)
    assert (np.abs(steps[:, 2]) <= np.hypot(steps[:, 0], steps[:, 1]) / radius + 1e-6).all()


STEERED = configure(
    {name: value for name, value in VALUES.items() if name != "dynamics.lag"}
    | {"dynamics.plugin": "ackermann", "dynamics.wheel_base": 0.4}
)
"""A car whose actions are speed and steering angle."""


def steered_guard():
    """The guard of such a car whose speed is measured too."""
    names = ("x", "y", "yaw", "v"), ("v", "steering"), ("v",), (), ("yaw_rate",), ("steering",)
    return StopGuard(PlanarRobot(*names), STEERED.footprint, STEERED.drive_settings())


def steered(state, commands, wheel_base=0.4):
    """The poses (n, 3) of a car under (speed, steering angle, duration); it brakes with 0.8."""
    dt, (x, y, yaw, v) = 0.002, state
    way = [(x, y, yaw)]
    for command, angle, duration in commands:
        for _ in range(round(duration / dt)):
            most = dt * (1.0 if abs(command) > abs(v) else 0.8)
            v += min(max(command - v, -most), most)
            yaw += dt * v * math.tan(angle) / wheel_base
            x, y = x + dt * v * math.cos(yaw), y + dt * v * math.sin(yaw)
            way.append((x, y, yaw))
    return np.array(way)


speeds_and_angles = st.tuples(st.floats(-0.7, 0.7), st.floats(-0.5, 0.5))


@settings(max_examples=100)
@given(
    st.lists(boxes, min_size=1, max_size=4),
    st.floats(-0.7, 0.7),
    speeds_and_angles,
    speeds_and_angles,
    st.floats(-3.2, 3.2),
    st.floats(0.0, 0.06),
)
def test_where_a_car_with_a_steering_angle_could_stop_braking_touches_nothing(
    corners, v, before, action, yaw, age
):
    obstacles = [(x, y, x + 0.1, y + 0.1) for x, y in corners]
    known, guard, state = costmap(*obstacles, size=2.2), steered_guard(), (0.0, 0.0, yaw, v)
    is_near = least_clearance(guard.footprint, np.array([state]), obstacles) < RESOLUTION
    if is_near or covered(known, CORNERS, state[:3]):
        return
    if can_stop(guard, known, np.array(state), age, np.array(before), np.array(action)):
        way = steered(state, [(*before, age + REACTION), (*action, 0.05), (0.0, 0.0, 1.2)])
        assert least_clearance(guard.footprint, way, obstacles) > -RESOLUTION


@settings(max_examples=50)
@given(st.floats(-0.7, 0.7), st.floats(0.0, 1.0), *(3 * [st.floats(-0.5, 0.5)]))
def test_the_way_of_a_car_with_a_steering_angle_is_predicted(v, share, angle, other, last):
    """It brakes with the steering angle of the safe command."""
    guard, state = steered_guard(), (0.0, 0.0, 0.3, v)
    before, action, safe = (v, angle), (share * v, other), (0.0, last)
    arguments = np.array(state), 0.02, np.array(before), np.array(action), np.array(safe)
    guard.bounded(costmap(), *arguments)
    way = steered(state, [(*before, 0.02 + REACTION), (*action, 0.05), (*safe, 1.2)])
    np.testing.assert_allclose(guard.stopping[-1], way[-1], atol=0.005)


def test_a_car_that_steers_into_a_wall_beside_it_is_stopped_and_one_that_steers_away_is_not():
    wall = costmap((-1.0, 0.24, 1.0, 0.34))
    ahead, left, right = (np.array([0.5, angle]) for angle in (0.0, 0.5, -0.1))
    for guard, state in (
        (steered_guard(), np.array([0.0, 0.0, 0.0, 0.5])),
        (STEERED.stop_guard(), np.zeros(3)),
    ):
        assert can_stop(guard, wall, state, 0.0, ahead, ahead)
        assert can_stop(guard, wall, state, 0.0, ahead, right)
        assert not can_stop(guard, wall, state, 0.0, left, left)


@pytest.mark.parametrize("seed", range(3))
def test_a_car_that_steers_at_random_for_a_minute_touches_nothing(seed):
    random, guard = np.random.default_rng(seed), steered_guard()
    walls = (-1.9, -1.9, 1.9, -1.8), (-1.9, 1.8, 1.9, 1.9), (-1.9, -1.9, -1.8, 1.9)
    poles = ((x, y, x + 0.1, y + 0.1) for x, y in ((0.6, -0.2), (-0.7, 0.4), (0.0, 0.8)))
    known = costmap(*walls, (1.8, -1.9, 1.9, 1.9), *poles)
    pose, before, wish, way = np.zeros(4), REST, REST, 0.0
    for period in range(1200):
        if random.random() < 0.05:
            wish = random.uniform((-0.7, -0.5), (0.7, 0.5))
        sent = guard.bounded(known, pose, 0.0, before, wish, REST)
        before = REST if sent is None else sent
        for _ in range(5):
            pose[3] += min(max(before[0] - pose[3], -0.01), 0.01)
            driven = 0.01 * pose[3]
            pose[2] += driven * math.tan(before[1]) / 0.4
            pose[:2] += driven * np.array([math.cos(pose[2]), math.sin(pose[2])])
            way += abs(driven)
        if period % 5 == 0:
            assert covered(known, CORNERS, pose[:3]) == 0.0
    assert way > 1.0
