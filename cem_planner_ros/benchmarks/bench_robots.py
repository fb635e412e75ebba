# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Returns of robots with contacts: this package beside iCEM and judo, at equal rollouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

from cem_planner_ros.benchmarks import example_tasks, gym_tasks, icem, judo_tasks
from cem_planner_ros.benchmarks.part import Part, Progress, costs
from cem_planner_ros.benchmarks.robot_tasks import Act, RobotTask, controlled_by, episode
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.studies.workers import Here, Workers, in_order

ROLLOUTS = (100, 300)
"""Rollouts in a control step, over all iterations."""

TASKS: dict[str, RobotTask] = gym_tasks.TASKS | example_tasks.TASKS


def run(part: Part, say: Callable[[str], None], workers: Workers | None = None) -> Iterator[dict]:
    """
    Yield a row of results for each task, budget and method; the cost is minus the return.

    Args:
        part: what is measured.
        say: is told what is measured next.
        workers: run the episodes; None for this process.
    """
    seeds, first = part.seeds_or(5), slice(1 if part.quick else None)
    chosen = () if part.rollouts is None else (part.rollouts,)
    cases = [
        (name, rollouts, method)
        for name in part.tasks(TASKS)[first]
        for rollouts in (chosen or TASKS[name].rollouts or ROLLOUTS)[first]
        for method in METHODS
        if part.includes(method, rollouts) and has(method, name)
    ]
    progress = Progress(say, len(seeds) * sum(TASKS[case[0]].steps * case[1] for case in cases))
    calls = [(*case, seed) for case in cases for seed in seeds]
    found = in_order(workers or Here(), _of_names, calls)
    for name, rollouts, method in cases:
        label = f"{name} {rollouts} rollouts {method}"
        task, returns = TASKS[name], []
        for seed in seeds:
            progress.run(f"{label}, seed {seed}", task.steps * rollouts)
            gained, sizes = next(found)
            returns.append(gained)
        yield {
            "name": label,
            "task": name,
            "method": method,
            "rollouts": rollouts,
            **sizes,
            "steps": task.steps,
            **costs(seeds, [-gained for gained in returns]),
        }


Made = tuple[Act, dict[str, int]]
"""A controller, and its samples (N), iterations and horizon (H)."""


def _of_names(name: str, rollouts: int, method: str, seed: int) -> tuple[float, dict[str, int]]:
    """Return the return of an episode, and sizes, given the names; a worker may call it."""
    torch.set_num_threads(1)
    act, sizes = METHODS[method](name, rollouts, seed)
    return episode(TASKS[name], act, seed), sizes


def has(method: str, task: str) -> bool:
    """Return whether a method can control a task, and is installed."""
    if method == "icem":  # It moves on by one planned step in each period.
        return task in gym_tasks.TASKS or task == "cylinder_push"
    if method in judo_tasks.OPTIMISERS:
        return task in judo_tasks.SPLINES and judo_tasks.is_installed()
    return True


def _controller(planner: Planner) -> Made:
    search = planner.search
    sizes = {name: getattr(search, name) for name in ("samples", "iterations", "horizon")}
    return controlled_by(planner), sizes


def judo(task: str, rollouts: int, seed: int, method: str) -> Made:
    """Return an optimiser of judo as a controller."""
    problem = TASKS[task].problem()
    controller = judo_tasks.Controller(method, task, problem, rollouts, seed)
    return controller.act, {"samples": rollouts, "iterations": 1, "horizon": problem.horizon}


def published(task: str, rollouts: int, seed: int) -> Made:
    """Return the published iCEM as a controller."""
    problem, beta = TASKS[task].problem(), TASKS[task].beta
    horizon = problem.horizon
    settings = icem.PublishedSettings(rollouts=rollouts, horizon=horizon, beta=beta)
    score = problem.score(horizon, problem.dt)
    controller = icem.ICEM(score, problem.low, problem.high, settings, seed)
    samples, *_ = settings.populations()
    sizes = {"samples": samples, "iterations": settings.iterations, "horizon": horizon}
    return lambda state, time: controller.act(state), sizes


METHODS: dict[str, Callable[[str, int, int], Made]] = {
    "preset": lambda task, *given: _controller(TASKS[task].preset(*given)),
    "defaults": lambda task, *given: _controller(TASKS[task].defaults(*given)),
    "icem": published,
    **{name: partial(judo, method=name) for name in judo_tasks.OPTIMISERS},
}
"""Each makes a controller for a task, a number of rollouts and a seed."""
