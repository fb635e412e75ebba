import math

import pytest
import torch

from cem_planner_ros.costs.actions import Effort
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.rollout import Rollout

CPU = torch.device("cpu")


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


def no_number(state):
    return torch.where(state[0] > 0.0, math.nan, state[0])


@pytest.mark.parametrize("function", [lambda state: state[0] ** 2, no_number])
def test_what_keeps_samples_apart_is_taken_even_if_it_is_nan(function):
    model = Model()
    cost = Judge(model)
    cost.function = function
    Rollout(model, [cost], 0.1).try_out(CPU)


count = iter(range(10**6))

BAD_COSTS = {
    "mean": (lambda s: s[0] - s[0].mean(), "Judge.stage returned .* must not influence one"),
    "order": (lambda s: s[0].flip(0), "must not influence one another"),
    "running sum": (lambda s: s[0].cumsum(0), "must not influence one another"),
    "neighbour": (lambda s: s[0] + s[0].roll(1), "must not influence one another"),
    "count": (lambda s: s[0] / s.shape[1], "must not influence one another"),
    "random": (lambda s: s[0] + torch.rand(()), "no random numbers and no memory"),
    "memory": (lambda s: s[0] + next(count), "no random numbers and no memory"),
    "shape": (
        lambda s: s,
        r"Judge.stage returned torch.float32 of shape \(2, 5\), expected torch.float32 of shape "
        r"\(5,\) for 5 samples",
    ),
    "type": (lambda s: s[0].double(), "returned torch.float64 .* expected torch.float32"),
    "no tensor": (lambda s: 1.0, "returned float, expected a tensor"),
    "raises": (lambda s: s[7], "Judge.stage raised IndexError"),
    "in place": (lambda s: s[0].mul_(2.0), "changes its arguments in place"),
    "device": (lambda s: s[0].to("meta"), "returned a tensor on meta, expected cpu"),
}


@pytest.mark.parametrize("name", BAD_COSTS)
def test_a_cost_that_cannot_work_is_refused_with_the_reason(name):
    function, text = BAD_COSTS[name]
    model = Model()
    cost = Judge(model)
    cost.function = function
    with pytest.raises(ConfigurationError, match=text):
        Rollout(model, [cost], 0.1).try_out(CPU)


def test_a_model_that_mixes_candidates_is_refused():
    model = Model()
    model.function = lambda state, action: state + action - state.mean(1, keepdim=True)
    with pytest.raises(ConfigurationError, match=r"Model\.step .* must not influence one another"):
        Rollout(model, [Judge(model)], 0.1).try_out(CPU)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"state_names": ("a", "a")}, "Model.state_names is .*all different"),
        ({"state_names": ()}, "at least one name"),
        ({"action_names": ("a.b",)}, "Model.action_names is .*without dots"),
        ({"angle_names": ("yaw",)}, "'yaw', expected names of states: a, b"),
        ({"action_units": ()}, "Model.action_units has 0 entries, expected 1, for u"),
        ({"action_low": (1.0,)}, r"'u' to \[1.0, 1.0\], expected two finite numbers"),
        ({"action_high": (math.inf,)}, "expected two finite numbers"),
    ],
)
def test_names_and_bounds_that_do_not_go_together_are_refused(changes, text):
    model = Model()
    for name, value in changes.items():
        setattr(model, name, value)
    with pytest.raises(ConfigurationError, match=text):
        Rollout(model, [Judge(Model())], 0.1).try_out(CPU)


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
