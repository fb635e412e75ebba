# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The Cross-Entropy Method: weights of candidates, and the refit of the distribution.

One iteration samples candidates, has the caller score them, weighs them and refits the distribution
(Rubinstein and Kroese, The Cross-Entropy Method, 2004, algorithm 4.1). Candidates are the last
dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

WEIGHTINGS = ("elites", "softmax", "rank")


def rank_weights(elites: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """
    Return the log-rank weights (K,) of the cheapest to the K-th cheapest; they sum to one.

    w_i ~ log(K + 1/2) - log(i), i = 1..K (Hansen, The CMA Evolution Strategy: A Tutorial, eq. 49).
    """
    # Made on the device: a copy from the host could not be part of a CUDA graph.
    place = torch.arange(1, elites + 1, dtype=torch.float64, device=device)
    raw = math.log(elites + 0.5) - torch.log(place)
    return (raw / raw.sum()).float()


def select(
    cost: torch.Tensor, weighting: str, elites: int, temperature: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return the indices of the weighted candidates, cheapest first, and their weights.

    "elites" weighs the K cheapest candidates equally (CEM). "rank" weighs them by their rank.
    "softmax" weighs all candidates by exp(-(cost - least cost) / temperature) (MPPI: Williams et
    al., Information Theoretic MPC for Model-Based Reinforcement Learning, 2017, algorithm 2; `cost`
    already includes the control cost). A candidate whose cost is NaN or infinite has no weight. The
    weights sum to one, or to zero if no candidate is valid.

    Args:
        cost: (..., N).
        weighting: one of WEIGHTINGS.
        elites: K, 1 <= K <= N; with "softmax" it only sets how many indices are sorted first.
        temperature: 0-d, in units of the cost.
    """
    cost = torch.where(torch.isfinite(cost), cost, torch.inf)
    if weighting == "softmax":
        best, index = torch.sort(cost, dim=-1, stable=True)
        least = torch.where(torch.isfinite(best[..., :1]), best[..., :1], 0.0)
        weight = torch.exp((least - best) / temperature)
    else:
        best, index = torch.topk(cost, elites, largest=False)
        weight = torch.ones_like(best)
        if weighting == "rank":
            weight = weight * rank_weights(elites, cost.device)
    weight = torch.where(torch.isfinite(best), weight, 0.0)
    total = weight.sum(-1, keepdim=True)
    return index, weight / torch.where(total > 0.0, total, 1.0)


def refit(candidates: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return the weighted mean and std (...) of candidates (..., K) under weights (..., K).

    The variance is the weighted mean of the squared deviations. With K equal weights this is the
    maximum likelihood estimate, which divides by K.
    """
    mean = (weight * candidates).sum(-1)
    deviation = candidates - mean.unsqueeze(-1)
    return mean, torch.sqrt((weight * deviation * deviation).sum(-1))


class Minimum(NamedTuple):
    """
    The result of `minimize`: the last distribution, and the best candidate of all iterations.

    `invalid_share` is the share of all candidates whose cost was NaN or infinite.
    """

    mean: torch.Tensor
    std: torch.Tensor
    best: torch.Tensor
    best_cost: float
    invalid_share: float


def minimize(
    objective: Callable[[torch.Tensor], torch.Tensor],
    mean: torch.Tensor,
    std: torch.Tensor,
    *,
    samples: int,
    elites: int,
    iterations: int,
    weighting: str = "elites",
    temperature: float = 1.0,
    std_min: float = 0.0,
    generator: torch.Generator | None = None,
    report: Callable[[int, torch.Tensor], None] = lambda iteration, cost: None,
) -> Minimum:
    """
    Minimise a function of a vector by the Cross-Entropy Method.

    Args:
        objective: takes candidates (..., N), samples last, and returns their costs (N,). A
            candidate with a NaN or infinite cost gets no weight.
        mean, std: (...), the first distribution.
        samples: N.
        elites: K.
        iterations: number of iterations.
        weighting, temperature: as in `select`.
        std_min: floor of the std, in units of the vector.
        generator: of the noise, on the device of `mean`.
        report: called with the number of the iteration and its costs (N,).

    Raises ValueError for numbers that are not allowed, and RuntimeError if no candidate of any
    iteration has a finite cost.
    """
    if not 1 <= elites <= samples:
        raise ValueError(f"elites is {elites}, allowed: from 1 to samples ({samples})")
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}, allowed: at least 1")
    if not temperature > 0.0:
        raise ValueError(f"temperature is {temperature}, allowed: above 0")
    _check_normal(mean, std)
    scale = torch.as_tensor(temperature, device=mean.device)
    best, best_cost, invalid = mean, math.inf, 0
    for iteration in range(iterations):
        noise = torch.randn(
            *mean.shape, samples, generator=generator, device=mean.device, dtype=mean.dtype
        )
        candidates = mean.unsqueeze(-1) + std.unsqueeze(-1) * noise
        cost = objective(candidates)
        report(iteration, cost)
        _check_shape("objective", cost, samples)
        invalid += samples - int(torch.isfinite(cost).sum())
        index, weight = select(cost, weighting, elites, scale)
        if not weight.any():
            continue
        if cost[index[0]] < best_cost:
            best, best_cost = candidates[..., index[0]], float(cost[index[0]])
        mean, std = refit(candidates[..., index], weight.to(mean.dtype))
        std = torch.clamp(std, min=std_min)
    if best_cost == math.inf:
        raise RuntimeError(
            f"the objective was NaN or infinite for all {iterations * samples} candidates: begin "
            "with a mean or a std at which it is defined"
        )
    return Minimum(mean, std, best, best_cost, invalid / (iterations * samples))


class RareEvent(NamedTuple):
    """
    An estimate of a small probability, its standard error, and the number of levels used.

    `nan_share` is the share of the samples of the final estimate whose performance was NaN.
    """

    probability: float
    standard_error: float
    levels: int
    nan_share: float


def rare_event(
    performance: Callable[[torch.Tensor], torch.Tensor],
    mean: torch.Tensor,
    std: torch.Tensor,
    threshold: float,
    *,
    samples: int = 10_000,
    quantile: float = 0.1,
    max_levels: int = 100,
    generator: torch.Generator | None = None,
) -> RareEvent:
    """
    Estimate P(f(x) > threshold) for x ~ N(mean, std^2), by importance sampling.

    This is the original use of the Cross-Entropy Method. The mean of the sampling distribution
    moves, level by level, to where the event is common. Each level refits the mean to the best
    `quantile` of the samples, weighted with their likelihood ratios; the std does not change
    (Rubinstein and Kroese, algorithm 2.2). Then

        p = 1/N sum_i 1[f(x_i) > threshold] w_i,   w_i = N(x_i; mean, std) / N(x_i; new mean, std).

    Args:
        performance: f, takes (..., N), samples last, and returns (N,). A NaN counts as no event;
            infinity is above every threshold.
        mean, std: (...), of x; float64 for probabilities below about 1e-6.
        threshold: gamma.
        samples: N, the number of samples of each level and of the final estimate.
        quantile: share of the samples to which a level is fitted.
        max_levels: largest number of levels.
        generator: of the noise.

    Raises ValueError for numbers that are not allowed. Raises RuntimeError if the threshold is not
    reached within `max_levels`, or if the performance of all samples of a level is NaN.
    """
    _check_normal(mean, std)
    if not (std > 0.0).all():
        raise ValueError("std contains 0, expected numbers above 0")
    if math.isnan(threshold):
        raise ValueError("threshold is nan, expected a number")
    if not 0.0 < quantile < 1.0:
        raise ValueError(f"quantile is {quantile}, allowed: between 0 and 1")
    centre = mean

    def draw() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        noise = torch.randn(*mean.shape, samples, generator=generator, dtype=mean.dtype)
        x = centre.unsqueeze(-1) + std.unsqueeze(-1) * noise
        nominal = (x - mean.unsqueeze(-1)) / std.unsqueeze(-1)
        exponent = 0.5 * (noise * noise - nominal * nominal)
        ratio = torch.exp(exponent.reshape(-1, samples).sum(0))
        value = performance(x)
        _check_shape("performance", value, samples)
        if value.isnan().all():
            raise RuntimeError(
                f"the performance of all {samples} samples is NaN after {levels} levels, expected "
                "numbers where the samples are drawn"
            )
        return x, value, ratio

    levels, reached = 0, -math.inf
    while reached < threshold:
        if levels == max_levels:
            raise RuntimeError(
                f"{max_levels} levels reached {reached:g}, not the threshold {threshold:g}; "
                "take more samples or a larger quantile"
            )
        x, value, ratio = draw()
        # The order statistic itself: between infinities there is no mean. NaN comes first.
        ranked = torch.sort(torch.where(value.isnan(), -torch.inf, value)).values
        reached = ranked[math.ceil((1.0 - quantile) * (samples - 1))].item()
        weight = ratio * (value >= min(reached, threshold))
        if not weight.sum() > 0.0:
            raise RuntimeError(
                f"the likelihood ratios of the best samples are all 0 after {levels} levels: take "
                "mean and std in float64, more samples or a larger quantile"
            )
        centre, _ = refit(x, weight / weight.sum())
        levels += 1
    _, value, ratio = draw()
    term = ratio * (value > threshold)
    error = term.std(correction=0) / math.sqrt(samples)
    nan_share = value.isnan().double().mean().item()
    return RareEvent(term.mean().item(), error.item(), levels, nan_share)


def _check_normal(mean: torch.Tensor, std: torch.Tensor) -> None:
    """Raise ValueError if no normal distribution has this mean and std, both (...)."""
    if mean.shape != std.shape:
        raise ValueError(f"std has shape {tuple(std.shape)}, expected that of mean")
    if not (torch.isfinite(mean).all() and torch.isfinite(std).all() and (std >= 0.0).all()):
        raise ValueError("mean is NaN or infinite, or std is NaN, infinite or below 0")


def _check_shape(what: str, value: torch.Tensor, samples: int) -> None:
    if value.shape != (samples,):
        raise ValueError(
            f"{what} returned shape {tuple(value.shape)}, expected ({samples},), one number for "
            "each sample, the last dimension"
        )
