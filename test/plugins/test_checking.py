# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import importlib
import math

import numpy as np
import pytest
import torch
from any_function import Judge, Model

from cem_planner_ros.costs.actions import Effort
from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.errors import ConfigurationError, describe
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.plugins.checking import try_out
from cem_planner_ros.plugins.parameter import Parameter

CPU = torch.device("cpu")


def no_number(state):
    return torch.where(state[0] > 0.0, math.nan, state[0])


@pytest.mark.parametrize("function", [lambda state: state[0] ** 2, no_number])
def test_what_keeps_samples_apart_is_taken_even_if_it_is_nan(function):
    model = Model()
    cost = Judge(model)
    cost.function = function
    try_out(model, [cost], 0.1, CPU)


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


class Rounding(Model):
    """A model whose sums are rounded differently each time."""

    def step(self, state, action, dt):
        return super().step(state, action, dt) * (1.0 + 2e-7 * (next(count) % 2))


def test_a_model_that_says_so_may_round_differently_each_time():
    model = Rounding()
    with pytest.raises(ConfigurationError, match="no random numbers and no memory"):
        try_out(model, [Judge(model)], 0.1, CPU)
    model.is_repeatable = False
    try_out(model, [Judge(model)], 0.1, CPU)


@pytest.mark.parametrize("name", BAD_COSTS)
def test_a_cost_that_cannot_work_is_refused_with_the_reason(name):
    function, text = BAD_COSTS[name]
    model = Model()
    cost = Judge(model)
    cost.function = function
    with pytest.raises(ConfigurationError, match=text):
        try_out(model, [cost], 0.1, CPU)


def test_a_model_that_mixes_candidates_is_refused():
    model = Model()
    model.function = lambda state, action: state + action - state.mean(1, keepdim=True)
    with pytest.raises(ConfigurationError, match=r"Model\.step .* must not influence one another"):
        try_out(model, [Judge(model)], 0.1, CPU)


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
        try_out(model, [Judge(model)], dt, CPU)


MIXING = {
    "mean": lambda s: 1e-3 * s[1].mean(),
    "largest": lambda s: 1e-3 * s[1].abs().max(),
    "neighbour": lambda s: 1e-3 * s[1].roll(1),
    "mirrored": lambda s: 1e-3 * s[1].flip(0),
    "running sum": lambda s: 1e-3 * s[1].cumsum(0),
}


@pytest.mark.parametrize("large", [1e3, 1e6])
@pytest.mark.parametrize("name", MIXING)
def test_mixing_is_noticed_beside_a_cost_of_other_samples_that_is_much_larger(name, large):
    """A barrier that a few samples violate must not hide what the others do to one another."""
    model = Model()
    cost = Judge(model)
    cost.function = lambda s: large * torch.relu(s[0] - 0.2) ** 2 + s[1] ** 2 + MIXING[name](s)
    with pytest.raises(ConfigurationError, match="must not influence one another"):
        try_out(model, [cost], 0.1, CPU)


@pytest.mark.parametrize(
    "function",
    [
        lambda s: 1e6 * torch.relu(s[0] - 0.2) ** 2 + 1e-6 * s[1],
        lambda s: 1e4 * (1.0 - torch.cos(50.0 * s[0])) - 1e4 * torch.sin(300.0 * s[1]) ** 2,
        lambda s: ((torch.ones(64, 2) @ s).tanh() ** 2).sum(0) - 60.0,
        lambda s: torch.exp(20.0 * s[0]) - torch.exp(20.0 * s[0]) * (1.0 + 1e-5 * s[1]),
    ],
    ids=["large beside small", "cancelling", "a network", "huge"],
)
def test_rounding_is_not_taken_for_mixing(function):
    model = Model()
    cost = Judge(model)
    cost.function = function
    try_out(model, [cost], 0.1, CPU)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            lambda s: s[0] - s[0].mean() / 3.0,
            r"returned -?\d\.?\d{0,4} for a sample among 5 and -?\d\.?\d{0,4} for the same one",
        ),
        (
            lambda s: 1000.0 + 1e-2 * s[0].mean() * torch.ones_like(s[0]),
            r"returned 1000 for a sample among 5 and 1000 \([+-][\de.-]+\) for the same one",
        ),
        (
            lambda s: s[0] + torch.rand(()),
            r"returned -?\d\.?\d{0,4} where the same arguments gave -?\d\.?\d{0,4} before",
        ),
    ],
)
def test_numbers_in_a_refusal_are_short(function, text):
    model = Model()
    cost = Judge(model)
    cost.function = function
    with pytest.raises(ConfigurationError, match=text):
        try_out(model, [cost], 0.1, CPU)


PLUGIN = """
import torch
from helper_of_plugin import divide
from cem_planner_ros.dynamics.cartpole import CartPole
class Own(CartPole):
    def derivative(self, state, action):
        return self.half(state)
    def half(self, state):
        return torch.ones(3, 2) @ state
class Deep(CartPole):
    def derivative(self, state, action):
        return divide(state)
"""


@pytest.mark.parametrize(("name", "line"), [("Own", 9), ("Deep", 12)])
def test_an_error_names_file_and_line_of_the_plugin(name, line, tmp_path, monkeypatch):
    """Of the plugin, not of PyTorch, of this package or of what the plugin calls."""
    (tmp_path / "a_plugin.py").write_text(PLUGIN)
    (tmp_path / "helper_of_plugin.py").write_text("def divide(x):\n    return x / {}\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugin = getattr(importlib.import_module("a_plugin"), name)()
    with pytest.raises(ConfigurationError) as caught:
        try_out(plugin, [Effort(plugin, {"weight.force": 1.0})], 0.1, CPU)
    file = importlib.import_module("a_plugin").__file__
    assert str(caught.value).endswith(f", in {file}:{line}")
    assert f"{name}.derivative raised" in str(caught.value)


def test_an_error_without_a_plugin_names_no_file():
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("x")
    assert describe(caught.value.with_traceback(None)).startswith("ValueError: invalid literal")
    assert describe(ValueError()) == "ValueError"
    assert describe(RuntimeError("first\nsecond")) == "RuntimeError: first"


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
        try_out(model, [Judge(model)], 0.1, CPU)


def test_an_equation_without_its_integrator_is_refused():
    model = type("Bare", (Equation,), {"parameters": ()})()
    with pytest.raises(ConfigurationError, match=r"Bare\.parameters lacks 'integrator', expected"):
        try_out(model, [Judge(Model())], 0.1, CPU)


def stepped(model, state, sequence):
    states = [state]
    for action in sequence:
        states.append(model.step(states[-1], action, 0.1))
    return states[1:]


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
        try_out(model, [Judge(model)], 0.1, CPU)


@pytest.mark.parametrize(
    ("returns", "text"),
    [
        (
            None,
            r"predicts_return is true, expected with it the method returns\(state, sequence, ",
        ),
        (lambda m, s, q, d: q.sum(0).T, r"returned .*\(5, 1\), expected torch.float32 of .*\(5,\)"),
        (lambda m, s, q, d: q.sum(), r"of shape \(\), expected"),
        (lambda m, s, q, d: q.double().sum((0, 1)), "returned torch.float64"),
        (lambda m, s, q, d: q.sum((0, 1)) - q.mean(), "returns returned .* influence one another"),
    ],
)
def test_returns_that_cannot_work_are_refused_with_the_reason(returns, text):
    methods = {"predicts_return": True} | ({} if returns is None else {"returns": returns})
    model = type("Oracle", (Model,), methods)()
    with pytest.raises(ConfigurationError, match=text):
        try_out(model, [Judge(model)], 0.1, CPU)


@pytest.mark.parametrize(
    "step",
    [
        lambda m, s, u, dt: s + dt.item() * u,
        lambda m, s, u, dt: s + float(m.gain) * dt * u,
        lambda m, s, u, dt: s + m.value("gain") * dt * u,
        lambda m, s, u, dt: s + dt * u if dt > 0.05 else s,
        lambda m, s, u, dt: s + m.gain.reshape(1).tolist()[0] * dt * u,
        lambda m, s, u, dt: s + dt * u * float(m.gain.numpy()),
        lambda m, s, u, dt: s + np.asarray(m.gain).item() * dt * u,
        lambda m, s, u, dt: s + dt * u * (1.0, 2.0)[m.gain.long()],
        lambda m, s, u, dt: s + dt * u * (1.0 if torch.equal(m.gain, m.gain + 0.0) else 2.0),
        lambda m, s, u, dt: s + dt * u * torch.tensor([m.gain, 2.0])[0],
    ],
    ids=["item", "float", "value", "if", "tolist", "numpy", "array", "index", "equal", "tensor"],
)
def test_a_model_that_reads_numbers_in_python_is_not_compiled_and_told_why(step):
    """It would be compiled anew, for seconds, for each length of the first step."""
    parameters = (Parameter("gain", 1.0, "Any."),)
    model = type("Reader", (Model,), {"step": step, "parameters": parameters})()
    planner = Planner(model, [Judge(model)], samples=64, elites=8, horizon=3, backend="auto")
    assert planner.execution.name == "eager"
    assert "Reader.step reads a number of a tensor in Python" in planner.execution.reason


def test_the_shape_of_a_tensor_is_no_number_of_it():
    def step(model, state, action, dt):
        weights = [row * 2.0 for row in model.gain.expand(len(state))]
        return state + dt * torch.stack(weights)[:, None] * action.sum(0) / state.shape[0]

    parameters = (Parameter("gain", 1.0, "Any."),)
    model = type("Reader", (Model,), {"step": step, "parameters": parameters})()
    assert not try_out(model, [Judge(model)], 0.1, CPU)


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
        try_out(model, [Judge(Model())], 0.1, CPU)
