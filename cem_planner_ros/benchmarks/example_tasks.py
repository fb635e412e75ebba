# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Robots of examples/robots as tasks: the files as they are, with a budget of rollouts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cem_planner_ros.benchmarks.robot_tasks import (
    ControlProblem,
    RobotTask,
    samples_within,
    search_of,
)
from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.paths import share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.planner_arguments import nominal_action


@dataclass(frozen=True, kw_only=True)
class ExampleTask(RobotTask):
    """
    A robot of examples/robots.

    Attributes:
        name: of its parameter file, without the ending.
    """

    name: str

    def configuration(
        self, device: str = "cpu", engine: str = "mujoco", **settings: Any
    ) -> Configuration:
        """Return the configuration of its file, with another engine and settings of the search."""
        folder = share("examples") / "robots"
        values = load_yaml(folder / f"{self.name}.yaml")
        values |= {"planner.device": device, "dynamics.plugin": engine}
        values.pop("dynamics.threads", None)  # One is the default.
        values["dynamics.file"] = str(folder / values["dynamics.file"])
        values |= {f"planner.{name}": value for name, value in settings.items()}
        with _on_path(folder):
            return configure(values, self.name)

    def problem(self) -> ControlProblem:
        """Return what a method plans with; the costs are those of the file."""
        configuration = self.configuration()
        values, limits = configuration.values, configuration.tuning()
        low, high = np.array(limits["low"]), np.array(limits["high"])
        model, costs = configuration.dynamics, list(configuration.costs.values())
        return ControlProblem(
            model,
            costs,
            values["planner.dt"],
            values["planner.horizon"],
            1.0 / values["control_rate"],
            low,
            high,
            nominal_action(model, costs, limits["nominal"], low, high).action,
        )

    def preset(self, rollouts: int, seed: int, **engine: str) -> Planner:
        """Return the planner of the file, with the budget; `engine` as in `configuration`."""
        settings = search_of(self.configuration().values)
        samples = samples_within(rollouts, settings)
        return self.configuration(**engine, samples=samples, seed=seed).planner()


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let the plugins of a folder be imported."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def at_home(model, data, random) -> None:
    """Put the robot at its keyframe home."""
    data.qpos[:] = model.key("home").qpos
    data.ctrl[:] = model.key("home").ctrl


def around_the_goal(model, data, random) -> None:
    """Put the pusher 1 m and the cylinder 2 m from the goal, each in a random direction."""
    directions = random.uniform(0.0, 2.0 * np.pi, 2)
    for place, (angle, distance) in enumerate(zip(directions, (1.0, 2.0), strict=True)):
        data.qpos[2 * place : 2 * place + 2] = distance * np.array([np.cos(angle), np.sin(angle)])


TASKS = {
    task.name: task
    for task in (
        ExampleTask(name="cylinder_push", reset=around_the_goal, steps=150, rollouts=(32,)),
        ExampleTask(name="leap_cube", reset=at_home, steps=125, rollouts=(32,)),
        ExampleTask(name="fr3_pick", reset=at_home, steps=100, rollouts=(64,)),
        ExampleTask(name="go1", reset=at_home, steps=100, rollouts=(32,)),
    )
}
"""The numbers of rollouts are those of judo, which has none for the Go1."""
