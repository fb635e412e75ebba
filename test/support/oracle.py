# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
One iteration of the search in NumPy, float64, written from the definitions alone.

Every executor is compared with it on the same noise, for every setting. It shares no code with the
package: not the weights, not the splines, not the actuators. Candidates are the last dimension.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

Function = Callable[..., np.ndarray]


@dataclass
class Task:
    """What all iterations share; the symbols are those of the package."""

    step: Function
    """state (nx, N), applied action (nu, N), duration -> state (nx, N)"""
    stage: Function
    """state, action, previous action (nu, N), index of the step -> (N,)"""
    terminal: Function
    """state -> (N,)"""
    state: np.ndarray
    previous_action: np.ndarray
    durations: np.ndarray
    low: np.ndarray
    high: np.ndarray
    std_initial: np.ndarray
    """(P, nu)"""
    std_min: np.ndarray
    first_reach: np.ndarray
    """How far the first knot may lie from the action in force; inf for any distance."""
    knot_reach: np.ndarray
    """How far one knot may lie from the one before it."""
    lag: np.ndarray
    applied: np.ndarray
    dt: float = 0.05
    order: int = 0
    spacing: int = 1
    phase: int = 0
    """Model steps between the first knot and the beginning of the plan."""
    weighting: str = "elites"
    elites: int = 8
    kept: int = 0
    temperature: float = 1.0
    control_cost: float = 0.0
    correlation: np.ndarray | None = None
    """Of the noise over the knots, (nu, P, P); None if it is white."""
    momentum: float = 0.0
    explore: float = 0.0
    truncate: bool = False


@dataclass
class Belief:
    """The distribution, and the candidates that are looked at again, with modes M and slots J."""

    mean: np.ndarray  # (P, nu, M)
    std: np.ndarray  # (P, nu, M)
    injected: np.ndarray  # (P, nu, M, J): kept elites, mean, best, proposals
    best_cost: np.ndarray  # (M,)
    knots: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (P, nu, M, n)
    cost: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (M, n)


def iterate(task: Task, belief: Belief, use: np.ndarray, noise: np.ndarray) -> Belief:
    """Return the belief after one iteration with noise (P, nu, M, n); `use` is (J,)."""
    knots = draw(task, belief, use, noise)
    cost = np.stack([roll_out(task, knots[:, :, mode]) for mode in range(knots.shape[2])])
    modes = [refit(task, belief, mode, knots[:, :, mode], cost[mode]) for mode in range(len(cost))]
    mean, std, injected, best_cost = (np.stack(part, -1) for part in zip(*modes, strict=True))
    return Belief(mean, std, np.moveaxis(injected, -1, 2), best_cost, knots, cost)


def draw(task: Task, belief: Belief, use: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return knots (P, nu, M, n) within bounds and rates."""
    knots = np.empty_like(noise)
    count = noise.shape[-1]
    for p, u, m, n in np.ndindex(*noise.shape):
        mean, std = belief.mean[p, u, m], belief.std[p, u, m]
        if n >= count - int(task.explore * count):
            std = task.std_initial[p, u]
        value = noise[p, u, m, n]
        if task.truncate:
            low, high = (norm.cdf((b[u] - mean) / std) for b in (task.low, task.high))
            value = norm.ppf(low + (high - low) * norm.cdf(value))
        knots[p, u, m, n] = mean + std * value
    for slot in np.flatnonzero(use):
        knots[..., slot] = belief.injected[..., slot]
    low, high = (bound[:, None, None] for bound in (task.low, task.high))
    knots = np.clip(knots, low, high)
    before, reach = task.previous_action[:, None, None], task.first_reach[:, None, None]
    for row in knots:
        # Where bounds were narrowed, the action in force may lie out of them: bounds win.
        row[:] = np.clip(np.clip(row, before - reach, before + reach), low, high)
        before, reach = row, task.knot_reach[:, None, None]
    return knots


def actions_of(task: Task, knots: np.ndarray) -> np.ndarray:
    """Return the actions (H, nu, N) of knots (P, nu, N): B-splines, read mid-step."""
    rows = []
    for step in range(len(task.durations)):
        first, inside = divmod(task.phase + step, task.spacing)
        t = (inside + 0.5) / task.spacing
        weights = {
            0: [1.0],
            1: [1 - t, t],
            3: [
                (1 - t) ** 3 / 6,
                (3 * t**3 - 6 * t**2 + 4) / 6,
                (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
                t**3 / 6,
            ],
        }[task.order]
        rows.append(sum(w * knots[first + k] for k, w in enumerate(weights)))
    return np.stack(rows)


def roll_out(task: Task, knots: np.ndarray) -> np.ndarray:
    """Return the cost (N,) of knots (P, nu, N)."""
    actions = actions_of(task, knots)
    count = knots.shape[-1]
    state = np.repeat(task.state[:, None], count, 1)
    previous = np.repeat(task.previous_action[:, None], count, 1)
    applied = np.repeat(task.applied[:, None], count, 1)
    total = np.zeros(count)
    for k, (action, duration) in enumerate(zip(actions, task.durations, strict=True)):
        # lag y' = u - y, whose mean over the step is what the model sees.
        lag = np.maximum(task.lag, 1e-9)[:, None]
        left = np.exp(-duration / lag)
        seen = action + (applied - action) * (1.0 - left) * lag / duration
        applied = action + (applied - action) * left
        before, state = state, task.step(state, seen, duration)
        total += task.stage(state, action, previous, k, before) * duration / task.dt
        previous = action
    return total + task.terminal(state)


def refit(
    task: Task, belief: Belief, mode: int, knots: np.ndarray, cost: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, std (P, nu), injected (P, nu, J) and the best cost of one mode."""
    old_mean, old_std = belief.mean[..., mode], belief.std[..., mode]
    injected, best_cost = belief.injected[..., mode, :].copy(), belief.best_cost[mode]
    score = cost
    if task.control_cost:
        score = cost + task.control_cost * likelihood(task, old_mean, old_std, knots)
    valid = np.flatnonzero(np.isfinite(cost))
    if not len(valid):
        return old_mean, old_std, injected_with(task, injected, old_mean), best_cost
    order = valid[np.argsort(score[valid], kind="stable")]
    if task.weighting == "softmax":
        weight = np.exp(-(score[order] - score[order[0]]) / task.temperature)
    else:
        order = order[: task.elites]
        weight = np.ones(len(order))
        if task.weighting == "rank":
            weight = np.log(task.elites + 0.5) - np.log(np.arange(1, len(order) + 1))
    weight = weight / weight.sum()
    chosen = knots[..., order]
    mean = (weight * chosen).sum(-1)
    std = np.sqrt((weight * (chosen - mean[..., None]) ** 2).sum(-1))
    mean = mean + task.momentum * (old_mean - mean)
    std = np.maximum(std + task.momentum * (old_std - std), task.std_min)
    cheapest = valid[np.argmin(cost[valid])]
    if cost[cheapest] < best_cost:
        best_cost = cost[cheapest]
        injected[..., task.kept + 1] = knots[..., cheapest]
    injected[..., : task.kept] = chosen[..., : task.kept]
    return mean, std, injected_with(task, injected, mean), best_cost


def likelihood(task: Task, mean: np.ndarray, std: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return u' Sigma^-1 (v - u) (N,) of knots v (P, nu, N) drawn around u (P, nu)."""
    total = np.zeros(knots.shape[-1])
    for u in range(mean.shape[1]):
        correlation = np.eye(len(mean)) if task.correlation is None else task.correlation[u]
        covariance = np.diag(std[:, u]) @ correlation @ np.diag(std[:, u])
        total += np.linalg.solve(covariance, mean[:, u]) @ (knots[:, u] - mean[:, u, None])
    return total


def autocorrelation(length: int, beta: float, lags: Iterable[int] | None = None) -> np.ndarray:
    """
    Return the correlation of noise of spectrum max(f, 1 / length)^-beta, f up to 1/2.

    At these lags, all (length,) if None.
    """
    # Between octaves, which QUADPACK's rule for oscillating integrands takes one by one.
    corner = 1.0 / length
    if length < 3:
        edges = [min(corner, 0.5), 0.5]
    else:
        edges = [*np.geomspace(corner, 0.5, int(np.log2(0.5 * length)) + 2)]

    def at(lag: int) -> float:
        turn = 2 * np.pi * lag
        flat = edges[0] if lag == 0 else np.sin(turn * edges[0]) / turn
        parts = [
            quad(lambda f: (f * length) ** -beta, *pair, weight="cos", wvar=turn, epsabs=1e-12)[0]
            for pair in itertools.pairwise(edges)
            if pair[0] < pair[1]
        ]
        return flat + sum(parts)

    total = at(0)
    return np.array([at(lag) / total for lag in (range(length) if lags is None else lags)])


def injected_with(task: Task, injected: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the slots (P, nu, J) with the mean in its place, after the kept elites."""
    injected[..., task.kept] = mean
    return injected
