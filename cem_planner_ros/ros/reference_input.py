# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The input of references for what follows one from a topic: costs, and bodies of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy

from cem_planner_ros.navigation.references import Reference, ReferenceSource
from cem_planner_ros.readers import MessageError
from cem_planner_ros.ros import endpoints
from cem_planner_ros.ros.alerts import INFO, WARNING, Alert
from cem_planner_ros.ros.any_durability import AnyDurabilitySubscription
from cem_planner_ros.ros.frames import FrameError, Frames
from cem_planner_ros.ros.messages import message_class
from cem_planner_ros.ros.reference_messages import (
    ReceivedReference,
    Transform,
    reference_reader,
)

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
        frame: the frame of the states.
        stamp_clock: clock with which messages are stamped, s.
        changed: called with the references by name, after each change.

    Raises ConfigurationError if the package of a message type is not installed.
    """

    def __init__(
        self,
        node: Node,
        sources: Mapping[str, ReferenceSource],
        frame: str,
        stamp_clock: Callable[[], float],
        changed: Callable[[Mapping[str, Reference]], None],
    ):
        self._node = node
        self._stamp_clock = stamp_clock
        self._changed = changed
        self._is_active = False
        self._frames = Frames(node, frame, self._settle)
        self._followed = {
            name: _Followed(name, source, node.resolve_topic_name(source.topic))
            for name, source in sources.items()
        }
        self._subscriptions: list[AnyDurabilitySubscription] = []
        for one in self._followed.values():
            is_stream = one.source.type.endswith(STREAMS)
            self._subscriptions.append(
                AnyDurabilitySubscription(
                    node,
                    message_class(one.source.type),
                    one.topic,
                    lambda message, one=one: self._take(one, message),
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
        self._frames.destroy()

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
            one.received = one.reference = None
            one.problem = ""
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

    def _take(self, one: _Followed, message) -> None:
        if not self._is_active:
            return
        now = self._stamp_clock()
        try:
            one.take(one.read(message), now, self._frames.transform_of)
        except FrameError as error:
            one.ignore(f"{error}; it is tried again")
        except MessageError as error:
            one.ignore(str(error))
        self._tell()

    def _settle(self) -> None:
        """Transform references to the present poses of their frames."""
        for one in self._followed.values():
            try:
                one.settle(self._stamp_clock(), self._frames.transform_of)
            except FrameError:
                continue  # The reference in use stays where it is.
        self._tell()

    def _tell(self) -> None:
        known = {name: one.reference for name, one in self._followed.items()}
        self._changed({name: found for name, found in known.items() if found is not None})


class _Followed:
    """What is known of one reference."""

    def __init__(self, name: str, source: ReferenceSource, topic: str):
        self.name = name
        self.source = source
        self.topic = topic
        self.read = reference_reader(source)
        self.max_age = 0.0
        self.received: ReceivedReference | None = None
        """The message in use, or one whose frame is not known yet."""
        self.reference: Reference | None = None
        self.problem = ""
        """Why the last message was ignored; "" if it was not."""
        self.ignored = 0
        self._is_settled = False
        self._transform: Transform | None = None

    def ignore(self, problem: str) -> None:
        self.problem = problem
        self.ignored += 1

    def take(
        self,
        received: ReceivedReference,
        now: float,
        transform_of: Callable[[str], Transform | None],
    ) -> None:
        """Use a message. Raises MessageError if it cannot be used, or not yet."""
        ends = received.offsets is not None and len(received.offsets)
        if ends and received.stamp is not None and received.stamp + received.offsets[-1] < now:
            raise MessageError(
                "it ends before it came: its stamp or its times are of the past, or of another "
                "clock"
            )
        self.received = received._replace(stamp=_begin(received, now))
        self._is_settled = False
        self.settle(now, transform_of)

    def settle(self, now: float, transform_of: Callable[[str], Transform | None]) -> None:
        """Make the reference of the message in use, again if its frame moved."""
        received = self.received
        if received is None:
            return
        transform = transform_of(received.frame)
        if not self._is_settled:
            self.reference = self._made(received, received.values(transform), now)
            self._is_settled, self.problem = True, ""
        elif (
            self.reference is not None
            and transform is not None
            and not _is_same(transform, self._transform)
        ):
            values = received.values(transform)
            kept = self.reference.values[: len(self.reference.values) - len(values)]
            self.reference = replace(self.reference, values=np.vstack((kept, values)))
        self._transform = transform

    def _made(
        self, received: ReceivedReference, values: np.ndarray, now: float
    ) -> Reference | None:
        begin = received.stamp
        if received.offsets is None:
            return Reference(self.source, np.array([begin]), values)
        if not len(values):
            return None if self.reference is None else self.reference.stopped(now)
        made = Reference(self.source, begin + received.offsets, values, is_trajectory=True)
        return made.after(self.reference, begin, now)

    def state(self, now: float) -> str:
        """Return why the reference in use is not just followed; "" if it is."""
        reference = self.reference
        if reference is None:
            return "has not come"
        if reference.is_trajectory and now > reference.end:
            return "has ended: its last point is held"
        age = now - reference.end
        if not reference.is_trajectory and 0.0 < self.max_age < age and any(self.source.velocities):
            return (
                f"is {age:.1f} s old (max_age is {self.max_age:g} s): its velocities count as zero"
            )
        return ""


def _begin(received: ReceivedReference, now: float) -> float:
    """Return when a message was sent or begins, s; a set-point of the future was sent now."""
    if received.stamp is None:
        return now
    return min(received.stamp, now) if received.offsets is None else received.stamp


def _is_same(one: Transform, other: Transform | None) -> bool:
    return other is not None and all(map(np.array_equal, one, other))
