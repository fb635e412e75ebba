# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The kernels of a whole plan, as C++ where there is no GPU, against the NumPy oracle."""

import math

import executors
import numpy as np
import oracle
import pytest
import torch
from emulated_gpu import EmulatedGpu

from cem_planner_ros.compile import choose, plan_graph
from cem_planner_ros.compile.plan_graph import GraphExecution
from cem_planner_ros.compile.translate import UnsupportedError
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.planning import noise
from cem_planner_ros.planning.particles import Particles
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import limit_rate
from cem_planner_ros.planning.warm_start import Move

SETTINGS = executors.SETTINGS | {
    "nothing kept": {"keep": 0.0},
    "white noise": {"noise_beta": 0.0},
    "noise of each action": {"noise_beta": (0.0, 3.0)},
    "control cost of splines": {
        **{"weighting": "softmax", "control_cost": 0.5, "temperature": 0.5},
        **{"knot_spacing": 4, "order": 1, "noise_beta": (1.0, 0.0)},
    },
    "long horizon": {"horizon": 41, "dt": 0.05},
    "all are elites": {"elites": 96, "keep": 0.1},
    "no whole blocks": {"samples": 77},
    "more than registers hold": {"samples": 17000, "elites": 2500, "keep": 0.01, "horizon": 3},
    "narrowed": {"samples": 17000, "elites": 40, "horizon": 3},
}

SEED, PLAN = 7, 3


def philox(counter, key):
    """Philox4x32-10 of counters (n, 4), in Python's own integers of NumPy, from its definition."""
    c = [counter[:, i].astype(np.uint64) for i in range(4)]
    key = [np.uint64(k) for k in key]
    word = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        one, two = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [
            (two >> np.uint64(32)) ^ c[1] ^ key[0],
            two & word,
            (one >> np.uint64(32)) ^ c[3] ^ key[1],
            one & word,
        ]
        key = [(key[0] + np.uint64(0x9E3779B9)) & word, (key[1] + np.uint64(0xBB67AE85)) & word]
    return np.stack(c, -1)


def drawn(search, nu, iteration=0):
    """Return the noise (P, nu, M, n) that the kernels draw, coloured."""
    knots, count = search.spline.knots, search.population(iteration)
    total, quads = search.modes * count, -(-knots // 4)
    action, quad, number = np.mgrid[:nu, :quads, :total]
    counter = np.stack([number, quad, np.full_like(quad, iteration), action], -1)
    bits = philox(counter.reshape(-1, 4), (SEED, PLAN)).reshape(*action.shape, 4) >> np.uint64(8)
    u = (bits[..., 0::2] + np.uint64(1)) / 2.0**24
    angle = 2.0 * np.pi * bits[..., 1::2] / 2.0**24
    radius = np.sqrt(-2.0 * np.log(u))
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    # (nu, quads, N, 4) of what four neighbouring knots are.
    fours = pairs.reshape(nu, quads, total, 4)
    white = fours.transpose(1, 3, 0, 2).reshape(-1, nu, total)[:knots]
    factors = noise.factors(knots, search.noise_beta, nu)
    if factors is not None:
        white = np.einsum("upq,qun->pun", factors, white)
    return torch.tensor(white.reshape(knots, nu, search.modes, count), dtype=torch.float32)


def graph(given, gpu):
    execution = GraphExecution(given.setup._replace(seed=SEED), gpu)
    assert execution.reason == ""
    return execution


def one_iteration(given, gpu):
    execution = graph(given, gpu)
    execution.begin(Move(0, given.task.phase, 1.0, False))
    cost, done = execution.run(given.use[None], PLAN, range(1))
    assert done == 1
    return execution, cost


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_iteration_is_that_of_the_oracle(settings):
    given = executors.given(iterations=1, **SETTINGS[settings])
    given.noise = drawn(given.setup.search, 2)
    expected = oracle.iterate(
        given.task, given.oracle_belief, given.use.numpy(), given.noise.double().numpy()
    )
    assert np.isnan(expected.cost).any()
    execution, cost = one_iteration(given, EmulatedGpu())
    near = {"rtol": 2e-3, "atol": 2e-3}
    knots = execution.candidates[..., : cost.numel()]
    np.testing.assert_allclose(knots.reshape(expected.knots.shape), expected.knots, **near)
    np.testing.assert_allclose(cost, expected.cost, **near)
    for name in given.setup.belief._fields:
        got, wanted = getattr(given.setup.belief, name).numpy(), getattr(expected, name)
        np.testing.assert_allclose(got, wanted, **near, err_msg=name)
    found = execution.found()
    np.testing.assert_array_equal(found.mean, given.setup.belief.mean)
    np.testing.assert_array_equal(
        found.best, given.setup.belief.injected[..., given.setup.search.kept + 1]
    )
    np.testing.assert_array_equal(found.best_cost, given.setup.belief.best_cost)
    assert found.valid_share == pytest.approx(np.isfinite(expected.cost).mean())


@pytest.mark.parametrize("settings", ["all at once", "softmax", "truncate", "narrowed"])
def test_the_order_of_threads_and_where_noise_lies_change_no_bit(settings):
    results = []
    for gpu in (
        EmulatedGpu(),
        EmulatedGpu(backwards=True),
        EmulatedGpu(most_shared=0),
    ):
        given = executors.given(iterations=1, **SETTINGS[settings])
        execution, cost = one_iteration(given, gpu)
        results.append(
            (cost.clone(), *given.setup.belief, execution.candidates[..., : cost.numel()])
        )
    assert "sample_long" in gpu.launched
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)


def test_a_selection_among_equal_costs_takes_the_first():
    given = executors.given(iterations=1, samples=300, elites=20, keep=1.0)
    for term in given.setup.rollout.costs:
        term.stage = lambda state, *others: 0.0 * state[0]
        term.terminal = lambda state: 0.0 * state[0]
    execution, cost = one_iteration(given, EmulatedGpu())
    assert not cost.any()
    np.testing.assert_array_equal(
        given.setup.belief.injected[:, :, 0, :20], execution.candidates[..., :20]
    )


def test_without_a_valid_candidate_everything_stays():
    given = executors.given(iterations=1)
    for term in given.setup.rollout.costs:
        term.terminal = lambda state: state[0] / 0.0 * 0.0
    before = [tensor.clone() for tensor in given.setup.belief]
    execution, _ = one_iteration(given, EmulatedGpu())
    torch.testing.assert_close(given.setup.belief.mean, before[0], rtol=0, atol=0)
    torch.testing.assert_close(given.setup.belief.std, before[1])
    torch.testing.assert_close(given.setup.belief.injected, before[2], rtol=0, atol=0)
    assert execution.found().valid_share == 0.0
    assert np.isinf(execution.found().best_cost)


@pytest.fixture
def on_emulated_gpu(monkeypatch):
    """Let planners on the CPU search as on a GPU."""

    def on_gpu(backend, setup, like=None):
        return GraphExecution(setup, EmulatedGpu())

    monkeypatch.setattr(choose, "choose", on_gpu)


def planner(**options):
    model = CartPole()
    costs = [Quadratic(model, {"weight": {"x": 1.0, "theta": 5.0}})]
    sizes = {"samples": 256, "elites": 32, "iterations": 2, "horizon": 20, "dt": 0.02}
    return Planner(model, costs, **sizes | options)


def plans(planner, count=5):
    times = [0.0, 0.02, 0.05, 0.11, 0.4][:count]
    return np.stack([planner.plan(np.array([0.1, 0.0, 0.2, 0.0]), t).actions for t in times])


OPTIONS = {
    "defaults": {},
    "carried std": {"std_carry": 0.5, "momentum": 0.2},
    "splines": {"knot_spacing": 4, "order": 3},
    "modes": {"modes": 2, "decay": 1.3, "iterations": 3},
    "the mean": {"execute": "mean", "rate": [20.0]},
    "slow actuators": {"lag": [0.1]},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_plans_are_repeatable_and_as_good_as_those_of_the_cpu(options, on_emulated_gpu, request):
    first, again = (planner(**OPTIONS[options]) for _ in range(2))
    assert first.execution.name == "cudagraph"
    np.testing.assert_array_equal(plans(first), plans(again))
    costs = [first.plan(np.array([0.1, 0.0, 0.2, 0.0]), 0.42 + 0.02 * k).cost for k in range(5)]
    request.getfixturevalue("monkeypatch").undo()
    other = planner(**OPTIONS[options])
    assert other.execution.name != first.execution.name
    plans(other)
    expected = [other.plan(np.array([0.1, 0.0, 0.2, 0.0]), 0.42 + 0.02 * k).cost for k in range(5)]
    assert np.mean(costs) == pytest.approx(np.mean(expected), rel=0.15)


def agrees(given, expected, cost):
    near = {"rtol": 2e-3, "atol": 2e-3}
    np.testing.assert_allclose(cost, expected.cost, **near)
    for name in given.setup.belief._fields:
        got, wanted = getattr(given.setup.belief, name).numpy(), getattr(expected, name)
        np.testing.assert_allclose(got, wanted, **near, err_msg=name)


def moved(rows, shift):
    return np.concatenate([rows[shift:], np.repeat(rows[-1:], shift, 0)])


@pytest.mark.parametrize("shift", [1, 4, 11])
@pytest.mark.parametrize("carry", [0.0, 0.6])
def test_the_graph_shifts_the_belief_first(shift, carry):
    given = executors.given(iterations=1, modes=2, momentum=0.5, std_ramp=2.0)
    initial = given.setup.problem.limits.std_initial.double().numpy()[..., None]
    belief = given.oracle_belief
    belief.mean, belief.injected = moved(belief.mean, shift), moved(belief.injected, shift)
    belief.std = moved(belief.std, shift)
    belief.std[len(belief.std) - shift :] = initial[len(belief.std) - shift :]
    belief.std = initial + carry * (belief.std - initial)
    expected = oracle.iterate(
        given.task, belief, given.use.numpy(), drawn(given.setup.search, 2).double().numpy()
    )
    execution = graph(given, EmulatedGpu())
    # What two calls ask for before a run adds up.
    execution.begin(Move(shift - 1, 0, carry, False))
    execution.begin(Move(1, 0, carry, False))
    cost, _ = execution.run(given.use[None], PLAN, range(1))
    agrees(given, expected, cost)


def test_a_mean_out_of_reach_is_brought_near():
    given = executors.given(iterations=1, rate=(2.0, 0.5), momentum=0.9)
    belief, problem = given.oracle_belief, given.setup.problem
    near = limit_rate(
        given.setup.belief.mean.unsqueeze(-1), problem.previous_action, problem.limits
    )
    belief.mean = near.squeeze(-1).double().numpy()
    expected = oracle.iterate(
        given.task, belief, given.use.numpy(), drawn(given.setup.search, 2).double().numpy()
    )
    execution = graph(given, EmulatedGpu())
    execution.begin(Move(0, 0, 1.0, True))
    cost, _ = execution.run(given.use[None], PLAN, range(1))
    agrees(given, expected, cost)


@pytest.mark.parametrize(
    "settings",
    [
        {"modes": 2, "elites": 6},
        {"weighting": "softmax", "noise_beta": 2.0},
        # The elites of the first iteration are narrowed down, and of the others there is no need.
        {"samples": 20000, "elites": 40, "horizon": 2},
    ],
)
def test_a_population_that_decays_is_searched_as_by_the_oracle(settings):
    given = executors.given(iterations=3, decay=1.5, **settings)
    use, expected = given.use.repeat(3, 1), given.oracle_belief
    for iteration in range(3):
        noise = drawn(given.setup.search, 2, iteration).double().numpy()
        expected = oracle.iterate(given.task, expected, use[iteration].numpy(), noise)
    execution = graph(given, EmulatedGpu())
    execution.begin(Move(0, 0, 1.0, False))
    cost, done = execution.run(use, PLAN, range(3))
    assert done == 3
    assert cost.shape == (given.setup.search.modes, given.setup.search.population(2))
    agrees(given, expected, cost)


@pytest.mark.parametrize(
    "settings",
    [
        {"samples": 2, "elites": 1, "keep": 0.0},
        {"horizon": 1, "noise_beta": 2.0},
        {"horizon": 1, "knot_spacing": 4, "order": 3},
    ],
)
def test_the_smallest_searches_are_those_of_the_oracle(settings):
    given = executors.given(iterations=1, **settings)
    noise = drawn(given.setup.search, 2).double().numpy()
    expected = oracle.iterate(given.task, given.oracle_belief, given.use.numpy(), noise)
    _, cost = one_iteration(given, EmulatedGpu())
    agrees(given, expected, cost)


def test_given_noise_takes_the_place_of_what_is_drawn():
    given = executors.given(iterations=1, modes=2)
    expected = oracle.iterate(
        given.task, given.oracle_belief, given.use.numpy(), given.noise.double().numpy()
    )
    execution = graph(given, EmulatedGpu())
    execution.begin(Move(0, 0, 1.0, False))
    cost, _ = execution.run(given.use[None], PLAN, range(1), noise=given.noise)
    agrees(given, expected, cost)


@pytest.mark.parametrize("settings", ["defaults", "linear splines", "lag"])
def test_without_a_kernel_the_rollout_in_the_graph_is_that_of_pytorch(settings, monkeypatch):
    def refused(rollout, gpu, samples):
        raise UnsupportedError("operation 'anything' has no translation")

    monkeypatch.setattr(plan_graph, "CudaRollout", refused)
    given = executors.given(iterations=1, **executors.SETTINGS.get(settings, {}))
    expected = oracle.iterate(
        *(given.task, given.oracle_belief, given.use.numpy()),
        drawn(given.setup.search, 2).double().numpy(),
    )
    execution = GraphExecution(given.setup._replace(seed=SEED), EmulatedGpu())
    assert execution.reason == "no CUDA kernel: operation 'anything' has no translation"
    execution.begin(Move(0, given.task.phase, 1.0, False))
    cost, _ = execution.run(given.use[None], PLAN, range(1))
    agrees(given, expected, cost)


def test_iterations_that_would_not_begin_in_time_are_left_out():
    execution = graph(executors.given(iterations=70, samples=32, horizon=2), EmulatedGpu())
    uses = torch.zeros(70, execution.candidates.shape[-1], dtype=torch.bool)
    assert execution.run(uses, 0, range(70), until=-math.inf)[1] == 1
    assert execution.run(uses, 0, range(70))[1] == 70
    # Not each number of them has a graph; those that have no more are done.
    done = execution.run(uses, 0, range(60))[1]
    assert 50 < done <= 60


@pytest.mark.parametrize("risk", ["mean", "worst", "cvar", "mean_std"])
def test_the_risk_over_variants_of_a_model_is_that_of_pytorch(risk, on_emulated_gpu):
    model = CartPole()
    several = Randomised(model, dict.fromkeys(model.numbers, 0.3), 5)
    cost = Quadratic(model, {"weight": {"x": 1.0, "theta": 5.0}})
    sizes = {"samples": 100, "elites": 10, "horizon": 10, "iterations": 1, "dt": 0.02}
    planner = Planner(several, [cost], risk=risk, cvar_alpha=0.4, **sizes)
    state = np.array([0.1, 0.0, 0.2, 0.0])
    plan = planner.plan(state, 0.0)
    assert (planner.execution.name, planner.execution.reason) == ("cudagraph", "")
    knots = planner.execution.candidates[..., :100]
    rollout = Rollout(several, [cost], 0.02, Particles(risk=risk, cvar_alpha=0.4))
    start = torch.tensor(state, dtype=torch.float32)
    expected = rollout(start, knots, torch.zeros(1), torch.full((10,), 0.02))
    assert plan.cost == pytest.approx(float(expected.min()), rel=1e-3)
