# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Plans of a robot with legs in a physics engine: how many candidates fit, and what they gain."""

from __future__ import annotations

import itertools
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.benchmarks import machine
from cem_planner_ros.benchmarks.bench_plan import THREADS
from cem_planner_ros.benchmarks.example_tasks import TASKS
from cem_planner_ros.benchmarks.part import costs
from cem_planner_ros.benchmarks.robot_tasks import controlled_by, episode
from cem_planner_ros.costs.actions import ActionRate
from cem_planner_ros.costs.barrier import Barrier
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.mujoco import Mujoco
from cem_planner_ros.dynamics.mujoco_warp import MujocoWarp
from cem_planner_ros.dynamics.physics_file import PhysicsFile
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import find
from cem_planner_ros.planning.planner import Planner

HORIZON, DT = 25, 0.02
"""Steps and s; a step has four time steps of the file."""

SAMPLES = {"cpu": (8, 16, 32, 64, 128), "cuda": (256, 1024, 4096, 16384)}
RATES = (25.0, 50.0)
"""Hz of control."""

ENGINES = {"cpu": "mujoco", "cuda": "mujoco_warp"}

SEEDS = range(3)
"""Of walks."""

SHARE = 0.8
"""Share of the period in which a plan is made, as in the default of budget_fraction."""

GO1 = "mjlab:asset_zoo/robots/unitree_go1/xmls/go1.xml"
LEGS = ("FR", "FL", "RR", "RL")
SERVOS = "".join(
    f'<position joint="{leg}_{part}_joint" name="{leg}_{part}_joint" kp="40" kv="1" '
    'inheritrange="1" forcerange="-24 24"/>'
    for leg in LEGS
    for part in ("hip", "thigh", "calf")
)
POSE = " ".join(("0 0 0.31 1 0 0 0", *["0 0.8 -1.6"] * len(LEGS)))
SCENE = f"""<mujoco><option timestep="0.005" integrator="implicitfast"/>
  <include file="{GO1}"/>
  <worldbody><geom name="floor" type="plane" size="0 0 0.1"/></worldbody>
  <actuator>{SERVOS}</actuator>
  <sensor><framezaxis name="up" objtype="site" objname="imu"/>
    <velocimeter name="velocity" site="imu"/></sensor>
  <keyframe><key name="home" qpos="{POSE}"/></keyframe></mujoco>"""
"""The Go1 of the Python package mjlab on a floor, with servos."""


def run(device: str, quick: bool, say: Callable[[str], None]) -> Iterator[dict]:
    """
    Yield a row for each robot and number of candidates; on a GPU also without exact sums.

    `candidates_per_period` has the largest number whose plans fit into the share of a period for
    planning, by their median (p50) and by the slowest percent (p99). `processor_ms` is the time of
    all CPU cores together that a plan takes; other work on the machine hardly changes it. On the
    CPU, `rest_share` is the share of it that is not MuJoCo's: MuJoCo alone simulates the candidates
    of a plan in turns with plans.
    """
    torch.set_num_threads(1)  # As in the node.
    with tempfile.TemporaryDirectory() as folder:
        found = robots(Path(folder)).items()
        for robot, file in list(found)[:1] if quick else found:
            for exact in (True, False) if device == "cuda" else (True,):
                yield from _robot(robot, file, device, exact, quick, say)


def walks(device: str, quick: bool, say: Callable[[str], None]) -> Iterator[dict]:
    """
    Yield what walking costs the Go1 of examples/robots with as many candidates as fit.

    So engines are compared at equal time rather than at equal rollouts. The row is that of the most
    candidates of SAMPLES with which the median time of a plan fits, or of the fewest where none
    fits; the CPU has one thread. There is none where mjlab, which has the robot, is not installed.
    """
    torch.set_num_threads(1)
    if not _is_installed(GO1):
        return
    task, engine = TASKS["go1"], ENGINES[device]
    period, row = task.problem().period, {}
    for samples in SAMPLES[device][: 1 if quick else None]:
        say(f"go1 walks, {samples} candidates")
        planner = task.preset(samples, 0, device=device, engine=engine)
        times = _plan_times(planner, 0.5 if quick else 5.0)
        if row and 1e-3 * times["p50"] > SHARE * period:
            break  # More candidates do not fit either.
        row = {"samples": samples, "horizon": planner.search.horizon, "plan_ms": times}
    seeds, found = SEEDS[: 1 if quick else None], []
    for seed in seeds:
        say(f"go1 walks, {row['samples']} candidates, seed {seed}")
        planner = task.preset(row["samples"], seed, device=device, engine=engine)
        found.append(-episode(task, controlled_by(planner), seed))
    name = f"go1 walks, {1.0 / period:g} Hz"
    yield {"name": name, "engine": engine, **row, **costs(seeds, found)}


def _plan_times(planner: Planner, seconds: float) -> dict[str, float]:
    """Return the times of plans of a Go1 that stands, ms."""
    state, times = planner.dynamics.rest_state, itertools.count()

    def plan() -> None:
        planner.plan(state, planner.search.dt * next(times))

    return machine.interleaved({"plan": plan}, rounds=1, seconds=seconds)["plan"]


def robots(folder: Path) -> dict[str, str]:
    """Return the file of each robot by its name; files that are made are in `folder`."""
    found = {"quadruped": "quadruped.xml"}
    if not _is_installed(GO1):
        return found
    scene = folder / "go1.xml"
    scene.write_text(SCENE)
    return {"go1": str(scene)} | found


def _is_installed(file: str) -> bool:
    """Return whether the package is there that a file is in."""
    try:
        find(file)
    except ConfigurationError:
        return False
    return True


def _robot(
    robot: str, file: str, device: str, exact: bool, quick: bool, say: Callable[[str], None]
) -> Iterator[dict]:
    fitting = {f"{rate:g} Hz": {"p50": 0, "p99": 0} for rate in RATES}
    for samples in SAMPLES[device][:2] if quick else SAMPLES[device]:
        say(f"{robot}, {samples} candidates")
        row = _plans(file, device, exact, samples, seconds=1.0 if quick else 10.0)
        for rate, most in zip(RATES, fitting.values(), strict=True):
            for quantile in most:
                if 1e-3 * row["plan_ms"][quantile] <= SHARE / rate:
                    most[quantile] = samples
        yield {
            "name": f"{robot} {samples} x {HORIZON} x 1",
            **row,
            "candidates_per_period": {rate: dict(most) for rate, most in fitting.items()},
        }
        if 1e-3 * min(row["plan_ms"]["p50"], row["processor_ms"]) > 1.0 / min(RATES):
            break  # More candidates do not fit either.


def _plans(file: str, device: str, exact: bool, samples: int, seconds: float) -> dict:
    """Return what was measured of plans with so many candidates."""
    model: PhysicsFile
    if device == "cpu":
        model = Mujoco({"file": file, "threads": min(THREADS, os.cpu_count() or 1)})
    else:
        model = MujocoWarp({"file": file, "deterministic": exact}, device=device)
    planner = legs_planner(model, samples, HORIZON, DT, device)
    home, state, times = model.named_actions["keyframe:home"], model.rest_state, itertools.count()

    def plan() -> None:
        planner.plan(state, DT * next(times), home)

    functions: dict[str, Callable[[], object]] = {"plan": plan}
    if isinstance(model, Mujoco):
        plan()
        functions["physics"] = _physics_alone(model, planner.candidates().actions)
    spent: dict[str, list[float]] = {name: [] for name in functions}
    timed = {name: _timed(function, spent[name]) for name, function in functions.items()}
    taken = machine.interleaved(timed, rounds=5, seconds=seconds)
    processor = {name: float(np.median(times)) for name, times in spent.items()}
    shares = {}
    if "physics" in processor:
        shares = {"rest_share": round(1.0 - processor["physics"] / processor["plan"], 3)}
    return {
        "engine": ENGINES[device],
        "device": device,
        "deterministic": exact,
        "samples": samples,
        "horizon": HORIZON,
        "time_steps": HORIZON * round(DT / model.model.opt.timestep),
        "iterations": 1,
        "plan_ms": taken["plan"],
        "processor_ms": round(processor["plan"], 2),
        **shares,
    }


def _timed(function: Callable[[], object], spent: list[float]) -> Callable[[], None]:
    """Return a function that notes the processor time of each call, ms, of all threads."""

    def timed() -> None:
        before = time.process_time()
        function()
        spent.append(1e3 * (time.process_time() - before))

    return timed


def _physics_alone(model: Mujoco, actions: np.ndarray) -> Callable[[], object]:
    """Return a function in which MuJoCo alone simulates actions (H, nu, n) from rest."""
    import mujoco
    from mujoco.rollout import Rollout

    physics, threads = model.model, int(model.threads)
    held = np.repeat(actions, round(DT / physics.opt.timestep), axis=0)
    steps, _, count = held.shape
    control = np.zeros((count, steps, physics.nu))
    control[..., model.actuators] = held.transpose(2, 0, 1)
    start = np.tile(np.concatenate(([0.0], model.rest_state)), (count, 1))
    states = np.zeros((count, steps, start.shape[1]))
    sensed = np.zeros((count, steps, physics.nsensordata))
    data = [mujoco.MjData(physics) for _ in range(threads)]
    engine = Rollout(nthread=threads if threads > 1 else 0)
    return lambda: engine.rollout(physics, data, start, control, state=states, sensordata=sensed)


def legs_planner(
    model: PhysicsFile, samples: int, horizon: int, dt: float, device: str = "cpu"
) -> Planner:
    """Return a planner that makes a robot of the sensors velocity and up walk; one iteration."""
    joints, home = model.action_names, model.named_actions["keyframe:home"]
    height = next(name for name in model.state_names if name.endswith("_z"))
    weights = dict.fromkeys((*joints, "velocity_x", "up_z", height), 1.0)
    targets = dict(zip(joints, home, strict=True)) | {"velocity_x": 0.3, "up_z": 1.0, height: 0.3}
    return Planner(
        model,
        [
            Quadratic(model, {"weight": weights, "target": targets}, device=device),
            Barrier(model, {f"weight.{height}": 100.0, f"low.{height}": 0.2}, device=device),
            ActionRate(model, {"weight": dict.fromkeys(joints, 0.01)}, device=device),
        ],
        nominal=home,
        samples=samples,
        elites=max(6, math.ceil(samples / 16)),
        iterations=1,
        horizon=horizon,
        dt=dt,
        order=3,
        knot_spacing=5,
        std_initial=0.15,
        device=device,
    )
