# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A plan as a function of absolute time, on a grid that does not move."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SKIP = 0.3
"""
A cell of the grid with less than this share of dt left is skipped, and the next one begins early.

Without it the first action of a plan made just before a cell ends would have next to no influence
on the cost, and would be noise.
"""


@dataclass(frozen=True)
class TimeGrid:
    """
    A time grid: cells of length dt from a fixed origin.

    Each cell has an absolute index. Shifting a plan by a and then by b is therefore exactly the
    same as shifting it by a + b, for any a, b and dt. Nothing is interpolated.
    """

    origin: float
    dt: float

    def cell(self, time: float) -> int:
        """Return the index of the cell in which a plan made at `time` (s) begins."""
        return math.floor((time - self.origin) / self.dt + SKIP)

    def edges(self, time: float, horizon: int) -> np.ndarray:
        """
        Return the times (horizon + 1,), s, between the steps of a plan made at `time`.

        The first step lasts SKIP * dt to (1 + SKIP) * dt, every other step dt.
        """
        first = self.cell(time) + 1
        edges = self.origin + self.dt * np.arange(first - 1, first + horizon)
        edges[0] = time
        return edges


@dataclass(frozen=True)
class Plan:
    """
    The result of a search: the action at every time of the horizon.

    Attributes:
        edges: (H + 1,), s, times at which the steps begin and end.
        actions: (H, nu), held from one edge to the next.
        cost: cost of the cheapest candidate of the last iteration; inf if no candidate was valid.
        iterations: number of iterations done.
        invalid_share: share of candidates of the last iteration with a NaN or infinite cost.
        action_names: names of the columns of `actions`.
        is_spline: whether the actions are those of a spline of order 1 or 3 in the middle of each
            step, so that they may be interpolated.
        simulated_share: share of the candidates of the last iteration that were simulated before
            the deadline; below 1 only for models that roll out themselves.
    """

    edges: np.ndarray = field(repr=False)
    actions: np.ndarray = field(repr=False)
    cost: float
    iterations: int
    invalid_share: float
    action_names: tuple[str, ...] = field(default=(), repr=False)
    is_spline: bool = False
    simulated_share: float = field(default=1.0, repr=False)

    def action_at(self, time: float) -> np.ndarray:
        """Return the action (nu,) at `time` (s); before the plan its first, after it its last."""
        step = int(np.searchsorted(self.edges, time, side="right")) - 1
        return self.actions[min(max(step, 0), len(self.actions) - 1)]

    def between_at(self, time: float) -> np.ndarray:
        """
        Return the action (nu,) at `time` (s), for commands that are sent more often than planned.

        Where the plan is a spline it is interpolated linearly between the middles of the steps, at
        which the model has evaluated the spline. Otherwise it is `action_at`.
        """
        if not self.is_spline or len(self.actions) == 1:
            return self.action_at(time)
        # The first step may be a part of its cell of the grid, so its middle is that of the cell.
        middles = self.edges[1:] - 0.5 * (self.edges[-1] - self.edges[-2])
        return np.array([np.interp(time, middles, column) for column in self.actions.T])

    def plot(self, axes: Axes | None = None) -> Axes:
        """
        Plot each action against the time since the start of the plan, as steps.

        Args:
            axes: where to draw; new axes if None.

        Returns: the axes. Raises ImportError where matplotlib is not installed.
        """
        if axes is None:
            from matplotlib import pyplot

            axes = pyplot.figure().add_subplot()
        names = self.action_names or [str(index) for index in range(self.actions.shape[1])]
        for name, values in zip(names, self.actions.T, strict=True):
            axes.stairs(values, self.edges - self.edges[0], baseline=None, label=name)
        axes.set_xlabel("time from the start of the plan (s)")
        axes.set_ylabel("action")
        axes.legend()
        return axes


class Candidates(NamedTuple):
    """
    n candidates of the last iteration of a plan, the cheapest first.

    A candidate whose cost is NaN or infinite is invalid, and comes last.
    """

    states: np.ndarray
    """(step H + 1, state nx, candidate n), from where the plan begins; units of the model."""
    actions: np.ndarray
    """(step H, action nu, candidate n); units of the model."""
    costs: np.ndarray
    """(candidate n)"""


def elites_among(count: int, elites: int) -> int:
    """Return how many of `count` candidates that `by_cost` has chosen are elites."""
    return min(count - count // 2, elites)


def by_cost(costs: np.ndarray, elites: int, count: int | None = None) -> np.ndarray:
    """
    Return the indices of candidates with costs (n,), the cheapest first, the invalid ones last.

    With a `count` there are at most so many: half of them of the elites, evenly chosen by rank,
    half of the others.
    """
    order = np.argsort(costs)  # NaN comes last.
    if count is None:
        return order
    chosen = [
        part[np.linspace(0, len(part) - 1, min(share, len(part))).astype(int)]
        for part, share in zip(
            np.split(order, [elites]), (count - count // 2, count // 2), strict=True
        )
    ]
    return np.concatenate(chosen)
