# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The state from several topics: what fills it, and what is refused."""

import pytest

from cem_planner_ros.configuration import configure
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import QUATERNION

JOINTS = "sensor_msgs/msg/JointState"
ODOMETRY = "nav_msgs/msg/Odometry"
POSE = "geometry_msgs/msg/PoseStamped"

BASE = tuple(f"root_{part}" for part in ("x", "y", "z", *QUATERNION))
SPEEDS = (*(f"root_{axis}_dot" for axis in "xyz"), *(f"root_w{axis}" for axis in "xyz"))

FLOATING = """
<mujoco>
  <worldbody>
    <body name="trunk"><freejoint name="root"/><geom size="0.1"/>
      <body><joint name="hip" axis="0 1 0"/><geom size="0.1" pos="0 0 0.3"/></body>
    </body>
  </worldbody>
  <actuator><position name="hip" joint="hip" kp="10" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


@pytest.fixture
def robot(tmp_path):
    """Configure a robot with a floating base and one joint."""
    pytest.importorskip("mujoco")
    file = tmp_path / "robot.xml"
    file.write_text(FLOATING)
    values = {
        "planner.device": "cpu",
        "dynamics.plugin": "mujoco",
        "dynamics.file": str(file),
        "costs": ["near"],
        "near.plugin": "quadratic",
        "state.sources": ["joints", "base"],
        "state.joints.topic": "joint_states",
        "state.base.topic": "odom",
        "state.base.type": ODOMETRY,
    }
    return lambda drop=(), **more: configure(
        {n: v for n, v in values.items() if n not in drop} | more
    )


def refusal(robot, **changes):
    with pytest.raises(ConfigurationError) as caught:
        robot(**changes)
    return str(caught.value)


def test_a_source_may_be_one_word(robot):
    sections = ("state.joints.topic", "state.base.topic", "state.base.type")
    words = {"state.joints": "joint_states", "state.base": "odometry"}
    assert robot(sections, **words).sources == robot().sources
    moved = robot(sections, **words, **{"state.base.topic": "estimate"})
    assert [source.topic for source in moved.sources] == ["joint_states", "estimate"]
    # The values that come of it, which a node declares, say the same.
    assert configure(moved.values).sources == moved.sources
    text = refusal(robot, drop=sections, **words | {"state.base": "odometrie"})
    assert "'state.base' is given, allowed: joint_states, odometry, imu, pose, twist, or a" in text


def test_a_floating_robot_with_joint_states_only_is_told_what_is_missing_at_once(robot):
    text = refusal(robot, **{"state.sources": []}, drop=("state.base.topic", "state.base.type"))
    (line,) = [line for line in text.splitlines() if "root_" in line]
    assert line.startswith("no topic fills root_x, ")
    assert "base: odometry" in line


def test_joint_states_and_odometry_fill_a_floating_robot_without_a_list(robot):
    configuration = robot()
    joints, base = configuration.sources
    assert joints.fields == {"hip": "position[hip]", "hip_dot": "velocity[hip]"}
    assert set(base.fields) == {*BASE, *SPEEDS}
    assert base.fields["root_z_dot"] == "world.linear.z"
    assert (joints.topic, base.topic, base.type) == ("joint_states", "odom", ODOMETRY)
    names = configuration.dynamics.state_names
    assert [names[row] for row in base.rows] == list(base.fields)
    assert tuple(configuration.fields("state")) == names


def test_a_state_that_no_source_fills_is_named_with_where_it_could_come_from(robot):
    text = refusal(robot, **{"state.base.type": POSE})
    assert text == (
        f"no source fills the states {', '.join(SPEEDS)}, expected state.joints.fields.STATE or "
        "state.base.fields.STATE"
    )


def test_a_state_that_two_sources_fill_is_refused(robot):
    text = refusal(
        robot, **{"state.joints.fields.hip": "position[hip]", "state.base.fields.hip": "yaw"}
    )
    assert (
        "the state 'hip' is filled twice, by state.joints.fields.hip and state.base.fields.hip"
        in text
    )


def test_a_given_field_goes_before_the_default_of_another_source(robot):
    configuration = robot(
        **{
            "state.sources": ["joints", "base", "imu"],
            "state.imu.type": "sensor_msgs/msg/Imu",
            **{f"state.imu.fields.root_w{axis}": f"angular.{axis}" for axis in "xyz"},
        }
    )
    assert "root_wx" not in configuration.sources[1].fields
    assert list(configuration.sources[2].fields) == ["root_wx", "root_wy", "root_wz"]


def test_of_two_joint_states_each_is_told_what_it_has(robot):
    three = {"state.sources": ["joints", "hand", "base"]}
    assert "no source fills the states hip, hip_dot," in refusal(robot, **three)
    given = {"state.hand.fields.hip": "position[h]", "state.hand.fields.hip_dot": "velocity[h]"}
    text = refusal(robot, **three, **given)
    assert "parameter 'state.joints.fields' names no field" in text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"state.base.fields.root_x": "position.x"}, "x, y, z, roll"),
        ({"state.base.fields.root_x": "linear.X"}, "did you mean 'linear.x'?"),
        ({"state.base.body": "rot"}, "parameter 'state.base.body' is 'rot', allowed: root"),
        ({"state.sources": ["topic", "base"]}, "parameter 'state.sources' is ['topic', 'base']"),
        ({"state.sources": ["base", "base"]}, "different names"),
        ({"state.sources": ["a.b"]}, "different names"),
        ({"state.base.topic": "my odom"}, "parameter 'state.base.topic' is 'my odom'"),
        ({"state.base.max_age": -1.0}, "parameter 'state.base.max_age' is -1.0"),
        ({"state.basis.topic": "odom"}, "does not name 'basis', did you mean 'base'?"),
        ({"state.base.topik": "odom"}, "did you mean 'state.base.topic'?"),
        ({"state.base.delay": 0.5}, "less than max_state_age, which is "),
        ({"state.base.delay": 0.5, "state.base.max_age": 0.3}, "less than state.base.max_age, whi"),
        ({"state.base.type": "nav_msgs/Odometry"}, "did you mean 'nav_msgs/msg/Odometry'?"),
    ],
)
def test_what_is_wrong_with_a_source_is_said(robot, changes, text):
    assert text in refusal(robot, **changes)


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        (
            {"state.sources": ["joints", "bse"]},
            ["'state.base.topic' is given, but 'state.sources', which is ['joints', 'bse'], does"],
        ),
        ({"state.sources": "joints, base"}, ["'state.sources' is 'joints, base', allowed: a list"]),
        ({"state.sources": ["base", "base"]}, ["allowed: different names"]),
        ({"state.base.type": "nav_msgs/msg/Odom"}, ["did you mean 'nav_msgs/msg/Odometry'?"]),
    ],
)
def test_a_wrong_name_of_a_source_is_not_buried_under_what_follows_from_it(robot, changes, texts):
    lines = refusal(robot, **changes).splitlines()
    assert all(any(text in line for line in lines) for text in texts)
    assert len(lines) <= 4
    assert not any("unknown parameter" in line for line in lines)


def test_one_topic_with_two_types_is_warned_of(robot):
    assert not any("receives nothing" in warning for warning in robot().warnings())
    warnings = robot(**{"state.base.topic": "joint_states"}).warnings()
    expected = f"they have the types {JOINTS} and {ODOMETRY}, and a topic has one type"
    assert any(expected in text for text in warnings)


def test_each_source_has_an_age_and_a_delay(robot):
    configuration = robot(
        **{"max_state_age": 0.1, "state.base.max_age": 0.4, "state.base.delay": 0.03}
    )
    joints, base = configuration.sources
    assert (joints.max_age, joints.delay, base.max_age, base.delay) == (0.1, 0.0, 0.4, 0.03)
    ages = configuration.control_settings.max_state_age
    names = configuration.dynamics.state_names
    assert [ages[names.index(name)] for name in ("hip", "root_x")] == [0.1, 0.4]
    assert configuration.changed({"max_state_age": 0.2}).sources[0].max_age == 0.2


def test_the_topic_of_one_source_is_not_used_beside_several(robot):
    (warning,) = [text for text in robot(**{"state.topic": "pose"}).warnings() if "pose" in text]
    assert "state.topic is 'pose', but state.sources is given" in warning
