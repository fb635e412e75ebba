# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What a plugin changes between two plans acts, in the kernel or out of it."""

import gc
import threading
import types

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.plugins.parameter import Parameter

GAIN = 1.0
COLLECTIONS = 0
SIZES = {"samples": 128, "elites": 16, "iterations": 2, "horizon": 10, "dt": 0.1}


class Holder:
    """An object that a plugin keeps."""

    def __init__(self):
        self.target = torch.zeros(())
        self.number = 0.0


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("target",)

    def __init__(self):
        self.target = torch.zeros(())


class Target(Cost):
    """Has a target in every way that a plugin may keep one; `fetch` reads one of them."""

    parameters = (Parameter("weight", 1.0, "Any."),)

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.flag = torch.zeros((), dtype=torch.bool)
        self.integer = torch.zeros((), dtype=torch.int64)
        self.double = torch.zeros(2, 1, dtype=torch.float64)
        self.strided = torch.zeros(2, 3).T
        self.listed = [torch.zeros(()), torch.zeros(())]
        self.named = {"target": 0.0}
        self.holder = Holder()
        self.slotted = Slotted()
        self.module = torch.nn.BatchNorm1d(1).requires_grad_(False)
        self.array = np.zeros(2)
        self.plain = 0.0
        self.rebound = torch.zeros(())
        self.counted = 0

    def prepare(self, state, time, surroundings):
        self.counted += 1  # Nobody reads it in a step.

    def stage(self, state, action, previous_action, time):
        error = state[0] - self.fetch(self)
        return self.weight * error * error


IN_PLACE = {
    "bool": (lambda c: torch.where(c.flag, 1.0, 0.0), lambda c: c.flag.fill_(True)),
    "integer": (lambda c: c.integer, lambda c: c.integer.fill_(1)),
    "double": (lambda c: c.double[1, 0].float(), lambda c: c.double.fill_(1.0)),
    "strided": (lambda c: c.strided[0, 1], lambda c: c.strided.fill_(1.0)),
    "listed": (lambda c: c.listed[1], lambda c: c.listed[1].fill_(1.0)),
    "held": (lambda c: c.holder.target, lambda c: c.holder.target.fill_(1.0)),
    "slots": (lambda c: c.slotted.target, lambda c: c.slotted.target.fill_(1.0)),
    "buffer": (lambda c: c.module.running_mean[0], lambda c: c.module.running_mean.fill_(1.0)),
}

OTHERWISE = {
    "number": (lambda c: c.plain, lambda c: setattr(c, "plain", 1.0)),
    "attribute": (lambda c: c.rebound, lambda c: setattr(c, "rebound", torch.ones(()))),
    "data": (lambda c: c.rebound, lambda c: setattr(c.rebound, "data", torch.ones(()))),
    "list": (lambda c: c.listed[0], lambda c: c.listed.__setitem__(0, torch.ones(()))),
    "dictionary": (lambda c: c.named["target"], lambda c: c.named.update(target=1.0)),
    "held number": (lambda c: c.holder.number, lambda c: setattr(c.holder, "number", 1.0)),
    "array": (lambda c: torch.tensor(c.array)[0].float(), lambda c: c.array.fill(1.0)),
}


def planner_and_cost(fetch, **attributes):
    model = DoubleIntegrator()
    cost = Target(model)
    vars(cost).update(attributes, fetch=fetch)
    return Planner(model, [cost], **SIZES), cost


@pytest.mark.parametrize("way", IN_PLACE)
def test_a_tensor_of_any_type_that_changes_in_place_is_read_anew(way):
    fetch, change = IN_PLACE[way]
    planner, cost = planner_and_cost(fetch)
    before = planner.plan(np.zeros(4), 0.0, np.zeros(2)).cost
    change(cost)
    planner.reset()
    after = planner.plan(np.zeros(4), 0.0, np.zeros(2)).cost
    assert (planner.execution.name, planner.execution.reason) == ("kernel", "")
    assert after > before + 1.0


@pytest.mark.parametrize("way", OTHERWISE)
def test_what_cannot_be_read_anew_is_noticed_and_planned_eagerly_from_then_on(way, caplog):
    fetch, change = OTHERWISE[way]
    planner, cost = planner_and_cost(fetch)
    before = planner.plan(np.zeros(4), 0.0, np.zeros(2)).cost
    assert planner.execution.name == "kernel"
    change(cost)
    planner.reset()
    after = planner.plan(np.zeros(4), 0.0, np.zeros(2)).cost
    assert planner.execution.name == "eager"
    assert "a plugin changes" in planner.execution.reason
    assert planner.execution.reason in caplog.text
    assert after > before + 1.0


PREPARED = {
    "number": (lambda c: c.plain, lambda c, x, t, near: setattr(c, "plain", float(x[0]))),
    "attribute": (
        lambda c: c.rebound,
        lambda c, x, t, near: setattr(c, "rebound", torch.tensor(float(x[0]))),
    ),
    "time": (lambda c: c.plain, lambda c, x, t, near: setattr(c, "plain", t)),
    "goal": (lambda c: c.plain, lambda c, x, t, near: setattr(c, "plain", near.goal is not None)),
    "path": (
        lambda c: c.holder.number,
        lambda c, x, t, near: setattr(c.holder, "number", near.path.lengths[-1]),
    ),
    "costmap": (
        lambda c: torch.tensor(c.array)[0].float(),
        lambda c, x, t, near: c.array.fill(near.costmap.cells.mean()),
    ),
    "origin": (lambda c: float(c.origin[0]), lambda c, x, t, near: None),
}


@pytest.mark.parametrize("way", PREPARED)
def test_what_prepare_changes_is_refused_before_the_first_plan_and_the_plugin_is_as_it_was(way):
    fetch, change = PREPARED[way]

    class Prepared(Target):
        places = ()  # So that a plan has an origin.

        def prepare(self, state, time, surroundings):
            change(self, state, time, surroundings)

    model = DoubleIntegrator()
    cost = Prepared(model)
    cost.fetch = fetch
    planner = Planner(model, [cost], **SIZES)
    assert planner.execution.name == "eager"
    assert "no C++ kernel: prepare or begin_plan changes" in planner.execution.reason
    assert (cost.plain, cost.rebound.item(), cost.counted) == (0.0, 0.0, 0)


def test_what_a_model_remembers_in_numbers_is_refused_before_the_first_plan():
    class Remembering(DoubleIntegrator):
        last = 0.0

        def begin_plan(self, state, action, time):
            self.last = float(action[0])

        def step(self, state, action, dt):
            return super().step(state, action + 0.1 * self.last, dt)

    model = Remembering()
    cost = Target(model)
    cost.fetch = lambda c: 0.0
    planner = Planner(model, [cost], **SIZES)
    assert "no C++ kernel: prepare or begin_plan changes" in planner.execution.reason
    assert "Remembering.last is" in planner.execution.reason


def test_a_plugin_that_cannot_be_tried_out_on_a_copy_is_watched_all_the_same():
    class Locked(Target):
        def prepare(self, state, time, surroundings):
            self.plain = float(state[0])

    model = DoubleIntegrator()
    cost = Locked(model)
    cost.fetch, cost.lock = (lambda c: c.plain), threading.Lock()
    planner = Planner(model, [cost], **SIZES)
    assert planner.execution.name == "kernel"
    planner.plan(np.ones(4), 0.0)
    assert planner.execution.name == "eager"
    assert "Locked.plain is 1.0, and was 0.0" in planner.execution.reason


def test_a_variable_of_a_module_that_changes_is_noticed(monkeypatch):
    planner, _ = planner_and_cost(lambda c: GAIN)
    planner.plan(np.zeros(4), 0.0)
    monkeypatch.setitem(globals(), "GAIN", 2.0)
    planner.plan(np.zeros(4), 0.0)
    assert "GAIN is 2.0, and was 1.0" in planner.execution.reason


def test_a_variable_of_an_enclosing_function_that_changes_is_noticed():
    wanted = 1.0
    planner, _ = planner_and_cost(lambda c: wanted)
    planner.plan(np.zeros(4), 0.0)
    wanted = 2.0
    planner.plan(np.zeros(4), 0.0)
    assert "wanted is 2.0, and was 1.0" in planner.execution.reason


def module():
    return types.ModuleType("settings")


def kind():
    return type("Settings", (), {})


@pytest.mark.parametrize("make", [module, kind])
@pytest.mark.parametrize("way", ["enclosing function", "attribute", "list", "module"])
def test_a_variable_of_a_module_or_class_that_a_plugin_holds_is_noticed(make, way):
    holder = make()
    holder.factor, holder.unread = 1.0, 1.0
    outer = types.ModuleType("outer")
    outer.settings = holder
    fetch = {
        "enclosing function": lambda c: holder.factor,
        "attribute": lambda c: c.holder.factor,
        "list": lambda c: c.listed[0].factor,
        "module": lambda c: outer.settings.factor,
    }[way]
    planner, _ = planner_and_cost(fetch, holder=holder, listed=[holder])
    planner.plan(np.zeros(4), 0.0)
    holder.unread = 2.0
    planner.plan(np.zeros(4), 0.0)
    assert (planner.execution.name, planner.execution.reason) == ("kernel", "")
    holder.factor = 2.0
    planner.plan(np.zeros(4), 0.0)
    assert planner.execution.name == "eager"
    assert "factor is 2.0, and was 1.0" in planner.execution.reason


class Doubler:
    """Something that can be called, as a network is."""

    def __init__(self):
        self.factor = 1.0

    def __call__(self, value):
        return self.factor * value


KEPT_OUTSIDE = types.ModuleType("kept")


class Keeper(Target):
    """A plugin whose objects are attributes of its class, and of a module."""

    shared = Holder()
    doubler = Doubler()


@pytest.mark.parametrize(
    ("fetch", "changed", "name"),
    [
        (lambda c: Keeper.shared.number, lambda c: c.shared, "number"),
        (lambda c: c.shared.number, lambda c: c.shared, "number"),
        (lambda c: KEPT_OUTSIDE.holder.number, lambda c: KEPT_OUTSIDE.holder, "number"),
        (lambda c: c.doubler(1.0), lambda c: c.doubler, "factor"),
        (lambda c: Keeper.doubler(1.0), lambda c: c.doubler, "factor"),
        (lambda c: KEPT_OUTSIDE.doubler(1.0), lambda c: KEPT_OUTSIDE.doubler, "factor"),
    ],
)
def test_an_object_that_is_an_attribute_of_a_class_or_a_module_is_watched(
    monkeypatch, fetch, changed, name
):
    for owner in (Keeper, KEPT_OUTSIDE):
        monkeypatch.setattr(owner, "shared", Holder(), raising=False)
        monkeypatch.setattr(owner, "holder", Holder(), raising=False)
        monkeypatch.setattr(owner, "doubler", Doubler(), raising=False)
    model = DoubleIntegrator()
    cost = Keeper(model)
    cost.fetch = fetch
    planner = Planner(model, [cost], **SIZES)
    planner.plan(np.zeros(4), 0.0)
    assert (planner.execution.name, planner.execution.reason) == ("kernel", "")
    setattr(changed(cost), name, 2.0)
    planner.plan(np.zeros(4), 0.0)
    assert planner.execution.name == "eager"
    assert f"{name} is 2.0, and was " in planner.execution.reason


def test_what_the_garbage_collector_calls_is_nothing_of_the_plugin():
    def count(phase, info):
        global COLLECTIONS
        COLLECTIONS += 1

    often = gc.get_threshold()
    gc.callbacks.append(count)
    gc.set_threshold(20, 10_000, 10_000)  # Often, and each time little.
    try:
        planner, _ = planner_and_cost(lambda c: c.plain)
        assert COLLECTIONS > 0
        planner.plan(np.zeros(4), 0.0)
    finally:
        gc.callbacks.remove(count)
        gc.set_threshold(*often)
    assert (planner.execution.name, planner.execution.reason) == ("kernel", "")


def test_tuning_and_an_equal_number_change_nothing():
    planner, cost = planner_and_cost(lambda c: c.plain)
    cost.plain = float("0.0")
    cost.set("weight", 2.0)
    planner.plan(np.zeros(4), 0.0)
    assert (planner.execution.name, planner.execution.reason) == ("kernel", "")
