# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The input of states: the newest usable state, and why messages were dropped."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy

from cem_planner_ros.control.latency import MAX_AHEAD, MAX_CLOCK_STEP, distrust
from cem_planner_ros.control.state_parts import StateParts
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.readers import MessageError, frame_name, missing, stamp_of

MAX_CAUSES = 20
"""Largest number of causes that are counted; texts may contain numbers of the message."""

PARTS_PER_SECOND = 2000.0
"""Rate of messages, of all publishers of parts of a state, at which none is lost, Hz."""

MIN_PARTS, MAX_PARTS = 20, 2000
"""Limits of the number of messages that are kept between two looks at a topic."""

MAX_JOINTS = 50
"""Number of names of joints that are kept for messages."""


def state_qos(type_name: str, control_rate: float) -> QoSProfile:
    """
    Return the quality of service for states of a type, read `control_rate` times a second.

    Best effort works with reliable and with best-effort publishers. The newest message is enough,
    unless several publishers may each send a part of the state, as with joint states.
    """
    depth = 1
    if type_name.endswith("JointState"):
        depth = min(max(math.ceil(PARTS_PER_SECOND / control_rate), MIN_PARTS), MAX_PARTS)
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


class StateInput:
    """
    The state, or a part of it, from the messages on a topic.

    A message may have a part of the state, such as an arm and a gripper that publish joint states
    on one topic. Each field of the state keeps its newest value and its time. The state is as old
    as its oldest field. The time of a field is the stamp of the message if it is plausible,
    otherwise the arrival. If the loop's clock is the one that stamps the messages, as in a
    simulation, a message with an implausible stamp is from before the clock was set and is dropped.

    Args:
        read: returns the states (k,) in a message, NaN for missing ones; raises MessageError.
        clock: clock of the control loop, s.
        stamp_clock: clock with which messages are stamped, s.
        warn: called with a line the first time that a message is dropped or a stamp not used.
        parts: where the values go, which other topics may fill too.
        rows: (k,), the indices of these states in the whole state.
        fields: field of the message by name of the state, for texts.
        topic: topic of the messages, for texts.
        frame: required frame of the messages; "" for any frame.
        delay: time from the measurement to the stamp, or else to the arrival of the message, s.
    """

    def __init__(
        self,
        read: Callable[[object], np.ndarray],
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
        warn: Callable[[str], None],
        parts: StateParts,
        rows: np.ndarray,
        fields: Mapping[str, str],
        topic: str,
        frame: str = "",
        delay: float = 0.0,
    ):
        self._read = read
        self._clock = clock
        self._stamp_clock = stamp_clock
        self._warn = warn
        self._parts = parts
        self._rows = rows
        self._fields = fields
        self._topic = topic
        self._frame = frame_name(frame)
        self._delay = delay
        self._joints: dict[str, None] = {}  # The joints named so far, in order.
        self.child_frame = ""
        """Frame of the body, from the newest odometry."""
        self.missing = ""
        """What is still missing in the state; "" if it is complete."""
        self.received = 0
        self.dropped: Counter[str] = Counter()
        self.disbelieved: Counter[str] = Counter()

    @property
    def own(self) -> StateSample | None:
        """The newest values (k,) of the states of this topic; None if not all have come."""
        values, times = self._parts.values[self._rows], self._own_times
        return None if np.isnan(times).any() else StateSample(values, float(times.min()))

    @property
    def _own_times(self) -> np.ndarray:
        return self._parts.times[self._rows]

    def forget(self) -> None:
        """Forget the state: the clock was set, or control starts. Any thread may call it."""
        self._parts.forget()
        self.missing = ""

    def look(self, subscription) -> None:
        """Read the messages of a subscription."""
        for _ in range(subscription.qos_profile.depth):  # A limit, however many messages come.
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, False)
            if taken is None:
                return
            message, info = taken
            received = info["received_timestamp"]  # ns of the system clock; 0 where unknown
            # A simulated clock may run at another rate than real time.
            known = received and self._clock is time.monotonic
            self(message, 1e-9 * (time.time_ns() - received) if known else 0.0)

    def __call__(self, message, waited: float = 0.0) -> None:
        """Use a message that arrived `waited` s ago."""
        epoch, began = self._parts.epoch, self._clock()
        self.received += 1
        try:
            if self._frame:
                self._check_frame(message)
            part = np.asarray(self._read(message), float)
        except MessageError as error:
            self._count(self.dropped, str(error), "dropped")
            return
        stamp = stamp_of(message)
        waited = max(waited, 0.0)
        # Bound methods of one object are equal, not identical.
        is_one_clock = self._clock == self._stamp_clock
        now = self._clock()
        # One clock is read once, because it may be set between two readings.
        stamp_now = now if is_one_clock else self._stamp_clock()
        age = 0.0 if stamp is None else stamp_now - stamp - waited
        reason = distrust(age, MAX_CLOCK_STEP if is_one_clock else MAX_AHEAD)
        with self._parts.lock:
            if epoch != self._parts.epoch or now < began:
                cause = "the clock was set while the message was read"
            elif reason and is_one_clock:
                cause = f"{reason} under use_sim_time (does its publisher use /clock?)"
            else:
                measured = now - waited - (0.0 if reason else max(age, 0.0)) - self._delay
                cause = self._parts.merge(self._rows, part, stamp, measured)
        if cause:
            self._count(self.dropped, cause, "dropped")
            return
        if reason:
            self._count(self.disbelieved, reason, "used with its time of arrival")
        self.child_frame = frame_name(getattr(message, "child_frame_id", ""))
        self._look_for_missing(message)

    @property
    def oldest(self) -> str:
        """The oldest field of the state; "" if all fields have the same time."""
        times = self._own_times
        if np.unique(times).size == 1:
            return ""
        return list(self._fields.values())[int(times.argmin())]

    def _look_for_missing(self, message) -> None:
        lacks = np.isnan(self._own_times)
        if not lacks.any():
            self.missing = ""
            return
        names = getattr(message, "name", ())
        if len(self._joints) < MAX_JOINTS:
            self._joints |= dict.fromkeys(names)
        self.missing = missing(self._fields, lacks, self._joints)

    def _check_frame(self, message) -> None:
        frame = message.header.frame_id if hasattr(message, "header") else ""
        if frame_name(frame) not in ("", self._frame):
            raise MessageError(f"its frame is '{frame}', expected '{self._frame}' (frame_id)")

    def _count(self, counter: Counter[str], cause: str, what: str) -> None:
        if cause not in counter:
            if len(counter) >= MAX_CAUSES:
                cause = "other causes"
            if cause not in counter:
                self._warn(f"state message on '{self._topic}' {what}: {cause}")
        counter[cause] += 1
