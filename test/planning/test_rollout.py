import math

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.actions import Effort
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation, Dynamics
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.plugins.parameter import Parameter

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
    ("dt", "function"),
    [
        (0.001, lambda s, u, dt: s + dt * (u - s.mean(1, keepdim=True))),
        (0.1, lambda s, u, dt: torch.stack((1e5 * s[0], s[1] - s[1].mean()))),
    ],
    ids=["in a short time", "beside a large output"],
)
def test_a_model_that_mixes_candidates_a_little_is_refused(dt, function):
    class Mixing(Model):
        def step(self, state, action, dt):
            return function(state, action, dt)

    model = Mixing()
    with pytest.raises(ConfigurationError, match="must not influence one another"):
        Rollout(model, [Judge(model)], dt).try_out(CPU)


class Equation(DifferentialEquation):
    """Any function of state and action as a derivative."""

    state_names, action_names, action_units = ("a", "b"), ("u",), ("",)
    action_low, action_high = (-1.0,), (1.0,)
    parameters = (INTEGRATOR, Parameter("gain", 1.0, "Any."))

    def derivative(self, state, action):
        return self.function(state, action)


@pytest.mark.parametrize("is_randomised", [False, True])
@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda s, u: u, r"shape \(1, 5\), expected torch.float32 of shape \(2, 5\)"),
        (lambda s, u: u[0], r"shape \(5,\), expected"),
        (lambda s, u: 1.0, "float, expected a tensor"),
    ],
)
def test_a_derivative_that_would_be_broadcast_is_refused(function, text, is_randomised):
    model = Equation()
    model.function = function
    if is_randomised:
        model = Randomised(model, {"gain": 0.1}, 3)
    with pytest.raises(ConfigurationError, match=rf"Equation\.derivative returned .*{text}"):
        Rollout(model, [Judge(model)], 0.1).try_out(CPU)


def test_an_equation_without_its_integrator_is_refused():
    model = type("Bare", (Equation,), {"parameters": ()})()
    with pytest.raises(ConfigurationError, match=r"Bare\.parameters lacks 'integrator', expected"):
        Rollout(model, [Judge(Model())], 0.1).try_out(CPU)


def stepped(model, state, sequence):
    return [state := model.step(state, action, 0.1) for action in sequence]


BAD_ROLLOUTS = {
    "mixes": (
        lambda m, s, q, d: stepped(m, s - s.mean(1, keepdim=True), q),
        r"Engine.rollout returned .*must not influence one another",
    ),
    "too short": (
        lambda m, s, q, d: stepped(m, s, q)[:1],
        "Engine.rollout returned 1 states for 3 actions, expected one after each",
    ),
    "transposed": (
        lambda m, s, q, d: [x.T for x in stepped(m, s, q)],
        r"of shape \(5, 2\), expected torch.float32 of shape \(2, 5\) for 5 samples",
    ),
    "numpy": (lambda m, s, q, d: s.numpy() + q.numpy(), "returned ndarray, expected a tensor"),
    "random": (lambda m, s, q, d: q + torch.rand_like(s), "no random numbers and no memory"),
    "raises": (lambda m, s, q, d: 1 / 0, "Engine.rollout raised ZeroDivisionError"),
    "no steps": (lambda m, s, q, d: 7, "Engine.rollout raised TypeError"),
}


@pytest.mark.parametrize("name", BAD_ROLLOUTS)
def test_a_rollout_that_cannot_work_is_refused_with_the_reason(name):
    function, text = BAD_ROLLOUTS[name]

    class Engine(Model):
        def rollout(self, state, sequence, durations):
            return function(self, state, sequence, durations)

    model = Engine()
    with pytest.raises(ConfigurationError, match=text):
        Rollout(model, [Judge(model)], 0.1).try_out(CPU)


@pytest.mark.parametrize(
    ("returns", "text"),
    [
        (None, r"judges is true, expected with it the method returns\(state, sequence, durations"),
        (lambda m, s, q, d: q.sum(0).T, r"returned .*\(5, 1\), expected torch.float32 of .*\(5,\)"),
        (lambda m, s, q, d: q.sum(), r"of shape \(\), expected"),
        (lambda m, s, q, d: q.double().sum((0, 1)), "returned torch.float64"),
        (lambda m, s, q, d: q.sum((0, 1)) - q.mean(), "returns returned .* influence one another"),
    ],
)
def test_returns_that_cannot_work_are_refused_with_the_reason(returns, text):
    methods = {"judges": True} | ({} if returns is None else {"returns": returns})
    model = type("Oracle", (Model,), methods)()
    with pytest.raises(ConfigurationError, match=text):
        Rollout(model, [Judge(model)], 0.1).try_out(CPU)


def test_what_a_model_without_a_rollout_of_its_own_says_counts_too():
    """A kernel, which knows only the steps, would leave it out."""
    model = type(
        "Oracle", (Model,), {"judges": True, "returns": lambda m, s, q, d: q.sum((0, 1))}
    )()
    settings = {"samples": 64, "elites": 8, "horizon": 3}
    planner = Planner(model, [Effort(model, {"weight.u": 1e-3})], backend="auto", **settings)
    assert planner.execution.name == "eager"
    assert planner.plan(np.zeros(2), 0.0).actions.min() > 0.8


@pytest.mark.parametrize(
    "step",
    [
        lambda m, s, u, dt: s + dt.item() * u,
        lambda m, s, u, dt: s + float(m.gain) * dt * u,
        lambda m, s, u, dt: s + m.value("gain") * dt * u,
        lambda m, s, u, dt: s + dt * u if dt > 0.05 else s,
    ],
    ids=["item", "float", "value", "if"],
)
def test_a_model_that_reads_numbers_in_python_is_not_compiled_and_told_why(step):
    """It would be compiled anew, for seconds, for each length of the first step."""
    parameters = (Parameter("gain", 1.0, "Any."),)
    model = type("Reader", (Model,), {"step": step, "parameters": parameters})()
    planner = Planner(model, [Judge(model)], samples=64, elites=8, horizon=3, backend="auto")
    assert planner.execution.name == "eager"
    assert "Reader.step reads a number of a tensor in Python" in planner.execution.reason


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"state_names": "ab"}, "Model.state_names is 'ab', expected"),
        ({"state_names": ("a", "a")}, "Model.state_names is .*all different"),
        ({"state_names": ()}, "at least one name"),
        ({"action_names": ("a.b",)}, "Model.action_names is .*without dots"),
        ({"angle_names": ("yaw",)}, "'yaw', expected names of states: a, b"),
        ({"action_units": ()}, "Model.action_units has 0 entries, expected 1, for u"),
        ({"action_low": (1.0,)}, r"'u' to \[1.0, 1.0\], expected two finite numbers"),
        ({"action_low": ("-1",)}, r"'u' to \['-1', 1.0\], expected two finite numbers"),
        ({"action_low": -1.0}, "Model.action_low has no entries, expected 1, for u"),
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


def test_the_terms_of_predicted_states_are_those_of_the_breakdown():
    class Late(Cost):
        """Needs the time to be one number."""

        def stage(self, state, action, previous_action, time):
            return state[0] if float(time) > 0.2 else torch.zeros_like(state[0])

    model = DoubleIntegrator()
    costs = [
        Quadratic(model, {"weight.x": 1.0, "rate_weight.x_ddot": 1.0}),
        Terminal(model, {"weight.x_dot": 3.0}),
        Late(model),
    ]
    rollout = Rollout(model, costs, 0.1)
    state, actions = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.randn(4, 2)
    durations = torch.tensor([0.05, 0.1, 0.1, 0.1])
    states = torch.cat(list(model.rollout(state[:, None], actions[..., None], durations)), dim=1)
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
