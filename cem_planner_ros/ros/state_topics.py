# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The topics of the state: subscriptions, what comes on them, and the whole state."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import rclpy
from rclpy.lifecycle import LifecycleNode

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.configuration.state_sources import StateSource, max_age
from cem_planner_ros.control.state_parts import StateParts
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.fields import ANGLES, IN_A_FRAME, QUATERNION
from cem_planner_ros.readers import part_reader
from cem_planner_ros.ros.messages import message_class
from cem_planner_ros.ros.state_input import StateInput, state_qos
from cem_planner_ros.ros.state_watch import StateWatch


class StateTopic(NamedTuple):
    """A topic of the state, as others see it."""

    source: StateSource
    topic: str
    """Its resolved name."""
    input: StateInput
    watch: StateWatch
    subscription: Any

    @property
    def where(self) -> str:
        """The topic and the source, for messages."""
        return f"'{self.topic}'" + (f", source {self.source.name}" if self.source.name else "")

    @property
    def limit(self) -> str:
        """The parameter that limits the age of its states."""
        return f"max_age of {self.source.name}" if self.source.name else "max_state_age"

    def max_age(self, values: Mapping[str, Any]) -> float:
        """Return the largest age of its states, s, from the values of all parameters."""
        return max_age(values, self.source.name)

    @property
    def has_parts(self) -> bool:
        """Whether several publishers may each send a part of the state, as with joint states."""
        return self.source.type == "sensor_msgs/msg/JointState"

    @property
    def has_frame(self) -> bool:
        """Whether states are in a frame; joint states are in none, whatever their header says."""
        return self.source.type in IN_A_FRAME


class StateTopics:
    """
    Subscribes to the topics of the state, and brings what they say together.

    Args:
        node: the node with the topics.
        configuration: defines the topics.
        clock: clock of the control loop, s.
        stamp_clock: clock with which messages are stamped, s.

    Raises ConfigurationError if the package of a message is not installed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        configuration: Configuration,
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
    ):
        model = configuration.dynamics
        fields = configuration.fields("state")
        wraps = [
            name in model.angle_names or field in (*ANGLES, *QUATERNION)
            for name, field in fields.items()
        ]
        self._parts = StateParts(clock, np.array(wraps))
        # A node without an executor: the control loop reads its topics once a period. A callback
        # for each of 500 states a second would leave Python little time to plan. `ros2 node info`
        # therefore shows the topics under this node (docs/architecture.md, Threads).
        self._reader = rclpy.create_node(
            f"_{node.get_name()}_state",
            context=node.context,
            namespace=node.get_namespace(),
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self.each: list[StateTopic] = []
        try:
            for source in configuration.sources:
                self.each.append(self._topic(node, configuration, source, clock, stamp_clock))
        except Exception:
            self.destroy()
            raise

    def _topic(
        self,
        node: LifecycleNode,
        configuration: Configuration,
        source: StateSource,
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
    ) -> StateTopic:
        values = configuration.values
        angles = configuration.dynamics.angle_names
        places = {name: row for row, name in enumerate(source.fields) if name in angles}
        watch = StateWatch(places, time.monotonic)
        read = part_reader(source.type, source.fields)

        def watched(message) -> np.ndarray:
            watch.read(message)
            return read(message)

        topic = node.resolve_topic_name(source.topic)
        # If goal and costmap are in a frame, the robot is too.
        is_in_frame = configuration.inputs and (source.type in IN_A_FRAME or not source.name)
        state_input = StateInput(
            watched,
            clock,
            stamp_clock,
            node.get_logger().warning,
            self._parts,
            np.array(source.rows),
            source.fields,
            topic,
            frame=values["frame_id"] if is_in_frame else "",
            delay=source.delay,
        )
        subscription = self._reader.create_subscription(
            message_class(source.type),
            topic,
            lambda message: None,
            state_qos(source.type, values["control_rate"]),
        )
        return StateTopic(source, topic, state_input, watch, subscription)

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        self._reader.destroy_node()

    def latest(self) -> StateSample | None:
        """Return the newest usable state, for the control loop."""
        for each in self.each:
            each.input.look(each.subscription)
            each.watch.see(each.input.own)
        return self._parts.newest

    @property
    def newest(self) -> StateSample | None:
        """The newest usable state, as of the last call of `latest`."""
        return self._parts.newest

    def forget(self) -> None:
        """Forget what has come: the node is activated, or the clock was set."""
        for each in self.each:
            each.input.forget()
            each.watch.forget()

    def look(self) -> None:
        """Note what was dropped since the last look."""
        for each in self.each:
            each.watch.look(each.input)

    def oldest(self, values: Mapping[str, Any]) -> StateTopic:
        """Return the topic with the oldest state, compared with its largest age."""
        known = [(each.input.own, each.max_age(values)) for each in self.each]
        ends = [-np.inf if own is None else own.time + age for own, age in known]
        return self.each[int(np.argmin(ends))]

    @property
    def child_frame(self) -> str:
        """Frame of the body, from the newest odometry."""
        return next(filter(None, (each.input.child_frame for each in self.each)), "")

    def facts(self) -> dict[str, object]:
        """Return the values of `/diagnostics` about the state."""
        facts: dict[str, object] = {}
        for each in self.each:
            name, states = f" of {each.source.name}" * bool(each.source.name), each.input
            facts[f"states{name} read"] = states.received
            # Copied at once: the planner thread may count another cause meanwhile.
            facts |= {f"states{name} dropped: {c}": n for c, n in dict(states.dropped).items()}
            facts |= {f"states{name} with {c}": n for c, n in dict(states.disbelieved).items()}
        return facts
