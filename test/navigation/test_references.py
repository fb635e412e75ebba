# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""References over time: interpolation, ends, and one after the other."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from cem_planner_ros import fields
from cem_planner_ros.navigation.reference_messages import reference_reader
from cem_planner_ros.navigation.references import Reference, ReferenceSource

SOURCE = ReferenceSource(
    "topic",
    "trajectory_msgs/msg/JointTrajectory",
    {"x": "position[x]", "yaw": "position[yaw]", "x_dot": "velocity[x]"},
    velocities=(False, False, True),
    angles=(False, True, False),
)


def trajectory(times, values):
    return Reference(SOURCE, np.array(times, float), np.array(values, float), is_trajectory=True)


def test_it_is_interpolated_and_angles_take_the_short_way_round():
    one = trajectory([10.0, 11.0, 13.0], [[0.0, 3.0, 1.0], [2.0, -3.0, 3.0], [2.0, -2.0, 0.0]])
    x, yaw, speed = one.at([10.0, 10.5, 11.0, 12.0])
    np.testing.assert_allclose(x, [0.0, 1.0, 2.0, 2.0])
    np.testing.assert_allclose(speed, [1.0, 2.0, 3.0, 1.5])
    expected = [3.0, 0.5 * (3.0 + 2 * np.pi - 3.0), 2 * np.pi - 3.0, -2.5]
    np.testing.assert_allclose(np.exp(1j * yaw), np.exp(1j * np.array(expected)))


def test_before_and_after_its_points_hold_and_velocities_become_zero_when_it_has_ended():
    one = trajectory([10.0, 11.0], [[1.0, 0.0, 5.0], [2.0, 0.0, 5.0]])
    x, _, speed = one.at([8.0, 10.0, 11.0, 11.5, 99.0])
    np.testing.assert_allclose(x, [1.0, 1.0, 2.0, 2.0, 2.0])
    np.testing.assert_allclose(speed, [5.0, 5.0, 5.0, 0.0, 0.0])


def test_a_set_point_holds_at_all_times():
    one = Reference(SOURCE, np.array([10.0]), np.array([[1.0, 0.5, 2.0]]))
    np.testing.assert_allclose(one.at([0.0, 10.0, 99.0]), [[1.0] * 3, [0.5] * 3, [2.0] * 3])


def test_quaternions_turn_evenly_whatever_their_signs_and_lengths():
    turns = Rotation.from_rotvec([[0.1, 0.2, 0.3], [1.5, -0.4, 0.2], [1.5, -0.4, 0.2]])
    x, y, z, w = turns.as_quat().T
    values = np.stack((w, x, y, z), 1) * np.array([[1.0], [-2.0], [1.0]])
    source = ReferenceSource(
        "topic",
        "nav_msgs/msg/Path",
        {name: name for name in ("qw", "qx", "qy", "qz")},
        velocities=(False,) * 4,
        angles=(False,) * 4,
        quaternions=((0, 1, 2, 3),),
    )
    times = np.array([0.0, 0.3, 1.0, 1.7, 2.0])
    found = Reference(source, np.arange(3.0), values, is_trajectory=True).at(times)
    expected = Slerp(np.arange(3.0), turns)(times)
    got = Rotation.from_quat(found[[1, 2, 3, 0]].T)
    assert (got.inv() * expected).magnitude().max() < 1e-6
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), 1.0)


def test_the_way_to_a_later_first_point_begins_at_what_was_in_force():
    earlier = trajectory([0.0, 10.0], [[0.0, 0.0, 1.0], [10.0, 0.0, 1.0]])
    new = trajectory([6.0, 7.0], [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]).after(earlier, 4.0, 4.0)
    np.testing.assert_allclose(new.at([4.0, 5.0, 6.0, 7.0])[0], [4.0, 2.0, 0.0, 1.0])


def test_until_a_trajectory_begins_the_earlier_one_stays_in_force():
    earlier = trajectory([0.0, 5.0, 10.0], [[0.0, 0.0, 1.0], [5.0, 0.0, 1.0], [5.0, 0.0, 0.0]])
    new = trajectory([6.0, 7.0], [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]).after(earlier, 6.0, 4.0)
    x = new.at([4.0, 4.5, 5.0, 5.9, 6.0, 7.0])[0]
    np.testing.assert_allclose(x, [4.0, 4.5, 5.0, 5.0, 0.0, 1.0], atol=1e-3)


def test_a_trajectory_that_has_begun_replaces_the_earlier_one_at_once():
    earlier = trajectory([0.0, 5.0], [[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    new = trajectory([3.0, 7.0], [[8.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    assert new.after(earlier, 3.0, 4.0) is new


@pytest.mark.parametrize("begin", [4.0, 5.0])
def test_what_was_held_is_where_the_first_trajectory_begins(begin):
    new = trajectory([6.0, 7.0], [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]]).after(None, begin, 4.0)
    held = np.array([8.0, np.nan, 0.0])
    x, yaw, _ = new.at([4.0, begin, 6.0, 7.0], held)
    np.testing.assert_allclose(x, [8.0, 8.0, 0.0, 1.0])
    np.testing.assert_allclose(yaw, 1.0)
    np.testing.assert_allclose(new.at([4.0, 6.5])[0], [0.0, 0.5])


def test_before_its_first_point_a_trajectory_that_began_at_what_was_held_is_replaced_from_there():
    held = np.zeros(3)
    first = trajectory([5.0, 6.0], [[10.0, 0.0, 0.0], [12.0, 0.0, 0.0]]).after(None, 0.0, 0.0)
    again = trajectory([5.1, 6.0], [[10.0, 0.0, 0.0], [12.0, 0.0, 0.0]]).after(first, 0.1, 0.1)
    np.testing.assert_allclose(again.at([0.1, 2.6, 5.1], held)[0], [0.0, 5.0, 10.0])
    soon = trajectory([1.0, 2.0], [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]).after(first, 1.0, 0.1)
    np.testing.assert_allclose(soon.at([0.1, 0.9, 1.0, 2.0], held)[0], [0.0, 0.0, 1.0, 2.0])
    later = trajectory([8.0, 9.0], [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]).after(first, 8.0, 1.0)
    np.testing.assert_allclose(later.at([1.0, 3.0, 5.0, 6.0, 8.0], held)[0], [0, 5, 10, 12, 1])


def test_before_its_first_point_a_trajectory_that_began_at_what_was_held_stops_at_nothing():
    one = trajectory([5.0, 6.0], [[10.0, 0.0, 0.0], [12.0, 0.0, 0.0]]).after(None, 0.0, 0.0)
    assert one.stopped(4.9) is None
    np.testing.assert_allclose(one.stopped(5.5).at([5.5])[0], 11.0)


def test_stopped_it_stays_where_it_is():
    one = trajectory([0.0, 10.0], [[0.0, 0.0, 1.0], [10.0, 0.0, 1.0]])
    np.testing.assert_allclose(
        one.stopped(3.0).at([3.0, 9.0]), [[3.0, 3.0], [0.0, 0.0], [0.0, 0.0]]
    )


def test_a_set_point_of_a_new_message_type_needs_two_rows(monkeypatch):
    """As docs/architecture.md has it."""
    kind = "geometry_msgs/msg/AccelStamped"
    monkeypatch.setitem(fields.REFERENCE_TYPES, kind, fields.TWIST)
    monkeypatch.setitem(fields.PARTS, kind, {"linear": "accel.linear"})
    source = ReferenceSource("wanted", kind, {"x": "linear.y"}, (True,), (False,), ())
    stamp, vector = SimpleNamespace(sec=5, nanosec=0), SimpleNamespace(x=0.0, y=2.0, z=0.0)
    header = SimpleNamespace(stamp=stamp, frame_id="")
    message = SimpleNamespace(header=header, accel=SimpleNamespace(linear=vector))
    received = reference_reader(source)(message)
    assert received.stamp == 5.0
    np.testing.assert_array_equal(received.values(None), [[2.0]])
