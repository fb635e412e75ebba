# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Robots of the demos in lockstep: one run, judged as the demo judges it.

The control loop of the node and a MuJoCo plant share one simulated clock, so that a run depends
only on its seed; only the times of plans depend on the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch

from cem_planner_ros.benchmarks import machine
from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.control.integration import Integration, most_leads
from cem_planner_ros.control.ladder import STOPPED
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.paths import share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.simulation import column_reach, figure_eight, walking
from cem_planner_ros.simulation.column_reach import GoalsAroundColumn, Tip
from cem_planner_ros.simulation.figure_eight import FigureOfEight
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import MujocoPlant

SEEDS = 10

PLANNING = 0.5
"""Share of the period after which the quadruped is commanded; it moves on meanwhile."""

NOISE = 0.02
"""Noise of its actions, as a share of half their range; it makes seeds differ."""

PHYSICS_CALLS = 30
"""Rollouts whose median time is the time of the physics."""


def run(quick: bool, say: Callable[[str], None]) -> Iterator[dict[str, object]]:
    """Yield the result of each robot and seed."""
    torch.set_num_threads(1)
    for robot, (file, episode) in EPISODES.items():
        configuration, planner = prepared(file)
        for seed in range(1 if quick else SEEDS):
            say(f"{robot}, seed {seed}")
            yield episode(configuration, planner, seed)


def prepared(file: str, values: Mapping[str, object] = {}) -> tuple[Configuration, Planner]:
    """Return configuration and planner of a file in the package's config, with other values."""
    configuration = configure(
        load_yaml(share("config") / file) | {"planner.device": "cpu", **values}
    )
    return configuration, configuration.planner()


def fly(
    configuration: Configuration, planner: Planner, seed: int, duration: float = 20.0
) -> dict[str, object]:
    """
    Return the result of one flight of a figure of eight, `duration` s from its beginning on.

    The error is the root mean square of the distance, m.
    """
    times, positions, run = flown(configuration, planner, seed, duration)
    distances = FigureOfEight(seed).distances(times, positions)
    result = figure_eight.result(times, distances, positions[:, 2])
    return {
        "robot": "quadrotor",
        "seed": seed,
        "success": not result.problems,
        "error": round(result.error, 4),
        "fell": bool(positions[:, 2].min() < figure_eight.LOWEST),
        **timing(configuration, run),
        "physics_share": 0.0,
    }


def flown(
    configuration: Configuration, planner: Planner, seed: int, duration: float
) -> tuple[np.ndarray, np.ndarray, Lockstep]:
    """Return times (n,), s from the beginning of the figure, positions (n, 3), m, and the run."""
    figure = FigureOfEight(seed)
    plant = MujocoPlant(share("models") / "quadrotor.xml", figure_eight.start(seed))
    planner.reset()
    run = Lockstep(configuration, planner, lambda: flying(plant), plant.step)
    ((name, source),) = configuration.reference_sources.items()
    second, reference, way = -1, None, []
    while run.time < figure_eight.APPROACH + duration:
        since = run.time - figure_eight.APPROACH
        if int(max(since + 1e-9, 0.0)) > second:
            second = int(max(since + 1e-9, 0.0))
            times, positions, velocities = figure.trajectory(second, figure_eight.AHEAD)
            values = np.hstack((positions, velocities, np.tile(LEVEL, (len(times), 1))))
            new = Reference(source, figure_eight.APPROACH + times, values, is_trajectory=True)
            reference = new.after(reference, run.time, run.time)
        run.loop.commander.references = {name: reference}
        run.period()
        way.append((run.time - figure_eight.APPROACH, *plant.physics_state()[:3]))
    return np.array(way)[:, 0], np.array(way)[:, 1:], run


def reach(
    configuration: Configuration, planner: Planner, seed: int, duration: float = 20.0
) -> dict[str, object]:
    """
    Return the result of an arm that reaches goals around a column for `duration` s.

    The error is the largest distance of the tip from a goal, m, from 1 s after it came on.
    """
    goals = GoalsAroundColumn(seed)
    plant = MujocoPlant(share("models") / "arm.xml", column_reach.start(seed))
    planner.reset()
    joints = len(planner.dynamics.state_names)
    jumps: list[float] = []

    def measured() -> np.ndarray:
        return plant.physics_state()[:joints]

    period = 1.0 / configuration.values["control_rate"]
    leads = most_leads(configuration.control_settings, configuration.values["command.max_lead"])
    integration = Integration(configuration.integrated_rows(), period, leads)

    def step(speeds: np.ndarray, duration: float) -> None:
        is_stopped = run.loop.commander.ladder.status == STOPPED
        sent = integration.command(speeds, run.time, measured(), is_stopped)
        jumps.append(float(np.abs(sent - measured()).max()))
        plant.step(sent, duration)

    run = Lockstep(configuration, planner, measured, step)
    ((name, source),) = configuration.reference_sources.items()
    tip, times, states = Tip(), [], []
    while run.time < duration:
        pose, now = goals.goal(goals.index(run.time)), np.array([run.time])
        run.loop.commander.references = {name: Reference(source, now, pose[None])}
        run.period()
        times.append(run.time - 1e-6)
        states.append(measured())
    distances = goals.distances(np.array(times), tip.at(np.array(states)))
    most = column_reach.most_jump(configuration)
    result = column_reach.result(np.array(times), distances, bool(plant.touched), jumps[0], most)
    return {
        "robot": "arm",
        "seed": seed,
        "success": not result.problems,
        "error": round(max(result.errors, default=np.inf), 4),
        "fell": False,
        **timing(configuration, run),
        "physics_share": 0.0,
    }


def walk(
    configuration: Configuration,
    planner: Planner,
    seed: int,
    duration: float = walking.DURATION,
) -> dict[str, object]:
    """
    Return the result of one walk, `duration` s, as `walking.judge` sees it.

    The error is the root mean square of the error of the velocity in the plane, m/s.
    """
    motion, run = walked(configuration, planner, seed, duration)
    found, problems = walking.judge(motion, duration)
    return {
        "robot": "quadruped",
        "seed": seed,
        "success": not problems,
        "error": found["velocity_error_m_s"],
        **timing(configuration, run),
        "physics_share": physics_share(planner, run),
        **found,
    }


def walked(
    configuration: Configuration, planner: Planner, seed: int, duration: float, start: str = "home"
) -> tuple[walking.Walk, Lockstep]:
    """
    Return the motion of a quadruped that is commanded and pushed, and what ran it.

    It begins at the keyframe `start`.
    """
    plant = MujocoPlant(share("models") / "quadruped.xml", start)
    (base,) = plant.free_joints
    random, seen = np.random.default_rng(seed), []

    def step(action: np.ndarray, seconds: float) -> None:
        noise = NOISE * plant.action_range * random.standard_normal(len(action))
        plant.step(action + noise, seconds)
        seen.append((plant.time, *plant.physics_state()))

    planner.reset()
    period = 1.0 / configuration.values["control_rate"]
    run = Lockstep(configuration, planner, plant.physics_state, step, PLANNING * period)
    ((name, source),) = configuration.reference_sources.items()
    is_pushed = False
    while run.time < duration - 1e-9:
        wanted = walking.command_at(run.time)[None]
        reference = Reference(source, np.array([run.time]), wanted)
        run.loop.commander.references = {name: reference}
        if run.time >= walking.PUSH_TIME and not is_pushed:
            plant.push(base, np.array(walking.PUSH))
            is_pushed = True
        run.period()
    times, states = np.split(np.array(seen), [1], axis=1)
    first = configuration.dynamics.state_names.index(f"{base}_x_dot")
    motion = walking.motion(states[:, :7], states[:, first : first + 6])
    return walking.Walk(times[:, 0], *motion), run


def physics_share(planner: Planner, run: Lockstep) -> float:
    """Return which share of the median time of a plan the model takes that rolls out itself."""
    search, model = planner.search, planner.dynamics
    start = torch.tensor(model.rest_state, dtype=torch.float32)[:, None]
    action = torch.tensor(model.named_actions["keyframe:home"], dtype=torch.float32)
    sequence = action[None, :, None].repeat(search.horizon, 1, search.samples)
    durations, taken = torch.full((search.horizon,), search.dt), []
    for _ in range(PHYSICS_CALLS):
        began = time.perf_counter()
        model.rollout(start.expand(-1, search.samples), sequence, durations)
        taken.append(time.perf_counter() - began)
    return round(float(np.median(taken) / np.median(run.plan_times)), 3)


def flying(plant: MujocoPlant) -> np.ndarray:
    """Return the state (10,) of a body in the air in the order of the model `quadrotor`."""
    state = plant.physics_state()
    return np.concatenate((state[:3], state[7:10], state[3:7]))


def timing(configuration: Configuration, run: Lockstep) -> dict[str, object]:
    """Return the real times of the plans of a run, ms, and how many took longer than a period."""
    times, period = np.array(run.plan_times), 1.0 / configuration.values["control_rate"]
    return {
        "plan_ms": machine.quantiles(1e3 * times, digits=2),
        "period_ms": round(1e3 * period, 2),
        "late": int((times > period).sum()),
    }


LEVEL = (1.0, 0.0, 0.0, 0.0)
"""The attitude of which the trajectory's heading counts, as a quaternion."""

EPISODES: Mapping[str, tuple[str, Callable[[Configuration, Planner, int], dict[str, object]]]] = {
    "arm": ("arm.yaml", reach),
    "quadrotor": ("quadrotor.yaml", fly),
    "quadruped": ("quadruped.yaml", walk),
}
"""{robot: (file of the planner, function of configuration, planner and seed)}."""
