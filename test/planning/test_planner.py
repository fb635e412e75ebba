# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import math
import time
from types import SimpleNamespace

import matplotlib.figure
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.control.limits import CommandLimits
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning import execution
from cem_planner_ros.planning.planner import Planner


class Stay(Dynamics):
    """The state never moves."""

    state_names = ("x",)
    action_names = ("a", "b")
    action_low = (-1.0, -1.0)
    action_high = (1.0, 1.0)
    action_units = ("", "")

    def step(self, state, action, dt):
        return state


class Effort(Cost):
    """The seed note's dummy model: the return is minus the sum of the squared actions."""

    def stage(self, state, action, previous_action, time):
        return (action * action).sum(0)


class Target(Cost):
    """Wants the action to follow a ramp in time; says NaN for everything once it is `blind`."""

    blind = False

    def stage(self, state, action, previous_action, time):
        cost = ((action - 0.3 * time) ** 2).sum(0)
        return cost * float("nan") if self.blind else cost


def test_the_seed_notes_example_finds_the_action_of_least_effort():
    model = Stay()
    planner = Planner(
        model,
        [Effort(model)],
        samples=1000,
        elites=100,
        iterations=5,
        horizon=10,
        std_initial=0.5,
        std_min=1e-5,
        weighting="elites",
        noise_beta=0.0,
        keep=0.0,
        inject_mean="never",
        inject_best=False,
        execute="mean",
        backend="eager",
    )
    plan = planner.plan(np.zeros(1), 0.0)
    assert np.abs(plan.actions[0]).max() < 0.1
    assert plan.iterations == 5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_swings_the_cartpole_up(cartpole):
    model, costs = cartpole
    planner = Planner(model, costs, horizon=30, dt=0.04)
    state = torch.tensor([[0.0], [0.0], [np.pi], [0.0]])
    action = np.zeros(1)
    angles = []
    for tick in range(200):
        time = 0.02 * tick
        action = planner.plan(state[:, 0].numpy(), time, action).action_at(time)
        held = torch.tensor(action[:, None], dtype=torch.float32)
        for _ in range(4):
            state = model.step(state, held, torch.tensor(0.005))
        angles.append(np.remainder(state[2, 0].item() + np.pi, 2 * np.pi) - np.pi)
    assert np.abs(angles[-50:]).max() < 0.2


def ramp_planner(**options):
    model = Stay()
    cost = Target(model)
    settings = {"samples": 64, "elites": 8, "iterations": 3, "horizon": 12, "dt": 0.1}
    return Planner(model, [cost], backend="eager", **{**settings, **options}), cost


gap = st.floats(0.0, 0.7)


@given(a=gap, b=gap)
def test_moving_a_plan_by_a_and_by_b_is_moving_it_by_both(a, b):
    def moved(*waits):
        planner, cost = ramp_planner()
        time = 100.0
        plan = planner.plan(np.zeros(1), time)
        cost.blind = True  # From here on nothing is refitted, plans are only moved.
        for wait in waits:
            time += wait
            plan = planner.plan(np.zeros(1), time)
        return plan

    twice, once = moved(a, b), moved(a + b)
    # Rounding may put a + b on the other side of the border between two cells.
    if np.isclose(twice.edges[1], once.edges[1], atol=1e-6):
        np.testing.assert_array_equal(twice.actions, once.actions)
    else:
        assert abs(twice.edges[1] - once.edges[1]) == pytest.approx(0.1, abs=1e-6)


@given(wait=gap, ahead=st.floats(0.0, 0.4))
def test_a_moved_plan_says_the_same_at_the_same_time(wait, ahead):
    planner, cost = ramp_planner()
    first = planner.plan(np.zeros(1), 5.0)
    cost.blind = True
    moved = planner.plan(np.zeros(1), 5.0 + wait)
    time = moved.edges[1] + ahead + 1e-6
    np.testing.assert_array_equal(moved.action_at(time), first.action_at(time))


def test_what_comes_in_at_the_end_repeats_the_last_action():
    planner, cost = ramp_planner()
    last = planner.plan(np.zeros(1), 0.0).actions[-1]
    cost.blind = True
    moved = planner.plan(np.zeros(1), 50.0)
    np.testing.assert_array_equal(moved.actions, np.tile(last, (12, 1)))
    assert moved.cost == np.inf
    assert moved.invalid_share == 1.0


def test_time_going_back_forgets_the_plan():
    planner, cost = ramp_planner()
    planner.plan(np.zeros(1), 10.0)
    cost.blind = True
    assert not planner.plan(np.zeros(1), 9.0).actions.any()


def test_the_same_seed_gives_the_same_plans_bit_for_bit(cartpole):
    model, costs = cartpole
    plans = []
    for seed in (1, 1, 2):
        planner = Planner(model, costs, samples=128, elites=16, seed=seed)
        plans.append([planner.plan(np.ones(4), 0.02 * k).actions for k in range(5)])
    np.testing.assert_array_equal(plans[0], plans[1])
    assert not np.array_equal(plans[0], plans[2])


def test_reset_begins_as_new(cartpole):
    model, costs = cartpole
    planner = Planner(model, costs, samples=128, elites=16)
    first = planner.plan(np.ones(4), 0.0).actions
    planner.plan(np.ones(4), 0.02)
    planner.reset()
    np.testing.assert_array_equal(planner.plan(np.ones(4), 0.0).actions, first)


class Lottery(Target):
    """Wants an action that is drawn for each plan."""

    def __init__(self, dynamics):
        super().__init__(dynamics)
        self.wanted = torch.zeros(())
        self.reset()

    def reset(self):
        self.random = np.random.default_rng(0)

    def prepare(self, state, time, surroundings):
        self.wanted.fill_(self.random.random())

    def stage(self, state, action, previous_action, time):
        return ((action - self.wanted) ** 2).sum(0)


class Dice:
    """Proposes actions that are drawn for each plan."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.random = np.random.default_rng(0)

    def __call__(self, state, edges):
        return self.random.uniform(-1.0, 1.0, (3, len(edges) - 1, 2))


def test_after_a_reset_plugins_and_policies_with_random_numbers_plan_the_same_again():
    model = Stay()
    settings = {"samples": 32, "elites": 4, "horizon": 4, "proposals": 3, "iterations": 1}
    planner = Planner(model, [Lottery(model)], policy=Dice(), backend="eager", **settings)
    first = [planner.plan(np.zeros(1), 0.1 * tick).actions for tick in range(3)]
    planner.reset()
    again = [planner.plan(np.zeros(1), 0.1 * tick).actions for tick in range(3)]
    np.testing.assert_array_equal(first, again)
    planner.reset()
    planner.plan(np.zeros(1), 0.0)
    without = planner.plan(np.zeros(1), 0.0).actions
    assert not np.array_equal(without, first[0])


@given(low=st.floats(-100, 99), width=st.floats(0.01, 100), seed=st.integers(0, 1000))
@settings(max_examples=30)
def test_every_planned_action_is_within_bounds(low, width, seed):
    planner, _ = ramp_planner(low=[low, -1.0], high=[low + width, 1.0], seed=seed)
    actions = planner.plan(np.zeros(1), 0.0).actions
    tolerance = 1e-5 * max(1.0, abs(low), width)
    assert (actions >= np.array([low, -1.0]) - tolerance).all()
    assert (actions <= np.array([low + width, 1.0]) + tolerance).all()


def test_bounds_can_change_between_plans():
    planner, _ = ramp_planner()
    planner.plan(np.zeros(1), 0.0)
    tuning = {"temperature": 1.0, "momentum": 0.0, "std_carry": 0.0, "lag": [0.0, 0.0]}
    planner.tune(
        low=[-0.1, -0.1], high=[0.1, 0.1], rate=[9.0, 9.0], std_initial=0.5, std_min=0.01, **tuning
    )
    assert np.abs(planner.plan(np.zeros(1), 0.1).actions).max() <= 0.1 + 1e-6


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_the_search_ends_on_time_but_never_before_the_first_iteration(cartpole, backend):
    model, costs = cartpole
    planner = Planner(model, costs, backend=backend, samples=64, elites=8, iterations=3)
    now = time.monotonic()
    for limits, iterations in (
        ({}, 3),
        ({"iterations": 2}, 2),
        ({"iterations": 9}, 3),
        ({"until": now + 60.0}, 3),
        ({"until": now}, 1),
        ({"until": -math.inf}, 1),
    ):
        assert planner.plan(np.zeros(4), 0.0, **limits).iterations == iterations


def test_the_search_uses_the_time_it_has(cartpole):
    model, costs = cartpole
    planner = Planner(model, costs, samples=1024, elites=8, iterations=10_000)
    plan = planner.plan(np.zeros(4), 0.0, until=time.monotonic() + 0.5)
    assert 1 < plan.iterations < 10_000


def test_no_iteration_begins_when_the_time_is_over(cartpole, monkeypatch):
    model, costs = cartpole
    planner = Planner(model, costs, samples=64, elites=8, iterations=100, backend="eager")
    clock = itertools.count(50)  # s; it goes on after each iteration.
    monkeypatch.setattr(execution, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert planner.plan(np.zeros(4), 0.0, until=57.0).iterations == 8


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_predict_follows_the_model(backend):
    model = DoubleIntegrator()
    cost = Quadratic(model, {"weight.x": 1.0})
    planner = Planner(model, [cost], horizon=3, dt=0.5, backend=backend)
    plan = planner.plan(np.array([1.0, 0.0, 0.0, 0.0]), 0.0)
    states = planner.predict(plan, np.array([1.0, 0.0, 0.0, 0.0]))
    assert states.shape == (4, 4)
    np.testing.assert_allclose(states[-1, 2:], (0.5 * plan.actions).sum(0), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"elites": 65}, "elites"),
        ({"elites": -1}, "elites"),
        ({"horizon": 0}, "horizon"),
        ({"order": 2}, "order"),
        ({"samples": 1, "elites": 1}, "samples"),
        ({"dt": 0.0}, "dt"),
        ({"low": [1.0, -1.0], "high": [1.0, 1.0]}, "'action.low.a' is 1.0, allowed: less than"),
        ({"low": [0.0]}, "allowed: a number for each of a, b"),
        ({"low": 0.0}, "allowed: a number for each of a, b"),
        ({"low": [[-1.0], [-1.0]]}, "'action.low.a' is .-1.0., allowed: a finite number"),
        ({"low": [-1.0, [-1.0]]}, "'action.low.b' is .-1.0., allowed: a finite number"),
        ({"low": [-math.inf, -1.0]}, "'action.low.a' is -inf, allowed: a finite number"),
        ({"high": [1.0, math.inf]}, "'action.high.b' is inf, allowed: a finite number"),
        ({"high": [1.0, math.nan]}, "'action.high.b' is nan, allowed: a finite number"),
        ({"high": [1.0, 1e39]}, "'action.high.b' is 1e.39, allowed: a finite number"),
        ({"high": [1.0, "1"]}, "'action.high.b' is '1', allowed"),
        ({"low": [-2e38, -1.0], "high": [2e38, 1.0]}, "at most 1e.18 below action.high.a"),
        ({"rate": [-1.0, 1.0]}, "'action.rate.a' is -1.0, allowed: a finite number of at least"),
        ({"rate": [1.0, math.nan]}, "'action.rate.b' is nan"),
        ({"rate": [1.0, -math.inf]}, "'action.rate.b' is -inf"),
        ({"rate": [0.0, 1.0]}, "rate of 'a' is 0, allowed: above 0, infinity for no limit"),
        ({"rate": [1.0]}, "rate is .*allowed: a number for each of a, b"),
        ({"lag": [-1.0, 0.0]}, "'action.lag.a' is -1.0, allowed: a finite number from 0.0 to 10"),
        ({"lag": [math.inf, 0.0]}, "'action.lag.a' is inf"),
        ({"lag": [0.0, math.nan]}, "'action.lag.b' is nan"),
        ({"period": 0.0}, "'period' is 0.0, allowed: a finite number from"),
        ({"period": math.nan}, "'period' is nan, allowed: a finite number from"),
        ({"period": math.inf}, "'period' is inf, allowed: a finite number from"),
        ({"period": "20 ms"}, "'period' is '20 ms', allowed: a finite number from"),
        ({"seed": -1}, "'planner.seed' is -1, allowed: an integer of at least 0"),
        ({"seed": 0.5}, "'planner.seed' is 0.5, allowed: an integer"),
        ({"threads": 0}, "'planner.threads' is 0, allowed: an integer from 1"),
        ({"device": "tpu"}, "'planner.device' is 'tpu', allowed: auto, cpu"),
        ({"dt": math.nan}, "'planner.dt' is nan, allowed: a finite number from"),
        ({"dt": math.inf}, "'planner.dt' is inf, allowed"),
        ({"dt": "0.1"}, "'planner.dt' is '0.1', allowed"),
        ({"samples": 64.0}, "'planner.samples' is 64.0, allowed: an integer"),
        ({"samples": True}, "'planner.samples' is True, allowed: an integer"),
        ({"iterations": 10**6}, "'planner.iterations' is 1000000, allowed: an integer from 1 to"),
        ({"inject_best": 1}, "'planner.inject_best' is 1, allowed: true or false"),
        ({"temperature": 0.0}, "'planner.temperature' is 0.0, allowed"),
        ({"control_cost": -1.0}, "'planner.control_cost' is -1.0, allowed"),
        ({"cvar_alpha": 2.0}, "'planner.cvar_alpha' is 2.0, allowed"),
        ({"risk": "least"}, "'planner.risk' is 'least', allowed: one of mean"),
        ({"noise_beta": (1.0, 2.0, 3.0)}, "noise_beta has 3 entries, allowed"),
        ({"noise_beta": [1.0, math.nan]}, "'planner.noise_beta' is nan, allowed"),
    ],
)
def test_arguments_that_cannot_work_are_refused(options, text):
    with pytest.raises(ConfigurationError, match=text):
        ramp_planner(**options)


def test_numbers_of_numpy_are_settings_too():
    planner, _ = ramp_planner(
        samples=np.int64(64), dt=np.float32(0.125), low=np.float32([-1, -1]), noise_beta=[0, 1]
    )
    assert (planner.search.samples, planner.search.dt) == (64, 0.125)
    assert planner.search.noise_beta == (0.0, 1.0)


def test_what_is_no_plugin_is_refused():
    model = Stay()
    for dynamics, costs, text in (
        (Stay, [Effort(model)], "dynamics is .*expected a Dynamics object"),
        (model, [], "costs is .*at least one Cost"),
        (model, Effort(model), "costs is .*a list of at least one Cost"),
        (model, [Effort], "costs has .*expected Cost objects"),
    ):
        with pytest.raises(ConfigurationError, match=text):
            Planner(dynamics, costs)


def test_tuning_that_is_refused_changes_nothing():
    planner, _ = ramp_planner()
    good = {"low": [-1.0, -1.0], "high": [1.0, 1.0], "rate": [9.0, 9.0], "lag": [0.0, 0.0]}
    good |= {"temperature": 1.0, "momentum": 0.0, "std_initial": 0.5, "std_min": 0.01}
    good |= {"std_carry": 0.0}
    before = planner.plan(np.zeros(1), 0.0).actions
    for bad in (
        {"low": [0.0, math.nan]},
        {"rate": [-1.0, 1.0]},
        {"lag": [-1.0, 0.0]},
        {"temperature": math.nan},
        {"momentum": 1.0},
        {"std_initial": math.inf},
    ):
        with pytest.raises(ConfigurationError, match="allowed"):
            planner.tune(**good | {"low": [0.5, 0.5]} | bad)
    planner.reset()
    np.testing.assert_array_equal(planner.plan(np.zeros(1), 0.0).actions, before)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"state": np.zeros(2)}, r"state has shape \(2,\), expected \(1,\)"),
        ({"state": np.zeros((1, 1))}, r"state has shape \(1, 1\), expected \(1,\)"),
        ({"state": 0.0}, r"state has shape \(\), expected \(1,\)"),
        ({"state": [math.nan]}, "state has x nan, expected numbers that are finite"),
        ({"state": [-math.inf]}, "state has x -inf, expected"),
        ({"state": [1e39]}, "state has x 1e.39, expected numbers that are finite in float32"),
        ({"time": math.nan}, "time is nan, expected a finite time"),
        ({"time": math.inf}, "time is inf, expected a finite time"),
        ({"until": math.nan}, "until is nan, expected"),
        ({"previous_action": np.zeros(1)}, r"previous_action has shape \(1,\), expected \(2,\)"),
        ({"previous_action": [0.0, math.nan]}, "previous_action has b nan, expected"),
        ({"applied": np.zeros(3)}, r"applied has shape \(3,\), expected \(2,\)"),
        ({"applied": [math.nan, 0.0]}, "applied has a nan, expected"),
    ],
)
def test_what_cannot_be_planned_from_is_refused_and_the_plan_stays(arguments, text):
    planner, other = ramp_planner()[0], ramp_planner()[0]
    for each in (planner, other):
        each.plan(np.zeros(1), 0.0)
    with pytest.raises(ValueError, match=text):
        planner.plan(**{"state": np.zeros(1), "time": 0.1} | arguments)
    np.testing.assert_array_equal(
        planner.plan(np.zeros(1), 0.1).actions, other.plan(np.zeros(1), 0.1).actions
    )


@pytest.mark.parametrize("backend", ["eager", "compile"])
@pytest.mark.parametrize("execute", ["mean", "best"])
@pytest.mark.parametrize("period", [0.02, 0.1, 0.25])
def test_the_first_action_is_one_that_can_be_commanded_in_a_period(backend, execute, period):
    """The cost wants an action far off; momentum keeps the mean of a plan from elsewhere."""
    model = Stay()
    planner = Planner(
        *(model, [Target(model)]),
        **{"samples": 256, "elites": 8, "horizon": 12, "dt": 0.1, "momentum": 0.5},
        **{"rate": [2.0, np.inf], "period": period, "backend": backend, "execute": execute},
    )
    limits = CommandLimits(
        *(np.full(2, -1.0), np.full(2, 1.0), np.array([2.0, np.inf]), np.zeros(2))
    )
    changes = []
    for tick, before in enumerate(([-0.8, 0.0], [0.9, 0.0], [-0.5, 0.3])):
        before = np.array(before)
        actions = planner.plan(np.zeros(1), tick * period, before).actions
        sent = limits.apply(actions[0], before, period)
        np.testing.assert_allclose(sent, actions[0], atol=1e-6)
        changes.append(abs(actions[0, 0] - before[0]))
        assert np.abs(np.diff(actions[:, 0])).max() <= 0.2 + 1e-6
    # It uses what it may.
    assert max(changes) == pytest.approx(2.0 * period, rel=0.25)


@pytest.mark.parametrize("backend", ["eager", "compile"])
@pytest.mark.parametrize("execute", ["mean", "best"])
@pytest.mark.parametrize("spline", [{}, {"knot_spacing": 3, "order": 1}])
def test_bounds_win_over_rates_when_they_were_just_narrowed(backend, execute, spline):
    model = Stay()
    planner = Planner(
        *(model, [Target(model)]),
        **{"samples": 64, "elites": 8, "horizon": 12, "dt": 0.1, "rate": [0.5, 0.5]},
        **{"momentum": 0.6, "backend": backend, "execute": execute} | spline,
    )
    planner.plan(np.zeros(1), 0.0, np.array([0.9, -0.9]))
    tuning = {"temperature": 1.0, "momentum": 0.6, "std_carry": 0.5, "lag": [0.0, 0.0]}
    planner.tune(
        low=[-0.1, 0.4], high=[0.1, 0.6], rate=[0.5, 0.5], std_initial=0.5, std_min=0.01, **tuning
    )
    for tick in (1, 2):
        actions = planner.plan(np.zeros(1), 0.02 * tick, np.array([0.9, -0.9])).actions
        assert (actions >= np.array([-0.1, 0.4]) - 1e-6).all()
        assert (actions <= np.array([0.1, 0.6]) + 1e-6).all()


class Wrong(Stay):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def step(self, state, action, dt):
        return self.function(state)


def raises(state):
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda s: s[:0], r"Wrong.step returned torch.float32 of shape \(0, 5\), expected"),
        (lambda s: s.double(), "Wrong.step returned torch.float64"),
        (lambda s: (s,), "Wrong.step returned tuple, expected a tensor"),
        (lambda s: s.mul_(2.0), "Wrong.step changes its arguments in place"),
        (raises, "Wrong.step raised RuntimeError: boom"),
    ],
)
def test_a_model_that_returns_something_else_is_named(function, text):
    model = Wrong(function)
    with pytest.raises(ConfigurationError, match=text):
        Planner(model, [Effort(model)])


def test_a_model_with_control_flow_on_values_plans_all_the_same(monkeypatch):
    monkeypatch.setattr(torch, "compile", raises)
    model = Wrong(lambda state: state)
    model.step = lambda state, action, dt: state * 0.5 if dt > 0.05 else state
    planner = Planner(model, [Effort(model)], samples=32, elites=4, horizon=3)
    assert planner.execution.name == "eager"
    assert "no C++ kernel" in planner.execution.reason
    assert np.isfinite(planner.plan(np.ones(1), 0.0).cost)


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_a_horizon_of_one_step_explores_as_much_in_every_period(backend):
    """Refitting in place must not narrow what later periods and `reset` begin with."""
    model = Stay()
    planner = Planner(
        model, [Effort(model)], horizon=1, samples=64, elites=8, backend=backend, keep=0.0
    )
    planner.reset()
    first = planner.plan(np.zeros(1), 0.0).actions
    for tick in range(5):
        planner.plan(np.zeros(1), 1.0 + tick)
    planner.reset()
    np.testing.assert_array_equal(planner.plan(np.zeros(1), 0.0).actions, first)


@pytest.mark.parametrize("backend", ["eager", "compile"])
@pytest.mark.parametrize("spline", [{}, {"knot_spacing": 3, "order": 1}])
def test_what_a_policy_proposes_is_a_candidate(backend, spline):
    """Nothing that is drawn comes near the one action that is good."""
    model = Stay()

    class Only(Cost):
        def stage(self, state, action, previous_action, time):
            return torch.where(torch.abs(action[0] - 0.9) < 1e-3, 0.0, 1.0)

    asked = []

    def policy(state, edges):
        asked.append((state, edges))
        good = np.full((1, 8, 2), 0.9)
        return np.concatenate((np.full_like(good, np.nan), good))

    planner = Planner(
        model,
        [Only(model)],
        backend=backend,
        policy=policy,
        **{"samples": 32, "elites": 4, "horizon": 8, "proposals": 2, "execute": "best"},
        **{"std_initial": 1e-3, "std_min": 1e-3} | spline,
    )
    plan = planner.plan(np.array([3.0]), 7.0)
    np.testing.assert_allclose(plan.actions, 0.9, atol=1e-4)
    assert plan.cost == pytest.approx(0.0, abs=1e-6)
    (state, edges), *_ = asked
    assert list(state) == [3.0]
    np.testing.assert_array_equal(edges, plan.edges)


def test_a_policy_of_another_shape_is_refused():
    model = Stay()
    planner = Planner(
        model, [Quadratic(model, {"weight.x": 1.0})], policy=lambda s, e: np.zeros(3), proposals=1
    )
    with pytest.raises(ValueError, match=r"expected \(1, 30, 2\)"):
        planner.plan(np.zeros(1), 0.0)


@pytest.mark.parametrize("backend", ["compile", "eager"])
def test_candidates_are_those_of_the_last_iteration_with_their_costs(cartpole, backend):
    model, costs = cartpole
    planner = Planner(
        model, costs, samples=150, elites=8, iterations=2, horizon=12, dt=0.05, backend=backend
    )
    plan = planner.plan(np.zeros(4), 0.0)
    states, actions, cost = planner.candidates(10)
    assert actions.shape == (12, 1, 10)
    assert cost[0] == pytest.approx(plan.cost, rel=1e-3)
    assert (np.diff(cost[:5]) >= 0.0).all()
    assert cost[5] >= cost[4]
    durations = torch.tensor(np.diff(plan.edges), dtype=torch.float32)
    sequence = torch.tensor(actions, dtype=torch.float32)
    expected = planner.rollout(torch.zeros(4), sequence, torch.zeros(1), durations)
    np.testing.assert_allclose(cost, expected, rtol=1e-3)
    one = planner.predict(dataclasses.replace(plan, actions=actions[..., 3]), np.zeros(4))
    np.testing.assert_allclose(states[..., 3], one, rtol=1e-4, atol=1e-5)
    everything = planner.candidates()
    assert everything.states.shape == (13, 4, 150)
    assert (np.diff(everything.costs) >= 0.0).all()


def test_before_a_plan_there_are_no_candidates(cartpole):
    model, costs = cartpole
    with pytest.raises(RuntimeError, match="nothing was planned yet"):
        Planner(model, costs, samples=64, elites=8, horizon=5, backend="eager").candidates()


def test_a_plan_draws_itself(cartpole):
    model, costs = cartpole
    planner = Planner(model, costs, samples=64, elites=8, horizon=5, backend="eager")
    plan = planner.plan(np.zeros(4), 2.0)
    figure = matplotlib.figure.Figure()
    axes = plan.plot(figure.add_subplot())
    (drawn,) = axes.patches
    assert drawn.get_label() == "force"
    values, edges, _ = drawn.get_data()
    np.testing.assert_allclose(values, plan.actions[:, 0])
    np.testing.assert_allclose(edges, plan.edges - 2.0)
