# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A reference that is followed, and what its messages make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cem_planner_ros.navigation.reference_messages import (
    ReceivedReference,
    Transform,
    reference_reader,
)
from cem_planner_ros.navigation.references import Reference, ReferenceSource
from cem_planner_ros.readers import FrameError, MessageError


class FollowedReference:
    """
    The reference that one source gives, from its messages.

    A message that cannot be used leaves the reference before it in use. A trajectory without points
    stops at what the reference is now.

    Args:
        source: what its messages are.
        topic: whole name of the topic, for messages.
    """

    def __init__(self, source: ReferenceSource, topic: str):
        self.source = source
        self.topic = topic
        self._read = reference_reader(source)
        self.max_age = 0.0
        """Age from which velocities of a set-point count as zero, s; 0 for none."""
        self.reference: Reference | None = None
        """The one in use."""
        self.problem = ""
        """Why the last message was ignored; "" if it was not."""
        self.ignored = 0
        """Number of messages that were ignored."""
        self._received: ReceivedReference | None = None  # In use, or its frame is not known yet.
        self._is_settled = False
        self._transform: Transform | None = None

    def forget(self) -> None:
        """Forget the reference: there is none until another message comes."""
        self._received = self.reference = None
        self.problem = ""

    def take(self, message, now: float, transform_of: Callable[[str], Transform | None]) -> None:
        """
        Use a message, or note why it is ignored.

        Args:
            message: of the type of the source.
            now: present time, s, on the clock with which messages are stamped.
            transform_of: returns the pose of a frame in the frame of the states, None for that
                frame itself; raises FrameError for a frame that is not known.
        """
        try:
            self._use(self._read(message), now, transform_of)
        except MessageError as error:
            self.problem = str(error)
            if isinstance(error, FrameError):
                self.problem += "; it is tried again"
            self.ignored += 1

    def _use(
        self,
        received: ReceivedReference,
        now: float,
        transform_of: Callable[[str], Transform | None],
    ) -> None:
        ends = received.offsets is not None and len(received.offsets)
        if ends and received.stamp is not None and received.stamp + received.offsets[-1] < now:
            raise MessageError(
                "it ends before it came: its stamp or its times are of the past, or of another "
                "clock"
            )
        self._received = received._replace(stamp=_begin(received, now))
        self._is_settled = False
        self._settle(now, transform_of)

    def settle(self, now: float, transform_of: Callable[[str], Transform | None]) -> None:
        """
        Make the reference again where its frame moved, or has become known.

        Where that is not possible, the reference in use stays where it is.
        """
        try:
            self._settle(now, transform_of)
        except FrameError:
            pass  # It is tried again.
        except MessageError as error:
            self.problem = str(error)

    def _settle(self, now: float, transform_of: Callable[[str], Transform | None]) -> None:
        received = self._received
        if received is None:
            return
        transform = transform_of(received.frame)
        if not self._is_settled:
            try:
                values = received.values(transform)
            except MessageError:
                self._received = None  # It is not tried again.
                raise
            self.reference = self._made(received, values, now)
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
