# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""How well the demo's cart-pole is controlled with a model learned from its data, and how fast."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.benchmarks import machine
from cem_planner_ros.benchmarks.part import mean_and_std
from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.ensemble import Ensemble
from cem_planner_ros.dynamics.precision import factor_type
from cem_planner_ros.dynamics.precision import products as matrix_products
from cem_planner_ros.learning import bags, dataset, recording, training
from cem_planner_ros.learning import task as tasks
from cem_planner_ros.paths import share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.simulation.plants import MujocoPlant
from cem_planner_ros.studies.workers import Here, Workers, in_order

SECONDS = (60.0, 300.0)
"""Of data."""

RUN = 6.0
"""s of a closed loop; the pole has to be up over the last of them."""

LAST = 1.0

UPRIGHT = 0.2
"""rad."""

PERIOD = 0.02

SEARCH = {"samples": 256, "elites": 32, "iterations": 3, "horizon": 30, "dt": 0.04}
"""What both models are planned with."""

NOISE = 0.02
"""Of the plant's force, over half its range, as in the demo."""

HOLD = 10
"""Periods for which a random force is held."""

EPISODE = 10.0
"""s after which the plant begins anew; between two of them nothing is recorded."""


def run(quick: bool, say: Callable[[str], None], workers: Workers | None = None) -> Iterator[dict]:
    """
    Yield a row for the analytic model, and for each amount of data.

    Args:
        quick: whether to measure less of everything.
        say: is told what is measured next.
        workers: run the swing-ups, and the training before; None for this process.
    """
    seeds = range(2 if quick else 5)
    amounts = (None, *(SECONDS[:1] if quick else SECONDS))
    calls = [(seconds, seed) for seconds in amounts for seed in seeds]
    found = in_order(workers or Here(), _swing_up, calls)
    for seconds in amounts:
        results, unseen = [], []
        for seed in seeds:
            what = "the analytic model" if seconds is None else f"{seconds:g} s of data"
            say(f"{what}, seed {seed}")
            result, error = next(found)
            results.append(result)
            unseen.append(error)
        if seconds is None:
            yield _row("analytic", results)
            continue
        yield _row(f"learned from {seconds:g} s", results) | {
            "error_over_the_horizon": round(float(np.mean(unseen)), 4)
        }


def _swing_up(seconds: float | None, seed: int) -> tuple[tuple[float, bool], float]:
    """
    Return what `control` does of a swing-up, and the error of its model over the horizon.

    The model is learned from so many s of data; None stands for the analytic model, without error.
    A worker may call it.
    """
    torch.set_num_threads(1)
    file = share("config") / "cartpole.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    if seconds is None:
        return control(configuration, configuration.dynamics, seed), 0.0
    task = tasks.load(file)
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / "bag"
        record(bag, configuration, task, seconds, seed)
        data = dataset.make([bags.read(bag, task)], task)
        settings = training.TrainingSettings(seed=seed)
        tensors = training.train(data, task, settings)
        model = training.write(Path(folder), "model", tensors, task, settings, data)
        error = float(training.errors(model, data.test, task.horizon).model[-1])
        return control(configuration, model, seed), error


def _row(name: str, results: list[tuple[float, bool]]) -> dict:
    costs = [cost for cost, _ in results]
    return {
        "name": name,
        "cost": mean_and_std(costs),
        "costs": [round(cost, 1) for cost in costs],
        "successes": sum(up for _, up in results),
        "seeds": len(results),
    }


def record(
    folder: Path, configuration: Configuration, task: tasks.Task, seconds: float, seed: int
) -> None:
    """
    Write a bag of the cart-pole: every second episode under random forces, the others planned.

    Random forces are held for some periods, and pull the cart back to the middle of its rail.
    """
    random = np.random.default_rng(seed)
    planner = configuration.planner()
    force = np.zeros(1)

    def at_random(state: np.ndarray, now: float) -> np.ndarray:
        nonlocal force
        if round(now / PERIOD) % HOLD == 0:
            force = random.uniform(-10.0, 10.0, 1)
        return np.clip(force - 2.0 * state[0] - state[1], -10.0, 10.0)

    def planned(state: np.ndarray, now: float) -> np.ndarray:
        action = planner.plan(state, now).actions[0]
        return np.clip(action + random.normal(0.0, 1.0, 1), -10.0, 10.0)

    begin = 1.0  # A stamp of zero says that there is none.
    with recording.BagWriter(folder, task) as writer:
        episode = 0
        while seconds > 1e-9:
            length = min(seconds, EPISODE)
            planner.reset()
            act = planned if episode % 2 else at_random
            plant, order = cartpole(task)
            for now, state, action in recording.drive(plant, order, act, length, PERIOD):
                writer.state(begin + now, state)
                writer.command(begin + now, action)
            begin += length + 2.0
            seconds -= length
            episode += 1


def cartpole(task: tasks.Task) -> tuple[MujocoPlant, list[int]]:
    """Return the demo's plant and where in its state that of the task is."""
    plant = MujocoPlant(share("models") / "cartpole.xml")
    published = list(plant.state_fields.values())
    return plant, [published.index(field) for field in task.fields["state"].values()]


def control(configuration: Configuration, model: Dynamics, seed: int) -> tuple[float, bool]:
    """Return the cost J of a swing-up, sum of the stage costs, and whether the pole stayed up."""
    costs = list(configuration.costs.values())
    planner = Planner(model, costs, seed=seed, **SEARCH)
    plant, order = cartpole(tasks.load(share("config") / "cartpole.yaml"))
    random = np.random.default_rng(seed)
    total, angles = 0.0, []
    action = np.zeros(1)
    dt = torch.tensor(PERIOD)
    for tick in range(round(RUN / PERIOD)):
        state = plant.state()[order]
        action = planner.plan(state, tick * PERIOD, action).actions[0]
        plant.step(np.clip(action + NOISE * random.normal(0.0, 10.0, 1), -10.0, 10.0), PERIOD)
        state = plant.state()[order]
        reached, held = (torch.tensor(v, dtype=torch.float32)[:, None] for v in (state, action))
        total += costs[0].stage(reached, held, held, dt).item()
        angles.append(np.remainder(state[2] + np.pi, 2 * np.pi) - np.pi)
    return total, bool((np.abs(angles[-round(LAST / PERIOD) :]) < UPRIGHT).all())


ENSEMBLE = {"members": 5, "hidden": (200, 200)}
"""The networks of PETS."""


def plan_times(device: str, quick: bool, profiles: bool = False) -> Iterator[dict]:
    """
    Yield the time of plans with an ensemble and that of the products of matrices they need.

    There is a row for each precision of the products. Its `loss` is by how much the states at the
    end of the horizon differ from those of float32, as a share of how far they moved (RMS).
    """
    torch.set_num_threads(2)
    samples, horizon, iterations = (1024 if device == "cuda" else 512), 20, 3
    task = tasks.load(share("config") / "cartpole.yaml")
    sizes = [6, *ENSEMBLE["hidden"], 4]
    tensors = {}
    for index, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        weight = torch.randn(ENSEMBLE["members"], fan_out, fan_in) / fan_in**0.5
        tensors[f"layer{index}.weight"] = weight
        tensors[f"layer{index}.bias"] = torch.zeros(ENSEMBLE["members"], fan_out, 1)
    for name, size in (("input", 6), ("output", 4)):
        tensors |= {f"{name}_mean": torch.zeros(size), f"{name}_std": torch.full((size,), 0.1)}
    weights = [tensors[f"layer{i}.weight"] for i in range(len(sizes) - 1)]
    exact = None
    with tempfile.TemporaryDirectory() as folder:
        nothing = dataset.Dataset([], [], [], [])
        settings = training.TrainingSettings(**ENSEMBLE)
        training.write(Path(folder), "model", tensors, task, settings, nothing)
        file = f"{folder}/model.safetensors"
        for precision in ("float32", *(["tf32"] if device == "cuda" else []), "bfloat16"):
            model = Ensemble({"file": file, "precision": precision}, device=device)
            exact = exact or model
            yield {
                "name": f"5 x (200, 200), {samples} x {horizon} x {iterations}, {precision}",
                "precision": precision,
                "loss": _loss(model, exact, horizon, device),
                **_plan_times(
                    model, weights, (samples, horizon, iterations), device, quick, profiles
                ),
            }


def _loss(model: Ensemble, exact: Ensemble, horizon: int, device: str) -> float:
    """Return how far predictions are from those of `exact`, over how far these moved, RMS."""
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(4, 64 * model.members, generator=generator).to(device)
    actions = torch.randn(horizon, 1, state.shape[1], generator=generator).to(device)
    ends = []
    for each in (model, exact):
        reached = state
        for action in actions:
            reached = each.step(reached, action, torch.tensor(each.dt))
        ends.append(reached)
    near, true = ends
    return float(f"{((near - true).norm() / (true - state).norm()).item():.2g}")


def _plan_times(
    model: Ensemble,
    weights: list[torch.Tensor],
    size: tuple[int, int, int],
    device: str,
    quick: bool,
    profiles: bool,
) -> dict:
    """Return the times of plans of N, H and I, and of their products with `weights` alone."""
    samples, horizon, iterations = size
    cost = Quadratic(model, {"weight.theta": 1.0}, device=device)
    planner = Planner(
        model,
        [cost],
        samples=samples,
        elites=64,
        iterations=iterations,
        horizon=horizon,
        threads=2,
        device=device,
    )
    kind = factor_type(model.precision)
    weights = [weight.to(device, kind) for weight in weights]
    inputs = [torch.randn(len(w), w.shape[2], samples).to(device, kind) for w in weights]

    def multiply() -> None:
        with matrix_products(model.precision, device):
            for _ in range(horizon * iterations):
                for weight, values in zip(weights, inputs, strict=True):
                    torch.bmm(weight, values)

    def products() -> None:
        multiply()
        if device == "cuda":
            torch.cuda.synchronize()

    def plan() -> None:
        planner.plan(np.zeros(4), next(now))

    now = itertools.count(0.0, PERIOD)
    times = machine.interleaved(
        {"plan": plan, "products": products},
        rounds=5,
        seconds=5.0 if quick else 20.0,
    )
    return {
        "backend": planner.execution.name,
        "plan_ms": times["plan"],
        **machine.on_gpu(planner, plan, profiles),
        "products_ms": times["products"],
        **({"products_gpu_ms": machine.gpu_ms(multiply, 5)} if device == "cuda" else {}),
        "ratio_to_products": round(times["plan"]["p50"] / times["products"]["p50"], 2),
    }
