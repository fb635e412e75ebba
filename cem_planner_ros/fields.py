# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The names of message fields in YAML files, such as `position[hinge]` or `angular.z`.

The node never assumes an order of fields: each state and action names its field. `state_defaults`
has the fields of states whose names say it all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cem_planner_ros.errors import did_you_mean

POSITION = ("x", "y", "z")
ANGLES = ("roll", "pitch", "yaw")
QUATERNION = ("qw", "qx", "qy", "qz")
WORLD = "world."
"""Prefix of a vector that is rotated from the body's frame into that of the header."""

TOPIC = r"(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*"
"""Pattern of a topic name (ROS 2 design: Topic and Service name mapping), without substitutions."""

JOINT_KINDS = ("position", "velocity", "effort")
"""What a joint state has of each joint."""

POINT_KINDS = {
    "position": "positions",
    "velocity": "velocities",
    "acceleration": "accelerations",
    "effort": "effort",
}
"""What a point of a joint trajectory has of each joint, and what the message calls it."""


@dataclass(frozen=True)
class Grammar:
    """The fields of a message type: a pattern, the same in words, and the names if few."""

    pattern: str
    words: str
    names: tuple[str, ...] = ()

    def match(self, field: str) -> re.Match[str] | None:
        """Return the match of a whole field; None if the message has no such field."""
        return re.fullmatch(self.pattern, field)

    def hint(self, field: str) -> str:
        """Return ", did you mean 'X'?" for the field that is closest to a wrong one, or ""."""
        _, bracket, joint = field.partition("[")
        known = [f"{name}{bracket}{joint}" for name in self.names] if bracket else self.names
        return did_you_mean(field, known)


_JOINT = r"((?:[^\[\]]|\[[^\[\]]*\])+)"
"""Pattern of the name of a joint, in which brackets come in pairs."""


def _joints(kinds: tuple[str, ...]) -> Grammar:
    listed = ", ".join(f"{kind}[JOINT]" for kind in kinds[:-1])
    return Grammar(
        rf"({'|'.join(kinds)})\[{_JOINT}\](?: *([+-]) *(\d*\.?\d+))?",
        f"{listed} or {kinds[-1]}[JOINT], with an offset where the zeros differ, as in "
        "position[JOINT] + 3.1416",
        kinds,
    )


def _named(names: Iterable[str], words: str) -> Grammar:
    names = tuple(names)
    return Grammar(rf"({'|'.join(map(re.escape, names))})", words, names)


def _vectors(*parts: str) -> tuple[str, ...]:
    return tuple(f"{part}.{axis}" for part in parts for axis in POSITION)


_POSE = (*POSITION, *ANGLES, *QUATERNION)

JOINT_STATE = _joints(JOINT_KINDS)
JOINT_TRAJECTORY = _joints(tuple(POINT_KINDS))
NUMBER = _named(["data"], "data")
MULTI_ARRAY = Grammar(r"data\[(\d{1,4})\]", "data[INDEX]")
POSE = _named(_POSE, "x, y, z, roll, pitch, yaw, or the unit quaternion qw, qx, qy, qz (qw >= 0)")
ODOMETRY = _named(
    (*_POSE, *_vectors("linear", "angular", "world.linear", "world.angular")),
    f"{POSE.words} of the pose in header.frame_id; linear.x|y|z or angular.x|y|z, the twist as it "
    "is in the message, which is in the body's frame child_frame_id; world.linear.x|y|z or "
    "world.angular.x|y|z, the twist rotated into header.frame_id",
)
IMU = _named(
    (
        *ANGLES,
        *QUATERNION,
        *_vectors("angular", "acceleration", "world.angular", "world.acceleration"),
    ),
    "roll, pitch, yaw, or the unit quaternion qw, qx, qy, qz (qw >= 0); angular.x|y|z or "
    "acceleration.x|y|z in the frame of the sensor; world.angular.x|y|z or "
    "world.acceleration.x|y|z, rotated by the orientation in the message",
)
TWIST = _named(_vectors("linear", "angular"), "linear.x|y|z or angular.x|y|z")
WRENCH = _named(_vectors("force", "torque"), "force.x|y|z or torque.x|y|z")
ACKERMANN = _named(
    ["speed", "steering_angle", "steering_angle_velocity", "acceleration", "jerk"],
    "speed, steering_angle, steering_angle_velocity, acceleration or jerk",
)

STATE_TYPES = {
    "sensor_msgs/msg/JointState": JOINT_STATE,
    "nav_msgs/msg/Odometry": ODOMETRY,
    "std_msgs/msg/Float64MultiArray": MULTI_ARRAY,
    "geometry_msgs/msg/PoseStamped": POSE,
    "geometry_msgs/msg/TwistStamped": TWIST,
    "sensor_msgs/msg/Imu": IMU,
}
"""Message types of states."""

COMMAND_TYPES = {
    "std_msgs/msg/Float64": NUMBER,
    "std_msgs/msg/Float64MultiArray": MULTI_ARRAY,
    "geometry_msgs/msg/Twist": TWIST,
    "geometry_msgs/msg/TwistStamped": TWIST,
    "geometry_msgs/msg/PoseStamped": POSE,
    "geometry_msgs/msg/Wrench": WRENCH,
    "geometry_msgs/msg/WrenchStamped": WRENCH,
    "sensor_msgs/msg/JointState": JOINT_STATE,
    "trajectory_msgs/msg/JointTrajectory": JOINT_TRAJECTORY,
    "ackermann_msgs/msg/AckermannDriveStamped": ACKERMANN,
}
"""Message types of commands."""

BODY_TRAJECTORY = Grammar(
    rf"({'|'.join(map(re.escape, (*_POSE, *TWIST.names)))})(?:\[{_JOINT}\])?",
    f"x, y, z, roll, pitch, yaw, qw, qx, qy, qz, {TWIST.words}, with [JOINT] behind it where the "
    "message has several joints",
    (*_POSE, *TWIST.names),
)

REFERENCE_TYPES = {
    "geometry_msgs/msg/PoseStamped": POSE,
    "geometry_msgs/msg/Twist": TWIST,
    "geometry_msgs/msg/TwistStamped": TWIST,
    "sensor_msgs/msg/JointState": JOINT_STATE,
    "trajectory_msgs/msg/JointTrajectory": JOINT_TRAJECTORY,
    "trajectory_msgs/msg/MultiDOFJointTrajectory": BODY_TRAJECTORY,
    "nav_msgs/msg/Path": POSE,
    "std_msgs/msg/Float64MultiArray": MULTI_ARRAY,
}
"""Message types of references."""

_SPEEDS = {
    **{"v": "linear.x", "yaw_rate": "angular.z", "pitch_rate": "angular.y"},
    **{"roll_rate": "angular.x"},
    **{f"v_{axis}": f"linear.{axis}" for axis in POSITION},
    **{f"w{axis}": f"angular.{axis}" for axis in POSITION},
}
"""Fields of a twist by the usual names of speeds in the frame of the body."""

PARTS: Mapping[str, Mapping[str, str]] = {
    "nav_msgs/msg/Odometry": {
        "position": "pose.pose.position",
        "orientation": "pose.pose.orientation",
        "linear": "twist.twist.linear",
        "angular": "twist.twist.angular",
    },
    "geometry_msgs/msg/PoseStamped": {
        "position": "pose.position",
        "orientation": "pose.orientation",
    },
    "sensor_msgs/msg/Imu": {
        "orientation": "orientation",
        "angular": "angular_velocity",
        "acceleration": "linear_acceleration",
    },
    "geometry_msgs/msg/Twist": {"linear": "linear", "angular": "angular"},
    "geometry_msgs/msg/TwistStamped": {"linear": "twist.linear", "angular": "twist.angular"},
    "geometry_msgs/msg/Wrench": {"force": "force", "torque": "torque"},
    "geometry_msgs/msg/WrenchStamped": {"force": "wrench.force", "torque": "wrench.torque"},
    "ackermann_msgs/msg/AckermannDriveStamped": {"": "drive"},
}
"""Where the parts of a rigid body, or other fields (""), stand in the messages of a type."""

IN_A_FRAME = ("nav_msgs/msg/Odometry", "geometry_msgs/msg/PoseStamped")
"""Types whose header names the frame of the state; that of others is a sensor's, or none."""


def part_of(field: str) -> tuple[str, str]:
    """Return the part of PARTS and the attribute in it of a field such as linear.x, x or qw."""
    part, _, axis = field.removeprefix(WORLD).rpartition(".")
    if not part and field in POSITION:
        part = "position"
    elif not part and field in (*ANGLES, *QUATERNION):
        part = "orientation"
    return part, axis


def free_bodies(state_names: Collection[str]) -> dict[str, str]:
    """
    Return {name: prefix} of the bodies whose whole pose is in the states of a model.

    A free joint NAME of MuJoCo has the states NAME_x to NAME_qz: its prefix is NAME_. A model of
    one rigid body has the states x to qz, with neither name nor prefix.
    """
    prefixes = [name.removesuffix("qw") for name in state_names if name.endswith("qw")]
    return {
        prefix.removesuffix("_"): prefix
        for prefix in prefixes
        if all(f"{prefix}{part}" in state_names for part in (*POSITION, *QUATERNION))
    }


def word(name: str) -> str:
    """Return a name as a part of a topic: what a topic may not have becomes an underscore."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def ball_joints(state_names: Collection[str]) -> list[str]:
    """Return the ball joints of MuJoCo: NAME whose attitude is in the states, but no position."""
    free = free_bodies(state_names).values()
    prefixes = [name.removesuffix("qw") for name in state_names if name.endswith("_qw")]
    return [prefix.removesuffix("_") for prefix in prefixes if prefix not in free]


def state_defaults(
    type_name: str, state_names: Collection[str], given: Collection[str] = (), body: str = ""
) -> dict[str, str]:
    """
    Return {state: field} for the states whose names say which field of a message type they are.

    In a JointState, the states NAME and NAME_dot are position[NAME] and velocity[NAME], unless one
    of the two is given another field. Odometry is all of a free joint: NAME_x to NAME_qz are its
    pose, NAME_x_dot to NAME_z_dot its linear velocity in the world, NAME_wx to NAME_wz its angular
    velocity in the body's frame, as MuJoCo defines the speeds of a free joint. A PoseStamped is the
    first seven of them. An Imu is all of a ball joint: NAME_qw to NAME_qz are its orientation, and
    NAME_wx to NAME_wz its angular velocity in the body's frame. In a Float64MultiArray, data[i] is
    state number i.

    Args:
        type_name: the message type.
        state_names: names of the states of the model, in order.
        given: states whose field is given.
        body: the free joint, of an Imu the ball joint, that the message measures; if empty, the
            only one.
    """
    grammar = STATE_TYPES[type_name]
    bodies = free_bodies(state_names)
    if grammar is MULTI_ARRAY:
        return {name: f"data[{index}]" for index, name in enumerate(state_names)}
    if grammar is JOINT_STATE:
        free = {f"{prefix}{axis}" for prefix in bodies.values() for axis in POSITION}
        pairs = [(name, f"{name}_dot") for name in state_names if name not in free]
        return {
            state: field
            for position, speed in pairs
            if speed in state_names and not {position, speed} & set(given)
            for state, field in (
                (position, f"position[{position}]"),
                (speed, f"velocity[{position}]"),
            )
        }
    if grammar is IMU:
        bodies = {joint: f"{joint}_" for joint in ball_joints(state_names)}
    if body not in bodies:
        body = next(iter(bodies)) if len(bodies) == 1 and not body else ""
    if body not in bodies or not (grammar is IMU or type_name in IN_A_FRAME):
        return {}
    prefix = bodies[body]
    found = {f"{prefix}{field}": field for field in (*POSITION, *QUATERNION)}
    if grammar is IMU:
        found |= {f"{prefix}w{axis}": f"angular.{axis}" for axis in POSITION}
    if grammar is ODOMETRY:
        found |= {f"{prefix}{axis}_dot": f"{WORLD}linear.{axis}" for axis in POSITION}
        found |= {f"{prefix}w{axis}": f"angular.{axis}" for axis in POSITION}
    return {state: field for state, field in found.items() if state in state_names}


def reference_defaults(type_name: str, signals: Collection[str]) -> dict[str, str]:
    """
    Return {signal: field} for the signals whose names say which field of a reference they are.

    In joint states and joint trajectories, NAME is position[NAME], and NAME_dot velocity[NAME]. In
    poses, a name that is x, y, z, roll, pitch, yaw or qw to qz, or ends with an underscore and one
    of these, is that field. In twists, v, v_x, v_y, v_z, roll_rate, pitch_rate, yaw_rate and wx,
    wy, wz are, likewise, speeds in the frame of the body. A trajectory of a body has both, and
    x_dot, y_dot, z_dot are its linear velocity. In a Float64MultiArray, data[i] is signal number i.
    """
    grammar = REFERENCE_TYPES[type_name]
    if grammar is MULTI_ARRAY:
        return {name: f"data[{index}]" for index, name in enumerate(signals)}
    if grammar in (JOINT_STATE, JOINT_TRAJECTORY):
        return {
            name: f"velocity[{name.removesuffix('_dot')}]"
            if name.endswith("_dot")
            else f"position[{name}]"
            for name in signals
        }
    known: dict[str, str] = {}
    if grammar is not TWIST:
        known |= {field: field for field in _POSE}
    if grammar is not POSE:
        known |= _SPEEDS
    if grammar is BODY_TRAJECTORY:
        known |= {f"{axis}_dot": f"linear.{axis}" for axis in POSITION}
    found = {}
    for name in signals:
        words = [word for word in known if name == word or name.endswith(f"_{word}")]
        if words:
            found[name] = known[max(words, key=len)]
    return found


def is_velocity(signal: str, field: str) -> bool:
    """
    Return whether a field of a reference is a velocity.

    A field of a Float64MultiArray says nothing, so the name of the signal does: NAME_dot, and the
    names of speeds of `reference_defaults`.
    """
    if MULTI_ARRAY.match(field):
        is_speed = reference_defaults("geometry_msgs/msg/Twist", [signal])
        return signal.endswith("_dot") or bool(is_speed)
    return field.startswith(("velocity[", "linear.", "angular."))
