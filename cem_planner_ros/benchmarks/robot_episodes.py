"""
Robots of the demos in lockstep: one run, judged as the demo judges it.

The control loop of the node and a MuJoCo plant share one simulated clock, so that a run depends
only on its seed; only the times of plans depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.control.integration import Integration
from cem_planner_ros.control.ladder import STOPPED
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.paths import share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.simulation import column_reach, figure_eight
from cem_planner_ros.simulation.column_reach import GoalsAroundColumn, Tip
from cem_planner_ros.simulation.figure_eight import FigureOfEight
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import MujocoPlant


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
    flown = np.array(way)
    times, positions = flown[:, 0], flown[:, 1:]
    distances = figure.distances(times, positions)
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
    integration = Integration(configuration.integrated_rows(), period)

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


def flying(plant: MujocoPlant) -> np.ndarray:
    """Return the state (10,) of a body in the air in the order of the model `quadrotor`."""
    state = plant.physics_state()
    return np.concatenate((state[:3], state[7:10], state[3:7]))


def timing(configuration: Configuration, run: Lockstep) -> dict[str, object]:
    """Return the real times of the plans of a run, ms, and how many took longer than a period."""
    times, period = np.array(run.plan_times), 1.0 / configuration.values["control_rate"]
    p50, p99 = np.percentile(1e3 * times, (50, 99))
    return {
        "plan_ms": {"p50": round(float(p50), 2), "p99": round(float(p99), 2)},
        "period_ms": round(1e3 * period, 2),
        "late": int((times > period).sum()),
    }


LEVEL = (1.0, 0.0, 0.0, 0.0)
"""The attitude of which the trajectory's heading counts, as a quaternion."""

EPISODES: Mapping[str, tuple[str, Callable[[Configuration, Planner, int], dict[str, object]]]] = {
    "arm": ("arm.yaml", reach),
    "quadrotor": ("quadrotor_flight.yaml", fly),
}
"""{robot: (file of the planner, function of configuration, planner and seed)}."""
