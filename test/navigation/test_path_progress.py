# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.navigation.path_progress import DETOUR, GENTLE, PathProgress
from cem_planner_ros.navigation.reference_path import ReferencePath

HALF = np.linspace(0.0, math.pi, 20)


def hairpin(leg, gap):
    """Two legs side by side, joined by a half circle."""
    turn = np.stack((leg + 0.5 * gap * np.sin(HALF), 0.5 * gap * (1.0 - np.cos(HALF))), -1)
    return ReferencePath.through(np.vstack(([[0.0, 0.0]], turn, [[0.0, gap]])))


def circles(*radii):
    """Whole circles from the origin, one after the other; negative radii turn right."""
    angle = np.linspace(0.0, 2.0 * math.pi, 40)
    rounds = [np.stack((r * np.sin(abs(angle)), r * (1.0 - np.cos(angle))), -1) for r in radii]
    return ReferencePath.through(np.vstack(rounds))


BACK_AND_FORTH = ReferencePath.through(
    np.array([[0.0, 0.0], [2.0, 0.0], [0.5, 0.0], [3.0, 0.0]]), headings=np.zeros(4)
)
paths = st.one_of(
    st.builds(hairpin, st.floats(0.3, 4.0), st.floats(0.1, 1.5)),
    st.builds(circles, st.floats(0.4, 2.0)),
    st.builds(lambda r: circles(r, -r), st.floats(0.4, 2.0)),
    st.just(BACK_AND_FORTH),
)


def follow(path, step, offset=0.0, seed=0):
    """The places of a robot that is driven along a path, up to an offset beside it."""
    random = np.random.default_rng(seed)
    progress, found = PathProgress(), []
    wanted = np.arange(0.0, path.lengths[-1] + step, step)
    for index, length in enumerate(wanted):
        point = path.at(length) + offset * random.uniform(-0.7, 0.7, 2)
        progress.update(path, point, 0.05 * index)
        found.append(progress.place)
    return progress, np.minimum(wanted, path.lengths[-1]), np.array(found)


@settings(max_examples=60)
@given(paths, st.floats(0.01, 0.06), st.integers(0, 99))
def test_a_robot_that_drives_along_a_path_has_its_place_there_to_the_end(path, step, seed):
    progress, wanted, found = follow(path, step, 0.04, seed)
    # Just before the end of a leg the place is found a little late, with noise across the path.
    assert np.abs(found - wanted).max() < 0.25
    assert progress.is_last_leg
    assert progress.left < 0.2


@settings(max_examples=60)
@given(paths, st.floats(0.0, 1.0))
def test_a_window_holds_the_place_and_each_of_its_points_once(path, share):
    progress = PathProgress()
    for index, length in enumerate(np.arange(0.0, share * path.lengths[-1], 0.05)):
        progress.update(path, path.at(length), 0.05 * index)
    progress.update(path, path.at(share * path.lengths[-1]), 100.0)
    low, high = progress.window(0.3, 3.0)
    assert low <= progress.place <= high
    assert high >= min(progress.place + 0.25, progress.leg[1]) - 1e-6
    lengths = np.linspace(low, high, 50)
    points = path.at(lengths)
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    along = np.abs(lengths[:, None] - lengths)
    assert (apart >= 0.5 * along - 0.2).all()


turns = st.lists(st.tuples(st.floats(0.02, 1.0), st.floats(-1.0, 1.0)), min_size=2, max_size=12)


@settings(max_examples=100)
@given(turns, st.floats(0.0, GENTLE - 0.05))
def test_a_part_that_turns_little_in_all_stays_away_from_itself(parts, most):
    spans, angles = np.array(parts).T
    angles *= min(1.0, most / max(np.abs(angles[1:]).sum(), 1e-9))
    steps = spans[:, None] * np.stack((np.cos(np.cumsum(angles)), np.sin(np.cumsum(angles))), -1)
    path = ReferencePath.through(np.vstack(([[0.0, 0.0]], np.cumsum(steps, 0))))
    end = path.lengths[-1]
    assert path.turning(0.0, end) == pytest.approx(np.abs(angles[1:]).sum(), abs=1e-6)
    points = path.at(np.linspace(0.0, end, 30))
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    along = np.abs(np.subtract.outer(np.linspace(0.0, end, 30), np.linspace(0.0, end, 30)))
    assert (apart >= along / DETOUR - 1e-6).all()


def test_beside_the_other_leg_of_a_hairpin_the_place_stays_on_its_own():
    path, progress = hairpin(3.0, 0.6), PathProgress()
    for index, x in enumerate(np.arange(0.0, 1.5, 0.05)):
        progress.update(path, np.array([x, 0.3 * x]), 0.05 * index)
    assert progress.place == pytest.approx(1.45, abs=0.02)


def test_a_new_path_is_begun_at_the_earlier_of_two_places():
    path, progress = circles(1.0), PathProgress()
    progress.update(path, np.array([0.0, 0.05]), 0.0)
    assert progress.place < 0.1
    other = ReferencePath.through(path.points + 3.0)
    progress.update(other, other.at(3.0), 0.05)
    assert progress.place == pytest.approx(3.0)


def test_a_robot_that_cannot_come_closer_to_the_end_of_a_leg_goes_on_after_a_while():
    progress, time = PathProgress(), 0.0
    for x in np.arange(0.0, 1.85, 0.05):
        progress.update(BACK_AND_FORTH, np.array([x, 0.0]), time)
        time += 0.05
    assert progress.leg == (0.0, 2.0)
    while progress.leg[0] == 0.0 and time < 10.0:
        progress.update(BACK_AND_FORTH, np.array([1.8, 0.0]), time)
        time += 0.05
    assert progress.leg == (2.0, 3.5)


def test_far_from_the_end_of_a_leg_no_time_is_long_enough():
    progress = PathProgress()
    for time in range(100):
        progress.update(BACK_AND_FORTH, np.array([1.5, 0.0]), float(time))
    assert progress.leg == (0.0, 2.0)


def test_a_point_that_is_not_finite_changes_nothing_and_no_path_has_nothing_left():
    progress = PathProgress()
    progress.update(BACK_AND_FORTH, np.array([1.0, 0.0]), 0.0)
    progress.update(BACK_AND_FORTH, np.array([math.nan, 0.0]), 0.1)
    assert progress.place == pytest.approx(1.0)
    progress.update(None, np.zeros(2), 0.2)
    assert progress.left == 0.0
    assert progress.is_last_leg
