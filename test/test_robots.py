# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The robots of examples/robots, planned with in closed loop, without ROS."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from cem_planner_ros.cli.init_command import of_file
from cem_planner_ros.cli.plan_fitting import IterationTime
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.simulation.lockstep import Lockstep

pytestmark = [pytest.mark.extras, pytest.mark.timeout(600)]

ROBOTS = Path(__file__).parents[1] / "examples" / "robots"


def needs(package):
    """Skip where a package is not installed; its files are needed, not its modules."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs the files of {package}")


class Run:
    """A robot of a YAML file in MuJoCo, from its keyframe home, turned, with its planner."""

    def __init__(self, name, heading=0.0, **values):
        mujoco = pytest.importorskip("mujoco")
        file = f"{name}.yaml"
        values = {"planner.device": "cpu", "planner.seed": 0, "dynamics.threads": 1} | values
        configuration = configure(load_yaml(file) | values, file)
        self.model = configuration.dynamics.model
        self.data = mujoco.MjData(self.model)
        mujoco.mj_resetDataKeyframe(self.model, self.data, self.model.key("home").id)
        if heading:
            self.data.qpos[3:7] = np.cos(0.5 * heading), 0.0, 0.0, np.sin(0.5 * heading)
        self._advance = lambda steps: mujoco.mj_step(self.model, self.data, steps)
        self._lockstep = Lockstep(configuration, configuration.planner(), self.state, self._step)

    def state(self):
        return np.concatenate((self.data.qpos, self.data.qvel, self.data.act))

    def _step(self, action, duration):
        self.data.ctrl[:] = action
        self._advance(round(duration / self.model.opt.timestep))

    def held(self, seconds):
        """Return the states (T, nx) every 40 ms while the robot holds the pose home."""
        states = []
        for _ in range(round(seconds / 0.04)):
            self._step(self.model.key("home").ctrl, 0.04)
            states.append(self.state())
        return np.array(states)

    def until(self, seconds, reached=lambda state: False):
        """Return the states (T, nx) at the ends of periods, until the time or a condition."""
        states = []
        while self._lockstep.time < seconds - 1e-9:
            self._lockstep.period()
            states.append(self.state())
            if reached(states[-1]):
                break
        return np.array(states)


@pytest.fixture(autouse=True)
def robots(monkeypatch):
    """The folder of the examples, as the README has it."""
    monkeypatch.chdir(ROBOTS)
    monkeypatch.syspath_prepend(str(ROBOTS))


def test_a_go1_walks():
    needs("mjlab")
    states = Run("go1").until(4.0)
    assert states[-1, 0] / 4.0 > 0.3  # m/s; wanted is 0.5.
    assert states[:, 2].mean() > 0.2
    assert states[-1, 2] > 0.15


@pytest.mark.parametrize("heading", [0.0, 0.5 * np.pi])
def test_a_go1_of_init_walks_where_it_looks(tmp_path, heading):
    """As docs/robots/quadruped.md has it: the file of init, and the gait, follow a command."""
    needs("mjlab")
    text, _ = of_file("go1_scene.xml", "walk", measure=lambda planner: IterationTime(0.0))
    (tmp_path / "walk.yaml").write_text(text)
    gait = {"policy.file": "go1_trot.yaml", "policy.candidates": 16}
    command = {"velocity.topic": "", "velocity.target.forward": 0.5}
    run = Run(tmp_path / "walk", heading, **gait, **command)
    states = run.until(4.0)
    forward = states[-1, :2] @ (np.cos(heading), np.sin(heading))
    assert forward == pytest.approx(2.0, abs=0.4)
    assert np.linalg.norm(states[-1, :2]) == pytest.approx(forward, abs=0.2)
    assert states[:, 2].min() > 0.2


def test_the_hand_of_an_fr3_reaches_its_goal():
    needs("judo")
    run = Run("fr3")
    hand = run.model.site("grasp_site").id

    def distance():
        return np.linalg.norm(run.data.site_xpos[hand] - [0.5, 0.3, 0.3])

    run.until(4.0, lambda state: distance() < 0.02)
    assert distance() < 0.02


def test_a_cylinder_is_pushed_to_its_goal_and_stays():
    needs("judo")
    distances = np.linalg.norm(Run("cylinder_push").until(6.0)[:, 2:4], axis=1)
    assert distances[0] > 1.5
    assert distances[-25:].max() < 0.1


def test_a_hand_turns_a_cube():
    needs("judo")

    def cost(states):
        yaw = np.array([np.cos(0.5), 0.0, 0.0, np.sin(0.5)])
        angle = 2.0 * np.arccos(np.clip(np.abs(states[:, 3:7] @ yaw), 0.0, 1.0))
        away = states[:, :3] - [0.0, 0.03, 0.1]
        return (50.0 * (away**2).sum(1) + 0.05 * angle**2).mean()

    turned = Run("leap_cube", control_rate=20.0).until(5.0)
    assert cost(turned) < 0.75 * cost(Run("leap_cube").held(5.0))


def test_a_gripper_lifts_a_box():
    """Grasping is not certain: one of three runs has to lift the box."""
    needs("judo")

    def lifts(seed):
        run = Run("fr3_pick", **{"planner.seed": seed})
        hand = run.model.site("grasp_site").id

        def is_held(state):
            away = run.data.site_xpos[hand] - state[:3]
            return state[2] > 0.06 and np.linalg.norm(away) < 0.03  # It lies at 0.02 m.

        return is_held(run.until(5.0, is_held)[-1])

    assert any(lifts(seed) for seed in range(3))
