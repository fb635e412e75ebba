# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The effect of a searched policy: as candidates, and as the fallback."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.benchmarks import machine
from cem_planner_ros.benchmarks.part import mean_and_std
from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.learning import policy_search
from cem_planner_ros.paths import share
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant

START = (0.0, 0.0, 0.2, 0.0)
"""Of the cart-pole, m and rad: falling."""

SECONDS = 6.0
LAST = 1.0
UPRIGHT = 0.2
"""rad; within it over the last second, a run is a success."""

NOISE = 1.0
"""Std of the force that is added to the commands, N."""

EVERY, FAILING = 2.0, 0.8
"""s; for so long in each such time there is no plan, where plans are made to fail."""

BUDGETS = {"N=16, I=1": (16, 4, 1), "N=256, I=3": (256, 32, 3)}
"""Samples, elites, iterations."""


def run(quick: bool, say: Callable[[str], None]) -> Iterator[dict]:
    """Yield a row for each use of the policy, and for what is done without it."""
    torch.set_num_threads(1)
    seeds = range(2 if quick else 10)
    say("searching a policy in CartPole-v1")
    found = policy_search.search("CartPole-v1", policy_search.PolicySearchSettings())
    file = share("config") / "cartpole.yaml"
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "policy.yaml"
        found.policy.save(policy)
        given = load_yaml(file) | {"planner.device": "cpu", "policy.file": str(policy)}
        for budget, (samples, elites, iterations) in BUDGETS.items():
            for candidates in (0, 4):
                say(f"{budget}, {candidates} candidates")
                search = {"samples": samples, "elites": elites, "iterations": iterations}
                values = {f"planner.{name}": number for name, number in search.items()}
                values |= {"policy.candidates": candidates}
                yield _row(
                    f"{budget}, {candidates} candidates", configure(given | values), seeds, False
                )
        for fallback in ("ramp_to_safe", "keep_last", "policy"):
            say(f"plans fail {FAILING:g} of {EVERY:g} s, fallback: {fallback}")
            values = {"fallback": fallback, "hold_time": EVERY, "max_plan_age": 0.1}
            name = f"no plan {FAILING:g} of {EVERY:g} s, fallback: {fallback}"
            yield _row(name, configure(given | values), seeds, True)


def _row(name: str, configuration: Configuration, seeds: range, fails: bool) -> dict:
    results = [_balance(configuration, seed, fails) for seed in seeds]
    times = 1e3 * np.concatenate([plan_times for _, _, plan_times in results])
    return {
        "name": name,
        "cost": mean_and_std([cost for cost, _, _ in results]),
        "successes": sum(up for _, up, _ in results),
        "seeds": len(results),
        "plan_ms": machine.quantiles(times),
    }


def _balance(
    configuration: Configuration, seed: int, fails: bool
) -> tuple[float, bool, list[float]]:
    """Return cost, whether the pole stayed up, and what the plans took (s), of one run."""
    plant = ModelPlant(configuration, np.array(START))
    random = np.random.default_rng(seed)
    planner = configuration.planner()
    running = configuration.costs["running"]

    def step(action: np.ndarray, duration: float) -> None:
        plant.step(action + random.normal(0.0, NOISE, 1), duration)

    lockstep = Lockstep(configuration, planner, plant.state, step)
    total, angles = 0.0, []
    while lockstep.time < SECONDS:
        is_failing = fails and lockstep.time % EVERY > EVERY - FAILING
        lockstep.failure = RuntimeError("made to fail") if is_failing else None
        tick = lockstep.period()
        state, action = (
            torch.tensor(values, dtype=torch.float32)[:, None]
            for values in (plant.state(), tick.action)
        )
        total += running.stage(state, action, action, torch.tensor(0.0)).item()
        angles.append(np.remainder(plant.state()[2] + np.pi, 2 * np.pi) - np.pi)
    last = round(LAST / lockstep.loop.commander.period)
    return total, bool((np.abs(angles[-last:]) < UPRIGHT).all()), lockstep.plan_times
