# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Close the loop of skid_steer.yaml over its own model, without ROS, and print where it goes."""

from pathlib import Path

import numpy as np

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.simulation.plants import ModelPlant

file = Path(__file__).with_name("skid_steer.yaml")
configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
planner = configuration.planner()
print(f"planning with: {planner.execution.name} {planner.execution.reason}")
plant = ModelPlant(configuration, start=np.zeros(3))
period = 1.0 / configuration.values["control_rate"]
action = np.zeros(2)
for tick in range(round(8.0 / period)):
    plan = planner.plan(plant.state(), tick * period, action)
    action = plan.action_at(tick * period)
    plant.step(action, period)
    if tick % 20 == 19:
        x, y, yaw = plant.state()
        print(f"{(tick + 1) * period:3.0f} s  x {x:5.2f} m  y {y:5.2f} m  yaw {yaw:5.2f} rad")
