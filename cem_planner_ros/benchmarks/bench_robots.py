# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Returns of robots with contacts: this package beside the published iCEM, at equal rollouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial

import numpy as np
import torch

from cem_planner_ros.benchmarks import gym_tasks, icem, judo_tasks
from cem_planner_ros.benchmarks.part import Part, Progress, costs
from cem_planner_ros.benchmarks.robot_tasks import Act, RobotTask, episode
from cem_planner_ros.configuration import load_yaml
from cem_planner_ros.paths import share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.settings import Search
from cem_planner_ros.studies.workers import Here, Workers, in_order

HORIZON = 30
ROLLOUTS = (100, 300)
"""Rollouts in a control step, over all iterations."""

TASKS: dict[str, RobotTask] = gym_tasks.TASKS | judo_tasks.TASKS
"""Each is one entry of a module like `gym_tasks`: a file, a reward, a reset; no other code."""

PRESET = "half_cheetah.yaml"
"""The shipped file whose section `planner` is the preset for robots with contacts."""

SIZES = ("samples", "horizon", "dt")
"""Settings of the search that depend on the task and the machine, and belong to no preset."""


def run(part: Part, say: Callable[[str], None], workers: Workers | None = None) -> Iterator[dict]:
    """
    Yield a row of results for each task, budget and method; the cost is minus the return.

    Args:
        part: what is measured.
        say: is told what is measured next.
        workers: run the episodes; None for this process.
    """
    seeds = part.seeds_or(5)
    most = 1 if part.quick and part.rollouts is None else None
    cases = [
        (name, rollouts, method)
        for name in part.tasks(TASKS)[: 1 if part.quick else None]
        for rollouts in (TASKS[name].rollouts or ROLLOUTS)[:most]
        for method in METHODS
        if part.includes(method, rollouts) and _has(method, name)
    ]
    progress = Progress(say, len(seeds) * sum(TASKS[case[0]].steps * case[1] for case in cases))
    calls = [(*case, seed) for case in cases for seed in seeds]
    found = in_order(workers or Here(), _of_names, calls)
    for name, rollouts, method in cases:
        label = f"{name} {rollouts} rollouts {method}"
        task, returns = TASKS[name], []
        for seed in seeds:
            progress.run(f"{label}, seed {seed}", task.steps * rollouts)
            gained, samples, iterations = next(found)
            returns.append(gained)
        yield {
            "name": label,
            "task": name,
            "method": method,
            "rollouts": rollouts,
            "samples": samples,
            "iterations": iterations,
            "horizon": task.horizon or HORIZON,
            "steps": task.steps,
            **costs(seeds, [-gained for gained in returns]),
        }


def _of_names(name: str, rollouts: int, method: str, seed: int) -> tuple[float, int, int]:
    """Return the return of an episode, N and I, given the names; a worker may call it."""
    torch.set_num_threads(1)
    act, samples, iterations = METHODS[method](TASKS[name], rollouts, seed)
    return episode(TASKS[name], act, seed), samples, iterations


def _has(method: str, task: str) -> bool:
    """Return whether a method has settings for a task, and is installed."""
    if method not in judo_tasks.OPTIMISERS:
        return True
    return task in judo_tasks.TASKS and judo_tasks.is_installed()


def planner(task: RobotTask, rollouts: int, seed: int, settings: dict) -> tuple[Act, int, int]:
    """Return this package's planner as a controller, its N and its I."""
    model = task.model()
    cost = task.cost(model)
    settings = {"horizon": task.horizon or HORIZON, "dt": cost.dt} | settings
    samples = samples_within(rollouts, settings)
    made = Planner(model, [cost], samples=samples, seed=seed, **settings)

    def act(state: np.ndarray, time: float) -> np.ndarray:
        return made.plan(state, time).actions[0]

    return act, samples, made.search.iterations


def samples_within(rollouts: int, settings: dict) -> int:
    """Return the largest N whose iterations have no more rollouts than allowed."""
    for samples in range(rollouts, 0, -1):
        search = Search(samples=samples, **settings)
        if sum(search.population(i) for i in range(search.iterations)) <= rollouts:
            return samples
    raise ValueError(f"{rollouts} rollouts are too few for {settings}")


def scored(task: RobotTask) -> tuple[judo_tasks.Score, np.ndarray]:
    """Return what computes the costs of action sequences, and the bounds (2, nu) of actions."""
    model = task.model()
    cost = task.cost(model)
    rollout = Rollout(model, [cost], cost.dt)
    horizon = task.horizon or HORIZON
    before, durations = torch.zeros(len(model.action_names)), torch.full((horizon,), cost.dt)

    def score(state: np.ndarray, samples: np.ndarray) -> np.ndarray:
        start, sequences = (
            torch.from_numpy(values.astype(np.float32)) for values in (state, samples)
        )
        return rollout(start, sequences.permute(1, 2, 0), before, durations).numpy()

    return score, np.array([model.action_low, model.action_high])


def judo(task: RobotTask, rollouts: int, seed: int, method: str) -> tuple[Act, int, int]:
    """Return an optimiser of judo as a controller, its N and its I."""
    controller = judo_tasks.Controller(method, task, *scored(task), rollouts, seed)
    return controller.act, rollouts, 1


def published(task: RobotTask, rollouts: int, seed: int) -> tuple[Act, int, int]:
    """Return the published iCEM as a controller, its N and its I."""
    score, (low, high) = scored(task)
    horizon = task.horizon or HORIZON
    settings = icem.PublishedSettings(rollouts=rollouts, horizon=horizon, beta=task.beta)
    controller = icem.ICEM(score, low, high, settings, seed)
    return lambda state, time: controller.act(state), settings.populations()[0], settings.iterations


def preset() -> dict:
    """Return the settings of the search that the file PRESET has for robots with contacts."""
    values = load_yaml(share("config") / PRESET)
    names = {field.name for field in fields(Search)} - {*SIZES}
    return {name: values[f"planner.{name}"] for name in names if f"planner.{name}" in values}


METHODS: dict[str, Callable[[RobotTask, int, int], tuple[Act, int, int]]] = {
    "preset": lambda task, rollouts, seed: planner(
        task, rollouts, seed, preset() | dict(task.settings)
    ),
    "defaults": lambda task, rollouts, seed: planner(task, rollouts, seed, {}),
    "icem": published,
    **{name: partial(judo, method=name) for name in judo_tasks.OPTIMISERS},
}
"""Each makes a controller, and returns its N and its I too."""
