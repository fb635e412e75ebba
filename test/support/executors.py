# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What executors are compared on: a small task, as plugins and in NumPy for the oracle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import oracle
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.execution import Setup
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import Belief, Limits, Numbers, Problem
from cem_planner_ros.planning.settings import Search
from cem_planner_ros.plugins.plan_inputs import PlanInputs, StepInputs

HIGH = 0.55

SETTINGS = {
    "elites": {"weighting": "elites"},
    "rank": {"weighting": "rank"},
    "softmax": {"weighting": "softmax", "temperature": 3.0},
    "control cost": {"weighting": "softmax", "control_cost": 0.7, "noise_beta": 0.0},
    "control cost of coloured noise": {
        **{"weighting": "softmax", "control_cost": 0.5, "temperature": 0.5},
        **{"noise_beta": 1.5, "modes": 2, "explore": 0.2},
    },
    "control cost of elites": {"weighting": "elites", "control_cost": 0.3, "keep": 0.3},
    "momentum": {"momentum": 0.3},
    "keep": {"keep": 0.5},
    "explore": {"explore": 0.25},
    "std that grows over the horizon": {"explore": 0.5, "std_ramp": 3.0},
    "truncate": {"sampling": "truncate", "std_initial": 2.0},
    "modes": {"modes": 3, "elites": 5},
    "cubic splines": {"knot_spacing": 4, "order": 3, "phase": 2},
    "linear splines": {"knot_spacing": 3, "order": 1, "phase": 1},
    "held knots": {"knot_spacing": 4, "phase": 3},
    "proposals": {"proposals": 3},
    "rate": {"rate": (2.0, np.inf)},
    "bounds narrowed past the action in force": {"low": (-1.0, -1.2), "rate": (2.0, 0.5)},
    "rate of splines": {"rate": (2.0, 3.0), "knot_spacing": 4, "order": 1},
    "lag": {"lag": (0.3, 0.0)},
    "all at once": {
        "weighting": "rank",
        "momentum": 0.1,
        "keep": 0.3,
        "explore": 0.1,
        "std_ramp": 0.5,
        "modes": 2,
        "knot_spacing": 3,
        "order": 1,
        "rate": (2.0, 3.0),
        "lag": (0.3, 0.1),
    },
}
"""Settings of a search, and of its limits, that each executor is tried with."""


class TwoTanks(Dynamics):
    """Two levels, each fed by an action; the first one drains into the second."""

    state_names, action_names = ("a", "b"), ("u", "v")
    action_low, action_high, action_units = (-1.0, -2.0), (1.0, 2.0), ("", "")

    def step(self, state, action, dt):
        a, b = state
        u, v = action
        return torch.stack((a + dt * (u - 0.3 * a * a), b + dt * (v + 0.3 * a * a)))


class Levels(Cost):
    """Some of everything that a cost may look at; NaN where the first level is high."""

    reads_previous_state = True

    def set_edges(self, edges):
        """Write what both levels should be after each step."""
        super().set_edges(edges)
        self._wanted = StepInputs("cpu", 2, len(edges) - 1)
        self._wanted.write(wanted(len(edges) - 1), edges)

    def stage(self, state, action, previous_action, time, previous_state):
        a, b = state
        wanted_a, wanted_b = self._wanted.at(time)
        rate = ((action - previous_action) ** 2).sum(0)
        cost = (a - wanted_a) ** 2 + torch.abs(b - wanted_b)
        cost = cost + 0.1 * (action**2).sum(0) + 0.05 * rate
        cost = cost + 0.3 * torch.abs(b - previous_state[1]) + 0.1 * a * previous_state[0]
        return torch.where(a > HIGH, torch.nan, cost)

    def terminal(self, state):
        return 2.0 * (state[1] - 1.0) ** 2


def wanted(horizon):
    """Return the wanted levels (2, H); no two steps are alike."""
    k = np.arange(horizon)
    return np.stack((0.5 + 0.3 * np.sin(1.7 * k), 0.1 * (k % 4)))


def numpy_step(state, action, duration):
    a, b = state
    u, v = action
    return np.stack((a + duration * (u - 0.3 * a**2), b + duration * (v + 0.3 * a**2)))


def numpy_stage(state, action, previous, k, before):
    a, b = state
    wanted_a, wanted_b = wanted(k + 1)[:, k]
    rate = ((action - previous) ** 2).sum(0)
    cost = (a - wanted_a) ** 2 + np.abs(b - wanted_b) + 0.1 * (action**2).sum(0) + 0.05 * rate
    cost = cost + 0.3 * np.abs(b - before[1]) + 0.1 * a * before[0]
    return np.where(a > HIGH, np.nan, cost)


def numpy_terminal(state):
    return 2.0 * (state[1] - 1.0) ** 2


@dataclass
class Given:
    """One iteration to do: for an executor, and the same for the oracle."""

    setup: Setup
    noise: torch.Tensor  # (P, nu, M, n)
    use: torch.Tensor  # (J,)
    task: oracle.Task

    @property
    def oracle_belief(self) -> oracle.Belief:
        return oracle.Belief(*(part.double().numpy().copy() for part in self.setup.belief))


def _lags(length):
    return np.abs(np.arange(length)[:, None] - np.arange(length))


def given(rate=(np.inf, np.inf), lag=(0.0, 0.0), phase=0, low=(-1.0, -2.0), **settings) -> Given:
    """Return an iteration with random distribution, kept candidates and noise."""
    random = np.random.default_rng(5)
    settings = {"samples": 96, "elites": 12, "horizon": 11, "dt": 0.2} | settings
    search = Search(**settings)
    model = TwoTanks()
    spline, nu, modes = search.spline, 2, search.modes
    low, high = np.asarray(low), np.asarray(model.action_high)
    half = 0.5 * (high - low)
    first, basis = spline.basis(phase)
    step = search.dt * (spline.spacing if search.order else 1)
    along = np.arange(spline.knots) / max(1, spline.knots - 1)
    ramp = 1.0 + (search.std_ramp - 1.0) * along

    def tensor(values):
        return torch.as_tensor(np.asarray(values), dtype=torch.float32).contiguous()

    durations = np.full(search.horizon, search.dt)
    durations[0] *= 0.6
    state, previous, applied = np.array([0.2, -0.4]), np.array([0.9, -1.5]), np.array([0.2, 0.4])
    limits = Limits(
        low=tensor(low),
        high=tensor(high),
        step=tensor(np.asarray(rate) * step),
        first=tensor(np.asarray(rate) * search.dt),
        std_initial=tensor(np.outer(ramp, search.std_initial * half)),
        std_min=tensor(search.std_min * half),
    )
    inputs = PlanInputs(
        "cpu", state=(2,), previous_action=(2,), applied=(2,), durations=(len(first),)
    )
    inputs.host["state"][:], inputs.host["previous_action"][:] = state, previous
    inputs.host["applied"][:], inputs.host["durations"][:] = applied, durations
    inputs.send()
    problem = Problem(
        state=inputs.state,
        previous_action=inputs.previous_action,
        durations=inputs.durations,
        first=torch.from_numpy(first),
        basis=torch.from_numpy(basis),
        limits=limits,
        actuators=Actuators(lag=tensor(lag), applied=inputs.applied),
        numbers=Numbers(**{name: tensor(getattr(search, name)) for name in Numbers._fields}),
    )
    shape = (spline.knots, nu, modes)
    belief = Belief(
        mean=tensor(0.5 * random.normal(size=shape)).clamp(-0.9, 0.9),
        std=tensor(half[:, None] * random.uniform(0.2, 0.6, shape)),
        injected=tensor(random.normal(size=(*shape, search.injected))),
        best_cost=tensor(np.full(modes, np.inf)),
    )
    correlation = np.stack(
        [
            oracle.autocorrelation(spline.knots, beta)[_lags(spline.knots)]
            for beta in np.broadcast_to(search.noise_beta, nu)
        ]
    )
    use = torch.zeros(search.injected, dtype=torch.bool)
    use[: search.kept + 2] = True
    task = oracle.Task(
        step=numpy_step,
        stage=numpy_stage,
        terminal=numpy_terminal,
        state=problem.state.double().numpy(),
        previous_action=previous,
        durations=problem.durations.double().numpy(),
        low=low,
        high=high,
        std_initial=np.outer(ramp, search.std_initial * half),
        std_min=search.std_min * half,
        first_reach=limits.first.double().numpy(),
        knot_reach=limits.step.double().numpy(),
        lag=np.asarray(lag, float),
        applied=applied,
        dt=search.dt,
        order=search.order,
        spacing=search.knot_spacing,
        phase=phase,
        weighting=search.weighting,
        elites=search.elites,
        kept=search.kept,
        temperature=search.temperature,
        control_cost=search.control_cost,
        correlation=correlation if np.any(search.noise_beta) else None,
        momentum=search.momentum,
        explore=search.explore,
        truncate=search.sampling == "truncate",
    )
    noise = tensor(random.normal(size=(*shape, search.population(0))))
    cost = Levels(model)
    cost.set_edges(np.concatenate(([0.0], np.cumsum(durations))))
    rollout = Rollout(model, [cost], search.dt)
    setup = Setup(rollout, search, inputs, problem, belief, seed=0, threads=1)
    return Given(setup, noise, use, task)
