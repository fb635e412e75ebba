# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A subscription to volatile and latched (transient-local) publishers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from cem_planner_ros.readers import stamp_of

LOOK_AGAIN = 0.1
"""Time between two looks at the publishers, s."""

LINGER = 2.0
"""
Time for which the transient-local subscription stays at least, so that all publishers are heard, s.
"""

SETTLE_TIMEOUT = 0.5
"""Longest wait of `settle`, s."""

DEPTH = 10
"""Depth of the transient-local subscription: the messages by which one may lag behind the other."""


class AnyDurabilitySubscription:
    """
    Receives messages of every publisher of a topic, and earlier messages of latched publishers.

    A transient-local subscription receives nothing from a volatile publisher, and such a publisher
    logs that the quality of service is incompatible. Therefore a volatile subscription receives the
    messages of all publishers. When a transient-local publisher appears, a transient-local
    subscription is added until it has received the earlier messages. It also receives new messages
    in this time, so none is lost. A message that comes twice is taken once if it has a stamp, also
    where one subscription lags behind the other. Without a stamp it is taken twice: another press
    of an emergency stop equals the one before. Only a volatile publisher that exists in this time
    still logs the incompatibility.

    Args:
        node: the node that subscribes.
        kind: class of the messages.
        topic: their topic.
        take: called with each message, on the executor's thread.
        reliability: reliability of the volatile subscription. With BEST_EFFORT, the reliable
            transient-local subscription stays as long as there is a transient-local publisher.
    """

    def __init__(
        self,
        node: Node,
        kind: type,
        topic: str,
        take: Callable[[object], object],
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    ):
        self._node = node
        self._kind = kind
        self._topic = topic
        self._take = take
        self._is_reliable = reliability is ReliabilityPolicy.RELIABLE
        self._asks = False
        self._asked: set[bytes] = set()  # Identities of latched publishers.
        self._since = 0.0
        self._has_heard = False
        self._copies = Copies()
        self._latched = None
        qos = QoSProfile(depth=1, reliability=reliability)
        self._volatile = node.create_subscription(kind, topic, self._on_message, qos)
        self._timer = node.create_timer(
            LOOK_AGAIN, self.look, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def destroy(self) -> None:
        """End the subscriptions."""
        self.ask_no_more()
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._volatile)

    def ask(self) -> None:
        """Receive the earlier messages of latched publishers, again if already received."""
        self.ask_no_more()
        self._asks, self._copies = True, Copies()
        self.look()

    def ask_no_more(self) -> None:
        """Ignore earlier messages of latched publishers from now on."""
        self._asks = False
        self._asked = set()
        self._drop()

    def look(self) -> None:
        """Look for new latched publishers, and subscribe to their earlier messages."""
        if not self._asks:
            return
        latched = {
            bytes(publisher.endpoint_gid)
            for publisher in self._node.get_publishers_info_by_topic(self._topic)
            if publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        }
        if latched - self._asked:
            self._since, self._has_heard = time.monotonic(), False
            if self._latched is None:
                self._latched = self._node.create_subscription(
                    self._kind,
                    self._topic,
                    self._on_latched,
                    QoSProfile(depth=DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL),
                    # It is no fault that this subscription receives nothing from volatile
                    # publishers.
                    event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
                )
        self._asked = latched
        is_done = self._is_reliable and self._has_heard
        if not latched or (is_done and time.monotonic() - self._since > LINGER):
            self._drop()

    def settle(self) -> None:
        """Receive the earlier messages of latched publishers now; wait a little if needed."""
        self.look()
        end = time.monotonic() + SETTLE_TIMEOUT
        while self._latched is not None and not self._has_heard and time.monotonic() < end:
            with self._latched.handle:
                taken = self._latched.handle.take_message(self._kind, False)
            if taken is None:
                time.sleep(0.01)
            else:
                self._on_latched(taken[0])

    def _drop(self) -> None:
        if self._latched is not None:
            self._node.destroy_subscription(self._latched)
            self._latched = None

    def _on_latched(self, message) -> None:
        self._has_heard = True
        self._on_message(message, is_latched=True)

    def _on_message(self, message, is_latched: bool = False) -> None:
        # The time of publication is not used, because rclpy's EventsExecutor fails with callbacks
        # that take the information about a message.
        if stamp_of(message) is None or not self._copies.is_copy(message.header, is_latched):
            self._take(message)


class Copies:
    """Finds the messages that come a second time, of two subscriptions that each keep the order."""

    def __init__(self) -> None:
        self._source = False
        self._ahead: deque[object] = deque(maxlen=DEPTH)  # Only this source brought these yet.

    def is_copy(self, header: object, source: bool) -> bool:
        """
        Return whether the other subscription brought the message with this header before.

        Args:
            header: header of the message, with its stamp.
            source: which of the two subscriptions brings it now.
        """
        if source != self._source:
            if header in self._ahead:
                while self._ahead.popleft() != header:
                    pass
                return True
            # What brings a new message has brought, or lost, all that the other one has.
            self._source = source
            self._ahead.clear()
        self._ahead.append(header)
        return False
