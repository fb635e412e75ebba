# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from cem_planner_ros.compile.cpu import Kernel
from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.dynamics.quadrotor import Quadrotor
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.plugins.parameter import Parameter

WEIGHTS = torch.tensor([[0.5], [2.0], [0.1], [1.0]])
TABLE = torch.sin(torch.arange(100.0))
LARGE = torch.cos(0.01 * torch.arange(60_000.0))
MATRIX = torch.arange(12.0).reshape(3, 4) / 10


def arguments(model, horizon=9, samples=100):
    nx, nu = len(model.state_names), len(model.action_names)
    torch.manual_seed(1)
    return (
        torch.randn(nx),
        torch.randn(horizon, nu, samples),
        torch.randn(nu),
        torch.rand(horizon) * 0.1 + 0.01,
    )


def both(model, costs, **sizes):
    rollout = Rollout(model, costs, 0.05)
    values = arguments(model, **sizes)
    return rollout(*values), Kernel(rollout).rollout(*values)


def weights(names):
    return {name: 0.5 + index for index, name in enumerate(names)}


@pytest.mark.parametrize("model_class", [CartPole, DoubleIntegrator, DiffDrive, Quadrotor])
def test_agrees_with_pytorch(model_class):
    model = model_class()
    costs = [
        Quadratic(
            model,
            {
                "weight": weights(model.state_names),
                "target": weights(model.state_names),
                "action_weight": weights(model.action_names),
                "rate_weight": weights(model.action_names),
            },
        ),
        Terminal(model, {"weight": weights(model.state_names)}),
    ]
    rollout = Rollout(model, costs, 0.05)
    compiled = Kernel(rollout)
    for samples in (1, 64, 100, 1000):
        values = arguments(model, samples=samples)
        expected, got = rollout(*values), compiled.rollout(*values)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


class Moving(Dynamics):
    """Any function of state and action as a model."""

    state_names = ("a", "b", "c")
    action_names = ("u",)
    action_low = (-1.0,)
    action_high = (1.0,)
    action_units = ("",)
    parameters = (Parameter("gain", 1.5, "Any."),)

    def __init__(self, function):
        super().__init__()
        self.function = function

    def step(self, state, action, dt):
        return self.function(self, state, action, dt)


MOVES = {
    "delay line": lambda m, s, u, dt: torch.cat((u, s[:2])),
    "stack": lambda m, s, u, dt: torch.stack((u[0], s[0], s[1])),
    "swap": lambda m, s, u, dt: s.flip(0),
    "rotation": lambda m, s, u, dt: s[[1, 2, 0]],
}


@pytest.mark.parametrize("name", MOVES)
def test_a_model_may_move_its_states_about(name):
    model = Moving(MOVES[name])
    expected, got = both(model, [Quadratic(model, {"weight": {"a": 1.0, "b": 2.0, "c": 3.0}})])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


READ_IN_PYTHON = {
    "item": lambda m, s, u, dt: s + dt * m.gain.item() * u,
    "float": lambda m, s, u, dt: s + dt * float(m.gain) * u,
    "size": lambda m, s, u, dt: s + dt * u / s.shape[1],
}


@pytest.mark.parametrize("name", READ_IN_PYTHON)
def test_a_number_or_size_that_is_read_in_python_is_noticed(name):
    model = Moving(READ_IN_PYTHON[name])
    with pytest.raises(UnsupportedError, match="disagree"):
        both(model, [Quadratic(model, {"weight.a": 1.0})])
    assert model.gain == 1.5


def test_functions_in_vectors_are_exact_and_know_infinity():
    which = torch.zeros(())  # A tensor is read anew in each call, so one kernel has them all.

    def formula(s):
        power = torch.where(which == 3.0, torch.exp(s[0]), torch.tanh(s[0]))
        angle = torch.where(which == 1.0, torch.atan2(s[0], s[1]), torch.atan(s[0]))
        return torch.where(which >= 2.0, power, angle)

    model = Moving(lambda m, s, u, dt: torch.cat((u, s[2:])))
    model.action_names, model.action_low, model.action_high = ("u", "v"), (-1.0,) * 2, (1.0,) * 2
    cost = Formula(model)
    cost.formula = formula
    rollout = Rollout(model, [cost], 1.0)
    compiled = Kernel(rollout)
    special = torch.tensor([0.0, 1e-8, 1.0, -1.0, 100.0, -100.0, 1e30, math.inf, -math.inf])
    x = torch.cat((special, torch.linspace(-9.0, 9.0, 500)))
    y = torch.cat((torch.ones_like(special), torch.linspace(-3.0, 4.0, 500)))
    values = (torch.zeros(3), torch.stack((x, y))[None], torch.zeros(2), torch.ones(1))
    for index in range(4):
        which.fill_(index)
        got, expected = compiled.rollout(*values), rollout(*values)
        torch.testing.assert_close(got, expected, rtol=2e-6, atol=3e-7)
    assert torch.equal(expected, torch.exp(x))


def test_a_sine_of_a_huge_angle_stays_a_sine():
    cost = Formula(DoubleIntegrator())
    cost.formula = lambda s: torch.sin(s[0] * 1e20)
    rollout = Rollout(DoubleIntegrator(), [cost], 0.05)
    values = arguments(DoubleIntegrator(), horizon=1)
    with pytest.raises(UnsupportedError, match="disagree"):
        Kernel(rollout)
    cost.formula = lambda s: torch.sin(s[0])
    compiled = Kernel(rollout)
    values[0][0] = 1e20
    values[3].fill_(0.05)  # A full step, whose cost counts once.
    assert compiled.rollout(*values).abs().max() <= 1.0 + 1e-6


@pytest.mark.parametrize("kept", [0, 30, 3000])
def test_a_library_cut_short_in_the_cache_is_made_again(monkeypatch, tmp_path, kept):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "whole"))
    model = Moving(MOVES["swap"])
    rollout = Rollout(model, [Quadratic(model, {"weight.b": 1.0})], 0.125)
    Kernel(rollout)
    libraries = list(tmp_path.glob("**/*.so"))
    assert len(libraries) == 2  # The rollout and the search.
    # At another path: the loader knows a library it has loaded by its path.
    others = [tmp_path / "cut" / file.relative_to(tmp_path / "whole") for file in libraries]
    others[0].parent.mkdir(parents=True)
    for other, file in zip(others, libraries, strict=True):
        other.write_bytes(file.read_bytes()[:kept])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cut"))
    Kernel(rollout)
    sizes = [[file.stat().st_size for file in files] for files in (libraries, others)]
    assert sizes[0] == sizes[1]


def test_without_a_writable_home_it_compiles_all_the_same(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    model = Moving(MOVES["swap"])
    Kernel(Rollout(model, [Quadratic(model, {"weight.c": 1.0})], 0.05))


def test_several_threads_give_the_same_bits():
    model = CartPole()
    rollout = Rollout(model, [Quadratic(model, {"weight.theta": 1.0})], 0.05)
    values = arguments(model, samples=1000)
    one, two = (Kernel(rollout).rollout(*values, threads=threads) for threads in (1, 2))
    assert torch.equal(one, two)


def test_numbers_tuned_later_count_without_compiling_again():
    model = CartPole()
    cost = Quadratic(model, {"weight.theta": 1.0})
    rollout = Rollout(model, [cost], 0.05)
    compiled = Kernel(rollout)
    cost.set("weight.theta", 3.0)
    model.set("gravity", 1.6)
    values = arguments(model)
    torch.testing.assert_close(compiled.rollout(*values), rollout(*values), rtol=1e-4, atol=1e-4)


def test_a_table_that_changes_counts_without_compiling_again():
    table = torch.zeros(30_000)
    cost = Formula(DoubleIntegrator())
    cost.formula = lambda s: table[(1000 * s[0].abs()).long()]
    rollout = Rollout(DoubleIntegrator(), [cost], 0.05)
    compiled = Kernel(rollout)
    values = arguments(DoubleIntegrator())
    assert not compiled.rollout(*values).any()
    table.copy_(torch.arange(30_000.0))
    torch.testing.assert_close(compiled.rollout(*values), rollout(*values), rtol=1e-3, atol=1e-1)


def test_a_place_beyond_a_table_harms_nothing():
    table = torch.arange(1.0, 9.0)
    where = torch.zeros(())
    cost = Formula(DoubleIntegrator())
    cost.formula = lambda s: table[(where + 0.0 * s[0]).long()]
    compiled = Kernel(Rollout(DoubleIntegrator(), [cost], 0.05))
    values = arguments(DoubleIntegrator(), horizon=1)
    for place in (math.nan, math.inf, -math.inf, 1e30, -1e30):
        where.fill_(place)
        assert (compiled.rollout(*values) / values[3] * 0.05 >= 1.0).all()


class Formula(Cost):
    """Any function of the state as a cost."""

    formula = staticmethod(lambda s: s[0])

    def stage(self, state, action, previous_action, time):
        return self.formula(state)


FORMULAS = {
    "arithmetic": lambda s: -s[0] * 2 + 3 / (1 + s[1].abs()) - s[2] ** 3,
    "powers": lambda s: s[0] ** 2 + s[1].abs().sqrt() + (1 + s[2] ** 2) ** -0.5 + s[3].square(),
    "trigonometry": lambda s: torch.sin(s[0]) + torch.cos(9 * s[1]) + torch.tan(0.1 * s[2]),
    "inverse": lambda s: torch.atan2(s[0], s[1]) + torch.asin(0.1 * s[2]) + torch.atan(s[3]),
    "exponential": lambda s: torch.exp(-s[0].abs()) + torch.log1p(s[1] ** 2) + torch.tanh(s[2]),
    "networks": lambda s: torch.sigmoid(s[0]) + torch.relu(s[1]) + torch.nn.functional.elu(s[2]),
    "matrix": lambda s: torch.tanh(MATRIX @ s).sum(0),
    "rounding": lambda s: torch.floor(s[0]) + torch.ceil(s[1]) + torch.remainder(s[2], 0.7),
    "choice": lambda s: torch.where(s[0] > 0, s[1], -s[1]) + torch.maximum(s[2], s[3]),
    "logic": lambda s: ((s[0] > 0) & ~(s[1] < 0) | (s[2] >= 1)).float(),
    "clamp": lambda s: s[0].clamp(-0.1, 0.2) + s[1].clamp(min=0.0) + s[2].clamp(max=0.0),
    "reductions": lambda s: s.sum(0) + s.mean(0) + s.amax(0) - s.amin(0) + s[:2].prod(0),
    "norm": lambda s: torch.linalg.vector_norm(s[:2], dim=0) + torch.hypot(s[2], s[3]),
    "shapes": lambda s: torch.cat((s[2:], s[:2])).flip(0)[1] + torch.stack((s[0], s[1]))[1],
    "index": lambda s: s[[3, 1]].sum(0) + s[1::2].sum(0) + s.unbind(0)[2],
    "constants": lambda s: (WEIGHTS * s).sum(0) + torch.zeros_like(s[0]) + math.pi,
    "views": lambda s: s.reshape(2, 2, -1).transpose(0, 1)[0, 1] + s.unsqueeze(0).squeeze(0)[0],
    "table": lambda s: TABLE[(40 * s[0] + 50).clamp(0, 99).long()] + TABLE[s[1].abs().int()],
    "large table": lambda s: LARGE[(1000 * s[:2].abs()).long()].sum(0),
    "table of rows": lambda s: LARGE.view(300, 200).view(-1)[(7 * s[2].abs()).long()],
    "sign": lambda s: torch.sign(s[0]) + s[1].abs() + torch.minimum(s[2], s[3]),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_operations_agree_with_pytorch(name):
    cost = Formula(DoubleIntegrator())
    cost.formula = FORMULAS[name]
    expected, got = both(DoubleIntegrator(), [cost])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "formula",
    [
        lambda s: torch.where(s[2] > 0, float("nan"), s[2]),
        lambda s: torch.log(s[2]),
        lambda s: torch.log(s[2]).clamp(0.0, 1.0),
        lambda s: torch.maximum(torch.log(s[2]), s[3]),
        lambda s: 1.0 / torch.relu(s[2]),
        lambda s: torch.sin(torch.log(s[2])),
    ],
)
def test_what_is_not_finite_in_pytorch_is_not_finite_in_the_kernel(formula):
    cost = Formula(DoubleIntegrator())
    cost.formula = formula
    expected, got = both(DoubleIntegrator(), [cost])
    assert not torch.isfinite(expected).all()
    assert torch.equal(torch.isfinite(got), torch.isfinite(expected))


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (lambda s: s[0] - s[0].mean(), "across the samples"),
        (lambda s: s[0].flip(0), "across the samples"),
        (lambda s: s[0].cumsum(0), "across the samples"),
        (lambda s: s[:, torch.arange(s.shape[1])].sum(0), "arange"),
        (lambda s: s, "wrong shape"),
        (lambda s: s[0] + LARGE.sum(), "otherwise than looked up"),
        (lambda s: s[0][(3 * s[1]).long().clamp(0, 5)], "what is no constant"),
        (lambda s: s[0][(3 * s[1].clamp(0, 1)).long()], "what is no constant"),
    ],
)
def test_what_mixes_samples_is_refused_with_the_reason(formula, text):
    cost = Formula(DoubleIntegrator())
    cost.formula = formula
    with pytest.raises(UnsupportedError, match=text):
        both(DoubleIntegrator(), [cost])


def test_a_compiler_may_have_arguments(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "env LANG=C g++")
    expected, got = both(DoubleIntegrator(), [Formula(DoubleIntegrator())])
    torch.testing.assert_close(got, expected)


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    with pytest.raises(UnsupportedError, match="/nonexistent/g"):
        both(DoubleIntegrator(), [Formula(DoubleIntegrator())])


def test_a_number_that_is_zero_and_read_in_python_is_noticed():
    class Offset(Formula):
        parameters = (Parameter("offset", 0.0, "Any."),)

        def stage(self, state, action, previous_action, time):
            return state[0] + self.offset.item()

    with pytest.raises(UnsupportedError, match="disagree"):
        both(DoubleIntegrator(), [Offset(DoubleIntegrator())])
