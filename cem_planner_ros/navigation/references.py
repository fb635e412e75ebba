# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""References: what states and outputs of a model should be, over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

ALIKE = 1e-4
"""Angle between two quaternions, rad, below which they are interpolated linearly."""

JUST_BEFORE = 1e-6
"""Time before the beginning of a trajectory at which an earlier reference ends, s."""


@dataclass(frozen=True)
class ReferenceSource:
    """
    Where a cost, or a model, gets a reference from; nr is the number of its signals.

    Attributes:
        topic: name of the topic.
        type: type of its messages, one of `fields.REFERENCE_TYPES`.
        fields: {signal: field of the message}, in the order of the values (nr,).
        velocities: (nr,), whether a value is a velocity: it is zero when the reference has ended.
        angles: (nr,), whether a value is an angle, rad.
        quaternions: the four places (w, x, y, z) of each quaternion in the values.
        held: what is held until the first message, in words.
    """

    topic: str
    type: str
    fields: Mapping[str, str]
    velocities: Sequence[bool]
    angles: Sequence[bool]
    quaternions: Sequence[Sequence[int]] = ()
    held: str = "the state that was measured when control began"


@dataclass(frozen=True, eq=False)
class Reference:
    """
    The values of the signals of a `ReferenceSource`, over time.

    Between two points it is interpolated: angles the short way round, quaternions along the great
    circle (Shoemake, Animating rotation with quaternion curves, 1985), everything else linearly.
    Before the first point and after the last one, the point holds; after the last one of a
    trajectory the velocities are zero.

    Attributes:
        source: what its values are.
        times: (n,), s, ascending, on the clock with which states are stamped. A set-point has one
            time, at which it was sent.
        values: (n, nr), in the units of the model.
        is_trajectory: whether it has an end. A set-point holds until another one comes.
        begins_held: whether its first point stands for what was held until the reference came.
    """

    source: ReferenceSource
    times: np.ndarray
    values: np.ndarray
    is_trajectory: bool = False
    begins_held: bool = False

    @property
    def end(self) -> float:
        """The time of the last point, s."""
        return float(self.times[-1])

    def at(self, times: np.ndarray, held: np.ndarray | None = None) -> np.ndarray:
        """
        Return the values (nr, m) at times (m,), s, ascending.

        `held` (nr,) is what was held until the reference came; NaN where that is not known.
        """
        times = np.asarray(times, float)
        first = max(int(np.searchsorted(self.times, times[0], side="right")) - 1, 0)
        last = int(np.searchsorted(self.times, times[-1])) + 1
        known, points = self.times[first:last], self.values[first:last]
        if self.begins_held and not first:
            held = np.full(points.shape[1], np.nan) if held is None else held
            points = np.vstack((np.where(np.isnan(held), self.values[1], held), points[1:]))
        index = np.searchsorted(known, times, side="right") - 1
        index = np.clip(index, 0, max(len(known) - 2, 0))
        after = np.minimum(index + 1, len(known) - 1)
        span = known[after] - known[index]
        share = np.clip((times - known[index]) / np.where(span > 0.0, span, 1.0), 0.0, 1.0)
        begin, change = points[index].T, (points[after] - points[index]).T
        is_angle = np.asarray(self.source.angles, bool)
        change[is_angle] = np.remainder(change[is_angle] + np.pi, 2.0 * np.pi) - np.pi
        values = begin + share * change
        for quaternion in self.source.quaternions:
            rows = list(quaternion)
            values[rows] = _slerp(begin[rows], points[after][:, rows].T, share)
        if self.is_trajectory:
            is_velocity = np.asarray(self.source.velocities, bool)
            values[np.ix_(is_velocity, times > self.end)] = 0.0
        return values

    def after(self, earlier: Reference | None, begin: float, now: float) -> Reference:
        """
        Return this trajectory with what comes before it.

        Until it begins, the earlier reference stays in force. If its first point is later, the way
        there begins at what was in force.

        Args:
            earlier: the reference until now; None if something was held instead.
            begin: when the trajectory begins, s.
            now: the present time, s.
        """
        begin = max(begin, now)
        if self.times[0] <= now:
            return self
        before = [now] if begin == now else [now, min(begin, self.times[0] - JUST_BEFORE)]
        if earlier is None or earlier.depends_on_held(before[-1]):
            values, begins_held = np.tile(self.values[0], (len(before), 1)), True
            if len(before) > 1:  # What was held holds until the beginning.
                before, values = before[1:], values[1:]
        else:
            between = earlier.times[(earlier.times > now) & (earlier.times < before[-1])]
            before = sorted({*before, *between})
            values, begins_held = earlier.at(np.array(before)).T, earlier.depends_on_held(now)
        return replace(
            self,
            times=np.concatenate((before, self.times)),
            values=np.vstack((values, self.values)),
            begins_held=begins_held,
        )

    def depends_on_held(self, time: float) -> bool:
        """Return whether the values at a time, s, depend on what was held before the reference."""
        return self.begins_held and time < self.times[1]

    def stopped(self, now: float) -> Reference | None:
        """
        Return a set-point at what the reference is now, s, with velocities zero.

        The result is None if that depends on what was held: what is measured now is held then.
        """
        if self.depends_on_held(now):
            return None
        values = self.at(np.array([now]))[:, 0]
        values[np.asarray(self.source.velocities, bool)] = 0.0
        return Reference(self.source, np.array([now]), values[None])


def _slerp(begin: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return unit quaternions (4, m) between two (4, m), at shares (m,) of the way."""
    begin, end = (q / np.maximum(np.linalg.norm(q, axis=0), 1e-12) for q in (begin, end))
    cos = (begin * end).sum(0)
    end = np.where(cos < 0.0, -end, end)
    angle = np.arccos(np.clip(np.abs(cos), 0.0, 1.0))
    is_alike = angle < ALIKE
    sin = np.where(is_alike, 1.0, np.sin(angle))
    left = np.where(is_alike, 1.0 - share, np.sin((1.0 - share) * angle) / sin)
    right = np.where(is_alike, share, np.sin(share * angle) / sin)
    return left * begin + right * end
