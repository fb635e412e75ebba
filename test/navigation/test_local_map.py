# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The occupancy grid against a brute-force caster of rays among boxes and circles."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.navigation.local_map import FREE, MAX_MARGIN, OCCUPIED, UNKNOWN, LocalMap

BEAMS = 360
SCAN = {
    "angle_min": -math.pi,
    "angle_increment": math.tau / BEAMS,
    "range_min": 0.1,
    "range_max": 8.0,
}
CELL = 0.025


def cast(pose, circles, boxes, count=BEAMS):
    """Return the ranges (count,) from a pose; boxes are (x, y, half length, half width)."""
    x, y, yaw = pose
    angles = yaw + SCAN["angle_min"] + math.tau / count * np.arange(count)
    direction = np.stack((np.cos(angles), np.sin(angles)))
    ranges = np.full(count, np.inf)
    for cx, cy, radius in circles:
        along = direction[0] * (cx - x) + direction[1] * (cy - y)
        inside = radius**2 - (cx - x) ** 2 - (cy - y) ** 2 + along**2
        distance = along - np.sqrt(np.maximum(inside, 0.0))
        ranges = np.where((inside > 0.0) & (distance > 0.0), np.minimum(ranges, distance), ranges)
    for cx, cy, length, width in boxes:
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = (
                (np.array([[cx - x], [cy - y]]) + sign * np.array([[length], [width]])) / direction
                for sign in (-1.0, 1.0)
            )
        enter, leave = np.minimum(first, second).max(0), np.maximum(first, second).min(0)
        ranges = np.where((enter < leave) & (enter > 0.0), np.minimum(ranges, enter), ranges)
    return np.where(ranges > SCAN["range_max"], np.inf, ranges)


def clearance(points, circles, boxes):
    """Return how far points (..., 2) are from what stands, negative inside of it."""
    result = np.full(points.shape[:-1], np.inf)
    for x, y, radius in circles:
        result = np.minimum(result, np.hypot(points[..., 0] - x, points[..., 1] - y) - radius)
    for x, y, length, width in boxes:
        beyond = np.abs(points - (x, y)) - (length, width)
        outside = np.hypot(*np.moveaxis(np.maximum(beyond, 0.0), -1, 0))
        result = np.minimum(result, outside + np.minimum(beyond.max(-1), 0.0))
    return result


def ends(pose, ranges, beyond=0.0):
    """Return the points (B, 2) where the beams are `beyond` m behind their ends."""
    angles = pose[2] + SCAN["angle_min"] + math.tau / len(ranges) * np.arange(len(ranges))
    lengths = np.minimum(ranges, 9.0) + beyond
    return np.stack((np.cos(angles), np.sin(angles)), 1) * lengths[:, None] + pose[:2]


def cells_of(local_map, points):
    """Return rows and columns of points (n, 2), and which of them are inside."""
    columns, rows = np.floor((points - local_map.origin) / local_map.resolution + 1e-9).T
    inside = (np.minimum(columns, rows) >= 0) & (np.maximum(columns, rows) < local_map.size)
    return rows.astype(int), columns.astype(int), inside


def at(local_map, x, y):
    (row,), (column,), (inside,) = cells_of(local_map, np.array([(x, y)]))
    assert inside
    return local_map.cells[row, column]


def centres(local_map):
    steps = (np.arange(local_map.size) + 0.5) * local_map.resolution
    x, y = np.meshgrid(local_map.origin[0] + steps, local_map.origin[1] + steps)
    return np.stack((x, y), -1)


def is_occupied_nearby(local_map, points):
    """Return whether a cell at most one from each of the points (n, 2) inside is occupied."""
    rows, columns, inside = cells_of(local_map, points)
    padded, size = np.pad(local_map.cells == OCCUPIED, 1), local_map.size
    near = sum(padded[i : size + i, j : size + j] for i in range(3) for j in range(3)) > 0
    return near[rows[inside], columns[inside]]


place = st.floats(-2.4, 2.4)
circles_ = st.lists(st.tuples(place, place, st.floats(0.02, 0.5)), max_size=6)
boxes_ = st.lists(
    st.tuples(place, place, st.floats(0.05, 0.6), st.floats(0.05, 0.6)), min_size=1, max_size=6
)
yaw_ = st.floats(-7.0, 7.0)
rooms = st.sampled_from([[], [(3.0, 0.0, 0.5, 9.0)], [(-1.7, 0.0, 0.1, 2.0)]])


def stands_free(pose, circles, boxes):
    return clearance(np.array(pose[:2]), circles, boxes) > 0.15


@settings(max_examples=60)
@given(circles=circles_, boxes=boxes_, room=rooms, yaw=yaw_, x=place, y=place)
def test_what_a_scan_hits_is_occupied_and_what_it_saw_free_is_free(circles, boxes, room, yaw, x, y):
    pose, boxes = (10.0 * x, 10.0 * y, yaw), boxes + room
    circles = [(pose[0] + cx, pose[1] + cy, r) for cx, cy, r in circles]
    boxes = [(pose[0] + cx, pose[1] + cy, a, b) for cx, cy, a, b in boxes]
    if not stands_free(pose, circles, boxes):
        return
    ranges = cast(pose, circles, boxes)
    local_map = LocalMap()
    local_map.update(pose, ranges, **SCAN)
    cells = local_map.cells

    # What is hit is occupied within one cell, and nothing else is occupied.
    assert is_occupied_nearby(local_map, ends(pose, ranges)[np.isfinite(ranges)]).all()
    distance = np.abs(clearance(centres(local_map)[cells == OCCUPIED], circles, boxes))
    assert (distance <= 0.71 * CELL + 1e-6).all()

    # A cell is free if a beam crossed it, and all beams near it ended well behind.
    remaining = np.full(cells.shape, np.inf)
    length = np.minimum(ranges, SCAN["range_max"])
    for far in np.arange(0.0, 3.6, CELL / 4):
        rows, columns, inside = cells_of(local_map, ends(pose, np.full(BEAMS, far)))
        left = (length - far)[inside]
        np.minimum.at(remaining, (rows[inside], columns[inside]), left)
    crossed = np.isfinite(remaining)
    near = np.pad(remaining, 1, constant_values=np.inf)
    near = np.min([near[i : 200 + i, j : 200 + j] for i in range(3) for j in range(3)], axis=0)
    assert (cells[crossed & (near > MAX_MARGIN + 2 * CELL)] == FREE).all()

    # What is free may hold no more than what stands between two beams.
    middles = centres(local_map)
    spacing = SCAN["angle_increment"] * np.hypot(*(np.moveaxis(middles, -1, 0).T - pose[:2]).T)
    inner = clearance(middles, circles, boxes) < -np.maximum(CELL, spacing)
    assert (cells[inner] != FREE).all()

    # Nothing is known of what is behind.
    behind = np.max([np.roll(ranges, i) for i in range(-3, 4)], axis=0)
    for beyond in np.arange(2 * CELL, 1.0, CELL):
        rows, columns, inside = cells_of(local_map, ends(pose, behind, beyond))
        hidden = cells[rows[inside], columns[inside]]
        assert (hidden != FREE).all()


@settings(max_examples=30)
@given(
    circles=circles_,
    boxes=boxes_,
    poses=st.lists(st.tuples(place, place, yaw_), min_size=2, max_size=8),
)
def test_several_scans_leave_nothing_free_that_is_not(circles, boxes, poses):
    local_map = LocalMap()
    poses = [pose for pose in poses if stands_free(pose, circles, boxes)]
    for pose in poses:
        ranges = cast(pose, circles, boxes)
        local_map.update(pose, ranges, **SCAN)
        assert is_occupied_nearby(local_map, ends(pose, ranges)[np.isfinite(ranges)]).all()
    # Nothing thinner than what fits between two beams at the window's corner is missed.
    inner = clearance(centres(local_map), circles, boxes) < -(CELL + 3.6 * SCAN["angle_increment"])
    assert (local_map.cells[inner] != FREE).all()


@given(
    size=st.integers(8, 31),
    places=st.lists(st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0)), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
def test_rolling_forgets_only_what_leaves_the_window(size, places, seed):
    local_map = LocalMap(size, 0.1)
    local_map.cells[:] = np.random.default_rng(seed).choice([UNKNOWN, FREE, OCCUPIED], (size, size))
    known = {}

    def remember():
        left, bottom = (round(value / 0.1) for value in local_map.origin)
        return {
            (left + column, bottom + row): cell
            for (row, column), cell in np.ndenumerate(local_map.cells)
        }

    known = remember()
    for x, y in places:
        local_map.update((x, y, 0.0), np.full(4, np.nan), 0.0, math.pi / 2, 0.1, 8.0)
        now = remember()
        assert now == {cell: known.get(cell, UNKNOWN) for cell in now}
        known = now
        # The sensor is in the middle.
        middle = np.array(local_map.origin) + 0.1 * (size // 2)
        assert (np.array((x, y)) - middle >= -1e-9).all()
        assert (np.array((x, y)) - middle <= 0.1 + 1e-9).all()


def test_a_thin_pole_is_not_erased_by_the_beams_beside_it():
    pole, wall = [(2.0, 0.0, 0.012)], [(2.4, 0.0, 0.05, 2.0)]
    local_map = LocalMap()
    for _ in range(3):
        pose = (0.003, 0.001, 0.0)
        ranges = cast(pose, pole, wall)
        assert (ranges[175:186] < 2.1).sum() == 1
        local_map.update(pose, ranges, **SCAN)
        assert at(local_map, 1.99, 0.001) == OCCUPIED


@pytest.mark.parametrize(
    ("one", "other", "unknown", "occupied"),
    [
        (math.inf, math.inf, FREE, OCCUPIED),
        (math.inf, 1.0, UNKNOWN, OCCUPIED),
        (math.inf, math.nan, UNKNOWN, OCCUPIED),
    ],
)
def test_between_two_beams_only_what_is_unknown_becomes_free(one, other, unknown, occupied):
    """2.4 m away beams are 42 mm apart; the cell in the middle is crossed by none."""
    local_map = LocalMap()
    local_map.cells[100, 196] = OCCUPIED
    ranges = np.full(BEAMS, np.nan)
    ranges[179:181] = one, other
    local_map.update((0.0, 0.0125, math.radians(0.5)), ranges, **SCAN)
    assert local_map.cells[100, 195] == unknown
    assert local_map.cells[100, 196] == occupied


def test_an_obstacle_that_moved_away_is_cleared_when_it_is_seen_through():
    wall = [(2.0, 0.0, 0.05, 3.0)]
    local_map = LocalMap()
    local_map.update((0.0, 0.0, 0.1), cast((0.0, 0.0, 0.1), [(1.0, 0.3, 0.2)], wall), **SCAN)
    assert (local_map.cells[100:130, 130:145] == OCCUPIED).sum() > 10
    local_map.update((0.0, 0.0, 0.1), cast((0.0, 0.0, 0.1), [], wall), **SCAN)
    assert (local_map.cells[100:130, 130:145] == FREE).all()
    # Behind a wall nothing is seen through.
    local_map.cells[100, 190] = OCCUPIED
    local_map.update((0.0, 0.0, 0.1), cast((0.0, 0.0, 0.1), [], wall), **SCAN)
    assert local_map.cells[100, 190] == OCCUPIED


def test_a_wall_seen_at_a_flat_angle_keeps_what_was_seen_of_it_before():
    """Far beams cross many of its cells before they hit it."""
    wall, local_map = [(0.0, 0.5 + 0.068, 9.0, 0.05)], LocalMap()
    row = math.floor(0.518 / CELL)
    for step in range(40):
        pose = (0.05 * step, 0.0, 0.0)
        local_map.update(pose, cast(pose, [], wall), **SCAN)
    # From 1 m before where it began to where it is, the wall has no hole.
    first = math.floor(-0.5 / CELL) - round(local_map.origin[0] / CELL)
    last = math.floor(2.2 / CELL) - round(local_map.origin[0] / CELL)
    bottom = round(local_map.origin[1] / CELL)
    assert (local_map.cells[row - bottom, first:last] == OCCUPIED).all()


@pytest.mark.parametrize(
    ("value", "free_to"),
    [
        (math.nan, 0.0),
        (-math.inf, 0.0),
        (0.05, 0.0),
        (2.5, 0.0),  # beyond range_max
        (math.inf, 2.0),
        (1.5, 1.5),
    ],
)
def test_a_range_means_what_laser_scan_says(value, free_to):
    local_map = LocalMap()
    local_map.cells[100, 150] = OCCUPIED
    before = local_map.cells.copy()
    local_map.update((0.0, 0.0, 0.0), np.full(BEAMS, value), -math.pi, math.tau / BEAMS, 0.1, 2.0)
    distance = np.hypot(*np.moveaxis(centres(local_map), -1, 0))
    assert (local_map.cells[distance < free_to - 2 * CELL] == FREE).all()
    beyond = distance > free_to + (2 * CELL if free_to else -1.0)
    np.testing.assert_array_equal(local_map.cells[beyond], before[beyond])
    assert (local_map.cells == OCCUPIED).any() == (value == 1.5 or free_to == 0.0)


def test_a_sensor_that_turns_clockwise_sees_the_same():
    circles, boxes, pose = [(1.0, 0.5, 0.2)], [(-1.0, 0.3, 0.2, 0.4)], (0.013, -0.007, 0.4)
    ranges = cast(pose, circles, boxes)
    one, other = LocalMap(), LocalMap()
    one.update(pose, ranges, **SCAN)
    last = SCAN["angle_min"] + (BEAMS - 1) * SCAN["angle_increment"]
    clockwise = {"angle_min": last, "angle_increment": -SCAN["angle_increment"]}
    other.update(pose, ranges[::-1], **(SCAN | clockwise))
    assert (one.cells == other.cells).mean() > 0.9999


@pytest.mark.parametrize("count", [91, 181, 360, 361])
def test_only_the_sector_that_a_sensor_looks_at_is_touched(count):
    """Ahead by 180 degrees or less, or all around, with the last beam at the first one or not."""
    local_map = LocalMap()
    increment = math.radians(1.0)
    half = 0.5 * (count - 1) * increment
    local_map.update((0.0, 0.0, 0.5), np.full(count, 1.0), -half, increment, 0.1, 8.0)
    middles = centres(local_map)
    bearing = np.arctan2(middles[..., 1], middles[..., 0]) - 0.5
    bearing = np.abs(np.arctan2(np.sin(bearing), np.cos(bearing)))
    distance = np.hypot(middles[..., 0], middles[..., 1])
    inside = (bearing < half - 0.05) & (distance < 0.95) & (distance > 0.05)
    assert (local_map.cells[inside] == FREE).all()
    outside = (bearing > half + 0.05) & (distance > 1.1 if half > 3.0 else distance > 0.5)
    assert (local_map.cells[outside] == UNKNOWN).all()
    if half > 3.0:
        assert (local_map.cells[(distance < 0.95)] == FREE).all()


@pytest.mark.parametrize(
    ("pose", "ranges", "increment"),
    [
        ((math.nan, 0.0, 0.0), [1.0, 1.0], 0.1),
        ((0.0, 0.0, math.inf), [1.0, 1.0], 0.1),
        ((0.0, 0.0, 0.0), [], 0.1),
        ((0.0, 0.0, 0.0), [1.0, 1.0], 0.0),
    ],
)
def test_a_scan_that_cannot_be_used_is_refused_and_changes_nothing(pose, ranges, increment):
    local_map = LocalMap()
    with pytest.raises(ValueError, match="the scan has no beams"):
        local_map.update(pose, np.array(ranges), 0.0, increment, 0.1, 8.0)
    assert (local_map.cells == UNKNOWN).all()
    assert local_map.origin == (-2.5, -2.5)
