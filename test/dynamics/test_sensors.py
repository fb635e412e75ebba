# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The sensors of an MJCF file as outputs that costs see."""

import numpy as np
import pytest
import torch

from cem_planner_ros.configuration import configure
from cem_planner_ros.costs.barrier import Barrier
from cem_planner_ros.costs.collision import Collision
from cem_planner_ros.costs.pose import PoseTracking
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.planner import Planner

mujoco = pytest.importorskip("mujoco")

from cem_planner_ros.dynamics.mujoco import Mujoco  # noqa: E402

BALL = """<mujoco><option timestep="0.01"/><worldbody>
  <geom name="floor" type="plane" size="5 5 0.1"/>
  <body name="ball" pos="0 0 1"><freejoint name="free"/>
    <geom name="ball" size="0.1" mass="1"/><site name="middle" size="0.2"/></body>
  <body name="arm" pos="1 0 1"><joint name="hinge" axis="0 1 0"/>
    <geom name="arm" type="capsule" fromto="0 0 0 0 0 -0.5" size="0.04"/>
    <site name="tip" pos="0 0 -0.5"/></body></worldbody>
  <actuator><motor name="lift" joint="hinge" ctrlrange="-2 2"/></actuator>
  <sensor><framepos name="tip" objtype="site" objname="tip"/>
    <framequat name="turn" objtype="site" objname="tip"/><jointpos name="hinge" joint="hinge"/>
    <framelinvel objtype="site" objname="tip"/><touch name="touch" site="middle"/>
    <actuatorfrc name="torque" actuator="lift"/></sensor></mujoco>"""

ADDED = [
    "com: subtreecom ball",
    "bump: contact geom ball geom floor",
    "seen: framepos site tip body ball",
    "energy: e_kinetic",
    "gap: distance geom ball geom floor",
]


@pytest.fixture
def ball(tmp_path):
    """A function to the model of BALL with added outputs."""

    def make(*outputs, threads=1):
        file = tmp_path / "ball.xml"
        file.write_text(BALL)
        return Mujoco({"file": str(file), "outputs": list(outputs), "threads": threads})

    return make


def start(model, height=1.0):
    """Return a state (nx, 1) of BALL."""
    state = torch.zeros(len(model.state_names), 1)
    for name, value in {"free_x": 0.0, "free_z": height, "free_qw": 1.0, "hinge": 0.4}.items():
        state[model.state_names.index(name)] = value
    return state


def test_outputs_have_the_names_of_the_sensors(ball):
    model = ball(*ADDED)
    model.check()
    assert " ".join(model.output_names) == (
        "tip_x tip_y tip_z turn_qw turn_qx turn_qy turn_qz hinge_sensor sensor3_x sensor3_y "
        "sensor3_z touch torque com_x com_y com_z bump seen_x seen_y seen_z energy gap"
    )
    assert model.signal_names[: len(model.state_names)] == model.state_names


def test_an_output_is_the_sensor_at_the_end_of_the_model_step(ball):
    """That of the last time step would belong to the state before it."""
    model = ball(*ADDED)
    sequence = torch.tensor([1.0, -2.0, 0.5, 2.0]).view(4, 1, 1)
    durations = torch.tensor([0.02, 0.03, 0.01, 0.03])
    signals = model.rollout(start(model), sequence, durations)
    data = mujoco.MjData(model.model)
    nq, nx = model.model.nq, len(model.state_names)
    names = model.output_names
    for row, action in zip(signals[..., 0].double().numpy(), sequence[:, 0, 0], strict=True):
        data.qpos, data.qvel, data.ctrl = row[:nq], row[nq:nx], action.item()
        mujoco.mj_forward(model.model, data)
        expected = dict(zip(names, data.sensordata, strict=True))
        got = dict(zip(names, row[nx:], strict=True))
        for name in set(names) - {"touch", "bump", "torque"}:
            assert got[name] == pytest.approx(expected[name], abs=2e-5), name
        # The force is that of the action that was held in the step.
        assert got["torque"] == pytest.approx(action.item())
    assert torch.equal(model.step(start(model), sequence[0], durations[0]), signals[0, :nx])


def test_a_short_touch_within_a_model_step_is_seen(ball):
    model = ball("bump: contact geom ball geom floor")
    touch, bump = (model.signal_names.index(name) for name in ("touch", "bump"))
    fast = start(model, height=0.2)
    fast[model.state_names.index("free_z_dot")] = -5.0
    coarse = model.rollout(fast, torch.zeros(2, 1, 1), torch.tensor([0.2, 0.2]))
    fine = model.rollout(fast, torch.zeros(40, 1, 1), torch.full((40,), 0.01))
    for row in (touch, bump):
        assert coarse[0, row, 0] > 0.0
        torch.testing.assert_close(coarse[0, row, 0], fine[:20, row, 0].max())
    high = model.rollout(start(model), torch.zeros(2, 1, 1), torch.tensor([0.1, 0.1]))
    assert not high[:, [touch, bump]].any()


def test_threads_and_other_candidates_do_not_change_an_output(ball):
    one, two = ball(*ADDED), ball(*ADDED, threads=2)
    sequence = torch.rand(5, 1, 6, generator=torch.Generator().manual_seed(0))
    durations = torch.full((5,), 0.04)
    states = start(one, 0.15).repeat(1, 6)
    together = one.rollout(states, sequence, durations)
    torch.testing.assert_close(two.rollout(states, sequence, durations), together)
    alone = one.rollout(states[:, :1], sequence[..., 3:4], durations)
    torch.testing.assert_close(together[..., 3:4], alone)


def test_a_planner_brings_a_site_to_where_a_cost_wants_it(ball):
    """No state says where the tip is."""
    model = ball()
    costs = [Quadratic(model, {"weight.tip_x": 10.0, "target.tip_x": 1.1})]
    planner = Planner(model, costs, samples=48, elites=8, iterations=2, horizon=10, dt=0.04)
    state, action = start(model, 0.1)[:, 0].numpy().astype(float), np.zeros(1)
    for tick in range(25):
        action = planner.plan(state, 0.04 * tick, action).action_at(0.04 * tick)
        signals = model.rollout(
            torch.tensor(state, dtype=torch.float32)[:, None],
            torch.tensor(action, dtype=torch.float32).view(1, 1, 1),
            torch.tensor([0.04]),
        )[0, :, 0]
        state = signals[: len(state)].numpy().astype(float)
    assert signals[model.signal_names.index("tip_x")].item() == pytest.approx(1.1, abs=0.05)


PAIR = """<mujoco><option gravity="0 0 0"/><worldbody>
  <body name="left" pos="-1 0 0"><joint name="a" type="slide" axis="1 0 0"/>
    <geom name="l" size="0.2" mass="1"/>
    <body name="tool"><joint name="c" type="slide" axis="0 0 1"/>
      <geom name="t" size="0.1" pos="0 0 1" mass="0.1"/></body></body>
  <body name="right" pos="1 0 0"><geom name="r" size="0.2"/></body></worldbody>
  <actuator><motor joint="a" name="push" ctrlrange="-1 1"/></actuator></mujoco>"""


@pytest.mark.parametrize(
    ("sensor", "where"),
    [
        ("contact geom l geom r", [1.7, 0.0]),
        ("contact body left body right", [1.7, 0.0]),
        ("contact body right", [1.7, 0.0]),
        ("contact subtree left subtree left", [0.0, -0.8]),
    ],
)
def test_forbidden_contacts_cost(tmp_path, sensor, where):
    file = tmp_path / "pair.xml"
    # MuJoCo leaves out contacts of a body with its parent unless it is told not to.
    file.write_text(
        PAIR.replace("<option", '<option><flag filterparent="disable"/></option><option')
    )
    model = Mujoco({"file": str(file), "outputs": [f"bump: {sensor}"]})
    cost = Collision(model, {"weight.bump": 7.0})
    for position, expected in (([0.0, 0.0], 0.0), (where, 7.0)):
        state = torch.tensor([*position, 0.0, 0.0])[:, None]
        signals = model.rollout(state, torch.zeros(1, 1, 1), torch.tensor([0.002]))[0]
        action = torch.zeros(1, 1)
        assert cost.stage(signals, action, action, torch.tensor(0.0)).tolist() == [expected]


def test_a_contact_cost_needs_outputs_and_makes_nan_invalid(ball):
    with pytest.raises(ConfigurationError, match="the model has no outputs"):
        Collision(DoubleIntegrator())
    model = ball()
    cost = Collision(model, {"weight.touch": 2.0, "threshold.touch": 5.0})
    signals = torch.zeros(len(model.signal_names), 3)
    signals[model.signal_names.index("touch")] = torch.tensor([4.0, 6.0, torch.nan])
    action = torch.zeros(1, 3)
    found = cost.stage(signals, action, action, torch.tensor(0.0))
    assert found[:2].tolist() == [0.0, 2.0]
    assert found[2].isnan()


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("hand framepos site tip", "allowed: NAME: SENSOR OBJECTS"),
        ("hand:", "allowed: NAME: SENSOR OBJECTS"),
        ("hand: framepose site tip", "did you mean 'framepos'"),
        ("hand: framepos tip", "allowed: NAME: framepos KIND NAME"),
        ("hand: framepos site tipp", "no site is called 'tipp', .*middle, tip, did you mean 'tip'"),
        ("hand: jointpos lift", "no joint is called 'lift', the file has free, hinge"),
        ("hand: tendonpos lift", "no tendon is called 'lift', the file has none with a name"),
        ("bump: contact body ball body table", "no body is called 'table', .*world, ball, arm"),
        ("turn2: ballquat hinge", "which file .* cannot have: .*ball"),
        ("hand: framepos spot tip", "where KIND is body, xbody, geom, site or camera"),
        ("bump: contact body ball site tip", "the first also site"),
        ("my hand: framepos site tip", "a NAME without spaces"),
        ("hand: framepos site 'the tip", "names with spaces in quotes"),
        ("com: subtreecom ball arm", r"allowed: NAME: subtreecom \[body\] NAME"),
        ("bump: contact geom", "allowed: NAME: contact KIND NAME"),
        ("gap: distance geom ball", "allowed: NAME: distance KIND NAME KIND NAME"),
        ("e: e_kinetic ball", "allowed: NAME: e_kinetic"),
        ("tip: framepos site tip", "a sensor 'tip' already: choose another name"),
    ],
)
def test_an_output_that_is_written_wrongly_is_explained(ball, output, text):
    with pytest.raises(ConfigurationError, match=f"parameter 'outputs' has (.|\n)*{text}"):
        ball(output)


def test_outputs_are_parameters_of_costs_in_a_yaml(ball, drive, tmp_path):
    ball()
    values = {"dynamics.plugin": "mujoco", "dynamics.file": str(tmp_path / "ball.xml")}
    values |= {"dynamics.outputs": ["com: subtreecom ball"], "state.type": drive["state.type"]}
    values |= {"costs": ["stay", "low"], "stay.plugin": "quadratic", "low.plugin": "barrier"}
    values |= {"stay.weight.com_z": 1.0, "stay.target.com_z": 0.5, "low.weight.touch": 2.0}
    configuration = configure(values | {"low.high.touch": 10.0})
    assert isinstance(configuration.costs["low"], Barrier)
    with pytest.raises(ConfigurationError, match=r"unknown parameter 'stay\.weight\.com_w'"):
        configure(values | {"stay.weight.com_w": 1.0})


def test_the_pose_of_a_site_is_followed_by_position_and_attitude(ball):
    model = ball()
    assert ("turn_qw", "turn_qx", "turn_qy", "turn_qz") in model.quaternion_names
    values = {"position": "tip", "orientation": "turn", "weight": 10.0, "target.x": 1.2}
    cost = PoseTracking(model, values | {"target.pitch": 0.1, "target.z": 0.5})
    signals = torch.zeros(len(model.signal_names), 2)
    for name, value in {"tip_x": 1.0, "tip_z": 0.5, "turn_qw": 1.0}.items():
        signals[model.signal_names.index(name)] = value
    signals[model.signal_names.index("turn_qw"), 1] = -1.0
    none = torch.zeros(1, 2)
    found = cost.stage(signals, none, none, torch.tensor(1.0))
    assert found.tolist() == pytest.approx([10.0 * 0.2**2 + 0.1**2] * 2, rel=1e-3)
