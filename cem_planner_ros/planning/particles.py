# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Candidates in a model with members: which column runs which member, and the risk measure."""

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

    With "all" there are P N columns, candidate n under member p in column p N + n. Otherwise each
    candidate has R particles. With "ts_inf" a particle keeps its member. With "ts_1" it gets
    another member in each step (Chua et al., Deep Reinforcement Learning in a Handful of Trials,
    2018, section 5.1). There are R N columns, N rounded up to a multiple of P. The particles of a
    candidate are spread evenly over the members; otherwise, with few particles, the cheapest
    candidate would be the one with the most favourable members. The members are drawn with random
    numbers that are the same in every call.

    Attributes:
        propagation: one of PROPAGATIONS.
        count: R.
        risk: one of RISKS; reduces the costs of the whole horizon over members or particles.
        cvar_alpha: with "cvar", the share of the worst costs that are averaged, rounded up.
        std_factor: c of mean + c std, with "mean_std".
    """

    propagation: str = "all"
    count: int = 20
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
        sequence = sequence.repeat(1, 1, self.count)
        if self.propagation == "ts_inf":
            sequence = sequence[..., _order(columns, self.count, members, 0, sequence.device)]
        return sequence

    def shuffled(
        self,
        dynamics: Dynamics,
        state: torch.Tensor,
        sequence: torch.Tensor,
        durations: torch.Tensor,
    ) -> Iterator[torch.Tensor]:
        """Yield the states (nx, C) of a rollout in which particles change members in each step."""
        for index, (action, duration) in enumerate(zip(sequence, durations, strict=True)):
            candidates = sequence.shape[-1] // self.count
            order = _order(candidates, self.count, dynamics.members, index, state.device)
            moved = dynamics.step(state[:, order], action[:, order], duration)
            state = torch.empty_like(moved).index_copy_(1, order, moved)
            yield state

    def tail(self, count: int) -> int:
        """Return how many of `count` members or particles "cvar" averages."""
        return math.ceil(self.cvar_alpha * count - 1e-9)  # The float product 0.07 * 100 is above 7.

    def as_arguments(self, members: int) -> dict[str, int | float]:
        """Return the risk over members as compiled code takes it."""
        return {
            "risk": RISKS.index(self.risk),
            "tail": self.tail(members),
            "std_factor": self.std_factor,
        }

    def combine(self, cost: torch.Tensor, samples: int, members: int) -> torch.Tensor:
        """Return the cost (N,) of each candidate from the costs (C,) of the columns."""
        if self.propagation == "ts_inf":
            order = _order(len(cost) // self.count, self.count, members, 0, cost.device)
            cost = torch.empty_like(cost).index_copy_(0, order, cost)
        rows = members if self.propagation == "all" else self.count
        cost = cost.view(rows, -1)[:, :samples]
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
def _order(
    candidates: int, particles: int, members: int, step: int, device: torch.device
) -> torch.Tensor:
    """
    Return which particle each column has in a step; particle r of candidate n is r N + n.

    Each member gets 1 / P of the columns, and R / P particles of each candidate.
    """
    generator = torch.Generator().manual_seed(step)
    place = torch.randperm(candidates, generator=generator)
    shift = torch.randperm(particles, generator=generator)
    member = (place + shift[:, None]) % members
    return member.flatten().argsort(stable=True).to(device)
