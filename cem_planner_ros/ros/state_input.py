"""State messages in: the newest state that can be used, and what was dropped why."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy

from cem_planner_ros.control.latency import MAX_AHEAD, distrust
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.ros.messages import MessageError, frame_name, missing, stamp_of

MAX_CAUSES = 20
"""Different causes counted; texts may hold numbers and names of the message."""

PARTS_PER_SECOND = 2000.0
"""Messages a second, of all publishers of parts of a state, of which none is lost."""

MIN_PARTS, MAX_PARTS = 20, 2000
"""Bounds of the messages that are kept between two looks at a topic."""

MAX_JOINTS = 50
"""Names of joints that are remembered, to say which there are."""


def state_qos(type_name: str, control_rate: float) -> QoSProfile:
    """
    Return with which quality of service to read states of a type, `control_rate` times a second.

    Best effort takes what reliable and best-effort publishers send. The newest message is enough,
    unless several publishers may each send a part of the state, as joint states can come.
    """
    depth = 1
    if type_name.endswith("JointState"):
        depth = min(max(math.ceil(PARTS_PER_SECOND / control_rate), MIN_PARTS), MAX_PARTS)
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


class StateInput:
    """
    The state, put together of the messages on its topic.

    A message may hold a part of the state, as where an arm and its gripper publish joint states on
    one topic. Each field of the state keeps its newest value, with its time; the state is as old as
    its oldest field. The time of a field is the message's stamp where that can be believed, else
    its arrival.

    Args:
        read: from a message to what it says of the state (nx,), NaN for what it lacks; raises
            MessageError.
        clock: s, of the control loop.
        stamp_clock: s, on which messages are stamped.
        warn: called with a line the first time that something is dropped or disbelieved.
        frame: what the messages have to be in; "" if it does not matter.
        fields: field of the message by name of the state, for messages.
        topic: where the messages come from, for messages.
    """

    def __init__(
        self,
        read: Callable[[object], np.ndarray],
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
        warn: Callable[[str], None],
        frame: str = "",
        fields: Mapping[str, str] | None = None,
        topic: str = "",
    ):
        self._read = read
        self._clock = clock
        self._stamp_clock = stamp_clock
        self._warn = warn
        self._frame = frame_name(frame)
        self._fields = fields or {}
        self._where = f" on '{topic}'" if topic else ""
        self._lock = threading.Lock()
        self._epoch = 0
        """Counts how often all was forgotten: what was read before is not taken in after."""
        self._joints: dict[str, None] = {}  # Those named so far, in order.
        self._values = self._times = self._stamps = np.empty(0)  # (nx,) after the first message.
        self.newest: StateSample | None = None
        """Replaced whole; read by the control loop."""
        self.child_frame = ""
        """Frame of the body, as the newest odometry names it."""
        self.missing = ""
        """What the state lacks after the messages that came, "" if it is complete."""
        self.received = 0
        self.dropped: Counter[str] = Counter()
        self.disbelieved: Counter[str] = Counter()

    def forget(self) -> None:
        """Forget the state: the clock was set, or the node begins to control. For any thread."""
        with self._lock:
            self._epoch += 1
            self._values = self._times = self._stamps = np.empty(0)
            self.newest = None
            self.missing = ""

    def look(self, subscription) -> StateSample | None:
        """Take in what a subscription holds, and return the newest state that can be used."""
        for _ in range(subscription.qos_profile.depth):  # Not for ever, however many come.
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, False)
            if taken is None:
                break
            message, info = taken
            received = info["received_timestamp"]  # ns of the system clock; 0 where unknown
            # A simulation's clock may run at another rate than the time that passed.
            known = received and self._clock is time.monotonic
            self(message, 1e-9 * (time.time_ns() - received) if known else 0.0)
        return self.newest

    def __call__(self, message, waited: float = 0.0) -> None:
        """Take a message in that arrived `waited` s ago."""
        epoch, began = self._epoch, self._clock()
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
        now = self._clock()
        age = 0.0 if stamp is None else self._stamp_clock() - stamp - waited
        reason = distrust(age)
        with self._lock:
            if epoch != self._epoch or now < began:
                cause = "the clock was set while it was read"
            else:
                arrived = now - waited
                cause = self._merge(part, stamp, arrived if reason else arrived - max(age, 0.0))
        if cause:
            self._count(self.dropped, cause, "dropped")
            return
        if reason:
            self._count(self.disbelieved, reason, "taken as of its arrival")
        self.child_frame = frame_name(getattr(message, "child_frame_id", ""))
        self._look_for_missing(message)

    def _merge(self, part: np.ndarray, stamp: float | None, sampled: float) -> str:
        """Take in what a message says (nx,) of a time, s; return why nothing of it can be."""
        has = ~np.isnan(part)
        if not self._times.size:
            self._values, self._times, self._stamps = np.full((3, len(part)), np.nan)
        # What was true later than now is of a clock that was set back since.
        self._times[self._times > self._clock() + MAX_AHEAD] = np.nan
        if not has.any():
            return ""
        if stamp is not None:
            # An estimator that hangs repeats its last state. After a minute its stamp would no
            # longer be believed, and the state be taken as of its arrival.
            has &= self._stamps != stamp
            if not has.any():
                return "same stamp as the one before"
        has &= ~(self._times > sampled)
        if not has.any():
            return "older than the one before"
        self._values[has], self._times[has] = part[has], sampled
        self._stamps[has] = np.nan if stamp is None else stamp
        if not np.isnan(self._times).any():
            self.newest = StateSample(self._values.copy(), float(self._times.min()))
        elif self.newest is not None:
            self.newest = None
        return ""

    @property
    def oldest(self) -> str:
        """The field of the state that is older than others, "" if all are of one time."""
        times = self._times
        if not self._fields or not times.size or times.min() == times.max():
            return ""
        return list(self._fields.values())[int(times.argmin())]

    def _look_for_missing(self, message) -> None:
        if self.newest is not None:
            self.missing = ""
            return
        names = getattr(message, "name", ())
        if len(self._joints) < MAX_JOINTS:
            self._joints |= dict.fromkeys(names)
        lacks = np.isnan(self._times)
        self.missing = missing(self._fields, lacks, self._joints) if self._fields else "a part"

    def _check_frame(self, message) -> None:
        frame = message.header.frame_id if hasattr(message, "header") else ""
        if frame_name(frame) not in ("", self._frame):
            raise MessageError(f"its frame is '{frame}', expected '{self._frame}' (frame_id)")

    def _count(self, counter: Counter[str], cause: str, what: str) -> None:
        if cause not in counter:
            if len(counter) >= MAX_CAUSES:
                cause = "other causes"
            if cause not in counter:
                self._warn(f"state message{self._where} {what}: {cause}")
        counter[cause] += 1
