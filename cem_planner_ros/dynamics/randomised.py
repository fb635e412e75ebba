# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Variants of a model with uncertain numbers, which run side by side."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch

from cem_planner_ros.dynamics.base import Dynamics

UNCHANGED = ("state_names", "action_names", "action_low", "action_high", "action_units")


class Randomised(Dynamics):
    """
    P variants of a model; the numbers of each are drawn once around those of the model.

    A number of a variant is the number of the model times 1 + spread * u, with u uniform in [-1,
    1]. The first variant has the numbers of the model. When a number of the model is tuned, it
    changes in all variants.

    Args:
        model: the model. Its operations must keep samples apart, so that each sample can have its
            own number.
        spreads: spread of each number by name, such as {"pole_mass": 0.3}.
        members: P.
        seed: seed of the random numbers.
    """

    def __init__(self, model: Dynamics, spreads: Mapping[str, float], members: int, seed: int = 0):
        copied = "angle_names", "position_names", "quaternion_names", "output_names"
        for name in (*UNCHANGED, *copied):
            setattr(self, name, getattr(model, name))
        self.members = members
        self.member = self._model = model
        tensors = dict(zip(model.numbers, model.number_tensors, strict=True))
        device = next(iter(tensors.values())).device
        super().__init__({}, device=device)
        generator = torch.Generator().manual_seed(seed)
        self._factors: dict[str, torch.Tensor] = {}
        for name in model.numbers:
            group = name.partition(".")[0]
            share = 2.0 * torch.rand(members, generator=generator) - 1.0
            share[0] = 0.0
            factor = 1.0 + spreads.get(name, 0.0) * share.to(device)
            if spreads.get(name) and "." not in name:
                self._factors[group] = factor
            elif spreads.get(name):
                rows = [n for n in model.numbers if n.partition(".")[0] == group]
                ones = torch.ones(len(rows), members, device=device)
                self._factors.setdefault(group, ones)[rows.index(name)] = factor

        self._stacks = {
            group: torch.empty(members, *getattr(model, group).shape, device=device)
            for group in self._factors
        }
        self.refresh()

    def reset(self) -> None:
        """Let the model forget what it remembers of earlier plans."""
        self._model.reset()

    def refresh(self) -> None:
        """Update the numbers of the variants, which `variant` returns, to those of the model."""
        for group, factor in self._factors.items():
            # (P,) of a number, (n, P) of a vector (n, 1).
            numbers = (getattr(self.member, group) * factor).movedim(-1, 0)
            self._stacks[group].copy_(numbers.view_as(self._stacks[group]))

    def variant(self, member: int, numbers: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return tensors with the model's numbers replaced by those of a variant."""
        own = {getattr(self.member, g).data_ptr(): stack for g, stack in self._stacks.items()}
        return [own[n.data_ptr()][member] if n.data_ptr() in own else n for n in numbers]

    @property
    def number_tensors(self) -> tuple[torch.Tensor, ...]:
        """The storage of the model's numbers."""
        return self._model.number_tensors

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the states (nx, N) after `dt`, s; each variant computes 1 / P of the columns."""
        return self._with_numbers_for(state).step(state, action, dt)

    def output(self, state: torch.Tensor) -> torch.Tensor:
        """Return the outputs (ny, N) of states (nx, N), 1 / P of the columns for each variant."""
        return self._with_numbers_for(state).output(state)

    def _with_numbers_for(self, state: torch.Tensor) -> Dynamics:
        """Return the model with a number of its own for each column of `state` (nx, N)."""
        variant = copy.copy(self._model)
        each = state.shape[-1] // self.members
        for name, factor in self._factors.items():
            setattr(variant, name, getattr(self.member, name) * factor.repeat_interleave(each, -1))
        return variant
