#!/usr/bin/env python3
# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Trains models/pendulum_latent from what a pendulum shows: observations, torques and rewards.

    python examples/train_pendulum_latent.py models/pendulum_latent

The pendulum is that of the plugin `pendulum`. It begins anywhere, at any speed, under random
torques. Only its angle is observed, by sine and cosine: how fast it turns is for the model to
remember.
"""

import json
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from cem_planner_ros.dynamics.latent import RecurrentStateSpace
from cem_planner_ros.dynamics.pendulum import Pendulum

DT, STEPS, EPISODES, BATCH = 0.05, 20, 8000, 256
UPDATES = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
MAX_RATE = 8.0
SCALE = torch.ones(2)

WARM = 5
"""Observations that the memory is filled with before imagination begins."""


def collect() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return observations (E, T + 1, 2), torques (E, T, 1) over the largest, rewards (E, T)."""
    model = Pendulum({"integrator": "rk4"})
    largest = model.action_high[0]
    state = torch.stack(
        (
            (2.0 * torch.rand(EPISODES) - 1.0) * math.pi,
            (2.0 * torch.rand(EPISODES) - 1.0) * MAX_RATE,
        )
    )
    observations, actions, rewards = [observe(state)], [], []
    action = torch.zeros(1, EPISODES)
    for _ in range(STEPS):
        # Held for some steps, then another one.
        is_new = torch.rand(EPISODES) < 0.3
        action = torch.where(is_new, 2.0 * torch.rand(1, EPISODES) - 1.0, action)
        state = model.step(state, largest * action, torch.tensor(DT))
        observations.append(observe(state))
        actions.append(action.T)
        rewards.append(torch.cos(state[0]) - 0.05 * state[1] ** 2 - 0.02 * action[0] ** 2)
    return torch.stack(observations, 1), torch.stack(actions, 1), torch.stack(rewards, 1)


def observe(state: torch.Tensor) -> torch.Tensor:
    """Return sine and cosine (E, 2), scaled, of states (2, E)."""
    return torch.stack((torch.sin(state[0]), torch.cos(state[0])), -1) / SCALE


def loss_of(
    model: RecurrentStateSpace,
    observations: torch.Tensor,
    actions: torch.Tensor,
    rewards: torch.Tensor,
) -> torch.Tensor:
    """
    Return reconstruction, reward and divergence of prior and posterior along sequences.

    Once along the posteriors, as the model is trained in its paper, and once along the priors after
    WARM observations, which is how it is used.
    """
    h = observations.new_zeros(len(observations), model.memory)
    mean, std = model.distribution(model.posterior(torch.cat((h, observations[:, 0]), -1)))
    s = mean + std * torch.randn_like(std)
    memories, latents, posteriors, means = [], [], [], []
    for action, seen in zip(actions.unbind(1), observations[:, 1:].unbind(1), strict=True):
        h = model.advance(h, s, action)
        posteriors.append(model.posterior(torch.cat((h, seen), -1)))
        mean, std = model.distribution(posteriors[-1])
        s = mean + std * torch.randn_like(std)
        means.append(mean)
        memories.append(h)
        latents.append(s)
    memory = torch.stack(memories, 1)
    mean, std = model.distribution(torch.stack(posteriors, 1))
    prior, prior_std = model.distribution(model.prior(memory))
    divergence = torch.log(prior_std / std) - 0.5
    divergence = divergence + (std**2 + (mean - prior) ** 2) / (2.0 * prior_std**2)
    loss = 0.003 * divergence.sum(-1).mean()
    imagined = model.imagine(memories[WARM - 1], means[WARM - 1], actions[:, WARM:])
    for begin, both in (
        (0, torch.cat((memory, torch.stack(latents, 1)), -1)),
        (WARM, torch.stack(list(imagined), 1)),
    ):
        error = model.decoder(both) - observations[:, 1 + begin :]
        loss = loss + 10.0 * error.square().sum(-1).mean()
        loss = loss + (model.reward(both)[..., 0] - rewards[:, begin:]).square().mean()
    return loss


def main() -> None:
    """Train and write."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    out = Path(sys.argv[1])
    data = collect()
    model = RecurrentStateSpace(observations=len(SCALE), actions=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, UPDATES, eta_min=5e-5)
    for update in range(UPDATES):
        chosen = torch.randint(EPISODES, (BATCH,))
        loss = loss_of(model, *(tensor[chosen] for tensor in data))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        if update % 200 == 0:
            print(f"update {update:5d} of {UPDATES}: loss {loss.item():.5f}", flush=True)
    file = out.with_suffix(".safetensors")
    save_file(model.state_dict() | {"scale": SCALE}, file)
    low, high = Pendulum.action_low, Pendulum.action_high
    content = {
        "state_names": Pendulum.angle_names,
        "action_names": Pendulum.action_names,
        "action_units": Pendulum.action_units,
        "angle_names": Pendulum.angle_names,
        **{"action_low": low, "action_high": high, "dt": DT},
    }
    file.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    print(f"wrote {file}, {file.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
