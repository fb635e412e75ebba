# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Swing the true pendulum up with the learned model, without ROS."""

from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.dynamics.pendulum import Pendulum

folder = Path(__file__).parent
values = load_yaml(folder / "learned_pendulum.yaml")
values |= {"planner.device": "cpu", "dynamics.file": str(folder / "learned.pt2")}
configuration = configure(values)
planner = configuration.planner()
plant = Pendulum({"integrator": "rk4"})
period = 1.0 / configuration.values["control_rate"]
state, action = np.array([np.pi, 0.0]), np.zeros(1)
for tick in range(round(7.0 / period)):
    action = planner.plan(state, tick * period, action).action_at(tick * period)
    columns = (torch.tensor(value, dtype=torch.float32)[:, None] for value in (state, action))
    state = plant.step(*columns, torch.tensor(period))[:, 0].numpy().astype(float)
    if tick % 50 == 49:
        angle = np.remainder(state[0] + np.pi, 2 * np.pi) - np.pi
        print(f"{(tick + 1) * period:3.0f} s  angle {angle:5.2f} rad, upright is 0")
