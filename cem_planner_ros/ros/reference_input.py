# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The input of references for what follows one from a topic: costs, and bodies of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy

from cem_planner_ros.navigation.followed_reference import FollowedReference
from cem_planner_ros.navigation.references import Reference, ReferenceSource
from cem_planner_ros.ros import endpoints
from cem_planner_ros.ros.alerts import INFO, WARNING, Alert
from cem_planner_ros.ros.any_durability import AnyDurabilitySubscription
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.messages import message_class

STREAMS = ("PoseStamped", "Twist", "TwistStamped", "JointState", "Float64MultiArray")
"""Types that are sent again and again, also by publishers with best effort."""


class ReferenceInput:
    """
    The newest usable reference of each topic that is followed.

    A message that cannot be used is ignored, with the reason in `alerts`, and the reference before
    it stays. Poses in another frame are transformed by tf2 if it is installed, again when their
    frame moves. A trajectory without points stops at what the reference is now. References are
    accepted while the node is active; the last message of a latched publisher is accepted when it
    is activated. Everything happens in the executor thread.

    Args:
        node: the node with the topics.
        sources: the topics by name of the reference.
        frames: transforms of the messages' frames.
        stamp_clock: clock with which messages are stamped, s.
        changed: called with the references by name, after each change.

    Raises ConfigurationError if the package of a message type is not installed.
    """

    def __init__(
        self,
        node: Node,
        sources: Mapping[str, ReferenceSource],
        frames: Frames,
        stamp_clock: Callable[[], float],
        changed: Callable[[Mapping[str, Reference]], None],
    ):
        self._node = node
        self._stamp_clock = stamp_clock
        self._changed = changed
        self._is_active = False
        self._frames = frames
        self._followed = {
            name: FollowedReference(source, node.resolve_topic_name(source.topic))
            for name, source in sources.items()
        }
        self._subscriptions: list[AnyDurabilitySubscription] = []
        try:
            for one in self._followed.values():
                self._subscribe(one)
        except Exception:
            self.destroy()
            raise
        frames.moved.append(self._settle)

    def _subscribe(self, one: FollowedReference) -> None:
        is_stream = one.source.type.endswith(STREAMS)
        self._subscriptions.append(
            AnyDurabilitySubscription(
                self._node,
                message_class(one.source.type),
                one.topic,
                lambda message: self._take(one, message),
                ReliabilityPolicy.BEST_EFFORT if is_stream else ReliabilityPolicy.RELIABLE,
            )
        )

    def use(self, values: Mapping[str, Any]) -> None:
        """Use these values of live parameters from now on."""
        for name, one in self._followed.items():
            one.max_age = values.get(f"{name}.max_age", 0.0)

    def destroy(self) -> None:
        """Destroy the topics."""
        for subscription in self._subscriptions:
            subscription.destroy()

    def begin(self) -> None:
        """Forget references; accept new ones and latched ones from now on."""
        self._is_active = True
        self.forget()

    def end(self) -> None:
        """Accept no more references."""
        self._is_active = False
        for subscription in self._subscriptions:
            subscription.ask_no_more()

    def forget(self) -> None:
        """Forget references: the node is activated, or the clock was set."""
        for one in self._followed.values():
            one.forget()
        self._tell()
        if self._is_active:
            for subscription in self._subscriptions:
                subscription.ask()

    def facts(self) -> dict[str, object]:
        """Return the values of `/diagnostics` about references."""
        facts: dict[str, object] = {}
        for name, one in self._followed.items():
            facts[f"reference {name}"] = one.state(self._stamp_clock()) or "followed"
            if one.ignored:
                facts[f"references ignored {name}"] = one.ignored
        return facts

    def alerts(self) -> list[Alert]:
        """Return what is wrong with references, or worth knowing."""
        found = []
        for name, one in self._followed.items():
            if one.problem:
                text = f"reference on '{one.topic}' ignored: {one.problem}"
                found.append(Alert(f"reference {name} ignored", text))
            elif one.reference is None:
                nothing = endpoints.nothing_on(self._node, one.topic, one.source.type)
                text = f"no reference on '{one.topic}' yet: {nothing}; {one.source.held} is held"
                found.append(Alert(f"reference {name}", text))
            else:
                state = one.state(self._stamp_clock())
                level = INFO if one.reference.is_trajectory else WARNING
                if state:
                    text = f"reference on '{one.topic}' {state}"
                    found.append(Alert(f"reference {name} {level}", text, level))
        return found

    def _take(self, one: FollowedReference, message) -> None:
        if not self._is_active:
            return
        one.take(message, self._stamp_clock(), self._frames.transform_of)
        self._tell()

    def _settle(self) -> None:
        """Transform references to the present poses of their frames."""
        for one in self._followed.values():
            one.settle(self._stamp_clock(), self._frames.transform_of)
        self._tell()

    def _tell(self) -> None:
        known = {name: one.reference for name, one in self._followed.items()}
        self._changed({name: found for name, found in known.items() if found is not None})
