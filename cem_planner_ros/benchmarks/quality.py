"""How well methods control, at equal numbers of rollouts per period."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from cem_planner_ros.benchmarks.tasks import TASKS, Task
from cem_planner_ros.planning.planner import Planner

ICEM = {
    "noise_beta": 2.0,
    "keep": 0.3,
    "momentum": 0.1,
    "inject_mean": "last",
    "execute": "best",
}
"""The ingredients of iCEM (Pinneri et al., 2020) without population decay, which would change N."""


@dataclass(frozen=True)
class Method:
    """
    Settings of the planner.

    With `cold`, every period begins without the last plan. `one` spends all rollouts in one
    iteration. `elite_share` is of N, at least 5 per mode.
    """

    settings: dict = field(default_factory=dict)
    elite_share: float = 0.1
    cold: bool = False
    one: bool = False


METHODS = {
    "plain CEM": Method(cold=True),
    "warm CEM": Method(),
    "iCEM": Method(ICEM),
    "MPPI": Method({"weighting": "softmax", "temperature": 5.0, "noise_beta": 2.0}, one=True),
    "splines": Method({"knot_spacing": 5, "order": 1, "keep": 0.3, "inject_best": True}),
    "modes": Method(ICEM | {"modes": 3}, elite_share=0.05),
}

BUDGETS = ((100, 3), (300, 3), (1000, 5))

HORIZONS = {"cartpole": (50, 100), "doorway": (60,), "quadrotor": (30,)}


def run(
    quick: bool, say: Callable[[str], None], methods: dict[str, Method] = METHODS
) -> Iterator[dict]:
    """Yield a row of results for each task, budget and method."""
    torch.set_num_threads(1)
    seeds = range(2 if quick else 10)
    for name, task in TASKS.items():
        for horizon in HORIZONS[name][:1] if quick else HORIZONS[name]:
            for samples, iterations in BUDGETS[1:2] if quick else BUDGETS:
                for method_name, method in methods.items():
                    label = f"{name} H={horizon} {samples} x {iterations} {method_name}"
                    say(label)
                    runs = [
                        closed_loop(task, method, samples, iterations, horizon, seed)
                        for seed in seeds
                    ]
                    costs = [cost for cost, _ in runs]
                    yield {
                        "name": label,
                        "task": name,
                        "method": method_name,
                        "samples": samples,
                        "iterations": iterations,
                        "horizon": horizon,
                        "seeds": len(seeds),
                        "cost": {
                            "mean": round(float(np.mean(costs)), 1),
                            "std": round(float(np.std(costs)), 1),
                        },
                        "successes": sum(success for _, success in runs),
                    }


def closed_loop(
    task: Task, method: Method, samples: int, iterations: int, horizon: int, seed: int
) -> tuple[float, bool]:
    """Return the accumulated stage cost of a run on the exact model in float64, and its success."""
    model = task.dynamics()
    cost = task.cost(model)
    if method.one:
        samples, iterations = samples * iterations, 1
    modes = method.settings.get("modes", 1)
    planner = Planner(
        model,
        [cost],
        samples=samples,
        elites=max(5, int(method.elite_share * samples))
        if modes == 1
        else max(5, int(method.elite_share * samples / modes)),
        iterations=iterations,
        horizon=horizon,
        dt=task.dt,
        seed=seed,
        **method.settings,
    )
    state = torch.tensor(task.start, dtype=torch.float64)[:, None]
    dt = torch.tensor(task.dt, dtype=torch.float64)
    action, total, states = None, 0.0, []
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
    return total, task.success(np.array(states))
