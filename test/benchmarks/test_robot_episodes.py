# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Robots of the demos in lockstep, with the shipped files."""

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

from cem_planner_ros.benchmarks.robot_episodes import (  # noqa: E402
    EPISODES,
    fly,
    prepared,
    reach,
    walk,
    walked,
)
from cem_planner_ros.configuration import configure, load_yaml  # noqa: E402
from cem_planner_ros.paths import share  # noqa: E402
from cem_planner_ros.simulation import walking  # noqa: E402
from cem_planner_ros.simulation.column_reach import MOST_ERROR as MOST_REACH  # noqa: E402
from cem_planner_ros.simulation.column_reach import STARTS  # noqa: E402
from cem_planner_ros.simulation.figure_eight import MOST_ERROR  # noqa: E402

KEYS = {
    "robot",
    "seed",
    "success",
    "error",
    "fell",
    "plan_ms",
    "period_ms",
    "physics_share",
    "late",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quadrotor():
    return prepared(EPISODES["quadrotor"][0])


def test_a_quadrotor_flies_the_figure_of_eight(quadrotor):
    row = fly(*quadrotor, seed=1, duration=3.0)
    assert row.keys() == KEYS
    assert row["success"]
    assert 0.0 < row["error"] < 0.5 * MOST_ERROR
    assert (row["robot"], row["seed"], row["fell"]) == ("quadrotor", 1, False)


@pytest.fixture(scope="module")
def quadruped():
    return prepared(EPISODES["quadruped"][0])


@pytest.mark.extras
def test_a_quadruped_walks_forward(quadruped):
    """It stands for 2 s before."""
    motion, run = walked(*quadruped, seed=0, duration=4.0)
    assert len(run.plan_times) == 100
    assert motion.heights.min() > 0.2
    assert motion.uprights.min() > 0.9
    walks = motion.times > 3.0
    forward, sideways, _ = motion.velocities[walks].mean(axis=0)
    assert 0.25 < forward < 0.75
    assert abs(sideways) < 0.2
    stands = (motion.times > 1.0) & (motion.times < 2.0)
    assert np.abs(motion.velocities[stands].mean(axis=0)[:2]).max() < 0.15


@pytest.mark.parametrize("start", ["on_side", "on_back", "lying"])
def test_a_quadruped_gets_up(quadruped, start):
    """Most runs stand after 1 to 2 s."""
    motion, _ = walked(*quadruped, seed=0, duration=5.0, start=start)
    at_last = motion.times > 4.0
    assert motion.heights[at_last].min() > walking.LOW
    assert motion.uprights[at_last].min() > walking.TILTED


@pytest.mark.extras
def test_a_quadruped_follows_its_commands_and_survives_a_push(quadruped):
    row = walk(*quadruped, seed=1)
    assert row.keys() > KEYS
    assert not row["fell"]
    assert row["stands_at_the_end"]
    assert row["error"] < walking.ERROR


def test_numbers_of_the_quadrotors_model_are_those_of_its_file(quadrotor):
    values = quadrotor[0].values
    model = mujoco.MjModel.from_xml_path(str(share("models") / "quadrotor.xml"))
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("start").id)
    mujoco.mj_step(model, data, nstep=100)
    np.testing.assert_allclose(data.qpos, model.key("start").qpos, atol=1e-6)
    assert -model.opt.gravity[2] == values["dynamics.gravity"]
    assert values["action.lag.thrust"] == model.actuator("thrust").dynprm[0]
    inertia = model.body("base_link").inertia
    for axis, name in enumerate(("roll_rate", "pitch_rate", "yaw_rate")):
        gain = model.actuator(name).gainprm[0]
        assert values[f"action.lag.{name}"] == pytest.approx(inertia[axis] / gain, rel=0.01)
    for index, name in enumerate(quadrotor[0].dynamics.action_names):
        bounds = [values[f"action.{side}.{name}"] for side in ("low", "high")]
        assert model.actuator_ctrlrange[index].tolist() == bounds
        assert model.actuator(index).name == name
    # The drag at the speed of the figure of eight.
    mujoco.mj_resetDataKeyframe(model, data, model.key("start").id)
    data.qvel[0] = 1.5
    mujoco.mj_step(model, data, nstep=5)
    drag = (1.5 - data.qvel[0]) / (5 * model.opt.timestep) / 1.5
    assert drag == pytest.approx(values["dynamics.drag"], rel=0.2)


@pytest.mark.extras
def test_an_arm_reaches_around_the_column():
    row = reach(*prepared(EPISODES["arm"][0]), seed=1, duration=8.0)
    assert row.keys() == KEYS
    assert row["success"]
    assert 0.0 < row["error"] < MOST_REACH


def test_numbers_of_the_arms_configuration_are_those_of_its_file():
    values = configure(load_yaml(share("config") / "arm.yaml")).values
    model = mujoco.MjModel.from_xml_path(str(share("models") / "arm.xml"))
    for index in range(model.nu):
        name = model.actuator(index).name
        follows = -model.actuator_biasprm[index, 2] / model.actuator_gainprm[index, 0]
        assert values[f"action.lag.{name}_speed"] == pytest.approx(follows)


@pytest.mark.parametrize("start", STARTS)
def test_an_arm_begins_at_its_station_and_touches_nothing(start):
    model = mujoco.MjModel.from_xml_path(str(share("models") / "arm.xml"))
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key(start).id)
    mujoco.mj_step(model, data, nstep=200)
    assert data.ncon == 0
    np.testing.assert_allclose(data.qpos, model.key(start).qpos, atol=0.01)
