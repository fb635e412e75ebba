# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Gazebo's robots, their MuJoCo twins and the planner's models are the same machines.

Gazebo itself is not needed: its files are read, and checked by its parser where that is installed.
"""

import math
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.readers import state_reader

ROOT = Path(__file__).parents[2]
SCENARIOS = ("cartpole", "diff_drive", "ackermann")
FILES = sorted([*ROOT.glob("models/*/model.sdf"), *ROOT.glob("worlds/*.sdf")])


@pytest.fixture(scope="module")
def mujoco():
    return pytest.importorskip("mujoco")


def sdf(scenario):
    return ET.parse(ROOT / "models" / scenario / "model.sdf").find("model")


def values(scenario):
    file = ROOT / "config" / f"gazebo_{scenario}.yaml"
    return configure(load_yaml(file) | {"planner.device": "cpu"}, str(file)).values


def system(scenario, name):
    return sdf(scenario).find(f"plugin[@name='gz::sim::systems::{name}']")


def number(element, path):
    return float(element.findtext(path))


def xyz(element):
    """Return the position of a <pose>, zero if there is none."""
    return np.array([float(x) for x in (element.findtext("pose") or "0 0 0").split()[:3]])


def position(robot, link):
    """Return where a link is in the model, all joints at zero."""
    link = robot.find(f"link[@name='{link}']")
    parent = link.find("pose").get("relative_to") if link.find("pose") is not None else None
    return xyz(link) + (position(robot, parent) if parent else 0.0)


def inertia(link):
    """Return the diagonal of a link's inertia, which must be all there is."""
    element = link.find("inertial/inertia")
    assert {entry.tag for entry in element} == {"ixx", "iyy", "izz"}
    return np.array([number(element, name) for name in ("ixx", "iyy", "izz")])


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.name}")
def test_gazebo_s_parser_accepts_every_file(file):
    if not shutil.which("ign"):
        pytest.skip("needs `ign sdf`: apt install libsdformat-dev ignition-tools")
    environment = os.environ | {"SDF_PATH": str(ROOT / "models")}
    result = subprocess.run(
        ["ign", "sdf", "-k", file], capture_output=True, text=True, env=environment
    )
    assert (result.returncode, result.stdout.strip()) == (0, "Valid."), result.stderr
    assert "Warning" not in result.stderr


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_gazebo_finds_the_robot_by_its_folder(scenario):
    config = ET.parse(ROOT / "models" / scenario / "model.config")
    assert config.findtext("name") == sdf(scenario).get("name") == scenario
    version = ET.parse(ROOT / "models" / scenario / "model.sdf").getroot().get("version")
    assert (config.findtext("sdf"), config.find("sdf").get("version")) == ("model.sdf", version)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_joint_is_of_a_type_that_gazebo_s_physics_would_weld(scenario):
    kinds = {joint.get("type") for joint in sdf(scenario).iter("joint")}
    assert kinds <= {"revolute", "prismatic", "fixed"}


@pytest.mark.parametrize("scenario", ["diff_drive", "ackermann"])
def test_inertias_are_those_of_the_shapes(scenario):
    """A link weighs like a solid of the shape that is drawn of it."""
    links = sdf(scenario).findall("link")
    for link in links:
        mass, shape = number(link, "inertial/mass"), link.find("visual[@name='visual']/geometry/")
        if shape is None:
            assert "knuckle" in link.get("name")
            expected = np.full(3, 0.4 * mass * 0.03**2)
        elif shape.tag == "box":
            x, y, z = (float(side) for side in shape.findtext("size").split())
            expected = mass / 12 * np.array([y * y + z * z, x * x + z * z, x * x + y * y])
        elif shape.tag == "cylinder":
            r, length = number(shape, "radius"), number(shape, "length")
            across = mass * (3 * r * r + length * length) / 12
            expected = np.array([across, mass * r * r / 2, across])
        else:
            expected = np.full(3, 0.4 * mass * number(shape, "radius") ** 2)
        np.testing.assert_allclose(inertia(link), expected, rtol=1e-4, err_msg=link.get("name"))


def twin(mujoco, scenario):
    return mujoco.MjModel.from_xml_path(str(ROOT / "models" / scenario / "robot.xml"))


def diagonal(mujoco, body):
    """Return the diagonal of a body's inertia in its own frame, which must be all there is."""
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, body.iquat)
    rotation = rotation.reshape(3, 3)
    matrix = rotation @ np.diag(body.inertia) @ rotation.T
    np.testing.assert_allclose(matrix, np.diag(np.diag(matrix)), atol=1e-12)
    return np.diag(matrix)


@pytest.mark.parametrize("scenario", ["diff_drive", "ackermann"])
def test_the_mujoco_twin_has_the_same_bodies(mujoco, scenario):
    robot, twin_ = sdf(scenario), twin(mujoco, scenario)
    data = mujoco.MjData(twin_)
    mujoco.mj_kinematics(twin_, data)
    links = {link.get("name"): link for link in robot.findall("link")}
    assert set(links) == {twin_.body(i).name for i in range(1, twin_.nbody)}
    for name, link in links.items():
        body = twin_.body(name)
        assert body.mass[0] == pytest.approx(number(link, "inertial/mass")), name
        np.testing.assert_allclose(diagonal(mujoco, body), inertia(link), rtol=1e-4)
        np.testing.assert_allclose(body.ipos, xyz(link.find("inertial")), atol=1e-9)
        np.testing.assert_allclose(data.body(name).xpos, position(robot, name), atol=1e-9)


@pytest.mark.parametrize("scenario", ["diff_drive", "ackermann"])
def test_the_mujoco_twin_has_the_same_joints_and_limits(mujoco, scenario):
    robot, twin_ = sdf(scenario), twin(mujoco, scenario)
    joints = {j.get("name"): j for j in robot.findall("joint") if j.get("type") != "fixed"}
    hinges = [twin_.joint(i) for i in range(twin_.njnt)]
    hinges = [joint for joint in hinges if joint.type[0] == mujoco.mjtJoint.mjJNT_HINGE]
    assert {joint.name for joint in hinges} == set(joints)
    motors = {twin_.joint(a.trnid[0]).name: a for a in map(twin_.actuator, range(twin_.nu))}
    assert set(motors) == {
        name for name, joint in joints.items() if joint.find(".//effort") is not None
    }
    for hinge in hinges:
        axis = joints[hinge.name].find("axis")
        np.testing.assert_allclose(hinge.axis, [float(x) for x in axis.findtext("xyz").split()])
        assert twin_.body(hinge.bodyid[0]).name == joints[hinge.name].findtext("child")
        ends = [axis.findtext(f"limit/{end}") for end in ("lower", "upper")]
        if ends != [None, None]:
            np.testing.assert_allclose(hinge.range, [float(end) for end in ends], rtol=1e-6)
        assert twin_.jnt_limited[hinge.id] == (ends != [None, None])
    for name, motor in motors.items():
        effort = number(joints[name], "axis/limit/effort")
        np.testing.assert_allclose(motor.forcerange, [-effort, effort])
        if "wheel" in name:
            speed = number(joints[name], "axis/limit/velocity")
            np.testing.assert_allclose(motor.ctrlrange, [-speed, speed])


@pytest.mark.parametrize("scenario", ["diff_drive", "ackermann"])
def test_the_mujoco_twin_rolls_on_the_same_wheels(mujoco, scenario):
    robot, twin_ = sdf(scenario), twin(mujoco, scenario)
    for link in robot.findall("link"):
        name = link.get("name")
        if "wheel" in name:
            tread = link.find("collision[@name='tread']")
            tyre = twin_.geom(name.replace("wheel", "tyre"))
            drawn = link.find("visual/geometry/cylinder")
            assert number(drawn, "radius") == number(tread, "geometry/cylinder/radius")
            size = [number(drawn, "radius"), number(drawn, "length") / 2, number(drawn, "radius")]
            np.testing.assert_allclose(tyre.size, size)
        elif "caster" in name:
            tread, tyre = link.find("collision"), twin_.geom(name)
            assert tyre.size[0] == number(tread, "geometry/sphere/radius")
            assert tyre.priority[0] > 0, "the ground's friction would be used"
        else:
            continue
        assert tyre.friction[0] == number(tread, "surface/friction/ode/mu")
        assert position(robot, name)[2] - tyre.size[0] == pytest.approx(0.001 * ("caster" in name))


def test_the_diff_drive_system_and_the_planner_know_the_robot():
    robot, drive, planner = (
        sdf("diff_drive"),
        system("diff_drive", "DiffDrive"),
        values("diff_drive"),
    )
    left, right = (
        position(robot, robot.find(f"joint[@name='{drive.findtext(side)}']").findtext("child"))
        for side in ("left_joint", "right_joint")
    )
    assert left[1] - right[1] == pytest.approx(number(drive, "wheel_separation"))
    assert left[2] == pytest.approx(number(drive, "wheel_radius"))
    assert left[0] == right[0] == 0.0, "base_link is in the middle of the axle"
    for action, kind, acceleration in (
        ("v", "linear", "acceleration"),
        ("yaw_rate", "angular", "yaw_acceleration"),
    ):
        assert planner[f"action.low.{action}"] == number(drive, f"min_{kind}_velocity")
        assert planner[f"action.high.{action}"] == number(drive, f"max_{kind}_velocity")
        limit = planner[f"dynamics.{acceleration}"]
        assert number(drive, f"max_{kind}_acceleration") == limit
        assert number(drive, f"min_{kind}_acceleration") == -limit
    fastest = number(drive, "max_linear_velocity") + number(drive, "max_angular_velocity") * left[1]
    wheel = robot.find("joint[@name='left_wheel_joint']")
    assert fastest / left[2] < number(wheel, "axis/limit/velocity")


def test_the_ackermann_system_and_the_planner_know_the_car():
    robot, steering = sdf("ackermann"), system("ackermann", "AckermannSteering")
    planner = values("ackermann")
    wheel = {name: position(robot, f"{name}_wheel") for name in ("rear_left", "front_left")}
    base, radius = number(steering, "wheel_base"), number(steering, "wheel_radius")
    track = number(steering, "wheel_separation")
    np.testing.assert_allclose(wheel["rear_left"], [0.0, track / 2, radius])
    np.testing.assert_allclose(wheel["front_left"], [base, track / 2, radius])
    assert number(steering, "kingpin_width") == track, "knuckles are in the wheels"
    speed = number(steering, "max_velocity")
    assert number(steering, "min_velocity") == -speed
    assert (planner["action.low.v"], planner["action.high.v"]) == (-speed, speed)
    assert planner["dynamics.acceleration"] == number(steering, "max_acceleration")
    assert planner["dynamics.yaw_acceleration"] == number(steering, "max_acceleration")
    assert number(steering, "min_acceleration") == -number(steering, "max_acceleration")
    # As gz-sim's AckermannSteering.cc has it; the limit of velocity counts for the yaw rate, too.
    turning_radius = base / math.sin(number(steering, "steering_limit"))
    assert planner["action.high.yaw_rate"] <= min(speed, speed / turning_radius)
    assert planner["action.low.yaw_rate"] == -planner["action.high.yaw_rate"]
    inner = math.atan(base / (turning_radius - number(steering, "kingpin_width") / 2))
    joint = robot.find("joint[@name='front_left_steering_joint']")
    assert inner < number(joint, "axis/limit/upper"), "the joint would stop the wheel before"


def test_the_cartpole_is_the_one_of_mujoco_and_of_the_planner(mujoco):
    robot, planner = sdf("cartpole"), values("cartpole")
    twin_ = mujoco.MjModel.from_xml_path(str(ROOT / "models" / "cartpole.xml"))
    data = mujoco.MjData(twin_)
    mujoco.mj_resetDataKeyframe(twin_, data, twin_.key("start").id)
    mujoco.mj_kinematics(twin_, data)
    links = {link.get("name"): link for link in robot.findall("link")}
    assert set(links) == {"cart", "pole"}
    rail = position(robot, "cart")
    for name, link in links.items():
        mass = number(link, "inertial/mass")
        assert mass == twin_.body(name).mass[0] == planner[f"dynamics.{name}_mass"]
        np.testing.assert_allclose(inertia(link), diagonal(mujoco, twin_.body(name)), rtol=1e-6)
        # Both hang at the start.
        center = position(robot, name) + xyz(link.find("inertial")) - rail
        np.testing.assert_allclose(center, data.body(name).xipos, atol=1e-9)
    for name in ("slider", "hinge"):
        joint = robot.find(f"joint[@name='{name}']")
        axis = [float(x) for x in joint.findtext("axis/xyz").split()]
        np.testing.assert_allclose(axis, twin_.joint(name).axis)
        assert joint.find("axis/dynamics") is None
        assert joint.find("axis/limit") is None
    assert -xyz(links["pole"].find("inertial"))[2] == planner["dynamics.half_length"]
    assert inertia(links["pole"])[0] == pytest.approx(
        planner["dynamics.pole_mass"] * planner["dynamics.half_length"] ** 2 / 3
    )
    assert robot.find(".//collision") is None
    gravity = ET.parse(ROOT / "worlds" / "cartpole.sdf").findtext("world/gravity").split()
    assert -float(gravity[2]) == planner["dynamics.gravity"] == -twin_.opt.gravity[2]


def test_the_planner_reads_gazebo_s_hanging_pole_as_hanging():
    """Upright is theta = 0; Gazebo's joints are at zero where the file puts the links."""

    class Start:
        name = ("slider", "hinge")
        position = velocity = (0.0, 0.0)

    planner = values("cartpole")
    names = ("x", "x_dot", "theta", "theta_dot")
    read = state_reader(planner["state.type"], {n: planner[f"state.fields.{n}"] for n in names})
    np.testing.assert_allclose(read(Start()), [0.0, 0.0, math.pi, 0.0], atol=1e-6)


def test_the_doorway_is_a_third_wider_than_the_robot():
    robot = sdf("diff_drive")
    wheel = robot.find("link[@name='left_wheel']")
    width = 2 * (xyz(wheel)[1] + number(wheel, "visual/geometry/cylinder/length") / 2)
    walls = ET.parse(ROOT / "worlds" / "diff_drive.sdf").find("world/model[@name='walls']")
    edge = {}
    for side, sign in (("south", 1.0), ("north", -1.0)):
        wall = walls.find(f"link[@name='doorway_{side}']")
        length = float(wall.findtext("collision/geometry/box/size").split()[1])
        edge[side] = xyz(wall)[1] + sign * length / 2
    assert edge["north"] - edge["south"] == pytest.approx(1.3 * width)


def drive(mujoco, scenario, command, seconds):
    """Drive a twin on a plane from rest; return (x, y, yaw) relative to the start."""
    robot = (ROOT / "models" / scenario / "robot.xml").read_bytes()
    world = "<mujoco><include file='robot.xml'/><worldbody><geom type='plane' size='9 9 1'/>"
    model = mujoco.MjModel.from_xml_string(f"{world}</worldbody></mujoco>", {"robot.xml": robot})
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, nstep=250)
    for name, value in command.items():
        data.actuator(name).ctrl = value
    mujoco.mj_step(model, data, nstep=round(seconds / model.opt.timestep))
    w, x, y, z = data.joint("base_link").qpos[3:]
    assert math.hypot(x, y) < 0.01, "it tips"
    return np.array([*data.joint("base_link").qpos[:2], 2 * math.atan2(z, w)])


def test_the_diff_drive_twin_drives_a_metre_and_turns_on_the_spot(mujoco):
    x, y, yaw = drive(mujoco, "diff_drive", {"left_wheel": 6.25, "right_wheel": 6.25}, 2.1)
    assert (x, y, yaw) == pytest.approx((1.0, 0.0, 0.0), abs=0.05)
    x, y, yaw = drive(mujoco, "diff_drive", {"left_wheel": -2.25, "right_wheel": 2.25}, 2.0)
    assert (x, y, yaw) == pytest.approx((0.0, 0.0, 2.0), abs=0.05)


def test_the_ackermann_twin_drives_a_metre_and_a_quarter_circle(mujoco):
    wheels = ("rear_left_wheel", "rear_right_wheel")
    x, y, yaw = drive(mujoco, "ackermann", dict.fromkeys(wheels, 5.0), 2.1)
    assert (x, y, yaw) == pytest.approx((1.0, 0.0, 0.0), abs=0.06)
    radius, half_track, base = 1.2, 0.18, 0.5
    command = {
        "rear_left_wheel": 5.0 * (1 - half_track / radius),
        "rear_right_wheel": 5.0 * (1 + half_track / radius),
        "front_left_steering": math.atan(base / (radius - half_track)),
        "front_right_steering": math.atan(base / (radius + half_track)),
    }
    x, y, yaw = drive(mujoco, "ackermann", command, math.pi / 2 * radius / 0.5 + 0.1)
    assert yaw == pytest.approx(math.pi / 2, abs=0.1)
    assert (x, y) == pytest.approx((radius, radius), abs=0.15)
