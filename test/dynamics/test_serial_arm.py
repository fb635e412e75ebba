# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The kinematics and the clearance of an arm, compared with MuJoCo."""

import numpy as np
import pytest
import torch

mujoco = pytest.importorskip("mujoco")

from cem_planner_ros.dynamics.serial_arm import FAR, SerialArm  # noqa: E402
from cem_planner_ros.errors import ConfigurationError  # noqa: E402
from cem_planner_ros.paths import find  # noqa: E402

CRANE = """
<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <geom name="wall" type="box" size="0.05 1 1" pos="0.9 0 0" euler="0 0 0.3"/>
    <geom name="ball" type="sphere" size="0.15" pos="0 0.75 0.4"/>
    <geom name="rail" type="capsule" size="0.05" fromto="0.2 0.9 0.4 0.8 0.7 0.5"/>
    <body name="mast" pos="0.1 0 0.3" euler="0.2 0 0.1">
      <joint name="slew" axis="0 0.6 0.8" pos="0.05 0.02 0" range="-1 2" limited="true"/>
      <geom type="capsule" size="0.05" fromto="0 0 0.1 0 0 0.5"/>
      <body name="boom" pos="0 0 0.5" quat="0.9 0.1 0.3 0.2">
        <joint name="reach" type="slide" axis="0.6 0 0.8" range="0 0.5" limited="true"/>
        <geom type="box" size="0.3 0.05 0.02" pos="0.3 0 0"/>
        <body name="hook" pos="0.6 0 0">
          <joint name="swing" axis="0 1 0"/>
          <geom type="sphere" size="0.06" pos="0.1 0 0"/>
          <site name="tip" pos="0.15 0.02 0" euler="0.3 0.4 0.5"/>
          <body name="finger" pos="0.1 0 0"><joint name="grip" type="slide"/>
            <geom type="sphere" size="0.02"/></body>
        </body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture
def crane(tmp_path):
    file = tmp_path / "crane.xml"
    file.write_text(CRANE)
    return file


def poses(file, arm, count=40):
    """Random joints (n, nx), and the data of MuJoCo for each."""
    model = mujoco.MjModel.from_xml_path(str(file))
    random = np.random.default_rng(0)
    for _ in range(count):
        data = mujoco.MjData(model)
        joints = [model.joint(name) for name in arm.state_names]
        chosen = [
            random.uniform(*(joint.range if model.jnt_limited[joint.id] else (-3.0, 3.0)))
            for joint in joints
        ]
        data.qpos[[joint.qposadr[0] for joint in joints]] = chosen
        mujoco.mj_forward(model, data)
        yield np.array(chosen), model, data


def outputs(arm, joints):
    found = arm.output(torch.tensor(joints, dtype=torch.float32)[:, None])[:, 0]
    return dict(zip(arm.output_names, found.tolist(), strict=True))


@pytest.mark.parametrize("which", ["crane", "arm"])
def test_the_tip_is_where_mujoco_has_it(crane, which):
    file = crane if which == "crane" else find("arm.xml")
    arm = SerialArm({"file": str(file)})
    arm.check()
    for joints, _, data in poses(file, arm):
        found, site = outputs(arm, joints), data.site("tip")
        place = [found[f"tip_{axis}"] for axis in "xyz"]
        np.testing.assert_allclose(place, site.xpos, atol=1e-5)
        wanted = np.zeros(4)
        mujoco.mju_mat2Quat(wanted, site.xmat)
        attitude = np.array([found[f"tip_q{part}"] for part in "wxyz"])
        assert abs(attitude @ wanted) == pytest.approx(1.0, abs=1e-5)


def test_the_tip_may_be_a_body(crane):
    arm = SerialArm({"file": str(crane), "tip": "boom"})
    assert arm.state_names == ("slew", "reach")
    assert arm.action_names == ("slew_speed", "reach_speed")
    assert arm.action_units == ("rad/s", "m/s")
    for joints, _, data in poses(crane, arm, 5):
        found = outputs(arm, joints)
        place = [found[f"tip_{axis}"] for axis in "xyz"]
        np.testing.assert_allclose(place, data.body("boom").xpos, atol=1e-5)


def test_the_clearance_tells_contacts_from_none():
    file = find("arm.xml")
    arm, seen = SerialArm({"file": str(file)}), set()
    for joints, _, data in poses(file, arm, 80):
        deepest = min(data.contact.dist, default=None)
        clearance = outputs(arm, joints)["clearance"]
        if deepest is None:
            assert clearance > -0.005
        elif deepest < -0.015:  # Between its samples, a capsule has dents.
            assert clearance < 0.0
        seen.add(deepest is None)
    assert seen == {True, False}


def test_the_clearance_is_the_distance_from_shapes_that_stand_around(crane):
    is_ghost = 'contype="0" conaffinity="0" fromto="0 0 0.1'
    text = CRANE.replace('fromto="0 0 0.1', is_ghost).replace(
        '<geom type="box" size="0.3', '<geom contype="0" conaffinity="0" type="box" size="0.3'
    )
    crane.write_text(text)
    arm, compared = SerialArm({"file": str(crane)}), 0
    for joints, model, data in poses(crane, arm, 200):
        hook = int(model.body("hook").geomadr[0])
        still = [g for g in range(model.ngeom) if not model.geom_bodyid[g]]
        least = min(mujoco.mj_geomDistance(model, data, hook, g, 10.0, None) for g in still)
        clearance = outputs(arm, joints)["clearance"]
        # What is never near in any pose is left out.
        assert clearance > least - 1e-3
        if least < 0.03:
            assert clearance == pytest.approx(least, abs=1e-3)
            compared += 1
    assert compared > 5


def test_the_margin_is_the_nearest_end_of_a_joint(crane):
    arm = SerialArm({"file": str(crane)})
    assert outputs(arm, [-0.9, 0.25, 5.0])["margin"] == pytest.approx(0.1, abs=1e-5)
    assert outputs(arm, [0.5, 0.51, 5.0])["margin"] == pytest.approx(-0.01, abs=1e-5)


def test_without_shapes_and_limits_there_is_nothing_to_mind(tmp_path):
    file = tmp_path / "bare.xml"
    file.write_text(
        '<mujoco><worldbody><body name="tip"><joint name="a"/>'
        '<inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/></body></worldbody></mujoco>'
    )
    found = outputs(SerialArm({"file": str(file)}), [0.3])
    assert (found["clearance"], found["margin"]) == (FAR, FAR)


def test_joints_move_with_their_speeds(crane):
    arm = SerialArm({"file": str(crane), "speed": 0.7})
    assert arm.action_high == (0.7,) * 3
    state, action = torch.tensor([[0.1], [0.2], [0.3]]), torch.tensor([[1.0], [-1.0], [0.5]])
    after = arm.step(state, action, torch.tensor(0.1))
    torch.testing.assert_close(after, torch.tensor([[0.2], [0.1], [0.35]]))
    np.testing.assert_array_equal(arm.rest_state, np.zeros(3))


@pytest.mark.parametrize(
    ("tip", "text"),
    [("tipp", "did you mean 'tip'"), ("fixed", "no joint between"), ("puck", "free or ball joint")],
)
def test_a_tip_that_cannot_be_is_explained(crane, tip, text):
    more = """<body name="fixed"/><body name="puck" pos="5 0 0"><freejoint name="p"/>
    <geom size="0.1"/></body></worldbody>"""
    crane.write_text(CRANE.replace("</worldbody>", more))
    with pytest.raises(ConfigurationError, match=text):
        SerialArm({"file": str(crane), "tip": tip})
