# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The action follow_path over DDS: an action client drives a simulated robot, as Nav2 would."""

import importlib
import itertools
import json
import math
import os
import signal
import subprocess
import time
from pathlib import Path

import interfaces
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PoseStamped, TransformStamped, TwistStamped
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.action import ActionClient

from cem_planner_ros.configuration import load_yaml
from cem_planner_ros.paths import share
from cem_planner_ros.readers import quaternion, stamp_of

pytestmark = pytest.mark.timeout(600)  # The first test builds and compiles.

SIDE = 0.1
"""m, of a cell of the costmap."""

CELLS = 160

SETTINGS = {
    "autostart": True,
    "planner.samples": 300,
    "planner.elites": 24,
    "planner.iterations": 2,
    "planner.horizon": 30,
    "planner.dt": 0.1,
    "planner.device": "cpu",
    "max_state_age": 2.0,
    "max_plan_age": 2.0,
    "hold_time": 1.0,
    "drive.follow_path": True,
    "drive.costmap_type": "nav2_msgs/msg/Costmap",
    "drive.costmap_topic": "local_costmap/costmap_raw",
    "drive.max_costmap_age": 3.0,
    "goal_checker_plugins": ["precise", "rough"],
    "precise.xy_goal_tolerance": 0.15,
    "rough.plugin": "nav2_controller::StoppedGoalChecker",
    "rough.trans_stopped_velocity": 1.0,
    "rough.rot_stopped_velocity": 3.0,
    "rough.xy_goal_tolerance": 1.0,
    "rough.yaw_goal_tolerance": 3.5,
    "progress_checker_plugins": ["patient", "hasty"],
    "patient.movement_time_allowance": 60.0,
    "hasty.movement_time_allowance": 2.0,
    "failure_tolerance": 1.0,
}


@pytest.fixture(scope="module")
def nav2_msgs():
    """The package nav2_msgs: that of ROS, or one that is built of definitions of the tests."""
    try:
        importlib.import_module("nav2_msgs.action")
        yield
        return
    except ImportError:
        pass
    try:
        folder = interfaces.build(
            "nav2_msgs", Path(interfaces.__file__).parent / "definitions" / "nav2_msgs"
        )
    except Exception as error:  # The generators of another distribution may raise anything.
        text = error.stderr[-500:] if isinstance(error, subprocess.CalledProcessError) else error
        pytest.skip(f"nav2_msgs is not installed and cannot be built: {text!r}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield


class Robot:
    """A simulated robot with its planner, seen by who sends it along paths."""

    def __init__(self, observer, planner, wait_until):
        from nav2_msgs.action import FollowPath
        from nav2_msgs.msg import Costmap, SpeedLimit

        self.observer, self.planner, self.wait_until = observer, planner, wait_until
        self.kind = FollowPath
        self.limit_kind = SpeedLimit
        node = observer.node
        self.client = ActionClient(node, FollowPath, "follow_path")
        self.states = observer.listen(Odometry, "odom")
        self.commands = observer.listen(TwistStamped, "cmd_vel")
        self.feedback = []
        self._limits = node.create_publisher(SpeedLimit, "speed_limit", 1)
        self._maps = node.create_publisher(Costmap, "local_costmap/costmap_raw", 1)
        self._map = Costmap()
        self.transforms = node.create_publisher(TransformStamped, "transforms", 10)
        self.wall = None
        self.sees = True
        node.create_timer(0.2, self._look)

    def _look(self):
        here = TransformStamped(child_frame_id="map")
        here.header.frame_id = "odom"
        here.transform.rotation.w = 1.0
        self.transforms.publish(here)
        if not self.sees:
            return
        message = self._map
        message.header.frame_id = "odom"
        message.header.stamp = self.observer.node.get_clock().now().to_msg()
        info = message.metadata
        info.resolution, info.size_x, info.size_y = SIDE, CELLS, CELLS
        x, y, _ = self.pose if self.states else (0.0, 0.0, 0.0)
        info.origin.position.x, info.origin.position.y = x - 0.5 * CELLS * SIDE, y - 8.0
        info.origin.orientation.w = 1.0
        cells = bytearray([253, 255, 252][i % 3] for i in range(CELLS * CELLS))
        if self.wall is not None:
            column = int((self.wall - info.origin.position.x) / SIDE)
            for row in range(CELLS):
                cells[row * CELLS + column] = 254
        message.data = bytes(cells)
        self._maps.publish(message)

    @property
    def pose(self):
        pose = self.states[-1][1].pose.pose
        return (
            pose.position.x,
            pose.position.y,
            2.0 * math.atan2(pose.orientation.z, pose.orientation.w),
        )

    @property
    def speed(self):
        return self.states[-1][1].twist.twist.linear.x

    def path(self, *points, frame="odom"):
        """Return a path through points in the robot's frame, from where it is."""
        x, y, yaw = self.pose
        message = PathMessage()
        message.header.frame_id = frame
        cos, sin = math.cos(yaw), math.sin(yaw)
        for ahead, aside, turned in points:
            pose = PoseStamped()
            pose.pose.position.x = x + cos * ahead - sin * aside
            pose.pose.position.y = y + sin * ahead + cos * aside
            turn = pose.pose.orientation
            turn.x, turn.y, turn.z, turn.w = quaternion(0.0, 0.0, yaw + turned)
            message.poses.append(pose)
        return message

    def straight(self, length, **options):
        return self.path(*((0.1 * i, 0.0, 0.0) for i in range(round(10 * length) + 1)), **options)

    def send(self, path, controller="", goal="precise", progress="patient"):
        """Send a goal; return its handle and the future of its result."""
        request = self.kind.Goal(
            path=path,
            controller_id=controller,
            goal_checker_id=goal,
            progress_checker_id=progress,
        )
        self.feedback = []
        sent = self.client.send_goal_async(
            request, lambda message: self.feedback.append(message.feedback)
        )
        self.wait_until(sent.done)
        handle = sent.result()
        return handle, handle.get_result_async() if handle.accepted else None

    def end(self, result):
        """Wait for a result, and for a state of after it; return the status and the result."""
        self.wait_until(result.done)
        ended = time.time()
        self.wait_until(lambda: stamp_of(self.states[-1][1]) > ended)
        return result.result().status, result.result().result

    def code(self, path, **options):
        """Return the name of the error code with which a path is aborted."""
        status, result = self.end(self.send(path, **options)[1])
        assert status == GoalStatus.STATUS_ABORTED
        assert result.error_msg
        names = ("TF_ERROR", "INVALID_PATH", "INVALID_CONTROLLER", "UNKNOWN")
        names += ("FAILED_TO_MAKE_PROGRESS", "CONTROLLER_TIMED_OUT")
        names += ("PATIENCE_EXCEEDED", "NO_VALID_CONTROL")
        return next(n for n in names if getattr(self.kind.Result, n) == result.error_code)

    def drives(self):
        self.wait_until(lambda: self.speed > 0.3)

    def stands(self):
        self.wait_until(lambda: abs(self.speed) < 0.01)

    def limit(self, value, percentage):
        self.wait_until(self._limits.get_subscription_count)
        self._limits.publish(self.limit_kind(speed_limit=value, percentage=percentage))


@pytest.fixture(scope="module")
def robot(
    nav2_msgs,
    tmp_path_factory,
    own_domain_function,
    observer_class,
    process_class,
    wait_until_function,
):
    folder = tmp_path_factory.mktemp("follow_path")
    values = load_yaml(share("config") / "drive.yaml") | SETTINGS
    file = folder / "planner.yaml"
    file.write_text(json.dumps({"/**": {"ros__parameters": values}}))
    with own_domain_function(), pytest.MonkeyPatch.context() as patch:
        standin = Path(interfaces.__file__).with_name("tf2")
        patch.setenv("PYTHONPATH", str(standin), prepend=os.pathsep)
        rclpy.init(args=[])
        observer = observer_class()
        processes = [
            process_class("planner", folder / "planner.log", "--params-file", file),
            process_class(
                *("simulator", folder / "simulator.log", "-p", "plant:=model"),
                *("-p", f"planner_file:={file}", "-p", "rate:=50.0", "-p", "command_timeout:=2.0"),
            ),
        ]
        try:
            made = Robot(observer, processes[0], wait_until_function)
            made.wait_until(lambda: made.states and made.client.server_is_ready())
            made.wait_until(lambda: observer.lifecycle() == "active")
            yield made
        finally:
            for process in processes:
                process.end(signal.SIGKILL)
                print(f"--- {process.log.name}\n{process.output()}")
            observer.close()
            rclpy.try_shutdown()


def test_a_path_is_driven_to_its_end(robot):
    path = robot.path(*((0.1 * i, 0.0, 0.0) for i in range(16)))
    _, result = robot.send(path)
    status, result = robot.end(result)
    assert (status, result.error_code) == (GoalStatus.STATUS_SUCCEEDED, robot.kind.Result.NONE)
    end = path.poses[-1].pose.position
    assert math.dist(robot.pose[:2], (end.x, end.y)) < 0.15 + 0.02
    left = [feedback.distance_to_goal for feedback in robot.feedback]
    assert left[0] == pytest.approx(1.5, abs=0.3)
    assert left[-1] < 0.3
    assert max(feedback.speed for feedback in robot.feedback) > 0.3


def test_the_first_path_may_be_in_the_frame_of_a_map(robot):
    robot.wait_until(robot.transforms.get_subscription_count)
    heard = time.time()
    robot.wait_until(lambda: stamp_of(robot.states[-1][1]) > heard + 0.5)  # Two transforms.
    path = robot.straight(0.6, frame="map")
    status, _ = robot.end(robot.send(path)[1])
    assert status == GoalStatus.STATUS_SUCCEEDED


def test_a_path_waits_for_the_transform_of_its_frame(robot):
    robot.observer.set(failure_tolerance=60.0)
    path = robot.straight(0.6, frame="late")
    began = len(robot.commands)
    _, result = robot.send(path)
    robot.wait_until(lambda: len(robot.commands) > began + 20)
    assert not result.done()
    assert not robot.feedback
    late = TransformStamped(child_frame_id="late")
    late.header.frame_id = "odom"
    late.transform.rotation.w = 1.0
    robot.transforms.publish(late)
    status, _ = robot.end(result)
    assert status == GoalStatus.STATUS_SUCCEEDED
    end = path.poses[-1].pose.position
    assert math.dist(robot.pose[:2], (end.x, end.y)) < 0.15 + 0.02
    robot.observer.set(failure_tolerance=SETTINGS["failure_tolerance"])


def test_a_new_path_takes_over_without_a_stop(robot):
    _, first = robot.send(robot.straight(5.0))
    robot.drives()
    began = len(robot.commands)
    _, second = robot.send(robot.straight(1.5))
    status, result = robot.end(first)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, robot.kind.Result.NONE)
    robot.wait_until(lambda: any(f.distance_to_goal < 0.8 for f in list(robot.feedback)))
    assert min(message.twist.linear.x for _, message in robot.commands[began:]) > 0.1
    assert robot.end(second)[0] == GoalStatus.STATUS_SUCCEEDED


def test_a_goal_that_is_cancelled_ends_when_the_robot_has_braked_evenly(robot):
    handle, result = robot.send(robot.straight(5.0))
    robot.drives()
    began = len(robot.commands)
    handle.cancel_goal_async()
    status, result = robot.end(result)
    assert (status, result.error_code) == (GoalStatus.STATUS_CANCELED, robot.kind.Result.NONE)
    assert abs(robot.speed) < 0.15
    robot.stands()
    speeds = [message.twist.linear.x for _, message in robot.commands[began:]]
    steps = [before - after for before, after in itertools.pairwise(speeds)]
    assert speeds[-1] == 0.0
    assert sum(0.0 < speed < 0.3 for speed in speeds) >= 3
    assert max(steps) < 0.25  # Of the 0.5 m/s that it drove.


def test_what_cannot_be_followed_is_aborted_with_the_reason(robot):
    assert robot.code(robot.straight(1.0, frame="nowhere")) == "TF_ERROR"
    assert robot.code(PathMessage()) == "INVALID_PATH"
    broken = robot.straight(1.0)
    broken.poses[3].pose.position.x = math.nan
    assert robot.code(broken) == "INVALID_PATH"
    assert robot.code(robot.straight(1.0), controller="DWB") == "INVALID_CONTROLLER"
    assert robot.code(robot.straight(1.0), goal="general") == "UNKNOWN"
    assert robot.code(robot.straight(1.0), goal="") == "UNKNOWN"  # There are two.
    assert robot.code(robot.straight(1.0), progress="other") == "UNKNOWN"


def test_a_bad_path_ends_the_one_before(robot):
    _, first = robot.send(robot.straight(5.0))
    robot.drives()
    assert robot.code(robot.straight(1.0, frame="nowhere")) == "TF_ERROR"
    assert robot.end(first)[0] == GoalStatus.STATUS_ABORTED
    robot.stands()


def test_the_goal_checker_is_the_one_that_is_named(robot):
    path = robot.straight(1.5)
    assert robot.end(robot.send(path, goal="rough")[1])[0] == GoalStatus.STATUS_SUCCEEDED
    end = path.poses[-1].pose.position
    assert math.dist(robot.pose[:2], (end.x, end.y)) > 0.3


@pytest.mark.parametrize(
    ("value", "percentage", "most"), [(0.2, False, 0.2), (50.0, True, 0.25), (0.0, False, 0.5)]
)
def test_a_speed_limit_bounds_the_commands(robot, value, percentage, most):
    robot.stands()
    robot.limit(value, percentage)
    handle, result = robot.send(robot.straight(5.0))
    robot.wait_until(lambda: robot.speed > 0.8 * most)
    began = len(robot.commands)
    robot.wait_until(lambda: len(robot.commands) > began + 10)
    speeds = [message.twist.linear.x for _, message in robot.commands[began:]]
    robot.limit(0.0, False)
    assert 0.8 * most < max(speeds) <= most + 1e-6
    handle.cancel_goal_async()
    assert robot.end(result)[0] == GoalStatus.STATUS_CANCELED


def test_a_lower_speed_limit_slows_the_robot_evenly(robot):
    handle, result = robot.send(robot.straight(5.0))
    robot.wait_until(lambda: robot.speed > 0.4)
    began = len(robot.commands)
    robot.limit(20.0, True)
    robot.wait_until(lambda: 0.05 < robot.speed < 0.11)
    speeds = [message.twist.linear.x for _, message in robot.commands[began:]]
    robot.limit(0.0, False)
    # The deceleration times the period, as in drive.yaml.
    assert max(a - b for a, b in itertools.pairwise(speeds)) < 0.8 * 0.05 + 1e-3
    handle.cancel_goal_async()
    assert robot.end(result)[0] == GoalStatus.STATUS_CANCELED


def test_a_wall_ends_it_for_want_of_progress_and_a_lost_costmap_for_want_of_time(robot):
    robot.stands()
    robot.wall = robot.pose[0] + 0.5
    x, y, _ = robot.pose
    path = PathMessage()
    path.header.frame_id = "odom"
    for i in range(30):
        pose = PoseStamped()
        pose.pose.position.x, pose.pose.position.y = x + 0.1 * i, y
        pose.pose.orientation.w = 1.0
        path.poses.append(pose)
    assert robot.code(path, progress="hasty") == "FAILED_TO_MAKE_PROGRESS"
    robot.wall, robot.sees = None, False
    assert robot.code(path) == "CONTROLLER_TIMED_OUT"
    robot.sees = True


def test_without_a_valid_plan_it_ends_at_once_or_when_the_patience_is_over(robot):
    robot.stands()
    values = ("path.progress_weight", "failure_tolerance")
    before = {name.replace(".", "__"): robot.observer.get(name) for name in values}
    try:
        assert not robot.observer.set(path__progress_weight=1e38)  # Each cost is infinite.
        assert robot.code(robot.straight(3.0)) == "PATIENCE_EXCEEDED"
        assert not robot.observer.set(failure_tolerance=0.0)
        assert robot.code(robot.straight(3.0)) == "NO_VALID_CONTROL"
    finally:
        robot.observer.set(**before)


def test_when_the_node_is_deactivated_the_goal_is_aborted_and_others_are_rejected(robot):
    _, result = robot.send(robot.straight(5.0))
    robot.drives()
    assert robot.observer.transition("deactivate")
    status, result = robot.end(result)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, robot.kind.Result.UNKNOWN)
    assert "deactivated" in result.error_msg
    handle, _ = robot.send(robot.straight(1.0))
    assert not handle.accepted
    assert robot.observer.transition("activate")
    handle, result = robot.send(robot.straight(1.0))
    assert robot.end(result)[0] == GoalStatus.STATUS_SUCCEEDED
