# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
How well a robot drives in worlds with obstacles on its path, seen by its lidar.

The control loop of the node, MuJoCo's robot and the map of its scans run in lockstep, so that a run
depends only on world and seed; only the times of plans depend on the machine.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from cem_planner_ros.benchmarks import machine
from cem_planner_ros.benchmarks.mppi import ReferenceMPPI
from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.ros import node_processes
from cem_planner_ros.studies import episode
from cem_planner_ros.studies.courses import WorldCourse
from cem_planner_ros.studies.workers import Here, Workers, in_order

WORLDS = ("rooms", "pillars", "clutter", "crossing")

MOVING = {"crossing": 8}
"""Number of moving obstacles that plans consider in worlds with pedestrians."""

EMPTY_WORLDS = ("straight", "curve")
"""Worlds with nothing in the way, for the smoothness of commands."""

BEGIN, END = 1.0, 3.0
"""s at the begin and at the end of a run, in which its smoothness is not measured."""

SEEDS = 10

AT_MOST = 90.0
"""s for a way of about 10 m."""

BUDGETS = {
    "2000 x 56, 1 iteration": (2000, 1),
    "500 x 56, 4 iterations": (500, 4),
    "400 x 56, 5 iterations": (400, 5),
}
"""Samples and iterations of the plans whose times are measured."""

PLANS = 300

DEFAULTS = "defaults"

METHODS: dict[str, Callable[[Configuration], Planner | ReferenceMPPI]] = {
    DEFAULTS: lambda configuration: configuration.planner(),
    "mppi_reference": ReferenceMPPI,
}
"""What is compared: this planner, and MPPI as Nav2 ships it."""

CANDIDATES = 50
"""Trajectories in a picture."""


def run(quick: bool, say: Callable[[str], None], workers: Workers | None = None) -> Iterator[dict]:
    """Yield a row for each world and seed; `workers` run them, this process if None."""
    seeds = range(2 if quick else SEEDS)
    calls = [(world, seed) for world in WORLDS[: 1 if quick else None] for seed in seeds]
    found = in_order(workers or Here(), _drive_in, calls)
    for world, seed in calls:
        say(f"{world}, seed {seed}")
        yield {"world": world, "seed": seed, **next(found)}


def smoothness(
    quick: bool, say: Callable[[str], None], workers: Workers | None = None
) -> Iterator[dict]:
    """Yield a row for each empty world and method: this planner and MPPI as Nav2 ships it."""
    worlds = EMPTY_WORLDS[: 1 if quick else None]
    calls = [(world, 0, name) for world in worlds for name in METHODS]
    found = in_order(workers or Here(), _drive_in, calls)
    for world, _, name in calls:
        say(f"{world}, {name}")
        yield {"world": world, "method": name, **next(found)}


def _drive_in(world: str, seed: int, name: str = DEFAULTS) -> dict:
    """Return how a run went; a worker may call it."""
    torch.set_num_threads(1)
    return drive(*method(name, MOVING.get(world, 0)), world, seed)


@functools.lru_cache(maxsize=2)
def method(name: str, moving_obstacles: int = 0) -> tuple[Configuration, Planner | ReferenceMPPI]:
    """Return a configuration, and what plans with it: one of METHODS, by name."""
    configuration = load(moving_obstacles)
    return configuration, METHODS[name](configuration)


def around() -> Surroundings:
    """Return a straight path, its goal, and a costmap with an obstacle on the way."""
    cells = np.zeros((200, 200), np.int8)
    cells[95:110, 150:160] = 100
    middle = Pose(-2.5, -2.5, 0.0)
    surroundings = Surroundings(
        Pose(8.0, 0.0, 0.0),
        ReferencePath.through(np.array([[0.0, 0.0], [10.0, 0.0]])),
        Costmap(cells, 0.025, middle, 0.0),
    )
    surroundings.costmap.distance  # noqa: B018, it is made when it is first asked for
    return surroundings


def plan_times(device: str, quick: bool, profiles: bool = False) -> Iterator[dict]:
    """Yield the time of a plan with all costs of `config/drive.yaml`, for each budget."""
    torch.set_num_threads(1)
    budgets = {"16384 x 56, 1 iteration": (16384, 1)} if device == "cuda" else BUDGETS
    seen, update = around(), []
    for _ in range(PLANS // 10 if quick else PLANS):
        began = time.perf_counter()
        seen.costmap.__dict__.pop("distance")
        seen.costmap.distance  # noqa: B018
        update.append(1e3 * (time.perf_counter() - began))
    for name, (samples, iterations) in budgets.items():
        configuration = load(samples=samples, iterations=iterations, device=device)
        planner = configuration.planner()
        index = itertools.count()

        def plan(planner=planner, index=index):
            planner.plan(np.zeros(5), 0.05 * next(index), np.zeros(2), surroundings=seen)

        times = []
        for _ in range(PLANS // 10 if quick else PLANS):
            began = time.perf_counter()
            plan()
            times.append(1e3 * (time.perf_counter() - began))
        yield {
            "name": name,
            "backend": planner.execution.name,
            "threads": configuration.values["planner.threads"],
            "plan_ms": machine.quantiles(times, digits=2),
            **machine.on_gpu(planner, plan, profiles),
            "costmap_ms": machine.quantiles(update, digits=2),
        }


def marker_times(quick: bool) -> dict | None:
    """
    Return the processor time of a picture of plan and CANDIDATES, published; None without ROS.

    So much of a core, `marker_rate` times a second, is taken between commands.
    """
    try:
        import rclpy
        from visualization_msgs.msg import MarkerArray

        from cem_planner_ros.ros.markers import BEST, Drawing, Line, in_space
        from cem_planner_ros.ros.reports import candidate_lines
    except ImportError:
        return None
    node_processes.isolate()
    planner, state, applied = load().planner(), np.zeros(5), np.zeros(2)
    drawing, names = Drawing("odom"), planner.dynamics.state_names
    rclpy.init()
    node = rclpy.create_node("pictures")
    # Without a reader nothing would be sent.
    node.create_subscription(MarkerArray, "markers", lambda message: None, 1, raw=True)
    publisher = node.create_publisher(MarkerArray, "markers", 1)
    times = []
    for index in range(PLANS // 10 if quick else PLANS):
        plan = planner.plan(state, 0.05 * index, applied)
        began = time.process_time()
        states = planner.predict(plan, state, applied)
        lines = [Line("plan", 0.03, BEST, in_space(states, names))]
        lines += candidate_lines(planner, CANDIDATES)
        publisher.publish(drawing.draw(lines))
        times.append(1e3 * (time.process_time() - began))
    node.destroy_node()
    rclpy.shutdown()
    return {
        "name": f"markers of {CANDIDATES} x 56",
        "marker_ms": machine.quantiles(times, digits=2),
    }


def load(moving_obstacles: int = 0, **changes) -> Configuration:
    """Return the configuration of `config/drive.yaml` with some values changed, planner.SETTING."""
    file = share("config") / "drive.yaml"
    changes = {f"planner.{name}": value for name, value in ({"device": "cpu"} | changes).items()}
    changes["obstacles.moving_obstacles"] = moving_obstacles
    return configure(load_yaml(file) | changes, str(file))


def drive(
    configuration: Configuration, planner: Planner | ReferenceMPPI, world_name: str, seed: int
) -> dict:
    """
    Return how a run from start to goal went.

    `path_error_m` is the mean distance from the path, of which going around obstacles is a part;
    `jerk` the root mean square of the second difference of the robot's speed, m/s^3.
    `yaw_rate_rms` is that of the commanded yaw rate, rad/s. `command_change` is the mean absolute
    change of each command from one period to the next, as a share of the command's range. Both
    leave out the first BEGIN and the last END seconds.
    """
    padding = configuration.values["drive.moving_obstacles_padding"]
    course = WorldCourse(world_name, seed, padding)
    run = episode.drive(configuration, planner, course, AT_MOST)
    way, path = run.states[1:], course.path
    nearest = path.at(np.array([path.nearest(point) for point in way[:, :2]]))
    off = np.linalg.norm(nearest - way[:, :2], axis=1)
    jerk = np.diff(way[:, 3], 2) / run.period**2
    return {
        "arrived": run.is_goal_reached,
        "touched": list(course.touched),
        "time_s": round(run.seconds, 2),
        "path_error_m": round(float(np.mean(off)), 3),
        "jerk": round(_rms(jerk), 2),
        **_smoothness(configuration, run.commands),
        "plan_ms": machine.quantiles([1e3 * took for took in run.plan_times], digits=2),
    }


def _smoothness(configuration: Configuration, commands: np.ndarray) -> dict:
    """Return how smooth the commands (periods, nu) of a run are, without its begin and its end."""
    rate = configuration.values["control_rate"]
    middle = commands[round(BEGIN * rate) : len(commands) - round(END * rate)]
    if len(middle) < 2:  # A run that ended early has no other part.
        middle = commands
    names = configuration.dynamics.action_names
    ranges = np.subtract(configuration.action("high"), configuration.action("low"))
    change = np.abs(np.diff(middle, axis=0)).mean(axis=0) / ranges
    return {
        "yaw_rate_rms": round(_rms(middle[:, names.index("yaw_rate")]), 4),
        "command_change": {
            name: round(float(value), 4) for name, value in zip(names, change, strict=True)
        },
    }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
