"""The physics of a file as a model."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import find
from cem_planner_ros.simulation.plants import ModelPlant, MujocoPlant

mujoco = pytest.importorskip("mujoco")

from cem_planner_ros.dynamics.mujoco import Mujoco  # noqa: E402

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


def test_a_file_that_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"file 'no\.xml' does not exist"):
        Mujoco({"file": "no.xml"})
    with pytest.raises(ConfigurationError, match=r"file 'no_such_package:a\.xml' does not exist"):
        Mujoco({"file": "no_such_package:a.xml"})
    (tmp_path / "bad.xml").write_text("<mujoco><nonsense/></mujoco>")
    with pytest.raises(ConfigurationError, match=r"bad\.xml': (.|\n)*nonsense"):
        Mujoco({"file": str(tmp_path / "bad.xml")})
    (tmp_path / "still.xml").write_text("<mujoco/>")
    with pytest.raises(ConfigurationError, match="at least one name"):
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
