# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The physics of a file in MuJoCo Warp, beside MuJoCo. The first run compiles for minutes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cem_planner_ros import cli
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.control.loop import is_device_failure
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.paths import find

pytestmark = [pytest.mark.extras, pytest.mark.timeout(600)]

pytest.importorskip("mujoco")
pytest.importorskip("mujoco_warp", reason="the package mujoco-warp is not installed")
warp = pytest.importorskip("warp")
# What a user has compiled serves all sessions.
warp.config.kernel_cache_dir = str(Path.home() / ".cache" / "warp")

from cem_planner_ros.dynamics import warp_kernels, warp_worlds  # noqa: E402
from cem_planner_ros.dynamics.mujoco import Mujoco  # noqa: E402
from cem_planner_ros.dynamics.mujoco_warp import MujocoWarp, worlds_for  # noqa: E402

NEAR = 1e-4

ARM = """<mujoco><option timestep="0.005"/><worldbody>
  <geom name="floor" type="plane" size="0 0 0.1"/>
  <body name="goal" mocap="true" pos="0.3 0 0.5"><site name="goal"/></body>
  <body pos="0 0 0.4"><joint name="lift" type="slide" axis="0 0 1" range="-0.35 0.3"/>
    <geom size="0.05" mass="2"/>
    <body name="arm" pos="0.1 0 0"><joint name="wrist" type="ball" damping="0.1"/>
      <geom name="arm" type="capsule" size="0.03" fromto="0 0 0 0.3 0 0" mass="0.5"/>
      <site name="hand" pos="0.3 0 0"/></body></body>
  <body name="cup" pos="1 0 0.1"><freejoint name="cup"/><geom name="cup" size="0.08" mass="0.2"/>
  </body></worldbody>
  <actuator><general name="lift" joint="lift" dyntype="filter" dynprm="0.05" gainprm="60"
    biastype="affine" biasprm="25 -60 -20" ctrlrange="-0.3 0.3"/>
    <motor name="swing" joint="wrist" gear="0 1 0" ctrlrange="-2 2"/></actuator>
  <sensor><gyro name="gyro" site="hand"/><framequat name="tilt" objtype="body" objname="cup"/>
    <accelerometer name="acceleration" site="hand"/></sensor>
  <keyframe><key name="home" qpos="0 1 0 0 0 1 0 0.085 1 0 0 0"/></keyframe></mujoco>"""

OUTPUTS = [
    "to_goal: framepos site goal site hand",
    "gap: distance body cup geom floor",
    "bump: contact body cup geom floor",
    "energy: e_kinetic",
]


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    file = tmp_path_factory.mktemp("arm") / "arm.xml"
    file.write_text(ARM)
    return str(file)


def pair(file, **values):
    """Return the model of a file in MuJoCo and in MuJoCo Warp."""
    return Mujoco({"file": file, **values}), MujocoWarp({"file": file, **values})


def random_rollout(model, horizon, dt, count=5, push=1.0):
    """
    Return states near rest, random actions, and durations with a short first one.

    The actions are within `push` times the bounds.
    """
    generator = torch.Generator().manual_seed(0)
    rest = torch.tensor(model.rest_state, dtype=torch.float32)[:, None]
    state = rest + 0.01 * torch.randn(len(rest), count, generator=generator)
    low, high = (push * torch.tensor(b)[:, None] for b in (model.action_low, model.action_high))
    sequence = low + (high - low) * torch.rand(horizon, len(low), count, generator=generator)
    durations = torch.full((horizon,), dt)
    durations[0] *= 0.7
    return state, sequence, durations


def difference(one, other):
    """Return the largest difference, relative to numbers above one."""
    assert one.shape == other.shape
    return ((one - other).abs() / one.abs().clamp(min=1.0)).max().item()


@pytest.mark.parametrize(
    ("file", "dt", "push"),
    [
        ("cartpole.xml", 0.02, 1.0),
        ("quadruped.xml", 0.02, 1.0),
        # With all its force it jerks about, and differences grow tenfold in ten time steps.
        ("gymnasium:envs/mujoco/assets/half_cheetah.xml", 0.01, 0.3),
        ("arm", 0.01, 1.0),
    ],
)
@pytest.mark.filterwarnings("ignore:compiler attribute")
def test_signals_over_20_steps_are_those_of_mujoco(file, dt, push, arm):
    if file.startswith("gymnasium"):
        pytest.importorskip("gymnasium")
    values = {"outputs": OUTPUTS, "mocap": ["goal: 0.2 0.1 0.6"]} if file == "arm" else {}
    plain, warped = pair(arm if file == "arm" else file, **values)
    warped.check()
    for name in (
        *("state_names", "action_names", "output_names", "action_low", "action_high"),
        *("angle_names", "quaternion_names", "named_actions", "measured_by"),
    ):
        assert getattr(warped, name) == getattr(plain, name)
    given = random_rollout(plain, 20, dt, push=push)
    expected = plain.rollout(*given)
    assert torch.isfinite(expected).all()
    assert difference(expected, warped.rollout(*given)) < NEAR
    # A second rollout begins anew, and other candidates change nothing.
    again = warped.rollout(*(each.flip(-1) for each in given[:2]), given[2])
    assert torch.equal(again.flip(-1), warped.rollout(*given))


def test_other_numbers_of_candidates_steps_and_durations_may_follow(arm):
    plain, warped = pair(arm, outputs=OUTPUTS)
    for count, horizon, dt in ((1, 1, 0.01), (3, 2, 0.01), (40, 2, 0.01), (3, 2, 0.05)):
        state, sequence, durations = random_rollout(plain, horizon, dt, count)
        assert (
            difference(
                plain.rollout(state, sequence, durations),
                warped.rollout(state, sequence, durations),
            )
            < NEAR
        )
        step = warped.step(state, sequence[0], durations[0])
        assert difference(plain.step(state, sequence[0], durations[0]), step) < NEAR


def test_a_result_is_kept_when_others_are_computed(arm):
    warped = MujocoWarp({"file": arm})
    state, sequence, durations = random_rollout(warped, 2, 0.01)
    first = warped.rollout(state, sequence, durations)
    kept = [each.clone() for each in (first, state, sequence, durations)]
    warped.rollout(state + 1.0, -sequence, durations)
    assert all(map(torch.equal, kept, (first, state, sequence, durations)))


@pytest.fixture
def counted(monkeypatch):
    """How often graphs were captured and launched."""
    counts = {"captured": 0, "launched": 0}

    def capture(*args, of=warp.ScopedCapture, **kwargs):
        counts["captured"] += 1
        return of(*args, **kwargs)

    def launch(*args, of=warp.capture_launch, **kwargs):
        counts["launched"] += 1
        return of(*args, **kwargs)

    monkeypatch.setattr(warp, "ScopedCapture", capture)
    monkeypatch.setattr(warp, "capture_launch", launch)
    return counts


def test_a_horizon_is_one_graph_as_on_a_gpu_that_is_captured_once(arm, counted, monkeypatch):
    plain, several = pair(arm)
    given = random_rollout(plain, 5, 0.02)
    expected = several.rollout(*given)
    monkeypatch.setitem(warp_worlds.LONGEST, "cpu", 128)
    one = MujocoWarp({"file": arm})
    counted.update(captured=0, launched=0)
    for launched in (1, 2):
        assert torch.equal(one.rollout(*given), expected)
        assert counted == {"captured": 1, "launched": launched}
    # The number of steps or of candidates changes.
    one.rollout(given[0], given[1][:3], given[2][:3])
    one.rollout(*random_rollout(plain, 5, 0.02, 9))
    assert counted["captured"] == 3
    # A horizon that is longer than was expected goes on with a second graph.
    durations = 2.0 * given[2]
    expected = plain.rollout(given[0], given[1], durations)
    assert difference(expected, one.rollout(given[0], given[1], durations)) < NEAR
    assert counted["captured"] == 4


def test_a_rollout_waits_for_nothing_that_a_gpu_computes(arm, monkeypatch):
    """Nothing is read from the device, and what is sent to it comes from pinned memory."""
    warped = MujocoWarp({"file": arm, "mocap_topics": ["goal: way nav_msgs/msg/Path"]})
    given = random_rollout(warped, 4, 0.01)
    warped.rollout(*given)

    def waits(*args, **kwargs):
        raise AssertionError("the host waits for the device")

    for name in ("item", "tolist", "numpy", "cpu", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, waits)
    for name in ("from_numpy", "tensor", "as_tensor"):  # Copied from memory that is not pinned.
        monkeypatch.setattr(torch, name, waits)
    for name in ("synchronize", "synchronize_device", "synchronize_stream"):
        monkeypatch.setattr(warp, name, waits)
    warped.set_references({}, 0.0)
    assert warped.rollout(*given).shape[0] == 4


@pytest.mark.parametrize(
    "text",
    [
        "Failed to allocate 5 bytes on device 'cuda:0'",
        "Graph launch error: Warp CUDA error 700: an illegal memory access was encountered",
    ],
)
def test_a_gpu_that_is_full_or_lost_is_told_as_such(arm, monkeypatch, text):
    model = MujocoWarp({"file": arm})

    def fails(*args, **kwargs):
        raise RuntimeError(text)

    monkeypatch.setattr(warp, "capture_launch", fails)
    with pytest.raises(RuntimeError) as caught:
        model.rollout(*random_rollout(model, 2, 0.01))
    assert is_device_failure(caught.value)
    assert isinstance(caught.value, torch.cuda.OutOfMemoryError) == text.startswith("Failed")


UNSTABLE = """<mujoco><option timestep="0.02"/><worldbody>
  <body><joint name="x" type="slide" axis="1 0 0"/><geom size="0.1" mass="1"/></body>
  <body pos="0 0 1"><joint name="k" type="slide" axis="1 0 0" stiffness="500"/>
    <geom size="0.1" mass="0.01"/><site name="k"/></body></worldbody>
  <actuator><motor name="push" joint="x" ctrlrange="-10 10" ctrllimited="true"/>
    <motor name="pull" joint="k" ctrlrange="-10 10" ctrllimited="true"/></actuator>
  <sensor><touch name="touch" site="k"/><framepos objtype="site" objname="k" name="k"/></sensor>
  </mujoco>"""


def test_an_unstable_simulation_is_nan_from_then_on_and_only_its_own(tmp_path):
    file = tmp_path / "unstable.xml"
    file.write_text(UNSTABLE)
    plain, warped = pair(str(file))
    state = torch.tensor([3.0, 0.0, 0.0, 0.0])[:, None].repeat(1, 2)
    sequence = torch.zeros(20, 2, 2)
    sequence[0, 1, 1] = 10.0
    durations = torch.full((20,), 0.02)
    expected, found = (model.rollout(state, sequence, durations) for model in (plain, warped))
    assert torch.isfinite(found[..., 0]).all()
    failed = found[..., 1].isnan()
    assert torch.equal(failed.any(1), failed.all(1))
    assert failed[-1].all()
    assert not failed[0].any()
    # MuJoCo notices a time step later that an acceleration was too large.
    assert abs(int(failed.any(1).sum()) - int(expected[..., 1].isnan().any(1).sum())) <= 1
    assert torch.isfinite(warped.rollout(state, 0.0 * sequence, durations)).all()


@pytest.mark.parametrize("limit", ["contacts", "constraints"])
def test_more_contacts_than_there_is_room_for_are_told_and_invalid(caplog, limit):
    warped = MujocoWarp({"file": "quadruped.xml", limit: 1})
    state, sequence, durations = random_rollout(warped, 3, 0.01)
    for _ in range(2):
        assert torch.isnan(warped.rollout(state, sequence, durations)).any()
    (record,) = caplog.records
    text = record.getMessage()
    assert text.startswith(f"candidates needed more {limit} than dynamics.{limit}, which is 1")


def test_there_is_room_for_what_robots_do(caplog):
    """Also where they lie on their backs, or are thrown into the ground."""
    warped = MujocoWarp({"file": "quadruped.xml"})
    state, sequence, durations = random_rollout(warped, 5, 0.02, 24)
    state[2:7, 8:] = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    assert torch.isfinite(warped.rollout(state, sequence, durations)).all()
    assert not caplog.records


def test_mocap_bodies_follow_their_references(arm):
    values = {"outputs": OUTPUTS, "mocap_topics": ["goal: way nav_msgs/msg/Path"]}
    plain, warped = pair(arm, **values)
    given = random_rollout(plain, 4, 0.01)
    source = plain.reference_sources["mocap goal"]
    times = 1.7e9 + np.array([-1.0, 1.0])
    poses = np.array([[0.0, 2.0, 3.0, 1.0, 0.0, 0.0, 0.0], [20.0, 2.0, 3.0, 1.0, 0.0, 0.0, 0.0]])
    way = Reference(source, times, poses, is_trajectory=True)
    for references in ({}, {"mocap goal": way}, {}):
        for model in (plain, warped):
            model.set_references(references, 1.7e9)
        assert difference(plain.rollout(*given), warped.rollout(*given)) < NEAR


def test_what_mujoco_warp_cannot_do_is_refused(tmp_path):
    file = tmp_path / "flag.xml"
    flag = '<option><flag fwdinv="enable"/></option>'
    file.write_text(UNSTABLE.replace('<option timestep="0.02"/>', flag))
    with pytest.raises(
        ConfigurationError,
        match=r"cannot simulate file .*flag.xml': .*FWDINV.*use the model 'mujoco'",
    ):
        MujocoWarp({"file": str(file)})


def test_a_folder_for_kernels_that_cannot_be_written_is_told(arm, monkeypatch):
    def fails():
        raise PermissionError("not allowed")

    monkeypatch.setattr(warp, "init", fails)
    with pytest.raises(ConfigurationError, match=r"not allowed.*let WARP_CACHE_PATH name"):
        MujocoWarp({"file": arm})


def test_the_kernels_compile_for_gpus(tmp_path):
    """Warp compiles for a GPU that is not there."""
    warp.init()
    made = warp.compile_aot_module(
        warp_kernels, arch=[87, 90], module_dir=str(tmp_path), use_ptx=True
    )
    assert [file.suffixes[-2:] for file in made] == [[".sm87", ".ptx"], [".sm90", ".ptx"]]
    assert all(file.stat().st_size for file in made)


def test_few_sizes_serve_all_numbers_of_candidates():
    sizes = [worlds_for(count) for count in range(1, 1025)]
    assert all(count <= size < 1.5 * count + 1 for count, size in enumerate(sizes, 1))
    assert len(set(sizes)) == 20
    assert worlds_for(1024) == 1024


SWING = """/**:
  ros__parameters:
    control_rate: 25.0
    planner: {samples: 24, elites: 6, iterations: 2, horizon: 12, dt: 0.04, device: cpu}
    dynamics: {plugin: mujoco_warp, file: cartpole.xml}
    costs: [running]
    running:
      plugin: quadratic
      weight: {slider: 1.0, hinge: 5.0, slider_dot: 0.1, hinge_dot: 0.5}
    state: {topic: joint_states, type: sensor_msgs/msg/JointState}
    command: {topic: effort, type: std_msgs/msg/Float64MultiArray}
"""


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    """The cart-pole with ten times longer time steps."""
    file = tmp_path_factory.mktemp("cartpole") / "cartpole.xml"
    text = find("cartpole.xml").read_text()
    file.write_text(text.replace('timestep="0.001"', 'timestep="0.01"'))
    return str(file)


@pytest.fixture
def swing(tmp_path, cartpole):
    file = tmp_path / "swing.yaml"
    file.write_text(SWING.replace("cartpole.xml", cartpole))
    return str(file)


def test_a_cart_pole_is_balanced(swing, cartpole):
    configuration = configure(load_yaml(swing))
    assert any("on a CPU, where 'mujoco' is faster" in text for text in configuration.warnings())
    planner = configuration.planner()
    plant = Mujoco({"file": cartpole})
    state = np.array([0.0, 0.2, 0.0, 0.0])
    for tick in range(25):
        plan = planner.plan(state, 0.04 * tick)
        assert plan.invalid_share == 0.0
        columns = (torch.tensor(each, dtype=torch.float32) for each in (state, plan.actions[0]))
        state = plant.step(*(each[:, None] for each in columns), torch.tensor(0.04))[:, 0].numpy()
    assert abs(state[1]) < 0.1


def test_check_takes_it(swing, capsys):
    assert cli.main(["check", swing]) == 0
    assert "invalid candidates (NaN or infinite cost) from" in capsys.readouterr().out
