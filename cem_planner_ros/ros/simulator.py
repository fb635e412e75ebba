# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The simulator node: a plant that publishes states and takes commands in real time."""

from __future__ import annotations

import array
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from geometry_msgs.msg import Vector3
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Imu, LaserScan, PointCloud2
from std_msgs.msg import Bool

from cem_planner_ros.configuration import NODE_NAME, load_yaml
from cem_planner_ros.configuration.table import TABLE as PLANNER_TABLE
from cem_planner_ros.fields import word
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.paths import find
from cem_planner_ros.plugins.parameter import with_entries
from cem_planner_ros.readers import MessageError, command_reader
from cem_planner_ros.ros import endpoints
from cem_planner_ros.ros.alerts import Alert, Alerts
from cem_planner_ros.ros.declaring import declare
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.messages import LATCHED, message_class, state_writer
from cem_planner_ros.ros.moving_obstacles_input import moving_obstacles_message
from cem_planner_ros.ros.reference_input import ReferenceInput
from cem_planner_ros.ros.simulator_table import TABLE, USED_BY
from cem_planner_ros.simulation import worlds
from cem_planner_ros.simulation.plants import (
    IMU_FIELDS,
    IMU_TYPE,
    ODOMETRY_FIELDS,
    MujocoPlant,
    Plant,
    model_plant,
)
from cem_planner_ros.simulation.robot import LIDAR, SCAN_RATE, RobotPlant

MAX_CATCH_UP = 0.1
"""Longest plant time of one step, s; a longer delay is not made up for."""

LOOK_FOR_OTHERS = 1.0
"""Time between two looks for other publishers on the topics, s."""


class SimulatorNode(Node):
    """
    Simulates a plant in real time, on the steady clock.

    The body of a free joint is pushed by the impulses (N s, in the world) on the topic `push`, or
    `push/JOINT` with several free joints. A plant with physics also publishes `touched`, which
    stays true after something other than the ground was touched. A robot in a world publishes
    `scan`, and `moving_obstacles` where pedestrians walk.

    Raises ConfigurationError if the plant cannot be made.
    """

    def __init__(self, **options):
        super().__init__("simulator", **options)
        torch.set_num_threads(1)
        value, given = declare(self, TABLE)
        self._warn_of_unused(value, given)
        planner: Mapping[str, Any] = {}
        if value["planner_file"]:
            planner = load_yaml(value["planner_file"], NODE_NAME, self.get_namespace())
        self._plant = _make_plant(value, planner)
        self._robot = self._plant if isinstance(self._plant, RobotPlant) else None
        self._period = 1.0 / value["rate"]
        self._factor = value["real_time_factor"]
        self._random = np.random.default_rng(value["seed"])
        self._on_the_way: deque[tuple[float, Publisher, object]] = deque()
        self._action = self._plant.idle
        self._commanded = -np.inf
        self._last = time.monotonic()
        self._next_scan = 0.0
        self._restarts = 0
        self._touched: tuple[str, ...] = ()
        state_topic, command_topic = (
            self._topic(side, value, planner) for side in ("state", "command")
        )
        self._advertise(state_topic, planner)
        self._references: Mapping[str, Reference] = {}
        self._reference_input = self._follow(planner)
        self._listen(command_topic)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(self._period, self._step, clock=steady)
        self._topics = [self.resolve_topic_name(name) for name in (state_topic, command_topic)]
        self._alerts = Alerts(self.get_logger())
        self.create_timer(LOOK_FOR_OTHERS, self._look_for_others, clock=steady)
        published = [self._publisher, *self._odometry.values(), *self._imus.values()]
        named = ", ".join(f"'{publisher.topic_name}'" for publisher in published)
        self.get_logger().info(
            f"simulating {value['plant']}: {value['rate']:g} states per second on {named}, "
            f"commands from '{self.resolve_topic_name(command_topic)}'"
        )

    def _warn_of_unused(self, value: Mapping[str, Any], given: set[str]) -> None:
        for name in sorted(given & USED_BY.keys()):
            if value["plant"] not in USED_BY[name]:
                self.get_logger().warning(
                    f"the parameter '{name}' is ignored: it is for the plant "
                    f"{' or '.join(USED_BY[name])}, and plant is {value['plant']}"
                )

    def _advertise(self, state_topic: str, planner: Mapping[str, Any]) -> None:
        """Make the publishers of the plant, and what writes their messages."""
        plant = self._plant
        self._write = state_writer(plant.state_type, plant.state_fields)
        self._publisher = self.create_publisher(message_class(plant.state_type), state_topic, 1)
        self._odometry = {
            joint: self.create_publisher(Odometry, topic, 1)
            for joint, topic in self._odometry_topics(planner).items()
        }
        balls = plant.ball_joints if isinstance(plant, MujocoPlant) else {}
        self._imus = {joint: self.create_publisher(Imu, f"imu/{word(joint)}", 1) for joint in balls}
        self._write_odometry, self._write_imu = (
            state_writer(kind, {field: field for field in fields})
            for kind, fields in ((RobotPlant.state_type, ODOMETRY_FIELDS), (IMU_TYPE, IMU_FIELDS))
        )
        if self._robot is not None:
            self._scan_publisher = self.create_publisher(LaserScan, "scan", 5)
            self._moving_publisher = None
            if self._robot.has_pedestrians:
                self._moving_publisher = self.create_publisher(PointCloud2, "moving_obstacles", 1)
        if hasattr(plant, "touched"):
            self._touched_publisher = self.create_publisher(Bool, "touched", LATCHED)
            self._touched_publisher.publish(Bool(data=False))

    def _listen(self, command_topic: str) -> None:
        """Subscribe to the commands, and to pushes of the bodies of free joints."""
        kind = self._plant.command_type
        self._read = command_reader(kind, self._plant.command_fields)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self.create_subscription(message_class(kind), command_topic, self._on_command, newest)
        if isinstance(self._plant, MujocoPlant):
            for joint in self._odometry:
                topic = "push" if len(self._odometry) == 1 else f"push/{word(joint)}"
                self.create_subscription(Vector3, topic, partial(self._push, joint), 10)

    def _topic(self, side: str, value: Mapping[str, Any], planner: Mapping[str, Any]) -> str:
        """Return the topic of "state" or "command"; warn if the planner uses another one."""
        its_own = getattr(self._plant, f"{side}_topic")
        if not planner:
            return value[f"{side}_topic"] or its_own
        usual = {parameter.name: parameter.default for parameter in PLANNER_TABLE}
        wanted, kind = (
            planner.get(f"{side}.{part}", usual[f"{side}.{part}"]) for part in ("topic", "type")
        )
        if wanted.startswith("~/"):
            wanted = f"{self.get_namespace().rstrip('/')}/{NODE_NAME}/{wanted[2:]}"
        if side == "state" and wanted in self._odometry_topics(planner).values():
            return value["state_topic"] or its_own
        topic = value[f"{side}_topic"] or wanted
        if self.resolve_topic_name(topic) != self.resolve_topic_name(wanted):
            self.get_logger().warning(
                f"{side}_topic is '{topic}', but {side}.topic of the planner in "
                f"{value['planner_file']} is '{wanted}'"
            )
        if kind != getattr(self._plant, f"{side}_type"):
            self.get_logger().warning(
                f"{side}.type of the planner in {value['planner_file']} is {kind}, but the plant's "
                f"is {getattr(self._plant, f'{side}_type')}: they do not meet"
            )
        return topic

    def _follow(self, planner: Mapping[str, Any]) -> ReferenceInput | None:
        """Subscribe to the topics that move mocap bodies; None without any."""
        if not isinstance(self._plant, MujocoPlant) or not self._plant.reference_sources:
            return None

        def use(references: Mapping[str, Reference]) -> None:
            self._references = references

        frames = Frames(self, planner.get("frame_id", "odom"))
        found = ReferenceInput(self, self._plant.reference_sources, frames, self._stamp, use)
        found.begin()
        return found

    def _stamp(self) -> float:
        """Return ROS time, s."""
        return self.get_clock().now().nanoseconds * 1e-9

    def close(self) -> None:
        """Do nothing: the node has no threads."""

    def _look_for_others(self) -> None:
        """Warn if another plant, or several planners, publish on the topics of this node."""
        states, commands = self._topics
        found = {
            "plants": endpoints.several(self, states, "states", own=1),
            "planners": endpoints.several(self, commands, "commands"),
        }
        alerts = [Alert(cause, text) for cause, text in found.items() if text]
        if self._reference_input is not None:
            alerts += self._reference_input.alerts()
        self._alerts.update(alerts, time.monotonic())

    def _on_command(self, message) -> None:
        try:
            action = self._read(message)
        except MessageError as error:
            self.get_logger().warning(f"command dropped: {error}", throttle_duration_sec=1.0)
            return
        if not np.isfinite(action).all():
            self.get_logger().warning("command dropped: not finite", throttle_duration_sec=1.0)
            return
        self._action = action
        self._commanded = time.monotonic()

    def _push(self, joint: str, message: Vector3) -> None:
        impulse = np.array([message.x, message.y, message.z])
        if not np.isfinite(impulse).all():
            self.get_logger().warning("push dropped: not finite")
            return
        self._plant.push(joint, impulse)

    def _step(self) -> None:
        now = time.monotonic()
        elapsed = min(now - self._last, MAX_CATCH_UP / self._factor)
        self._last = now
        timeout = self.get_parameter("command_timeout").value
        action = self._action if now - self._commanded <= timeout else self._plant.idle
        noise = self.get_parameter("process_noise").value
        action = action + noise * self._plant.action_range * self._random.standard_normal(
            len(action)
        )
        if self._reference_input is not None:
            self._plant.move(self._references, self._stamp())
        self._plant.step(action, elapsed * self._factor)
        stamp = self.get_clock().now().to_msg()
        due = now + self.get_parameter("latency").value
        message = self._write(self._plant.state(), stamp, "odom")
        self._on_the_way.append((due, self._publisher, message))
        for joint, publisher in self._odometry.items():
            message = self._write_odometry(self._plant.odometry(joint), stamp, "odom")
            message.child_frame_id = self._plant.free_joints[joint]
            self._on_the_way.append((due, publisher, message))
        for joint, publisher in self._imus.items():
            frame = self._plant.ball_joints[joint]
            message = self._write_imu(self._plant.attitude(joint), stamp, frame)
            message.linear_acceleration_covariance[0] = -1.0  # It is not measured.
            self._on_the_way.append((due, publisher, message))
        if self._robot is not None and self._robot.time >= self._next_scan:
            self._next_scan = max(self._next_scan + 1.0 / SCAN_RATE, self._robot.time)
            self._on_the_way.append((due, self._scan_publisher, self._scan(stamp)))
            if self._moving_publisher is not None:
                message = moving_obstacles_message(*self._robot.moving_obstacles())
                message.header.stamp, message.header.frame_id = stamp, "odom"
                self._on_the_way.append((due, self._moving_publisher, message))
        self._publish_touched()
        self._tell_restart()
        while self._on_the_way and self._on_the_way[0][0] <= now:
            _, publisher, message = self._on_the_way.popleft()
            publisher.publish(message)

    def _odometry_topics(self, planner: Mapping[str, Any]) -> dict[str, str]:
        """
        Return {free joint: topic} of a MuJoCo model.

        The topic is odom, or the state topic of a planner that reads odometry; with several free
        joints it is odom/JOINT.
        """
        joints = self._plant.free_joints if isinstance(self._plant, MujocoPlant) else {}
        if len(joints) != 1:
            return {joint: f"odom/{word(joint)}" for joint in joints}
        reads_odometry = planner.get("state.type") == RobotPlant.state_type
        topic = planner.get("state.topic") if reads_odometry else None
        return dict.fromkeys(joints, topic or "odom")

    def _scan(self, stamp) -> LaserScan:
        message = LaserScan(**LIDAR, scan_time=1.0 / SCAN_RATE)
        message.header.stamp = stamp
        message.header.frame_id = "lidar"
        ranges = self._robot.scan()
        message.angle_max = LIDAR["angle_min"] + LIDAR["angle_increment"] * (len(ranges) - 1)
        message.ranges = array.array("f", ranges.astype(np.float32).tobytes())
        return message

    def _publish_touched(self) -> None:
        touched = getattr(self._plant, "touched", ())
        if touched != self._touched:
            self._touched = touched
            self.get_logger().warning(f"the robot touched {self._touched[-1]}")
            self._touched_publisher.publish(Bool(data=True))

    def _tell_restart(self) -> None:
        restarts = getattr(self._plant, "restarts", 0)
        if restarts != self._restarts:
            self._restarts = restarts
            self.get_logger().error(
                "the simulation became unstable and began again: give the model_file a smaller "
                'timestep or integrator="implicitfast", or send smaller commands',
                throttle_duration_sec=1.0,
            )


def _make_plant(value: Mapping[str, Any], planner: Mapping[str, Any]) -> Plant:
    if value["plant"] == "mujoco":
        file, topics, mocap = find(value["model_file"]), value["mocap_topics"], []
        of_planner = planner.get("dynamics.file", "")
        if of_planner and find(of_planner) == file:
            given = with_entries(with_entries(planner, "dynamics.mocap"), "dynamics.mocap_topics")
            mocap = given.get("dynamics.mocap", [])
            topics = topics or given.get("dynamics.mocap_topics", [])
        allowed = planner.get("dynamics.allow_missing_meshes", False)
        return MujocoPlant(file, value["start"], mocap, topics, allow_missing_meshes=allowed)
    if value["plant"] == "robot":
        world = worlds.load(value["world"], value["seed"])
        return RobotPlant(world, value["seed"], value["range_noise"])
    return model_plant(planner, value["planner_file"], value["start"])
