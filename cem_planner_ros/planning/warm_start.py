# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The warm start: shifts the belief of the last plan in time; reseeds modes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from cem_planner_ros.planning.plan import Plan, TimeGrid
from cem_planner_ros.planning.search import Belief, Limits, Problem, limit_rate, within
from cem_planner_ros.planning.settings import Search

RESEEDED = 3.0
"""A mode begins anew at most this many std_initial away from the nominal action."""

SAME_MODE = 0.2
"""Two modes are merged if the RMS distance of their means is below this share of std_initial."""


class Move(NamedTuple):
    """The shift of the belief from the last plan to the next one."""

    shift: int
    """Number of knots of the shift, from 0 to P; new knots at the end repeat the last knot."""
    phase: int
    """Model steps from the first knot to the start of the plan, below the spacing of the knots."""
    std_carry: float
    """Share of the old std in the new std; the rest is `Limits.std_initial`."""
    bounds_mean: bool
    """Whether the mean is limited by rates and bounds after the shift."""


class WarmStart:
    """
    The belief of the last plan, on a grid of model steps that is fixed in absolute time.

    Args:
        search: the settings; `tune` replaces them.
        limits: limits of the actions.
        belief: the tensors of the belief, which are updated in place.
        seed: seed of the modes that are restarted.
        has_proposals: whether each plan gets proposals of a policy.
    """

    def __init__(
        self, search: Search, limits: Limits, belief: Belief, seed: int, has_proposals: bool = False
    ):
        self.belief = belief
        self.plans = 0
        """Number of plans since the last `reset`; the noise of a plan depends on it."""
        self._search = search
        self.limits = limits
        self._seed = seed
        self._has_proposals = has_proposals
        self._nominal = torch.zeros_like(limits.low)
        self._grid: TimeGrid | None = None
        self._cell = 0
        self._has_elites = False
        self._has_rates = False
        self._uses_of: dict[bool, torch.Tensor] = {}

    def tune(self, search: Search, nominal: np.ndarray) -> None:
        """
        Use other settings and limits; bounds may have become narrower.

        `nominal` (nu,) is the action with which a search begins that has no last plan.
        """
        self._search = search
        self._nominal.copy_(torch.as_tensor(nominal))
        # If bounds are narrowed, the earlier belief must not lie outside.
        for kept in (self.belief.mean, self.belief.injected):
            kept.copy_(within(kept, self.limits))
        self._has_rates = bool(torch.isfinite(self.limits.step).any())

    def reset(self) -> None:
        """Forget the last plan, begin again at the nominal action, and restart the noise."""
        self.plans = 0
        self._forget()

    def _forget(self) -> None:
        self._grid = None
        self._cell = 0
        self._has_elites = False
        mean, std, injected, best_cost = self.belief
        mean.copy_(self._nominal[:, None])
        std.copy_(self.limits.std_initial[..., None])
        injected.copy_(self._nominal[:, None, None])
        best_cost.fill_(torch.inf)
        for mode in range(1, self._search.modes):
            self._reseed(mode)

    def adopt(self, plan: Plan) -> None:
        """Start again around a plan, such as the plan of a planner with another grid."""
        self.reset()
        self._grid = TimeGrid(float(plan.edges[0]), self._search.dt)
        spline, dt = self._search.spline, self._search.dt
        # A knot acts around the middle of its basis function, on a grid that begins with the plan.
        middles = (np.arange(spline.knots) + 0.5 * (1 - spline.order)) * spline.spacing * dt
        found = np.array([plan.action_at(plan.edges[0] + middle) for middle in middles])
        actions = torch.as_tensor(found, dtype=torch.float32, device=self.belief.mean.device)
        actions = actions.clamp(self.limits.low, self.limits.high)
        self.belief.mean[..., 0] = actions
        self.belief.injected[:, :, 0] = actions[..., None]
        self._has_elites = True

    def edges(self, time: float) -> np.ndarray:
        """Return the edges (H + 1,), s, of the steps of a plan at `time`; change nothing."""
        return self._grid_for(time).edges(time, self._search.horizon)

    def _grid_for(self, time: float) -> TimeGrid:
        """Return the grid of a plan at `time`: a new one if that is earlier than the last plan."""
        if self._grid is None or self._grid.cell(time) < self._cell:
            return TimeGrid(time, self._search.dt)
        return self._grid

    def advance(self, time: float, nominal: np.ndarray) -> Move:
        """
        Start a plan at `time`, s; return the shift of the belief.

        If `time` is earlier than in the last plan, the last plan is forgotten. The search then
        begins with `nominal` (nu,).
        """
        search = self._search
        grid = self._grid_for(time)
        if grid is not self._grid:
            self._nominal.copy_(torch.as_tensor(nominal))
            self._forget()
            self._grid = grid
        cell, spacing = grid.cell(time), search.spline.spacing
        shift = min(cell // spacing - self._cell // spacing, search.spline.knots)
        self._cell = cell
        # Momentum keeps a share of the last mean, which may violate the rate limit.
        bounds_mean = bool(search.momentum) and self._has_rates
        return Move(shift, cell % spacing, search.std_carry, bounds_mean)

    def propose(self, sequences: np.ndarray, nominal: np.ndarray, phase: int) -> None:
        """
        Make action sequences (E, H, nu) of a policy candidates of the plan that `advance` started.

        `nominal` (nu,) takes the place of numbers that are not finite; `phase` is that of the move.
        Raises ValueError if the shape is another one.
        """
        search = self._search
        expected = search.proposals, search.horizon, len(nominal)
        if np.shape(sequences) != expected:
            raise ValueError(
                f"the policy returned shape {np.shape(sequences)}, expected {expected}"
            )
        sequences = np.where(np.isfinite(sequences), sequences, nominal)
        knots = search.spline.nearest_knots(sequences, phase)
        slots = self.belief.injected[..., search.kept + 2 :]
        slots.copy_(torch.as_tensor(knots[:, :, None]))

    def uses(self) -> torch.Tensor:
        """Return whether each injected slot is a candidate in each iteration (I, J)."""
        search = self._search
        if self._has_elites not in self._uses_of:
            uses = torch.zeros(search.iterations, search.injected, dtype=torch.bool)
            kept = search.kept
            uses[:, :kept] = True
            uses[-1 if search.inject_mean == "last" else 0 :, kept] = search.inject_mean != "never"
            uses[:, kept + 1] = search.inject_best
            if not self._has_elites:
                uses[0] = False
            uses[0, kept + 2 :] = self._has_proposals
            self._uses_of[self._has_elites] = uses.to(self.belief.mean.device)
        return self._uses_of[self._has_elites]

    def keep(self) -> None:
        """Keep the belief for the next plan; restart modes that are of no use."""
        self.plans += 1
        self._has_elites = True
        if self._search.modes > 1:
            self._reseed_useless()

    def spread(self) -> tuple[float, float]:
        """Return the mean std and the std of the kept elites, in the unit of `std_initial`."""
        unit = (self.limits.std_initial[0] / self._search.std_initial)[:, None]
        kept = self.belief.injected[..., : max(1, self._search.kept)]
        elites = kept.std(-1, correction=0)
        return float((self.belief.std / unit).mean()), float((elites / unit).mean())

    def _reseed(self, mode: int) -> None:
        """Restart a mode around a constant action that is drawn at random."""
        random = np.random.default_rng([self._seed, self.plans, mode])
        mean, std, injected, _ = self.belief
        limits = self.limits
        # Where the bounds are far apart, because there are none, most of the range is of no use.
        reach = RESEEDED * limits.std_initial[0]
        low = torch.maximum(limits.low, self._nominal - reach)
        high = torch.minimum(limits.high, self._nominal + reach)
        share = torch.as_tensor(random.random(len(low), np.float32), device=mean.device)
        action = low + (high - low) * share
        mean[..., mode] = action
        std[..., mode] = limits.std_initial
        injected[:, :, mode] = action[:, None]

    def _reseed_useless(self) -> None:
        """Reseed each mode that found no valid candidate, or the same mean as a better mode."""
        mean, _, _, best_cost = self.belief
        scale = self.limits.std_initial
        order = torch.argsort(best_cost).tolist()
        for rank, mode in enumerate(order[1:], 1):
            apart = [
                torch.sqrt(torch.mean(((mean[..., mode] - mean[..., other]) / scale) ** 2))
                for other in order[:rank]
            ]
            if not torch.isfinite(best_cost[mode]) or min(apart) < SAME_MODE:
                self._reseed(mode)


class BeliefMover:
    """Shifts a belief in place, in PyTorch, for executions that do not shift it themselves."""

    def __init__(self, search: Search, problem: Problem, belief: Belief):
        self._spline = search.spline
        self._problem = problem
        self._belief = belief
        self._phase: int | None = None
        self._rows: dict[int, torch.Tensor] = {}

    def __call__(self, move: Move) -> None:
        """Shift the belief, and set the spline of `problem` to the phase of the plan."""
        mean, std, injected, best_cost = self._belief
        knots, shift, carry = self._spline.knots, move.shift, move.std_carry
        initial = self._problem.limits.std_initial[..., None]
        if shift:
            if shift not in self._rows:
                rows = torch.arange(knots, device=mean.device) + shift
                self._rows[shift] = rows.clamp_(max=knots - 1)
            for moved in (mean, injected, std) if carry else (mean, injected):
                moved.copy_(moved.index_select(0, self._rows[shift]))
        if carry:
            std[knots - shift :] = initial[knots - shift :]
            std.lerp_(initial.expand_as(std), 1.0 - carry)
        else:
            std.copy_(initial)
        # The best cost of the last plan was for another state.
        best_cost.fill_(torch.inf)
        if move.phase != self._phase:
            first, basis = self._spline.basis(move.phase)
            self._problem.first.copy_(torch.from_numpy(first))
            self._problem.basis.copy_(torch.from_numpy(basis))
            self._phase = move.phase
        if move.bounds_mean:
            near = limit_rate(
                mean.unsqueeze(-1), self._problem.previous_action, self._problem.limits
            )
            mean.copy_(near.squeeze(-1))
