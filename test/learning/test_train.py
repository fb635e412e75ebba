# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from cem_planner_ros import cli
from cem_planner_ros.dynamics.ensemble import Ensemble
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning import bags, dataset, recording, training
from cem_planner_ros.learning import task as tasks

FEW = ("--epochs", 40, "--members", 2, "--hidden", 24)


def train(folder, config, out, *arguments):
    arguments = ("--bag", folder, "--config", config, "--out", out, *arguments)
    return cli.main(["train", *map(str, arguments)])


@pytest.mark.parametrize("mcap", [True, False])
def test_a_bag_becomes_a_model(bag, config, tmp_path, capsys, mcap, oscillator):
    out = tmp_path / "model"
    assert train(bag(*oscillator(40.0), mcap=mcap), config, out, *FEW) == 0
    output = capsys.readouterr().out
    assert "epoch    0" in output
    assert "only 1 episode" in output
    assert out.with_suffix(".png").stat().st_size > 1000
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["data"]["seconds"] == pytest.approx(40.0, abs=0.1)
    errors = {name: np.mean(values) for name, values in told["errors"].items()}
    assert errors["model"] < 0.2 * min(errors["unchanged"], errors["constant_velocity"])
    model = Ensemble({"file": f"{out}.safetensors"})
    assert (model.members, model.dt, model.angle_names) == (2, 0.1, ("theta",))
    # The spring pulls it back: from 0.5 rad at rest with 0.05 rad in 0.1 s, less the damping.
    state = torch.tensor([0.5, 0.0])[:, None].repeat(1, 2)
    moved = model.step(state, torch.zeros(1, 2), torch.tensor(0.1))
    np.testing.assert_allclose(moved.mean(1), [0.49, -0.197], atol=0.05)


def test_the_same_seed_makes_the_same_model(bag, config, tmp_path, oscillator):
    folder = bag(*oscillator(20.0))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(folder, config, tmp_path / name, *FEW, "--force", "--seed", seed) == 0
    a, b, c = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_names_without_a_model_are_those_of_the_fields(
    bag, config, tmp_path, oscillator, config_text
):
    text = config_text.replace("pendulum", "ensemble")
    text += "    action: {low: {torque: -3.0}, high: {torque: 3.0}}\n"
    learned = tmp_path / "learned.yaml"
    learned.write_text(text)
    out = tmp_path / "model"
    folder = bag(*oscillator(20.0))
    assert train(folder, learned, out, *FEW, "--force", "--angle", "theta") == 0
    model = Ensemble({"file": f"{out}.safetensors"})
    assert (model.state_names, model.action_high) == (("theta", "theta_dot"), (3.0,))
    with pytest.raises(ConfigurationError, match="--angle phi is no state, allowed: theta,"):
        tasks.load(learned, ["phi"])
    learned.write_text(text.replace("position[hinge]", "place"))
    with pytest.raises(ConfigurationError, match=r"'state.fields.theta' is 'place'"):
        tasks.load(learned)


def test_a_model_worse_than_a_baseline_is_written_only_by_force(
    bag, config, tmp_path, capsys, oscillator
):
    times, states, torques = oscillator(30.0)
    # It moves evenly but for some noise, so going on is the best guess.
    states = np.stack((times, np.ones_like(times)), 1)
    states += np.random.default_rng(0).normal(0.0, 1e-4, states.shape)
    folder, out = bag(times, states, torques), tmp_path / "model"
    assert train(folder, config, out, "--epochs", 1, "--members", 1, "--hidden", 2) == 1
    assert "worse than" in capsys.readouterr().err
    assert not list(tmp_path.glob("model*"))
    assert train(folder, config, out, "--epochs", 1, "--members", 1, "--hidden", 2, "--force") == 0
    assert out.with_suffix(".safetensors").exists()


def made(folder, task):
    return dataset.make([bags.read(folder, task)], task)


def test_states_and_commands_are_aligned_in_time(bag, task):
    # A ramp, and a command that jumps in the middle of a step.
    times = np.arange(1.0, 41.0, 0.02)
    states = np.stack((0.5 * times, np.sin(times)), 1)
    command_times = np.arange(0.95, 41.0, 0.1)
    torques = (np.arange(len(command_times)) % 2)[:, None].astype(float)
    data = made(bag(times, states, torques, command_times=command_times), task)
    segment = data.training[0]
    np.testing.assert_allclose(np.diff(segment.states[:, 0]), 0.05, atol=1e-6)
    np.testing.assert_allclose(segment.actions, 0.5, atol=1e-6)


def test_angles_are_unwrapped(bag, task, oscillator):
    times, states, torques = oscillator(40.0)
    states[:, 0] = np.remainder(2.0 * times, 2 * np.pi) - np.pi
    data = made(bag(times, states, torques), task)
    np.testing.assert_allclose(np.diff(data.training[0].states[:, 0]), 0.2, atol=1e-6)


def test_gaps_and_drops_are_told_and_split_episodes(bag, task, oscillator):
    times, states, torques = oscillator(60.0)
    keep = np.ones(len(times), bool)
    for begin in (500, 1000, 1500, 2000):
        keep[begin : begin + 50] = False
    keep[3:400:4] = False
    states[2500, 0] = np.nan
    data = made(bag(times[keep], states[keep], torques, command_times=times), task)
    assert data.statistics["episodes"] == 5
    notes = "\n".join(data.notes)
    assert "4 gaps in the states" in notes
    assert "states missing" in notes
    assert "1 of" in notes
    assert "'theta' is not finite" in notes
    assert np.isfinite(np.concatenate([s.states for s in data.training])).all()


def test_stamps_of_another_clock_are_not_mixed_with_arrivals(bag, task, oscillator):
    times, states, torques = oscillator(30.0)
    arrivals = times + 1e6
    folder = bag(times, states, torques, arrivals=arrivals, command_times=arrivals)
    data = made(folder, task)
    assert data.statistics["seconds"] == pytest.approx(30.0, abs=0.2)
    assert any("arrival times are used" in note for note in data.notes)


def test_clocks_that_are_a_little_apart_are_told_and_not_mixed(bag, task, oscillator):
    times, states, torques = oscillator(30.0)
    # Stamps of a clock that is 0.5 s behind: the commands have none.
    late = bag(times - 0.5, states, torques, arrivals=times, command_times=times, name="late")
    data = made(late, task)
    assert "stamps of the states lie 0.5 s before their arrival, more than" in data.notes[0]
    straight = made(bag(times, states, torques), task)
    assert "stamps of the states lie 0 s before their arrival: stamps are used" in straight.notes[0]
    for one, other in zip(data.training, straight.training, strict=True):
        np.testing.assert_allclose(one.states, other.states, atol=1e-6)


def test_stamps_that_go_back_are_not_used(bag, task, oscillator):
    times, states, torques = oscillator(30.0)
    stamps = np.where(times < 26.0, times, times - 5.0)  # The clock was set.
    data = made(bag(stamps, states, torques, arrivals=times, command_times=times), task)
    assert "and go back by 4.98 s: arrival times are used" in data.notes[0]
    assert data.statistics["seconds"] == pytest.approx(30.0, abs=0.2)


def test_a_stamp_just_before_a_full_second_is_not_a_second_early(bag, task):
    times = np.array([4.0, 4.5, 5.0 - 1e-10, 5.5])
    folder = bag(times, np.zeros((4, 2)), np.zeros((4, 1)), arrivals=times + 0.01)
    found, _ = bags.read(folder, task).states
    np.testing.assert_allclose(found, times, atol=1e-8)


def test_robots_that_cannot_be_told_apart_are_refused(bag, tmp_path, task, oscillator):
    times, states, _ = oscillator(20.0)
    both = replace(task, topics={"state": "a/joint_states", "command": "b/joint_states"})
    both = replace(both, types=dict.fromkeys(("state", "command"), task.types["state"]))
    with recording.BagWriter(tmp_path / "two", both) as writer:
        for time, state in zip(times, states, strict=True):
            writer.state(time, state)
    with pytest.raises(ConfigurationError, match=r": /a/joint_states, /b/joint_states; write the"):
        bags.read(tmp_path / "two", task)


def test_commands_go_through_the_lag_of_their_actuators(bag, config, config_text, oscillator):
    config.write_text(config_text + "    action: {lag: {torque: 0.5}}\n")
    task = tasks.load(config)
    times, states, _ = oscillator(40.0)
    torques = np.where(times < 20.0, 0.0, 2.0)[:, None]
    torques[times > 35.0] = 1.0
    data = made(bag(times, states, torques), task)
    assert data.statistics["lag_s"] == {"torque": 0.5}
    actions = np.concatenate([s.actions[:, 0] for s in data.training + data.validation + data.test])
    # In step k after the jump the mean of 2 (1 - exp(-t / 0.5)).
    edges = np.exp(-np.arange(4) * 0.1 / 0.5)
    expected = 2.0 - 2.0 * 0.5 / 0.1 * (edges[:-1] - edges[1:])
    for value in expected:
        assert np.abs(actions - value).min() < 1e-3
    assert ((actions > 0.05) & (actions < 1.9)).sum() > 40


def test_the_spread_of_angles_does_not_depend_on_where_they_are(ensemble_file):
    model = Ensemble({"file": str(ensemble_file([[0.0, 0.0]]))})
    swing = 0.5 * np.sin(np.arange(200.0))
    found = []
    for middle in (0.0, np.pi, -20.0):
        states = np.stack((middle + swing, swing), 1)
        segment = dataset.Segment(states, np.zeros((199, 1)))
        found.append(training.errors(model, [segment], 5).unchanged)
    np.testing.assert_allclose(found, [found[0]] * 3, rtol=1e-6)


def test_a_model_must_be_better_at_both_ends_of_the_horizon():
    good, baseline = np.array([0.1, 0.2, 0.3]), np.array([0.2, 1.0, 2.0])

    def worse(model):
        return training.Errors(np.array(model), 2.0 * baseline, baseline).worse_than

    assert worse(good) == ""
    assert worse([0.3, 0.3, 0.3]) == "'constant velocity' after 1 step"
    assert worse([0.1, 0.1, 2.5]) == "'constant velocity' after 3 steps"
    assert worse([0.1, np.nan, 0.1]) == "'unchanged' over 3 steps"


def test_what_chooses_the_epoch_does_not_judge_the_model(bag, task, oscillator):
    data = made(bag(*oscillator(60.0)), task)
    parts = {name: getattr(data, name) for name in ("training", "validation", "test")}
    first = {name: {s.states[0].tobytes() for s in part} for name, part in parts.items()}
    assert all(first.values())
    assert not first["validation"] & first["test"]
    assert not first["training"] & (first["validation"] | first["test"])


def test_states_may_come_a_little_slower_than_the_model_steps(bag, task, oscillator):
    data = made(bag(*oscillator(60.0, period=0.1003)), task)
    np.testing.assert_allclose(data.statistics["state_period_s"], 0.1003, atol=1e-5)


def test_commands_far_out_of_bounds_are_told(bag, task, oscillator):
    times, states, torques = oscillator(30.0)
    data = made(bag(times, states, 10.0 * torques), task)
    assert any("commands of 'torque' go from -2" in note for note in data.notes)
    assert all(note.startswith("bag '") for note in data.notes[:2])


def test_states_and_commands_of_different_times_are_refused(bag, task, oscillator):
    times, states, torques = oscillator(20.0)
    with pytest.raises(ConfigurationError, match=r"bag .*: states from 1.000 to .* overlap"):
        made(bag(times, states, torques, command_times=times + 100.0), task)


def constant(column):
    def change(times, states, torques):
        (torques if column < 0 else states)[:, column] = 0.25

    return change


def all_nan(times, states, torques):
    states[:, 1] = np.nan


BAD = {
    "constant state": (constant(1), "state 'theta_dot' is constant in the data"),
    "constant action": (constant(-1), "action 'torque' is constant in the data"),
    "only NaN": (all_nan, "no message of 'joint_states' can be used: 'theta_dot' is not finite"),
}


@pytest.mark.parametrize("case", BAD)
def test_data_that_teaches_nothing_is_refused(bag, config, tmp_path, capsys, case, oscillator):
    change, text = BAD[case]
    times, states, torques = oscillator(30.0)
    change(times, states, torques)
    assert train(bag(times, states, torques), config, tmp_path / "model") == 1
    error = capsys.readouterr().err
    assert text in error
    assert "Traceback" not in error


def test_bags_without_what_is_needed_are_refused(
    bag, task, config, tmp_path, oscillator, config_text
):
    times, states, torques = oscillator(30.0)
    with pytest.raises(ConfigurationError, match=r"has no metadata.yaml"):
        bags.read(tmp_path, task)
    with pytest.raises(ConfigurationError, match="topic 'joint_states' has no messages"):
        bags.read(bag([], [], [], name="empty"), task)
    with pytest.raises(ConfigurationError, match="topic 'effort' has no messages"):
        bags.read(bag(times, states, [], name="mute", command_times=[]), task)
    config.write_text(config_text.replace("joint_states", "odometry"))
    folder = bag(times, states, torques)
    with pytest.raises(ConfigurationError, match=r"no topic 'odometry', .* it has: /joint_states"):
        bags.read(folder, tasks.load(config))
    config.write_text(config_text.replace("position[hinge]", "position[knee]"))
    with pytest.raises(ConfigurationError, match=r"no position\[knee\]; .*: hinge"):
        bags.read(folder, tasks.load(config))
    config.write_text(config_text.replace("topic: joint_states", "topic: effort"))
    with pytest.raises(ConfigurationError, match="expected sensor_msgs/msg/JointState"):
        bags.read(folder, tasks.load(config))


def test_rates_that_do_not_fit_are_refused(bag, task, oscillator):
    times, states, torques = oscillator(60.0, period=0.2)
    with pytest.raises(ConfigurationError, match=r"states come every 0.2 s .*: at most 0.105 s"):
        made(bag(times, states, torques), task)


def test_a_rate_that_changes_is_a_row_of_gaps(bag, task, oscillator):
    times, states, torques = oscillator(60.0)
    keep = (np.arange(len(times)) < 2000) | (np.arange(len(times)) % 25 == 0)
    data = made(bag(times[keep], states[keep], torques, command_times=times), task)
    assert data.statistics["seconds"] == pytest.approx(40.0, abs=0.2)
    assert any("gaps in the states" in note for note in data.notes)


def test_a_short_recording_is_refused(bag, task, oscillator):
    with pytest.raises(ConfigurationError, match=r"expected at least 6, .* at least \d+ s, or"):
        made(bag(*oscillator(5.0)), task)


def test_without_rosbags_it_says_what_to_install(monkeypatch, task, bag, oscillator):
    folder = bag(*oscillator(5.0))
    monkeypatch.setitem(sys.modules, "rosbags.highlevel", None)
    with pytest.raises(ConfigurationError, match="pip install rosbags"):
        bags.read(folder, task)


def test_states_that_came_in_parts_are_merged(tmp_path, task, oscillator):
    """The position from one publisher, the velocity from another, and a gripper beside them."""
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types

    def message(time, name, **values):
        stamp = types["builtin_interfaces/msg/Time"](sec=int(time), nanosec=int(time % 1.0 * 1e9))
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="")
        rows = {kind: np.zeros(0) for kind in ("position", "velocity", "effort")}
        rows |= {kind: np.array([value]) for kind, value in values.items()}
        made = types["sensor_msgs/msg/JointState"](header=header, name=[name], **rows)
        return bytes(store.serialize_cdr(made, made.__msgtype__))

    times, states, torques = oscillator(30.0)
    with recording.BagWriter(tmp_path / "parts", task) as writer:
        for time, (angle, rate), torque in zip(times, states, torques, strict=True):
            writer.write("state", time, message(time, "hinge", position=angle))
            writer.write("state", time + 0.001, message(time + 0.001, "hinge", velocity=rate))
            writer.write("state", time + 0.002, message(time + 0.002, "finger", position=0.0))
            writer.command(time, torque)
    read = bags.read(tmp_path / "parts", task)
    assert f"{len(times)} messages of 'joint_states' are of other joints" in read.notes
    found = read.states
    row = np.searchsorted(found.times, times[100] + 0.001, side="right") - 1
    np.testing.assert_allclose(found.values[row], states[100])
