# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A model and a cost that are any function that a test gives them."""

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics


class Model(Dynamics):
    """Any function of state and action as a model."""

    state_names = ("a", "b")
    action_names = ("u",)
    action_low = (-1.0,)
    action_high = (1.0,)
    action_units = ("",)
    function = staticmethod(lambda state, action: state + action)

    def step(self, state, action, dt):
        return self.function(state, action)


class Judge(Cost):
    """Any function of the state as a cost."""

    function = staticmethod(lambda state: state[0])

    def stage(self, state, action, previous_action, time):
        return self.function(state)
