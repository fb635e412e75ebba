"""
The Cross-Entropy Method: weights over scored candidates, and the distribution refitted to them.

One iteration samples candidates, lets the caller score them, weighs them and refits (Rubinstein and
Kroese, The Cross-Entropy Method, 2004, algorithm 4.1). Candidates are the last dimension.
"""

from __future__ import annotations

import math

import torch

WEIGHTINGS = ("elites", "softmax", "rank")


def rank_weights(elites: int) -> list[float]:
    """
    Return the log-rank weights (K,) of the cheapest to the K-th cheapest; they sum to one.

    w_i ~ log(K + 1/2) - log(i), i = 1..K (Hansen, The CMA Evolution Strategy: A Tutorial, eq. 49).
    """
    raw = [math.log(elites + 0.5) - math.log(i) for i in range(1, elites + 1)]
    return [weight / sum(raw) for weight in raw]


def select(
    cost: torch.Tensor, weighting: str, elites: int, temperature: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return the indices of the candidates that count, cheapest first, and their weights.

    "elites" weighs the K cheapest equally (CEM), "rank" by their rank, "softmax" all candidates by
    exp(-(cost - least cost) / temperature) (MPPI: Williams et al., Information Theoretic MPC for
    Model-Based Reinforcement Learning, 2017, algorithm 2). A candidate whose cost is NaN or
    infinite has no weight. The weights sum to one, or to zero if no candidate is valid.

    Args:
        cost: (..., N).
        weighting: one of WEIGHTINGS.
        elites: K, 1 <= K <= N; with "softmax" it is only how many indices come first.
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
            weight = weight * torch.tensor(rank_weights(elites), device=cost.device)
    weight = torch.where(torch.isfinite(best), weight, 0.0)
    total = weight.sum(-1, keepdim=True)
    return index, weight / torch.where(total > 0.0, total, 1.0)


def refit(candidates: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return the weighted mean and std (...) of candidates (..., K) under weights (..., K).

    The std divides by the sum of the weights, one, which for K equal weights is 1/K, as maximum
    likelihood has it.
    """
    mean = (weight * candidates).sum(-1)
    deviation = candidates - mean.unsqueeze(-1)
    return mean, torch.sqrt((weight * deviation * deviation).sum(-1))
