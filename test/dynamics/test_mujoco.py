# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The physics of a file as a model."""

import math
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cem_planner_ros import dynamics
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import find
from cem_planner_ros.simulation.plants import ModelPlant, MujocoPlant

mujoco = pytest.importorskip("mujoco")

from cem_planner_ros.dynamics.mujoco import Mujoco  # noqa: E402
from cem_planner_ros.dynamics.mujoco_warp import MujocoWarp  # noqa: E402

ROOT = Path(__file__).parents[2]

ARM = """<robot name="arm">
  <link name="base"/>
  <link name="arm"><inertial><origin xyz="0 0 0.5"/><mass value="1"/>
    <inertia ixx="0.1" iyy="0.1" izz="0.01" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="hip" type="revolute"><parent link="base"/><child link="arm"/><axis xyz="0 1 0"/>
    <limit lower="-2" upper="2" effort="7" velocity="3"/></joint>
</robot>"""

LOOSE = """<mujoco><worldbody>
  <body><freejoint name="base"/><geom size="0.1"/>
    <body pos="0 0 1"><joint name="neck" type="ball"/><geom size="0.1"/></body></body>
  <body><joint name="lid" axis="1 0 0"/><geom size="0.1"/></body>
  </worldbody>
  <actuator><general name="press" joint="lid" dyntype="integrator"/></actuator></mujoco>"""


def test_the_cartpole_of_a_file_moves_as_the_equations_do():
    model = Mujoco({"file": "cartpole.xml", "threads": 2})
    model.check()
    assert model.state_names == ("slider", "hinge", "slider_dot", "hinge_dot")
    assert model.angle_names == ("hinge",)
    assert (model.action_names, model.action_low, model.action_high) == (
        ("force",),
        (-10.0,),
        (10.0,),
    )
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(4, 6, generator=generator)
    sequence = 10.0 * torch.rand(20, 1, 6, generator=generator) - 5.0
    durations = torch.tensor([0.013, *[0.02] * 19])
    moved = model.rollout(state, sequence, durations)
    equations = CartPole({"gravity": 9.81, "integrator": "rk4"})
    order = [0, 2, 1, 3]
    expected = torch.stack(list(equations.rollout(state[order], sequence, durations)))[:, order]
    torch.testing.assert_close(moved, expected, rtol=0.01, atol=0.01)
    step = model.step(state, sequence[0], durations[0])
    torch.testing.assert_close(step, moved[0])


def test_a_urdf_gets_a_motor_in_each_joint_within_its_effort(tmp_path):
    file = tmp_path / "arm.urdf"
    file.write_text(ARM)
    model = Mujoco({"file": str(file)})
    model.check()
    assert model.state_names == ("hip", "hip_dot")
    assert model.angle_names == ()
    assert (model.action_names, model.action_low, model.action_high) == (("hip",), (-7.0,), (7.0,))
    state = model.step(torch.zeros(2, 1), torch.tensor([[3.5]]), torch.tensor(0.02))
    # Torque over the inertia about the joint, m l^2 + I.
    assert state[1].item() == pytest.approx(0.02 * 3.5 / (0.25 + 0.1), rel=0.01)


def test_links_of_a_urdf_at_fixed_joints_are_kept_unless_it_fuses_them(tmp_path):
    file = tmp_path / "arm.urdf"
    end = """<link name="tool0"/><joint name="end" type="fixed"><parent link="arm"/>
      <child link="tool0"/><origin xyz="0 0 1"/></joint></robot>"""
    fused = '<mujoco><compiler fusestatic="true"/></mujoco></robot>'
    file.write_text(ARM.replace("</robot>", end))
    model = Mujoco({"file": str(file), "outputs": ["tip: framepos xbody tool0"]})
    state, action = torch.tensor([[1.0], [0.0]]), torch.zeros(1, 1, 1)
    tip = model.rollout(state, action, torch.tensor([0.002]))[0, 2:, 0]
    expected = torch.tensor([math.sin(1.0), 0.0, math.cos(1.0)])
    torch.testing.assert_close(tip, expected, atol=1e-3, rtol=0.0)
    file.write_text(ARM.replace("</robot>", end).replace("</robot>", fused))
    with pytest.raises(
        ConfigurationError, match=r"no xbody is called 'tool0', the file has world, arm"
    ):
        Mujoco({"file": str(file), "outputs": ["tip: framepos xbody tool0"]})


def test_every_kind_of_state_has_a_name_of_its_own(tmp_path):
    file = tmp_path / "loose.xml"
    file.write_text(LOOSE)
    model = Mujoco({"file": str(file)})
    model.check()
    assert " ".join(model.state_names) == (
        "base_x base_y base_z base_qw base_qx base_qy base_qz neck_qw neck_qx neck_qy neck_qz lid "
        "base_x_dot base_y_dot base_z_dot base_wx base_wy base_wz neck_wx neck_wy neck_wz lid_dot "
        "press_act"
    )
    state = torch.zeros(len(model.state_names), 2)
    assert model.step(state, torch.ones(1, 2), torch.tensor(0.01)).shape == state.shape


UNSTABLE = """<mujoco><option timestep="0.02"/><worldbody>
  <body><joint name="x" type="slide" axis="1 0 0"/><geom size="0.1" mass="1"/></body>
  <body pos="0 0 1"><joint name="k" type="slide" axis="1 0 0" stiffness="500"/>
    <geom size="0.1" mass="0.01"/></body></worldbody>
  <actuator><motor name="push" joint="x" ctrlrange="-10 10" ctrllimited="true"/>
    <motor name="pull" joint="k" ctrlrange="-10 10" ctrllimited="true"/></actuator></mujoco>"""


def test_an_unstable_simulation_is_no_cheap_candidate(tmp_path):
    """MuJoCo resets it, to zero: just what a cost of the distance to zero likes."""
    file = tmp_path / "unstable.xml"
    file.write_text(UNSTABLE)
    model = Mujoco({"file": str(file)})
    state = torch.tensor([3.0, 0.0, 0.0, 0.0])[:, None].repeat(1, 2)
    sequence = torch.zeros(20, 2, 2)
    sequence[0, 1, 1] = 10.0
    states = model.rollout(state, sequence, torch.full((20,), 0.02))
    torch.testing.assert_close(states[:, 0, 0], torch.full((20,), 3.0))
    assert torch.isfinite(states[0]).all()
    assert torch.isnan(states[-1, :, 1]).all()
    assert not (states[:, 0, 1] < 2.9).any()
    # What failed before does not spoil what comes after.
    assert torch.isfinite(model.rollout(state, 0.0 * sequence, torch.full((20,), 0.02))).all()


def test_unstable_candidates_neither_fill_the_output_nor_write_a_file(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)  # Where MuJoCo would write its log.
    (tmp_path / "unstable.xml").write_text(UNSTABLE)
    for threads in (1, 2):
        model = Mujoco({"file": "unstable.xml", "threads": threads})
        state = torch.tensor([3.0, 0.0, 0.0, 0.0])[:, None].repeat(1, 4)
        states = model.rollout(state, torch.full((20, 2, 4), 10.0), torch.full((20,), 0.02))
        assert torch.isnan(states[-1]).all()
    assert "".join(capfd.readouterr()).count("unstable") <= 1
    assert [file.name for file in tmp_path.iterdir()] == ["unstable.xml"]


def test_a_model_step_below_the_time_step_of_the_file_is_refused(tmp_path):
    file = tmp_path / "unstable.xml"
    file.write_text(UNSTABLE)
    model = Mujoco({"file": str(file)})
    model.check_dt(0.02)
    with pytest.raises(
        ConfigurationError, match=r"'planner.dt' is 0.005, allowed: at least .*0.02"
    ):
        model.check_dt(0.005)


def test_variants_of_a_physics_engine_are_refused(drive):
    """They would all be the same: it knows nothing of numbers."""
    changes = {"dynamics.plugin": "mujoco", "dynamics.file": "cartpole.xml"}
    text = "'randomisation.samples' is 4, allowed: 1, as mujoco rolls out by itself"
    with pytest.raises(ConfigurationError, match=text):
        configure(drive | changes | {"randomisation.samples": 4})


def test_the_simulator_has_the_joints_and_motors_of_the_model(tmp_path):
    unnamed = """<mujoco><worldbody><body><joint type="slide"/><geom size="0.1"/>
      <body><joint name="tip"/><geom size="0.1"/></body></body></worldbody></mujoco>"""
    for name, text in (("arm.urdf", ARM), ("unnamed.xml", unnamed)):
        file = tmp_path / name
        file.write_text(text)
        model, plant = Mujoco({"file": str(file)}), MujocoPlant(file)
        joints = [field.split()[1] for field in plant.state_fields if field.startswith("position")]
        assert (*joints, *(f"{joint}_dot" for joint in joints)) == model.state_names
        assert tuple(plant.command_fields) == model.action_names
    assert model.state_names[:2] == ("joint0", "tip")


@pytest.fixture
def described(tmp_path, monkeypatch):
    """A function to a URDF file with a mesh in a ROS package of a workspace."""
    folder = tmp_path / "ws" / "share" / "my_robot" / "meshes"
    folder.mkdir(parents=True)
    corners = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    # MuJoCo reads binary STL only.
    numbers = [
        struct.pack("<12fH", 0, 0, 0, *(float(x) for i in face for x in corners[i]), 0)
        for face in ((0, 2, 1), (0, 1, 3), (1, 2, 3), (2, 0, 3))
    ]
    (folder / "part.stl").write_bytes(b" " * 80 + struct.pack("<I", 4) + b"".join(numbers))
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "ws"))

    def make(mesh):
        geometry = f'<collision><geometry><mesh filename="{mesh}"/></geometry></collision>'
        file = tmp_path / "robot.urdf"
        file.write_text(ARM.replace("</inertial>", f"</inertial>{geometry}", 1))
        return file

    return make


@pytest.mark.parametrize("scheme", ["package", "model"])
def test_meshes_of_ros_packages_are_found(described, scheme):
    file = described(f"{scheme}://my_robot/meshes/part.stl")
    model = Mujoco({"file": str(file)}).model
    assert model.nmesh == 1
    assert model.geom_dataid[0] == 0
    assert tuple(MujocoPlant(file).command_fields) == ("hip",)


def test_meshes_may_be_named_by_their_place_on_this_machine(described, tmp_path):
    (tmp_path / "a part.stl").write_bytes(
        (tmp_path / "ws" / "share" / "my_robot" / "meshes" / "part.stl").read_bytes()
    )
    file = described(f"file://{tmp_path}/a%20part.stl")
    assert Mujoco({"file": str(file)}).model.nmesh == 1


def test_a_mesh_of_a_ros_package_may_be_in_mjcf_too(described, tmp_path):
    described("")  # Makes the workspace.
    file = tmp_path / "arm.xml"
    file.write_text(
        """<mujoco><asset><mesh name="part" file="package://my_robot/meshes/part.stl"/></asset>
        <worldbody><body><joint name="hip"/><geom type="mesh" mesh="part"/></body></worldbody>
        <actuator><motor name="hip" joint="hip" ctrlrange="-1 1"/></actuator></mujoco>"""
    )
    assert Mujoco({"file": str(file)}).model.nmesh == 1


def test_a_mesh_that_mujoco_cannot_read_is_one_that_is_missing(described, tmp_path):
    (tmp_path / "part.dae").write_text("<COLLADA/>")
    file = described(f"{tmp_path}/part.dae")
    with pytest.raises(ConfigurationError, match=r"part\.dae.* reads STL, OBJ and MSH: convert"):
        Mujoco({"file": str(file)})
    assert Mujoco({"file": str(file), "allow_missing_meshes": True}).model.nmesh == 0


def test_a_flat_mesh_is_refused_with_what_to_take_instead(described, tmp_path):
    (tmp_path / "sign.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3\nf 1 3 4\n")
    with pytest.raises(ConfigurationError, match=r"coplanar .* take a box in its place"):
        Mujoco({"file": str(described(f"{tmp_path}/sign.obj"))})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (('name="arm"', 'name="$(arg name)"'), "robot.urdf': it is a xacro file, expected URDF"),
        (("</robot>", '<joint name="hip"/></robot>'), "it has two joints called 'hip'"),
        (('"hip"', '"hip.1"'), "whose name has a dot, 'hip.1', expected none"),
    ],
)
def test_what_is_not_quite_a_urdf_is_refused_with_what_to_do(tmp_path, changes, text):
    file = tmp_path / "robot.urdf"
    file.write_text(ARM.replace(*changes))
    assert file.read_text() != ARM
    with pytest.raises(ConfigurationError) as caught:
        Mujoco({"file": str(file)}).check()
    assert text in str(caught.value)


SHOWN = """<mujoco><compiler meshdir="parts"/><asset><mesh name="skin" file="skin.stl"/>
  <texture name="paint" type="2d" file="paint.png"/><material name="paint" texture="paint"/></asset>
  <worldbody><geom type="mesh" mesh="skin" contype="0" conaffinity="0"/>
  <body name="carriage"><joint name="x" type="slide"/>{inertia}
    <geom type="mesh" mesh="skin" material="paint" {how}/><geom size="0.1" {mass}/></body>
  </worldbody><actuator><motor name="push" joint="x" ctrlrange="-1 1"/></actuator></mujoco>"""

SILENT = 'contype="0" conaffinity="0"'
INERTIA = '<inertial pos="0 0 0" mass="2" diaginertia="1 1 1"/>'


def test_meshes_that_only_show_something_may_be_missing(tmp_path):
    file = tmp_path / "shown.xml"
    for inertia, how in ((INERTIA, SILENT), ("", f'{SILENT} mass="0"')):
        file.write_text(SHOWN.format(inertia=inertia, how=how, mass='mass="2"'))
        model = Mujoco({"file": str(file)})
        assert (model.model.ngeom, model.model.nmesh) == (1, 0)
        assert model.model.body_mass[1] == 2.0
        (warning,) = model.warnings()
        assert "names 2 meshes and textures that do not exist or that MuJoCo does not" in warning
        assert "such as skin.stl: what they show" in warning
        assert MujocoPlant(file).command_fields == {"push": "data[0]"}
    for inertia, how in ((INERTIA, ""), ("", SILENT)):  # It collides; it has mass.
        file.write_text(SHOWN.format(inertia=inertia, how=how, mass=""))
        with pytest.raises(ConfigurationError, match=r"shown\.xml': (.|\n)*skin\.stl"):
            Mujoco({"file": str(file)})


def test_meshes_that_collide_may_be_left_out(tmp_path):
    file = tmp_path / "shown.xml"
    file.write_text(SHOWN.format(inertia=INERTIA, how="", mass=""))
    with pytest.raises(ConfigurationError, match="allow_missing_meshes"):
        Mujoco({"file": str(file)})
    model = Mujoco({"file": str(file), "allow_missing_meshes": True})
    assert (model.model.ngeom, model.model.nmesh) == (1, 0)
    (warning,) = (text for text in model.warnings() if "collide:" in text)
    assert "the bodies carriage collide: plans may lead them through obstacles" in warning
    assert MujocoPlant(file, allow_missing_meshes=True).command_fields == {"push": "data[0]"}
    file.write_text(SHOWN.format(inertia="", how="", mass=""))  # The mesh gives the inertia.
    with pytest.raises(ConfigurationError, match=r"skin\.stl"):
        Mujoco({"file": str(file), "allow_missing_meshes": True})


@pytest.fixture
def shipped(described, tmp_path, monkeypatch):
    """A folder that imports as shop_of_robots, with a robot whose parts are in folders."""
    shop = tmp_path / "shop_of_robots"
    (shop / "parts").mkdir(parents=True)
    described("package://my_robot/meshes/part.stl")
    part = tmp_path / "ws" / "share" / "my_robot" / "meshes" / "part.stl"
    (shop / "parts" / "skin.stl").write_bytes(part.read_bytes())
    (shop / "__init__.py").touch()
    assets, body = SHOWN.format(inertia=INERTIA, how="", mass="").split("</asset>")
    painted = assets.replace('file="paint.png"', 'builtin="flat" width="2" height="2"')
    (shop / "assets.xml").write_text(f"{painted}</asset></mujoco>")
    (shop / "robot.xml").write_text(f'<mujoco><include file="assets.xml"/>{body}')
    monkeypatch.syspath_prepend(str(tmp_path))
    return shop


def test_a_scene_includes_a_robot_of_a_package(shipped, tmp_path):
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "poses.xml").write_text(
        '<mujoco><keyframe><key name="home" qpos="0.2"/></keyframe></mujoco>'
    )
    file = tmp_path / "scenes" / "scene.xml"
    scene = '<mujoco><include file="{}"/><include file="poses.xml"/></mujoco>'
    file.write_text(scene.format("shop_of_robots:robot.xml"))
    model = Mujoco({"file": str(file)})
    assert model.warnings() == []
    assert (model.action_names, model.model.nmesh) == (("push",), 1)
    plant = MujocoPlant(file, "home")
    np.testing.assert_allclose(plant.state(), [0.2, 0.0])
    file.write_text(scene.format("shop_of_robots:other.xml"))
    with pytest.raises(
        ConfigurationError, match=r"scene\.xml': file 'shop_of_robots:other\.xml' does not exist"
    ):
        Mujoco({"file": str(file)})


def test_a_ros_package_that_is_missing_is_told(described, tmp_path):
    file = described("package://other_robot/meshes/part.stl")
    text = (
        r"robot\.urdf': 'package://other_robot/\S+' needs the ROS package 'other_robot', .*source"
        ".*; or leave out what only collides by .*--allow-missing-meshes"
    )
    with pytest.raises(ConfigurationError, match=text) as caught:
        Mujoco({"file": str(file)})
    assert str(caught.value).count("robot.urdf") == 1
    assert Mujoco({"file": str(file), "allow_missing_meshes": True}).model.nmesh == 0
    file = described("package://my_robot/meshes/hand.stl")
    with pytest.raises(
        ConfigurationError, match=r"there is no file .*ws/share/my_robot/meshes/hand"
    ):
        Mujoco({"file": str(file)})
    model = Mujoco({"file": str(file), "allow_missing_meshes": True})
    assert any("hand.stl: what they show is left out" in text for text in model.warnings())
    with pytest.raises(ConfigurationError, match="needs the ROS package 'nowhere'"):
        Mujoco({"file": "package://nowhere/robot.urdf"})


@pytest.mark.parametrize("name", ["robot.urdf", "package://my_robot/robot.urdf"])
def test_a_scene_attaches_a_urdf_with_meshes_of_a_ros_package(described, tmp_path, name):
    urdf = described("package://my_robot/meshes/part.stl")
    if "://" in name:
        urdf = urdf.rename(tmp_path / "ws" / "share" / "my_robot" / "robot.urdf")
    scene = tmp_path / "scene.xml"
    scene.write_text(
        f'<mujoco><asset><model name="robot" file="{name}"/></asset><worldbody>'
        '<frame pos="0 0 1"><attach model="robot" prefix=""/></frame></worldbody></mujoco>'
    )
    assert Mujoco({"file": str(scene)}).model.nmesh == 1
    text = urdf.read_text()
    urdf.write_text(text.replace("//my_robot/meshes", "//other_robot/meshes"))
    with pytest.raises(
        ConfigurationError, match=r"scene\.xml': .* needs the ROS package 'other_robot'"
    ):
        Mujoco({"file": str(scene)})
    urdf.write_text(text.replace("<robot name=", '<robot role="${x}" name='))
    with pytest.raises(ConfigurationError, match=r"attached '.*robot\.urdf': it is a xacro file"):
        Mujoco({"file": str(scene)})


NAMES = """<mujoco><worldbody>
  <body><joint type="slide"/><geom size="0.1"/>
    <body><joint name="joint0" type="slide"/><geom size="0.1"/>
      <body><joint name="joint1_dot" type="slide"/><geom size="0.1"/></body></body></body>
  </worldbody><actuator>
  <motor joint="joint0"/><motor name="actuator0" joint="joint0"/>
  <general joint="joint0" dyntype="integrator"/>
  <motor name="actuator2_act" joint="joint0"/></actuator></mujoco>"""


def test_names_that_are_made_up_are_never_those_of_others(tmp_path):
    file = tmp_path / "names.xml"
    file.write_text(NAMES)
    model = Mujoco({"file": str(file)})
    model.check()
    assert {"joint0", "joint1_dot"} < set(model.state_names)
    assert len(set(model.state_names)) == 7
    assert {"actuator0", "actuator2_act"} < set(model.action_names)
    assert len(set(model.action_names)) == 4
    assert tuple(MujocoPlant(file).command_fields) == model.action_names


def test_given_names_that_make_one_state_twice_are_explained(tmp_path):
    file = tmp_path / "twice.xml"
    file.write_text(NAMES.replace('"slide"/>', '"slide" name="joint1"/>', 1))
    text = r"twice\.xml' has 2 states called 'joint1_dot', expected different names"
    with pytest.raises(ConfigurationError, match=text):
        Mujoco({"file": str(file)}).check()


GRIPPER = """<robot name="gripper"><link name="base"/>{links}
  <joint name="left" type="prismatic"><parent link="base"/><child link="l"/><axis xyz="1 0 0"/>
    <limit lower="0" upper="1" effort="5" velocity="1"/></joint>
  <joint name="right" type="prismatic"><parent link="base"/><child link="r"/><axis xyz="-1 0 0"/>
    <limit lower="0" upper="1" effort="5" velocity="1"/>
    <mimic joint="left" multiplier="1" offset="0"/></joint></robot>""".format(
    links="".join(
        f'<link name="{name}"><inertial><mass value="1"/>'
        '<inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial></link>'
        for name in "lr"
    )
)


def test_a_joint_that_mimics_another_gets_no_motor(tmp_path):
    file = tmp_path / "gripper.urdf"
    file.write_text(GRIPPER)
    model = Mujoco({"file": str(file)})
    assert model.action_names == ("left",)
    assert tuple(MujocoPlant(file).command_fields) == ("left",)
    (warning,) = model.warnings()
    assert "follow others by an equality, right ('left'): they are no actions" in warning


HAND = """<mujoco><option {option}>{flag}</option><worldbody>
  <body><joint name="a" type="slide"/><geom size="0.1"/></body>
  <body pos="1 0 0"><joint name="b" type="slide"/><geom size="0.1"/></body></worldbody>
  <equality><joint joint1="b" joint2="a" active="{active}"/></equality>
  <actuator><motor name="push" joint="a" ctrlrange="-2 2" group="1"/>
    <position name="hold" joint="a" ctrlrange="0 1" kp="9" group="2"/>
    <motor name="pull" joint="b" ctrlrange="0 3"/></actuator></mujoco>"""


@pytest.fixture
def hand(tmp_path):
    """A function to the model of HAND."""

    def make(option="", flag="", active="true"):
        file = tmp_path / "hand.xml"
        file.write_text(HAND.format(option=option, flag=flag, active=active))
        return Mujoco({"file": str(file)})

    return make


def test_joints_that_are_driven_twice_or_against_an_equality_are_told(hand):
    warnings = "\n".join(hand().warnings())
    assert "joint 'a'" in warnings
    assert "driven by 2 actions at once, push, hold" in warnings
    assert "joint 'b'" in warnings
    assert "follows 'a' by an equality, yet is driven by pull" in warnings
    for free in ({"active": "false"}, {"flag": '<flag equality="disable"/>'}):
        assert "follows" not in "".join(hand(**free).warnings())


def test_motors_around_different_axes_of_a_ball_joint_do_not_add_up(tmp_path):
    file = tmp_path / "shoulder.xml"
    file.write_text(
        """<mujoco><worldbody><body><joint name="shoulder" type="ball"/><geom size="0.1"/></body>
        </worldbody><actuator>
        <motor name="roll" joint="shoulder" gear="1 0 0 0 0 0" ctrlrange="-1 1"/>
        <motor name="pitch" joint="shoulder" gear="0 1 0 0 0 0" ctrlrange="-1 1"/>
        </actuator></mujoco>"""
    )
    assert Mujoco({"file": str(file)}).warnings() == []


def test_a_joint_that_is_driven_in_place_of_its_leader_is_no_conflict(tmp_path):
    file = tmp_path / "gripper.xml"
    file.write_text(
        HAND.format(option="", flag="", active="true").replace('joint="a"', 'joint="b"')
    )
    assert "equality" not in "".join(Mujoco({"file": str(file)}).warnings())


def test_a_disabled_actuator_is_no_action(hand, tmp_path):
    model = hand('actuatorgroupdisable="2"')
    assert model.action_names == ("push", "pull")
    assert model.action_high == (2.0, 3.0)
    assert "hold" in model.warnings()[0]
    assert "driven by 2" not in "".join(model.warnings())
    state, pushed = torch.zeros(4, 1), torch.tensor([[1.0], [0.0]])
    alone = hand('actuatorgroupdisable="1 2"')
    # What is sent as `pull` has to arrive there, behind the one that is left out.
    moved = model.step(state, torch.tensor([[0.0], [1.0]]), torch.tensor(0.02))
    torch.testing.assert_close(alone.step(state, torch.ones(1, 1), torch.tensor(0.02)), moved)
    assert not torch.equal(model.step(state, pushed, torch.tensor(0.02)), moved)
    plant = MujocoPlant(tmp_path / "hand.xml")
    assert plant.command_fields == {"pull": "data[0]"}
    plant.step(np.ones(1), 0.02)
    assert plant.state() == pytest.approx(moved[:, 0].numpy(), abs=1e-6)


@pytest.mark.parametrize(
    "disabled",
    [{"option": 'actuatorgroupdisable="0 1 2"'}, {"flag": '<flag actuation="disable"/>'}],
)
def test_a_file_in_which_no_actuator_acts_is_refused(hand, disabled):
    with pytest.raises(ConfigurationError, match=r"hand\.xml' disables all of its actuators"):
        hand(**disabled)


def test_what_mujoco_warns_of_is_told_once(tmp_path, recwarn):
    file = tmp_path / "old.xml"
    file.write_text(
        """<mujoco><compiler settotalmass="2"/><worldbody><body><joint name="x" type="slide"/>
        <geom size="0.1"/></body></worldbody>
        <actuator><motor joint="x" ctrlrange="-1 1"/></actuator></mujoco>"""
    )
    told = [text for text in Mujoco({"file": str(file)}).warnings() if "settotalmass" in text]
    assert len(told) == 1
    assert told[0].startswith(f"file '{file}': MuJoCo says: ")
    assert not recwarn.list


def test_a_control_range_that_the_file_does_not_give_is_told_as_a_guess(drive, tmp_path):
    file = tmp_path / "free.xml"
    file.write_text(
        """<mujoco><worldbody><body><joint name="x" type="slide"/><geom size="0.1"/></body>
        </worldbody><actuator><position name="servo" joint="x"/>
        <motor name="push" joint="x" ctrlrange="-2 2"/></actuator></mujoco>"""
    )
    values = {"dynamics.plugin": "mujoco", "dynamics.file": str(file), "goal.weight.x": 1.0}
    values |= {name: drive[name] for name in ("costs", "goal.plugin", "state.type")}
    guesses = [text for text in configure(values).warnings() if "ctrlrange" in text]
    assert len(guesses) == 1
    assert "action.low and action.high of servo are -1 and 1, a guess" in guesses[0]
    known = configure(values | {"action.high.servo": 5.0})
    assert not any("ctrlrange" in text for text in known.warnings())


def test_a_control_range_is_derived_from_the_limits_of_joint_or_force(tmp_path):
    file = tmp_path / "limited.xml"
    file.write_text(
        """<mujoco><compiler angle="radian"/><worldbody>
        <body><joint name="x" range="-1 2" actuatorfrcrange="-6 6"/><geom size="0.1"/></body>
        <body pos="1 0 0"><joint name="free"/><geom size="0.1"/></body></worldbody><actuator>
        <position name="servo" joint="x" kp="50" kv="1"/>
        <general name="geared" joint="x" gear="-2" gainprm="3" biastype="affine" biasprm="0 -6 0"/>
        <motor name="strong" joint="x" gear="2"/>
        <motor name="weak" joint="x" gear="2" forcerange="-1 4"/>
        <velocity name="speed" joint="x"/><position name="loose" joint="free"/>
        </actuator></mujoco>"""
    )
    model = Mujoco({"file": str(file)})
    bounds = dict(
        zip(model.action_names, zip(model.action_low, model.action_high, strict=True), strict=True)
    )
    assert bounds == {
        "servo": (-1.0, 2.0),
        "geared": (-8.0, 4.0),
        "strong": (-3.0, 3.0),
        "weak": (-1.0, 4.0),
        "speed": (-1.0, 1.0),
        "loose": (-1.0, 1.0),
    }
    assert model.guessed_actions == ("speed", "loose")
    told = [text for text in model.warnings() if "ctrlrange" in text]
    assert len(told) == 1
    assert "no control range (ctrlrange) of servo, geared, strong, weak: the defaults" in told[0]


def test_the_search_may_begin_at_a_keyframe(drive, tmp_path):
    file = tmp_path / "arm.xml"
    file.write_text(
        """<mujoco><worldbody><body><joint name="x" type="slide"/><geom size="0.1"/>
        <body><joint name="y" type="slide" axis="0 1 0"/><geom size="0.1"/></body></body>
        </worldbody><actuator><position name="to_y" joint="y" ctrlrange="-2 2"/>
        <motor name="push" joint="x" ctrlrange="-2 2"/></actuator>
        <keyframe><key name="home" qpos="0.3 0.7"/><key name="held" qpos="0.3 0.7" ctrl="0.8 1"/>
        <key qpos="1 1"/><key name="far" qpos="0 9"/></keyframe></mujoco>"""
    )
    model = Mujoco({"file": str(file)})
    assert model.named_actions == {
        # A pose without controls is held by servos, and motors push nowhere.
        "keyframe:home": (0.7, 0.0),
        "keyframe:held": (0.8, 1.0),
        "keyframe:far": (9.0, 0.0),
    }
    values = {"dynamics.plugin": "mujoco", "dynamics.file": str(file), "goal.weight.x": 1.0}
    values |= {name: drive[name] for name in ("costs", "goal.plugin", "state.type")}
    values |= {"planner.samples": 8, "planner.elites": 2, "planner.device": "cpu"}
    values |= {"action.nominal.push": "keyframe:held", "action.std.push": 1e-3}
    planner = configure(values | {"action.nominal.to_y": "measured"}).planner()
    planner.plan(np.array([0.0, -0.4, 0.0, 0.0]), 0.0, iterations=1)
    begin = planner.execution.candidates.numpy()[..., 1]
    assert begin[:, 1].mean() == pytest.approx(1.0, abs=0.01)
    with pytest.raises(
        ConfigurationError, match=r"'keyframe:away'.*or reference, or keyframe:home"
    ):
        configure(values | {"action.nominal.to_y": "keyframe:away"})
    with pytest.raises(
        ConfigurationError, match=r"is keyframe:far \(9\), allowed: from action.low"
    ):
        configure(values | {"action.nominal.to_y": "keyframe:far"})


def test_a_muscle_without_a_control_range_pulls_only(tmp_path):
    file = tmp_path / "muscle.xml"
    file.write_text(
        """<mujoco><worldbody><body><joint name="x" type="slide"/><geom size="0.1"/></body>
        </worldbody><actuator><muscle name="m" joint="x" lengthrange="0 1"/></actuator></mujoco>"""
    )
    model = Mujoco({"file": str(file)})
    assert (model.action_low, model.action_high) == ((0.0,), (1.0,))


def test_the_safe_action_is_within_the_bounds_of_the_file(tmp_path):
    file = tmp_path / "rotor.xml"
    file.write_text(
        """<mujoco><worldbody><body><joint name="z" type="slide" axis="0 0 1"/><geom size="0.1"/>
        </body></worldbody><actuator><motor name="up" joint="z" ctrlrange="0.5 9"/>
        <motor name="down" joint="z" ctrlrange="-9 -0.25"/><motor name="any" joint="z"/>
        <position name="hold" joint="z" ctrlrange="1 2"/></actuator></mujoco>"""
    )
    values = {"dynamics.plugin": "mujoco", "dynamics.file": str(file), "tracking.weight.z": 1.0}
    assert configure(values).action("safe") == [0.5, -0.25, 0.0, "measured"]


def test_a_file_that_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="'file' is missing, expected the MJCF"):
        Mujoco({})
    with pytest.raises(ConfigurationError, match=r"'file' .*: file 'no\.xml' does not exist"):
        Mujoco({"file": "no.xml"})
    with pytest.raises(ConfigurationError, match=r"'.*test_a_file.*' is a folder, allowed: a path"):
        Mujoco({"file": str(tmp_path)})
    with pytest.raises(ConfigurationError, match=r"file 'no_such_package:a\.xml' does not exist"):
        Mujoco({"file": "no_such_package:a.xml"})
    (tmp_path / "bad.xml").write_text("")
    with pytest.raises(ConfigurationError, match=r"bad\.xml': .*expected an MJCF or URDF file"):
        Mujoco({"file": str(tmp_path / "bad.xml")})
    (tmp_path / "bad.mjb").write_bytes(b"\0")
    with pytest.raises(ConfigurationError, match=r"bad\.mjb': .*expected an MJCF or URDF file"):
        Mujoco({"file": str(tmp_path / "bad.mjb")})
    (tmp_path / "bad.xml").write_text("<mujoco><nonsense/></mujoco>")
    with pytest.raises(ConfigurationError, match=r"bad\.xml': (.|\n)*nonsense"):
        Mujoco({"file": str(tmp_path / "bad.xml")})
    (tmp_path / "still.xml").write_text("<mujoco/>")
    with pytest.raises(ConfigurationError, match=r"still\.xml' has no joint"):
        Mujoco({"file": str(tmp_path / "still.xml")}).check()


@pytest.mark.filterwarnings("ignore:compiler attribute 'settotalmass'")
def test_the_half_cheetah_runs():
    pytest.importorskip("gymnasium")
    file = ROOT / "config" / "half_cheetah.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    planner = configuration.planner()
    assert planner.execution.name == "eager"
    assert planner.execution.reason == "the model rolls out by itself, not in PyTorch"
    simulator = load_yaml(ROOT / "config" / "half_cheetah_simulator.yaml", "simulator")
    assert simulator["model_file"] == configuration.values["dynamics.file"]
    plant = MujocoPlant(find(simulator["model_file"]))
    period = 1.0 / configuration.values["control_rate"]
    action = np.zeros(6)
    for tick in range(20):
        action = planner.plan(plant.state(), tick * period, action).action_at(tick * period)
        plant.step(action, period)
    assert plant.state()[0] > 0.5
    with pytest.raises(ConfigurationError, match="a model in PyTorch"):
        ModelPlant(configuration, np.zeros(18))


def test_without_its_packages_mujoco_warp_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    monkeypatch.delitem(sys.modules, "cem_planner_ros.dynamics.warp_worlds", raising=False)
    monkeypatch.delattr(dynamics, "warp_worlds", raising=False)
    with pytest.raises(ConfigurationError, match=r"\(pip install mujoco-warp\)"):
        MujocoWarp({"file": "cartpole.xml"})
