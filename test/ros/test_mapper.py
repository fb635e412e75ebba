# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The node that makes costmaps, seen from outside."""

import contextlib
import itertools
import math
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import LaserScan
from spinning import spinning

from cem_planner_ros.ros.mapper import MapperNode

ROOT = Path(__file__).parents[2]
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Robot:
    """Publishes odometry and scans, and hears costmaps."""

    def __init__(self, observer, wait_until):
        self.observer, self.wait_until = observer, wait_until
        self.odometry = observer.node.create_publisher(Odometry, "odom", qos_profile_sensor_data)
        self.scans = observer.node.create_publisher(LaserScan, "scan", qos_profile_sensor_data)
        self.costmaps = []
        every = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        observer.node.create_subscription(OccupancyGrid, "costmap", self.costmaps.append, every)

    def connect(self, node):
        """Wait until a node in this process hears both topics: one of each is counted there."""
        for publisher in (self.odometry, self.scans):
            self.wait_until(lambda publisher=publisher: publisher.get_subscription_count() == 1)
        self.at(0.0)
        self.scan(0.0)
        self.wait_until(lambda: len(node.dropped) == 2)
        node.dropped.clear()

    def at(self, stamp, x=0.0, y=0.0, yaw=0.0):
        message = Odometry()
        message.header.frame_id = "odom"
        message.header.stamp = stamp_message(stamp)
        message.pose.pose.position.x, message.pose.pose.position.y = x, y
        message.pose.pose.orientation.z = math.sin(0.5 * yaw)
        message.pose.pose.orientation.w = math.cos(0.5 * yaw)
        self.odometry.publish(message)

    def scan(self, stamp, ranges=None):
        """Publish four beams, backwards, right, ahead and left; by default with a hit ahead."""
        message = LaserScan(range_min=0.1, range_max=8.0)
        message.angle_min, message.angle_increment = -math.pi, math.pi / 2
        message.header.stamp = stamp_message(stamp)
        message.header.frame_id = "lidar"
        message.ranges = ranges or [math.nan, math.nan, 1.01, math.nan]
        self.scans.publish(message)

    def newest(self):
        return self.costmaps[-1]

    def occupied(self):
        """Return the middles (n, 2) of the occupied cells of the newest costmap."""
        message = self.newest()
        cells = np.array(message.data).reshape(message.info.height, message.info.width)
        rows, columns = np.nonzero(cells == 100)
        corner = message.info.origin.position
        places = np.stack((columns + 0.5, rows + 0.5), 1) * message.info.resolution
        return places + (corner.x, corner.y)


def stamp_message(seconds):
    return rclpy.time.Time(nanoseconds=round(1e9 * seconds)).to_msg()


def stamp_of(message):
    return message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec


@pytest.fixture
def mapper(robot):
    """A function that makes the node in this process and spins it; parameters by name."""
    with contextlib.ExitStack() as ended:

        def make(**values):
            overrides = [Parameter(n.replace("__", "."), value=v) for n, v in values.items()]
            made = MapperNode(parameter_overrides=overrides)
            ended.callback(made.destroy_node)
            ended.enter_context(spinning(made))
            robot.connect(made)
            return made

        yield make


@pytest.fixture
def robot(observer, wait_until):
    return Robot(observer, wait_until)


def test_a_scan_becomes_a_costmap_with_its_stamp_in_the_frame_of_the_odometry(
    mapper, robot, wait_until
):
    mapper(size=100, resolution=0.05)
    robot.at(10.0, 3.0, -2.0, 0.5 * math.pi)
    robot.scan(10.0)
    wait_until(lambda: robot.costmaps)
    message = robot.newest()
    assert stamp_of(message) == pytest.approx(10.0)
    assert message.header.frame_id == "odom"
    assert (message.info.width, message.info.height) == (100, 100)
    assert message.info.resolution == pytest.approx(0.05)
    assert message.info.origin.orientation.w == 1.0
    origin = message.info.origin.position
    assert (origin.x, origin.y) == pytest.approx((0.5, -4.5))
    np.testing.assert_allclose(robot.occupied(), [[3.0, -0.99]], atol=0.026)
    cells = np.array(message.data).reshape(100, 100)
    assert cells[60, 50] == 0, "free between robot and hit"
    assert (cells == -1).mean() > 0.9


def test_the_pose_is_that_of_the_scan_s_time_and_the_scan_waits_for_it(mapper, robot, wait_until):
    mapper()
    robot.at(1.0)
    robot.scan(1.05)
    time.sleep(0.3)
    assert not robot.costmaps
    robot.at(1.1, x=1.0)
    wait_until(lambda: robot.costmaps)
    np.testing.assert_allclose(robot.occupied(), [[1.51, 0.0]], atol=0.026)
    assert stamp_of(robot.newest()) == pytest.approx(1.05)


def test_the_sensor_is_where_the_parameters_say(mapper, robot, wait_until):
    mapper(sensor__x=0.3, sensor__y=-0.1, sensor__yaw=0.5 * math.pi)
    robot.at(1.0, yaw=math.pi)
    robot.scan(1.0)
    wait_until(lambda: robot.costmaps)
    np.testing.assert_allclose(robot.occupied(), [[-0.3, 0.1 - 1.01]], atol=0.026)


def test_scans_without_a_pose_are_dropped_counted_and_told_once(mapper, robot, wait_until, capfd):
    node = mapper()
    capfd.readouterr()
    for stamp in (9.0, 9.1, 9.2):
        robot.scan(stamp)
    robot.at(10.0)
    wait_until(lambda: sum(node.dropped.values()) == 3)
    robot.at(10.6)  # a gap
    robot.scan(10.3)
    wait_until(lambda: sum(node.dropped.values()) == 4)
    for number in range(12):  # more than may wait
        robot.scan(10.7 + 0.1 * number)
    wait_until(lambda: sum(node.dropped.values()) == 6)
    robot.scan(0.0)
    wait_until(lambda: sum(node.dropped.values()) == 7)
    assert not robot.costmaps
    robot.at(10.95)
    wait_until(lambda: robot.costmaps)
    assert stamp_of(robot.newest()) == pytest.approx(10.9)
    told = capfd.readouterr().err
    assert told.count("no odometry from before the scan") == 1
    assert told.count("no odometry came after the scan") == 1
    assert told.count("scan on '/scan' dropped: no stamp") == 1


def test_what_is_no_pose_or_no_scan_is_dropped(mapper, robot, wait_until):
    node = mapper()
    robot.at(1.0, x=math.nan)
    robot.at(0.0)
    wait_until(lambda: sum(node.dropped.values()) == 2)
    robot.at(2.0)
    message = LaserScan()
    message.header.stamp = stamp_message(2.0)
    robot.scans.publish(message)
    wait_until(lambda: sum(node.dropped.values()) == 3)
    robot.scan(2.0)
    wait_until(lambda: robot.costmaps)


def test_costmaps_come_no_faster_than_told_and_hold_all_scans(mapper, robot, wait_until):
    mapper(rate=4.0)
    stamps = [20.0 + 0.1 * number for number in range(21)]
    for stamp in stamps:
        robot.at(stamp)
        robot.scan(stamp, [1.0 + 0.05 * (stamp - 20.0) * 10.0, *[math.nan] * 3])
        time.sleep(0.02)
    wait_until(lambda: robot.costmaps and stamp_of(robot.newest()) > 21.7)
    seen = [stamp_of(message) for message in robot.costmaps]
    # In 2 s, at both ends of which one may be; the second may be early.
    assert 4 <= len(seen) <= 10
    assert (np.diff(seen)[1:] > 0.15).all()
    # The last end is occupied, those before were seen through.
    ((x, _),) = robot.occupied()
    assert -x == pytest.approx(1.0 + 0.5 * (seen[-1] - 20.0), abs=0.026)


def test_when_time_goes_back_it_begins_anew(mapper, robot, wait_until):
    mapper()
    robot.at(50.0)
    robot.scan(50.0)
    wait_until(lambda: robot.costmaps)
    robot.at(2.0)

    def begins_anew():
        """Publish until it is heard: a scan that overtakes its odometry is dropped."""
        robot.scan(2.0, [math.nan, 1.01, math.nan, math.nan])
        time.sleep(0.05)
        return stamp_of(robot.newest()) < 3.0

    wait_until(begins_anew)
    np.testing.assert_allclose(robot.occupied(), [[0.0, -1.01]], atol=0.026)


def test_as_a_process_it_keeps_its_costmap_for_those_who_come_late_and_ends_cleanly(
    observer, start, robot, wait_until
):
    file = ROOT / "config" / "drive_mapper.yaml"
    # There is no clock: all that counts is the stamps.
    process = start("mapper", "--params-file", file, "-p", "use_sim_time:=true")
    stamps = itertools.count(1)

    def is_mapped():
        """Publish until it is heard: who hears is known before the connection is complete."""
        stamp = next(stamps)
        robot.at(stamp)
        robot.scan(stamp)
        time.sleep(0.1)
        return robot.costmaps

    wait_until(is_mapped)
    late = []
    observer.node.create_subscription(OccupancyGrid, "costmap", late.append, LATCHED)
    wait_until(lambda: late)
    assert late[0].info.width == 200
    assert process.end(signal.SIGINT) == 0
    assert "Traceback" not in process.output()
