# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Publish a figure of eight with its times, for a quadrotor that follows it."""

import argparse
import contextlib

import numpy as np
import rclpy
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Quaternion, Transform, Twist, Vector3
from rclpy.qos import DurabilityPolicy, QoSProfile
from trajectory_msgs.msg import MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint


def eight(laps: int, period: float, size: float) -> tuple[np.ndarray, ...]:
    """
    Return times (n,), s, positions (n, 3), m, velocities (n, 3), m/s, and yaws (n,), rad.

    The first point comes after 3 s, so that there is time to fly there.
    """
    t = np.arange(0.0, laps * period, 0.1)
    phase = 2.0 * np.pi * t / period
    rate = 2.0 * np.pi / period
    x, y = size * np.sin(phase), 0.5 * size * np.sin(2.0 * phase)
    vx, vy = size * rate * np.cos(phase), size * rate * np.cos(2.0 * phase)
    z = 1.5 + 0.3 * np.sin(phase)
    vz = 0.3 * rate * np.cos(phase)
    yaw = 0.5 * np.sin(phase)
    return 3.0 + t, np.stack((x, y, z), 1), np.stack((vx, vy, vz), 1), yaw


def message(times, positions, velocities, yaws) -> MultiDOFJointTrajectory:
    """Return the trajectory as a message without a stamp: it begins when it comes."""
    result = MultiDOFJointTrajectory(joint_names=["base_link"])
    for time, place, velocity, yaw in zip(times, positions, velocities, yaws, strict=True):
        seconds, nanoseconds = divmod(round(1e9 * time), 10**9)
        half = 0.5 * yaw
        point = MultiDOFJointTrajectoryPoint(
            time_from_start=Duration(sec=seconds, nanosec=nanoseconds)
        )
        point.transforms = [
            Transform(
                translation=Vector3(x=place[0], y=place[1], z=place[2]),
                rotation=Quaternion(z=float(np.sin(half)), w=float(np.cos(half))),
            )
        ]
        point.velocities = [Twist(linear=Vector3(x=velocity[0], y=velocity[1], z=velocity[2]))]
        result.points.append(point)
    return result


def main() -> None:
    """Publish the trajectory, latched, until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--laps", type=int, default=3)
    parser.add_argument("--period", type=float, default=8.0, help="of a lap, s")
    parser.add_argument("--size", type=float, default=2.0, help="half of the length, m")
    arguments = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node("eight")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = node.create_publisher(MultiDOFJointTrajectory, "trajectory", latched)
    publisher.publish(message(*eight(arguments.laps, arguments.period, arguments.size)))
    node.get_logger().info("published the trajectory; Ctrl-C ends")
    with contextlib.suppress(KeyboardInterrupt):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
