# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Write a first parameter file for a robot."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from cem_planner_ros.cli.check_command import percent
from cem_planner_ros.cli.plan_fitting import (
    BUSY,
    IterationTime,
    fitted,
    iteration_time,
    larger_step,
)
from cem_planner_ros.cli.starting_points import (
    KNOT,
    TASKS,
    StartingPoint,
    lacking,
    starting_point,
)
from cem_planner_ros.configuration import Configuration, configure
from cem_planner_ros.configuration.state_sources import source_name
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.mujoco import Mujoco
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import ball_joints, free_bodies, state_defaults, word
from cem_planner_ros.paths import find
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import flatten

WIDTH = 100

JOINTS, ODOMETRY = "sensor_msgs/msg/JointState", "nav_msgs/msg/Odometry"
IMU, ARRAY = "sensor_msgs/msg/Imu", "std_msgs/msg/Float64MultiArray"

KINDS = {"mujoco": ("an MJCF file", "--mujoco"), "robot": ("a URDF file", "--urdf")}
"""{first element of a file: (what it is, the option that takes it)}."""

MOST_THREADS = 4

MOTORS = (
    " For motors whose forces have to change at once, in contacts, config/half_cheetah.yaml has "
    "the preset, and for motors that raise a heavy body the same with noise_beta 4 and elites 5; "
    "take 4 elites with about 32 samples in all iterations (docs/tuning.md)."
)


WILD = (
    " With one iteration an arm that torques move may become wild: docs/tuning.md has a policy "
    "that brakes it, as a candidate."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model and the task."""
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument(
        "--mujoco",
        metavar="FILE",
        help="MJCF file of the robot: a path, MODULE:PATH, or package://PACKAGE/PATH",
    )
    model.add_argument("--urdf", metavar="FILE", help="URDF file of the robot, named likewise")
    model.add_argument(
        "--plugin", metavar="NAME", help="installed model plugin, or package.module:Class"
    )
    tasks = "; ".join(f"{name}: {text}" for name, text in TASKS.items())
    parser.add_argument(
        "--task",
        choices=tuple(TASKS),
        help=f"what the robot does ({tasks}); default: what fits its joints",
    )
    parser.add_argument(
        "--keyframe",
        metavar="NAME",
        default="",
        help="pose of the file that is held; default: home, start, or the first one",
    )
    parser.add_argument(
        "--tip",
        metavar="NAME",
        default="",
        help="site or link that reaches; default: a site called like a hand, or else the link with "
        "tcp or tool0 in its name, or else the last link",
    )
    parser.add_argument(
        "--allow-missing-meshes",
        action="store_true",
        help="leave out what only collides if its meshes are missing; default: refuse the file",
    )


def run(options: argparse.Namespace) -> int:
    """Print the parameter file; warnings go to the error output."""
    file = options.urdf if options.mujoco is None else options.mujoco
    meshless = options.allow_missing_meshes
    if options.plugin and (options.task or options.keyframe or options.tip or meshless):
        raise ConfigurationError(
            "--task, --keyframe, --tip and --allow-missing-meshes are for --mujoco and --urdf"
        )
    if file:
        _check_option("--urdf" if options.mujoco is None else "--mujoco", file)
    text, warnings = (
        of_file(file, options.task or "", options.keyframe, options.tip, meshless)
        if file is not None
        else of_plugin(options.plugin)
    )
    print(text, end="")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _check_option(option: str, file: str) -> None:
    """Raise ConfigurationError if a file is one for another option."""
    with contextlib.suppress(ElementTree.ParseError, OSError):  # MuJoCo says what is wrong.
        kind, right = KINDS.get(ElementTree.parse(find(file)).getroot().tag, ("", option))
        if right != option:
            raise ConfigurationError(f"{option} {file} is {kind}, allowed for {right} only")


def of_file(
    file: str,
    task: str = "",
    keyframe: str = "",
    tip: str = "",
    allow_missing_meshes: bool = False,
    measure: Callable[[Planner], IterationTime] = iteration_time,
) -> tuple[str, list[str]]:
    """
    Return a first parameter file for the robot of an MJCF or URDF file, and what to look at.

    With `allow_missing_meshes`, what only collides is left out if its meshes are missing. `measure`
    returns the time of an iteration of a planner. Raises ConfigurationError if the file cannot
    be a model, or cannot have the task.
    """
    given: dict[str, Any] = {"file": file}
    if allow_missing_meshes:
        given["allow_missing_meshes"] = True
    model, point, sections = _first(given, task, keyframe, tip)
    configuration = _configured(sections)
    planner = configuration.planner()
    of_the_file = model.model.opt.timestep
    step = larger_step(given, planner)
    if step:
        model, point, sections = _first({**given, "time_step": step}, task, keyframe, tip)
        planner = _configured(sections).planner()
    unstable = planner.plan(model.rest_state, 0.0).invalid_share
    planner.reset()
    took = measure(planner)
    fraction = configuration.values["budget_fraction"]
    rate = sections["control_rate"]
    sections["planner"], slower = fitted(point.planner, rate, took.seconds, fraction)
    if slower < rate:  # The plan is a spline, which is sent as often as was wanted.
        sections["control_rate"], sections["command"]["rate"] = slower, rate
    apart = point.planner["knot_spacing"] * point.planner["dt"]
    servo = "set-points" if model.measured_by else "forces"
    one_iteration = sections["planner"]["iterations"] == 1
    has_motors = not model.measured_by and point.task != "hover"
    notes = point.notes | {
        "control_rate": "Plans per second. `check` says how long a plan takes here.",
        "planner": f"The search: candidates are splines with knots {apart:.2g} s apart. An "
        f"iteration with {point.planner['samples']} samples and a horizon of "
        f"{point.planner['horizon']} takes {1e3 * took.seconds:.3g} ms on this machine; "
        "the numbers below are such that plans are on time here. More samples and iterations give "
        "better plans and take longer."
        + (MOTORS if has_motors else "")
        + (WILD if has_motors and point.task == "reach" and one_iteration else ""),
        "dynamics": "The physics. Costs can use the sensors of the file, and those that "
        "`outputs` adds."
        + (
            f" The time step (s) is larger than that of the file, {of_the_file:g}, and "
            "candidates move almost the same."
            if step
            else ""
        ),
        "action": "Where the search begins, how far it looks around there, and what is commanded "
        "when no plan may be used."
        + (
            f" Forces around there speed a joint up by {point.quick:g} rad/s (or m/s) in {KNOT:g} "
            "s at most, in most poses: larger ones make candidates wild."
            if has_motors and point.task == "reach"
            else ""
        ),
        "costs": "What the planner minimises; each name has a section below.",
        "state": "Topics with the state. Messages name joints as the file does.",
        "command": f"The {servo} of {', '.join(model.action_names)}, in this order, as the forward "
        "controllers of ros2_control take them.",
    }
    start = f" -p start:={point.keyframe}" if point.keyframe else ""
    head = [
        f"The task '{point.task}' for {Path(file.rpartition(':')[2]).name}. Adapt it, above all "
        "the targets and weights of the costs, and the topics. With ROBOT.yaml for this file:",
        "",
        "    python -m cem_planner_ros check ROBOT.yaml",
        f"    simulator_node --ros-args -p model_file:={sections['dynamics']['file']} "
        f"-p planner_file:=ROBOT.yaml{start}",
        "    planner_node --ros-args --params-file ROBOT.yaml",
    ]
    lacks = lacking(model, point)
    if unstable:
        lacks.append(
            f"MuJoCo cannot simulate {percent(unstable)} of the candidates from rest: lower "
            f"action.std, or give file '{file}' a smaller timestep than {of_the_file:g} s or "
            'integrator="implicitfast"'
        )
    if took.waited > BUSY:
        samples = sections["planner"]["samples"]
        lacks.append(
            f"other programs keep this machine busy: {percent(took.waited)} of the time the "
            "planner waited for a processor. An iteration takes about "
            f"{1e3 * took.seconds:.3g} ms without them, for which planner.samples became "
            f"{samples}: run init again when the machine is idle, or change planner.samples and "
            "ask check"
        )
    return _finished(head, sections, notes, lacks)


def _first(
    given: Mapping[str, Any], task: str, keyframe: str, tip: str
) -> tuple[Mujoco, StartingPoint, dict[str, Any]]:
    """Return the model of given parameters, and the sections of a first file, times apart."""
    model = Mujoco(given)
    model.check()
    point = starting_point(model, task, keyframe, tip)
    file = given["file"]
    dynamics: dict[str, Any] = {
        "plugin": "mujoco",
        **given,
        "file": str(Path(file).resolve()) if Path(file).is_file() else file,
        "threads": min(MOST_THREADS, os.cpu_count() or 1),
    }
    if point.outputs:
        dynamics["outputs"] = point.outputs
    few = len(model.action_names) < 5
    sections = {
        "control_rate": round(1.0 / point.planner["dt"], 4) if few else 25.0,
        "planner": point.planner,
        "dynamics": dynamics,
        "action": point.action,
        "costs": list(point.costs),
        **point.costs,
        "state": _state(model),
        "command": {"topic": "commands", "type": ARRAY},
    }
    return model, point, sections


def of_plugin(name: str) -> tuple[str, list[str]]:
    """
    Return a first parameter file for a model plugin, and what to look at.

    Raises ConfigurationError if there is no such plugin, or if it cannot be made without values.
    """
    plugin = loading.load("dynamics", name)
    try:
        model: Dynamics = plugin()
        model.check()
    except ConfigurationError as error:
        raise ConfigurationError(
            f"the model '{name}' cannot be made with its defaults: {error}; write its parameters "
            "by hand, or use --mujoco or --urdf for a robot of a file"
        ) from error
    sections = {
        "control_rate": 20.0,
        "dynamics": {"plugin": name},
        "costs": ["follow", "smooth"],
        "follow": {
            "plugin": "quadratic",
            "weight": dict.fromkeys(model.state_names, 1.0),
            "target": {n: float(n == "qw") for n in model.state_names},
        },
        "smooth": {"plugin": "action_rate", "weight": dict.fromkeys(model.action_names, 0.01)},
        "state": _state(model),
        "command": {"topic": "commands", "type": ARRAY},
    }
    notes = {
        "control_rate": "Commands per second.",
        "costs": "What the planner minimises; each name has a section below. `python -m "
        "cem_planner_ros plugins` lists all costs.",
        "follow": "Pulls the state to a target; a weight of 0 leaves a state free.",
        "smooth": "Charges changes of the action.",
        "state": "Topics with the state.",
        "command": f"The actions {', '.join(model.action_names)}, in this order.",
    }
    head = [
        f"The model {name}. Adapt the targets and weights of the costs, and the topics. With "
        "ROBOT.yaml for this file:",
        "",
        "    python -m cem_planner_ros check ROBOT.yaml",
        "    planner_node --ros-args --params-file ROBOT.yaml",
    ]
    return _finished(head, sections, notes, [])


def _state(model: Dynamics) -> dict[str, Any]:
    """Return the section of the state: one topic where one has everything, or several."""
    names = model.state_names
    bodies, balls = free_bodies(names), ball_joints(names)
    sources: dict[str, dict[str, Any]] = {}
    found: set[str] = set()
    joints = state_defaults(JOINTS, names)
    if joints:
        sources["joints"] = {"topic": "joint_states", "type": JOINTS}
        found |= set(joints)
    for body in bodies:
        own = {"body": body} if len(bodies) > 1 else {}
        topic = f"odom/{word(body)}" if len(bodies) > 1 else "odom"
        sources[source_name(body or "base", sources)] = {"topic": topic, "type": ODOMETRY} | own
        found |= set(state_defaults(ODOMETRY, names, (), body))
    for ball in balls:
        own = {"body": ball} if len(balls) > 1 else {}
        sources[source_name(ball, sources)] = {"topic": f"imu/{word(ball)}", "type": IMU} | own
        found |= set(state_defaults(IMU, names, (), ball))
    others = [name for name in names if name not in found]
    if len(others) == len(names):
        return {"topic": "states", "type": ARRAY}
    if others:
        fields = {name: f"data[{index}]" for index, name in enumerate(others)}
        sources[source_name("others", sources)] = {
            "topic": "other_states",
            "type": ARRAY,
            "fields": fields,
        }
    if len(sources) == 1:
        return next(iter(sources.values()))
    return {"sources": list(sources), **sources}


def _finished(
    head: list[str],
    sections: Mapping[str, Any],
    notes: Mapping[str, str],
    warnings: list[str],
) -> tuple[str, list[str]]:
    """Return a checked file as text, and its warnings."""
    configuration = _configured(sections)
    lines = []
    for paragraph in head:
        is_command = paragraph.startswith(" ")
        lines += [paragraph] if is_command else textwrap.wrap(paragraph, WIDTH - 2) or [""]
    text = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    text += "# Every parameter's meaning: `python -m cem_planner_ros parameters ROBOT.yaml`.\n"
    text += "/**:\n  ros__parameters:\n"
    for name, values in sections.items():
        if name in notes:
            prefix = "    # "
            note = textwrap.wrap(
                notes[name], WIDTH, initial_indent=prefix, subsequent_indent=prefix
            )
            text += "\n" + "\n".join(note) + "\n"
        text += textwrap.indent(_block(name, values), "    ")
    return text, [*warnings, *configuration.warnings()]


def _configured(sections: Mapping[str, Any]) -> Configuration:
    return configure(dict(flatten(sections)) | {"planner.device": "cpu"})


def _block(name: str, values: Any) -> str:
    """Return a section as YAML, with the numbers of states and actions side by side."""
    if not isinstance(values, dict):
        return _entry(name, values)
    lines = (
        _block(key, value)
        if isinstance(value, dict) and any(isinstance(one, dict) for one in value.values())
        else _entry(key, value)
        for key, value in values.items()
    )
    return f"{name}:\n" + textwrap.indent("".join(lines), "  ")


def _entry(name: str, value: Any) -> str:
    """Return an entry as YAML on one line, or on several within brackets."""
    text = yaml.safe_dump(
        value, sort_keys=False, default_flow_style=True, width=WIDTH - 12 - len(name)
    )
    return f"{name}: " + text.removesuffix("...\n").rstrip().replace("\n", "\n  ") + "\n"
