# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What each message type says of a reference, and which reference is known after which messages."""

import math
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import PoseStamped, Quaternion, Transform, Twist, TwistStamped, Vector3
from nav_msgs.msg import Path
from sensor_msgs.msg import JointState
from standin_node import StandInNode
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import (
    JointTrajectory,
    JointTrajectoryPoint,
    MultiDOFJointTrajectory,
    MultiDOFJointTrajectoryPoint,
)

from cem_planner_ros.configuration import configure
from cem_planner_ros.readers import quaternion
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.reference_input import ReferenceInput

NOW = 1000.0

POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")
FLIGHT = (*POSE, "x_dot", "y_dot", "z_dot")


class Bench:
    def __init__(self, kind, model="quadrotor", signals=POSE, **values):
        cost = {"plugin": "track", "topic": "wanted", "type": kind, "signals": list(signals)}
        self.configuration = configure(
            {
                "planner.device": "cpu",
                "dynamics.plugin": model,
                "state.type": "std_msgs/msg/Float64MultiArray",
                "costs": ["follow"],
                **{f"follow.{name}": value for name, value in (cost | values).items()},
            }
        )
        self.node = StandInNode()
        self.time = NOW
        self.known = {}
        configuration = self.configuration
        self.input = ReferenceInput(
            *(self.node, configuration.reference_sources, Frames(self.node, "odom")),
            *(lambda: self.time, self._change),
        )
        self.input.use(configuration.values)
        self.input.begin()

    def _change(self, known):
        self.known = known

    def send(self, message):
        self.node.take["/wanted"](message)

    def at(self, *times):
        return self.known["follow"].at(np.array(times))

    @property
    def problem(self):
        return "; ".join(alert.text for alert in self.input.alerts())


def header(time=0.0, frame=""):
    seconds, part = divmod(time, 1.0)
    return {"stamp": Time(sec=int(seconds), nanosec=round(1e9 * part)), "frame_id": frame}


def stamped(message, time=0.0, frame=""):
    for name, value in header(time, frame).items():
        setattr(message.header, name, value)
    return message


def after(seconds):
    whole = math.floor(seconds)
    return Duration(sec=whole, nanosec=round(1e9 * (seconds - whole)))


def pose(x, yaw=0.0, time=0.0, frame=""):
    message = stamped(PoseStamped(), time, frame)
    message.pose.position.x, message.pose.position.z = x, 2.0
    qx, qy, qz, qw = quaternion(0.0, 0.0, yaw)
    message.pose.orientation = Quaternion(x=qx, y=qy, z=qz, w=qw)
    return message


def joints(points, time=0.0, names=("elbow", "shoulder")):
    """A joint trajectory of (time from start, positions, velocities)."""
    return stamped(
        JointTrajectory(
            joint_names=list(names),
            points=[
                JointTrajectoryPoint(
                    time_from_start=after(seconds), positions=list(p), velocities=list(v)
                )
                for seconds, p, v in points
            ],
        ),
        time,
    )


def bodies(points, time=0.0, frame="", names=("base",), yaw=0.0):
    """A trajectory of (time from start, x, velocity along x) of each of some bodies."""
    qx, qy, qz, qw = quaternion(0.0, 0.0, yaw)
    rotation = Quaternion(x=qx, y=qy, z=qz, w=qw)
    made = []
    for seconds, *each in points:
        point = MultiDOFJointTrajectoryPoint(time_from_start=after(seconds))
        for x, speed in each:
            point.transforms.append(Transform(translation=Vector3(x=x), rotation=rotation))
            point.velocities.append(Twist(linear=Vector3(x=speed)))
        made.append(point)
    return stamped(MultiDOFJointTrajectory(joint_names=list(names), points=made), time, frame)


ARM = {"model": "planar_arm", "signals": ("shoulder", "elbow", "shoulder_dot")}
JOINT_TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
BODIES = "trajectory_msgs/msg/MultiDOFJointTrajectory"


# Each message type


def test_a_pose_is_a_set_point_in_three_dimensions():
    bench = Bench("geometry_msgs/msg/PoseStamped")
    bench.send(pose(1.5, yaw=0.6))
    expected = [1.5, 0.0, 2.0, math.cos(0.3), 0.0, 0.0, math.sin(0.3)]
    np.testing.assert_allclose(bench.at(NOW, NOW + 99.0), np.array([expected] * 2).T, atol=1e-12)
    assert bench.problem == ""


def test_what_is_not_followed_may_be_anything():
    bench = Bench("geometry_msgs/msg/PoseStamped", signals=["x", "z"])
    message = pose(1.5)
    message.pose.orientation = Quaternion(w=0.0)
    message.pose.position.y = math.nan
    bench.send(message)
    np.testing.assert_allclose(bench.at(NOW)[:, 0], [1.5, 2.0])
    assert bench.problem == ""


@pytest.mark.parametrize("is_stamped", [False, True])
def test_a_twist_is_a_velocity_command(is_stamped):
    kind = f"geometry_msgs/msg/Twist{'Stamped' if is_stamped else ''}"
    bench = Bench(kind, "diff_drive_lag", ("yaw_rate", "v"))
    twist = Twist(linear=Vector3(x=0.5), angular=Vector3(z=-0.2))
    bench.send(stamped(TwistStamped(twist=twist), NOW - 0.1) if is_stamped else twist)
    np.testing.assert_allclose(bench.at(NOW)[:, 0], [-0.2, 0.5])
    assert bench.known["follow"].source.velocities == [True, True]


def test_a_joint_state_is_read_by_its_names():
    bench = Bench("sensor_msgs/msg/JointState", **ARM)
    bench.send(JointState(name=["elbow", "shoulder"], position=[1.0, 2.0], velocity=[3.0, 4.0]))
    np.testing.assert_allclose(bench.at(NOW)[:, 0], [2.0, 1.0, 4.0])


def test_an_array_is_read_in_the_order_of_the_signals():
    bench = Bench("std_msgs/msg/Float64MultiArray", **ARM)
    bench.send(Float64MultiArray(data=[1.0, 2.0, 3.0]))
    np.testing.assert_allclose(bench.at(NOW)[:, 0], [1.0, 2.0, 3.0])
    assert bench.known["follow"].source.velocities == [False, False, True]


@pytest.mark.parametrize("begin", [0.0, NOW + 5.0])
def test_a_joint_trajectory_is_read_with_its_times(begin):
    bench = Bench(JOINT_TRAJECTORY, **ARM)
    bench.send(joints([(0.0, (0.0, 1.0), (0.0, 2.0)), (2.0, (0.0, 3.0), (0.0, 0.0))], begin))
    start = begin or NOW
    shoulder, _, speed = bench.at(start + 0.5, start + 1.0, start + 2.0, start + 3.0)
    np.testing.assert_allclose(shoulder, [1.5, 2.0, 3.0, 3.0])
    np.testing.assert_allclose(speed, [1.5, 1.0, 0.0, 0.0])


def test_a_trajectory_of_bodies_is_read_with_poses_and_velocities():
    bench = Bench(BODIES, signals=FLIGHT)
    bench.send(bodies([(1.0, (0.0, 1.0)), (3.0, (2.0, 1.0))], NOW, yaw=0.4))
    found = bench.at(NOW + 2.0, NOW + 4.0)
    np.testing.assert_allclose(found[0], [1.0, 2.0])
    np.testing.assert_allclose(found[3], math.cos(0.2))
    np.testing.assert_allclose(found[7], [1.0, 0.0])


def test_one_of_several_bodies_is_named_by_the_field():
    fields = {"fields.x": "x[right]", "signals": ["x"]}
    bench = Bench(BODIES, **fields)
    message = bodies([(0.0, (1.0, 0.0), (5.0, 0.0))], names=("left", "right"))
    bench.send(message)
    np.testing.assert_allclose(bench.at(NOW), 5.0)
    unnamed = Bench(BODIES, signals=["x"])
    unnamed.send(message)
    assert "joints left, right, expected fields that name one, as in x[left]" in unnamed.problem


def test_a_path_with_stamps_is_followed_in_time_and_height():
    bench = Bench("nav_msgs/msg/Path")
    bench.send(Path(poses=[pose(0.0, time=NOW + 1.0), pose(4.0, yaw=1.0, time=NOW + 3.0)]))
    x, _, z, w, *_ = bench.at(NOW + 1.5, NOW + 3.0)
    np.testing.assert_allclose(x, [1.0, 4.0])
    np.testing.assert_allclose(z, 2.0)
    np.testing.assert_allclose(w, [math.cos(0.125), math.cos(0.5)])


# What is refused, and what then holds


@pytest.mark.parametrize(
    ("kind", "options", "message", "reason"),
    [
        (
            "std_msgs/msg/Float64MultiArray",
            ARM,
            Float64MultiArray(data=[1.0, 2.0]),
            "2 values, expected at least 3",
        ),
        (
            "std_msgs/msg/Float64MultiArray",
            ARM,
            Float64MultiArray(data=[1.0, math.nan, 0.0]),
            "'elbow' is not finite",
        ),
        (
            "sensor_msgs/msg/JointState",
            ARM,
            JointState(name=["shoulder", "wrist"], position=[1.0, 2.0], velocity=[0.0, 0.0]),
            "no position[elbow]; there are the joints: shoulder, wrist",
        ),
        (
            JOINT_TRAJECTORY,
            ARM,
            joints([(0.0, (1.0, 1.0), ())]),
            "its points have no velocities, which shoulder_dot follows",
        ),
        (
            JOINT_TRAJECTORY,
            ARM,
            joints([(0.0, (1.0,), (1.0, 1.0))]),
            "1 values of position, expected one for each of the 2 joints",
        ),
        (
            JOINT_TRAJECTORY,
            ARM,
            joints([(t, (1.0, 1.0), (0.0, 0.0)) for t in (1.0, 2.0, 1.5)]),
            "its times do not ascend: point 3 is at 1.5 s, point 2 at 2 s",
        ),
        (
            JOINT_TRAJECTORY,
            ARM,
            joints([(0.0, (1.0, math.nan), (0.0, 0.0))]),
            "is not finite",
        ),
        (
            JOINT_TRAJECTORY,
            ARM,
            joints([(0.0, (1.0, 1.0), (0.0, 0.0)), (1.0, (1.0, 1.0), (0.0, 0.0))], NOW - 5.0),
            "it ends before it came",
        ),
        (BODIES, {}, bodies([(0.0, (math.nan, 0.0))]), "'x', the reference of x, is not finite"),
        (BODIES, {}, bodies([(0.0, (1e30, 0.0))]), "as large as 1e+30, expected at most 1e+09"),
        (
            *(BODIES, {"signals": ["x"], "fields.x": "x[base]"}),
            bodies([(0.0, (1.0, 0.0))], names=("base", "base")),
            "joint 'base' is named more than once",
        ),
        (BODIES, {}, bodies([(0.0,)]), "point 1 has 0 transforms, expected one for each of the 1"),
        (
            "geometry_msgs/msg/PoseStamped",
            {},
            PoseStamped(),
            None,
        ),
        (
            "nav_msgs/msg/Path",
            {},
            Path(poses=[pose(0.0), pose(1.0)]),
            "its poses have no stamps, expected one for each pose",
        ),
        (
            "nav_msgs/msg/Path",
            {},
            Path(poses=[pose(0.0, time=NOW, frame="a"), pose(1.0, time=NOW, frame="b")]),
            "its poses are in several frames: a, b",
        ),
        (
            "geometry_msgs/msg/PoseStamped",
            {},
            pose(1.0, frame="map"),
            "frame 'map' is not 'odom' (frame_id), and tf2_ros",
        ),
    ],
)
def test_what_cannot_be_used_is_ignored_with_the_reason(kind, options, message, reason):
    if reason is None:  # The default quaternion of ROS is that of no rotation; all zero is none.
        message.pose.orientation.w = 0.0
        reason = "its orientation is not a rotation"
    bench = Bench(kind, **options)
    bench.send(message)
    assert not bench.known
    assert f"reference on '/wanted' ignored: {reason}" in bench.problem or reason in bench.problem
    assert bench.input.facts()["references ignored follow"] == 1


def test_the_reference_before_a_wrong_message_stays_and_a_right_one_ends_the_problem():
    bench = Bench("std_msgs/msg/Float64MultiArray", **ARM)
    bench.send(Float64MultiArray(data=[1.0, 2.0, 0.0]))
    bench.send(Float64MultiArray(data=[9.0]))
    assert bench.at(NOW)[0] == 1.0
    assert "ignored" in bench.problem
    bench.send(Float64MultiArray(data=[3.0, 2.0, 0.0]))
    assert bench.at(NOW)[0] == 3.0
    assert bench.problem == ""


def test_a_trajectory_without_points_stops_at_what_the_reference_is_now():
    bench = Bench(JOINT_TRAJECTORY, **ARM)
    bench.send(joints([]))
    assert not bench.known
    bench.send(joints([(t, (0.0, 0.5 * t), (0.0, 0.5)) for t in (0.0, 4.0)]))
    bench.time += 1.0
    bench.send(joints([]))
    np.testing.assert_allclose(bench.at(NOW + 1.0, NOW + 3.0)[[0, 2]], [[0.5, 0.5], [0.0, 0.0]])


def test_the_way_to_a_trajectory_begins_at_the_reference_before_it():
    bench = Bench(JOINT_TRAJECTORY, **ARM)
    bench.send(joints([(t, (0.0, 0.5 * t), (0.0, 0.5)) for t in (0.0, 4.0)]))
    bench.time += 1.0
    bench.send(joints([(2.0, (0.0, 2.5), (0.0, 0.0))]))
    np.testing.assert_allclose(bench.at(NOW + 1.0, NOW + 2.0, NOW + 3.0)[0], [0.5, 1.5, 2.5])


# What diagnostics say


def test_what_is_missing_old_or_ended_is_said():
    bench = Bench("geometry_msgs/msg/Twist", "diff_drive_lag", ("v", "yaw_rate"), max_age=0.3)
    assert "no reference on '/wanted' yet: no message on '/wanted'" in bench.problem
    assert "expects geometry_msgs/Twist; 0 publishers" in bench.problem
    bench.send(Twist())
    assert bench.problem == ""
    assert bench.input.facts() == {"reference follow": "followed"}
    bench.time += 0.4
    assert "is 0.4 s old (max_age is 0.3 s): its velocities count as zero" in bench.problem
    bench.input.use(bench.configuration.changed({"follow.max_age": 0.5}).values)
    assert bench.problem == ""
    ends = Bench(JOINT_TRAJECTORY, **ARM)
    ends.send(joints([(1.0, (0.0, 0.0), (0.0, 0.0))]))
    assert ends.problem == ""
    ends.time += 2.0
    assert "has ended: its last point is held" in ends.problem


def test_a_body_of_the_model_is_held_where_its_file_has_it_until_a_pose_comes(tmp_path):
    pytest.importorskip("mujoco")
    file = tmp_path / "goal.xml"
    file.write_text(
        """<mujoco><worldbody><body name="goal" mocap="true"/><body><joint name="x" type="slide"/>
        <geom size="0.1"/></body></worldbody>
        <actuator><motor joint="x" ctrlrange="-1 1"/></actuator>
        </mujoco>"""
    )
    for kind, message in (
        ("geometry_msgs/msg/PoseStamped", pose(4.0, yaw=0.6)),
        (BODIES, bodies([(0.5, (4.0, 0.0), (1.0, 0.0))], names=("goal", "cup"), yaw=0.6)),
    ):
        values = {"dynamics.plugin": "mujoco", "dynamics.file": str(file), "costs": ["stay"]}
        values |= {"stay.plugin": "effort", "planner.device": "cpu"}
        sources = configure(
            values | {"dynamics.mocap_topics": [f"goal: wanted {kind}"]}
        ).reference_sources
        known, node = {}, StandInNode()
        inputs = ReferenceInput(node, sources, Frames(node, "odom"), lambda: NOW, known.update)
        inputs.begin()
        (alert,) = inputs.alerts()
        assert alert.text.endswith("; the pose of the file is held")
        assert inputs.facts() == {"reference mocap goal": "has not come"}
        node.take["/wanted"](message)
        assert inputs.facts() == {"reference mocap goal": "followed"}
        found = known["mocap goal"].at(np.array([NOW + 0.5]))[:, 0]
        turn = [math.cos(0.3), 0.0, 0.0, math.sin(0.3)]
        assert found[[0, *range(3, 7)]] == pytest.approx([4.0, *turn])


def test_a_stamp_of_the_past_makes_a_velocity_old_and_one_of_the_future_does_not_keep_it_new():
    bench = Bench("geometry_msgs/msg/TwistStamped", "diff_drive_lag", ("v", "yaw_rate"))
    bench.send(stamped(TwistStamped(), NOW - 3.0))
    assert "is 3.0 s old" in bench.problem
    bench.send(stamped(TwistStamped(), NOW + 99.0))
    assert bench.problem == ""
    bench.time += 1.0
    assert "is 1.0 s old" in bench.problem


def test_nothing_is_taken_over_while_inactive_and_all_is_forgotten_at_the_beginning():
    bench = Bench("std_msgs/msg/Float64MultiArray", **ARM)
    bench.send(Float64MultiArray(data=[1.0, 2.0, 0.0]))
    bench.input.end()
    bench.send(Float64MultiArray(data=[3.0, 2.0, 0.0]))
    assert bench.at(NOW)[0] == 1.0
    bench.input.begin()
    assert not bench.known
    bench.input.destroy()
    assert (bench.node.take, bench.node.timers) == ({}, [])


def test_where_a_topic_cannot_be_made_none_is_left_behind():
    node, bench = StandInNode(), Bench("std_msgs/msg/Float64MultiArray", **ARM)
    (source,) = bench.configuration.reference_sources.values()
    sources = {"one": source, "other": replace(source, topic="other")}
    subscribe = node.create_subscription

    def refuse(kind, topic, take, qos):
        if topic == "/other":
            raise ValueError("no such topic")
        return subscribe(kind, topic, take, qos)

    node.create_subscription = refuse
    with pytest.raises(ValueError, match="no such topic"):
        ReferenceInput(node, sources, Frames(node, "odom"), lambda: NOW, bench.known.update)
    assert (node.take, node.timers) == ({}, [])


# Frames


class Tf2:
    """Stands for tf2_ros, which is not there without a ROS installation."""

    class TransformException(Exception):  # noqa: N818
        pass

    def __init__(self):
        self.pose = None

    def Buffer(self):  # noqa: N802
        return self

    def TransformListener(self, buffer, node):  # noqa: N802
        return types.SimpleNamespace(unregister=lambda: None)

    def lookup_transform(self, target, source, time):
        if self.pose is None:
            raise Tf2.TransformException(f"no {source} in {target}")
        found = pose(*self.pose).pose
        transform = types.SimpleNamespace(translation=found.position, rotation=found.orientation)
        return types.SimpleNamespace(transform=transform)


def test_an_end_before_any_trajectory_is_no_reference_however_its_frame_moves(monkeypatch):
    tf2 = Tf2()
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    bench = Bench(BODIES, signals=FLIGHT)
    tf2.pose = (10.0, 0.0)
    bench.send(bodies([], frame="map"))
    tf2.pose = (11.0, 0.0)
    bench.node.timers[-1]()
    assert not bench.known
    assert "no reference on '/wanted' yet" in bench.problem


def test_a_pose_that_is_not_finite_in_the_frame_of_the_states_is_refused_once(monkeypatch):
    tf2 = Tf2()
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    bench = Bench("geometry_msgs/msg/PoseStamped", signals=["x"])
    bench.send(pose(5.0))
    message = pose(1.0, frame="map")
    message.pose.position.y = math.nan
    bench.send(message)
    assert "cannot transform frame 'map'" in bench.problem
    tf2.pose = (0.0, math.pi / 2)
    for _ in range(2):
        bench.node.timers[-1]()
        assert "'x', the reference of x, is not finite" in bench.problem
        assert bench.at(NOW) == 5.0
    bench.send(pose(1.0, frame="map"))
    assert bench.problem == ""


def test_poses_and_velocities_move_with_their_frame(monkeypatch):
    tf2 = Tf2()
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    bench = Bench(BODIES, signals=FLIGHT)
    bench.send(bodies([(0.0, (1.0, 3.0)), (2.0, (1.0, 3.0))], frame="map"))
    assert "cannot transform frame 'map'" in bench.problem
    assert not bench.known
    look = bench.node.timers[-1]
    for x in (10.0, 11.0):  # The frame is turned by a quarter, and lies 2 m high.
        tf2.pose = (x, math.pi / 2)
        look()
        found = bench.at(NOW + 1.0)[:, 0]
        half = math.cos(math.pi / 4)
        np.testing.assert_allclose(found[:7], [x, 1.0, 2.0, half, 0, 0, half], atol=1e-9)
        np.testing.assert_allclose(found[7:], [0.0, 3.0, 0.0], atol=1e-9)
    assert bench.problem == ""
