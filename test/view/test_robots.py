# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Where the bodies of robots are."""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

import mujoco

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share
from cem_planner_ros.view import robots

MODELS = Path(__file__).parents[2] / "models"
JOINTS = {"x": "position[slider]", "x_dot": "velocity[slider]", "theta": "position[hinge]"}


def tip(names, state, values=None, **options):
    robot = robots.from_names(names, values or {}, **options)
    return robot.poses(np.array([state], float)).tips[0]


def test_a_cart_carries_a_pole():
    names = ("x", "x_dot", "theta", "theta_dot")
    assert tip(names, (0.5, 9.0, 0.0, 9.0)) == pytest.approx((0.5, 0.0, 1.0))
    half = {"dynamics.half_length": 1.0}
    assert tip(names, (0.5, 0.0, math.pi / 2, 0.0), half) == pytest.approx((2.5, 0.0, 0.0))


def test_a_pendulum_stands_upright_at_zero():
    names = ("theta", "theta_dot")
    assert tip(names, (0.0, 0.0), {"dynamics.length": 2.0}) == pytest.approx((0.0, 0.0, 2.0))
    assert tip(names, (math.pi / 2, 0.0)) == pytest.approx((1.0, 0.0, 0.0), abs=1e-12)


def test_an_arm_is_stretched_along_x_and_rises_with_positive_angles():
    names = ("shoulder", "elbow", "shoulder_dot", "elbow_dot")
    lengths = {"dynamics.upper_length": 0.6, "dynamics.lower_length": 0.4}
    assert tip(names, (0.0, 0.0, 0.0, 0.0), lengths) == pytest.approx((1.0, 0.0, 0.0))
    bent = tip(names, (math.pi / 2, -math.pi / 2, 0.0, 0.0), lengths)
    assert bent == pytest.approx((0.4, 0.0, 0.6), abs=1e-12)


def test_a_robot_in_the_plane_has_its_footprint():
    outline = np.array([[0.6, 0.2], [-0.2, 0.2], [-0.2, -0.2], [0.6, -0.2]])
    robot = robots.from_names(("x", "y", "yaw"), {}, outline)
    poses = robot.poses(np.array([[1.0, 2.0, math.pi / 2]]))
    assert poses.tips[0] == pytest.approx((1.0, 2.0, 0.0))
    mesh = robot.model.geom_rbound.max()
    assert mesh == pytest.approx(0.5 * math.hypot(0.8, 0.4, 0.24 - 0.02), rel=0.05)


def test_a_quadrotor_is_turned_by_its_quaternion():
    names = ("x", "y", "z", "x_dot", "y_dot", "z_dot", "qw", "qx", "qy", "qz")
    half = math.sqrt(0.5)
    poses = robots.from_names(names, {}).poses(
        np.array([[1.0, 2.0, 3.0, 0.0, 0.0, 0.0, half, 0.0, 0.0, half]])
    )
    assert poses.tips[0] == pytest.approx((1.0, 2.0, 3.0))
    assert poses.quaternions[0, -1] == pytest.approx((half, 0.0, 0.0, half))


def test_names_that_say_nothing_are_no_robot():
    assert robots.from_names(("temperature", "pressure"), {}) is None


@pytest.mark.parametrize("fields", [JOINTS, JOINTS | {"theta": "position[hinge] + 3.1415926536"}])
def test_joints_of_a_file_are_moved_by_the_states_that_are_read_from_them(fields):
    robot = robots.from_file(MODELS / "cartpole.xml", tuple(JOINTS), fields)
    upright = math.pi if "+" in fields["theta"] else 0.0
    poses = robot.poses(np.array([[0.5, 0.0, upright + math.pi / 2]]))
    pole = robot.model.body("pole").id
    assert poses.positions[0, pole] == pytest.approx((0.5, 0.0, 0.0))
    turned = abs(poses.quaternions[0, pole] @ (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0))
    assert turned == pytest.approx(1.0)


def test_a_file_without_joints_is_moved_as_a_whole():
    robot = robots.from_file(MODELS / "diff_drive" / "robot.xml", ("x", "y", "yaw"), {})
    at_rest = robot.poses(np.zeros((1, 3)))
    moved = robot.poses(np.array([[2.0, 1.0, math.pi / 2]]))
    body = robot.model.nbody - 1
    x, y, z = at_rest.positions[0, body]
    assert moved.positions[0, body] == pytest.approx((2.0 - y, 1.0 + x, z))


def test_a_free_joint_is_placed_by_a_pose_in_the_plane():
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body pos='0 0 .3'><freejoint name='base'/>"
        "<geom type='box' size='.1 .1 .1'/></body></worldbody></mujoco>"
    )
    poses = robots.Robot(model, ("x", "y", "yaw")).poses(np.array([[1.0, 2.0, math.pi / 2]]))
    assert poses.positions[0, 1] == pytest.approx((1.0, 2.0, 0.3))
    assert poses.quaternions[0, 1] == pytest.approx((math.sqrt(0.5), 0, 0, math.sqrt(0.5)))


def test_a_file_that_no_state_moves_is_refused_with_its_joints():
    with pytest.raises(ConfigurationError, match=r"states are pressure, .*slider, hinge"):
        robots.from_file(MODELS / "cartpole.xml", ("pressure",), {})


@pytest.mark.parametrize("name", ["arm", "half_cheetah"])
def test_a_model_of_a_file_is_drawn_as_the_file_shows_it(name):
    file = share("config") / f"{name}.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    robot = robots.from_configuration(configuration)
    states = np.zeros((2, len(configuration.dynamics.state_names)))
    states[1, 1] = 0.3
    poses = robot.poses(states)
    assert len(robot.model.body(robot.model.nbody - 1).name) > 0
    assert not np.allclose(poses.positions[0], poses.positions[1])
