# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The costmap node: laser scans in, a local costmap out."""

from __future__ import annotations

import array
from collections import Counter, deque

from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import LaserScan

from cem_planner_ros.navigation.local_map import LocalMap
from cem_planner_ros.navigation.poses import Pose, compose, interpolate
from cem_planner_ros.plugins.parameter import READ_ONLY, Parameter
from cem_planner_ros.readers import MessageError, frame_name, stamp_of, state_reader
from cem_planner_ros.ros.declaring import declare
from cem_planner_ros.ros.messages import LATCHED

HISTORY = 2.0
"""Time for which odometry is kept, s."""

MAX_GAP = 0.5
"""Largest time between two poses of odometry for interpolating the pose of a scan, s."""

MAX_WAITING = 10
"""Largest number of scans that wait for odometry; then the oldest is dropped."""

TABLE = (
    Parameter(
        "size",
        200,
        "Number of cells along a side of the costmap.",
        low=8,
        high=2000,
        when=READ_ONLY,
    ),
    Parameter(
        "resolution",
        0.025,
        "Length of a cell's side.",
        unit="m",
        low=0.005,
        high=1.0,
        when=READ_ONLY,
    ),
    Parameter(
        "rate", 20.0, "Largest number of costmaps per second.", unit="Hz", low=0.1, high=1000.0
    ),
    Parameter("sensor.x", 0.0, "Position of the sensor on the robot, forward.", unit="m"),
    Parameter("sensor.y", 0.0, "Position of the sensor on the robot, to the left.", unit="m"),
    Parameter(
        "sensor.yaw", 0.0, "Direction of the sensor on the robot, counterclockwise.", unit="rad"
    ),
)
"""The parameters of the mapper node."""


class MapperNode(Node):
    """
    Makes a costmap around the robot from laser scans.

    In: `scan` and `odom`. Out: `costmap`, in the frame of the odometry and with the stamp of the
    newest scan in it. The pose of a scan is interpolated between poses of the odometry. A scan
    waits for the odometry of its time, and is dropped if there is none.
    """

    def __init__(self, **options):
        super().__init__("local_map", **options)
        value, _ = declare(self, TABLE)
        self._map = LocalMap(value["size"], value["resolution"])
        self._read_pose = state_reader("nav_msgs/msg/Odometry", {"x": "x", "y": "y", "yaw": "yaw"})
        self._poses: deque[tuple[float, Pose]] = deque()
        self._waiting: deque[tuple[float, LaserScan]] = deque()
        self._frame = ""
        self._due = 0.0
        self.dropped: Counter[str] = Counter()
        """Number of messages that could not be used, by cause."""
        topics = {"odometry": "odom", "scan": "scan"}
        self._names = {what: self.resolve_topic_name(topic) for what, topic in topics.items()}
        self._publisher = self.create_publisher(OccupancyGrid, "costmap", LATCHED)
        # Best effort works with reliable publishers and with best-effort sensors.
        heard = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Odometry, "odom", self._on_odometry, heard)
        self.create_subscription(LaserScan, "scan", self._on_scan, heard)
        self.get_logger().info(
            f"mapping 'scan' by 'odom' into 'costmap': {value['size']} x {value['size']} cells "
            f"of {value['resolution']:g} m"
        )

    def close(self) -> None:
        """Do nothing: the node has no threads."""

    def _on_odometry(self, message: Odometry) -> None:
        stamp = stamp_of(message)
        try:
            if stamp is None:
                raise MessageError("no stamp")
            x, y, yaw = map(float, self._read_pose(message))
        except MessageError as error:
            self._drop("odometry", str(error))
            return
        if self._poses and stamp < self._poses[-1][0]:
            self.get_logger().warning(
                "odometry went back in time: the costmap is started again",
                throttle_duration_sec=1.0,
            )
            self._map = LocalMap(self._map.size, self._map.resolution)
            self._poses.clear()
            self._waiting.clear()
            self._due = 0.0
        self._frame = frame_name(message.header.frame_id)
        self._poses.append((stamp, (x, y, yaw)))
        while self._poses[0][0] < stamp - HISTORY:
            self._poses.popleft()
        self._take_in()

    def _on_scan(self, message: LaserScan) -> None:
        stamp = stamp_of(message)
        if stamp is None:
            self._drop("scan", "no stamp")
            return
        self._waiting.append((stamp, message))
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._drop("scan", "no odometry came after the scan")
        self._take_in()

    def _take_in(self) -> None:
        """Add the scans whose odometry has come."""
        while self._waiting and self._poses and self._waiting[0][0] <= self._poses[-1][0]:
            stamp, scan = self._waiting.popleft()
            pose = interpolate(self._poses, stamp, MAX_GAP)
            if pose is None:
                self._drop("scan", "no odometry from before the scan")
                continue
            place = (self.get_parameter(f"sensor.{name}").value for name in ("x", "y", "yaw"))
            try:
                self._map.update(
                    compose(pose, tuple(place)),
                    scan.ranges,
                    scan.angle_min,
                    scan.angle_increment,
                    scan.range_min,
                    scan.range_max,
                )
            except ValueError as error:
                self._drop("scan", str(error))
                continue
            if stamp >= self._due:
                self._due = max(self._due + 1.0 / self.get_parameter("rate").value, stamp)
                self._publish(scan)

    def _publish(self, scan: LaserScan) -> None:
        message = OccupancyGrid()
        message.header.stamp = message.info.map_load_time = scan.header.stamp
        message.header.frame_id = self._frame
        message.info.resolution = self._map.resolution
        message.info.width = message.info.height = self._map.size
        message.info.origin.position.x, message.info.origin.position.y = self._map.origin
        message.info.origin.orientation.w = 1.0
        message.data = array.array("b", self._map.cells.tobytes())
        self._publisher.publish(message)

    def _drop(self, what: str, cause: str) -> None:
        cause = f"{what} on '{self._names[what]}' dropped: {cause}"
        self.dropped[cause] += 1
        if self.dropped[cause] == 1:
            self.get_logger().warning(f"{cause}; this is logged once")
