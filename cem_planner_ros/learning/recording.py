# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Drives a plant without ROS, and writes bags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import JOINT_STATE, STATE_TYPES
from cem_planner_ros.learning.task import Task
from cem_planner_ros.readers import offsets
from cem_planner_ros.simulation.plants import Plant

DEFINITIONS = {
    "ackermann_msgs/msg/AckermannDrive": (
        "float32 steering_angle\nfloat32 steering_angle_velocity\nfloat32 speed\n"
        "float32 acceleration\nfloat32 jerk"
    ),
    "ackermann_msgs/msg/AckermannDriveStamped": (
        "std_msgs/Header header\nackermann_msgs/AckermannDrive drive"
    ),
}
"""Fields of messages that rosbags does not know."""

Act = Callable[[np.ndarray, float], np.ndarray]
"""A function of state (nx,) and time, s, that returns the action (nu,)."""


def drive(plant: Plant, order: list[int], act: Act, seconds: float, period: float):
    """
    Yield (time, state, action) of each period, with the plant's states in `order`.

    The action is held over the period that begins at the time.
    """
    for tick in range(round(seconds / period)):
        time = tick * period
        state = plant.state()[order]
        action = act(state, time)
        yield time, state, action
        plant.step(action, period)


class BagWriter:
    """
    Writes states and commands as rosbag2; a context manager.

    `write` writes received messages of any type. `state` and `command` make messages of the types
    JointState and Float64MultiArray, for a task with one topic of the state.

    Args:
        folder: folder to be made.
        task: topics, types and fields.
        mcap: whether the storage is MCAP; otherwise it is SQLite.

    Raises ConfigurationError if rosbags is not installed.
    """

    def __init__(self, folder: Path, task: Task, mcap: bool = True):
        try:
            from rosbags.rosbag2 import StoragePlugin, Writer
            from rosbags.typesys import Stores, get_types_from_msg, get_typestore
        except ImportError as error:
            raise ConfigurationError(
                f"writing bags needs rosbags (pip install rosbags): {error}"
            ) from error
        self._store = get_typestore(Stores.ROS2_JAZZY)
        for name, definition in DEFINITIONS.items():
            self._store.register(get_types_from_msg(definition, name))
        storage = StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3
        self._writer = Writer(folder, version=9, storage_plugin=storage)
        self._task = task
        self._entries = []
        if STATE_TYPES.get(task.types.get("state", "")) is JOINT_STATE:
            fields = task.fields["state"].values()
            self._entries = [JOINT_STATE.match(field).groups() for field in fields]
        self._joints = list(dict.fromkeys(joint for _, joint, *_ in self._entries))
        self._added = offsets(self._entries)

    def __enter__(self):
        self._writer.open()
        self._connections = {
            channel: self._writer.add_connection(
                "/" + topic.strip("~/"), self._task.types[channel], typestore=self._store
            )
            for channel, topic in self._task.topics.items()
        }
        return self

    def __exit__(self, *reason):
        self._writer.close()

    def state(self, time: float, state: np.ndarray, arrival: float | None = None) -> None:
        """Write a state (nx,) of a time, s, which arrived at `arrival`, or at that time."""
        types = self._store.types
        rows = {kind: np.zeros(len(self._joints)) for kind in ("position", "velocity", "effort")}
        for (kind, joint, *_), value in zip(self._entries, state - self._added, strict=True):
            rows[kind][self._joints.index(joint)] = value
        seconds, nanoseconds = divmod(round(1e9 * time), 10**9)
        stamp = types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="")
        message = types["sensor_msgs/msg/JointState"](header=header, name=self._joints, **rows)
        self._made("state", time if arrival is None else arrival, message)

    def command(self, time: float, action: np.ndarray) -> None:
        """Write an action (nu,) that was sent at a time, s."""
        types = self._store.types
        layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
        data = np.asarray(action, np.float64)
        message = types["std_msgs/msg/Float64MultiArray"](layout=layout, data=data)
        self._made("command", time, message)

    def _made(self, channel: str, time: float, message) -> None:
        self.write(channel, time, bytes(self._store.serialize_cdr(message, message.__msgtype__)))

    def write(self, channel: str, time: float, raw: bytes) -> None:
        """Write a CDR message of a channel of the task that came at a time, s."""
        self._writer.write(self._connections[channel], round(1e9 * time), raw)
