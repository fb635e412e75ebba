# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Model steps per second of every model, and MuJoCo and its plans beside its own rollout."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import numpy as np
import torch

from cem_planner_ros.benchmarks import machine
from cem_planner_ros.benchmarks.bench_physics import legs_planner
from cem_planner_ros.benchmarks.bench_plan import THREADS
from cem_planner_ros.compile.cpu import Kernel
from cem_planner_ros.compile.cuda import CudaRollout
from cem_planner_ros.compile.driver import Gpu
from cem_planner_ros.costs.quadratic import Terminal
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.settings import Search
from cem_planner_ros.plugins import loading

SAMPLES, HORIZON, DT = 1024, 30, 0.02
ENGINE_SAMPLES, ENGINE_DT = 100, 0.05
VARIANTS = 8
LEGS_SAMPLES, LEGS_HORIZON = 32, 25
HALF_CHEETAH = "gymnasium:envs/mujoco/assets/half_cheetah.xml"


def run(
    device: str, quick: bool, say: Callable[[str], None], profiles: bool = False
) -> Iterator[dict]:
    """Yield a row of results for each built-in model, and for the HalfCheetah where it is."""
    threads = min(THREADS, os.cpu_count() or 1)
    torch.set_num_threads(threads)
    seconds = 0.5 if quick else 3.0
    for name, entries in loading.installed("dynamics").items():
        plugin = loading.load("dynamics", name)
        of_this_package = plugin.__module__.startswith("cem_planner_ros.")
        if of_this_package and len(entries) == 1 and plugin.state_names:
            say(f"{name}: compiling")
            yield _model(name, plugin(device=device), device, threads, seconds, profiles)
    if device == "cpu":
        say("variants of the cart-pole")
        yield _variants(threads, seconds)
        say("mujoco: rolling out")
        try:
            yield _engine(threads, seconds)
            torch.set_num_threads(1)  # As in the node.
            yield _engine_plan(threads, seconds)
        except ConfigurationError as error:
            say(f"mujoco is left out: {error}")


def _model(
    name: str, model: Dynamics, device: str, threads: int, seconds: float, profiles: bool
) -> dict:
    """Return the steps a second of one model."""
    # All of the state has to count, or a compiler would leave out what does not.
    weights = {f"weight.{state}": 1.0 for state in model.state_names}
    rollout = Rollout(model, [Terminal(model, weights, device=device)], DT)
    sequence = torch.zeros(HORIZON, len(model.action_names), SAMPLES, device=device)
    for row, (low, high) in enumerate(zip(model.action_low, model.action_high, strict=True)):
        sequence[:, row].uniform_(low, high)
    state = torch.full((len(model.state_names),), 0.1, device=device)
    durations = torch.full((HORIZON,), DT, device=device)
    arguments = (state, sequence, sequence[0, :, 0].contiguous(), durations)

    def eager() -> None:
        with torch.no_grad():
            rollout(*arguments)
        if device == "cuda":
            torch.cuda.synchronize()

    functions, graphs = {"eager": eager}, {}
    if device == "cuda":
        kernel = CudaRollout(rollout, Gpu(sequence.device))
        graphs["captured"] = _captured(lambda: rollout(*arguments))
        graphs["kernel"] = _captured(lambda: kernel(*arguments))
        functions |= {name: _finished(graph.replay) for name, graph in graphs.items()}
    else:
        kernel = Kernel(rollout)
        functions["kernel"] = lambda: kernel.rollout(*arguments, threads=threads)
    times = machine.interleaved(functions, rounds=5, seconds=seconds)
    steps = SAMPLES * HORIZON
    return {
        "name": name,
        "device": device,
        "samples": SAMPLES,
        "horizon": HORIZON,
        "ms": times,
        **({"gpu_ms": {n: machine.gpu_ms(g.replay) for n, g in graphs.items()}} if graphs else {}),
        **({"launches": machine.launches(functions["kernel"])} if graphs and profiles else {}),
        "steps_per_s": {way: round(1e3 * steps / time["p50"]) for way, time in times.items()},
    }


def _variants(threads: int, seconds: float) -> dict:
    """Return the time of a plan for the cart-pole, and for so many variants of it side by side."""
    model = CartPole()
    cost = Terminal(model, {"weight.theta": 1.0})
    several = Randomised(model, dict.fromkeys(model.numbers, 0.2), VARIANTS)
    planners = {
        name: Planner(
            dynamics, [cost], samples=SAMPLES, horizon=HORIZON, dt=DT, risk="cvar", threads=threads
        )
        for name, dynamics in (("one", model), (f"{VARIANTS} variants", several))
    }
    state, ticks = np.zeros(4), itertools.count()
    times = machine.interleaved(
        {
            name: lambda planner=planner: planner.plan(state, DT * next(ticks))
            for name, planner in planners.items()
        },
        rounds=5,
        seconds=seconds,
    )
    one, variants = (time["p50"] for time in times.values())
    steps = SAMPLES * HORIZON * Search.iterations
    return {
        "name": f"cartpole, {VARIANTS} variants",
        "device": "cpu",
        "samples": SAMPLES,
        "horizon": HORIZON,
        "iterations": Search.iterations,
        "ms": times,
        "steps_per_s": {
            "one": round(1e3 * steps / one),
            "variants": round(1e3 * steps * VARIANTS / variants),
        },
        "ratio_to_one": round(variants / one, 2),
    }


def _captured(function: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """Return a graph of what `function` does on the GPU."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(stream):
        function()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        function()

    return graph


def _finished(replay: Callable[[], None]) -> Callable[[], None]:
    """Return a function that replays a graph and waits for it."""

    def run() -> None:
        replay()
        torch.cuda.synchronize()

    return run


def _engine(threads: int, seconds: float) -> dict:
    """Return the rollouts a second of the HalfCheetah, as a plugin and called directly."""
    from cem_planner_ros.dynamics.mujoco import Mujoco

    model = Mujoco({"file": HALF_CHEETAH, "threads": threads})
    import mujoco
    from mujoco.rollout import Rollout as Direct

    sequence = 2.0 * torch.rand(HORIZON, len(model.action_names), ENGINE_SAMPLES) - 1.0
    state = torch.zeros(len(model.state_names), ENGINE_SAMPLES)
    durations = torch.full((HORIZON,), ENGINE_DT)
    physics = model.model
    frames = round(ENGINE_DT / physics.opt.timestep)
    control = sequence.numpy().transpose(2, 0, 1).repeat(frames, axis=1).astype(np.float64)
    start = np.zeros((ENGINE_SAMPLES, 1 + len(model.state_names)))
    data = [mujoco.MjData(physics) for _ in range(threads)]
    with Direct(nthread=threads if threads > 1 else 0) as direct:
        times = machine.interleaved(
            {
                "plugin": lambda: model.rollout(state, sequence, durations),
                "direct": lambda: direct.rollout(physics, data, start, control),
            },
            rounds=10,
            seconds=3.0 * seconds,
        )
    rate = {way: round(1e3 * ENGINE_SAMPLES / time["p50"], 1) for way, time in times.items()}
    return {
        "name": "mujoco half_cheetah",
        "device": "cpu",
        "samples": ENGINE_SAMPLES,
        "horizon": HORIZON,
        "threads": threads,
        "ms": times,
        "steps_per_s": {way: round(value * HORIZON) for way, value in rate.items()},
        "rollouts_per_s": rate,
        "ratio_to_direct": round(rate["plugin"] / rate["direct"], 3),
    }


def _engine_plan(threads: int, seconds: float) -> dict:
    """Return the time of a plan of a quadruped, and of MuJoCo's own steps for its candidates."""
    from cem_planner_ros.dynamics.mujoco import Mujoco

    model = Mujoco({"file": "quadruped.xml", "threads": threads})
    import mujoco
    from mujoco.rollout import Rollout as Direct

    home = model.named_actions["keyframe:home"]
    planner = legs_planner(model, LEGS_SAMPLES, LEGS_HORIZON, DT)
    state, times = model.rest_state, itertools.count()
    planner.plan(state, 0.0, home)
    actions = planner.candidates().actions.transpose(2, 0, 1)
    steps = round(DT / model.model.opt.timestep)
    control = np.ascontiguousarray(actions.repeat(steps, axis=1), np.float64)
    start = np.tile(np.concatenate(([0.0], state)), (len(control), 1))
    data = [mujoco.MjData(model.model) for _ in range(threads)]
    with Direct(nthread=threads if threads > 1 else 0) as direct:
        taken = machine.interleaved(
            {
                "plan": lambda: planner.plan(state, DT * next(times), home),
                "direct": lambda: direct.rollout(model.model, data, start, control),
            },
            rounds=10,
            seconds=3.0 * seconds,
        )
    count = LEGS_SAMPLES * LEGS_HORIZON
    return {
        "name": "mujoco quadruped, a plan",
        "device": "cpu",
        "samples": LEGS_SAMPLES,
        "horizon": LEGS_HORIZON,
        "threads": threads,
        "ms": taken,
        "steps_per_s": {way: round(1e3 * count / time["p50"]) for way, time in taken.items()},
        "share_around_steps": round(1.0 - taken["direct"]["p50"] / taken["plan"]["p50"], 3),
    }
