# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The command init: a first parameter file that check accepts."""

import math
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, thread_time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from cem_planner_ros import cli
from cem_planner_ros.cli.check_command import too_slow
from cem_planner_ros.cli.init_command import of_file, of_plugin
from cem_planner_ros.cli.plan_fitting import IterationTime, fitted, iteration_time
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.dynamics.mujoco import Mujoco
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share

pytest.importorskip("mujoco")

ARM = """<mujoco><compiler angle="radian"/><option timestep="0.005"/><worldbody>
  <body name="upper" pos="0 0 0.5"><joint name="shoulder" axis="0 1 0" range="-2 2" damping="0.1"/>
    <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03" mass="0.8"/>
    <body name="lower" pos="0.3 0 0"><joint name="elbow" axis="0 1 0" range="-2 2" damping="0.1"/>
      <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03" mass="0.5"/>{site}</body></body>
  {more}</worldbody>
  <actuator><motor name="s" joint="shoulder" ctrlrange="-15 15"/>
    <motor name="e" joint="elbow" ctrlrange="-6 6"/></actuator></mujoco>"""

SITE = '<site name="grip" pos="0.3 0 0"/>'

CUP = '<body name="cup" pos="1 0 0"><freejoint name="cup"/><geom size="0.1"/></body>'

SILENT = '<body><joint axis="0 1 0"/><geom size="0.1"/></body>'

DRONE = """<mujoco><option timestep="0.01"/><worldbody><body name="frame" pos="0 0 1">
  <freejoint name="base"/><geom type="box" size="0.1 0.1 0.02" mass="0.8"/>
  <site name="a" pos="0.1 0.1 0"/><site name="b" pos="-0.1 0.1 0"/>
  <site name="c" pos="-0.1 -0.1 0"/><site name="d" pos="0.1 -0.1 0"/></body></worldbody><actuator>
  <motor name="a" site="a" gear="0 0 1 0 0 0.02" ctrlrange="0 5"/>
  <motor name="b" site="b" gear="0 0 1 0 0 -0.02" ctrlrange="0 5"/>
  <motor name="c" site="c" gear="0 0 1 0 0 0.02" ctrlrange="0 5"/>
  <motor name="d" site="d" gear="0 0 1 0 0 -0.02" ctrlrange="0 5"/></actuator></mujoco>"""


def at_once(planner):
    """The time of an iteration on a machine on which every plan is on time."""
    return IterationTime(0.0)


@pytest.fixture
def made(tmp_path):
    """A function to the configuration that init makes of a file's text or path, and its text."""

    def make(text, task="", name="robot.xml", tip="", **changes):
        file = text
        if text.startswith("<"):
            file = tmp_path / name
            file.write_text(text)
        result, warnings = of_file(str(file), task, tip=tip, measure=at_once)
        written = tmp_path / "robot.yaml"
        written.write_text(result)
        values = load_yaml(written) | {"planner.device": "cpu", "dynamics.threads": 1} | changes
        return configure(values), result, warnings

    return make


def run(configuration, seconds, state=None, seen=None):
    """
    Return the signals by name after controlling the model itself from a state, or from rest.

    The signals of each period are added to the list `seen`.
    """
    model, planner = configuration.dynamics, configuration.planner()
    state, action = model.rest_state if state is None else state, None
    period = 1.0 / configuration.values["control_rate"]
    for tick in range(round(seconds / period)):
        action = planner.plan(state, tick * period, action).action_at(tick * period)
        start, held = (torch.tensor(np.array(v), dtype=torch.float32) for v in (state, action))
        given = start[:, None], held.view(1, -1, 1), torch.tensor([period])
        signals = model.rollout(*given)[0, :, 0].numpy()
        state = signals[: len(state)].astype(float)
        if seen is not None:
            seen.append(signals)
    return dict(zip(model.signal_names, signals, strict=True))


def test_a_quadruped_stands(made):
    configuration, text, warnings = made(str(share("models") / "quadruped.xml"))
    assert warnings == []
    assert "The task 'stand' for quadruped.xml" in text
    assert "-p start:=home" in text
    value = configuration.values
    assert value["state.sources"] == ["joints", "base"]
    assert value["action.nominal.FR_calf"] == "keyframe:home"
    assert value["action.safe.FR_calf"] == "measured"
    assert value["action.high.FR_calf"] == -0.9
    end = run(configuration, 0.6)
    assert end["base_z"] == pytest.approx(0.31, abs=0.04)
    assert end["up_z"] > 0.95


def test_a_walk_follows_velocity_commands_in_the_frame_of_the_robot(made):
    """With the gait of docs/robots/quadruped.md a robot that looks along y walks along y."""
    gait = {"policy.file": "quadruped_trot.yaml", "policy.candidates": 16}
    command = {"velocity.topic": "", "velocity.target.forward": 0.5}
    file = str(share("models") / "quadruped.xml")
    configuration, text, warnings = made(file, "walk", **gait, **command)
    assert warnings == []
    assert "The task 'walk'" in text
    assert "topic: cmd_vel" in text
    home = configuration.dynamics.model.key("home").qpos.copy()
    home[3:7] = math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)
    end = run(configuration, 3.0, np.concatenate((home, np.zeros(18))))
    assert end["base_y"] == pytest.approx(1.5, abs=0.4)
    assert end["base_x"] == pytest.approx(0.0, abs=0.4)
    assert end["base_z"] > 0.25


def test_a_body_whose_axis_x_points_up_walks_upright(made):
    """The cost of the attitude charges the axis of the base that is vertical in the pose."""
    robot = (share("models") / "quadruped.xml").read_text()
    turned = robot.replace("0 0 0.31 1 0 0 0", "0 0 0.31 0.7071 0 -0.7071 0")
    configuration, _, _ = made(turned, "walk")
    value = configuration.values
    assert value["dynamics.outputs"] == ["the_up: framexaxis xbody trunk"]
    assert value["base.target.the_up_z"] == 1.0


def test_the_body_of_a_walk_may_have_any_name_but_needs_one(made):
    robot = (share("models") / "quadruped.xml").read_text()
    spaced = robot.replace('body name="trunk"', 'body name="the trunk"')
    configuration, _, _ = made(spaced, "walk")
    assert configuration.values["dynamics.outputs"] == ["the_up: framezaxis xbody 'the trunk'"]
    with pytest.raises(ConfigurationError, match="no name for the body of the free joint 'base'"):
        made(robot.replace('body name="trunk"', "body"), "walk")


def test_an_arm_reaches(made):
    moved = {"hand.target.x": 0.4, "hand.target.z": 0.8}
    configuration, text, warnings = made(ARM.format(site=SITE, more=""), **moved)
    assert warnings == []
    value = configuration.values
    assert value["dynamics.outputs"][0] == "hand: framepos site grip"
    # The torques against gravity.
    elbow = 9.81 * 0.5 * 0.15
    assert value["action.nominal.e"] == pytest.approx(-elbow, rel=1e-3)
    shoulder = 9.81 * (0.8 * 0.15 + 0.5 * 0.45)
    assert value["action.nominal.s"] == pytest.approx(-shoulder, rel=1e-3)
    assert value["state.topic"] == "joint_states"
    assert "Sets" not in text
    end = run(configuration, 0.8)
    assert math.hypot(end["hand_x"] - 0.4, end["hand_z"] - 0.8) < 0.12


def test_a_wrist_of_little_inertia_is_not_spun_in_candidates(made):
    wrist = """<body name="wrist" pos="0.3 0 0"><joint name="wrist" axis="1 0 0"/>
      <inertial pos="0.05 0 0" mass="0.2" diaginertia="0.001 0.002 0.002"/></body>"""
    motor = '<motor name="w" joint="wrist" gear="2" ctrlrange="-6 6"/></actuator>'
    text = ARM.format(site=SITE + wrist, more="").replace("</actuator>", motor)
    configuration, text, warnings = made(text)
    assert warnings == []
    assert "larger ones make candidates wild" in text
    # 3 rad/s in 0.1 s, by a gear of 2.
    assert configuration.values["action.std.w"] == pytest.approx(3.0 * 0.001 / 0.1 / 2.0)
    planner = configuration.planner()
    planner.plan(configuration.dynamics.rest_state, 0.0)
    row = configuration.dynamics.state_names.index("wrist_dot")
    assert np.abs(planner.candidates().states[:, row]).max() < 50.0  # With a std of 0.9: 900.


LINKS = (
    (3.7, 0.015, "0 0 0.09", "0 0 1", 150),
    (8.4, 0.134, "0 0.14 0", "0 1 0", 150),
    (2.3, 0.031, "0 -0.12 0.43", "0 1 0", 150),
    (1.2, 0.0026, "0 0 0.39", "0 1 0", 28),
    (1.2, 0.0026, "0 0.09 0", "0 0 1", 28),
    (0.19, 0.0001, "0 0 0.09", "0 1 0", 28),
)
"""(mass, kg, inertia, kg m^2, place, axis, torque, Nm) of an arm of five kilograms of payload."""


def urdf_arm(damping):
    """The URDF of an arm of six continuous joints."""
    parts = ['<robot name="six"><link name="link0"/>']
    for n, (mass, inertia, place, axis, torque) in enumerate(LINKS):
        same = " ".join(f'{name}="{inertia}"' for name in ("ixx", "iyy", "izz"))
        parts.append(
            f'<link name="link{n + 1}"><inertial><mass value="{mass}"/><inertia {same} ixy="0" '
            f'ixz="0" iyz="0"/></inertial></link><joint name="j{n}" type="continuous"><parent '
            f'link="link{n}"/><child link="link{n + 1}"/><origin xyz="{place}"/>'
            f'<axis xyz="{axis}"/><limit effort="{torque}" velocity="3"/>'
            f'<dynamics damping="{damping}"/></joint>'
        )
    return "".join(parts) + "</robot>"


@pytest.mark.slow
def test_the_torques_of_an_arm_bring_its_hand_near_a_place_and_keep_it_calm(made):
    target = {"hand.target.x": 0.3, "hand.target.y": 0.3, "hand.target.z": 0.6}
    configuration, text, warnings = made(urdf_arm(1.0), name="six.urdf", **target)
    assert warnings == []
    assert "a joint up by 0.3 rad/s" in text
    end = run(configuration, 4.0)
    # From 0.4 m away. With an action.std ten times as large, joints still turn at 8 rad/s.
    assert math.dist([end[f"hand_{axis}"] for axis in "xyz"], target.values()) < 0.2
    assert max(abs(end[f"j{n}_dot"]) for n in range(6)) < 5.0


def two_joints():
    """The URDF of an arm of two joints that has its tip at a fixed joint."""
    parts = ['<robot name="two"><link name="base"/>']
    rows = (
        ("shoulder", "base", "upper", 1.5, 0.015, 1.8, 30, 0.5),
        ("elbow", "upper", "lower", 1.4, 0.01, 2.5, 15, 0.3),
    )
    for joint, parent, link, mass, inertia, end, torque, damping in rows:
        parts.append(
            f'<link name="{link}"><inertial><origin xyz="0 0 0.15"/><mass value="{mass}"/>'
            f'<inertia ixx="{inertia}" iyy="{inertia}" izz="0.002" ixy="0" ixz="0" iyz="0"/>'
            f'</inertial></link><joint name="{joint}" type="revolute"><parent link="{parent}"/>'
            f'<child link="{link}"/><origin xyz="0 0 0.3"/><axis xyz="0 1 0"/>'
            f'<limit lower="{-end}" upper="{end}" effort="{torque}" velocity="2"/>'
            f'<dynamics damping="{damping}"/></joint>'
        )
    return "".join(parts) + fixed("tool0", "lower", 0.34) + "</robot>"


@pytest.mark.slow
def test_a_policy_that_brakes_calms_an_arm_with_few_candidates(made):
    """As docs/tuning.md says, with the policy of that page."""
    file = Path(__file__).parents[1] / "support" / "tutorials" / "brake.yaml"
    few = {"planner.samples": 32, "planner.elites": 4, "planner.iterations": 1}
    few |= {"control_rate": 12.5, "hand.target.x": 0.35, "hand.target.z": 0.5}
    speeds = []
    for policy in ({}, {"policy.file": str(file), "policy.candidates": 1}):
        configuration, _, _ = made(two_joints(), name="two.urdf", **few, **policy)
        for start in ((0.5, 1.0), (1.3, -1.4), (-0.6, 1.3), (-0.8, 1.2), (0.9, 0.1)):
            ends = []
            run(configuration, 4.0, np.array([*start, 0.0, 0.0]), ends)
            speeds.append(np.abs([end[2:4] for end in ends[len(ends) // 2 :]]).mean())
    assert np.mean(speeds[5:]) < 0.6 * np.mean(speeds[:5])  # It is 0.33.


def test_torques_without_damping_are_warned_of(made):
    _, _, (warning,) = made(urdf_arm(0.0), name="six.urdf")
    assert "torques move j0, j1, j2, j3, j4, j5, which the file gives no damping" in warning
    assert "a scene with position servos" in warning


def test_a_file_that_mujoco_cannot_simulate_is_told(made):
    fast = ARM.format(site=SITE, more="").replace(
        '<motor name="e" joint="elbow" ctrlrange="-6 6"/>',
        '<velocity name="e" joint="elbow" kv="50" ctrlrange="-6 6"/>',
    )
    _, _, (warning,) = made(fast)
    assert "MuJoCo cannot simulate 100 % of the candidates from rest" in warning
    assert "a smaller timestep than 0.005 s or integrator" in warning
    _, _, warnings = made(fast.replace("timestep", 'integrator="implicitfast" timestep'))
    assert warnings == []


def test_without_a_site_the_last_body_is_the_hand_and_objects_have_topics_of_their_own(made):
    configuration, _, _ = made(ARM.format(site="", more=CUP))
    value = configuration.values
    assert value["dynamics.outputs"][0] == "hand: framepos xbody lower"
    assert value["state.sources"] == ["joints", "cup"]
    assert value["state.cup.type"] == "nav_msgs/msg/Odometry"


def test_an_object_is_moved_to_where_it_is_and_that_is_to_be_changed(made):
    configuration, _, _ = made(ARM.format(site=SITE, more=CUP), "move")
    value = configuration.values
    assert value["costs"] == ["object", "smooth"]
    assert (value["object.plugin"], value["object.position"]) == ("pose", "cup")
    assert (value["object.target.x"], value["object.target.z"]) == (1.0, 0.0)
    assert value["planner.horizon"] * value["planner.dt"] == pytest.approx(1.0)


def test_fingers_that_move_an_object_make_long_strokes(made):
    fingers = "".join(
        f'<body pos="{0.05 * n} 0 0.1"><joint name="f{n}"/><geom size="0.02 0.02 0.1" type="box"/>'
        "</body>"
        for n in range(5)
    )
    servos = "".join(f'<position joint="f{n}" kp="1" ctrlrange="-1 1"/>' for n in range(5))
    hand = f"<mujoco><worldbody>{fingers}{CUP}</worldbody><actuator>{servos}</actuator></mujoco>"
    configuration, text, _ = made(hand, "move")
    value = configuration.values
    assert value["planner.knot_spacing"] * value["planner.dt"] == pytest.approx(0.32)
    assert "knots 0.32 s apart" in text
    # The search that was measured (docs/benchmarks.md).
    measured = load_yaml(share("examples") / "robots" / "leap_cube.yaml")
    names = {name for name in measured if name.startswith("planner.")}
    assert {name: value[name] for name in names} == {name: measured[name] for name in names}


def test_a_drone_hovers(made):
    configuration, text, _ = made(DRONE)
    assert "The task 'hover'" in text
    value = configuration.values
    assert value["action.nominal.a"] == pytest.approx(0.8 * 9.81 / 4, rel=1e-3)
    assert value["action.safe.a"] == value["action.nominal.a"]
    assert (value["state.topic"], value["state.type"]) == ("odom", "nav_msgs/msg/Odometry")
    end = run(configuration, 0.8)
    assert end["base_z"] == pytest.approx(1.0, abs=0.1)
    assert end["base_qw"] > 0.95


CAR = """<mujoco><worldbody><geom type="plane" size="0 0 0.1"/><body name="car" pos="0 0 0.2">
  <freejoint name="base"/><geom type="box" size="0.2 0.1 0.05" mass="1"/>
  <body pos="0 0.2 0"><joint name="left" axis="0 1 0"/>
    <geom type="sphere" size="0.1" mass="0.2"/></body></body></worldbody>
  <actuator><velocity name="left" joint="left" kv="1" ctrlrange="-9 9"/>{more}
  </actuator></mujoco>"""


@pytest.mark.parametrize(
    ("more", "task"),
    [("", "stand"), ('<motor name="jet" joint="base" gear="0 0 1 0 0 0"/>', "hover")],
)
def test_a_robot_of_few_actions_flies_only_if_something_lifts_it(made, more, task):
    _, text, _ = made(CAR.format(more=more))
    assert f"The task '{task}'" in text


def test_the_hand_may_have_a_name_with_spaces_and_one_that_is_taken(made):
    sensor = '<sensor><framepos name="hand" objtype="xbody" objname="left hand"/></sensor>'
    text = ARM.format(site="", more="").replace('"lower"', '"left hand"')
    value = made(text.replace("</mujoco>", f"{sensor}</mujoco>"))[0].values
    assert value["dynamics.outputs"][0] == "the_hand: framepos xbody 'left hand'"
    assert value["hand.position"] == "the_hand"


ONE_JOINT = """<robot name="arm"><link name="base"/>
  <link name="tool"><inertial><origin xyz="0 0 0.5"/><mass value="1"/>
    <inertia ixx="0.1" iyy="0.1" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="hip" type="revolute"><parent link="base"/><child link="tool"/><axis xyz="0 1 0"/>
    <limit lower="-2" upper="2" effort="7" velocity="3"/></joint>{more}</robot>"""


def fixed(link, parent, height):
    """A link at a fixed joint above another one."""
    return (
        f'<link name="{link}"/><joint name="{link}_joint" type="fixed"><parent link="{parent}"/>'
        f'<child link="{link}"/><origin xyz="0 0 {height}"/></joint>'
    )


@pytest.mark.parametrize(
    ("others", "tip", "link", "height"),
    [
        ((("finger", "tool", 0.1), ("cap", "finger", 0.05)), "", "cap", 0.15),
        ((("finger", "tool", 0.1), ("cap", "finger", 0.05)), "finger", "finger", 0.1),
        ((("flange", "tool", 0.1), ("tool0", "flange", 0), ("cam", "tool0", 1)), "", "tool0", 0.1),
    ],
)
def test_the_tip_of_a_urdf_may_be_a_link_at_a_fixed_joint(made, others, tip, link, height):
    urdf = ONE_JOINT.format(more="".join(fixed(*other) for other in others))
    configuration, text, _ = made(urdf, name="arm.urdf", tip=tip)
    assert configuration.values["dynamics.outputs"][0] == f"hand: framepos xbody {link}"
    assert f"The xbody {link} goes to a position" in text
    assert configuration.values["hand.target.z"] == pytest.approx(height)
    state = torch.tensor([[1.0], [0.0]])
    seen = configuration.dynamics.rollout(state, torch.zeros(1, 1, 1), torch.tensor([1e-3]))[0]
    assert seen[2].item() == pytest.approx(height * math.sin(1.0), abs=1e-3)


def test_a_urdf_and_states_that_no_message_names(made):
    configuration, _, _ = made(ONE_JOINT.format(more=""), name="arm.urdf")
    assert configuration.dynamics.action_high == (7.0,)
    assert configuration.values["dynamics.outputs"][0] == "hand: framepos xbody tool"
    slow = ARM.format(site=SITE, more="").replace(
        "</actuator>", '<general name="oil" joint="elbow" dyntype="integrator"/></actuator>'
    )
    configuration, _, warnings = made(slow)
    assert configuration.values["state.sources"] == ["joints", "others"]
    assert configuration.values["state.others.fields.oil_act"] == "data[0]"
    assert any("action.high of oil" in warning for warning in warnings)


def test_a_robot_without_a_floor_is_told(made):
    legs = ARM.format(site=SITE, more="").replace(
        '<body name="upper" pos="0 0 0.5">',
        '<body name="trunk"><freejoint name="base"/><geom size="0.1"/><body name="upper">',
    )
    _, _, warnings = made(legs.replace("</body></body>", "</body></body></body>"), "stand")
    assert any("the file has no floor" in warning for warning in warnings)
    _, _, warnings = made(DRONE)
    assert warnings == []


def test_what_is_printed_is_a_file_that_check_accepts(tmp_path, capsys):
    file = tmp_path / "arm.xml"
    file.write_text(ARM.format(site=SITE, more=""))
    assert cli.main(["init", "--mujoco", str(file), "--task", "reach"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 200
    written = tmp_path / "arm.yaml"
    written.write_text(text)
    assert cli.main(["check", str(written)]) == 0
    said = capsys.readouterr().out
    assert "names, types and ranges are right" in said
    assert "warning" not in said.replace("warning: one iteration", "").replace("warning: of", "")


@pytest.mark.parametrize("name", ["cartpole", "quadrotor", "diff_drive_lag"])
def test_a_plugin_gets_a_file_with_all_weights(name, tmp_path):
    text, _ = of_plugin(name)
    written = tmp_path / "plugin.yaml"
    written.write_text(text)
    configuration = configure(load_yaml(written) | {"planner.device": "cpu"})
    assert all(
        configuration.values[f"follow.weight.{s}"] for s in configuration.dynamics.state_names
    )
    assert yaml.safe_load(text)["/**"]["ros__parameters"]["dynamics"] == {"plugin": name}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--plugin", "exported"], "the model 'exported' cannot be made with its defaults"),
        (["--plugin", "cartpool"], "did you mean 'cartpole'"),
        (["--plugin", "cartpole", "--task", "reach"], "--task, --keyframe, --tip"),
        (["--mujoco", "cartpole.xml", "--task", "hover"], "allowed are reach and move"),
        (["--mujoco", "cartpole.xml", "--task", "move"], "nothing in the file has a free joint"),
        (["--mujoco", "quadruped.xml", "--task", "reach"], "allowed are stand, walk and hover"),
        (["--mujoco", "quadruped.xml", "--keyframe", "up"], "which has home, lying"),
        (["--urdf", "nowhere.urdf"], "file 'nowhere.urdf' does not exist"),
        (["--urdf", "cartpole.xml"], "cartpole.xml is an MJCF file, allowed for --mujoco only"),
        (
            ["--mujoco", "quadruped.xml", "--tip", "trunk"],
            "--tip is for --task reach, but the task",
        ),
        (["--mujoco", "cartpole.xml", "--tip", "pole_"], "has cart, pole, did you mean 'pole'?"),
        (["--mujoco", ""], "parameter 'file' is missing"),
    ],
)
def test_what_cannot_be_is_explained(arguments, text, capsys):
    assert cli.main(["init", *arguments]) == 1
    assert text in capsys.readouterr().err


URDF = """<robot name="r"><link name="base"/><link name="arm"/><joint name="j" type="revolute">
  <parent link="base"/><child link="arm"/><axis xyz="0 0 1"/>
  <limit lower="-1" upper="1" effort="5" velocity="1"/></joint></robot>"""


def test_a_urdf_is_not_taken_for_mjcf(tmp_path, capsys):
    file = tmp_path / "robot.xml"
    file.write_text(URDF)
    assert cli.main(["init", "--mujoco", str(file)]) == 1
    assert "robot.xml is a URDF file, allowed for --urdf only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<mujoco/>", "has no joint, expected a robot with at least one actuator"),
        (f"<mujoco><worldbody>{CUP}</worldbody></mujoco>", "has no actuator, and no hinge or sl"),
        (
            f"<mujoco><worldbody>{SILENT}</worldbody></mujoco>",
            "the task reach needs the hand",
        ),
        (URDF, "a link that moves needs <inertial> with mass and inertia"),
        ("<mujoco><worldbody>", "(expected an MJCF or URDF file)"),
        ("nodes:", "(expected an MJCF or URDF file)"),
        ("<sdf/>", "(expected an MJCF or URDF file)"),
    ],
)
def test_a_file_that_is_no_robot_is_explained_on_one_line(content, text, tmp_path, capsys):
    file = tmp_path / "robot.xml"
    file.write_text(content)
    assert cli.main(["init", "--urdf" if content == URDF else "--mujoco", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: file '{file}'")
    assert text in error
    assert error.count("\n") == 1


FILES = [
    *sorted(str(file) for file in share("models").rglob("*.xml")),
    *(
        f"gymnasium:envs/mujoco/assets/{name}.xml"
        for name in ("ant", "half_cheetah", "hopper", "humanoid", "humanoidstandup", "walker2d_v5")
    ),
    *(
        f"gymnasium:envs/mujoco/assets/{name}.xml"
        for name in ("inverted_double_pendulum", "inverted_pendulum", "point", "pusher_v5")
    ),
    *(f"gymnasium:envs/mujoco/assets/{name}.xml" for name in ("reacher", "swimmer")),
]


@pytest.mark.filterwarnings("ignore:compiler attribute")
@pytest.mark.parametrize("file", FILES, ids=lambda file: "-".join(file.split("/")[-2:]))
def test_every_robot_gets_a_file_that_is_right_and_on_time(file, tmp_path):
    """On a machine on which an iteration takes 0.15 s: check would not say that plans are slow."""
    if file.startswith("gymnasium:"):
        pytest.importorskip("gymnasium")
    seconds = 0.15
    seen = []

    def measure(planner):
        seen.append(planner.search)
        return IterationTime(seconds)

    text, warnings = of_file(file, measure=measure)
    written = tmp_path / "robot.yaml"
    written.write_text(text)
    configuration = configure(load_yaml(written) | {"planner.device": "cpu"})
    value, (measured,) = configuration.values, seen
    # What is right about another machine is not told, and a rate of commands has an effect.
    assert not any("control_rate" in w or "command.rate" in w for w in warnings)
    work = value["planner.samples"] * value["planner.horizon"] * value["planner.iterations"]
    expected = seconds * work / (measured.samples * measured.horizon)
    budget = value["budget_fraction"] / value["control_rate"]
    assert not too_slow(value["planner.iterations"], expected, budget, value["planner.samples"])
    for name in configuration.dynamics.action_names:
        assert value[f"action.std.{name}"] > 0.0
        assert value[f"action.nominal.{name}"] != "middle"


def test_a_slower_machine_gets_less_to_do():
    search = {"samples": 64, "elites": 8, "iterations": 3, "horizon": 40, "dt": 0.02}
    assert fitted(search, 50.0, 0.003, 0.8) == (search, 50.0)
    less, rate = fitted(search, 50.0, 0.009, 0.8)
    assert (less["iterations"], less["samples"], rate) == (1, 64, 50.0)
    less, rate = fitted(search, 50.0, 0.012, 0.8)
    assert (less["iterations"], less["samples"], less["elites"], rate) == (1, 48, 6, 50.0)
    less, rate = fitted(search, 50.0, 0.04, 0.8)
    assert (less["samples"], less["horizon"], rate) == (32, 40, 20.0)
    less, rate = fitted(search, 50.0, 99.0, 0.8)
    assert (less["samples"], less["horizon"], rate) == (8, 24, 5.0)


def test_a_busy_machine_is_told_once_and_its_search_is_not_made_smaller(tmp_path):
    file = tmp_path / "arm.xml"
    file.write_text(ARM.format(site=SITE, more=""))
    (alone, _), (busy, warnings) = (
        of_file(str(file), measure=lambda planner, waited=waited: IterationTime(0.01, waited))
        for waited in (0.02, 0.5)
    )
    assert busy == alone
    (said,) = (text for text in warnings if "busy" in text)
    assert "50 % of the time" in said
    planner = yaml.safe_load(busy)["/**"]["ros__parameters"]["planner"]
    assert f"planner.samples became {planner['samples']}:" in said
    assert "run init again" in said


class Calculating:
    """A planner, of whose plans each needs 20 ms of a processor."""

    search = SimpleNamespace(iterations=2)

    def __init__(self):
        self.dynamics, self.times = Mujoco({"file": "cartpole.xml", "threads": 1}), []

    def plan(self, state, time, until):
        began, end = monotonic(), thread_time() + 0.02
        while thread_time() < end:
            pass
        self.times.append(monotonic() - began)
        return SimpleNamespace(iterations=2, simulated_share=1.0)

    def reset(self):
        pass


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux has processors to choose")
def test_the_time_of_an_iteration_is_that_without_other_programs():
    """Another process wants the processor all the time."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    planner = Calculating()
    other = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=-1
    )
    try:
        other.stdout.readline()
        took = iteration_time(planner)
    finally:
        other.kill()
        other.communicate()
        os.sched_setaffinity(0, allowed)
    assert took.waited > 0.3
    assert 0.0 < took.seconds < 0.8 * np.mean(planner.times[1:]) / planner.search.iterations


def test_a_needlessly_small_time_step_is_made_larger_and_the_file_stays(made):
    configuration, text, _ = made(str(share("models") / "cartpole.xml"))
    assert configuration.values["dynamics.time_step"] == 0.005
    assert configuration.dynamics.model.opt.timestep == 0.005
    assert "larger than that of the file, 0.001" in text
    # A stiff joint needs its small steps.
    stiff = ARM.format(site=SITE, more="").replace('timestep="0.005"', 'timestep="0.001"')
    stiff = stiff.replace('damping="0.1"/>', 'stiffness="40000" damping="0.01"/>', 1)
    configuration, _, _ = made(stiff)
    assert configuration.values["dynamics.time_step"] < 0.005


def test_a_keyframe_is_chosen():
    text, _ = of_file("quadruped.xml", keyframe="lying", measure=at_once)
    assert "has the preset" not in text  # It has servos.
    assert "-p start:=lying" in text
    with pytest.raises(ConfigurationError, match="home, lying"):
        of_file("quadruped.xml", keyframe="sitting")


@pytest.mark.filterwarnings("ignore:compiler attribute")
@pytest.mark.parametrize(
    ("name", "task"), [("ant", "stand"), ("half_cheetah", "reach"), ("pusher_v5", "reach")]
)
def test_robots_of_others_get_a_first_file(name, task, tmp_path):
    pytest.importorskip("gymnasium")
    file = f"gymnasium:envs/mujoco/assets/{name}.xml"
    text, _ = of_file(file, measure=at_once)
    assert f"The task '{task}' for {name}.xml" in text
    assert "config/half_cheetah.yaml has the preset" in " ".join(text.replace("#", "").split())
    written = tmp_path / "robot.yaml"
    written.write_text(text)
    assert load_yaml(written)["dynamics.file"] == file


def test_a_floating_robot_needs_few_parameters():
    """Fields, bounds and nominal actions come from the file."""
    values = {"dynamics.plugin": "mujoco", "dynamics.file": "quadruped.xml", "costs": ["up"]}
    values |= {"up.plugin": "track", "up.weight.base_z": 1.0, "up.target.base_z": 0.3}
    values |= {"state.sources": ["joints", "base"], "state.base.topic": "odom"}
    configuration = configure(values | {"state.base.type": "nav_msgs/msg/Odometry"})
    assert len(configuration.dynamics.state_names) == 37
    # Zero is no angle that a knee can have.
    assert configuration.values["action.safe.FR_calf"] == "measured"
    assert configuration.values["action.safe.FR_hip"] == 0.0
