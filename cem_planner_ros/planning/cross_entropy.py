"""
The Cross-Entropy Method on a Gaussian with independent components.

One iteration samples candidates, lets the caller score them, keeps the K best and refits
(Rubinstein and Kroese, The Cross-Entropy Method, 2004, algorithm 4.1). Candidates are the last
dimension: `mean` and `std` have any shape (...), candidates (..., N).
"""

from __future__ import annotations

import torch


def sample(
    mean: torch.Tensor,
    std: torch.Tensor,
    noise: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
) -> torch.Tensor:
    """
    Return candidates mean + std * noise, clipped to [low, high].

    Args:
        mean, std: (...).
        noise: (..., N), standard normal.
        low, high: broadcastable to (..., N).
    """
    return torch.clamp(mean.unsqueeze(-1) + std.unsqueeze(-1) * noise, low, high)


def refit(
    candidates: torch.Tensor,
    cost: torch.Tensor,
    elites: int,
    mean: torch.Tensor,
    std: torch.Tensor,
    std_min: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return mean and std of the `elites` cheapest candidates.

    The variance divides by the number of elites, as maximum likelihood has it. A candidate whose
    cost is NaN or infinite is never an elite; where fewer than `elites` are left, those count, and
    where none is left the distribution stays as it was.

    Args:
        candidates: (..., N).
        cost: (N,).
        elites: K, 1 <= K <= N.
        mean, std: (...), the distribution that the candidates were drawn from.
        std_min: broadcastable to (...), the floor of the returned std.
    """
    cost = torch.where(torch.isfinite(cost), cost, torch.inf)
    best, index = torch.topk(cost, elites, largest=False, sorted=False)
    weight = torch.isfinite(best).to(candidates.dtype)
    count = weight.sum()
    weight = weight / torch.clamp(count, min=1.0)
    chosen = candidates[..., index]
    new_mean = (weight * chosen).sum(-1)
    deviation = chosen - new_mean.unsqueeze(-1)
    new_std = torch.sqrt((weight * deviation * deviation).sum(-1))
    any_valid = count > 0
    return (
        torch.where(any_valid, new_mean, mean),
        torch.maximum(torch.where(any_valid, new_std, std), std_min),
    )
