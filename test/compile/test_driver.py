# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What planners leave in CUDA's driver, of which a stand-in counts what is alive."""

import contextlib
import itertools
import types

import numpy as np
import pytest
import torch

from cem_planner_ros.compile import choose, cuda, driver
from cem_planner_ros.compile.nvrtc import compiled
from cem_planner_ros.compile.plan_graph import GraphExecution
from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.planning.planner import Planner


class Driver:
    """Computes nothing, and knows which graphs and modules are alive."""

    def __init__(self):
        self.graphs, self.modules, self.launched = set(), set(), []
        self.fails = 0
        self._handles = itertools.count(1)
        self._functions = {
            "cuGraphInstantiateWithFlags": lambda place, *_: self._make(self.graphs, place),
            "cuModuleLoadData": lambda place, _: self._make(self.modules, place),
            "cuGraphLaunch": lambda graph, _: self.launched.append(graph.value),
            "cuGraphExecDestroy": lambda graph: self.graphs.remove(graph.value),
        }

    def __getattr__(self, name):
        def call(*arguments):
            self._functions.get(name, lambda *_: None)(*arguments)
            return self.fails

        return call

    def _make(self, alive, place):
        place._obj.value = next(self._handles)
        alive.add(place._obj.value)


@pytest.fixture
def standin(monkeypatch):
    """Let planners on the CPU search as on a GPU whose driver is a stand-in."""
    try:
        compiled("", (9, 0))
    except UnsupportedError as error:
        pytest.skip(f"{error}")
    stream = types.SimpleNamespace(cuda_stream=1, wait_stream=lambda other: None)
    found = {
        "device": lambda device: contextlib.nullcontext(),
        "init": lambda: None,
        "current_device": lambda: 0,
        "get_device_capability": lambda index: (9, 0),
        "graph_pool_handle": lambda: (0, 0),
        "current_stream": lambda index: stream,
        "Stream": lambda device: stream,
        "stream": lambda stream: contextlib.nullcontext(),
    }
    for name, function in found.items():
        monkeypatch.setattr(torch.cuda, name, function)
    monkeypatch.setattr(driver, "_IDLE", {})
    monkeypatch.setattr(cuda, "compare", lambda *given: None)
    monkeypatch.setattr(choose, "choose", lambda backend, setup, like=None: GraphExecution(setup))
    driver_ = Driver()
    monkeypatch.setattr(driver, "_library", lambda: driver_)
    return driver_


def test_planners_that_were_exchanged_leave_no_graphs_and_no_modules(standin, cartpole):
    model, costs = cartpole

    def planner(samples):
        made = Planner(model, costs, samples=samples, elites=8, horizon=5, iterations=4)
        assert (made.execution.name, made.execution.reason) == ("cudagraph", "")
        return made

    kept = planner(64)
    first = set(standin.graphs)
    assert len(first) == 4
    for samples in range(65, 75):
        # The old one plans until the new one is there.
        before, kept = kept, planner(samples)
        before.plan(np.zeros(4), 0.0)
        assert len(standin.graphs) == 8
        del before
        assert len(standin.graphs) == 4
        kept.plan(np.zeros(4), 0.0)
        assert standin.launched[-1] in standin.graphs - first
    # The search and the rollout, each for two planners at a time.
    assert len(standin.modules) == 4


def test_a_planner_whose_device_is_lost_can_be_dropped(standin, cartpole):
    model, costs = cartpole
    planner = Planner(model, costs, samples=64, elites=8, horizon=5, iterations=2)
    standin.fails = 719
    with pytest.raises(RuntimeError, match="CUDA error: code 719"):
        planner.plan(np.zeros(4), 0.0)
    del planner
    assert not standin.graphs
