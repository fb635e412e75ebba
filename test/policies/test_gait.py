# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Gaits: when feet step, which candidates they give, and what is refused."""

import numpy as np
import pytest

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share
from cem_planner_ros.planning.record import replay
from cem_planner_ros.policies.gait import Gait, GaitCandidates
from cem_planner_ros.policies.linear_policy import load
from cem_planner_ros.simulation.plants import MujocoPlant

pytest.importorskip("mujoco")

FEET = {"FR_foot": 0.0, "FL_foot": 0.5, "RR_foot": 0.5, "RL_foot": 0.0}


@pytest.fixture(scope="module")
def model():
    from cem_planner_ros.dynamics.mujoco import Mujoco

    return Mujoco({"file": "quadruped.xml"})


def candidates(model, velocity=(0.0, 0.0, 0.0), count=1, **changes):
    gait = Gait(feet=FEET, velocity="velocity", **changes)
    high = np.full(12, 3.0)
    return GaitCandidates(gait, model, lambda: np.array(velocity), -high, high, count)


def test_feet_are_in_the_air_in_turn_and_move_back_on_the_ground():
    gait = Gait(feet=FEET, velocity="velocity", frequency=2.0, swing=0.4, lift=0.05)
    times = np.linspace(0.0, 0.5, 501)
    place, height = gait.swinging(times)
    is_up = height > 1e-9
    assert not (is_up[0] & is_up[1]).any()
    np.testing.assert_array_equal(height[0], height[3])
    assert height.max() == pytest.approx(0.05, abs=1e-3)
    assert is_up[0].mean() == pytest.approx(0.4, abs=0.01)
    on_ground = np.diff(place[0])[times[1:] > 0.21]
    np.testing.assert_allclose(on_ground, on_ground[0], rtol=1e-6)
    assert on_ground[0] < 0.0
    assert place[0, 0] == pytest.approx(-0.5)
    assert place.max() == pytest.approx(0.5, abs=0.01)


def test_a_robot_that_is_told_to_stand_stands(model):
    sequences = candidates(model)(np.zeros(37), np.arange(11) * 0.02)
    assert sequences.shape == (1, 10, 12)
    np.testing.assert_allclose(sequences[0], np.tile(sequences[0, 0], (10, 1)))


@pytest.fixture
def plant():
    return MujocoPlant(share("models") / "quadruped.xml", "home")


def test_a_robot_that_stands_does_not_sag_under_its_weight(model, plant):
    """The servos of the pose itself would let it sink by 12 mm."""
    action = candidates(model)(np.zeros(37), np.arange(3) * 0.02)[0, 0]
    plant.step(action, 2.0)
    home = model.model.key("home").qpos
    np.testing.assert_allclose(plant.physics_state()[7:19], home[7:], atol=0.02)


@pytest.mark.parametrize("gain", [0.0, 0.5])
def test_the_integral_of_the_error_brings_steps_to_the_commanded_velocity(model, plant, gain):
    """Without search; steps of the commanded velocity alone move the robot too slowly."""
    wanted, way = np.array([0.3, 0.0, 0.0]), []
    make = candidates(model, velocity=wanted, frequency=2.5, integral=gain)
    for period in range(200):
        edges = 0.04 * (period + np.arange(2))
        plant.step(make(plant.physics_state(), edges)[0, 0], 0.04)
        way.append(plant.physics_state()[0])
    speed = (way[199] - way[99]) / 4.0
    assert plant.physics_state()[2] > 0.25
    assert speed < 0.22 if gain == 0.0 else speed == pytest.approx(0.3, abs=0.05)


def test_a_new_run_begins_without_the_integral_of_the_last_one(model):
    make = candidates(model, velocity=(0.3, 0.0, 0.0), integral=5.0)
    state = model.rest_state
    sequences = [make(state, time + np.arange(11) * 0.02) for time in (0.0, 0.1, 0.2, 0.0)]
    assert (
        np.abs(
            sequences[2] - make.sequence(np.arange(10) * 0.02 + 0.21, np.array([0.3, 0.0, 0.0]))
        ).max()
        > 0.01
    )
    np.testing.assert_array_equal(sequences[3], sequences[0])


def test_after_a_reset_plans_are_those_of_a_new_planner(tmp_path):
    """Whatever was planned before, so that runs do not depend on their order."""
    file = share("config") / "quadruped.yaml"
    values = {"planner.device": "cpu", "planner.samples": 20, "planner.horizon": 4}
    planner = configure(load_yaml(file) | values, str(file)).planner()
    state, run = planner.dynamics.rest_state, tmp_path / "run.npz"
    recording = planner.record()
    for tick in range(3):
        planner.plan(state, 0.04 * tick)
    recording.save(run)
    assert not replay(planner, run).any()
    assert not replay(planner, run).any()


def test_feet_are_moved_as_the_velocity_says(model):
    """The joint angles, put into the model, move the feet by the length of a step."""
    import mujoco

    steps = candidates(model, lift=0.0)
    times = np.array([0.25 - 1e-9, 0.5 - 1e-9])  # The beginning and the end of the stance of FR.
    begin, end = steps.sequence(times, np.array([0.2, 0.0, 0.0]))
    places = []
    for angles in (begin, end):
        data = mujoco.MjData(model.model)
        mujoco.mj_resetDataKeyframe(model.model, data, model.model.key("home").id)
        data.qpos[7:] = angles
        mujoco.mj_kinematics(model.model, data)
        places.append(data.site("FR_foot").xpos.copy())
    moved = places[1] - places[0]
    np.testing.assert_allclose(moved, [-0.2 * 0.25, 0.0, 0.0], atol=0.005)


def test_the_first_candidate_has_the_commanded_velocity_and_others_are_near(model):
    make = candidates(model, velocity=(0.3, 0.0, 0.0), count=21)
    edges = 0.1 + np.arange(11) * 0.02
    sequences = make(np.zeros(37), edges)
    times = 0.5 * (edges[1:] + edges[:-1])
    np.testing.assert_allclose(sequences[0], make.sequence(times, np.array([0.3, 0.0, 0.0])))
    apart = np.abs(sequences[1:] - sequences[0]).max(axis=(1, 2))
    assert (apart > 1e-3).all()
    assert np.median(apart) < 0.5


def test_steps_follow_a_robot_that_was_pushed(model):
    """It stands, and moves to its left: half of the candidates step to the left."""
    state = np.array(model.rest_state)
    state[model.state_names.index("base_y_dot")] = 1.5
    edges = np.arange(11) * 0.02
    make = candidates(model, count=21, frequency=2.5, spread=(0.0, 0.0, 0.0))
    sequences = make(state, edges)
    hips = [model.action_names.index(f"{leg}_hip") for leg in ("FR", "FL", "RR", "RL")]
    ranges = np.ptp(sequences[..., hips], axis=1).max(axis=1)
    assert (ranges[0::2] == 0.0).all()
    assert (ranges[1::2] > 0.0).all()
    assert ranges.max() > 0.3


def tilted(model, angle):
    """The rest state, rolled by an angle, rad, with joints turned by 0.2 rad."""
    state = np.array(model.rest_state)
    state[7:19] += 0.2
    state[3:7] = np.cos(0.5 * angle), np.sin(0.5 * angle), 0.0, 0.0
    return state


def test_candidates_of_a_robot_that_fell_are_motions_to_get_up(model):
    """A quarter goes to the pose, the others to two random poses, the legs of a side alike."""
    make, edges = candidates(model, count=200, fallen=0.7), 7.0 + np.arange(21) * 0.02
    state = tilted(model, 1.6)
    sequences = make(state, edges)
    assert sequences.shape == (200, 20, 12)
    left_to_go = sequences - model.named_actions["keyframe:home"]
    rises = np.ptp(left_to_go, axis=-1).max(axis=1) < 1e-9
    assert np.mean(rises) == pytest.approx(0.25, abs=0.1)
    random, left_to_go = sequences[~rises], left_to_go[rises]
    assert (np.diff(left_to_go, axis=1) <= 1e-9).all()
    assert ((left_to_go > -1e-9) & (left_to_go < 0.2)).all()
    right, left, rear_right, rear_left = np.split(random, 4, axis=-1)
    np.testing.assert_array_equal(right, rear_right)
    np.testing.assert_array_equal(left, rear_left)
    assert (np.abs(right - left).max(axis=(1, 2)) > 0.1).all()
    assert all(1 <= len(np.unique(one, axis=0)) <= 2 for one in random)
    assert np.mean(np.abs(random) == 3.0) == pytest.approx(0.5, abs=0.1)


def test_the_first_motion_of_a_robot_that_fell_is_another_one_each_time(model):
    """A busy machine may simulate no other one."""
    make, edges = candidates(model, fallen=0.7), np.arange(21) * 0.02
    first = [make(tilted(model, 1.6), edges + 0.04 * tick)[0, 0] for tick in range(8)]
    assert len(np.unique(first, axis=0)) > 4


@pytest.mark.parametrize(("angle", "fallen"), [(0.5, 0.7), (1.6, 0.0)])
def test_a_robot_that_did_not_fall_or_does_not_get_up_steps(model, angle, fallen):
    sequences = candidates(model, fallen=fallen)(tilted(model, angle), np.arange(11) * 0.02)
    np.testing.assert_allclose(sequences[0], np.tile(sequences[0, 0], (10, 1)))


def test_a_robot_that_lies_on_its_belly_gets_up(model):
    state = np.array(model.model.key("lying").qpos.tolist() + [0.0] * 18)
    sequences = candidates(model, count=40, fallen=0.7)(state, np.arange(21) * 0.02)
    assert np.abs(sequences[:, 0] - state[7:19]).max(axis=1).min() < 0.2


def test_steps_stay_within_the_bounds_of_the_actions(model):
    sequences = candidates(model, velocity=(30.0, 0.0, 0.0))(np.zeros(37), np.arange(26) * 0.02)
    assert np.abs(sequences).max() == 3.0


def test_the_gait_of_the_quadruped_follows_its_velocity_cost():
    file = share("config") / "quadruped.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    assert isinstance(configuration.policy, Gait)
    planner = configuration.planner()
    plan = planner.plan(configuration.dynamics.rest_state, 0.0)
    assert np.isfinite(plan.cost)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gait: {velocity: velocity}", "feet"),
        ("gait: {feet: {paw: 0.0, FL_foot: 0.5}, velocity: velocity}", "'paw'.*FR_foot"),
        ("gait: {feet: {FR_foot: 0, FL_foot: 0.5}, velocity: speed}", "'speed'.*velocity"),
        (
            "gait: {feet: {FR_foot: 0, FL_foot: 0.5}, velocity: velocity, keyframe: hom}",
            "'hom'.*home",
        ),
        (
            "gait: {feet: {FR_foot: 0, FL_foot: 0.5}, velocity: velocity, swing: 1.5}",
            "0.05 to 0.95",
        ),
        ("gait: {feet: {FR_foot: 0, FL_foot: 0.5}, velocity: velocity, spread: [1]}", "three"),
    ],
)
def test_a_wrong_gait_is_refused_with_what_is_allowed(tmp_path, text, expected):
    gait = tmp_path / "gait.yaml"
    gait.write_text(text)
    file = share("config") / "quadruped.yaml"
    with pytest.raises(ConfigurationError, match=expected):
        configure(load_yaml(file) | {"policy.file": str(gait)}, str(file))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("drift: [0.0, .nan, 0.0]", "drift.*finite"),
        ("drift: [.inf, 0.0, 0.0]", "drift.*finite"),
        ("spread: [0.3, 0.3, .inf]", "spread.*finite"),
        ("spread: [0.3, .nan, 0.3]", "spread.*finite"),
        ("frequency: .nan", "frequency.*0.1 to 20"),
        ("stride: .inf", "stride.*0.1 to 10"),
        ("integral: .nan", "integral.*0.0 to 10"),
        ("lift: .nan", "lift.*0.0 to 1"),
        ("fallen: 4.0", "fallen.*0.0 to 3.1"),
        ("feet: {FR_foot: .nan, FL_foot: 0.5}", "'FR_foot'.*phase nan.*0 to 1"),
        ("feet: {FR_foot: 0.0, FL_foot: 1.5}", "'FL_foot'.*phase 1.5.*0 to 1"),
    ],
)
def test_numbers_of_a_gait_are_finite_and_in_range(tmp_path, changed, expected):
    feet = "" if changed.startswith("feet") else "feet: {FR_foot: 0.0, FL_foot: 0.5}, "
    file = tmp_path / "gait.yaml"
    file.write_text(f"gait: {{{feet}velocity: velocity, {changed}}}")
    with pytest.raises(ConfigurationError, match=expected):
        load(file)


def test_a_gait_is_no_fallback():
    file = share("config") / "quadruped.yaml"
    with pytest.raises(ConfigurationError, match=r"fallback.*ramp_to_safe"):
        configure(load_yaml(file) | {"fallback": "policy"}, str(file))


def test_the_shipped_gait_can_be_read():
    assert set(load(share("models") / "quadruped_trot.yaml").feet) == set(FEET)
