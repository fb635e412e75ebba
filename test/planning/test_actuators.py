# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.planner import Planner


@given(
    st.lists(st.floats(0.02, 0.3), min_size=1, max_size=6),
    st.floats(0.01, 2.0),
    st.integers(0, 2**31),
)
def test_commands_are_followed_as_the_differential_equation_says(durations, lag, seed):
    random = np.random.default_rng(seed)
    commands, start = random.normal(size=len(durations)), random.normal()
    means, applied = [], start
    for duration, command in zip(durations, commands, strict=True):
        # y and its integral
        solution = solve_ivp(
            lambda t, y, u=command: [(u - y[0]) / lag, y[0]],
            (0.0, duration),
            [applied, 0.0],
            rtol=1e-9,
            atol=1e-10,
        )
        applied, integral = solution.y[:, -1]
        means.append(integral / duration)
    actuators = Actuators(torch.tensor([lag]), torch.tensor([start], dtype=torch.float32))
    sequence = torch.tensor(commands, dtype=torch.float32)[:, None, None]
    got = actuators.follow(sequence, torch.tensor(durations))
    np.testing.assert_allclose(got[:, 0, 0], means, atol=2e-5)


@pytest.mark.parametrize("dt", [0.001, 0.05, 2.0])
def test_without_a_lag_commands_are_what_is_applied(dt):
    sequence = torch.randn(40, 3, 5)
    actuators = Actuators(torch.zeros(3), torch.full((3,), 100.0))
    got = actuators.follow(sequence, torch.full((40,), dt))
    torch.testing.assert_close(got, sequence, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["compile", "eager"])
def test_a_plan_allows_for_slow_actuators(backend):
    """A point that has to stop; a planner that knows its brakes are slow brakes earlier."""

    def brake_at(lag):
        model = DoubleIntegrator()
        cost = Quadratic(model, {"weight": {"x": 1.0, "x_dot": 0.05}})
        planner = Planner(
            model,
            [cost],
            samples=512,
            elites=32,
            iterations=8,
            horizon=20,
            dt=0.1,
            backend=backend,
            lag=[lag, 0.0],
        )
        plan = planner.plan(np.array([-1.0, 0.0, 1.0, 0.0]), 0.0, np.zeros(2))
        states = planner.predict(plan, np.array([-1.0, 0.0, 1.0, 0.0]), np.zeros(2))
        assert np.abs(states[-8:, 0]).max() < 0.25
        return int(np.argmax(plan.actions[:, 0] < -0.3))

    assert brake_at(0.3) < brake_at(0.0)


def test_the_plan_depends_on_what_is_applied_when_it_begins():
    model = DoubleIntegrator()
    cost = Quadratic(model, {"weight": {"x": 1.0, "x_dot": 1.0}})

    def first(applied):
        planner = Planner(
            model, [cost], samples=256, elites=16, iterations=5, horizon=10, lag=[0.5, 0.5]
        )
        applied = np.array([applied, 0.0])
        return planner.plan(np.zeros(4), 0.0, np.zeros(2), applied=applied).actions[0, 0]

    assert first(1.0) < -0.3 < 0.3 < first(-1.0)
