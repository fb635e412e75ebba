# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Which moving obstacles are known after which messages."""

import array
import math
import sys
import types

import numpy as np
import pytest
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import PointCloud2, PointField
from standin_node import StandInNode

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.paths import share
from cem_planner_ros.readers import quaternion
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.moving_obstacles_input import moving_obstacles_message
from cem_planner_ros.ros.surroundings_input import SurroundingsInput

VALUES = load_yaml(share("config") / "drive.yaml") | {"planner.device": "cpu"}
CONFIGURATION = configure(VALUES | {"obstacles.moving_obstacles": 3})
NAMES = ("x", "y", "vx", "vy", "radius")
ONE = (2.0, 1.0, 0.5, -1.0, 0.3)


class Bench:
    """The clock of the loop says 50 s, that of the stamps `ros_time`."""

    def __init__(self, configuration=CONFIGURATION):
        self.node = StandInNode()
        self.ros_time = 1050.0
        self.input = SurroundingsInput(
            self.node,
            configuration,
            Frames(self.node, "odom"),
            lambda: 50.0,
            lambda: self.ros_time,
            lambda surroundings: None,
            lambda time: ("base_link", None),
        )

    def send(self, message):
        self.node.take["/moving_obstacles"](message)

    @property
    def known(self):
        return self.input.known.moving_obstacles

    @property
    def problem(self):
        return self.input.problems.get("moving_obstacles", "")


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.input.destroy()


def cloud(*rows, names=NAMES, kind="<f4", frame="odom", stamp=1050.0, padding=0, height=1):
    """A cloud with a point for each row, and some bytes after each point and each line of them."""
    offsets = [4 + index * np.dtype(kind).itemsize for index in range(len(names))]
    step = offsets[-1] + np.dtype(kind).itemsize + padding
    layout = np.dtype(
        {
            "names": list(names),
            "formats": [kind] * len(names),
            "offsets": offsets,
            "itemsize": step,
        }
    )
    points = np.zeros(len(rows), layout)
    for name, column in zip(names, np.array(rows).T, strict=True) if rows else ():
        points[name] = column
    lines = points.view(np.uint8).reshape(height, -1) if rows else np.zeros((height, 0), np.uint8)
    lines = np.hstack((lines, np.full((height, padding), 255, np.uint8)))
    number = {"f4": PointField.FLOAT32, "f8": PointField.FLOAT64, "i2": PointField.INT16}[kind[1:]]
    message = PointCloud2(
        height=height,
        width=len(rows) // height,
        fields=[
            PointField(name=name, offset=offset, datatype=number, count=1)
            for name, offset in zip(names, offsets, strict=True)
        ],
        is_bigendian=kind[0] == ">",
        point_step=step,
        row_step=lines.shape[1],
        data=array.array("B", lines.tobytes()),
    )
    message.header.frame_id = frame
    message.header.stamp.sec = int(stamp)
    message.header.stamp.nanosec = round(1e9 * (stamp % 1.0))
    return message


def facts(known):
    return np.column_stack((known.positions, known.velocities, known.radii))


@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("height", [1, 2])
def test_a_point_is_an_obstacle_however_it_is_laid_out(bench, kind, padding, height):
    rows = [ONE, (-1.0, 0.25, 0.0, 0.0, 0.0)]
    bench.send(cloud(*rows, kind=kind, padding=padding, height=height))
    np.testing.assert_allclose(facts(bench.known), rows, rtol=1e-6)
    assert (bench.known.time, bench.known.stamp) == (50.0, 1050.0)
    assert not bench.input.problems


def test_fields_may_stand_in_any_order_with_others_between_them(bench):
    names = ("radius", "z", "vy", "y", "intensity", "x", "vx")
    bench.send(cloud((0.3, 9.0, -1.0, 1.0, 9.0, 2.0, 0.5), names=names))
    np.testing.assert_allclose(facts(bench.known), [ONE], rtol=1e-6)


def test_whole_numbers_are_numbers(bench):
    bench.send(cloud((2, -1, 0, 1, 3), kind="<i2"))
    np.testing.assert_array_equal(facts(bench.known), [(2, -1, 0, 1, 3)])


def test_what_the_simulator_writes_is_read(bench):
    given = np.array([ONE, (0.0, -3.0, 0.0, 1.5, 0.25)])
    bench.send(moving_obstacles_message(given[:, :2], given[:, 2:4], given[:, 4]))
    np.testing.assert_allclose(facts(bench.known), given, rtol=1e-6)


@pytest.mark.parametrize("message", [cloud(), PointCloud2()])
def test_nobody_there_is_known_too(bench, message):
    bench.send(message)
    assert facts(bench.known).shape == (0, 5)
    assert not bench.input.problems


def test_an_old_message_is_old_on_both_clocks_and_one_a_little_ahead_is_new(bench):
    bench.send(cloud(ONE, stamp=1049.75))
    assert (bench.known.time, bench.known.stamp) == (49.75, 1049.75)
    bench.send(cloud(ONE, stamp=1050.25))
    assert bench.known.time == 50.0
    bench.send(cloud(ONE, stamp=0.0))
    assert bench.known.time == 50.0


def test_a_point_that_was_measured_earlier_has_moved_on(bench):
    bench.send(cloud((*ONE, 0.5), (0.0, 0.0, 1.0, 0.0, 0.2, 0.0), names=(*NAMES, "age")))
    expected = [(2.25, 0.5, 0.5, -1.0, 0.3), (0.0, 0.0, 1.0, 0.0, 0.2)]
    np.testing.assert_allclose(facts(bench.known), expected, rtol=1e-6)


def broken(change):
    message = cloud(ONE)
    change(message)
    return message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (cloud((math.nan, *ONE[1:])), "the x of a point is not a number from -1e+09 to 1e+09"),
        (cloud(ONE, (*ONE[:3], math.inf, 0.3)), "the vy of a point is not a number"),
        (cloud((*ONE[:4], -0.1)), "the radius of a point is not a number from 0 to"),
        (cloud((*ONE[:4], math.nan)), "the radius of a point is not a number from 0 to"),
        (cloud((*ONE, -1.0), names=(*NAMES, "age")), "the age of a point is not a number from 0"),
        (cloud((1e12, *ONE[1:]), kind="<f8"), "the x of a point is not a number"),
        (cloud((0.0, 1.0, 2.0), names=("x", "y", "z")), "no field 'vx', its fields are x, y, z"),
        (broken(lambda m: m.fields.clear()), "no field 'x', its fields are none; expected x, y"),
        (broken(lambda m: setattr(m.fields[0], "datatype", 77)), "'x' has datatype 77"),
        (broken(lambda m: setattr(m.fields[0], "offset", 22)), "'x' has datatype 7 at byte 22"),
        (broken(lambda m: setattr(m, "point_step", 7)), "at byte"),
        (broken(lambda m: m.data.pop()), "its data has 23 bytes, expected 1 rows of 24 bytes"),
        (broken(lambda m: setattr(m, "row_step", 5)), "expected 1 rows of 5 bytes with 1 points"),
        (broken(lambda m: setattr(m, "width", 1001)), "1001 points of 24 bytes"),
        (cloud(*[ONE] * 1001), "more than 1000 points, expected one for each moving obstacle"),
        (cloud(ONE, stamp=1051.0), "in the future by more than drive.max_moving_obstacles_age"),
        (cloud(ONE, frame="map"), "'map' is not 'odom' (frame_id), and tf2_ros"),
    ],
)
def test_a_message_that_cannot_be_used_changes_nothing_and_the_reason_is_told(
    bench, message, reason
):
    bench.send(cloud((0.0, 0.0, 0.0, 0.0, 0.1)))
    before = bench.known
    bench.send(message)
    assert bench.known is before
    assert reason in bench.problem
    assert bench.problem.startswith("moving_obstacles on '/moving_obstacles' ignored: ")
    assert bench.node.logged + bench.node.said == [bench.problem]
    bench.send(message)
    assert len(bench.node.logged + bench.node.said) == 1
    bench.send(cloud(ONE))
    assert not bench.input.problems
    assert bench.known is not before


def test_before_a_simulated_clock_was_read_every_message_is_new(bench):
    bench.ros_time = 0.0
    bench.send(cloud(ONE, stamp=9.0))
    assert bench.known.time == 50.0
    assert not bench.input.problems


def test_more_than_the_cost_considers_are_known_and_that_is_told(bench):
    bench.send(cloud(*[ONE] * 3))
    assert not bench.input.problems
    bench.send(cloud(*[ONE] * 5))
    assert len(bench.known.radii) == 5
    assert (
        "more moving obstacles than obstacles.moving_obstacles, 3: plans consider the nearest"
        in (bench.problem)
    )
    bench.send(cloud(*[ONE] * 6))
    assert len(bench.node.logged + bench.node.said) == 1


def test_they_are_turned_into_the_frame_of_the_state_as_it_was_at_their_stamp(monkeypatch, bench):
    class TransformException(Exception):  # noqa: N818
        pass

    poses, asked = {0.0: (10.0, 0.0, math.pi / 2)}, []

    def lookup_transform(target, source, time):
        seconds = time.nanoseconds * 1e-9
        asked.append(seconds)
        if seconds not in poses:
            raise TransformException("extrapolation into the future")
        x, y, yaw = poses[seconds]
        turn = dict(zip("xyzw", quaternion(0.0, 0.0, yaw), strict=True))
        return types.SimpleNamespace(
            transform=types.SimpleNamespace(
                translation=types.SimpleNamespace(x=x, y=y),
                rotation=types.SimpleNamespace(**turn),
            )
        )

    buffer = types.SimpleNamespace(lookup_transform=lookup_transform)
    tf2 = types.SimpleNamespace(
        TransformException=TransformException,
        Buffer=lambda: buffer,
        TransformListener=lambda buffer, node: types.SimpleNamespace(unregister=lambda: None),
    )
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    bench.send(cloud(ONE, frame="base_link", stamp=1049.5))
    np.testing.assert_allclose(facts(bench.known), [(9.0, 2.0, 1.0, 0.5, 0.3)], rtol=1e-6)
    poses[1049.5] = (0.0, 5.0, math.pi)
    bench.send(cloud(ONE, frame="base_link", stamp=1049.5))
    np.testing.assert_allclose(facts(bench.known), [(-2.0, 4.0, -0.5, 1.0, 0.3)], rtol=1e-6)
    assert asked == [1049.5, 0.0, 1049.5]
    poses.clear()
    bench.send(cloud(ONE, frame="base_link"))
    assert "tf2 cannot transform frame 'base_link': TransformException" in bench.problem


def see_walkers(bench, wait_until, stamp, expected):
    """Send a costmap with two occupied cells, at x = 2.25 and 4.25 m; expect its cells."""
    message = OccupancyGrid()
    message.info.resolution, message.info.width, message.info.height = 0.5, 10, 2
    message.info.origin.position.y = -0.5
    message.info.origin.orientation.w = 1.0
    message.data = ([0] * 4 + [100] + [0] * 3 + [100] + [0]) * 2
    message.header.stamp.sec = stamp
    before = bench.input.known.costmap
    bench.node.take["/costmap"](message)
    wait_until(lambda: bench.input.known.costmap is not before)
    occupied = bench.input.known.costmap.cells[0].nonzero()[0]
    assert occupied.tolist() == expected


def test_what_the_costmap_shows_of_them_is_no_obstacle_of_its_own(bench, wait_until):
    see_walkers(bench, wait_until, 1050, [4, 8])
    bench.send(cloud((2.25, 0.0, 0.0, 0.0, 0.3)))
    see_walkers(bench, wait_until, 1050, [8])
    # A wider padding counts from now on.
    bench.send(cloud((3.25, 0.0, 0.0, 0.0, 0.3)))
    see_walkers(bench, wait_until, 1050, [4, 8])
    bench.input.use(CONFIGURATION.changed({"drive.moving_obstacles_padding": 0.8}))
    see_walkers(bench, wait_until, 1050, [])
    bench.input.use(CONFIGURATION)
    # It has walked on since: the costmap is as old.
    bench.send(cloud((6.25, 0.0, 4.0, 0.0, 0.3), stamp=1050.0))
    see_walkers(bench, wait_until, 1050, [4, 8])
    bench.send(cloud((0.25, 0.0, 4.0, 0.0, 0.3), stamp=1049.5))
    see_walkers(bench, wait_until, 1050, [8])
    # Too long before for a prediction.
    bench.send(cloud((4.25, 0.0, 0.0, 0.0, 0.3)))
    see_walkers(bench, wait_until, 1049, [4, 8])


def test_how_near_to_them_cells_belong_to_them_changes_while_it_runs(bench, wait_until):
    bench.send(cloud((2.8, 0.0, 0.0, 0.0, 0.3)))
    see_walkers(bench, wait_until, 1050, [4, 8])
    bench.input.use(CONFIGURATION.changed({"drive.moving_obstacles_padding": 0.5}))
    see_walkers(bench, wait_until, 1050, [8])


def test_after_a_jump_of_the_clock_none_are_known(bench):
    bench.send(cloud(ONE))
    bench.input.forget()
    assert bench.known is None


def test_without_a_cost_that_considers_them_nothing_is_subscribed_to():
    bench = Bench(configure(VALUES))
    assert "/moving_obstacles" not in bench.node.take
    bench.input.destroy()


def test_the_topic_has_the_name_that_the_parameter_says():
    changes = {"obstacles.moving_obstacles": 1, "drive.moving_obstacles_topic": "people"}
    bench = Bench(configure(VALUES | changes))
    assert "/people" in bench.node.take
    bench.input.destroy()
