"""The settings of the search, and one iteration of it in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning import cross_entropy
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.particles import Particles
from cem_planner_ros.planning.spline import ORDERS, Spline

EXECUTE = ("mean", "best")
SAMPLINGS = ("clip", "truncate")
INJECT_MEAN = ("never", "last", "each")


ALLOWED: dict[str, tuple[tuple[str, ...], float, float]] = {
    "weighting": (cross_entropy.WEIGHTINGS, 0, 0),
    "inject_mean": (INJECT_MEAN, 0, 0),
    "execute": (EXECUTE, 0, 0),
    "sampling": (SAMPLINGS, 0, 0),
    "temperature": ((), 1e-6, 1e9),
    "std_initial": ((), 1e-6, 10.0),
    "std_min": ((), 1e-6, 10.0),
    "std_carry": ((), 0.0, 1.0),
    "momentum": ((), 0.0, 0.99),
    "noise_beta": ((), 0.0, 8.0),
    "keep": ((), 0.0, 1.0),
    "decay": ((), 1.0, 10.0),
    "explore": ((), 0.0, 1.0),
    "knot_spacing": ((), 1, 2**31),
    "particles": ((), 1, 10_000),
    "proposals": ((), 0, 2**31),
}
"""Choices, or least and largest value, of each setting; the table of parameters has them too."""


@dataclass(frozen=True)
class Search:
    """
    How candidates are drawn, weighed and kept; what each setting means is in the parameter table.

    The defaults won in `bench quality` (docs/benchmarks.md).

    Raises ConfigurationError if the settings do not go together.
    """

    samples: int = 1024
    elites: int = 64
    iterations: int = 4
    horizon: int = 30
    dt: float = 0.05
    modes: int = 1
    weighting: str = "rank"
    temperature: float = 1.0
    std_initial: float = 0.75
    std_min: float = 0.02
    std_carry: float = 0.0
    momentum: float = 0.0
    noise_beta: float | tuple[float, ...] = 2.0
    keep: float = 0.2
    decay: float = 1.0
    explore: float = 0.0
    inject_mean: str = "each"
    inject_best: bool = True
    execute: str = "best"
    sampling: str = "clip"
    knot_spacing: int = 1
    order: int = 0
    proposals: int = 0
    propagation: str = Particles.propagation
    particles: int = Particles.count
    risk: str = Particles.risk
    cvar_alpha: float = Particles.cvar_alpha
    std_factor: float = Particles.std_factor

    def __post_init__(self):
        for name, (choices, low, high) in ALLOWED.items():
            value = getattr(self, name)
            allowed = f"one of {', '.join(choices)}" if choices else f"from {low} to {high}"
            values = value if isinstance(value, tuple) else (value,)
            if not all(v in choices if choices else low <= v <= high for v in values):
                raise ConfigurationError(
                    f"parameter 'planner.{name}' is {value!r}, allowed: {allowed}"
                )
        if self.iterations < 1 or self.horizon < 1 or self.modes < 1 or not self.dt > 0.0:
            raise ConfigurationError(
                "parameters 'planner.iterations', 'planner.horizon', 'planner.modes' and "
                f"'planner.dt' are {self.iterations}, {self.horizon}, {self.modes} and {self.dt}, "
                "allowed: positive"
            )
        each = self.samples // self.modes
        if not 1 <= self.elites <= each:
            raise ConfigurationError(
                f"parameter 'planner.elites' is {self.elites}, allowed: from 1 to "
                f"planner.samples / planner.modes, which is {each}"
            )
        if self.injected > each:
            raise ConfigurationError(
                f"parameter 'planner.samples' is {self.samples}, allowed: at least "
                f"{self.injected} for each mode, for the kept elites, the mean, the best and what "
                "a policy proposes"
            )
        if self.order not in ORDERS:
            raise ConfigurationError(
                f"parameter 'planner.order' is {self.order}, allowed: 0, 1 or 3"
            )

    @property
    def spline(self) -> Spline:
        """The spline that makes action sequences of knots."""
        return Spline(self.horizon, self.order, self.knot_spacing)

    @property
    def through_members(self) -> Particles:
        """How candidates run through the members of a model."""
        return Particles(
            *(self.propagation, self.particles, self.risk, self.cvar_alpha, self.std_factor)
        )

    @property
    def kept(self) -> int:
        """Elites of each mode that are candidates again in the next iteration and period."""
        return round(self.keep * self.elites)

    @property
    def injected(self) -> int:
        """Slots for candidates of each mode that are not drawn: elites, mean, best, proposals."""
        return self.kept + 2 + self.proposals

    def population(self, iteration: int) -> int:
        """Return the candidates of each mode in an iteration, decayed to a floor (iCEM, 3.2)."""
        first = self.samples // self.modes
        least = min(first, max(2 * self.elites, self.injected))
        return max(int(first * self.decay**-iteration), least)


class Belief(NamedTuple):
    """
    What the search knows: the distribution over knots and the candidates worth another look.

    P knots, nu actions, M modes, J = `Search.injected` slots: the kept elites, the mean, the best,
    and what a policy proposes.
    """

    mean: torch.Tensor  # (P, nu, M)
    std: torch.Tensor  # (P, nu, M)
    injected: torch.Tensor  # (P, nu, M, J)
    best_cost: torch.Tensor  # (M,), of the best; inf if there is none


class Limits(NamedTuple):
    """
    What a candidate may do, per action.

    `step` is how far neighbouring knots may lie apart, `first` how far the first knot may lie from
    the action in force; inf where there is no rate limit.
    """

    low: torch.Tensor  # (nu,)
    high: torch.Tensor  # (nu,)
    step: torch.Tensor  # (nu,)
    first: torch.Tensor  # (nu,)
    std_initial: torch.Tensor  # (nu,)
    std_min: torch.Tensor  # (nu,)


class Numbers(NamedTuple):
    """Settings that may change between two plans, 0-d."""

    temperature: torch.Tensor
    momentum: torch.Tensor


class Problem(NamedTuple):
    """What the iterations of one period share, in tensors that are filled anew for each."""

    state: torch.Tensor  # (nx,), where all candidates begin
    previous_action: torch.Tensor  # (nu,), in force until now
    durations: torch.Tensor  # (H,), s
    first: torch.Tensor  # (H,), first knot of each step
    basis: torch.Tensor  # (H, order + 1), weights of the knots from there on
    limits: Limits
    actuators: Actuators | None
    numbers: Numbers


def limit_rate(knots: torch.Tensor, previous_action: torch.Tensor, limits: Limits) -> torch.Tensor:
    """Return knots (P, nu, M, n), each within reach of the one before it."""
    reach = limits.first[:, None, None]
    before = previous_action[:, None, None]
    rows = []
    for row in knots:
        before = torch.maximum(torch.minimum(row, before + reach), before - reach)
        rows.append(before)
        reach = limits.step[:, None, None]
    return torch.stack(rows)


class Iteration:
    """
    One CEM iteration: sample, bound, roll out, score, weigh, refit.

    `evaluate` is called as `Rollout` is, `limit_rate` as the function of that name.
    """

    def __init__(
        self,
        evaluate: Callable[..., torch.Tensor],
        search: Search,
        limit_rate: Callable[..., torch.Tensor] = limit_rate,
    ):
        self.evaluate = evaluate
        self.search = search
        self.limit_rate = limit_rate

    def __call__(
        self, problem: Problem, belief: Belief, use: torch.Tensor, noise: torch.Tensor
    ) -> tuple[Belief, torch.Tensor, torch.Tensor]:
        """
        Return the refitted belief, and knots (P, nu, M n) and cost (M, n) of every candidate.

        Args:
            problem: what the iterations of a period share.
            belief: the distribution to draw from.
            use: (J,), which injected slots replace drawn candidates in this iteration.
            noise: (P, nu, M, n), standard normal, coloured.
        """
        previous, limits = problem.previous_action, problem.limits
        knots = self._draw(belief, noise, use, previous, limits)
        flat = knots.flatten(2)
        sequence = self._sequence(flat, problem.first, problem.basis)
        cost = self.evaluate(
            problem.state, sequence, previous, problem.durations, problem.actuators
        )
        cost = cost.reshape(noise.shape[2:])
        return self._refit(belief, knots, cost, limits, problem.numbers), flat, cost

    def _draw(
        self,
        belief: Belief,
        noise: torch.Tensor,
        use: torch.Tensor,
        previous_action: torch.Tensor,
        limits: Limits,
    ) -> torch.Tensor:
        """Return knots (P, nu, M, n) within bounds and rates."""
        samples = noise.shape[-1]
        low, high = limits.low[:, None, None], limits.high[:, None, None]
        mean, std = belief.mean.unsqueeze(-1), belief.std.unsqueeze(-1)
        explorers = int(self.search.explore * samples)
        if explorers:
            is_explorer = torch.arange(samples, device=noise.device) >= samples - explorers
            std = torch.where(is_explorer, limits.std_initial[:, None, None], std)
        if self.search.sampling == "truncate":
            noise = truncated(noise, (low - mean) / std, (high - mean) / std)
        knots = mean + std * noise
        slots = self.search.injected
        injected = torch.where(use, belief.injected, knots[..., :slots])
        knots = torch.clamp(torch.cat((injected, knots[..., slots:]), -1), low, high)
        return self.limit_rate(knots, previous_action, limits)

    def _sequence(
        self, knots: torch.Tensor, first: torch.Tensor, basis: torch.Tensor
    ) -> torch.Tensor:
        """Return actions (H, nu, N) of knots (P, nu, N)."""
        if self.search.order == 0:
            return knots if self.search.knot_spacing == 1 else knots[first]
        terms = [basis[:, k, None, None] * knots[first + k] for k in range(self.search.order + 1)]
        return torch.stack(terms).sum(0)

    def _refit(
        self,
        belief: Belief,
        knots: torch.Tensor,
        cost: torch.Tensor,
        limits: Limits,
        numbers: Numbers,
    ) -> Belief:
        search = self.search
        index, weight = cross_entropy.select(
            cost, search.weighting, search.elites, numbers.temperature
        )
        chosen = torch.gather(knots, -1, index.expand(*knots.shape[:2], -1, -1))
        mean, std = cross_entropy.refit(chosen, weight)
        mean = torch.lerp(mean, belief.mean, numbers.momentum)
        std = torch.lerp(std, belief.std, numbers.momentum)
        std = torch.maximum(std, limits.std_min[:, None])
        any_valid = weight.sum(-1) > 0.0
        mean = torch.where(any_valid, mean, belief.mean)
        std = torch.where(any_valid, std, belief.std)

        cheapest = torch.gather(cost, -1, index[:, :1]).squeeze(-1)
        better = cheapest < belief.best_cost  # False for NaN
        kept, _, best, proposals = belief.injected.split(
            (search.kept, 1, 1, search.proposals), dim=-1
        )
        best = torch.where(better[:, None], chosen[..., :1], best)
        kept = torch.where(any_valid[:, None], chosen[..., : search.kept], kept)
        injected = torch.cat((kept, mean.unsqueeze(-1), best, proposals), -1)
        return Belief(mean, std, injected, torch.where(better, cheapest, belief.best_cost))


def truncated(noise: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Return the normal deviates `noise` mapped into [low, high] by their quantiles."""
    below, above = torch.special.ndtr(low), torch.special.ndtr(high)
    quantile = below + (above - below) * torch.special.ndtr(noise)
    return torch.clamp(torch.special.ndtri(quantile), low, high)
