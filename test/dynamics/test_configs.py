# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The YAML files of the models, closed over the plant 'model' without ROS."""

from pathlib import Path

import numpy as np
import pytest

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.simulation.plants import ModelPlant

CONFIG = Path(__file__).parents[2] / "config"


def wrapped(angle):
    return np.remainder(angle + np.pi, 2 * np.pi) - np.pi


TASKS = {
    "pendulum": (5.0, lambda s: abs(wrapped(s[-1, 0])) < 0.1 and abs(s[-1, 1]) < 0.3),
    "double_integrator": (
        8.0,
        lambda s: np.abs(s[-1, :2] - [2.0, 1.0]).max() < 0.1 and np.abs(s[:, 2:]).max() < 0.55,
    ),
    "diff_drive_pose": (
        8.0,
        lambda s: np.abs(s[-1, :2] - [2.0, 1.0]).max() < 0.1 and abs(s[-1, 2]) < 0.3,
    ),
    "diff_drive_lag": (
        8.0,
        lambda s: np.abs(s[-1, :2] - [2.0, 1.0]).max() < 0.1 and abs(s[-1, 2]) < 0.3,
    ),
    "ackermann": (
        10.0,
        lambda s: np.abs(s[-1, :2] - [0.0, 1.0]).max() < 0.15 and abs(s[-1, 2]) < 0.25,
    ),
    "single_track": (
        6.0,
        lambda s: abs(s[-1, 1] - 3.5) < 0.2 and abs(s[-1, 2]) < 0.05 and abs(s[-1, 3] - 15.0) < 1.0,
    ),
    "quadrotor_hover": (5.0, lambda s: np.abs(s[-1, :3] - [2.0, 1.0, 1.5]).max() < 0.15),
    "planar_arm": (
        4.0,
        lambda s: abs(wrapped(s[-1, 0] - np.pi / 2)) < 0.2 and abs(wrapped(s[-1, 1])) < 0.2,
    ),
}
"""Seconds of the plant, and what its states (steps, nx) show when the task is done."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_the_file_of_a_model_does_its_task_in_a_kernel(name):
    seconds, is_done = TASKS[name]
    file = CONFIG / f"{name}.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    simulator = load_yaml(CONFIG / f"{name}_simulator.yaml", "simulator")
    assert not {"state_topic", "command_topic"} & simulator.keys(), "they are the planner's"
    planner = configuration.planner()
    assert (planner.execution.name, planner.execution.reason) == ("kernel", "")
    # `check` and the node plan from there before a state has come.
    assert np.isfinite(planner.plan(np.zeros(len(configuration.dynamics.state_names)), 0.0).cost)
    planner.reset()
    zero = "0 " * len(configuration.dynamics.state_names)
    start = [float(number) for number in simulator.get("start", zero).split()]
    plant = ModelPlant(configuration, np.array(start))
    period = 1.0 / configuration.values["control_rate"]
    action = np.array(configuration.action("safe"))
    states = []
    for tick in range(round(seconds / period)):
        states.append(plant.state())
        action = planner.plan(plant.state(), tick * period, action).action_at(tick * period)
        plant.step(action, period)
    assert is_done(np.array(states)), states[-1]
