# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What costs that follow a reference have in common: the reference of each plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import is_velocity
from cem_planner_ros.navigation.references import Reference, ReferenceSource
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

TOPIC = Parameter(
    "topic",
    "",
    "Topic of the reference; empty for a constant one, the target.",
    when=INACTIVE,
)


class ReferenceCost(Cost):
    """
    A cost that has a reference at the end of each step, constant or from a topic.

    Until the first message comes from a topic, the state that was measured when control began
    holds, with velocities zero; outputs cost nothing until then. If a trajectory is stopped or
    replaced before its first point, the state that is measured then takes the place of the one that
    was held.
    """

    places = ()
    topic: str

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        super().__init__(dynamics, values, device=device)
        self.followed = self._signals(dynamics)
        """The names of the signals that follow the reference (nr,)."""
        self._rows = rows_of(dynamics, *self.followed, outputs=True)
        self._quaternions = _quaternions(dynamics, self.followed)
        is_angle = [name in dynamics.angle_names for name in self.followed]
        fields = self._fields()
        self._is_velocity = np.array([is_velocity(*each) for each in fields.items()], bool)
        if self.topic:
            self.reference_source = ReferenceSource(
                self.topic,
                self._type(),
                fields,
                self._is_velocity.tolist(),
                is_angle,
                self._quaternions,
            )
        self._states = len(dynamics.state_names)
        self.wanted = np.zeros((len(self.followed), 1))
        """What the last plan followed at the end of each step (nr, H), from the origin on."""
        self.reference_now = np.zeros(len(self.followed))
        """What the last plan followed at the end of its first step (nr,)."""
        self._held = np.zeros(0)
        self.reset()
        self.set_edges(np.arange(2.0))

    def reset(self) -> None:
        """Hold what is measured next, if there is no reference."""
        self._known: np.ndarray | None = None  # The times of the reference of the last plan.
        self._last_time = math.nan

    def _signals(self, dynamics: Dynamics) -> tuple[str, ...]:
        """Return the names of the signals that follow the reference."""
        raise NotImplementedError

    def _targets(self) -> np.ndarray:
        """Return the constant reference (nr,)."""
        raise NotImplementedError

    def _type(self) -> str:
        """Return the type of the messages of the reference."""
        raise NotImplementedError

    def _fields(self) -> dict[str, str]:
        """Return {signal: field of the message}. Raises ConfigurationError if one is wrong."""
        raise NotImplementedError

    def _max_age(self) -> float:
        """Return the age from which velocities of a set-point count as zero, s; 0 for none."""
        return 0.0

    def set_edges(self, edges: np.ndarray) -> None:
        """Take over the edges (H + 1,) of the plan's steps."""
        if len(edges) != len(self.edges):
            values = np.tile(self._targets()[:, None], len(edges) - 1)
            self.reference_now = values[:, 0]
            self._write(values, np.full(len(values), True), edges)
        super().set_edges(edges)

    def prepare(self, state: np.ndarray, time: float, surroundings: Surroundings) -> None:
        """Read the reference at the end of each step."""
        times = time + self.edges[1:]
        counts = np.full(len(self.followed), True)
        if self.reference_source is None:
            values = np.tile(self._targets()[:, None], len(times))
        else:
            reference = surroundings.references.get(self.instance)
            held = self._hold(state, time, reference)
            if reference is None:
                counts = ~np.isnan(held)
                values = np.tile(np.nan_to_num(held)[:, None], len(times))
            else:
                values = reference.at(times, held)
                age, most = time - reference.end, self._max_age()
                if not reference.is_trajectory and 0.0 < most < age:
                    values[self._is_velocity] = 0.0
        self.reference_now = values[:, 0]
        origin = np.concatenate((self.origin, np.zeros(max(self._rows) + 1)))
        origin[self._states :] = 0.0
        self._write(values - origin[self._rows, None], counts, self.edges)

    def _hold(self, state: np.ndarray, time: float, reference: Reference | None) -> np.ndarray:
        """Return what to hold without a reference (nr,): what was measured when holding began."""
        since, self._last_time = time - self._last_time, time
        known, self._known = self._known, None if reference is None else reference.times
        has_ended = known is not None and known is not self._known
        begins = has_ended and (reference is None or reference.begins_held)
        # Also after a pause, and when the clock was set.
        if begins or not 0.0 <= since <= self.edges[-1]:
            known = np.concatenate((state, np.full(max(self._rows) + 1, np.nan)))
            self._held = np.where(self._is_velocity, 0.0, known[self._rows])
            self._held[np.array(self._rows) >= self._states] = np.nan
        return self._held

    def _write(self, values: np.ndarray, counts: np.ndarray, edges: np.ndarray) -> None:
        """
        Take over the reference of a plan.

        Args:
            values: (nr, H), from the origin on.
            counts: (nr,), whether each signal counts; outputs do from the first message on.
            edges: (H + 1,), of the steps.
        """
        self.wanted = values


def span(rows: Sequence[int]) -> slice | list[int]:
    """Return rows as an index; a slice if they follow each other, with which nothing is copied."""
    first, end = rows[0], rows[0] + len(rows)
    return slice(first, end) if list(rows) == list(range(first, end)) else list(rows)


def _quaternions(dynamics: Dynamics, signals: Sequence[str]) -> list[list[int]]:
    """Return the places of quaternions in signals. Raises ConfigurationError if parts are left."""
    found = []
    for names in dynamics.quaternion_names:
        missing = [name for name in names if name not in signals]
        if 0 < len(missing) < len(names):
            present = next(name for name in names if name in signals)
            raise ConfigurationError(
                f"'{present}' is a part of a quaternion, expected with it {', '.join(missing)}: an "
                "attitude is followed as a whole"
            )
        if not missing:
            found.append([signals.index(name) for name in names])
    return found
