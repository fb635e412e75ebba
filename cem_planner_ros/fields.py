"""
The names of message fields in YAML files, such as `position[hinge]` or `angular.z`.

The node never assumes an order of fields: each state and action names its field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Grammar:
    """The fields of a message type: a pattern, and the same in words."""

    pattern: str
    words: str

    def match(self, field: str) -> re.Match[str] | None:
        """Return the match of a whole field; None if the message has no such field."""
        return re.fullmatch(self.pattern, field)


JOINT_STATE = Grammar(
    r"(position|velocity|effort)\[([^\[\]]+)\](?: *([+-]) *(\d*\.?\d+))?",
    "position[JOINT], velocity[JOINT] or effort[JOINT], with an offset where the zeros differ, as "
    "in position[JOINT] + 3.1416",
)
ODOMETRY = Grammar(
    r"(x|y|z|roll|pitch|yaw|linear\.[xyz]|angular\.[xyz])",
    "x, y, z, roll, pitch, yaw, linear.x|y|z or angular.x|y|z",
)
NUMBER = Grammar(r"data", "data")
MULTI_ARRAY = Grammar(r"data\[(\d{1,4})\]", "data[INDEX]")
TWIST = Grammar(r"(linear|angular)\.([xyz])", "linear.x|y|z or angular.x|y|z")

STATE_TYPES = {
    "sensor_msgs/msg/JointState": JOINT_STATE,
    "nav_msgs/msg/Odometry": ODOMETRY,
    "std_msgs/msg/Float64MultiArray": MULTI_ARRAY,
}
"""Message types of states."""

COMMAND_TYPES = {
    "std_msgs/msg/Float64": NUMBER,
    "std_msgs/msg/Float64MultiArray": MULTI_ARRAY,
    "geometry_msgs/msg/Twist": TWIST,
    "geometry_msgs/msg/TwistStamped": TWIST,
}
"""Message types of commands."""
