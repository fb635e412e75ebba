# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.planning.planner import Planner


class Sums(Cost):
    """Uses an operation that no kernel has."""

    def stage(self, state, action, previous_action, time):
        return torch.erfinv(0.1 * torch.tanh(state[0])) ** 2


def test_compile_and_auto_are_a_kernel_on_the_cpu(cartpole):
    model, costs = cartpole
    options = {"samples": 256, "elites": 32, "iterations": 1, "horizon": 20}
    kernel = Planner(model, costs, backend="compile", **options)
    assert (kernel.execution.name, kernel.execution.reason) == ("kernel", "")
    assert Planner(model, costs, backend="auto", **options).execution.name == "kernel"
    assert Planner(model, costs, backend="eager", **options).execution.name == "eager"


def test_what_has_no_kernel_is_left_to_torch_compile_with_the_reason(cartpole):
    model, _ = cartpole
    planner = Planner(model, [Sums(model)], samples=32, elites=4, horizon=2)
    assert planner.execution.name == "torch.compile"
    assert "erfinv" in planner.execution.reason
    assert np.isfinite(planner.plan(np.zeros(4), 0.0).cost)


def test_without_a_compiler_it_plans_eagerly_at_once_and_says_why(cartpole, monkeypatch):
    def called(*args, **kwargs):
        raise AssertionError("it takes a minute to fail for the same reason")

    monkeypatch.setattr(torch, "compile", called)
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    model, costs = cartpole
    planner = Planner(model, costs, samples=32, elites=4, horizon=3)
    assert planner.execution.name == "eager"
    assert "/nonexistent/g++" in planner.execution.reason
    assert "torch.compile failed: it needs the C++ compiler too" in planner.execution.reason
    assert np.isfinite(planner.plan(np.zeros(4), 0.0).cost)


def test_a_planner_like_another_has_its_own_risk(cartpole):
    model, costs = cartpole
    several = Randomised(model, dict.fromkeys(model.numbers, 0.3), 5)
    sizes = {"samples": 64, "elites": 8, "horizon": 9, "iterations": 1}
    start = np.array([0.1, 0.0, 0.2, 0.0])
    first = Planner(several, costs, risk="mean", **sizes)
    cautious = [Planner(several, costs, risk="worst", like=p, **sizes) for p in (None, first)]
    assert cautious[1].execution.name == "kernel"
    found = [planner.plan(start, 0.0).cost for planner in (first, *cautious)]
    assert found[0] < found[1] == found[2]


def test_a_planner_like_another_compiles_nothing(cartpole, monkeypatch):
    model, costs = cartpole
    planner = Planner(model, costs, samples=64, elites=8, horizon=9)
    expected = Planner(model, costs, samples=128, elites=8, horizon=12).plan(np.ones(4), 0.0)
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    other = Planner(model, costs, samples=128, elites=8, horizon=12, like=planner)
    assert other.execution.name == "kernel"
    np.testing.assert_array_equal(other.plan(np.ones(4), 0.0).actions, expected.actions)
