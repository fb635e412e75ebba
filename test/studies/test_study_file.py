# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What a study file may say, and one message for each mistake."""

import json

import pytest

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.studies import study_file

SCENARIO = {"plant": "model", "duration": 0.5}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"planner.sample": {"low": 1, "high": 2}}, "unknown parameter 'planner.sample'.*samples"),
        ({"running.weight.z": {"low": 1.0, "high": 2.0}}, "unknown parameter 'running.weight.z'"),
        ({"planner.keep": {"low": 0.5, "high": 0.5}}, "empty range from 0.5 to 0.5"),
        ({"planner.keep": {"low": 0.9, "high": 0.5}}, "empty range from 0.9 to 0.5"),
        ({"planner.keep": {"low": 0.5, "high": 1.5}}, "'planner.keep' is 1.5, allowed"),
        ({"planner.samples": {"low": 1.5, "high": 9}}, "'planner.samples' is 1.5, allowed"),
        ({"planner.keep": {"low": 0.0, "high": 1.0, "log": True}}, "bounds above 0"),
        ({"planner.keep": {"low": 0.0, "high": 1.0, "step": -1}}, "the step -1"),
        ({"planner.keep": {"low": 0.1, "high": 1.0, "step": 0.35}}, "high - low is a multiple"),
        ({"planner.keep": {"low": 0.0, "high": 1.0, "step": 1e-300}}, "at most 1000000 of them"),
        ({"planner.samples": {"low": 8, "high": 16, "step": 3}}, "expected an integer of which"),
        ({"running.weight.x": {"low": 0, "high": 10**400}}, "allowed: a finite number"),
        ({"planner.keep": {"low": 0.0}}, "expected {low: A, high: B}"),
        ({"planner.keep": 0.5}, "expected {low: A, high: B}"),
        ({"planner.execute": {"low": 0.0, "high": 1.0}}, "choices: .*mean"),
        ({"planner.execute": {"choices": ["mean", "beast"]}}, "did you mean 'best'"),
        ({"planner.execute": {"choices": ["mean"]}}, "expected a list of two or more"),
        ({"autostart": {"choices": [True, False]}}, "'autostart' is read-only"),
        ({"costs": {"choices": [["running"], []]}}, "'costs' is a list"),
        ({"planner.elites": {"tied": "planner.sample"}}, "unknown parameter 'planner.sample'"),
        ({"planner.elites": {"tied": "planner.elites"}}, "expected another one"),
        ({"planner.elites": {"tied": "planner.samples"}}, "all parameters are tied"),
        ({"planner.elites": {"tied": "planner.samples", "factor": 10**400}}, "factor' is 1000"),
        ({}, "'parameters' is {}"),
    ],
)
def test_a_wrong_parameter_is_one_message(write, parameters, message):
    with pytest.raises(ConfigurationError, match=message) as error:
        study_file.read(write(parameters=parameters))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ["costs"]}, "unknown objective 'costs', did you mean 'cost'"),
        ({"objectives": ["path_error"]}, "'path_error' is reported by no scenario: .*cost"),
        ({"objectives": []}, "expected one or more of cost"),
        ({"limits": {"touched": 0}}, "'touched' is reported by no scenario"),
        ({"limits": {"cost": "low"}}, "'limits.cost' is 'low', allowed: a finite number"),
        ({"trial": 3}, "unknown setting of a study 'trial', did you mean 'trials'"),
        ({"trials": 0}, "'trials' is 0, allowed"),
        ({"batch": 1}, "'batch' is 1, allowed"),
        ({"sampler": "grid"}, "'sampler' is 'grid', allowed: one of auto, tpe"),
        ({"cpus": 0}, "expected one of them above 0"),
        ({"gpus": 1.5}, "'gpus' is 1.5, expected 0, a share"),
        ({"sampler": "cmaes", "objectives": ["cost", "command_change"]}, "several objectives"),
        ({"prune": True, "objectives": ["cost", "command_change"]}, "one objective only"),
        ({"config": "missing.yaml"}, "'config' is 'missing.yaml', which is no file"),
        ({"config": ""}, "'config' is missing"),
        ({"config": "a" * 5000}, "which is no file"),
        ({"scenarios": []}, r"'scenarios' is \[\], expected a list of one or more"),
        ({"scenarios": [{**SCENARIO, "plant": "car"}]}, "scenario 1: parameter 'plant' is 'car'"),
        ({"scenarios": [{**SCENARIO, "seed": 1}]}, "setting of a scenario 'seed', .*'seeds'"),
        ({"scenarios": [{**SCENARIO, "seeds": []}]}, "'seeds' is empty"),
        ({"scenarios": [{**SCENARIO, "seeds": "0-2", "unseen": [2]}]}, "seed 2 is in 'seeds' and"),
        ({"scenarios": [{**SCENARIO, "seeds": "5-2"}]}, "'seeds' is '5-2', expected"),
        ({"scenarios": [{**SCENARIO, "seeds": "0-9999999999"}]}, "at most 100000 different"),
        ({"scenarios": [{**SCENARIO, "seeds": 1.0}]}, "'seeds' is 1.0, expected"),
        ({"scenarios": [{**SCENARIO, "duration": 1e30}]}, "'duration' is 1e.30, allowed"),
        ({"scenarios": [{**SCENARIO, "state_noise": {"x": -1}}]}, "'state_noise.x' is -1.0"),
        ({"scenarios": [{**SCENARIO, "start": {"z": 1}}]}, "'start': 'z' .*known: x, y"),
        ({"scenarios": [{**SCENARIO, "start": {"x": [2, 1]}}]}, "smaller bound first"),
        ({"scenarios": [{**SCENARIO, "goal": {"x": 1}}]}, "name the same states"),
        (
            {"scenarios": [{**SCENARIO, "goal": {"x": 1}, "tolerance": {"x": 0}}]},
            "'tolerance.x' is 0.0",
        ),
        ({"scenarios": [{**SCENARIO, "pushes": [{"at": 1}]}]}, "a push is"),
        (
            {"scenarios": [{**SCENARIO, "pushes": [{"at": 1, "action": {"x_ddot": 1}}]}]},
            r"begins at 1 s, expected before the end of the episode \(0.5 s\)",
        ),
        ({"scenarios": [{**SCENARIO, "world": "rooms"}]}, "it is for .robot."),
        ({"scenarios": [{**SCENARIO, "path": [[0, 0], [1, 0]]}]}, "no cost uses a path"),
        ({"scenarios": [{"plant": "robot", "world": "rooms"}]}, "costs that use a path"),
        ({"scenarios": [{"plant": "mujoco"}]}, "needs a 'model_file'"),
        (
            {"scenarios": [SCENARIO, {"plant": "mujoco", "model_file": "none.xml"}]},
            r"scenario 2: (file 'none\.xml' does not exist|.*pip install mujoco)",
        ),
        (
            {"scenarios": [{**SCENARIO, "set": {"planner.sample": 1}}]},
            "scenario 1: .*planner.sample",
        ),
        ({"scenarios": [{**SCENARIO, "set": {3: 1}}]}, r"'set' is {3: 1}, expected NAME: VALUE"),
        (
            {"scenarios": [{**SCENARIO, "set": {"planner.std_initial": 0.3}}]},
            "'set' has 'planner.std_initial', which is tuned",
        ),
        ({"scenarios": [SCENARIO, SCENARIO]}, "two scenarios have one name"),
    ],
)
def test_a_wrong_study_is_one_message(write, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        study_file.read(write(**changes))


FOLLOWING = {
    "dynamics": {"plugin": "cartpole", "gravity": 0.0},
    "planner": {"backend": "eager"},
    "costs": ["follow"],
    "follow": {"plugin": "track", "topic": "wanted"},
    "state": {"fields": {"theta": "position[b]", "theta_dot": "velocity[b]"}},
}
"""A cart-pole without gravity that follows a topic."""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"scenario 1: the cost 'follow' follows the topic 'wanted', .* {follow\.topic: ''}"),
        (
            {"set": {"follow.topic": ""}, "model_errors": {"gravity": 1.2}},
            "scenario 1: 'model_errors' has a factor of 'dynamics.gravity', which is 0",
        ),
        ({"set": {"follow.topic": ""}, "model_errors": {"pole_mass": 1.2}}, ""),
    ],
)
def test_what_would_do_nothing_in_an_episode_is_refused(tmp_path, changes, message):
    config = {"/**": {"ros__parameters": FOLLOWING}}
    (tmp_path / "following.yaml").write_text(json.dumps(config))
    study = {
        "config": "following.yaml",
        "parameters": {"planner.keep": {"low": 0.0, "high": 1.0}},
        "objectives": "command_change",
        "scenarios": [{**SCENARIO, **changes}],
    }
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(study))
    if not message:
        assert study_file.read(file).scenarios[0].model_errors == {"pole_mass": 1.2}
        return
    with pytest.raises(ConfigurationError, match=message):
        study_file.read(file)


def test_a_file_that_is_missing_or_no_yaml_is_said(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        study_file.read(tmp_path / "none.yaml")
    file = tmp_path / "bad.yaml"
    file.write_text("a: [")
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        study_file.read(file)
    file.write_text("trials: 3\nconfig: a\ntrials: 4\n")
    with pytest.raises(ConfigurationError, match=r"'trials' is given twice(.|\n)*line 3"):
        study_file.read(file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        study_file.read(tmp_path / ("a" * 5000))
    file.write_text("- a\n")
    with pytest.raises(ConfigurationError, match="expected batch, config"):
        study_file.read(file)


def test_small_numbers_and_worlds_are_read(write):
    space = {"planner.std_min": {"low": "1e-3", "high": "1e-1", "log": True}}
    study = study_file.read(write(parameters=space))
    distribution = study.space.distributions["planner.std_min"]
    assert (distribution.low, distribution.high) == (0.001, 0.1)
    assert study.scenarios[0].seeds == (0, 1)
    assert study.sampler == "tpe"
    assert study_file.read(write(objectives=["cost", "command_change"])).sampler == "nsga2"


@pytest.mark.parametrize("name", ["cartpole.yaml", "drive.yaml"])
def test_the_shipped_studies_can_be_read_by_name(name):
    pytest.importorskip("mujoco")
    from pathlib import Path

    study = study_file.read(Path(name))
    assert study.scenarios[0].unseen


DRIVING = {
    "config": "drive.yaml",
    "parameters": {"planner.noise_beta": {"low": 1.0, "high": 5.0}},
    "objectives": ["time_to_goal"],
}


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        ({"plant": "robot", "world": "room"}, "world 'room' does not exist"),
        ({"plant": "robot", "world": "rooms", "worlds": ["rooms"]}, "expected one of them"),
        ({"plant": "robot", "world": "rooms", "goal": {"x": 1}}, "'goal' is given, but the plant"),
        ({"path": [[0, 0]]}, "expected two or more points"),
        ({"path": [[0, 0], [1, 0], [1, 0]]}, "each in another place"),
        ({"path": [[0, 0], [1e30, 0]]}, "'path' is 1e.30, allowed"),
        ({"path": [[0, 0], [1, 0]], "goal": {"x": 1}, "tolerance": {"x": 1}}, "whose last point"),
    ],
)
def test_a_wrong_scenario_of_a_robot_is_one_message(write, scenario, message):
    pytest.importorskip("mujoco")
    with pytest.raises(ConfigurationError, match=message):
        study_file.read(write(**DRIVING, scenarios=[scenario]))


def test_a_name_of_several_worlds_is_the_beginning_of_their_names(write):
    pytest.importorskip("mujoco")
    scenario = {"plant": "robot", "worlds": ["rooms", "pillars"], "name": "late", "delay": 0.1}
    file = write(**DRIVING, scenarios=[scenario])
    assert [one.name for one in study_file.read(file).scenarios] == ["late rooms", "late pillars"]
