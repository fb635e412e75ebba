"""From driving a plant to driving it with what was learned, as docs/learning.md tells."""

import numpy as np

from cem_planner_ros import cli
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.learning import recording
from cem_planner_ros.learning import task as tasks
from cem_planner_ros.paths import share
from cem_planner_ros.simulation.plants import ModelPlant

FILE = share("config") / "pendulum.yaml"
PERIOD = 0.05
SEARCH = {"planner.samples": 128, "planner.elites": 16, "planner.iterations": 2}


def test_a_pendulum_is_swung_up_with_a_model_of_its_own_data(tmp_path):
    values = load_yaml(FILE) | {"planner.device": "cpu", "planner.backend": "eager"} | SEARCH
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
    arguments += ["--members", "2", "--hidden", "32", "32", "--epochs", "60"]
    assert cli.main(["train", *map(str, arguments)]) == 0

    del values["dynamics.integrator"]
    learned = {"dynamics.plugin": "ensemble", "dynamics.file": str(tmp_path / "model.safetensors")}
    planner = configure(values | learned).planner()
    plant = ModelPlant(configuration, np.array([np.pi, 0.0]))

    def planned(state, now):
        return planner.plan(state, now).actions[0]

    states = [state for _, state, _ in recording.drive(plant, [0, 1], planned, 6.0, PERIOD)]
    angles = np.remainder(np.array(states)[:, 0] + np.pi, 2 * np.pi) - np.pi
    assert np.abs(angles[-20:]).max() < 0.2
