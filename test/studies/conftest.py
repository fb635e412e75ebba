# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A study of a small planner, whose episodes take milliseconds."""

import pytest
import yaml

pytest.importorskip("optuna")

CONFIG = """
/**:
  ros__parameters:
    control_rate: 10.0
    planner: {backend: eager, samples: 16, elites: 4, iterations: 1, horizon: 5, dt: 0.1}
    dynamics: {plugin: double_integrator}
    costs: [running]
    running:
      plugin: quadratic
      weight: {x: 1.0, "y": 1.0, x_dot: 0.1, y_dot: 0.1}
    command: {type: std_msgs/msg/Float64MultiArray}
    state:
      type: sensor_msgs/msg/JointState
      fields: {x: "position[a]", "y": "position[b]", x_dot: "velocity[a]", y_dot: "velocity[b]"}
"""

STUDY = {
    "config": "small.yaml",
    "trials": 7,
    "batch": 2,
    "parameters": {
        "planner.std_initial": {"low": 0.1, "high": 2.0, "log": True},
        "running.weight.x_dot": {"low": 0.0, "high": 1.0},
    },
    "scenarios": [
        {
            "plant": "model",
            "start": {"x": [0.5, 1.5]},
            "duration": 0.5,
            "process_noise": 0.1,
            "goal": {"x": 0.0},
            "tolerance": {"x": 0.5},
            "seeds": [0, 1],
            "unseen": [7],
        }
    ],
    "objectives": ["cost"],
}


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Return a function that writes a study with some settings changed, and returns its file."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "small.yaml").write_text(CONFIG)

    def write(**changes):
        file = folder / "study.yaml"
        file.write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False))
        return file

    return write
