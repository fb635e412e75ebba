# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""From a recording to a model, and what is learned in the loop of the node."""

from time import process_time

import numpy as np
import pytest

from cem_planner_ros import cli
from cem_planner_ros.benchmarks.bench_learning import cartpole
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.learning import recording
from cem_planner_ros.learning import task as tasks
from cem_planner_ros.paths import share
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant

FILE = share("config") / "pendulum.yaml"
PERIOD = 0.05
SEARCH = {"planner.samples": 128, "planner.elites": 16, "planner.iterations": 2}


def wrapped(angle):
    return np.remainder(angle + np.pi, 2 * np.pi) - np.pi


def test_a_pendulum_is_swung_up_with_a_model_of_its_own_data(tmp_path):
    values = load_yaml(FILE) | {"planner.device": "cpu"} | SEARCH
    task = tasks.load(FILE)
    configuration = configure(values)
    random = np.random.default_rng(0)
    with recording.BagWriter(tmp_path / "bag", task) as writer:
        begin = 1.0
        for angle in (3.1, 0.3, 2.0, -1.0, -2.5, 1.5, 3.1, 0.1, -0.2, 1.0):
            plant = ModelPlant(configuration, np.array([angle, random.uniform(-3.0, 3.0)]))
            torque = np.zeros(1)

            def act(state, now):
                nonlocal torque
                if round(now / PERIOD) % 5 == 0:
                    torque = random.uniform(-3.0, 3.0, 1)
                return torque

            for now, state, action in recording.drive(plant, [0, 1], act, 8.0, PERIOD):
                writer.state(begin + now, state)
                writer.command(begin + now, action)
            begin += 10.0
    arguments = ["--bag", tmp_path / "bag", "--config", FILE, "--out", tmp_path / "model"]
    arguments += ["--members", "3", "--hidden", "24", "24", "--epochs", "80"]
    assert cli.main(["train", *map(str, arguments)]) == 0

    del values["dynamics.integrator"]
    learned = {"dynamics.plugin": "ensemble", "dynamics.file": str(tmp_path / "model.safetensors")}
    learned = configure(values | learned)
    plant = ModelPlant(configuration, np.array([np.pi, 0.0]))
    run = Lockstep(learned, learned.planner(), plant.state, plant.step)
    angles = []
    while run.time < 6.0:
        run.period()
        angles.append(abs(wrapped(plant.state()[0])))
    assert max(angles[-50:]) < 0.3


@pytest.mark.alone
def test_the_shipped_model_swings_the_cart_pole_up_within_its_period():
    """The file of the node drives MuJoCo with what `train` made of a recording of the demo."""
    file = share("config") / "cartpole_learned.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    planner = configuration.planner()
    assert (planner.execution.name, planner.execution.reason) == ("kernel", "")
    plant, order = cartpole(tasks.load(share("config") / "cartpole.yaml"))
    run = Lockstep(configuration, planner, lambda: plant.state()[order], plant.step)
    assert configuration.values["planner.threads"] == 1
    angles, took = [], []
    while run.time < 5.0:
        began = process_time()  # Others may use the processor too.
        run.period()
        took.append(process_time() - began)
        angles.append(abs(wrapped(plant.state()[order][2])))
    assert max(angles[-25:]) < 0.25
    assert np.median(took) < 0.8 * run.loop.commander.period
