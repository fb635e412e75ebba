# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cem_planner_ros.learning import recording
from cem_planner_ros.learning import task as tasks

CONFIG = """
/**:
  ros__parameters:
    planner: {dt: 0.1, horizon: 10}
    dynamics: {plugin: pendulum}
    costs: [up]
    up: {plugin: quadratic, weight: {theta: 1.0}}
    state:
      topic: joint_states
      fields: {theta: "position[hinge]", theta_dot: "velocity[hinge]"}
    command: {topic: effort, fields: {torque: "data[0]"}}
"""


@pytest.fixture
def config(tmp_path):
    """A parameter file of a pendulum with steps of 0.1 s."""
    file = tmp_path / "pendulum.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def task(config):
    return tasks.load(config)


@pytest.fixture(name="oscillator")
def oscillator_fixture():
    return oscillator


@pytest.fixture
def config_text():
    return CONFIG


def oscillator(seconds, period=0.02, seed=0):
    """Times (n,), states (n, 2) and torques (n, 1) of a spring under random torques."""
    random = np.random.default_rng(seed)
    times = np.arange(1.0, 1.0 + seconds, period)
    states, torques = np.zeros((len(times), 2)), np.zeros((len(times), 1))
    angle, rate, torque = 1.0, 0.0, 0.0
    for index in range(len(times)):
        if index % 15 == 0:
            torque = random.uniform(-3.0, 3.0)
        states[index], torques[index] = (angle, rate), torque
        for _ in range(10):
            rate += period / 10 * (torque - 4.0 * angle - 0.2 * rate)
            angle += period / 10 * rate
    return times, states, torques


@pytest.fixture
def bag(tmp_path, task):
    """A function that writes a bag; returns its folder."""

    def write(times, states, torques, name="bag", mcap=True, command_times=None, arrivals=None):
        folder = tmp_path / name
        with recording.BagWriter(folder, task, mcap=mcap) as writer:
            for index, (time, state) in enumerate(zip(times, states, strict=True)):
                writer.state(time, state, None if arrivals is None else arrivals[index])
            command_times = times if command_times is None else command_times
            for time, torque in zip(command_times, torques, strict=True):
                writer.command(time, torque)
        return folder

    return write


@pytest.fixture
def ensemble_file(tmp_path):
    """A function that writes an ensemble whose members add `shifts` (P, 2) to the state a step."""

    def write(shifts, name="model") -> Path:
        shifts = torch.tensor(shifts, dtype=torch.float32)
        layers = {
            "layer0.weight": torch.zeros(len(shifts), 2, 4),
            "layer0.bias": shifts[:, :, None].clone(),
        }
        return save(tmp_path / f"{name}.safetensors", layers)

    return write


@pytest.fixture
def random_ensemble(tmp_path):
    """A function that writes an ensemble of some members with random weights."""

    def write(members, hidden) -> Path:
        generator = torch.Generator().manual_seed(0)
        layers = {}
        for index, (fan_in, fan_out) in enumerate(itertools.pairwise([4, *hidden, 2])):
            weight = torch.randn(members, fan_out, fan_in, generator=generator) / fan_in
            layers[f"layer{index}.weight"] = weight
            layers[f"layer{index}.bias"] = torch.randn(members, fan_out, 1, generator=generator)
        return save(tmp_path / "random.safetensors", layers)

    return write


def save(file, layers) -> Path:
    """Write an ensemble of the pendulum, nothing scaled."""
    scale = {
        "input_mean": torch.zeros(4),
        "input_std": torch.ones(4),
        "output_mean": torch.zeros(2),
        "output_std": torch.ones(2),
    }
    save_file(layers | scale, file)
    content = {
        "state_names": ["theta", "theta_dot"],
        "action_names": ["torque"],
        "action_units": ["Nm"],
        "angle_names": ["theta"],
        "action_low": [-3.0],
        "action_high": [3.0],
        "dt": 0.1,
    }
    file.with_suffix(".json").write_text(json.dumps(content))
    return file
