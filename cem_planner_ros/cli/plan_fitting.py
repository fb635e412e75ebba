# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A time step, and numbers of candidates and commands, with which plans are on time here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from cem_planner_ros.configuration.plan_timing import timed_plans
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.mujoco import Mujoco
from cem_planner_ros.planning.planner import Planner

LONGEST_STEP = 0.005
"""Largest time step that is tried in place of that of a file, s."""

MOST_ERROR = 0.1
"""Largest error of a larger time step, as a share of how far apart candidates end."""

SHARE = 0.6
"""Share of the budget that a plan takes; the rest is for a machine that does something else too."""

PLANS = 5
PATIENCE = 1.5
"""Number of plans that are timed, and the time after which no more are, s."""

BUSY = 0.3
"""Share of the time without a processor above which real times say little."""

RATES = (50.0, 40.0, 25.0, 20.0, 12.5, 10.0)
"""Rates of commands to choose from, Hz."""

SLOWEST = 5.0
"""Rate of commands where nothing else helps, Hz."""

FEWEST = 8
"""Number of candidates where nothing else helps."""


def larger_step(values: Mapping[str, Any], planner: Planner) -> float:
    """
    Return the largest time step, s, with which candidates move as with that of the file.

    It is a multiple of the file's time step and divides the model step. The result is 0 if there is
    none above the file's. The candidates of a plan from rest are simulated with both: positions and
    speeds at the end may differ by MOST_ERROR of how much candidates differ from each other.

    Args:
        values: parameters of the model, with the time step of the file.
        planner: a planner with this model.
    """
    model = planner.dynamics
    assert isinstance(model, Mujoco)
    step, dt = float(model.model.opt.timestep), planner.search.dt
    times = [
        multiple * step
        for multiple in range(int(LONGEST_STEP / step + 1e-6), 1, -1)
        if abs(dt / (multiple * step) - round(dt / (multiple * step))) < 1e-6
    ]
    if not times:
        return 0.0
    state = model.rest_state
    plan = planner.plan(state, 0.0)
    actions = planner.candidates().actions
    expected = _ends(model, state, actions, np.diff(plan.edges))
    planner.reset()
    spread = np.std(expected, axis=1)
    moved = spread > 1e-6 * (1.0 + np.abs(expected).max(1))
    for larger in times:
        coarse = Mujoco({**values, "time_step": larger})
        error = _ends(coarse, state, actions, np.diff(plan.edges)) - expected
        share = np.sqrt((error[moved] ** 2).mean(1)) / spread[moved]
        if moved.any() and np.isfinite(error).all() and share.max() < MOST_ERROR:
            return larger
    return 0.0


def _ends(
    model: Dynamics, state: np.ndarray, actions: np.ndarray, durations: np.ndarray
) -> np.ndarray:
    """Return the states (nx, n) to which action sequences (H, nu, n) lead from a state (nx,)."""
    start, sequence, steps = (
        torch.as_tensor(value, dtype=torch.float32) for value in (state, actions, durations)
    )
    columns = start[:, None].expand(-1, sequence.shape[-1])
    signals = list(model.rollout(columns, sequence, steps))
    return signals[-1][: len(state)].double().numpy()


class IterationTime(NamedTuple):
    """
    The time of an iteration.

    Attributes:
        seconds: on a machine that does nothing else, s.
        waited: share of the time in which the threads had no processor, as other programs had it.
    """

    seconds: float
    waited: float = 0.0


def iteration_time(planner: Planner) -> IterationTime:
    """
    Measure the time of an iteration in plans from rest with a MuJoCo model.

    It is the shortest one, or, on a busy machine, the processor time of each of the threads.
    """
    model = planner.dynamics
    assert isinstance(model, Mujoco)
    began = time.process_time()
    timed = timed_plans(planner, PLANS, PATIENCE)
    ran = time.process_time() - began
    times = [seconds / planner.search.iterations for _, seconds in timed]
    iterations = sum(plan.iterations - 1 + plan.simulated_share for plan, _ in timed)
    of_a_thread = ran / iterations / int(model.threads)
    waited = max(0.0, 1.0 - of_a_thread * len(times) / sum(times))
    return IterationTime(min(*times, of_a_thread) if waited > BUSY else min(times), waited)


def fitted(
    search: Mapping[str, Any], rate: float, seconds: float, budget_fraction: float
) -> tuple[dict[str, Any], float]:
    """
    Return settings of the search and a rate of commands, Hz, with which plans are on time.

    Args:
        search: settings, of which iterations, samples, elites and horizon become smaller.
        rate: the rate that is wanted, Hz.
        seconds: time of an iteration with these settings, s.
        budget_fraction: share of a period that a plan may take.
    """
    samples, horizon = search["samples"], search["horizon"]
    for iterations, fewer, shorter, slower in _choices(search, rate):
        needed = seconds * iterations * fewer / samples * shorter / horizon
        if needed <= SHARE * budget_fraction / slower:
            break
    changed = {"iterations": iterations, "samples": fewer, "horizon": shorter}
    elites = max(2, round(search["elites"] * fewer / samples))
    return {**search, **changed, "elites": elites}, slower


def _choices(search: Mapping[str, Any], rate: float) -> Iterator[tuple[int, int, int, float]]:
    """Yield iterations, candidates, steps of the horizon and rate; preferred ones come first."""
    samples, horizon = search["samples"], search["horizon"]
    for iterations in range(search["iterations"], 0, -1):
        yield iterations, samples, horizon, rate
    half = max(FEWEST, samples // 2)
    for fewer in range(samples - 4, half - 1, -4):
        yield 1, fewer, horizon, rate
    rates = [slower for slower in RATES if slower < rate]
    for slower in rates:
        yield 1, half, horizon, slower
    slowest = rates[-1] if rates else rate
    shorter = max(4, round(0.6 * horizon))
    yield 1, half, shorter, slowest
    for fewer in range(half - 4, FEWEST - 1, -4):
        yield 1, fewer, shorter, slowest
    yield 1, FEWEST, shorter, SLOWEST
