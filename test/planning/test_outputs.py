# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Outputs of a model: what costs see besides the states."""

import numpy as np
import pytest
import torch

from cem_planner_ros.compile.cpu import Kernel
from cem_planner_ros.costs.actions import ActionRate, Effort
from cem_planner_ros.costs.barrier import Barrier
from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.costs.goal import Goal
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.costs.track import Track
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.plugins.parameter import Parameter

JOINTS = "sensor_msgs/msg/JointState"

DURATIONS = torch.tensor([0.05, 0.1, 0.1, 0.1, 0.1])


class Lever(Dynamics):
    """A lever of a length: its tip is an output."""

    state_names = ("angle", "speed")
    action_names = ("torque",)
    action_low = (-1.0,)
    action_high = (1.0,)
    action_units = ("N m",)
    angle_names = ("angle",)
    output_names = ("tip_x", "tip_z")
    parameters = (Parameter("length", 2.0, "Its length.", unit="m", low=0.1),)

    def step(self, state, action, dt):
        speed = state[1] + dt * action[0]
        return torch.stack((state[0] + dt * speed, speed))

    def output(self, state):
        return self.length * torch.stack((torch.cos(state[0]), torch.sin(state[0])))


class Simulated(Lever):
    """The same one, which rolls out itself."""

    def rollout(self, state, sequence, durations):
        states = super().rollout(state, sequence, durations)
        return [torch.cat((state, self.output(state))) for state in states]


class Late(Cost):
    """Needs the time to be one number, and knows nothing of outputs."""

    def stage(self, state, action, previous_action, time):
        assert len(state) == 2
        return state[0] if float(time) > 0.2 else torch.zeros_like(state[0])


class Growing(Cost):
    """Weighs what comes late more, with one time for all samples."""

    reads_outputs = True

    def stage(self, state, action, previous_action, time):
        weight = torch.stack((time, time * time))
        return weight[0] * state[2] + weight[1] * action[0] * previous_action[0]


def costs_of(model):
    return [
        Quadratic(model, {"weight.tip_z": 2.0, "target.tip_z": 1.0, "rate_weight.torque": 0.1}),
        Terminal(model, {"weight.tip_x": 3.0, "weight.angle": 1.0}),
        Barrier(model, {"weight.tip_z": 50.0, "high.tip_z": 0.1}),
        Goal(model, {"tolerance.tip_x": 0.2, "terminal_weight": 2.0}),
        Effort(model, {"weight.torque": 0.3}),
        ActionRate(model, {"weight.torque": 0.2}),
    ]


def expected(state, actions, length=2.0):
    """Return the cost of one sequence (H,) from `state` under `costs_of`, in NumPy."""
    (angle, speed), before, total, time = state, 0.0, 0.0, 0.0
    for action, duration in zip(actions, DURATIONS.numpy().astype(float), strict=True):
        time += duration
        speed += duration * action
        angle += duration * speed
        x, z = length * np.cos(angle), length * np.sin(angle)
        stage = 2.0 * (z - 1.0) ** 2 + 0.1 * (action - before) ** 2
        stage += 50.0 * max(0.0, z - 0.1) ** 2 + np.sqrt(1.0 + (x / 0.2) ** 2) - 1.0
        stage += 0.3 * action**2 + 0.2 * (action - before) ** 2
        total += stage * duration / 0.1
        before = action
    return total + 3.0 * x**2 + angle**2 + 2.0 * (np.sqrt(1.0 + (x / 0.2) ** 2) - 1.0)


@pytest.mark.parametrize("kind", [Lever, Simulated])
def test_costs_see_outputs_as_they_see_states(kind):
    model = kind()
    rollout = Rollout(model, costs_of(model), 0.1)
    state = torch.tensor([0.3, -0.2])
    sequence = torch.randn(5, 1, 7, generator=torch.Generator().manual_seed(0))
    cost = rollout(state, sequence, torch.zeros(1), DURATIONS)
    right = [expected(state.numpy(), actions) for actions in sequence[:, 0].T.numpy()]
    np.testing.assert_allclose(cost.numpy(), right, rtol=1e-4)
    parts = rollout.breakdown(state, sequence[..., 0], torch.zeros(1), DURATIONS)
    assert len(parts) == len(rollout.costs)
    assert parts.sum().item() == pytest.approx(right[0], rel=1e-4)
    # Outputs are nothing that a plan predicts.
    assert rollout.trajectory(state, sequence[..., 0], DURATIONS).shape == (6, 2)


def test_the_kernel_sees_the_outputs_too():
    model = Lever()
    rollout = Rollout(model, costs_of(model), 0.1)
    state = torch.tensor([0.3, -0.2])
    sequence = torch.randn(5, 1, 7, generator=torch.Generator().manual_seed(0))
    given = state, sequence, torch.zeros(1), DURATIONS
    torch.testing.assert_close(
        Kernel(rollout).rollout(*given), rollout(*given), rtol=1e-4, atol=1e-4
    )


def test_each_variant_has_outputs_of_its_own():
    model = Lever()
    variants = Randomised(model, {"length": 0.3}, 3)
    rollout = Rollout(variants, [Quadratic(model, {"weight.tip_x": 1.0})], 0.1)
    cost = rollout(torch.zeros(2), torch.zeros(1, 1, 2), torch.zeros(1), torch.tensor([0.1]))
    lengths = [variants.output(torch.zeros(2, 3))[0, i].item() for i in range(3)]
    assert len(set(lengths)) == 3
    assert cost[0].item() == pytest.approx(np.mean(np.square(lengths)), rel=1e-5)


@pytest.mark.parametrize("kind", [Lever, Simulated])
def test_a_planner_reports_what_costs_of_outputs_contribute(kind):
    model = kind()
    costs = [*costs_of(model), Late(model)]
    planner = Planner(model, costs, backend="eager", samples=64, elites=8, horizon=5, dt=0.1)
    state = np.array([0.3, 0.0])
    plan = planner.plan(state, 0.0)
    terms = planner.cost_terms(plan, planner.predict(plan, state))
    assert terms == pytest.approx(planner.breakdown(plan, state), rel=1e-4)


def test_all_steps_at_once_cost_what_they_cost_one_by_one():
    """A cost that reads numbers cannot be evaluated at once; the others do not suffer."""
    model = Simulated()
    costs = [*costs_of(model), Growing(model), Late(model)]
    sequence = torch.randn(5, 1, 4, generator=torch.Generator().manual_seed(1))
    at_once = Rollout(model, costs, 0.1)(
        torch.tensor([1.0, 0.5]), sequence, torch.ones(1), DURATIONS
    )
    stepwise = Lever()
    one_by_one = Rollout(stepwise, [*costs_of(stepwise), Growing(stepwise), Late(stepwise)], 0.1)(
        torch.tensor([1.0, 0.5]), sequence, torch.ones(1), DURATIONS
    )
    torch.testing.assert_close(at_once, one_by_one)


@pytest.mark.parametrize("samples", [1, 4])
def test_a_reference_over_time_costs_the_same_at_all_steps_at_once(samples):
    sequence = torch.randn(5, 1, samples, generator=torch.Generator().manual_seed(1))
    found = []
    for model in (Simulated(), Lever()):
        values = {"signals": ["tip_x", "angle"], "topic": "way", "terminal_weight": 0.3}
        cost = Track(model, values | {"fields.tip_x": "position[x]", "type": JOINTS})
        edges = np.concatenate(([0.0], np.cumsum(DURATIONS.numpy())))
        cost.set_edges(edges)
        points = np.stack((np.sin(edges), 2.0 * edges), 1)
        way = Reference(cost.reference_source, 5.0 + edges, points, is_trajectory=True)
        cost.prepare(np.zeros(2), 5.0, Surroundings(references={"": way}))
        rollout = Rollout(model, [cost], 0.1)
        given = torch.tensor([1.0, 0.5]), sequence, torch.ones(1), DURATIONS
        found += [rollout(*given), rollout(*given)]
    for other in found[1:]:
        torch.testing.assert_close(found[0], other)


def test_a_name_of_an_output_is_found_among_the_signals():
    model = Lever()
    assert rows_of(model, "tip_z", "speed", outputs=True) == [3, 1]
    with pytest.raises(ConfigurationError, match="state or output 'tip_y', the model has: angle,"):
        rows_of(model, "tip_y", outputs=True)
    with pytest.raises(ConfigurationError, match="state 'tip_x', the model has: angle, speed"):
        rows_of(model, "tip_x")


def test_outputs_that_cannot_be_are_refused():
    twice = type("Twice", (Lever,), {"output_names": ("angle",)})
    with pytest.raises(ConfigurationError, match=r"Twice\.output_names is \('angle',\), expected"):
        twice().check()
    silent = type("Silent", (Lever,), {"output": Dynamics.output})
    with pytest.raises(ConfigurationError, match=r"expected with it the method output\(state\)"):
        silent().check()
    short = type("Short", (Lever,), {"output": lambda model, state: state[:1]})()
    with pytest.raises(ConfigurationError, match=r"Short\.output returned .* shape \(1, 5\)"):
        Planner(short, costs_of(Lever()), backend="eager")


def test_a_cost_that_begins_to_use_the_time_gets_the_time_of_each_step():
    class Awakening(Cost):
        """Knows no reference at first."""

        awake = False

        def stage(self, state, action, previous_action, time):
            return state[0] * time if self.awake else state[0]

    model = Simulated()
    cost = Awakening(model)
    rollout = Rollout(model, [cost], 0.1)
    given = torch.ones(2), torch.zeros(5, 1, 3), torch.zeros(1), DURATIONS
    positions = 1.0 + DURATIONS.cumsum(0)
    weights = DURATIONS / 0.1
    assert rollout(*given).tolist() == pytest.approx([(weights * positions).sum().item()] * 3)
    cost.awake = True
    later = (weights * positions * DURATIONS.cumsum(0)).sum().item()
    assert rollout(*given).tolist() == pytest.approx([later] * 3)
