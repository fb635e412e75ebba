# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A rollout that ends at a deadline, for models whose iteration may take longer than a period."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from cem_planner_ros.planning.settings import Search

CAREFUL = 0.8
"""Share of the time left that a batch is expected to take."""

MOST_BATCHES = 16
"""A batch is at least one of so many of all candidates, because each call takes time of its own."""


class BatchedRollout:
    """
    A rollout of the candidates of an iteration in batches, of which none begins after a deadline.

    If all candidates are expected to be simulated in time, they are one batch. The candidates that
    are not simulated have an infinite cost. The first proposal of a policy comes first, then other
    injected candidates, such as the last plan. If E of N candidates are simulated, only the
    cheapest K E / N of them can be elites: the selection is as strict as without a deadline.

    Args:
        rollout: called as a `Rollout`.
        search: the settings.
        clock: returns the time, s.
    """

    def __init__(
        self,
        rollout: Callable[..., torch.Tensor],
        search: Search,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._clock = clock
        self._rollout = rollout
        self._search = search
        self.least_share = max(1.0 / MOST_BATCHES, search.modes / search.samples)
        """Smallest share of the candidates that are simulated."""
        self._pace = 0.0
        """Time that a candidate takes, s, as it was last."""
        self.until = math.inf
        """When the deadline is, s on `clock`."""
        self.valid_share = 1.0
        """Share of the simulated candidates of the last iteration with a finite cost."""
        self.simulated_share = 1.0
        """Share of the candidates of the last iteration that the deadline let be simulated."""

    def __call__(self, state: torch.Tensor, sequence: torch.Tensor, *others: Any) -> torch.Tensor:
        """Return the cost (N,) of each sequence, as `Rollout.__call__`."""
        count, modes = sequence.shape[-1], self._search.modes
        # The candidates of a mode stand together; each batch has some of every mode.
        order = self._order(count)
        sequence = sequence if order is None else sequence[..., order]
        costs = torch.full((count,), torch.inf)
        done = 0
        while done < count:
            began = self._clock()
            if done and began >= self.until:
                break
            size = self._size(count, count - done, self.until - began)
            costs[done : done + size] = self._rollout(
                state, sequence[..., done : done + size], *others
            )
            self._pace = (self._clock() - began) / size
            done += size
        self.valid_share = int(torch.isfinite(costs).sum()) / done
        self.simulated_share = done / count
        if done < count and self._search.weighting != "softmax":
            costs = self._as_strict(costs, modes, done / count)
        if order is None:
            return costs
        return torch.empty_like(costs).index_copy_(0, order, costs)

    def _order(self, count: int) -> torch.Tensor | None:
        """Return the candidates (N,) in the order of their simulation; None if it is theirs."""
        search = self._search
        if search.modes == 1 and not search.proposals:
            return None
        of_modes = torch.arange(count).view(search.modes, -1)
        if search.proposals:
            place = search.kept + 2  # After the kept elites, the mean and the best candidate.
            first = of_modes[:, place : place + 1]
            of_modes = torch.cat((first, of_modes[:, :place], of_modes[:, place + 1 :]), 1)
        return of_modes.T.flatten()

    def _size(self, count: int, left: int, seconds: float) -> int:
        """Return how many of the candidates that are left to simulate next."""
        if left * self._pace <= seconds:
            return left
        # The first plan of all may begin after its deadline, when the pace is not known yet.
        fitting = CAREFUL * seconds / self._pace if self._pace else 0.0
        size = max(fitting, count / MOST_BATCHES, self._search.modes)
        return min(left, math.ceil(size))

    def _as_strict(self, costs: torch.Tensor, modes: int, share: float) -> torch.Tensor:
        """
        Return costs (N,) that are infinite except for the elites of each mode.

        `costs` are in the order of simulation; `share` of them were simulated.
        """
        of_modes = costs.view(-1, modes)
        kept = max(1, round(self._search.elites * share))
        worst = of_modes.nan_to_num(nan=torch.inf).sort(0).values[kept - 1]
        return torch.where(of_modes <= worst, of_modes, torch.inf).flatten()
