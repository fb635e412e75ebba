# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The speed limit of Nav2, received on a topic."""

from __future__ import annotations

import math
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.ros.any_durability import AnyDurabilitySubscription
from cem_planner_ros.ros.nav2_messages import nav2_type

LEAST = 1e-3
"""Smallest share of the full speed, because bounds of 0 are not allowed."""


class SpeedLimit:
    """
    Reduces the bounds of commands as nav2_msgs/msg/SpeedLimit says.

    As in Nav2, a limit (m/s or percent) multiplies the bounds of all commanded speeds, including
    the yaw rate, by the same share. A share above 1 counts as 1. A limit of 0 means no limit.

    Args:
        node: the node that subscribes.
        topic: the topic of the limit.
        changed: called when the limit has changed.

    Raises ConfigurationError if nav2_msgs is not installed.
    """

    def __init__(self, node: LifecycleNode, topic: str, changed: Callable[[], None]):
        self._node = node
        self._topic = topic
        self._changed = changed
        self._limit = (0.0, False)  # m/s, or percent.
        kind = nav2_type("msg", "SpeedLimit", "drive.follow_path")
        self._subscription = AnyDurabilitySubscription(node, kind, topic, self._on_limit)
        self._subscription.ask()

    def destroy(self) -> None:
        """Destroy the subscription."""
        self._subscription.destroy()

    def slowed(self, configuration: Configuration) -> Configuration:
        """Return a configuration with reduced bounds."""
        share = self._share(configuration)
        return configuration if share == 1.0 else configuration.slowed(share)

    def _share(self, configuration: Configuration) -> float:
        limit, is_percentage = self._limit
        if limit == 0.0:
            return 1.0
        if is_percentage:
            share = limit / 100.0
        else:
            model, values = configuration.dynamics, configuration.values
            names = {*model.forward_names, *model.sideways_names} & {*model.action_names}
            groups = [f"action.{side}.{name}" for side in ("low", "high") for name in names]
            fastest = max((abs(values[name]) for name in groups), default=0.0)
            share = limit / fastest if fastest > 0.0 else 1.0
        return min(max(share, LEAST), 1.0)

    def _on_limit(self, message) -> None:
        limit = message.speed_limit
        if not (math.isfinite(limit) and limit >= 0.0):
            self._node.get_logger().warning(
                f"speed limit on '{self._topic}' ignored: it is {limit}, expected a finite number "
                "of at least 0"
            )
            return
        if (limit, message.percentage) != self._limit:
            self._limit = (limit, message.percentage)
            unit = "%" if message.percentage else "m/s"
            text = f"speed limit: {limit:g} {unit}" if limit else "no speed limit"
            self._node.get_logger().info(text)
            self._changed()
