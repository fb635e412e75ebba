# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A robot that drives, seen from outside over DDS: its topics, and when it stands still."""

from collections import Counter

import numpy as np
import pytest
from geometry_msgs.msg import Point32, PolygonStamped, PoseStamped, TwistStamped
from nav_msgs.msg import OccupancyGrid, Odometry, Path
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Bool
from visualization_msgs.msg import MarkerArray

from cem_planner_ros.control import tick as control
from cem_planner_ros.control.ladder import FRESH, STOPPED
from cem_planner_ros.ros.moving_obstacles_input import moving_obstacles_message


class Robot:
    """Stands or moves where it is told to, and sees a map around the origin, 10 times a second."""

    def __init__(self, observer, wait_until):
        self._wait_until = wait_until
        self.x, self.v = 0.0, 0.0
        self.wall = None  # m ahead of the origin
        self.sees = True
        self.body = ""  # child_frame_id of the odometry
        node = observer.node
        self._odometry = node.create_publisher(Odometry, "odom", 1)
        self._costmap = node.create_publisher(OccupancyGrid, "costmap", 1)
        self._goal = node.create_publisher(PoseStamped, "goal_pose", 1)
        self._path = node.create_publisher(Path, "plan", 1)
        node.create_timer(0.02, self._move)
        node.create_timer(0.1, self._look)

    def _move(self):
        message = Odometry()
        message.header.frame_id = "odom"
        message.child_frame_id = self.body
        message.pose.pose.position.x = self.x
        message.pose.pose.orientation.w = 1.0
        message.twist.twist.linear.x = self.v
        self._odometry.publish(message)

    def _look(self):
        if self.sees:
            self._costmap.publish(self.costmap())

    def costmap(self):
        message = OccupancyGrid()
        message.header.frame_id = "odom"
        message.info.resolution, message.info.width, message.info.height = 0.1, 40, 40
        message.info.origin.position.x = message.info.origin.position.y = -2.0
        message.info.origin.orientation.w = 1.0
        row = [0] * 40
        if self.wall is not None:
            row[20 + int(10 * self.wall)] = 100
        message.data = row * 40
        return message

    def go(self, x):
        self._wait_until(self._goal.get_subscription_count)
        message = PoseStamped()
        message.header.frame_id = "odom"
        message.pose.position.x = x
        message.pose.orientation.w = 1.0
        self._goal.publish(message)

    def stop(self):
        self._wait_until(self._path.get_subscription_count)
        self._path.publish(Path())


@pytest.fixture
def robot(observer, wait_until):
    return Robot(observer, wait_until)


@pytest.fixture
def drive():
    """
    Parameters of a planner for a robot that drives, small enough for PyTorch alone.

    It keeps up on a machine that is busy with other things.
    """
    return {
        "control_rate": 10.0,
        "max_state_age": 1.0,
        "max_plan_age": 1.0,
        "planner.samples": 64,
        "planner.elites": 8,
        "planner.iterations": 1,
        "planner.horizon": 8,
        "planner.dt": 0.1,
        "planner.device": "cpu",
        "planner.backend": "eager",
        "dynamics.plugin": "diff_drive_lag",
        "costs": ["goal", "obstacles"],
        "goal.plugin": "goal_pose",
        "obstacles.plugin": "obstacles",
        "state.type": "nav_msgs/msg/Odometry",
        "state.topic": "odom",
        "command.type": "geometry_msgs/msg/TwistStamped",
        "command.topic": "cmd_vel",
        **{f"state.fields.{name}": name for name in ("x", "y", "yaw")},
        **{f"{side}.fields.v": "linear.x" for side in ("state", "command")},
        **{f"{side}.fields.yaw_rate": "angular.z" for side in ("state", "command")},
        "publish_statistics": True,
    }


def test_it_drives_to_a_goal_and_says_when_it_is_there(
    node, observer, robot, wait_until, statistics, newest
):
    commands = observer.listen(TwistStamped, "cmd_vel")
    node().autostart()
    reached = observer.listen_latched(Bool, "/cem_planner/goal_reached")
    wait_until(lambda: statistics.cause == control.NO_GOAL)
    wait_until(lambda: commands and commands[-1][1].twist.linear.x == 0.0)
    assert newest()["level"] == b"\x00"  # It stands as it should.
    robot.go(1.0)
    wait_until(lambda: statistics.status == FRESH and commands[-1][1].twist.linear.x > 0.2)
    wait_until(lambda: reached and not reached[-1][1].data)
    robot.x = 0.95
    wait_until(lambda: reached[-1][1].data)
    wait_until(lambda: statistics.cause == control.GOAL_REACHED)
    robot.go(-1.0)
    wait_until(lambda: not reached[-1][1].data)
    wait_until(lambda: statistics.status == FRESH and commands[-1][1].twist.linear.x < 0.0)
    robot.stop()
    wait_until(lambda: statistics.cause == control.NO_GOAL)


def test_what_it_thinks_of_is_drawn_on_demand(node, observer, robot, wait_until, statistics):
    node().autostart()
    drawn = observer.listen(MarkerArray, "/cem_planner/markers")
    robot.go(1.0)
    wait_until(lambda: statistics.status == FRESH)
    assert not drawn
    assert observer.set(marker_rate=10.0, marker_count=6) == []
    wait_until(lambda: drawn)
    markers = drawn[-1][1].markers
    counts = Counter(marker.ns for marker in markers)
    assert counts == {"plan": 1, "elites": 3, "samples": 3, "braking": 1, "footprint": 2}
    assert {marker.header.frame_id for marker in markers} == {"odom"}
    plan = next(marker for marker in markers if marker.ns == "plan")
    assert len(plan.points) == 9
    assert plan.points[-1].x > plan.points[0].x


def test_blind_it_stands_still_and_says_why(node, observer, robot, wait_until, statistics, newest):
    robot.sees = False
    node().autostart()
    robot.go(1.0)
    wait_until(lambda: statistics.cause == control.STALE_COSTMAP)
    assert "no costmap yet" in newest()["message"]
    robot.sees = True
    wait_until(lambda: statistics.status == FRESH)
    robot.sees = False
    wait_until(lambda: statistics.cause == control.STALE_COSTMAP)
    wait_until(lambda: statistics.status == STOPPED)
    robot.sees, robot.x = True, 3.0
    wait_until(lambda: statistics.cause == control.OUTSIDE_COSTMAP)
    robot.x = 0.0
    wait_until(lambda: statistics.status == FRESH)


def test_what_it_could_not_stop_before_is_told(node, observer, robot, wait_until, statistics):
    commands = observer.listen(TwistStamped, "cmd_vel")
    node().autostart()
    imminent = observer.listen_latched(Bool, "/cem_planner/collision_imminent")
    robot.go(1.5)
    wait_until(lambda: statistics.status == FRESH)
    wait_until(lambda: imminent and not imminent[-1][1].data)
    robot.v, robot.wall = 0.5, 0.4
    wait_until(lambda: imminent[-1][1].data)
    wait_until(lambda: statistics.cause == control.COLLISION_IMMINENT)
    wait_until(lambda: commands[-1][1].twist.linear.x == 0.0)
    robot.v, robot.wall = 0.0, None
    wait_until(lambda: not imminent[-1][1].data)
    wait_until(lambda: statistics.status == FRESH)


def test_it_has_the_footprint_of_the_topic(node, observer, robot, wait_until, statistics, newest):
    """As from Nav2's costmap: in the frame of the odometry, where the robot is."""
    outline = observer.node.create_publisher(PolygonStamped, "outline", 1)
    node(drive__footprint_topic="outline", marker_rate=10.0).autostart()
    drawn = observer.listen(MarkerArray, "/cem_planner/markers")
    robot.x = -1.0
    robot.go(1.0)
    wait_until(lambda: statistics.status == FRESH)
    message = PolygonStamped()
    message.header.frame_id = "odom"

    def farthest():
        """How far the drawn outline is ahead of the robot, m."""
        markers = drawn[-1][1].markers if drawn else ()
        shown = [marker for marker in markers if marker.ns == "footprint"]
        return max((point.x - robot.x for point in shown[0].points), default=0.0) if shown else 0.0

    wait_until(lambda: abs(farthest() - 0.25) < 0.01)  # A circle.
    corners = [(0.6, 0.2), (0.6, -0.2), (-0.3, -0.2), (-0.3, 0.2)]
    message.polygon.points = [Point32(x=robot.x + x, y=y) for x, y in corners]
    timer = observer.node.create_timer(0.1, lambda: outline.publish(message))
    wait_until(lambda: abs(farthest() - 0.6) < 0.01)
    message.polygon.points = message.polygon.points[:2]
    wait_until(lambda: "three corners or more" in newest()["message"])
    observer.node.destroy_timer(timer)


class Walkers:
    """Tells of moving obstacles, 10 times a second."""

    def __init__(self, observer):
        self.rows = []  # x, y, vx, vy, radius of each
        self.publisher = observer.node.create_publisher(PointCloud2, "moving_obstacles", 1)
        self.tell = False
        observer.node.create_timer(0.1, self._publish)

    def _publish(self):
        if self.tell:
            rows = np.array(self.rows, float).reshape(-1, 5)
            self.publisher.publish(moving_obstacles_message(rows[:, :2], rows[:, 2:4], rows[:, 4]))


def test_it_stands_without_news_of_moving_obstacles_and_stops_before_them(
    node, observer, robot, wait_until, statistics, newest
):
    commands = observer.listen(TwistStamped, "cmd_vel")
    walkers = Walkers(observer)
    # A busy machine must not make the news old, and the plans care for no obstacle at first.
    node(
        obstacles__moving_obstacles=2,
        obstacles__weight=0.0,
        obstacles__collision_weight=0.0,
        drive__max_moving_obstacles_age=2.0,
    ).autostart()
    imminent = observer.listen_latched(Bool, "/cem_planner/collision_imminent")
    robot.go(1.5)
    wait_until(lambda: statistics.cause == control.STALE_MOVING_OBSTACLES)
    wait_until(lambda: commands and commands[-1][1].twist.linear.x == 0.0)
    wait_until(lambda: "no message on '/moving_obstacles'" in newest()["message"])
    walkers.tell = True
    wait_until(lambda: statistics.status == FRESH and commands[-1][1].twist.linear.x > 0.2)
    # One stands where the robot would touch it, and then goes away.
    walkers.rows = [(0.44, 0.0, 0.0, 0.0, 0.2)]
    wait_until(lambda: statistics.cause == control.COLLISION_IMMINENT and imminent[-1][1].data)
    walkers.rows = [(0.44, 0.0, 1.0, 0.0, 0.2)]
    wait_until(lambda: statistics.status == FRESH and commands[-1][1].twist.linear.x > 0.2)
    drawn = observer.listen(MarkerArray, "/cem_planner/markers")
    assert observer.set(marker_rate=10.0, marker_count=0) == []
    wait_until(lambda: drawn and "moving_obstacles" in {m.ns for m in drawn[-1][1].markers})
    # The plans know of it too.
    wait_until(lambda: statistics.values("cost")[-1] < 1e3)
    assert observer.set(obstacles__collision_weight=1e4) == []
    walkers.rows = [(1.0, 0.0, 0.0, 0.0, 2.0)]
    wait_until(lambda: statistics.values("cost")[-1] > 1e4)
    walkers.rows = [(1.0, 0.0, 0.0, 0.0, -2.0)]
    wait_until(lambda: "the radius of a point is not a number" in newest()["message"])
    wait_until(lambda: statistics.cause == control.STALE_MOVING_OBSTACLES)
    walkers.rows = [(0.0, 3.0, 0.0, 0.0, 0.1)] * 3
    wait_until(lambda: statistics.status == FRESH)
    wait_until(lambda: "plans consider the nearest 2" in newest()["message"])


def test_a_goal_of_before_it_was_activated_does_not_count(
    node, observer, robot, wait_until, statistics
):
    planner = node()
    planner.autostart()
    robot.go(1.0)
    wait_until(lambda: statistics.status == FRESH)
    assert observer.transition("deactivate")
    robot.go(1.0)
    assert observer.transition("activate")
    wait_until(lambda: statistics.cause == control.NO_GOAL)


@pytest.mark.parametrize("kind", ["goal", "path"])
def test_what_was_said_once_by_a_latched_publisher_is_enough(
    node, observer, robot, wait_until, statistics, capfd, kind
):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    robot.sees = False
    observer.node.create_publisher(OccupancyGrid, "map", latched).publish(robot.costmap())
    goal = PoseStamped()
    goal.header.frame_id = "odom"
    goal.pose.position.x = 1.0
    if kind == "goal":
        observer.node.create_publisher(PoseStamped, "where", latched).publish(goal)
    else:
        path = Path(poses=[PoseStamped(), goal])
        observer.node.create_publisher(Path, "where", latched).publish(path)
    topics = {"drive__costmap_topic": "map", f"drive__{kind}_topic": "where"}
    node(drive__max_costmap_age=1e6, **topics).autostart()
    wait_until(lambda: statistics.status == FRESH)
    # What is still said when the node is activated anew counts again.
    assert observer.transition("deactivate")
    count = len(statistics.messages)
    assert observer.transition("activate")
    wait_until(lambda: len(statistics.messages) > count and statistics.status == FRESH)
    assert "incompatible QoS" not in "".join(capfd.readouterr())


def test_a_command_is_in_the_frame_of_the_body(node, observer, robot, wait_until):
    commands = observer.listen(TwistStamped, "cmd_vel")
    node().autostart()

    def frame():
        return commands[-1][1].header.frame_id if commands else None

    wait_until(lambda: frame() == "base_link")
    robot.body = "/base_footprint"
    wait_until(lambda: frame() == "base_footprint")
    assert observer.set(command__frame_id="/chassis") == []
    wait_until(lambda: frame() == "chassis")
    (refusal,) = observer.set(frame_id="map")
    assert "'frame_id' can only change while the node is not active" in refusal
