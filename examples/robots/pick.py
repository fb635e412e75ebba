# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A cost that makes a gripper lift an object, carry it over a goal, put it down, and go home."""

import torch

from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.plugins.plan_inputs import PlanInputs

# Weights of: distance of the hand, height, distance to the goal, gap to the table, pose of the arm.
LIFT, CARRY, PLACE, HOME = (5, 10, 0, 0, 0), (10, 0, 1, 0, 0), (0, 0, 1, 1, 0), (0, 0, 0, 0, 1)
GOAL, POSE = (0.6, 0.4), (0, -0.7854, 0, -2.3562, 0, 1.5708, 0.7854)


class Pick(Cost):
    """Costs of the object, the hand and the arm; the place of the object chooses their weights."""

    reads_outputs = True

    def __init__(self, dynamics, values=None, *, device="cpu"):
        super().__init__(dynamics, values, device=device)
        self._object = rows_of(dynamics, *(f"object_joint_{axis}" for axis in "xyz"))
        self._arm = rows_of(dynamics, *(f"fr3_joint{i}" for i in range(1, 8)))
        names = ("obj_table", *(f"trace_grasp_site_{axis}" for axis in "xyz"))
        self._gap, *self._hand = rows_of(dynamics, *names, outputs=True)
        self._goal, self._pose = (torch.tensor(v, device=device)[:, None] for v in (GOAL, POSE))
        self._weights = PlanInputs(device, each=(5, 1))
        self._weights.host["each"][:, 0] = LIFT

    def prepare(self, state, time, surroundings):
        """Choose the weights."""
        x, y, z = state[self._object]
        there, high = (x - GOAL[0]) ** 2 + (y - GOAL[1]) ** 2 < 0.05**2, z > 0.021
        phase = (PLACE if there else CARRY) if high else (HOME if there else LIFT)
        self._weights.host["each"][:, 0] = phase
        self._weights.send()

    def stage(self, state, action, previous_action, time):
        """Return the cost (N,) of a step."""
        thing, hand, arm = state[self._object], state[self._hand], state[self._arm]
        near, far = ((hand - thing) ** 2).sum(0), torch.linalg.norm(thing[:2] - self._goal, dim=0)
        pose = torch.linalg.norm(arm - self._pose, dim=0)
        terms = near, (thing[2] - 0.3) ** 2, far, state[self._gap], pose
        return (self._weights.each * torch.stack(terms)).sum(0)
