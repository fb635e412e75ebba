# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.path_follow import PathFollow
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.dynamics.pendulum import Pendulum
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings

STRAIGHT = ReferencePath.through(np.array([[0.0, 0.0], [10.0, 0.0]]))


def follow(path=STRAIGHT, here=(0.0, 0.0, 0.0), time=0.0, **values):
    cost = PathFollow(DiffDrive(), values)
    prepare(cost, path, here, time)
    return cost


def prepare(cost, path, here, time=0.0):
    cost.prepare(np.array(here, float), time, Surroundings(path=path))


def price(cost, *states, after=10.0):
    states = torch.tensor(np.array(states), dtype=torch.float32).T
    actions = torch.zeros(2, states.shape[1])
    return cost.stage(states, actions, actions, torch.tensor(after)).numpy()


def test_each_m_along_the_path_costs_less_than_the_one_before():
    x = np.arange(0.0, 3.0, 0.05)
    paid = price(follow(), *((value, 0.0, 0.0) for value in x))
    np.testing.assert_allclose(np.diff(paid), -1.5 * 0.05, atol=1e-4)


def test_beside_the_path_and_turned_from_it_costs_more_on_both_sides_alike():
    on, left, right, far = price(
        follow(), (1.0, 0.0, 0.0), (1.0, 0.3, 0.0), (1.0, -0.3, 0.0), (1.0, 0.6, 0.0)
    )
    assert on < left < far
    assert left == pytest.approx(right)
    ahead, turned, back = price(
        follow(), (1.0, 0.0, 2.0 * math.pi), (1.0, 0.0, 0.5), (1.0, 0.0, math.pi)
    )
    assert ahead == pytest.approx(on)
    assert on < turned < back


def test_states_may_each_have_a_time_of_their_own():
    path = ReferencePath.through(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 3.0]]), np.arange(3.0))
    cost = follow(path, time_weight=1.0)
    states = [(0.1, 0.0, 0.0), (0.5, 0.2, 0.1), (2.5, -0.2, 0.4), (3.0, 1.0, 1.5)]
    times = (0.1, 0.5, 1.0, 2.0)
    together = price(cost, *states, after=times)
    alone = [price(cost, state, after=time)[0] for state, time in zip(states, times, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_a_path_may_lie_in_any_direction():
    turn = np.exp(1j * 2.4)
    along = np.array([0.0, 10.0]) * turn + (3.0 - 2.0j)
    path = ReferencePath.through(np.stack((along.real, along.imag), -1))
    place = (1.0 + 0.3j) * turn + (3.0 - 2.0j)
    start = (3.0, -2.0, 2.4)
    paid = price(follow(path, start), (place.real, place.imag, 2.4 + 0.2))
    np.testing.assert_allclose(paid, price(follow(), (1.0, 0.3, 0.2)), rtol=1e-4)


def test_at_the_end_of_the_path_it_is_best_and_beyond_it_is_worse():
    cost = follow(here=(9.5, 0.0, 0.0))
    paid = price(cost, *((x, 0.0, 0.0) for x in (9.5, 9.8, 10.0, 10.3, 11.0, 12.0)))
    assert paid.argmin() == 2
    assert paid[2] == pytest.approx(0.0, abs=1e-5)
    assert (np.diff(paid[2:]) > 0.01).all()


def test_before_the_beginning_each_step_towards_it_costs_less():
    cost = follow(here=(-4.0, 0.0, 0.0))
    paid = price(cost, *((x, 0.0, 0.0) for x in (-4.0, -3.0, -2.0, -1.0, 0.0)))
    assert (np.diff(paid) < -0.01).all()


def test_beyond_the_window_nothing_costs_while_the_path_goes_on():
    cost = follow(here=(2.0, 0.0, 0.0))
    np.testing.assert_allclose(price(cost, (5.0, 0.0, 0.0), (6.5, 0.0, 0.0)), 0.0, atol=1e-5)


def test_around_a_corner_the_path_is_the_best_way():
    corner = ReferencePath.through(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 3.0]]))
    cost = follow(corner)
    on = price(cost, (0.5, 0.0, 0.0), (1.0, 0.5, math.pi / 2), (1.0, 1.5, math.pi / 2))
    off = price(cost, (0.5, 0.4, 0.0), (1.4, 0.5, math.pi / 2), (0.6, 1.5, math.pi / 2))
    assert (np.diff(on) < 0.0).all()
    assert (off > on).all()
    # On the outside of the corner the distance counts, and not only a part of it.
    cost = follow(corner, progress_weight=0.0, heading_weight=0.0, tolerance=1e-3)
    near, far = price(cost, (1.3, -0.3, 0.0), (1.6, -0.6, 0.0))
    assert far == pytest.approx(2.0 * near, rel=0.1)


def test_where_a_path_crosses_itself_the_robot_goes_on_as_it_came():
    loop = ReferencePath.through(
        np.array([[-4.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, -4.0]])
    )
    cost = PathFollow(DiffDrive())
    for x in np.arange(-4.0, 1.0, 0.1):
        prepare(cost, loop, (x, 0.0, 0.0))
    assert cost.progress.place == pytest.approx(4.9)
    ahead, aside = price(cost, (1.5, 0.0, 0.0), (0.0, -1.5, -math.pi / 2))
    assert ahead < aside


def test_a_path_that_ends_where_it_begins_is_driven_from_the_beginning():
    round_trip = ReferencePath.through(
        np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]])
    )
    cost = follow(round_trip, (-0.05, 0.1, 0.0))
    assert cost.progress.place < 0.1
    still, ahead = price(cost, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    assert ahead < still
    for x, y in [(4, 0), (4, 4), (0, 4), (0, 0.05)]:
        last = round_trip.at(cost.progress.place)
        for share in np.linspace(0.0, 1.0, 40):
            prepare(cost, round_trip, (*((1 - share) * last + share * np.array([x, y])), 0.0))
    assert cost.progress.place == pytest.approx(15.95)
    # The next run begins at the beginning, near which this one has ended.
    cost.reset()
    prepare(cost, round_trip, (0.0, 0.05, 0.0))
    assert cost.progress.place < 0.1


def test_a_robot_that_was_carried_away_finds_its_place_again():
    cost = follow()
    prepare(cost, STRAIGHT, (8.0, 0.2, 0.0))
    assert cost.progress.place == pytest.approx(8.0)


def test_a_state_that_is_not_finite_is_invalid_and_leaves_the_place_as_it_is():
    cost = follow(here=(2.0, 0.0, 0.0))
    prepare(cost, STRAIGHT, (math.nan, 0.0, 0.0))
    assert cost.progress.place == pytest.approx(2.0)
    prepare(cost, STRAIGHT, (2.2, 0.0, 0.0))
    assert cost.progress.place == pytest.approx(2.2)
    nan, good = price(cost, (math.nan, 0.0, 0.0), (2.5, 0.0, 0.0))
    assert math.isnan(nan)
    assert math.isfinite(good)


def test_a_path_shorter_than_the_window_ends_where_it_ends():
    short = ReferencePath.through(np.array([[0.0, 0.0], [0.05, 0.0]]))
    paid = price(follow(short), (0.0, 0.0, 0.0), (0.05, 0.0, 0.0), (0.5, 0.0, 0.0))
    assert paid.argmin() == 1
    at_end = follow(short, (0.05, 0.0, 0.0))
    assert price(at_end, (0.05, 0.0, 0.0)) == pytest.approx(0.0, abs=1e-5)


def test_without_a_path_nothing_costs_also_when_there_was_one():
    cost = follow()
    assert price(cost, (0.0, 1.0, 0.0)) > 0.0
    cost.prepare(np.zeros(3), 0.0, NOTHING)
    assert not price(cost, (0.0, 1.0, 0.0)).any()


def test_on_a_path_with_times_it_is_best_to_be_on_time():
    timed = ReferencePath.through(np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]]), [10.0, 12.0, 14])
    cost = follow(timed, time=10.0, progress_weight=0.0, time_weight=1.0)
    cost.set_bounds((-2.0, -2.0), (2.0, 2.0))  # The path is faster than the model's own bounds.
    x = np.arange(0.0, 3.0, 0.05)
    for after, wanted in ((0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (3.0, 2.5)):
        paid = price(cost, *((value, 0.0, 0.0) for value in x), after=after)
        assert x[paid.argmin()] == pytest.approx(wanted, abs=0.11)
    # The robot that comes late has its place behind.
    late = follow(timed, (0.5, 0.0, 0.0), 12.0, progress_weight=0.0, time_weight=1.0)
    late.set_bounds((-2.0, -2.0), (2.0, 2.0))
    paid = price(late, *((value, 0.0, 0.0) for value in x), after=0.5)
    assert x[paid.argmin()] == pytest.approx(1.75, abs=0.06)


def test_values_changed_while_it_drives_count():
    cost = follow()
    before = price(cost, (1.0, 0.5, 0.0))
    cost.set("clear_lateral_weight", 8.0)
    assert price(cost, (1.0, 0.5, 0.0)) > before + 2.0


def test_what_does_not_go_together_is_refused_with_the_reason():
    with pytest.raises(ConfigurationError, match="needs the state 'x', the model has: theta"):
        PathFollow(Pendulum())
    with pytest.raises(ConfigurationError, match="no parameter 'weight', it has: lateral_weight"):
        PathFollow(DiffDrive(), {"weight": 1.0})


def test_a_path_whose_frame_was_corrected_is_still_the_same():
    """Where a loop ends at its beginning, the place would be lost, and it be driven anew."""
    points = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]])
    loop, moved = (ReferencePath.through(points + [0.0, y]) for y in (0.0, 0.03))
    cost = follow(loop, (0.0, 0.0, 0.0))
    for place in np.arange(0.0, 15.9, 0.2):
        prepare(cost, loop, (*loop.at(place), 0.0))
    assert cost.progress.place > 15.0
    prepare(cost, moved, (*moved.at(15.85), 0.0))
    assert cost.progress.place > 15.0
    prepare(cost, ReferencePath.through(points[::-1]), (0.0, 0.15, 0.0))
    assert cost.progress.place < 1.0


def test_where_the_poses_are_turned_back_to_front_the_robot_drives_backwards():
    cost = follow(ReferencePath.through(STRAIGHT.points, headings=[math.pi, math.pi]))
    forwards, backwards = price(cost, (1.0, 0.0, 0.0), (1.0, 0.0, math.pi))
    assert backwards < forwards


def test_the_other_leg_of_a_hairpin_is_no_place_to_be_before_the_robot_can_be_there():
    hairpin = ReferencePath.through(
        np.array([[0.0, 0.0], [1.0, 0.0], [1.2, 0.2], [1.2, 0.4], [1.0, 0.6], [0.0, 0.6]])
    )
    cost = follow(hairpin, (0.5, 0.0, 0.0))
    along, across = price(cost, (0.75, 0.0, 0.0), (0.9, 0.6, math.pi), after=0.5)
    assert along < across


def test_a_path_that_reverses_is_driven_to_the_cusp_before_the_rest_counts():
    cusp = ReferencePath.through(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 0.1]]), headings=[0.0] * 3)
    cost = follow(cusp)
    for x in np.arange(0.0, 1.5, 0.1):
        prepare(cost, cusp, (x, 0.0, 0.0))
    paid = price(cost, (1.5, 0.0, 0.0), (2.0, 0.0, 0.0), (2.5, 0.0, 0.0))
    assert paid.argmin() == 1
    for x in np.arange(1.5, 2.0, 0.1):
        prepare(cost, cusp, (x, 0.0, 0.0))
    prepare(cost, cusp, (1.97, 0.0, 0.0))
    back, still = price(cost, (1.0, 0.05, 0.0), (2.0, 0.0, 0.0))
    assert back < still


def test_on_a_path_that_is_clear_of_obstacles_the_distance_counts_more():
    cells = np.zeros((100, 200), np.int8)
    free = Costmap(cells, 0.1, Pose(-5.0, -5.0, 0.0), 0.0)
    cells = cells.copy()
    cells[50:53, 65] = 100  # At x = 1.5 m, on the path and to its left.
    blocked = Costmap(cells, 0.1, Pose(-5.0, -5.0, 0.0), 0.0)
    cost, aside = PathFollow(DiffDrive()), (1.0, 0.3, 0.0)
    paid = []
    for costmap in (None, free, blocked):
        cost.prepare(np.zeros(3), 0.0, Surroundings(path=STRAIGHT, costmap=costmap))
        paid.append(price(cost, aside) - price(cost, (1.0, 0.0, 0.0)))
    assert paid[0] == paid[1] > 2.0 * paid[2]
