# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Stands in, in another process, for tf2_ros: it knows the transforms published on one topic."""

from geometry_msgs.msg import TransformStamped

TOPIC = "transforms"


class TransformException(Exception):  # noqa: N818
    pass


class Buffer:
    def __init__(self):
        self.known = {}

    def lookup_transform(self, target, source, time):
        try:
            return self.known[target, source]
        except KeyError as error:
            raise TransformException(f"no {source} in {target}") from error


class TransformListener:
    def __init__(self, buffer, node):
        def take(message):
            buffer.known[message.header.frame_id, message.child_frame_id] = message

        subscription = node.create_subscription(TransformStamped, TOPIC, take, 10)
        self.unregister = lambda: node.destroy_subscription(subscription)
