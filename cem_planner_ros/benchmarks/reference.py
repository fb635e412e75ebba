# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A plain CEM planner, eager and with samples first, as a fixed reference."""

from __future__ import annotations

import math

import torch


class PlainCEM:
    """
    The planner of the first seed note on the cart-pole, its rollout written out.

    Candidates are (N, H, nu); every period begins with mean zero and std 0.5.
    """

    def __init__(
        self,
        samples: int,
        horizon: int,
        iterations: int,
        device: torch.device | str = "cpu",
    ):
        self.samples, self.horizon, self.iterations = samples, horizon, iterations
        self.elites = min(100, samples)
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device)

    def plan(self, state: torch.Tensor) -> torch.Tensor:
        """Return the first action (1,), on the CPU, for a cart-pole state (4,)."""
        state = state.to(self.device)
        mean = torch.zeros(self.horizon, 1, device=self.device)
        std = torch.full_like(mean, 0.5)
        for _ in range(self.iterations):
            shape = (self.samples, self.horizon, 1)
            noise = torch.randn(shape, generator=self.generator, device=self.device)
            actions = (mean + std * noise).clamp(-1.0, 1.0)
            cost = self.cost(state, actions)
            elites = actions[cost.topk(self.elites, largest=False).indices]
            mean, std = elites.mean(0), elites.std(0, correction=0) + 1e-5
        return mean[0].cpu()

    def cost(self, state: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Return the cost (N,) of actions (N, H, 1)."""
        states = state.expand(self.samples, 4)
        total = torch.zeros(self.samples, device=state.device)
        for step in range(self.horizon):
            states = cartpole_step(states, actions[:, step])
            total = total + cartpole_cost(states, actions[:, step])
        return total


def cartpole_step(state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """Return the cart-pole (N, 4) after 0.02 s of force 10 u (N, 1), by explicit Euler."""
    x, x_dot, theta, theta_dot = state.unbind(-1)
    sin, cos = torch.sin(theta), torch.cos(theta)
    push = (10.0 * action[..., 0] + 0.05 * theta_dot**2 * sin) / 1.1
    theta_ddot = (9.8 * sin - cos * push) / (0.5 * (4.0 / 3.0 - 0.1 * cos**2 / 1.1))
    x_ddot = push - 0.05 * theta_ddot * cos / 1.1
    return torch.stack(
        (
            x + 0.02 * x_dot,
            x_dot + 0.02 * x_ddot,
            theta + 0.02 * theta_dot,
            theta_dot + 0.02 * theta_ddot,
        ),
        -1,
    )


def cartpole_cost(state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """Return x^2 + 10 (1 - cos theta) + 0.1 x_dot^2 + 0.1 theta_dot^2 + 0.01 u^2, shape (N,)."""
    x, x_dot, theta, theta_dot = state.unbind(-1)
    return (
        x**2
        + 10.0 * (1.0 - torch.cos(theta))
        + 0.1 * x_dot**2
        + 0.1 * theta_dot**2
        + 0.01 * action[..., 0] ** 2
    )


HANGING = (0.0, 0.0, math.pi, 0.0)
"""Where the swing-up begins."""
