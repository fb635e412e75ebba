"""State messages in: the newest state that can be used, and what was dropped why."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from cem_planner_ros.control.latency import distrust
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.ros.messages import MessageError, stamp_of

MAX_CAUSES = 20
"""Different causes counted; texts may hold numbers and names of the message."""


class StateInput:
    """
    What the state's topic holds when it is looked at.

    The time of a state is its stamp where that can be believed, else its arrival.

    Args:
        read: from a message to the state (nx,); raises MessageError.
        frame: what the messages have to be in; "" if it does not matter.
        clock: s, of the control loop.
        stamp_clock: s, on which messages are stamped.
        warn: called with a line the first time that something is dropped or disbelieved.
    """

    def __init__(
        self,
        read: Callable[[object], np.ndarray],
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
        warn: Callable[[str], None],
        frame: str = "",
    ):
        self._read = read
        self._clock = clock
        self._stamp_clock = stamp_clock
        self._warn = warn
        self._frame = frame
        self._stamp: float | None = None
        self.newest: StateSample | None = None
        """Replaced whole; read by the control loop."""
        self.received = 0
        self.dropped: Counter[str] = Counter()
        self.disbelieved: Counter[str] = Counter()

    def look(self, subscription) -> StateSample | None:
        """Take in what a subscription holds, and return the newest state that can be used."""
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, False)
        if taken is not None:
            message, info = taken
            received = info["received_timestamp"]  # ns of the system clock; 0 where unknown
            # A simulation's clock may run at another rate than the time that passed.
            known = received and self._clock is time.monotonic
            self(message, 1e-9 * (time.time_ns() - received) if known else 0.0)
        return self.newest

    def __call__(self, message, waited: float = 0.0) -> None:
        """Take a message in that arrived `waited` s ago."""
        arrived = self._clock() - max(waited, 0.0)
        self.received += 1
        try:
            if self._frame:
                self._check_frame(message)
            state = self._read(message)
        except MessageError as error:
            self._count(self.dropped, str(error), "state message dropped")
            return
        stamp = stamp_of(message)
        age = 0.0
        if stamp is not None and stamp == self._stamp:
            # An estimator that hangs repeats its last state. After a minute its stamp would no
            # longer be believed, and the state be taken as of its arrival.
            self._count(self.dropped, "same stamp as the one before", "state message dropped")
            return
        self._stamp = stamp
        if stamp is not None:
            age = self._stamp_clock() - stamp - max(waited, 0.0)
            reason = distrust(age)
            if reason:
                self._count(self.disbelieved, reason, "state taken as of its arrival")
                age = 0.0
        sampled = arrived - max(age, 0.0)
        if self.newest is not None and sampled < self.newest.time:
            self._count(self.dropped, "older than the one before", "state message dropped")
            return
        self.newest = StateSample(state, sampled)

    def _check_frame(self, message) -> None:
        frame = message.header.frame_id if hasattr(message, "header") else ""
        if frame.lstrip("/") not in ("", self._frame):
            raise MessageError(f"its frame is '{frame}', expected '{self._frame}' (frame_id)")

    def _count(self, counter: Counter[str], cause: str, what: str) -> None:
        if cause not in counter:
            if len(counter) >= MAX_CAUSES:
                cause = "other causes"
            if cause not in counter:
                self._warn(f"{what}: {cause}")
        counter[cause] += 1
