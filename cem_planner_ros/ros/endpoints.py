# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The publishers and subscribers of topics, from the ROS graph, as texts for messages.

Message types are strings such as sensor_msgs/msg/JointState. Topics are resolved names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rclpy.node import Node


def short(name: str) -> str:
    """Return the short name of a message type, such as sensor_msgs/JointState."""
    return name.replace("/msg/", "/")


def publishers(node: Node, topic: str, kind: str) -> str:
    """Return the number of publishers of a type on a topic, and of other types."""
    return _counts(node.get_publishers_info_by_topic(topic), kind, "publisher")


def subscribers(node: Node, topic: str, kind: str) -> str:
    """Return the number of subscribers of a type on a topic, and of other types."""
    return _counts(node.get_subscriptions_info_by_topic(topic), kind, "subscriber")


def has_subscriber(node: Node, topic: str, kind: str) -> bool:
    """Return whether a topic has a subscriber of a message type."""
    return any(info.topic_type == kind for info in node.get_subscriptions_info_by_topic(topic))


def other_publishers(node: Node, topic: str, own: int = 0) -> list[str]:
    """Return the full names of the nodes that publish on a topic, without `own` of `node`."""
    names = [_full_name(info) for info in node.get_publishers_info_by_topic(topic)]
    for _ in range(own):  # Another node may have the same name.
        if node.get_fully_qualified_name() in names:
            names.remove(node.get_fully_qualified_name())
    return sorted(names)


def several(node: Node, topic: str, what: str, own: int = 0) -> str:
    """
    Return a text about unexpected publishers on a topic; "" if there are none.

    Args:
        node: the node that asks the graph.
        topic: resolved name.
        what: what is published, such as "states".
        own: number of publishers of `node` itself; if 0, one other publisher is expected.
    """
    others = other_publishers(node, topic, own)
    if len(others) <= (0 if own else 1):
        return ""
    return f"{'other' if own else 'several'} nodes publish {what} on '{topic}': {', '.join(others)}"


def other_topics(node: Node, topic: str, kind: str) -> list[str]:
    """Return the other topics on which a type of message is published."""
    return sorted(
        name
        for name, types in node.get_topic_names_and_types()
        if kind in types and name != topic and node.count_publishers(name)
    )


def nothing_on(node: Node, topic: str, kind: str) -> str:
    """Return a text that no message came on a topic, and what is there instead."""
    text = f"no message on '{topic}' (expects {short(kind)}; {publishers(node, topic, kind)})"
    others = other_topics(node, topic, kind)
    return text + (f"; {short(kind)} comes on {_list(others)}" if others else "")


def _list(topics: list[str], most: int = 3) -> str:
    shown = ", ".join(f"'{topic}'" for topic in topics[:most])
    return shown + (f" and {len(topics) - most} more" if len(topics) > most else "")


def _full_name(info) -> str:
    if info.node_name == "_NODE_NAME_UNKNOWN_":  # It has just come, or is about to go.
        return "a node without a name yet"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _counts(infos: Iterable, kind: str, what: str) -> str:
    counts = Counter(info.topic_type for info in infos)
    right = counts.pop(kind, 0)
    words = [f"{right} {what}{'' if right == 1 else 's'}"]
    return ", ".join(words + [f"{n} of {short(other)}" for other, n in sorted(counts.items())])
