# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Quality of control of several methods with equal numbers of rollouts per period."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from cem_planner_ros.benchmarks.part import Part, Progress, costs
from cem_planner_ros.benchmarks.tasks import TASKS, BenchmarkTask
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.studies.workers import Here, Workers, in_order

PLAIN = {
    "weighting": "elites",
    "std_initial": 0.5,
    "noise_beta": 0.0,
    "keep": 0.0,
    "inject_mean": "never",
    "inject_best": False,
    "execute": "mean",
}
"""The CEM of the seed note: every ingredient that the defaults have, left out."""

ICEM = PLAIN | {
    "noise_beta": 2.0,
    "keep": 0.3,
    "momentum": 0.1,
    "inject_mean": "last",
    "execute": "best",
}
"""The ingredients of iCEM (Pinneri et al., 2020) without population decay, which would change N."""

SOFTMAX = PLAIN | {"weighting": "softmax", "temperature": 5.0, "noise_beta": 2.0}
"""The weights of MPPI without its control cost."""

MPPI = SOFTMAX | {"control_cost": SOFTMAX["temperature"]}
"""MPPI (Williams et al., 2017, algorithm 2), with coloured noise."""


@dataclass(frozen=True)
class Method:
    """
    Settings of the planner that differ from its defaults.

    With `cold`, every period begins without the last plan. `one` spends all rollouts in one
    iteration. If the settings have no K, it is a tenth of the candidates of each mode, at least 5.
    """

    settings: dict = field(default_factory=dict)
    cold: bool = False
    one: bool = False


METHODS = {
    "plain CEM": Method(PLAIN, cold=True),
    "warm CEM": Method(PLAIN),
    "iCEM": Method(ICEM),
    "softmax": Method(SOFTMAX, one=True),
    "MPPI": Method(MPPI, one=True),
    "defaults": Method(),
    "defaults, their own K": Method({"elites": 0}),
    "defaults, splines": Method({"knot_spacing": 5, "order": 3}),
    "defaults, 2 modes": Method({"modes": 2}),
    "softmax, splines, 2 modes": Method(
        {
            "weighting": "softmax",
            "temperature": 5.0,
            "std_initial": 1.0,
            "noise_beta": 3.0,
            "keep": 0.5,
            "knot_spacing": 5,
            "order": 3,
            "modes": 2,
            "execute": "mean",
        }
    ),
}

LEFT_OUT = {f"defaults without {name}": Method({name: value}) for name, value in PLAIN.items()}
"""Each ingredient of the defaults left out on its own, for one budget."""

BUDGETS = ((100, 3), (300, 3), (1000, 5))

STEADY = 50
"""Steps at the end of a run in which the steady-state command is measured."""

HORIZONS = {"cartpole": (50, 100), "doorway": (60,), "quadrotor": (30,)}


ROLLOUTS = tuple(samples * iterations for samples, iterations in BUDGETS)


def run(part: Part, say: Callable[[str], None], workers: Workers | None = None) -> Iterator[dict]:
    """
    Yield a row of results for each task, budget and method.

    Args:
        part: what is measured.
        say: is told what is measured next.
        workers: run the closed loops; None for this process.
    """
    seeds = part.seeds_or(10)
    budgets = BUDGETS[1:2] if part.quick and part.rollouts is None else BUDGETS
    cases = [
        (name, horizon, samples, iterations, method)
        for name in part.tasks(TASKS)
        for horizon in (HORIZONS[name][:1] if part.quick else HORIZONS[name])
        for samples, iterations in budgets
        for method in METHODS | (LEFT_OUT if (samples, iterations) == BUDGETS[1] else {})
        if part.includes(method, samples * iterations)
    ]

    def work(name: str, horizon: int, samples: int, iterations: int, method: str) -> int:
        return TASKS[name].steps * horizon * samples * iterations

    progress = Progress(say, len(seeds) * sum(work(*case) for case in cases))
    calls = [(*case, seed) for case in cases for seed in seeds]
    found = in_order(workers or Here(), _of_names, calls)
    for case in cases:
        name, horizon, samples, iterations, method = case
        label = f"{name} H={horizon} {samples} x {iterations} {method}"
        task, runs = TASKS[name], []
        for seed in seeds:
            progress.run(f"{label}, seed {seed}", work(*case))
            runs.append(next(found))
        steady = np.mean([run.steady_rms for run in runs], axis=0)
        yield {
            "name": label,
            "task": name,
            "method": method,
            "samples": samples,
            "iterations": iterations,
            "horizon": horizon,
            **costs(seeds, [run.cost for run in runs]),
            "successes": sum(run.success for run in runs),
            "steady_command_rms": {
                action: round(float(rms), 4)
                for action, rms in zip(task.dynamics().action_names, steady, strict=True)
            },
        }


class Run(NamedTuple):
    """A run in closed loop."""

    cost: float  # accumulated stage cost
    success: bool
    steady_rms: np.ndarray  # (nu,), RMS of the last STEADY commands around their mean


def _of_names(
    task: str, horizon: int, samples: int, iterations: int, method: str, seed: int
) -> Run:
    """Return how a run went, given the names of task and method; a worker may call it."""
    torch.set_num_threads(1)
    settings = (METHODS | LEFT_OUT)[method]
    return closed_loop(TASKS[task], settings, samples, iterations, horizon, seed)


def closed_loop(
    task: BenchmarkTask, method: Method, samples: int, iterations: int, horizon: int, seed: int
) -> Run:
    """Return how a run on the exact model in float64 went."""
    model = task.dynamics()
    cost = task.cost(model)
    if method.one:
        samples, iterations = samples * iterations, 1
    modes = method.settings.get("modes", 1)
    planner = Planner(
        model,
        [cost],
        samples=samples,
        iterations=iterations,
        horizon=horizon,
        dt=task.dt,
        seed=seed,
        **({"elites": max(5, samples // modes // 10)} | method.settings),
    )
    state = torch.tensor(task.start, dtype=torch.float64)[:, None]
    dt = torch.tensor(task.dt, dtype=torch.float64)
    action, total, states, actions = None, 0.0, [], []
    for tick in range(task.steps):
        time = tick * task.dt
        # Time that runs backwards makes the planner forget the last plan.
        action = planner.plan(state[:, 0].numpy(), -time if method.cold else time, action).actions[
            0
        ]
        held = torch.tensor(action, dtype=torch.float64)[:, None]
        state = model.step(state, held, dt)
        total += cost.stage(state, held, held, dt).item()
        states.append(state[:, 0].numpy())
        actions.append(action)
    steady = np.std(actions[-STEADY:], axis=0)
    return Run(total, task.success(np.array(states)), steady)
