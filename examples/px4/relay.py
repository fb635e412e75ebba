# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Relay between the planner and PX4: odometry one way, thrust and body rates the other way.

PX4 has its world frame north-east-down (NED) and its body frame forward-right-down (FRD). ROS has
east-north-up (ENU) and forward-left-up (FLU) (REP 103). See docs/px4.md.
"""

from __future__ import annotations

import argparse
import importlib
from types import ModuleType

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray

GRAVITY = 9.81
"""m/s^2"""

ENU_FROM_NED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
FLIP = np.array([1.0, -1.0, -1.0])
"""From FRD to FLU, and back: y and z change their signs."""

HALF = np.sqrt(0.5)


def odometry(message) -> Odometry:
    """
    Return a VehicleOdometry as odometry in ENU and FLU.

    Raises ValueError if PX4 does not say in which frames position and velocity are, or if it knows
    no position, attitude or velocity, as before its estimator is ready.
    """
    place, q, velocity = (
        np.array(v, float) for v in (message.position, message.q, message.velocity)
    )
    rates = np.array(message.angular_velocity, float)
    if message.pose_frame not in (message.POSE_FRAME_NED, message.POSE_FRAME_FRD):
        raise ValueError(f"pose_frame is {message.pose_frame}, expected NED (1) or FRD (2)")
    if not all(np.isfinite(values).all() for values in (place, q, velocity, rates)):
        raise ValueError("position, attitude, velocity or rates are not known yet")
    turn = _enu_flu(q)
    if message.velocity_frame == message.VELOCITY_FRAME_BODY_FRD:
        in_body = FLIP * velocity
    elif message.velocity_frame in (message.VELOCITY_FRAME_NED, message.VELOCITY_FRAME_FRD):
        in_body = _matrix(turn).T @ ENU_FROM_NED @ velocity
    else:
        raise ValueError(f"velocity_frame is {message.velocity_frame}, expected 1, 2 or 3")
    result = Odometry(child_frame_id="base_link")
    result.header.frame_id = "odom"
    microseconds = message.timestamp_sample or message.timestamp
    seconds, rest = divmod(int(microseconds), 1_000_000)
    result.header.stamp = Time(sec=seconds, nanosec=1000 * rest)
    pose, twist = result.pose.pose, result.twist.twist
    for part, values in (
        (pose.position, ENU_FROM_NED @ place),
        (twist.linear, in_body),
        (twist.angular, FLIP * rates),
    ):
        part.x, part.y, part.z = map(float, values)
    orientation = pose.orientation
    orientation.w, orientation.x, orientation.y, orientation.z = map(float, turn)
    return result


def setpoints(px4: ModuleType, action, hover: float, microseconds: int) -> tuple:
    """
    Return OffboardControlMode and VehicleRatesSetpoint for an action of the model `quadrotor`.

    Args:
        px4: the module with the messages of PX4.
        action: thrust per mass (m/s^2) and rates about the axes of FLU (rad/s).
        hover: normalised thrust with which the vehicle hovers (MPC_THR_HOVER).
        microseconds: time of the messages.
    """
    thrust, *rates = (float(value) for value in action)
    mode = px4.OffboardControlMode()
    mode.timestamp = microseconds
    for name in ("position", "velocity", "acceleration", "attitude"):
        setattr(mode, name, False)
    mode.body_rate = True
    wanted = px4.VehicleRatesSetpoint()
    wanted.timestamp = microseconds
    wanted.roll, wanted.pitch, wanted.yaw = map(float, FLIP * rates)
    # Thrust points up, which is against the z axis of FRD.
    share = min(max(hover * thrust / GRAVITY, 0.0), 1.0)
    wanted.thrust_body = np.array([0.0, 0.0, -share], np.float32)
    return mode, wanted


def _enu_flu(q: np.ndarray) -> np.ndarray:
    """Return the quaternion (w, x, y, z) from FLU to ENU of one from FRD to NED."""
    return _product(_product(np.array([0.0, HALF, HALF, 0.0]), q), np.array([0.0, 1.0, 0.0, 0.0]))


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    vector = a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])
    return np.array([a[0] * b[0] - a[1:] @ b[1:], *vector])


def _matrix(q: np.ndarray) -> np.ndarray:
    """Return the rotation matrix of a quaternion (w, x, y, z) of any length."""
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


class Relay:
    """
    Passes odometry to the planner, and its commands to PX4.

    It repeats nothing: when the planner sends nothing, PX4 gets no setpoint, and its failsafe for a
    lost offboard link takes over (COM_OF_LOSS_T, COM_OBL_RC_ACT).

    Args:
        node: where the topics are made.
        px4: the module with the messages of PX4.
        hover: see `setpoints`.
    """

    def __init__(self, node: Node, px4: ModuleType, hover: float):
        self._node, self._px4, self._hover = node, px4, hover
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._odometry = node.create_publisher(Odometry, "odom", 1)
        self._mode = node.create_publisher(
            px4.OffboardControlMode, "/fmu/in/offboard_control_mode", newest
        )
        self._rates = node.create_publisher(
            px4.VehicleRatesSetpoint, "/fmu/in/vehicle_rates_setpoint", newest
        )
        node.create_subscription(
            px4.VehicleOdometry, "/fmu/out/vehicle_odometry", self.on_odometry, newest
        )
        node.create_subscription(Float64MultiArray, "thrust_and_rates", self.on_command, 1)

    def on_odometry(self, message) -> None:
        """Pass on odometry of PX4."""
        try:
            self._odometry.publish(odometry(message))
        except ValueError as error:
            self._node.get_logger().warning(f"odometry dropped: {error}", throttle_duration_sec=1.0)

    def on_command(self, message: Float64MultiArray) -> None:
        """Pass on a command of the planner."""
        if len(message.data) != 4 or not np.isfinite(message.data).all():
            self._node.get_logger().warning(
                f"command dropped: {list(message.data)}, expected thrust and three rates",
                throttle_duration_sec=1.0,
            )
            return
        now = self._node.get_clock().now().nanoseconds // 1000
        mode, rates = setpoints(self._px4, message.data, self._hover, now)
        self._mode.publish(mode)
        self._rates.publish(rates)


def main() -> None:
    """Relay until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--messages", default="px4_msgs.msg", help="module of the messages (default: %(default)s)"
    )
    parser.add_argument(
        "--hover", type=float, default=0.5, help="MPC_THR_HOVER of the vehicle (default: 0.5)"
    )
    options, others = parser.parse_known_args()
    if not 0.0 < options.hover < 1.0:
        parser.error(f"--hover is {options.hover}, expected a share of the thrust between 0 and 1")
    try:
        messages = importlib.import_module(options.messages)
    except ImportError as error:
        parser.error(
            f"--messages is {options.messages}, which cannot be imported ({error}): build px4_msgs "
            "of the branch of your PX4 release, and source its workspace"
        )
    rclpy.init(args=others)
    node = Node("px4_relay")
    try:
        Relay(node, messages, options.hover)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
