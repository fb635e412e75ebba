# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from any_function import Judge, Model

from cem_planner_ros.costs.actions import Effort
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout

CPU = torch.device("cpu")


class Moved(Cost):
    """How far the first state moves in each step."""

    reads_previous_state = True

    def stage(self, state, action, previous_action, time, previous_state):
        return torch.abs(state[0] - previous_state[0])


def test_a_cost_may_ask_for_the_state_before_the_step():
    model = DoubleIntegrator()
    rollout = Rollout(model, [Moved(model)], 0.1)
    state, durations = torch.tensor([1.0, 0.0, 0.4, 0.0]), torch.full((5,), 0.1)
    straight = torch.zeros(5, 2, 3)
    cost = rollout(state, straight, torch.zeros(2), durations)
    torch.testing.assert_close(cost, torch.full((3,), 5 * 0.4 * 0.1))

    class Engine(type(model)):
        def rollout(self, *given):
            return super().rollout(*given)

    engine = Engine()
    assert engine.rolls_out_itself
    cost = Rollout(engine, [Moved(engine)], 0.1)(state, straight, torch.zeros(2), durations)
    torch.testing.assert_close(cost, torch.full((3,), 5 * 0.4 * 0.1))


def test_what_a_model_without_a_rollout_of_its_own_says_counts_too():
    """A kernel, which knows only the steps, would leave it out."""
    model = type(
        "Oracle", (Model,), {"predicts_return": True, "returns": lambda m, s, q, d: q.sum((0, 1))}
    )()
    settings = {"samples": 64, "elites": 8, "horizon": 3}
    planner = Planner(model, [Effort(model, {"weight.u": 1e-3})], backend="auto", **settings)
    assert planner.execution.name == "eager"
    assert planner.plan(np.zeros(2), 0.0).actions.min() > 0.8


def test_the_breakdown_names_what_each_cost_contributes():
    model = DoubleIntegrator()
    costs = [
        Quadratic(model, {"weight.x": 1.0}),
        Effort(model, {"weight.x_ddot": 2.0}),
        Terminal(model, {"weight.x_dot": 3.0}),
    ]
    rollout = Rollout(model, costs, 0.1)
    state, before = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.zeros(2)
    actions = torch.ones(4, 2)
    durations = torch.full((4,), 0.1)
    parts = rollout.breakdown(state, actions, before, durations)
    total = rollout(state, actions.unsqueeze(-1), before, durations)
    assert parts.sum().item() == pytest.approx(total.item(), rel=1e-5)
    assert parts[1].item() == pytest.approx(2.0 * 4)
    assert parts[2].item() == pytest.approx(3.0 * 0.4**2)


def test_the_terms_of_predicted_states_are_those_of_the_breakdown():
    class Late(Cost):
        """Needs the time to be one number."""

        def stage(self, state, action, previous_action, time):
            return state[0] if float(time) > 0.2 else torch.zeros_like(state[0])

    class LateMove(Late):
        """Needs that too, and the state before."""

        reads_previous_state = True

        def stage(self, state, action, previous_action, time, previous_state):
            moved = torch.abs(state[0] - previous_state[0])
            return moved if float(time) > 0.1 else 0.0 * moved

    model = DoubleIntegrator()
    costs = [
        Quadratic(model, {"weight.x": 1.0, "rate_weight.x_ddot": 1.0}),
        Terminal(model, {"weight.x_dot": 3.0}),
        Late(model),
        LateMove(model),
        Moved(model),
    ]
    rollout = Rollout(model, costs, 0.1)
    state, actions = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.randn(4, 2)
    durations = torch.tensor([0.05, 0.1, 0.1, 0.1])
    states = model.rollout(state[:, None], actions[..., None], durations)
    states = torch.cat([state[:, None], *states], dim=1)
    torch.testing.assert_close(
        rollout.terms(states, actions.T, durations),
        rollout.breakdown(state, actions, actions[0], durations),
    )


def test_a_model_may_roll_out_by_itself():
    class Engine(Model):
        def rollout(self, state, sequence, durations):
            steps = (sequence * durations[:, None, None]).cumsum(0)
            return state + steps

    model = Engine()
    rollout = Rollout(model, [Judge(model)], 0.1)
    sequence = torch.ones(3, 1, 2)
    durations = torch.full((3,), 0.1)
    cost = rollout(torch.zeros(2), sequence, torch.zeros(1), durations)
    torch.testing.assert_close(cost, torch.full((2,), 0.6))
    states = rollout.trajectory(torch.zeros(2), sequence[..., 0], durations)
    torch.testing.assert_close(states[:, 0], torch.tensor([0.0, 0.1, 0.2, 0.3]))
