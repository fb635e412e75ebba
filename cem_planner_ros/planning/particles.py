"""How candidates run through a model with members, and what they then cost."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from cem_planner_ros.dynamics.base import Dynamics

PROPAGATIONS = ("all", "ts_inf", "ts_1")
RISKS = ("mean", "worst", "cvar", "mean_std")


@dataclass(frozen=True)
class Particles:
    """
    The columns of a rollout of N candidates through P members.

    With "all" there are P N columns, candidate n under member p in column p N + n. With "ts_inf"
    each candidate is one column under one member, with "ts_1" under another one in each step; the
    columns are N, filled up to a multiple of P (Chua et al., Deep Reinforcement Learning in a
    Handful of Trials, 2018, section 5.1, with one particle). Which member is drawn from numbers
    that are the same in every call.

    Attributes:
        propagation: one of PROPAGATIONS.
        risk: one of RISKS, over the members, of the cost of the whole horizon.
        cvar_alpha: with "cvar", the mean of this share of the members, the worst ones.
        std_factor: c of mean + c std, with "mean_std".
    """

    propagation: str = "all"
    risk: str = "mean"
    cvar_alpha: float = 0.4
    std_factor: float = 1.0

    def spread(self, sequence: torch.Tensor, members: int) -> torch.Tensor:
        """Return the columns (H, nu, C) of candidates (H, nu, N)."""
        if self.propagation == "all":
            return sequence.repeat(1, 1, members)
        samples = sequence.shape[-1]
        columns = -(-samples // members) * members
        if columns > samples:
            again = torch.arange(columns, device=sequence.device) % samples
            sequence = sequence[..., again]
        if self.propagation == "ts_inf":
            # The first candidates, such as the mean, would all be judged by the first member.
            sequence = sequence[..., _order(columns, 0, sequence.device)]
        return sequence

    def shuffled(
        self,
        dynamics: Dynamics,
        state: torch.Tensor,
        sequence: torch.Tensor,
        durations: torch.Tensor,
    ) -> Iterator[torch.Tensor]:
        """Yield the states (nx, C) of a rollout in which each step has other members."""
        for index, (action, duration) in enumerate(zip(sequence, durations, strict=True)):
            order = _order(sequence.shape[-1], index, state.device)
            moved = dynamics.step(state[:, order], action[:, order], duration)
            state = torch.empty_like(moved).index_copy_(1, order, moved)
            yield state

    def tail(self, members: int) -> int:
        """Return how many of the members "cvar" takes the mean of: the share, rounded up."""
        return math.ceil(self.cvar_alpha * members - 1e-9)  # 0.07 * 100 is a little more than 7.

    def judge(self, cost: torch.Tensor, samples: int) -> torch.Tensor:
        """Return the cost (N,) of each of N candidates, of the costs (C,) of the columns."""
        if self.propagation == "ts_inf":
            cost = torch.empty_like(cost).index_copy_(0, _order(len(cost), 0, cost.device), cost)
        if self.propagation != "all":
            return cost[:samples]
        cost = cost.view(-1, samples)
        if self.risk == "worst":
            return cost.amax(0)
        if self.risk == "cvar":
            # NaN counts as the largest, so an invalid member makes the candidate invalid.
            return cost.topk(self.tail(len(cost)), 0).values.mean(0)
        mean = cost.mean(0)
        if self.risk == "mean_std":
            return mean + self.std_factor * cost.std(0, correction=0)
        return mean


@functools.lru_cache(maxsize=1024)
def _order(columns: int, step: int, device: torch.device) -> torch.Tensor:
    """Return the candidates of the columns, drawn for a step."""
    generator = torch.Generator().manual_seed(step)
    return torch.randperm(columns, generator=generator).to(device)
