# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Fit a small network to steps of the pendulum and write it as learned.pt2 and learned.json."""

import json
from pathlib import Path

import torch

from cem_planner_ros.dynamics.pendulum import Pendulum

DT = 0.05
folder = Path(__file__).parent
plant = Pendulum({"integrator": "rk4"})


class Network(torch.nn.Module):
    """(state (2, N), action (1, N)) -> next state (2, N): samples are the last dimension."""

    def __init__(self, hidden=32):
        super().__init__()
        self.first = torch.nn.Parameter(0.5 * torch.randn(hidden, 4))
        self.shift = torch.nn.Parameter(torch.zeros(hidden, 1))
        self.second = torch.nn.Parameter(0.1 * torch.randn(2, hidden))

    def forward(self, state, action):
        """Return the state after DT."""
        theta, theta_dot = state
        features = (torch.sin(theta), torch.cos(theta), 0.2 * theta_dot, 0.3 * action[0])
        change = self.second @ torch.tanh(self.first @ torch.stack(features) + self.shift)
        return state + DT * torch.stack((theta_dot, torch.zeros_like(theta))) + change


torch.manual_seed(0)
network = Network()
optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
for step in range(1000):
    for group in optimiser.param_groups:
        group["lr"] = 0.01 * 0.996**step
    state = torch.tensor([[3.2], [8.0]]) * (2.0 * torch.rand(2, 1024) - 1.0)
    action = 6.0 * torch.rand(1, 1024) - 3.0
    target = plant.step(state, action, torch.tensor(DT))
    loss = ((network(state, action) - target) ** 2).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"error of a step: {loss.item() ** 0.5:.4f} rad, rad/s in root mean square")

samples = torch.export.Dim("N", min=1)
program = torch.export.export(
    network.eval(), (state, action), dynamic_shapes=({1: samples}, {1: samples})
)
torch.export.save(program, folder / "learned.pt2")
description = {
    "state_names": list(plant.state_names),
    "action_names": list(plant.action_names),
    "action_low": list(plant.action_low),
    "action_high": list(plant.action_high),
    "action_units": list(plant.action_units),
    "angle_names": list(plant.angle_names),
    "dt": DT,
}
(folder / "learned.json").write_text(json.dumps(description, indent=2) + "\n")
