# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The planner without ROS, cell by cell as in a notebook: plan, look, close the loop."""

# %% A planner of one of the shipped configurations; any YAML of the node will do.
import numpy as np
import torch
from matplotlib import pyplot

import cem_planner_ros as cem

planner = cem.load("cartpole.yaml", planner__device="cpu")
print(f"iterations run as: {planner.execution.name}")

# %% One plan from hanging, and what the search looked at on the way.
hanging = np.array([0.0, 0.0, np.pi, 0.0])  # x, x_dot, theta, theta_dot
plan = planner.plan(hanging, time=0.0)
found = planner.candidates()
print(f"{found.costs.size} candidates cost from {found.costs[0]:.1f} to {found.costs[-1]:.1f}")

figure, (above, below) = pyplot.subplots(2, layout="constrained")
plan.plot(above)
below.plot(found.states[:, 2, ::50], color="grey", linewidth=0.5)  # every 50th candidate's theta
below.plot(planner.predict(plan, hanging)[:, 2], color="black")
below.set(xlabel="model step", ylabel="theta (rad)")
figure.savefig("plan.png")
print("plan.png shows the plan and some candidates")

# %% Close the loop: the plant is the model itself, and each plan begins with the one before.
state, period, way = hanging, 0.02, []
action = plan.action_at(0.0)
for tick in range(150):
    plan = planner.plan(state, tick * period, action)
    action = plan.action_at(tick * period)
    step = cem.Plan(np.array([0.0, period]), action[None], plan.cost, 0, 0.0)
    state = planner.predict(step, state)[-1]
    way.append(state[2])
print(f"after {150 * period:g} s theta is {(way[-1] + np.pi) % (2 * np.pi) - np.pi:.3f} rad")

# %% The same method minimises any function of a vector; samples are the last dimension.
start, width = torch.zeros(2), torch.full((2,), 3.0)
found = cem.minimize(
    lambda x: ((x - 3.0) ** 2).sum(0), start, width, samples=200, elites=20, iterations=30
)
print(f"the minimum is at {found.best.round(decimals=2).tolist()}")
