# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.control.latency import MAX_STEPS, SentCommands, distrust
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (0.01, ""),
        (-0.001, ""),
        (0.5, ""),
        (-0.1, "stamp in the future"),
        (-1.8e9, "stamp in the future"),
        (1.8e9, "stamp of another clock"),
    ],
)
def test_stamps_that_cannot_be_are_told(age, text):
    assert distrust(age) == text


def sent():
    commands = SentCommands(np.array([0.0]), np.zeros(1))
    for time, action in ((1.0, 1.0), (1.1, 2.0), (1.2, 4.0)):
        commands.add(time, np.array([action]))
    return commands


@pytest.mark.parametrize(
    ("begin", "end", "dt", "actions"),
    [
        (1.0, 1.1, 1.0, [1.0]),
        (1.05, 1.25, 1.0, [0.25 * 1 + 0.5 * 2 + 0.25 * 4]),
        (0.9, 1.3, 0.1, [0.0, 1.0, 2.0, 4.0]),
        (5.0, 5.2, 0.1, [4.0, 4.0]),
        (1.15, 1.15, 0.1, [2.0]),
        (0.0, 0.5, 1.0, [0.0]),
    ],
)
def test_what_was_in_force_is_remembered(begin, end, dt, actions):
    plan = sent().between(begin, end, dt)
    np.testing.assert_allclose(plan.actions[:, 0], actions, atol=1e-9)
    np.testing.assert_allclose(plan.edges[[0, -1]], [begin, end])


@pytest.mark.parametrize(
    ("time", "commands"),
    [(5.0, [4.0]), (1.2, [4.0]), (1.15, [2.0, 4.0]), (1.0, [1.0, 2.0, 4.0]), (0.0, [0, 1, 2, 4])],
)
def test_commands_since_a_time_begin_with_the_one_in_force_then(time, commands):
    np.testing.assert_array_equal(sent().since(time)[:, 0], commands)


def test_a_prediction_is_bounded_however_long_it_is():
    assert len(sent().between(0.0, 1e6, 0.01).actions) == MAX_STEPS


def test_what_is_forgotten_counts_as_the_oldest_known():
    commands = SentCommands(np.array([0.0]), np.zeros(1))
    for step in range(2000):
        commands.add(float(step), np.array([7.0]))
    assert commands.between(0.0, 10.0, 100.0).actions[0, 0] == 7.0


def test_a_state_is_predicted_as_the_plant_moves():
    """A double integrator under the commands that were sent, by its exact solution."""
    model = DoubleIntegrator()
    planner = Planner(model, [Quadratic(model)], samples=16, elites=4, backend="eager", dt=0.02)
    commands = SentCommands(np.zeros(2), np.zeros(2))
    commands.add(0.0, np.array([1.0, 0.0]))
    commands.add(0.06, np.array([-1.0, 0.5]))
    steps = commands.between(0.0, 0.1, 0.02)
    assert isinstance(steps, Plan)
    state = dict(zip(model.state_names, planner.predict(steps, np.zeros(4))[-1], strict=True))
    assert state["x_dot"] == pytest.approx(0.06 - 0.04)
    assert state["x"] == pytest.approx(0.5 * 0.06**2 + 0.06 * 0.04 - 0.5 * 0.04**2, rel=1e-5)
    assert state["y_dot"] == pytest.approx(0.02)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0.001, 0.5), st.floats(-2.0, 2.0)), min_size=1, max_size=10),
    st.floats(0.005, 1.0),
    st.floats(0.0, 2.0),
    st.floats(0.001, 1.0),
)
def test_actuators_are_followed_exactly_through_what_was_sent(changes, lag, begin, length):
    commands = SentCommands(np.array([0.5]), np.array([lag]))
    time, times, actions = 0.0, [-np.inf], [0.5]
    for after, action in changes:
        time += after
        commands.add(time, np.array([action]))
        times.append(time)
        actions.append(action)
    end = max(begin + length, time)
    # The same in many small steps, from the steady 0.5 before the first command.
    fine = np.linspace(0.0, end, 4001)
    middles = 0.5 * (fine[1:] + fine[:-1])
    target = np.array(actions)[np.searchsorted(times, middles, side="right") - 1]
    left = np.exp(-(fine[1] - fine[0]) / lag)
    applied = [0.5]
    for value in target:
        applied.append(value + (applied[-1] - value) * left)
    expected = np.trapezoid(np.interp(np.linspace(begin, end, 2001), fine, applied)) / 2000
    (got,) = commands.between(begin, end, 10.0).actions[0]
    # A change of up to 4 comes up to a step late here, and is felt by the lag.
    tolerance = 4.0 * (fine[1] - fine[0]) / lag + 1e-3
    assert got == pytest.approx(expected, abs=tolerance)
    assert commands.applied(end)[0] == pytest.approx(applied[-1], abs=tolerance)
