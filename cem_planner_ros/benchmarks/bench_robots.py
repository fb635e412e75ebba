"""Returns of robots with contacts: this package beside the published iCEM, at equal rollouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

import numpy as np
import torch

from cem_planner_ros.benchmarks import icem
from cem_planner_ros.benchmarks.gym_tasks import TASKS, Act, GymTask, episode
from cem_planner_ros.configuration import load_yaml
from cem_planner_ros.paths import share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.settings import Search

HORIZON = 30
BUDGETS = (100, 300)
"""Rollouts in a control step."""

STEPS = {"HalfCheetah": 200, "Hopper": 200, "Walker2d": 200, "HumanoidStandup": 40}


PRESET = "half_cheetah.yaml"
"""The shipped file whose section `planner` is the preset for robots with contacts."""

SIZES = ("samples", "horizon", "dt")
"""Settings of the search that depend on the task and the machine, and belong to no preset."""


def run(quick: bool, say: Callable[[str], None], task: str | None = None) -> Iterator[dict]:
    """
    Yield a row of results for each task, budget and method; the cost is minus the return.

    Args:
        quick: whether to measure less of everything.
        say: is told what is measured next.
        task: the only task, of TASKS; None for all, or with `quick` for the first one.
    """
    torch.set_num_threads(1)
    seeds = range(2 if quick else 5)
    for name in [task] if task else list(TASKS)[: 1 if quick else None]:
        steps = min(STEPS[name], 100) if quick else STEPS[name]
        for rollouts in BUDGETS[:1] if quick else BUDGETS:
            for method in METHODS:
                say(f"{name} {rollouts} rollouts {method}")
                yield row(name, method, rollouts, steps, seeds)


def row(name: str, method: str, rollouts: int, steps: int, seeds: range) -> dict[str, object]:
    """Return the results of a method on a task, over the seeds."""
    task = TASKS[name]
    returns = []
    for seed in seeds:
        act, samples, iterations = METHODS[method](task, rollouts, seed)
        returns.append(episode(task, act, steps, seed))
    return {
        "name": f"{name} {rollouts} rollouts {method}",
        "task": name,
        "method": method,
        "rollouts": rollouts,
        "samples": samples,
        "iterations": iterations,
        "horizon": HORIZON,
        "steps": steps,
        "seeds": len(seeds),
        "cost": {
            "mean": round(-float(np.mean(returns)), 1),
            "std": round(float(np.std(returns)), 1),
        },
    }


def planner(task: GymTask, rollouts: int, seed: int, settings: dict) -> tuple[Act, int, int]:
    """Return this package's planner as a controller, its N and its I."""
    model = task.model()
    cost = task.cost(model)
    settings = {"horizon": HORIZON, "dt": cost.dt} | settings
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


def published(task: GymTask, rollouts: int, seed: int) -> tuple[Act, int, int]:
    """Return the published iCEM as a controller, its N and its I."""
    model = task.model()
    cost = task.cost(model)
    rollout = Rollout(model, [cost], cost.dt)
    before, durations = torch.zeros(len(model.action_names)), torch.full((HORIZON,), cost.dt)

    def score(state: np.ndarray, samples: np.ndarray) -> np.ndarray:
        start, sequences = (
            torch.from_numpy(values.astype(np.float32)) for values in (state, samples)
        )
        return rollout(start, sequences.permute(1, 2, 0), before, durations).numpy()

    settings = icem.PublishedSettings(rollouts=rollouts, horizon=HORIZON, beta=task.beta)
    low, high = np.array(model.action_low), np.array(model.action_high)
    controller = icem.ICEM(score, low, high, settings, seed)
    return lambda state, time: controller.act(state), settings.populations()[0], settings.iterations


def preset() -> dict:
    """Return the settings of the search that the file PRESET has for robots with contacts."""
    values = load_yaml(share("config") / PRESET)
    names = {field.name for field in fields(Search)} - {*SIZES}
    return {name: values[f"planner.{name}"] for name in names if f"planner.{name}" in values}


METHODS: dict[str, Callable[[GymTask, int, int], tuple[Act, int, int]]] = {
    "preset": lambda task, rollouts, seed: planner(task, rollouts, seed, preset()),
    "defaults": lambda task, rollouts, seed: planner(task, rollouts, seed, {}),
    "icem": published,
}
"""Each makes a controller, and returns its N and its I too."""
