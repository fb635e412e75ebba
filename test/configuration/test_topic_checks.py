# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Warnings about topics, and about actions, that do not go together."""

from functools import partial

import pytest

from cem_planner_ros.configuration import configure
from cem_planner_ros.configuration.topic_checks import absolute
from cem_planner_ros.errors import ConfigurationError

JOINTS = "sensor_msgs/msg/JointState"
ARRAY = "std_msgs/msg/Float64MultiArray"
POSE = "geometry_msgs/msg/PoseStamped"


def arm(**changes):
    return configure(
        {
            "planner.device": "cpu",
            "dynamics.plugin": "planar_arm",
            "costs": ["follow"],
            "follow.plugin": "track",
            "state.topic": "joints",
        }
        | changes
    )


def quadrotor(**changes):
    follow = {"costs": ["one", "other"], "dynamics.plugin": "quadrotor"}
    follow |= {f"{name}.plugin": "pose" for name in ("one", "other")}
    follow |= {"state.type": ARRAY, "state.topic": "state"}
    return configure({"planner.device": "cpu"} | follow | changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"follow.topic": "wanted"}, ""),
        (
            {"follow.topic": "joints"},
            "state.topic and follow.topic are both 'joints': the reference is the measured state",
        ),
        (
            {"follow.topic": "/joints"},
            "state.topic, which is 'joints', and follow.topic, which is '/joints', are one topic: "
            "the reference is the measured state",
        ),
        (
            {"state.topic": "~/joints", "follow.topic": "cem_planner/joints"},
            "state.topic, which is '~/joints', and follow.topic, which is 'cem_planner/",
        ),
        ({"state.topic": "~/joints", "follow.topic": "joints"}, ""),
        (
            {"follow.topic": "joints", "follow.type": ARRAY},
            f"state.topic and follow.topic are both 'joints': they have the types {JOINTS} and "
            f"{ARRAY}, and a topic has one type",
        ),
        (
            {"command.topic": "joints", "command.type": JOINTS}
            | {
                f"command.fields.{joint}_torque": f"effort[{joint}]"
                for joint in ("shoulder", "elbow")
            },
            "state.topic and command.topic are both 'joints': the node would read its own commands "
            "as the state",
        ),
        (
            {
                "state.sources": ["a", "b"],
                "state.a.topic": "joints",
                "state.b.topic": "joints",
                "state.a.fields.elbow": "position[elbow]",
                "state.a.fields.elbow_dot": "velocity[elbow]",
                "state.b.fields.shoulder": "position[shoulder]",
                "state.b.fields.shoulder_dot": "velocity[shoulder]",
                "state.topic": "joint_states",
            },
            "state.a.topic and state.b.topic are both 'joints': both sources read the same "
            "messages; one source can have all fields",
        ),
    ],
)
def test_topics_that_make_no_sense_together_are_warned_of(changes, text):
    same = "are both", "are one topic"
    found = [w for w in arm(**changes).warnings() if any(words in w for words in same)]
    assert len(found) == bool(text)
    assert not found or found[0].startswith(text)


def test_what_a_topic_resolves_to_depends_on_the_namespace():
    configuration = arm(**{"follow.topic": "/joints"})
    there = partial(absolute, namespace="/robot1")
    assert there("~/joints") == "/robot1/cem_planner/joints"
    assert not any("are one topic" in text for text in configuration.warnings(there))
    there = arm(**{"follow.topic": "/robot1/joints"}).warnings(there)
    assert any("are one topic" in text for text in there)


def test_two_costs_may_follow_one_topic():
    both = {"one.topic": "pose", "other.topic": "pose"}
    assert not any("are both" in text for text in quadrotor(**both).warnings())
    kinds = {"one.type": POSE, "other.type": "nav_msgs/msg/Path"}
    assert any(
        "one.topic and other.topic are both" in w for w in quadrotor(**both, **kinds).warnings()
    )


def test_driving_topics_that_are_equal_are_warned_of():
    drive = {
        "planner.device": "cpu",
        "dynamics.plugin": "diff_drive",
        "costs": ["way", "end"],
        "way.plugin": "path_follow",
        "end.plugin": "goal_pose",
        "drive.path_topic": "plan",
        "drive.goal_topic": "plan",
        "state.type": "nav_msgs/msg/Odometry",
        **{f"state.fields.{name}": name for name in ("x", "y", "yaw")},
        "command.type": "geometry_msgs/msg/Twist",
        "command.fields.v": "linear.x",
        "command.fields.yaw_rate": "angular.z",
    }
    (found,) = (text for text in configure(drive).warnings() if "are both" in text)
    assert found.startswith("drive.goal_topic and drive.path_topic are both 'plan': they have")


@pytest.mark.parametrize(
    ("field", "is_warned"),
    [("position[elbow]", False), ("velocity[elbow]", True), ("effort[elbow]", True)],
)
def test_an_integrated_action_is_not_sent_as_what_it_is_not(field, is_warned):
    changes = {
        "command.type": "trajectory_msgs/msg/JointTrajectory",
        "command.fields.elbow_torque": field,
        "command.fields.shoulder_torque": "effort[shoulder]",
        "command.integrate.elbow_torque": "elbow",
    }
    found = [text for text in arm(**changes).warnings() if "command.integrate" in text]
    assert bool(found) is is_warned
    changes |= {"command.integrate.elbow_torque": "elbow_dot"}
    found = [text for text in arm(**changes).warnings() if "what is sent is a velocity" in text]
    assert bool(found) is (field != "velocity[elbow]")


def test_a_std_above_the_range_of_an_action_is_warned_of():
    configuration = arm(**{"action.low.elbow_torque": -1.0, "action.high.elbow_torque": 1.0})
    assert not any("above the range" in text for text in configuration.warnings())
    wide = arm(
        **{
            "action.low.elbow_torque": -1.0,
            "action.high.elbow_torque": 1.0,
            "action.std.elbow_torque": 3.0,
        }
    )
    assert any(
        text.startswith("action.std.elbow_torque is 3, above the range of elbow_torque, which is")
        for text in wide.warnings()
    )


def test_what_a_plugin_refuses_has_the_whole_name_of_the_parameter():
    with pytest.raises(ConfigurationError) as caught:
        arm(**{"follow.signals": ["elbo"]})
    assert str(caught.value).startswith("parameter 'follow.signals' has 'elbo', allowed: states")
    with pytest.raises(ConfigurationError) as caught:
        quadrotor(**{"one.position": "hand"})
    assert str(caught.value).startswith("parameter 'one.position' is 'hand', but the model")
