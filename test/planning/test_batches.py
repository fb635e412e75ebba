# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Deadlines within an iteration, for models that take long."""

import math

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.actions import Effort
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.planning.batches import BatchedRollout
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.settings import Search


class Engine:
    """A rollout that takes `pace` s for each candidate, on a clock of its own."""

    def __init__(self, pace):
        self.pace = pace
        self.time = 0.0
        self.batches = []

    def __call__(self, state, sequence):
        self.batches.append(sequence.shape[-1])
        self.time += self.pace * sequence.shape[-1]
        return sequence[0, 0].clone()


def rollout(engine, **settings):
    settings = {"samples": 32, "elites": 8} | settings
    return BatchedRollout(engine, Search(**settings), clock=lambda: engine.time)


def test_candidates_that_fit_are_one_batch():
    engine = Engine(0.001)
    batched = rollout(engine)
    costs = torch.randn(1, 1, 32)
    for until in (math.inf, 1.0, engine.time + 1.0):
        batched.until = until
        assert torch.equal(batched(None, costs), costs[0, 0])
    assert engine.batches == [32, 32, 32]


def test_no_batch_begins_after_the_deadline():
    engine = Engine(0.01)
    batched = rollout(engine)
    costs = torch.arange(32.0).view(1, 1, 32)
    batched(None, costs)
    batched.until = engine.time + 0.2
    found = batched(None, costs)
    late = engine.time - batched.until
    assert 0.0 <= late < 0.03
    simulated = sum(engine.batches[1:])
    assert 20 <= simulated <= 22
    # A third of the elites less, as a third of the candidates is missing.
    assert found.isfinite().sum() == round(8 * simulated / 32)
    assert torch.equal(found[:4], costs[0, 0, :4])
    assert batched.valid_share == 1.0


def test_a_batch_is_simulated_even_after_the_deadline():
    engine = Engine(0.01)
    batched = rollout(engine)
    costs = torch.arange(32.0).view(1, 1, 32)
    batched(None, costs)
    batched.until = engine.time - 1.0
    assert batched(None, costs).isfinite().sum() == 1
    assert engine.batches == [32, 2]


def test_the_first_plan_of_all_may_begin_after_its_deadline():
    engine = Engine(0.01)
    batched = rollout(engine)
    batched.until = -1.0
    assert batched(None, torch.arange(32.0).view(1, 1, 32)).isfinite().sum() == 1
    assert engine.batches == [2]


def test_every_mode_gets_its_share_of_what_is_simulated():
    engine = Engine(0.01)
    batched = rollout(engine, modes=4, weighting="softmax")
    costs = torch.arange(128.0).view(1, 1, 128)
    batched(None, costs)
    batched.until = engine.time + 0.4
    found = batched(None, costs).view(4, 32)
    counts = found.isfinite().sum(1).tolist()
    assert max(counts) - min(counts) <= 1
    assert 9 <= min(counts) <= 11
    place = torch.arange(128.0).view(4, 32)
    assert torch.equal(found[:, :9], place[:, :9])


def test_an_invalid_candidate_among_those_that_were_simulated_counts():
    engine = Engine(0.01)
    batched = rollout(engine)
    costs = torch.zeros(1, 1, 32)
    costs[0, 0, ::2] = torch.nan
    batched(None, costs)
    assert batched.valid_share == 0.5
    batched.until = engine.time + 0.1
    batched(None, costs)
    assert batched.valid_share == pytest.approx(0.5, abs=0.05)


class Simulated(DoubleIntegrator):
    """A double integrator that rolls out itself and counts its candidates."""

    simulated = 0

    def rollout(self, state, sequence, durations):
        self.simulated += sequence.shape[-1]
        return super().rollout(state, sequence, durations)


def test_a_plan_that_is_cut_is_as_good_as_the_last_one():
    model = Simulated()
    costs = [Quadratic(model, {"weight.x": 1.0}), Effort(model, {"weight.x_ddot": 0.1})]
    planner = Planner(model, costs, samples=64, elites=8, iterations=3, horizon=10, dt=0.1)
    state = np.array([1.0, 0.0, 0.0, 0.0])
    full = [planner.plan(state, 0.0) for _ in range(8)][-1]
    model.simulated = 0
    cut = planner.plan(state, 0.0, until=0.0)
    assert full.simulated_share == 1.0
    assert cut.simulated_share == pytest.approx(1.0 / 16.0)
    assert cut.iterations == 1
    assert 1 <= model.simulated <= 8
    assert cut.invalid_share == 0.0
    assert cut.cost <= full.cost * 1.05


def test_the_first_proposal_is_simulated_however_late_it_is():
    engine = Engine(0.01)
    batched = rollout(engine, proposals=4, keep=0.25)
    costs = torch.arange(32.0, 0.0, -1.0).view(1, 1, 32)
    batched(None, costs)
    batched.until = engine.time  # The deadline has passed.
    found = batched(None, costs)
    assert sum(engine.batches[1:]) == 2
    place = Search(samples=32, elites=8, keep=0.25).kept + 2  # After elites, mean and best.
    assert found[place] == costs[0, 0, place]
    assert found.isfinite().sum() == 1  # One of two can be an elite.
    batched.until = math.inf
    assert torch.equal(batched(None, costs), costs[0, 0])
