# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The costs of the tasks of a first configuration, and what is said about them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cem_planner_ros.dynamics.mjcf import is_single
from cem_planner_ros.dynamics.mujoco import Mujoco
from cem_planner_ros.errors import ConfigurationError, did_you_mean
from cem_planner_ros.fields import free_bodies

if TYPE_CHECKING:
    import mujoco

HANDS = ("grip", "grasp", "pinch", "tool", "tcp", "ee", "end", "hand", "attachment", "tip")
"""Parts of names of the site that is the hand of an arm; earlier ones are preferred."""

TOOLS = ("tcp", "tool0")
"""Parts of names of the link that is the hand, as URDFs name it; earlier ones are preferred."""


@dataclass
class StartingPoint:
    """
    The sections of a first configuration.

    Attributes:
        task: of TASKS.
        keyframe: the keyframe of the pose; "" for the pose of the file.
        outputs: sensors to add to the file.
        planner: settings of the search.
        action: parameters of the actions.
        costs: parameters of each cost, by its name.
        notes: what to say about each section.
        quick: speed to which forces of the search bring a joint of an arm between two knots, rad/s
            or m/s.
    """

    task: str
    keyframe: str
    outputs: list[str] = field(default_factory=list)
    planner: dict[str, Any] = field(default_factory=dict)
    action: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    quick: float = 0.0


def move(point: StartingPoint, model: Mujoco, pose: Mapping[str, float]) -> None:
    """Set the costs of an arm or a hand that moves the first free joint."""
    bodies = list(free_bodies(model.state_names))
    if not bodies:
        raise ConfigurationError("--task is move, but nothing in the file has a free joint")
    name = bodies[0]
    point.costs["object"] = {
        "plugin": "pose",
        "position": name,
        "orientation": name,
        "weight": 50.0,
        "orientation_weight": 0.05,
        "target": {axis: short(pose[f"{name}_{axis}"]) for axis in "xyz"},
    }
    point.notes["object"] = (
        f"The object {name} goes to a position (m), and to roll, pitch and yaw (rad). The target "
        "is where it is now: set yours, live too, or a topic (geometry_msgs/PoseStamped)."
    )


def reach(
    point: StartingPoint, model: Mujoco, data: mujoco.MjData, calm: float, tip: str = ""
) -> None:
    """
    Set the costs of an arm whose hand goes to a pose.

    Args:
        calm: the weight of the speeds.
        tip: name of the site or body that is the hand; "" for what probably is.
    """
    kind, name, place = _hand(model, data, tip)
    hand = _output(model, "hand")
    object_ = f"{kind} {shlex.quote(name)}"
    point.outputs = [f"{hand}: framepos {object_}", f"{hand}_turn: framequat {object_}"]
    target = dict(zip("xyz", (short(v) for v in place), strict=True))
    point.costs["hand"] = {
        "plugin": "pose",
        "position": hand,
        "orientation": f"{hand}_turn",
        "weight": 100.0,
        "orientation_weight": 0.0,
        "terminal_weight": 1.0,
        "target": target,
    }
    point.notes["hand"] = (
        f"The {kind} {name} goes to a position (m), and to roll, pitch and yaw (rad) with an "
        "orientation_weight above 0. The target is where it is now: set yours, live too, or a "
        "topic (geometry_msgs/PoseStamped). `init --tip NAME` takes another site or link."
    )
    speeds = [f"{joint}_dot" for joint in arm_joints(model) if f"{joint}_dot" in model.state_names]
    if speeds:
        point.costs["calm"] = {"plugin": "quadratic", "weight": dict.fromkeys(speeds, calm)}
        point.notes["calm"] = "Charges the speeds of the joints."


def _hand(model: Mujoco, data: mujoco.MjData, tip: str) -> tuple[str, str, np.ndarray]:
    """Return kind, name and position (3,) of `tip`, or of what is probably the hand."""
    physics = model.model
    sites = [physics.site(i).name for i in range(physics.nsite)]
    moved = [s for s in sites if s and physics.body_weldid[physics.site(s).bodyid[0]] > 0]
    bodies = [b for b in range(1, physics.nbody) if physics.body_weldid[b] and physics.body(b).name]
    links = {physics.body(b).name: b for b in bodies}
    if tip and tip not in (*moved, *links):
        known = (*moved, *links)
        raise ConfigurationError(
            f"--tip is {tip}, allowed: a site or a body (a link) that moves, of which the file has "
            f"{', '.join(known) or 'none with a name'}{did_you_mean(tip, known)}"
        )
    site = tip if tip in moved else "" if tip else _first_with(HANDS, moved)
    if site:
        return "site", site, data.site(site).xpos
    if not bodies:
        raise ConfigurationError(
            f"file '{model.file}' names no body that moves, and the task reach needs the hand of "
            "the robot: give it a name in the file"
        )
    depth = [0] * physics.nbody
    for body in range(1, physics.nbody):
        depth[body] = depth[physics.body_parentid[body]] + 1
    last = physics.body(max(bodies, key=lambda b: depth[b])).name
    link = tip or _first_with(TOOLS, links) or last
    return "xbody", link, data.xpos[links[link]]


def _first_with(parts: Collection[str], names: Collection[str]) -> str:
    """Return the first name that has one of `parts`, of which earlier ones count first; or ""."""
    return next((name for part in parts for name in names if part in name.lower()), "")


def hold(point: StartingPoint, model: Mujoco, base: str, pose: Mapping[str, float]) -> None:
    """Set the costs of a robot that stands or hovers, whose states begin with `base`."""
    attitude = [f"{base}{part}" for part in ("qw", "qx", "qy", "qz")]
    place = [f"{base}{axis}" for axis in "xyz"]
    speeds = [f"{base}{axis}_dot" for axis in "xyz"]
    turns = [f"{base}w{axis}" for axis in "xyz"]
    target = {attitude[0]: 1.0, place[2]: short(pose[place[2]])}
    weight = {place[2]: 50.0, attitude[1]: 10.0, attitude[2]: 10.0, attitude[3]: 1.0}
    signals = [place[2], *attitude]
    note = "Keeps the base upright and at its height (m)."
    if point.task == "hover":
        signals = [*place, *attitude]
        target |= {name: short(pose[name]) for name in place[:2]}
        target[place[2]] = short(max(1.0, pose[place[2]]))
        weight |= dict.fromkeys(place, 10.0)
        note = "Holds the position (m) and the attitude: set a target, live too, or a topic."
    point.costs["base"] = {
        "plugin": "track",
        "signals": signals,
        "weight": weight,
        "target": target,
    }
    point.notes["base"] = note
    point.costs["velocity"] = {
        "plugin": "track",
        "signals": [*speeds, *turns],
        "weight": dict.fromkeys(speeds, 1.0) | dict.fromkeys(turns, 0.1),
        "target": dict.fromkeys((*speeds, *turns), 0.0),
    }
    point.notes["velocity"] = (
        "The velocity (m/s, rad/s), linear in the axes of the world: set a target, live too."
    )
    _hold_posture(point, model, pose, 1.0)


def walk(
    point: StartingPoint,
    model: Mujoco,
    data: mujoco.MjData,
    base: str,
    pose: Mapping[str, float],
) -> None:
    """Set the costs of a robot that walks, whose free joint is `base`; turning costs nothing."""
    body = model.model.body(model.model.joint(base).bodyid[0])
    if not body.name:
        raise ConfigurationError(
            f"file '{model.file}' has no name for the body of the free joint '{base}', whose "
            "attitude the task walk needs: give it a name in the file"
        )
    upright = data.xmat[body.id].reshape(3, 3)[2]
    axis = int(np.argmax(np.abs(upright)))
    name = _output(model, "up")
    up = [f"{name}_{part}" for part in "xyz"]
    point.outputs = [f"{name}: frame{'xyz'[axis]}axis xbody {shlex.quote(body.name)}"]
    height = f"{base}_z"
    point.costs["base"] = {
        "plugin": "quadratic",
        "weight": {height: 200.0} | dict.fromkeys(up, 10.0),
        "target": {height: short(pose[height]), up[2]: float(np.sign(upright[axis]))},
    }
    point.notes["base"] = "Keeps the base upright and at its height (m); it may turn."
    point.costs["velocity"] = {
        "plugin": "mean_velocity",
        "weight": {"forward": 200.0, "sideways": 200.0, "turning": 20.0},
        "topic": "cmd_vel",
    }
    if len(free_bodies(model.state_names)) > 1:
        point.costs["velocity"]["joint"] = base
    point.notes["velocity"] = (
        "The velocity (m/s, rad/s) in the axes of the robot, as geometry_msgs/Twist says it; "
        "without one the robot stands. It is the mean over the horizon: a robot with legs sways "
        "within a step. docs/robots/quadruped.md adds a gait."
    )
    _hold_posture(point, model, pose, 0.2)


def _hold_posture(
    point: StartingPoint, model: Mujoco, pose: Mapping[str, float], weight: float
) -> None:
    """Add the cost of the joints of a pose, if there are any."""
    joints = [joint for joint in arm_joints(model) if joint in pose]
    if joints:
        point.costs["posture"] = {
            "plugin": "quadratic",
            "weight": dict.fromkeys(joints, weight) | {f"{joint}_dot": 0.001 for joint in joints},
            "target": {joint: short(pose[joint]) for joint in joints},
        }
        point.notes["posture"] = "Pulls the joints to the pose, and charges their speeds."


def _output(model: Mujoco, name: str) -> str:
    """Return a name of an output whose parts are no signals of the model yet."""
    while any(signal.startswith(f"{name}_") for signal in model.signal_names):
        name = f"the_{name}"
    return name


def short(number: float) -> float:
    """Return a number with four digits, or 0 for what rounding left, which are read more easily."""
    return float(f"{number:.4g}") if abs(number) > 1e-9 else 0.0


def arm_joints(model: Mujoco) -> list[str]:
    """Return the hinge and slide joints that an actuator drives."""
    physics = model.model
    driven = {int(physics.actuator_trnid[i][0]) for i in range(physics.nu) if is_single(physics, i)}
    return [physics.joint(i).name for i in sorted(driven)]
