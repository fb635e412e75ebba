# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The search in the units of the actions: nominal action, standard deviations, their ramp."""

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.track import Track
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.planner import Planner


class Servos(Dynamics):
    """Two servos, whose states are their positions."""

    state_names = ("hip", "knee")
    action_names = ("to_hip", "to_knee")
    action_low = (-1.0, 0.0)
    action_high = (1.0, 4.0)
    action_units = ("rad", "rad")

    def step(self, state, action, dt):
        return torch.stack(list(action))


class Pose(Cost):
    def stage(self, state, action, previous_action, time):
        return (state[0] - 0.3) ** 2 + (state[1] - 2.5) ** 2


def servos(**options):
    model = Servos()
    settings = {"samples": 256, "elites": 16, "iterations": 2, "horizon": 8, "dt": 0.1}
    return Planner(model, [Pose(model)], **{"backend": "eager"} | settings | options)


def candidates(planner, state=(0.5, 1.0)):
    """Return the knots (P, nu, N) that the first iteration of a plan draws."""
    planner.plan(np.array(state), 0.0, iterations=1)
    return planner.execution.candidates.numpy()


WIDE = {"low": [-1e6, -1e6], "high": [1e6, 1e6]}
WHITE = {"noise_beta": 0.0}


def test_the_search_begins_in_the_middle_of_the_bounds_if_nothing_is_said():
    drawn = candidates(servos(action_std=[1e-3, 1e-3]))
    np.testing.assert_allclose(drawn.mean((0, 2)), [0.0, 2.0], atol=1e-3)


def test_the_search_begins_at_the_nominal_action_and_a_reset_goes_back_there():
    planner = servos(nominal=[0.6, 1.5], action_std=[1e-3, 1e-3])
    drawn = candidates(planner)
    np.testing.assert_allclose(drawn.mean((0, 2)), [0.6, 1.5], atol=1e-3)
    for tick in range(300):
        planner.plan(np.zeros(2), 0.1 * tick)
    moved = planner.plan(np.zeros(2), 30.0).actions[0]
    assert np.abs(moved - [0.6, 1.5]).max() > 0.05
    planner.reset()
    np.testing.assert_allclose(candidates(planner).mean((0, 2)), [0.6, 1.5], atol=1e-3)


def test_a_nominal_action_may_be_what_a_state_is_when_the_search_begins():
    planner = servos(nominal=["hip", None], action_std=[1e-3, 1e-3])
    np.testing.assert_allclose(candidates(planner).mean((0, 2)), [0.5, 2.0], atol=1e-3)
    planner.plan(np.array([-0.7, 0.0]), 0.1)
    assert planner.plan(np.array([-0.7, 0.0]), 0.2).actions[0, 0] > 0.4  # It began already.
    planner.reset()
    drawn = candidates(planner, (-0.7, 1.0))
    np.testing.assert_allclose(drawn.mean((0, 2)), [-0.7, 2.0], atol=1e-3)
    planner.reset()
    drawn = candidates(planner, (-7.0, 1.0))  # Out of bounds, which win.
    np.testing.assert_allclose(drawn.mean((0, 2)), [-1.0, 2.0], atol=1e-3)


def test_a_nominal_action_may_be_what_a_cost_wants_when_the_search_begins():
    model = Servos()
    follow = Track(model, {"signals": ["knee"], "topic": "wanted"})
    follow.instance = "follow"
    settings = {"samples": 256, "elites": 16, "iterations": 2, "horizon": 8, "dt": 0.1}
    nominal = [None, "reference:knee"]
    planner = Planner(model, [follow], **settings, nominal=nominal, action_std=[1e-3, 1e-3])
    # Without a message the measured state is held.
    np.testing.assert_allclose(candidates(planner).mean((0, 2)), [0.0, 1.0], atol=1e-3)
    wanted = Reference(follow.reference_source, np.array([0.0]), np.array([[3.0]]))
    known = Surroundings(references={"follow": wanted})
    planner.reset()
    planner.plan(np.zeros(2), 0.0, iterations=1, surroundings=known)
    drawn = planner.execution.candidates.numpy()
    np.testing.assert_allclose(drawn.mean((0, 2)), [0.0, 3.0], atol=1e-3)
    with pytest.raises(ConfigurationError, match="follows the state 'hip': add 'hip' to the sig"):
        Planner(model, [follow], **settings, nominal=["reference:hip", None])


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_each_action_is_searched_with_its_own_standard_deviation(backend):
    drawn = candidates(servos(**WIDE, **WHITE, backend=backend, action_std=[0.1, 3.0]))[..., :256]
    np.testing.assert_allclose(drawn[:, 0].std(), 0.1, rtol=0.1)
    np.testing.assert_allclose(drawn[:, 1].std(), 3.0, rtol=0.1)
    # The others keep their share of the range.
    drawn = candidates(servos(**WHITE, std_initial=0.1, backend=backend, action_std=[0.02, 0.0]))
    np.testing.assert_allclose(drawn[:, 0, :256].std(), 0.02, rtol=0.1)
    np.testing.assert_allclose(drawn[:, 1, :256].std(), 0.2, rtol=0.1)


def test_a_standard_deviation_in_units_is_the_same_search_as_its_share():
    share = servos(std_initial=0.5, std_min=0.01)
    units = servos(action_std=[0.5, 1.0], action_std_min=[0.01, 0.02])
    for tick in range(3):
        plans = [p.plan(np.zeros(2), 0.1 * tick).actions for p in (share, units)]
        np.testing.assert_allclose(*plans, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_bounds_that_stand_for_none_are_searched_in_units(backend):
    planner = servos(**WIDE, backend=backend, iterations=4, action_std=[0.5, 1.0])
    for tick in range(5):
        plan = planner.plan(np.zeros(2), 0.1 * tick)
    np.testing.assert_allclose(plan.actions[0], [0.3, 2.5], atol=0.1)
    lost = servos(**WIDE, backend=backend, iterations=4)
    assert np.abs(lost.plan(np.zeros(2), 0.0).actions[0]).max() > 1e3


def test_modes_begin_near_the_nominal_action_where_the_bounds_are_far():
    planner = servos(**WIDE, modes=4, elites=8, nominal=[1.0, -2.0], action_std=[0.1, 0.2])
    drawn = candidates(planner)
    assert np.abs(drawn[:, 0] - 1.0).max() < 1.0
    assert np.abs(drawn[:, 1] + 2.0).max() < 2.0
    assert drawn.mean(0).std(-1).min() > 0.05  # The modes begin in different places.


@pytest.mark.parametrize("action_std_min", [None, [0.0, 0.0], [0.05, 0.05]])
def test_the_floor_of_the_standard_deviation_is_in_units_too(action_std_min):
    planner = servos(
        **WIDE,
        **WHITE,
        iterations=40,
        std_initial=1.0,
        std_min=0.01,
        action_std=[1.0, 5.0],
        action_std_min=action_std_min,
    )
    planner.plan(np.zeros(2), 0.0)
    std = planner.execution.candidates.numpy()[..., 10:].std(-1)
    floor = [0.05, 0.05] if action_std_min and any(action_std_min) else [0.01, 0.05]
    np.testing.assert_allclose(std, np.tile(floor, (8, 1)), rtol=0.3)


@pytest.mark.parametrize("backend", ["eager", "compile"])
@pytest.mark.parametrize("ramp", [0.2, 4.0])
def test_the_standard_deviation_changes_evenly_over_the_horizon(backend, ramp):
    planner = servos(
        **WIDE, **WHITE, backend=backend, samples=2048, action_std=[0.1, 1.0], std_ramp=ramp
    )
    std = candidates(planner)[..., :2048].std(-1)
    along = np.linspace(1.0, ramp, 8)[:, None]
    np.testing.assert_allclose(std, along * [0.1, 1.0], rtol=0.1)
    # The end of the horizon is searched anew in the next period, too.
    planner.plan(np.zeros(2), 0.2, iterations=1)
    std = planner.execution.candidates[..., 60:2048].numpy().std(-1)
    np.testing.assert_allclose(std, along * [0.1, 1.0], rtol=0.1)


def test_nominal_action_and_standard_deviations_can_change_between_plans():
    planner = servos()
    limits = {"low": [-1.0, 0.0], "high": [1.0, 4.0], "rate": [9.0, 9.0], "lag": [0.0, 0.0]}
    planner.tune(**limits, nominal=[0.9, 3.0], action_std=[1e-3, 1e-3], action_std_min=[0.0, 0.0])
    planner.reset()
    np.testing.assert_allclose(candidates(planner).mean((0, 2)), [0.9, 3.0], atol=1e-2)
    with pytest.raises(TypeError, match="cannot change 'samples'"):
        planner.tune(**limits, samples=3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"nominal": [0.0]}, "nominal is .* for each of to_hip, to_knee"),
        ({"nominal": [0.0, 4.5]}, r"'action.nominal.to_knee' is 4.5, allowed: from action.low"),
        ({"nominal": [np.nan, 1.0]}, "'action.nominal.to_hip' is nan, allowed"),
        ({"nominal": ["ankle", 1.0]}, "'ankle', allowed: a number, None, or one of the states hip"),
        ({"action_std": [0.1]}, "std is .* allowed: a number for each"),
        ({"action_std": [-0.1, 1.0]}, "'action.std.to_hip' is -0.1, allowed"),
        ({"action_std_min": [0.1, np.inf]}, "'action.std_min.to_knee' is inf, allowed"),
        ({"std_ramp": 0.0}, "'planner.std_ramp' is 0.0, allowed"),
    ],
)
def test_what_cannot_be_searched_is_refused(options, text):
    with pytest.raises(ConfigurationError, match=text):
        servos(**options)
