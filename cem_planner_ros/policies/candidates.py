# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Candidates from a policy: the action sequences of the model under the policy."""

from __future__ import annotations

import contextlib

import numpy as np
import torch

from cem_planner_ros.compile.cpu import Kernel, Trajectory
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.policies.linear_policy import MatchedPolicy


class ClosedLoopModel(Dynamics):
    """
    A model under a policy; its additional states are the actions of the policy.

    Args:
        model: the model.
        policy: the policy, matched to it.
        device: where the model lives.
    """

    def __init__(self, model: Dynamics, policy: MatchedPolicy, device: torch.device | str = "cpu"):
        for name in ("action_names", "action_low", "action_high", "action_units", "angle_names"):
            setattr(self, name, getattr(model, name))
        self.state_names = (*model.state_names, *(f"{name} done" for name in model.action_names))
        self.model = model
        super().__init__({}, device=device)

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.tensor(np.asarray(values), dtype=torch.float32, device=device)

        self.weights = tensor(policy.policy.mean)[..., None]
        """(n + 1, m, 1) for all samples, or (n + 1, m, N); as LinearPolicy.mean."""
        self._rows, self._order = policy.rows, policy.order
        self._is_angle = torch.tensor(policy.is_angle[:, None], device=device)
        self._low, self._high = tensor(policy.low[:, None]), tensor(policy.high[:, None])
        levels = policy.policy.levels
        self._levels = None if levels is None else tensor(levels)[..., None]

    @property
    def number_tensors(self) -> tuple[torch.Tensor, ...]:
        """The storage of the model's numbers."""
        return self.model.number_tensors

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the states of the model after `dt`, s, and below them the actions."""
        count = len(self.model.state_names)
        seen = torch.stack([state[row] for row in self._rows])
        wrapped = torch.remainder(seen + torch.pi, 2.0 * torch.pi) - torch.pi
        seen = torch.where(self._is_angle, wrapped, seen)
        scores = (self.weights[:-1] * seen[:, None]).sum(0) + self.weights[-1]
        if self._levels is not None:
            best, chosen = scores[0], self._levels[0].expand(-1, state.shape[-1])
            for score, level in zip(scores[1:], self._levels[1:], strict=True):
                chosen = torch.where(score > best, level, chosen)
                best = torch.maximum(best, score)
            scores = chosen
        done = torch.stack([scores[row] for row in self._order])
        done = torch.maximum(torch.minimum(done, self._high), self._low)
        members = self.model.members
        if members == 1:
            moved = self.model.step(state[:count], done, dt)
        else:  # What the actuators apply, on average.
            columns = (state[:count].repeat(1, members), done.repeat(1, members))
            moved = self.model.step(*columns, dt).view(count, members, -1).mean(1)
        return torch.cat((moved, done))


class PolicyCandidates:
    """
    Action sequences of a policy, as candidates for `Planner(policy=...)`.

    The model is rolled out under the policy: the first sequence uses its mean weights, the others
    weights that are drawn once from its distribution. On the CPU this runs compiled if possible.

    Args:
        policy: the policy, matched to the model.
        dynamics: the model.
        count: E, how many sequences.
        device: where the model lives.
        seed: seed of the drawn weights.
        compiled: whether to compile the rollout, on the CPU and where the model can be translated.
    """

    def __init__(
        self,
        policy: MatchedPolicy,
        dynamics: Dynamics,
        count: int,
        device: torch.device | str = "cpu",
        seed: int = 0,
        compiled: bool = True,
    ):
        linear = policy.policy
        noise = np.random.default_rng(seed).standard_normal((count, *linear.mean.shape))
        noise[0] = 0.0
        weights = torch.tensor(linear.mean + linear.std * noise, dtype=torch.float32, device=device)
        self._weights = weights.unsqueeze(-1)
        self._closed_loop = ClosedLoopModel(dynamics, policy, device)
        self._device = torch.device(device)
        self._compiled: dict[int, Trajectory] = {}
        self._kernel: Kernel | None = None
        # A physics engine steps in its own way, and members run side by side.
        in_pytorch = not dynamics.rolls_out_itself and dynamics.members == 1
        if compiled and in_pytorch and self._device.type == "cpu":
            with contextlib.suppress(Exception):  # Tracing runs the model.
                self._kernel = Kernel(Rollout(self._closed_loop, [], 1.0))

    @property
    def is_compiled(self) -> bool:
        """Whether the rollout is compiled; otherwise PyTorch runs it."""
        return self._kernel is not None

    def __call__(self, state: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return sequences (E, H, nu) from `state` (nx,) over steps between `edges` (H + 1,), s."""
        durations = np.diff(edges)
        nu, horizon = len(self._closed_loop.action_names), len(durations)
        start, idle = np.concatenate((state, np.zeros(nu))), np.zeros((horizon, nu))
        if self._kernel is None:
            return self._in_pytorch(start, durations)
        if horizon not in self._compiled:
            self._compiled[horizon] = Trajectory(self._kernel, horizon)
        sequences = []
        for weights in self._weights:
            self._closed_loop.weights.copy_(weights)
            sequences.append(self._compiled[horizon](start, idle, durations)[1:, -nu:])
        return np.array(sequences)

    @torch.no_grad()
    def _in_pytorch(self, start: np.ndarray, durations: np.ndarray) -> np.ndarray:
        nu, count = len(self._closed_loop.action_names), len(self._weights)
        now, steps = (
            torch.as_tensor(values, dtype=torch.float32, device=self._device)
            for values in (np.repeat(start[:, None], count, 1), durations)
        )
        self._closed_loop.weights = self._weights.squeeze(-1).permute(1, 2, 0)
        actions = []
        for duration in steps:
            now = self._closed_loop.step(now, now[-nu:], duration)
            actions.append(now[-nu:])
        return torch.stack(actions).permute(2, 0, 1).cpu().numpy()
