# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The fields that need not be named, and the hints for wrong ones."""

from types import SimpleNamespace

import pytest

from cem_planner_ros import fields
from cem_planner_ros.configuration import configure
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.readers import state_reader

JOINTS = "sensor_msgs/msg/JointState"
ODOMETRY = "nav_msgs/msg/Odometry"
IMU = "sensor_msgs/msg/Imu"
POSE = "geometry_msgs/msg/PoseStamped"

BODY = tuple(f"root_{part}" for part in ("x", "y", "z", "qw", "qx", "qy", "qz"))
SPEEDS = (*(f"root_{axis}_dot" for axis in "xyz"), *(f"root_w{axis}" for axis in "xyz"))
LEG = ("hip", "knee", "hip_dot", "knee_dot")


def test_joints_are_found_by_the_names_of_the_states():
    found = fields.state_defaults(JOINTS, (*BODY, *LEG, *SPEEDS, "motor_act"))
    assert found == {
        "hip": "position[hip]",
        "knee": "position[knee]",
        "hip_dot": "velocity[hip]",
        "knee_dot": "velocity[knee]",
    }


def test_the_name_of_a_joint_may_have_brackets_and_anything_but_dots():
    names = ("j[3]", "arm/joint 1", "j[3]_dot", "arm/joint 1_dot")
    found = fields.state_defaults(JOINTS, names)
    assert found["j[3]_dot"] == "velocity[j[3]]"
    read = state_reader(JOINTS, {**found, "j[3]": "position[j[3]] + 1.5"})
    message = SimpleNamespace(
        name=["arm/joint 1", "j[3]"], position=[1.0, 2.0], velocity=[3.0, 4.0]
    )
    assert dict(zip(found, read(message), strict=True)) == {
        **{"j[3]": 3.5, "arm/joint 1": 1.0, "j[3]_dot": 4.0, "arm/joint 1_dot": 3.0}
    }


def test_a_joint_of_which_one_field_is_given_has_no_default_for_the_other():
    assert list(fields.state_defaults(JOINTS, LEG, given=["knee"])) == ["hip", "hip_dot"]


@pytest.mark.parametrize(("kind", "states"), [(ODOMETRY, (*BODY, *SPEEDS)), (POSE, BODY)])
def test_a_free_joint_is_filled_whole(kind, states):
    found = fields.state_defaults(kind, (*BODY, *LEG, *SPEEDS))
    assert tuple(found) == states
    assert found["root_qx"] == "qx"
    if kind == ODOMETRY:
        # As MuJoCo has the speeds: the linear one in the world, the angular one in the body.
        assert found["root_y_dot"] == "world.linear.y"
        assert found["root_wy"] == "angular.y"


def test_of_two_free_joints_one_is_named():
    cube = tuple(name.replace("root", "cube") for name in BODY)
    assert not fields.state_defaults(POSE, (*BODY, *cube))
    assert tuple(fields.state_defaults(POSE, (*BODY, *cube), body="cube")) == cube


def test_a_ball_joint_is_filled_by_an_imu():
    hip = (*(f"hip_q{part}" for part in "wxyz"), *(f"hip_w{axis}" for axis in "xyz"))
    found = fields.state_defaults(IMU, (*BODY, *hip[:4], *LEG, *SPEEDS, *hip[4:]))
    assert tuple(found) == hip
    assert (found["hip_qw"], found["hip_wz"]) == ("qw", "angular.z")
    other = tuple(name.replace("hip", "neck") for name in hip)
    assert not fields.state_defaults(IMU, (*hip, *other))
    assert tuple(fields.state_defaults(IMU, (*hip, *other), body="neck")) == other


def test_a_model_of_one_rigid_body_has_states_without_a_prefix():
    states = ("x", "y", "z", "x_dot", "y_dot", "z_dot", "qw", "qx", "qy", "qz")
    assert not fields.state_defaults(JOINTS, states)
    found = fields.state_defaults(ODOMETRY, states)
    assert [found[name] for name in ("x", "x_dot", "qz")] == ["x", "world.linear.x", "qz"]


def arm(**changes):
    return {
        "planner.device": "cpu",
        "dynamics.plugin": "planar_arm",
        "costs": ["near"],
        "near.plugin": "quadratic",
        **changes,
    }


@pytest.mark.parametrize(
    ("kind", "given", "hint"),
    [
        (JOINTS, "positon[shoulder]", "did you mean 'position[shoulder]'?"),
        (ODOMETRY, "world.lineal.x", "did you mean 'world.linear.x'?"),
        (ODOMETRY, "quaternion.w", "qw, qx, qy, qz"),
        ("sensor_msgs/msg/Imu", "linear_acceleration.x", "did you mean 'acceleration.x'?"),
        (POSE, "orientation.w", "qw, qx, qy, qz"),
    ],
)
def test_a_wrong_field_is_refused_with_the_one_that_is_meant(kind, given, hint):
    with pytest.raises(ConfigurationError) as caught:
        configure(arm(**{"state.type": kind, "state.fields.shoulder": given}))
    (line,) = [line for line in str(caught.value).splitlines() if "'state.fields.shoulder'" in line]
    assert repr(given) in line
    assert hint in line


def test_an_arm_needs_no_list_of_fields():
    configuration = configure(arm())
    names = configuration.dynamics.state_names
    found = configuration.fields("state")
    assert found[names[0]] == f"position[{names[0]}]"
    assert all(field.startswith(("position[", "velocity[")) for field in found.values())


@pytest.mark.parametrize("given", [("qw", "qx"), ("qw", "yaw")])
def test_a_commanded_orientation_is_whole(given):
    joints = ("shoulder", "elbow")
    changes = {f"command.fields.{j}_torque": field for j, field in zip(joints, given, strict=True)}
    with pytest.raises(ConfigurationError, match="allowed for an orientation"):
        configure(arm(**{"command.type": POSE, **changes}))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"command.integrate.elbow_torque": "elbo"},
            "'command.integrate.elbow_torque' is 'elbo', allowed: empty, or one of the states",
        ),
        ({"command.integrate.elbow_torque": "elbo"}, "did you mean 'elbow'?"),
        (
            {
                "command.integrate.shoulder_torque": "elbow",
                "command.integrate.elbow_torque": "elbow",
            },
            "'command.integrate.elbow_torque' is 'elbow', which another action is integrated to",
        ),
        ({"command.preview": 2}, "parameter 'command.preview' is 2, allowed: 0, unless"),
    ],
)
def test_what_is_sent_in_place_of_actions_is_checked(changes, text):
    with pytest.raises(ConfigurationError) as caught:
        configure(arm(**changes))
    assert text in str(caught.value)


def test_fields_that_are_missing_are_not_said_to_be_equal():
    with pytest.raises(ConfigurationError) as caught:
        configure(arm(**{"command.type": "sensor_msgs/msg/JointState"}))
    lines = str(caught.value).splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        "parameter 'command.fields.shoulder_torque' is missing",
        "parameter 'command.fields.elbow_torque' is missing",
    ]


def test_a_rate_of_commands_without_effect_is_warned_of():
    (warning,) = [w for w in configure(arm(**{"command.rate": 20.0})).warnings() if "rate" in w]
    assert (
        "command.rate is 20 Hz, not above control_rate, which is 50 Hz: it has no effect" in warning
    )
