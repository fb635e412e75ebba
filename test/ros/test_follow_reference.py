# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A node that follows a reference, over DDS."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.navigation.reference_messages import reference_reader
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.ros.messages import LATCHED
from cem_planner_ros.simulation.lockstep import Lockstep

FOLLOW = {
    "costs": ["follow"],
    "follow.plugin": "track",
    "follow.signals": ["x", "x_dot"],
    "follow.topic": "wanted",
    "follow.type": "trajectory_msgs/msg/JointTrajectory",
}


@pytest.fixture
def follow(drive):
    values = {name: value for name, value in drive.items() if not name.startswith("goal.")}
    drive.clear()
    drive.update(values | FOLLOW)


def trajectory(seconds, x):
    return JointTrajectory(
        joint_names=["x"],
        points=[
            JointTrajectoryPoint(
                time_from_start=Duration(sec=seconds), positions=[x], velocities=[0.0]
            )
        ],
    )


def test_a_reference_is_missing_followed_refused_and_ended(
    follow, node, observer, states, unhurried, newest, wait_until
):
    commands = observer.listen(Float64MultiArray, "command")
    wanted = observer.node.create_publisher(JointTrajectory, "wanted", LATCHED)
    node(**{name.replace(".", "__"): value for name, value in unhurried.items()}).autostart()

    def until(**expected):
        def is_there():
            values = newest()
            return all(part in values[key] for key, part in expected.items())

        wait_until(is_there)

    missing = "no reference on '/wanted' yet: no message on '/wanted' (expects trajectory_msgs/"
    until(message=missing, **{"reference follow": "has not come"})
    wanted.publish(trajectory(600, 500.0))
    until(**{"reference follow": "followed"})
    wait_until(lambda: commands and commands[-1][1].data[0] > 0.3)
    wrong = trajectory(600, 500.0)
    wrong.joint_names = ["y"]
    wanted.publish(wrong)
    until(
        message="reference on '/wanted' ignored: no position[x]",
        **{"references ignored follow": "1"},
    )
    wanted.publish(trajectory(0, -50.0))
    until(**{"reference follow": "has ended: its last point is held"})
    wait_until(lambda: commands[-1][1].data[0] < -0.3)


def test_the_example_flies_its_figure_of_eight(monkeypatch):
    folder = Path(__file__).parents[2] / "examples" / "follow_reference"
    monkeypatch.syspath_prepend(str(folder))
    eight = importlib.import_module("eight")
    file = folder / "quadrotor.yaml"
    small = {"planner.device": "cpu", "planner.samples": 256, "planner.elites": 32}
    configuration = configure(load_yaml(file) | small, str(file))
    planner = configuration.planner()
    message = eight.message(*eight.eight(laps=1, period=8.0, size=2.0))
    source = configuration.costs["follow"].reference_source
    received = reference_reader(source)(message)
    reference = Reference(source, received.offsets, received.values(None), is_trajectory=True)
    reference = reference.after(None, begin=0.0, now=0.0)
    state = np.array([-0.5, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])

    def step(action, duration):
        nonlocal state
        state = planner.rollout.predict(state, action[None], np.array([duration]))[-1]

    loop = Lockstep(configuration, planner, lambda: state, step)
    loop.loop.commander.references = {"follow": reference}
    errors = []
    while loop.time < 7.0:
        loop.period()
        wanted = reference.at(np.array([loop.time]))[:3, 0]
        errors.append(np.linalg.norm(state[:3] - wanted))
    assert max(errors[-120:]) < 0.5  # m, at 1.5 m/s
