# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""One iteration of the search in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from cem_planner_ros.planning import cross_entropy
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.settings import Search


class Belief(NamedTuple):
    """
    The sampling distribution over knots, and candidates that are evaluated again.

    P knots, nu actions, M modes. The J = `Search.injected` slots hold the kept elites, the mean,
    the best candidate, and the proposals of a policy.
    """

    mean: torch.Tensor  # (P, nu, M)
    std: torch.Tensor  # (P, nu, M)
    injected: torch.Tensor  # (P, nu, M, J)
    best_cost: torch.Tensor  # (M,), cost of the best candidate; inf if there is none


class Limits(NamedTuple):
    """
    The limits of candidates, for each action, and the standard deviations of the search.

    `step` is the largest difference between neighbouring knots. `first` is the largest difference
    between the first knot and the action in force. Both are inf if there is no rate limit.
    """

    low: torch.Tensor  # (nu,)
    high: torch.Tensor  # (nu,)
    step: torch.Tensor  # (nu,)
    first: torch.Tensor  # (nu,)
    std_initial: torch.Tensor  # (P, nu), of the first iteration
    std_min: torch.Tensor  # (nu,)

    @classmethod
    def allocate(cls, knots: int, actions: int, device: torch.device | str = "cpu") -> Limits:
        """Return limits of zero, to be filled."""
        shapes = {"std_initial": (knots, actions)}
        return cls(*(torch.zeros(shapes.get(f, (actions,)), device=device) for f in cls._fields))

    def fill(
        self,
        search: Search,
        low: np.ndarray,
        high: np.ndarray,
        rate: np.ndarray,
        period: float,
        std: np.ndarray | None = None,
        std_min: np.ndarray | None = None,
    ) -> None:
        """
        Change the tensors in place.

        Without a `std_min` of its own, an action with a `std` of its own has a floor that is to
        this std as the setting `std_min` is to `std_initial`.

        Args:
            search: the settings.
            low, high: (nu,), bounds of the actions.
            rate: (nu,), how fast they may change, per s; inf for no limit.
            period: s, in which the first action of a plan may change by rate * period.
            std: (nu,), of the first iteration, in units of the actions; where it is 0, and if None,
                the share `std_initial` of half the range.
            std_min: (nu,), floor of the std, in units of the actions; where it is 0, and if None,
                the share `std_min` of half the range.
        """
        # A spline of order 0 changes within one model step, other splines from knot to knot.
        step = search.dt * (search.knot_spacing if search.order else 1)
        half_range = 0.5 * (high - low)
        own = np.zeros_like(half_range) if std is None else std
        std = np.where(own > 0.0, own, search.std_initial * half_range)
        ratio = search.std_min / search.std_initial
        floor = np.where(own > 0.0, own * ratio, search.std_min * half_range)
        if std_min is not None:
            floor = np.where(std_min > 0.0, std_min, floor)
        ramp = np.linspace(1.0, search.std_ramp, len(self.std_initial))
        values = {
            "low": low,
            "high": high,
            "step": rate * step,
            "first": rate * period,
            "std_initial": ramp[:, None] * std,
            "std_min": floor,
        }
        for name, value in values.items():
            getattr(self, name).copy_(torch.as_tensor(value))


class Numbers(NamedTuple):
    """Settings that may change between two plans, as 0-d tensors."""

    temperature: torch.Tensor
    momentum: torch.Tensor


class Problem(NamedTuple):
    """The inputs of all iterations of one plan; the tensors are filled again for each plan."""

    state: torch.Tensor  # (nx,), where all candidates begin
    previous_action: torch.Tensor  # (nu,), in force until now
    durations: torch.Tensor  # (H,), s
    first: torch.Tensor  # (H,), first knot of each step
    basis: torch.Tensor  # (H, order + 1), weights of the knots from there on
    limits: Limits
    actuators: Actuators
    numbers: Numbers

    def as_arguments(self) -> dict[str, torch.Tensor]:
        """Return what each compiled search takes of them, by its names."""
        return {
            "state": self.state,
            "before": self.previous_action,
            "durations": self.durations,
            "low": self.limits.low,
            "high": self.limits.high,
            "step_reach": self.limits.step,
            "first_reach": self.limits.first,
            "std_initial": self.limits.std_initial,
            "std_min": self.limits.std_min,
            **self.actuators._asdict(),
            **self.numbers._asdict(),
        }


def within(knots: torch.Tensor, limits: Limits) -> torch.Tensor:
    """Return knots (P, nu, M) or (P, nu, M, n) within bounds."""
    shape = (-1, *(1,) * (knots.ndim - 2))
    return torch.clamp(knots, limits.low.view(shape), limits.high.view(shape))


def limit_rate(knots: torch.Tensor, previous_action: torch.Tensor, limits: Limits) -> torch.Tensor:
    """
    Return knots (P, nu, M, n) that keep the rate limits and the bounds.

    If the bounds were narrowed, the action in force may be outside them. The bounds then have
    priority over the rate limit.
    """
    reach = limits.first[:, None, None]
    low, high = limits.low[:, None, None], limits.high[:, None, None]
    before = previous_action[:, None, None]
    rows = []
    for row in knots:
        before = torch.maximum(torch.minimum(row, before + reach), before - reach)
        before = torch.clamp(before, low, high)
        rows.append(before)
        reach = limits.step[:, None, None]
    return torch.stack(rows)


class Iteration:
    """
    One CEM iteration: sample, bound, roll out, score, weigh, refit.

    `evaluate` is called like a `Rollout`. `precision` (nu, P, P), float64, is the inverse of the
    covariance of the noise over the knots; None for white noise. Only the control cost needs it.
    """

    def __init__(
        self,
        evaluate: Callable[..., torch.Tensor],
        search: Search,
        precision: torch.Tensor | None = None,
    ):
        self.evaluate = evaluate
        self.search = search
        self.precision = precision

    def __call__(
        self,
        problem: Problem,
        belief: Belief,
        use: torch.Tensor,
        noise: torch.Tensor,
        has_lag: bool = True,
        has_rate: bool = True,
    ) -> tuple[Belief, torch.Tensor, torch.Tensor]:
        """
        Return the refitted belief, and knots (P, nu, M n) and cost (M, n) of every candidate.

        Args:
            problem: the inputs of the plan.
            belief: the distribution from which candidates are drawn.
            use: (J,), whether each injected slot replaces a drawn candidate in this iteration.
            noise: (P, nu, M, n), standard normal, coloured.
            has_lag: False if no actuator has a lag, which takes less time.
            has_rate: False if no action has a rate limit, likewise.
        """
        previous, limits = problem.previous_action, problem.limits
        knots = self._draw(belief, noise, use, limits)
        knots = limit_rate(knots, previous, limits) if has_rate else within(knots, limits)
        flat = knots.flatten(2)
        sequence = self._sequence(flat, problem.first, problem.basis)
        cost = self.evaluate(
            problem.state,
            sequence,
            previous,
            problem.durations,
            problem.actuators if has_lag else None,
        )
        cost = cost.reshape(noise.shape[2:])
        return self._refit(belief, knots, cost, limits, problem.numbers), flat, cost

    def _draw(
        self,
        belief: Belief,
        noise: torch.Tensor,
        use: torch.Tensor,
        limits: Limits,
    ) -> torch.Tensor:
        """Return knots (P, nu, M, n), which may be out of bounds."""
        samples = noise.shape[-1]
        mean, std = belief.mean.unsqueeze(-1), belief.std.unsqueeze(-1)
        explorers = int(self.search.explore * samples)
        if explorers:
            is_explorer = torch.arange(samples, device=noise.device) >= samples - explorers
            std = torch.where(is_explorer, limits.std_initial[..., None, None], std)
        if self.search.sampling == "truncate":
            low, high = limits.low[:, None, None], limits.high[:, None, None]
            noise = truncated(noise, (low - mean) / std, (high - mean) / std)
        knots = mean + std * noise
        slots = self.search.injected
        injected = torch.where(use, belief.injected, knots[..., :slots])
        return torch.cat((injected, knots[..., slots:]), -1)

    def _sequence(
        self, knots: torch.Tensor, first: torch.Tensor, basis: torch.Tensor
    ) -> torch.Tensor:
        """Return actions (H, nu, N) of knots (P, nu, N)."""
        if self.search.order == 0:
            return knots if self.search.knot_spacing == 1 else knots[first]
        terms = [basis[:, k, None, None] * knots[first + k] for k in range(self.search.order + 1)]
        return torch.stack(terms).sum(0)

    def _control_cost(self, belief: Belief, knots: torch.Tensor) -> torch.Tensor:
        """
        Return gamma u' Sigma^-1 (v - u) (M, n) of knots v (P, nu, M, n) with the mean u.

        With gamma = temperature it is the control cost of MPPI (Williams et al., 2017, algorithm
        2): candidates are weighted as if they had been drawn around zero.
        """
        drift = (belief.mean / belief.std).double()
        if self.precision is not None:
            drift = torch.einsum("upq,qum->pum", self.precision, drift)
        drift = (drift / belief.std).unsqueeze(-1)
        deviation = knots - belief.mean.unsqueeze(-1)
        return self.search.control_cost * (drift * deviation).sum((0, 1)).float()

    def _refit(
        self,
        belief: Belief,
        knots: torch.Tensor,
        cost: torch.Tensor,
        limits: Limits,
        numbers: Numbers,
    ) -> Belief:
        search = self.search
        score = cost
        if search.control_cost:
            score = cost + self._control_cost(belief, knots)
        index, weight = cross_entropy.select(
            score, search.weighting, search.elites, numbers.temperature
        )
        chosen = torch.gather(knots, -1, index.expand(*knots.shape[:2], -1, -1))
        mean, std = cross_entropy.refit(chosen, weight)
        mean = torch.lerp(mean, belief.mean, numbers.momentum)
        std = torch.lerp(std, belief.std, numbers.momentum)
        std = torch.maximum(std, limits.std_min[:, None])
        any_valid = weight.sum(-1) > 0.0
        mean = torch.where(any_valid, mean, belief.mean)
        std = torch.where(any_valid, std, belief.std)

        first = index[:, :1]
        if search.control_cost:  # The best candidate is the cheapest one without the control cost.
            first = torch.where(score.isfinite(), cost, torch.inf).argmin(-1, keepdim=True)
        cheapest = torch.gather(cost, -1, first).squeeze(-1)
        better = any_valid & (cheapest < belief.best_cost)
        found = torch.gather(knots, -1, first.expand(*knots.shape[:2], -1, -1))
        kept, _, best, proposals = belief.injected.split(
            (search.kept, 1, 1, search.proposals), dim=-1
        )
        best = torch.where(better[:, None], found, best)
        kept = torch.where(any_valid[:, None], chosen[..., : search.kept], kept)
        injected = torch.cat((kept, mean.unsqueeze(-1), best, proposals), -1)
        return Belief(mean, std, injected, torch.where(better, cheapest, belief.best_cost))


def truncated(noise: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Return normal `noise` mapped to the normal distribution truncated to [low, high]."""
    below, above = torch.special.ndtr(low), torch.special.ndtr(high)
    quantile = below + (above - below) * torch.special.ndtr(noise)
    return torch.clamp(torch.special.ndtri(quantile), low, high)
