# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""References in another frame, with the real tf2, which a ROS installation has."""

import math
import time

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Twist,
    Vector3,
)
from nav_msgs.msg import Path
from std_msgs.msg import Header
from trajectory_msgs.msg import MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint

from cem_planner_ros.configuration import configure
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.process import light_executor
from cem_planner_ros.ros.reference_input import ReferenceInput

tf2_ros = pytest.importorskip("tf2_ros")

NOW = 1000.0
QUARTER = math.sqrt(0.5)
"""Both parts of the quaternion of a quarter turn around z."""


def header(frame, time=0.0):
    return Header(frame_id=frame, stamp=Time(sec=int(time)))


def pose(frame, time=0.0, x=1.0):
    return PoseStamped(header=header(frame, time), pose=Pose(position=Point(x=x, z=2.0)))


def bodies(frame):
    points = [
        MultiDOFJointTrajectoryPoint(
            transforms=[Transform(translation=Vector3(x=1.0, z=2.0))],
            velocities=[Twist(linear=Vector3(x=3.0))],
            time_from_start=Duration(sec=seconds),
        )
        for seconds in (0, 5)
    ]
    return MultiDOFJointTrajectory(header=header(frame), joint_names=["base"], points=points)


def path(frame):
    return Path(header=header(frame), poses=[pose("", NOW + k, x=1.0) for k in (0.0, 5.0)])


KINDS = {
    "geometry_msgs/msg/PoseStamped": pose,
    "nav_msgs/msg/Path": path,
    "trajectory_msgs/msg/MultiDOFJointTrajectory": bodies,
}


class Bench:
    """The input of references of a node, a publisher for each, and a broadcaster of a frame."""

    def __init__(self, listener, talker, spin):
        self.spin, self.known = spin, {}
        values = {"planner.device": "cpu", "dynamics.plugin": "quadrotor", "costs": []}
        values["state.type"] = "std_msgs/msg/Float64MultiArray"
        self.publishers = {}
        for kind, make in KINDS.items():
            name = kind.rpartition("/")[2].lower()
            values["costs"].append(name)
            signals = ["x", "y", "z", "qw", "qx", "qy", "qz"]
            signals += ["x_dot", "y_dot"] if make is bodies else []
            cost = {"plugin": "track", "topic": name, "type": kind, "signals": signals}
            values |= {f"{name}.{key}": value for key, value in cost.items()}
            message = type(make(""))
            self.publishers[name] = talker.create_publisher(message, name, 1), make
        sources = configure(values).reference_sources
        self.frames = Frames(listener, "odom")
        self.input = ReferenceInput(listener, sources, self.frames, lambda: NOW, self._change)
        self.input.begin()
        self.broadcaster = tf2_ros.StaticTransformBroadcaster(talker)

    def _change(self, known):
        self.known = known

    def send(self, frame):
        for publisher, make in self.publishers.values():
            self.spin(publisher.get_subscription_count)
            publisher.publish(make(frame))

    def at(self, name):
        return self.known[name].at(np.array([NOW + 1.0]))[:, 0] if name in self.known else None

    def alerts(self):
        return [alert.text for alert in self.input.alerts()]

    def put_map(self, x):
        """Put the frame map at x, 5 m up, turned by a quarter."""
        made = TransformStamped(header=header("odom"), child_frame_id="map")
        made.transform.translation = Vector3(x=x, z=5.0)
        made.transform.rotation = Quaternion(z=QUARTER, w=QUARTER)
        self.broadcaster.sendTransform(made)


@pytest.fixture
def bench(context):
    nodes = [rclpy.create_node(name) for name in ("listener", "talker")]
    executor = light_executor()
    for node in nodes:
        executor.add_node(node)

    def spin(condition):
        end = time.monotonic() + 120.0
        while not condition():
            assert time.monotonic() < end, "timed out"
            executor.spin_once(timeout_sec=0.05)

    made = Bench(*nodes, spin)
    yield made
    made.input.destroy()
    made.frames.destroy()
    for node in nodes:
        executor.remove_node(node)
        node.destroy_node()
    executor.shutdown()


def test_poses_paths_and_trajectories_of_another_frame_are_followed_and_move_with_it(bench):
    bench.send("map")
    bench.spin(lambda: sum("cannot transform frame 'map'" in a for a in bench.alerts()) == 3)
    assert not bench.known
    for x in (10.0, -4.0):
        bench.put_map(x)
        bench.spin(
            lambda x=x: all(
                bench.at(name) is not None and abs(bench.at(name)[0] - x) < 1e-6
                for name in bench.publishers
            )
        )
        for name in bench.publishers:
            found = bench.at(name)
            np.testing.assert_allclose(found[:3], [x, 1.0, 7.0], atol=1e-9)
            np.testing.assert_allclose(found[3:7], [QUARTER, 0.0, 0.0, QUARTER], atol=1e-9)
        velocity = bench.at("multidofjointtrajectory")[7:]
        np.testing.assert_allclose(velocity, [0.0, 3.0], atol=1e-9)
    assert bench.input.facts()["reference posestamped"] == "followed"


def test_a_frame_that_nobody_knows_is_refused_with_the_reason(bench):
    bench.put_map(1.0)
    bench.send("nowhere")
    bench.spin(lambda: sum("'nowhere': LookupException" in a for a in bench.alerts()) == 3)
    assert not bench.known
