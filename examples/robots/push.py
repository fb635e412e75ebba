# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A cost that makes a pusher push a cylinder to a goal."""

import torch

from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.plugins.parameter import Parameter, named


class Push(Cost):
    """The squared distances of the cylinder from the goal, and of the pusher from behind it."""

    parameters = (
        Parameter("offset", 0.25, "Distance of the place behind the cylinder.", unit="m", low=0.0),
        *named("goal", ("x", "y"), 0.0, "{name} of the goal of the cylinder.", unit="m"),
    )

    def __init__(self, dynamics, *args, **options):
        super().__init__(dynamics, *args, **options)
        self._pusher = rows_of(dynamics, "slider_x", "slider_y")
        self._cart = rows_of(dynamics, "slider_cart_x", "slider_cart_y")

    def stage(self, state, action, previous_action, time):
        """Return the cost (N,) of a step."""
        way = self.goal - state[self._cart]
        distance = (way * way).sum(0)
        behind = self.goal - way - self.offset * way / torch.sqrt(distance + 1e-9)
        error = state[self._pusher] - behind
        return 0.05 * distance + 0.25 * (error * error).sum(0)
