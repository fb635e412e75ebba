# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cem_planner_ros.cli import parameters_command
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import Parameter

CONFIG = Path(__file__).parents[2] / "config"
CARTPOLE = load_yaml(CONFIG / "cartpole.yaml")


def refusal(changes, drop=()):
    values = {name: v for name, v in CARTPOLE.items() if name not in drop} | changes
    with pytest.raises(ConfigurationError) as caught:
        configure(values, "some/file.yaml")
    text = str(caught.value)
    assert "some/file.yaml" in text
    return text


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("planner.sampels", 5, "did you mean 'planner.samples'"),
        ("running.weight.tetha", 1.0, "did you mean 'running.weight.theta'"),
        ("planner.samples", "many", "an integer from 1 to 10000000"),
        ("planner.samples", 0, "an integer from 1 to"),
        ("planner.samples", 10.5, "an integer from 1 to"),
        ("planner.samples", True, "an integer from 1 to"),
        ("control_rate", -1.0, "from 0.1 to 2000.0 Hz"),
        ("max_state_age", float("nan"), "finite number"),
        ("max_state_age", float("inf"), "finite number"),
        ("planner.backend", "fast", "one of auto, cudagraph, compile, eager"),
        ("planner.device", "tpu", "auto, cpu, or a CUDA device"),
        ("planner.device", "cuda:99", "auto, cpu, or a CUDA device"),
        ("planner.elites", 2000, "planner.samples / planner.modes, which is 1024"),
        ("action.low.force", 10.0, "less than action.high.force, which is 10.0"),
        ("action.safe.force", 11.0, "from action.low.force to action.high.force"),
        ("state.type", "std_msgs/msg/String", "sensor_msgs/msg/JointState"),
        ("state.fields.theta", "hinge", "position[JOINT]"),
        ("state.fields.theta", "position[hinge] + pi", "position[JOINT] + 3.1416"),
        ("command.fields.force", "linear.x", "data[INDEX]"),
        ("action.std.torque", 1.0, "'action.std.torque', expected one of action.std.force (its"),
        ("running.weight.gripper", 1.0, "expected one of running.weight.x, running.weight.x_dot"),
        ("action.nominal.force", "keyframe:home", "the model has no keyframe with a name"),
        ("dynamics.plugin", "cartpool", "did you mean 'cartpole'"),
        ("dynamics.cart_mass", -1.0, "at least 0.001 kg"),
        ("running.plugin", "nonsense.module:Cost", "No module named 'nonsense'"),
        ("running.plugin", f"{__name__}:Extrenal", "has no 'Extrenal', did you mean 'External'?"),
        ("fallback", "Policy", "did you mean 'policy'?"),
        ("state.type", "JointState", "did you mean 'sensor_msgs/msg/JointState'?"),
        ("command.type", "geometry_msgs/Twist", "did you mean 'geometry_msgs/msg/Twist'?"),
        ("costs", [], "at least one"),
        ("costs", ["running", "running"], "different names"),
        ("costs", ["planner"], "none of"),
        ("costs", "running", "a list of strings"),
        ("autostart", 1, "true or false"),
        ("running.weight.theta", 1e300, "at least 0"),
        ("action.low.force", 9.9999999999, "less than action.high.force"),
        ("realtime.cpus", "first", "numbers of CPUs"),
        ("hold", "brake", "parameter 'hold' is now called fallback"),
        ("fallback", "coast", "one of ramp_to_safe, keep_last"),
        ("action.low_pass.force", -1.0, "from 0.0 to 10.0 s"),
        ("state.topic", "my topic!", "a ROS topic name"),
        ("command.topic", "", "a ROS topic name"),
    ],
)
def test_a_wrong_value_is_refused_naming_parameter_value_and_what_is_allowed(name, value, allowed):
    text = refusal({name: value})
    assert name in text
    assert str(value) in text
    assert allowed in text


def test_a_state_that_no_field_is_named_for_is_refused():
    assert "state.fields.theta_dot" in refusal({}, drop=["state.fields.theta_dot"])


@pytest.mark.parametrize("name", ["state.type", "command.type"])
def test_a_wrong_message_type_is_one_error(name):
    text = refusal({name: "sensor_msgs/msg/JointStates"})
    assert len(text.splitlines()) == 2, text  # The error, and the file.


def test_a_section_that_is_nearly_right_is_one_error():
    text = refusal({"plannner.samples": 64, "plannner.elites": 8})
    assert "unknown section 'plannner', did you mean 'planner'?" in text
    assert len(text.splitlines()) == 2, text
    assert "did you mean 'running'?" in refusal({"runing.plugin": "goal"})


def test_a_cost_that_is_given_but_not_named_is_said_once():
    text = refusal({"costs": ["running"]})
    assert (
        "'terminal.plugin' is given, but 'costs', which is ['running'], does not name 'terminal'"
        in text
    )
    assert "terminal.weight" not in text


def test_a_misspelt_section_of_the_model_is_recognised():
    assert "did you mean 'dynamics'?" in refusal({"dynamic.plugin": "cartpole"})


class Leaving(Cost):
    """Exits while it is made."""

    def __init__(self, *arguments, **options):
        raise SystemExit(3)


def test_a_plugin_that_exits_while_it_is_made_does_not_end_the_process():
    text = refusal({"running.plugin": f"{__name__}:Leaving", "running.weight.x": 1.0})
    assert "'running.plugin'" in text
    assert "cannot be made: SystemExit: 3" in text


class Uncalled(Cost):
    """Has no method that the planner calls."""

    def stages(self, state, action, previous_action, time):
        return state[0]


def test_a_cost_without_a_method_that_is_called_is_warned_of():
    values = CARTPOLE | {"costs": ["running", "terminal", "odd"]}
    configuration = configure(values | {"odd.plugin": f"{__name__}:Uncalled"})
    (warning,) = [text for text in configuration.warnings() if "'odd'" in text]
    assert "Uncalled has neither stage nor terminal" in warning


def test_two_actions_cannot_share_a_field():
    text = refusal(
        {
            "dynamics.plugin": "double_integrator",
            "command.fields.x_ddot": "data[0]",
            "command.fields.y_ddot": "data[0]",
        }
    )
    assert "allowed: different ones" in text
    changes = {"dynamics.plugin": "double_integrator", "command.type": "std_msgs/msg/Float64"}
    assert "since one message has all actions" in refusal(changes, drop=["command.fields.force"])


def test_yaml_is_read_as_rcl_reads_it(tmp_path):
    file = tmp_path / "p.yaml"
    lines = ["a: y", "b: 'y'", "y: 1e-1", "c: 1.0e3", "d: yes", "e: yellow", "f: 3"]
    file.write_text("/**:\n  ros__parameters:\n" + "".join(f"    {line}\n" for line in lines))
    assert load_yaml(file) == {
        "a": True,
        "b": "y",
        "y": 0.1,
        "c": 1000.0,
        "d": True,
        "e": "yellow",
        "f": 3,
    }


def test_all_that_is_wrong_is_said_at_once():
    text = refusal({"planner.samples": 0, "planner.dt": 0.0, "running.weight.theta": "x"})
    assert all(name in text for name in ("planner.samples", "planner.dt", "running.weight.theta"))


class Broken(Cost):
    parameters = (Parameter("size", 1.0, "Any."),)

    def __init__(self, dynamics, values=None, *, device="cpu"):
        raise RuntimeError("out of paper")


class External(Cost):
    """A cost that a user brings."""

    parameters = (Parameter("size", 1.0, "Any."),)

    def stage(self, state, action, previous_action, time):
        return self.size * state[0]


def test_a_plugin_that_raises_is_named_with_the_cause():
    text = refusal({"running.plugin": f"{__name__}:Broken"})
    assert "running.plugin" in text
    assert "RuntimeError: out of paper" in text


def test_a_plugin_may_be_any_class_with_parameters_under_its_name():
    values = {name: v for name, v in CARTPOLE.items() if not name.startswith("running.")}
    configuration = configure(
        values
        | {"running.plugin": f"{__name__}:External", "running.size": 3.0, "planner.device": "cpu"}
    )
    assert configuration.costs["running"].size.item() == 3.0


def test_an_integer_serves_as_a_number():
    assert configure(CARTPOLE | {"control_rate": 20}).values["control_rate"] == 20.0


def test_live_values_reach_the_planner_and_its_plugins():
    configuration = configure(CARTPOLE | {"planner.device": "cpu", "planner.backend": "eager"})
    planner = configuration.planner()
    changed = configuration.changed({"running.weight.theta": 7.0, "dynamics.cart_mass": 2.0})
    changed.tune(planner)
    assert planner.costs[0].weight[2, 0] == 7.0
    assert planner.dynamics.cart_mass == 2.0
    assert configuration.values["running.weight.theta"] == 2.0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"planner.samples": 5}, "only change while the node is not active"),
        ({"action.low.force": 20.0}, "less than action.high.force"),
        ({"command_phase": 0.6, "budget_fraction": 0.5}, "at most budget_fraction"),
        ({"running.weight.theta": -1.0}, "at least 0"),
        ({"running.weight.phi": 1.0}, "unknown parameter"),
        ({"action.nominal.force": 11.0}, "is 11.0, allowed: from action.low.force to action.high"),
        ({"action.nominal.force": "measured"}, "allowed with action.measured_by.force"),
        ({"action.nominal.force": "reference"}, "allowed with action.measured_by.force"),
        ({"action.nominal.force": "home"}, "a finite number in N, or middle, or measured"),
    ],
)
def test_a_change_that_cannot_be_is_refused(changes, text):
    configuration = configure(CARTPOLE | {"planner.device": "cpu"})
    with pytest.raises(ConfigurationError, match=text):
        configuration.changed(changes)


def test_a_search_in_units_reaches_the_planner():
    values = {"planner.device": "cpu", "planner.backend": "eager", "planner.samples": 128}
    values |= {"action.nominal.force": -4, "action.std.force": 0.01}
    planner = configure(CARTPOLE | values).planner()
    planner.plan(np.zeros(4), 0.0, iterations=1)
    drawn = planner.execution.candidates.numpy()
    assert drawn.mean() == pytest.approx(-4.0, abs=0.02)
    assert drawn.std() < 0.02
    measured = {"action.nominal.force": "measured", "action.measured_by.force": "x"}
    planner = configure(CARTPOLE | values | measured).planner()
    planner.plan(np.array([2.5, 0.0, 0.0, 0.0]), 0.0, iterations=1)
    assert planner.execution.candidates.mean().item() == pytest.approx(2.5, abs=0.02)
    wanted = measured | {"action.nominal.force": "reference", "costs": ["follow"]}
    wanted |= {"follow.plugin": "track", "follow.signals": ["x"], "follow.target.x": -3.0}
    base = {n: v for n, v in CARTPOLE.items() if n.partition(".")[0] not in CARTPOLE["costs"]}
    planner = configure(base | values | wanted).planner()
    planner.plan(np.zeros(4), 0.0, iterations=1)
    assert planner.execution.candidates.mean().item() == pytest.approx(-3.0, abs=0.02)
    astray = wanted | {"action.measured_by.force": "theta"}
    with pytest.raises(ConfigurationError, match="that follows the state 'theta'"):
        configure(base | values | astray)
    other = configure(base | values | astray | {"action.nominal.force": "measured"})
    with pytest.raises(ConfigurationError, match="add 'theta' to the signals"):
        other.changed({"action.nominal.force": "reference"})


def test_bounds_that_stand_for_none_are_warned_of_unless_the_search_has_units():
    wide = CARTPOLE | {"planner.device": "cpu", "action.low.force": -1e6, "action.high.force": 1e6}
    texts = "\n".join(configure(wide).warnings())
    assert "so candidates have a standard deviation of 750000" in texts
    assert "set action.std.force" in texts
    texts = "\n".join(configure(wide | {"action.std.force": 5.0}).warnings())
    assert "action.std" not in texts
    coarse = {"action.std.force": 1.0, "action.std_min.force": 2.0}
    texts = "\n".join(configure(CARTPOLE | coarse).warnings())
    assert "action.std_min.force is 2, above action.std.force, which is 1" in texts


def test_numbers_that_are_probably_in_another_unit_are_warned_of():
    robot = {"action.high.yaw_rate": 109.0, "action.high.v": 350.0, "action.low.v": -1e9}
    found = "\n".join(configure(DRIVE | robot).warnings())
    assert "action.high.yaw_rate is 109, in rad/s: a value in degrees per second has to" in found
    assert "action.high.v is 350, in m/s: a value in mm/s has to" in found
    assert "action.low.v is -1e+09, in m/s" not in found
    footprint = {"obstacles.footprint": "220 200  220 -200  -220 -200  -220 200"}
    (found,) = configure(DRIVE | footprint).warnings()
    assert "the footprint of the cost 'obstacles' reaches 297 m" in found
    assert configure(DRIVE).warnings() == []


def test_values_set_together_are_checked_together():
    configuration = configure(CARTPOLE | {"planner.device": "cpu"})
    changed = configuration.changed(
        {"action.low.force": 20.0, "action.high.force": 30.0, "action.safe.force": 25.0}
    )
    assert changed.action("low") == [20.0]


@pytest.mark.parametrize("name", ["cartpole", "diff_drive_pose", "planner"])
def test_shipped_files_are_right(name):
    path = CONFIG / f"{name}.yaml"
    configure(load_yaml(path) | {"planner.device": "cpu"}, str(path))


def test_the_table_of_parameters_is_up_to_date():
    text = (CONFIG.parent / "docs" / "parameters.md").read_text()
    assert text == parameters_command.markdown(), "python -m cem_planner_ros parameters --markdown"


def test_planner_yaml_explains_every_parameter_and_is_up_to_date():
    configuration = configure(CARTPOLE | {"planner.device": "cpu"})
    text = (CONFIG / "planner.yaml").read_text()
    assert text == parameters_command.reference(configuration, CARTPOLE)
    assert set(load_yaml(CONFIG / "planner.yaml")) == set(configuration.parameters)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\ta: 1", r"not valid YAML(.|\n)*\n  line 1, column 1:"),
        ("just a text", "expected"),
        ("other_node: {ros__parameters: {a: 1}}", "no section for the node 'cem_planner'"),
        ("", "no section"),
    ],
)
def test_a_file_that_is_no_parameter_file_is_named(tmp_path, text, message):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_yaml(file)
    assert "bad.yaml" in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        load_yaml("nowhere.yaml")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_plans_on_a_gpu():
    planner = configure(CARTPOLE | {"planner.device": "cuda"}).planner()
    assert planner.plan([0.0, 0.0, 3.0, 0.0], 0.0).invalid_share == 0.0


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({}, []),
        ({"follow.target.theta": 0.1}, []),
        ({"follow.topic": "reference", "follow.max_age": 0.1}, []),
        (
            {"follow.type": "std_msgs/msg/Float64MultiArray", "follow.fields.x": "data[0]"},
            [
                "follow.type, follow.fields.x: no effect, as follow.topic is empty, so the "
                "reference is follow.target"
            ],
        ),
        (
            {"follow.topic": "reference", "follow.target.theta": 0.1},
            ["follow.target.theta: no effect, as the reference comes from follow.topic"],
        ),
        (
            {"follow.signals": ["x"], "follow.weight.theta": 5.0, "follow.target.x": 1.0},
            [
                "follow.weight.theta: no effect, as follow follows x only; add the others to "
                "follow.signals"
            ],
        ),
    ],
)
def test_what_a_reference_does_not_use_is_warned_of(changes, warnings):
    values = CARTPOLE | {"costs": [*CARTPOLE["costs"], "follow"], "follow.plugin": "track"}
    found = configure(values | changes).warnings()
    assert [warning for warning in found if "no effect" in warning] == warnings


DRIVE = load_yaml(CONFIG / "drive.yaml") | {"planner.device": "cpu"}


FOLLOW = {"drive.follow_path": True}


class Misspelt(Cost):
    inputs = ("coastmap",)


class Shapeless(Cost):
    inputs = ("costmap",)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"drive.marign": 0.1}, "did you mean 'drive.margin'"),
        ({"drive.max_costmap_age": -1.0}, "at least 0.0 s"),
        ({"path.lateral_wieght": 1.0}, "did you mean 'path.lateral_weight'"),
        ({"obstacles.footprint": "0.2 0.2"}, "allowed: x and y of three corners or more"),
        ({"obstacles.cells": 2049}, "an integer from 8 to 2048"),
        ({"goal_checker_plugins": ["rough"]}, "unknown parameter 'goal_checker_plugins'"),
        ({**FOLLOW, "goal_checker_plugins": []}, "'goal_checker_plugins' is [], allowed: at"),
        ({**FOLLOW, "goal_checker_plugins": ["path"]}, "none of another section"),
        ({**FOLLOW, "progress_checker_plugins": ["goal_checker"]}, "none of another section"),
        ({**FOLLOW, "goal_checker.plugin": "SimpleGoalChecker"}, "StoppedGoalChecker"),
        ({**FOLLOW, "speed_limit_topic": "speed limit"}, "allowed: a ROS topic name"),
        ({"drive.goal_topic": ""}, "'drive.goal_topic' is '', allowed: a ROS topic name"),
        ({"drive.costmap_topic": "2d"}, "'drive.costmap_topic' is '2d', allowed: a ROS topic name"),
        ({"drive.footprint_topic": "foot print"}, "'drive.footprint_topic' is 'foot print', allow"),
        (
            {"drive.moving_obstacles_topic": "", "obstacles.moving_obstacles": 8},
            "'drive.moving_obstacles_topic' is '', allowed: a ROS topic name",
        ),
        ({"turning.plugin": "twirl"}, "did you mean 'twirling'"),
        ({"obstacles.plugin": f"{__name__}:Misspelt"}, "'coastmap'"),
        (
            {"obstacles.plugin": f"{__name__}:Shapeless"},
            "Shapeless has no robot_footprint, expected the Foot",
        ),
    ],
)
def test_what_does_not_go_together_for_driving_is_refused_with_what_does(changes, text):
    plugin = changes.get("obstacles.plugin")
    values = {n: v for n, v in DRIVE.items() if not (plugin and n.startswith("obstacles."))}
    with pytest.raises(ConfigurationError) as caught:
        configure(values | changes)
    assert text in str(caught.value)


def test_a_topic_that_is_not_subscribed_to_may_be_anything():
    configure(DRIVE | {"drive.moving_obstacles_topic": ""})
    configure(DRIVE | {**FOLLOW, "drive.goal_topic": "", "drive.path_topic": ""})


def test_costs_that_see_the_costmap_have_one_footprint():
    values = DRIVE | {"costs": [*DRIVE["costs"], "near"], "near.plugin": "obstacles"}
    with pytest.raises(ConfigurationError, match="footprints of obstacles, near differ"):
        configure(values | {"near.radius": 0.05})
    configure(values | {"near.footprint": DRIVE["obstacles.footprint"], "near.inflation": 1.0})


def test_without_scipy_there_is_no_driving_by_a_costmap(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.delitem(sys.modules, "scipy.ndimage", raising=False)
    with pytest.raises(ConfigurationError, match="pip install scipy"):
        configure(DRIVE)


def test_a_model_that_cannot_be_driven_about_is_refused_with_those_that_can():
    text = refusal({"costs": ["around"], "around.plugin": "goal_pose"}, drop=("costs",))
    assert "needs the state 'y', the model has: x, x_dot, theta" in text
    car = {"dynamics.plugin": "single_track", "costs": ["around"], "around.plugin": "goal_pose"}
    with pytest.raises(
        ConfigurationError, match="such as diff_drive_lag, omni_drive and"
    ) as caught:
        configure(car)
    assert "actions steering, acceleration" in str(caught.value)
    changes = {
        "dynamics.plugin": "ackermann",
        "dynamics.wheel_base": 0.7,
        "state.type": "std_msgs/msg/Float64MultiArray",
    }
    assert configure(car | changes).drive_settings().wheel_base == 0.7


def test_a_node_that_does_not_drive_has_no_parameters_of_driving():
    assert not any(name.startswith("drive.") for name in configure(CARTPOLE).values)
    assert "unknown parameter 'drive.margin'" in refusal({"drive.margin": 0.1})


def test_a_mistake_in_the_only_cost_that_needs_a_costmap_makes_no_parameter_of_driving_unknown():
    driving = {"costs": ["obstacles"], "obstacles.plugin": "obstacles", "drive.margin": 0.1}
    wrong = {"obstacles.footprint": "0.3 0.2", "state.type": "std_msgs/msg/Float64MultiArray"}
    with pytest.raises(ConfigurationError, match="footprint is") as caught:
        configure({"dynamics.plugin": "diff_drive_lag"} | FOLLOW | driving | wrong)
    assert len(str(caught.value).splitlines()) == 1


def test_checkers_of_follow_path_have_the_parameters_that_nav2_gives_them():
    names = {"goal_checker_plugins": ["near", "far"], "progress_checker_plugins": []}
    own = {"near.xy_goal_tolerance": 0.05, "far.stateful": False}
    values = configure(DRIVE | FOLLOW | names | own).values
    assert values["near.xy_goal_tolerance"] == 0.05
    assert (values["far.xy_goal_tolerance"], values["far.yaw_goal_tolerance"]) == (0.25, 0.25)
    assert "progress_checker.required_movement_radius" not in values
    assert configure(DRIVE | FOLLOW).values["progress_checker.movement_time_allowance"] == 10.0


def test_follow_path_needs_a_cost_that_looks_at_the_way():
    kept = {n: v for n, v in DRIVE.items() if not n.startswith(("path.", "goal."))}
    costs = [name for name in DRIVE["costs"] if name not in ("path", "goal")]
    with pytest.raises(ConfigurationError, match="is true, allowed with a cost"):
        configure(kept | FOLLOW | {"costs": costs})


def test_a_slowed_configuration_has_smaller_bounds_of_all_speeds():
    configuration = configure(DRIVE | {"action.nominal.v": 0.4, "action.safe.v": 0.3})
    slowed = configuration.slowed(0.5)
    for name in ("low.v", "high.v", "low.yaw_rate", "high.yaw_rate", "nominal.v", "safe.v"):
        name = f"action.{name}"
        assert slowed.values[name] == 0.5 * configuration.values[name]
    np.testing.assert_allclose(slowed.control_settings.limits.high, [0.25, 0.95])


def test_a_slowed_car_steers_as_before():
    values = load_yaml(CONFIG / "ackermann.yaml") | {"planner.device": "cpu"}
    configuration = configure(values)
    slowed = configuration.slowed(0.5)
    changed = {n for n, v in slowed.values.items() if v != configuration.values[n]}
    assert changed
    assert not any("steering" in name for name in changed)


def test_the_parameters_for_nav2_are_those_of_a_controller_server():
    values = configure(load_yaml(CONFIG / "nav2_params.yaml") | {"planner.device": "cpu"}).values
    assert values["drive.follow_path"]
    assert not values["autostart"]  # The lifecycle manager starts it.
    assert values["drive.costmap_topic"] == "local_costmap/costmap_raw"
    assert values["general_goal_checker.xy_goal_tolerance"] == 0.25
