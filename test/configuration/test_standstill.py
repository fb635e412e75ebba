# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The safe action: a number or what is measured, and warnings where it moves the plant."""

from pathlib import Path

import pytest

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.errors import ConfigurationError

CONFIG = Path(__file__).parents[2] / "config"
ARM = """
<mujoco><worldbody><body><joint name="turn" axis="0 0 1"/><geom size="0.1"/>
  <body pos="0.3 0 0"><joint name="slide" type="slide"/><geom size="0.1"/></body></body></worldbody>
  <actuator>
    <position name="turn" joint="turn" kp="30" ctrlrange="-3 3"/>
    <velocity name="speed" joint="slide" kv="5" ctrlrange="-1 1"/>
    <position name="geared" joint="turn" gear="2" ctrlrange="-3 3"/>
    <motor name="push" joint="slide" ctrlrange="-2 2"/>
  </actuator></mujoco>"""


@pytest.fixture
def arm(tmp_path, drive):
    """A function that configures an arm with position controllers; parameters by name."""
    file = tmp_path / "arm.xml"
    file.write_text(ARM)
    values = {"dynamics.plugin": "mujoco", "dynamics.file": str(file), "goal.weight.turn": 1.0}
    values |= {name: drive[name] for name in ("costs", "goal.plugin", "state.type")}
    return lambda **changes: configure(
        values | {name.replace("__", "."): value for name, value in changes.items()}
    )


def warnings(configuration):
    return [text for text in configuration.warnings() if "action.safe" in text]


def shipped(name, **changes):
    values = load_yaml(CONFIG / f"{name}.yaml") | {"planner.device": "cpu"}
    return configure(values | {name.replace("__", "."): v for name, v in changes.items()})


def test_the_controllers_of_a_file_know_what_measures_them(arm):
    assert arm().action("measured_by") == ["turn", "slide_dot", "", ""]


def test_a_posture_as_the_safe_action_is_told(arm):
    found = warnings(arm(action__safe__speed="measured"))
    assert len(found) == 1
    assert "action.safe.turn is 0, one place whatever 'turn' is" in found[0]
    assert "at once, as action.rate is 0" in found[0]
    both = {"action__safe__speed": "measured", "action__safe__turn": "measured"}
    assert warnings(arm(**both)) == []
    meant = both | {"action__safe__turn": 0.5, "action__rate__turn": 1.0}
    assert warnings(arm(**meant)) == []


def test_a_thrust_that_does_not_hold_is_told_and_a_standstill_is_not():
    (text,) = warnings(shipped("quadrotor_hover", action__safe__thrust=0.0))
    assert "the model moves 'z_dot' by -9" in text
    for name in ("quadrotor_hover", "diff_drive_pose", "single_track", "cartpole", "half_cheetah"):
        assert warnings(shipped(name)) == []


def test_measured_is_refused_where_nothing_measures_it():
    for changes, text in (
        ({"action__safe__force": "measured"}, "allowed with action.measured_by.force"),
        ({"action__measured_by__force": "angle"}, "one of the states x, x_dot, theta, theta_dot"),
        ({"action__safe__force": "here"}, "a finite number in N, or measured"),
    ):
        with pytest.raises(ConfigurationError, match=text):
            shipped("cartpole", **changes)
