# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The smoothness of commands: what the benchmarks report, and that of the shipped defaults."""

import dataclasses

import numpy as np
import pytest
import torch

from cem_planner_ros.benchmarks import bench_drive, bench_quality
from cem_planner_ros.benchmarks.mppi import ReferenceMPPI, savitzky_golay
from cem_planner_ros.benchmarks.tasks import TASKS
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.simulation.lockstep import Lockstep

SHORT_WORLD = """
<mujoco model="short">
  <include file="{robot}"/>
  <custom>
    <numeric name="start" data="0 0 0"/>
    <numeric name="goal" data="2 0 0"/>
    <numeric name="path" data="0 0  2 0"/>
  </custom>
  <worldbody>
    <geom name="ground" type="plane" size="20 20 1"/>
  </worldbody>
</mujoco>
"""


@pytest.fixture(scope="module")
def configuration():
    return bench_drive.load()


@pytest.fixture(scope="module")
def planner(configuration):
    return configuration.planner()


def model_as_plant(configuration, planner, start):
    """Return a lockstep with the model as plant, and a function that returns its state."""
    model, now = configuration.dynamics, [np.array(start, dtype=float)]

    def step(action, duration):
        state, held = (
            torch.tensor(np.asarray(part), dtype=torch.float32)[:, None]
            for part in (now[0], action)
        )
        for _ in range(10):
            state = model.step(state, held, torch.tensor(duration / 10))
        now[0] = state[:, 0].numpy().astype(float)

    return Lockstep(configuration, planner, lambda: now[0], step), lambda: now[0]


def drive_straight(configuration, planner, periods):
    """Return commands and states along a straight path; the model is the plant."""
    lockstep, state = model_as_plant(configuration, planner, np.zeros(5))
    commander = lockstep.loop.commander
    path = ReferencePath.through(np.array([[0.0, 0.0], [10.0, 0.0]]))
    cells, corner = np.zeros((100, 300), np.int8), Pose(-2.0, -2.5, 0.0)
    commands, states = [], []
    for _ in range(periods):
        costmap = Costmap(cells, 0.05, corner, lockstep.time)
        commander.surroundings = Surroundings(Pose(10.0, 0.0, 0.0), path, costmap)
        lockstep.period()
        commands.append(commander.last_action)
        states.append(state())
    return np.array(commands), np.array(states)


def test_the_shipped_defaults_drive_straight_without_swaying(configuration, planner):
    commands, states = drive_straight(configuration, planner, 120)
    v, yaw_rate = commands[40:].T  # Without the first turn into the path.
    assert states[-1, 0] > 2.5
    assert np.abs(states[:, 1]).max() < 0.06
    assert np.sqrt(np.mean(yaw_rate**2)) < 0.05
    assert np.abs(np.diff(yaw_rate)).mean() < 0.01 * 3.8
    assert np.abs(np.diff(v)).mean() < 0.01 * 0.85


def test_the_shipped_cartpole_is_held_upright_without_shaking():
    configuration = configure(
        load_yaml(share("config") / "cartpole.yaml") | {"planner.device": "cpu"}
    )
    start = [0.0, 0.0, 0.1, 0.0]
    lockstep, state = model_as_plant(configuration, configuration.planner(), start)
    forces = []
    for _ in range(250):
        lockstep.period()
        forces.append(lockstep.loop.commander.last_action[0])
    assert abs(state()[2]) < 0.05
    assert np.std(forces[-50:]) < 0.1


def test_the_row_of_a_drive_says_how_smooth_it_was(configuration, planner, tmp_path):
    pytest.importorskip("mujoco")
    world = tmp_path / "short.xml"
    robot = share("models") / "diff_drive" / "robot.xml"
    world.write_text(SHORT_WORLD.format(robot=robot.resolve()))
    row = bench_drive.drive(configuration, planner, str(world), 0)
    assert row["arrived"]
    assert 0.0 <= row["yaw_rate_rms"] < 1.9
    assert set(row["command_change"]) == {"v", "yaw_rate"}
    assert all(0.0 <= change < 0.1 for change in row["command_change"].values())
    assert row["jerk"] > 0.0


def test_the_reference_drives_the_same_path(configuration):
    commands, states = drive_straight(configuration, ReferenceMPPI(configuration), 40)
    assert states[-1, 0] > 0.3
    assert np.abs(states[:, 1]).max() < 0.3
    assert (commands >= configuration.action("low")).all()
    assert (commands <= configuration.action("high")).all()


def test_the_filter_of_the_reference_keeps_parabolas_and_damps_noise():
    weights = savitzky_golay(9, 2)
    place = np.arange(-4, 5)
    for values in (np.ones(9), place, 3.0 * place**2 - place + 2.0):
        assert weights @ values == pytest.approx(values[4], abs=1e-9)
    assert np.square(weights).sum() < 0.3


def test_quality_says_how_steady_the_commands_are_at_the_end():
    task = dataclasses.replace(TASKS["doorway"], steps=4)
    run = bench_quality.closed_loop(task, bench_quality.Method(), 64, 2, 10, 0)
    assert run.cost > 0.0
    assert run.steady_rms.shape == (2,)
    assert (run.steady_rms >= 0.0).all()
