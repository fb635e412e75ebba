# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""First configurations of a MuJoCo model: pose, actions, outputs and costs of a task."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cem_planner_ros.dynamics.mjcf import OF_A_JOINT, is_single
from cem_planner_ros.dynamics.mujoco import Mujoco
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import free_bodies

if TYPE_CHECKING:
    import mujoco

TASKS = {
    "reach": "a site or the last body of an arm goes to a pose",
    "move": "an arm or a hand moves an object, which has a free joint, to a pose",
    "stand": "a robot with legs stands at its pose",
    "walk": "a robot with legs walks with a velocity",
    "hover": "a flying robot holds a pose in the air",
}
"""The tasks that a first configuration may have."""

FIXED = ("reach", "move")
"""Tasks of robots that no free joint carries."""

HORIZONS = {"walk": 0.4, "stand": 0.5, "hover": 0.5, "move": 1.0}
"""Length of the plans of tasks, s."""

HANDS = ("grip", "grasp", "pinch", "tool", "tcp", "ee", "end", "hand", "attachment", "tip")
"""Parts of names of the site that is the hand of an arm; earlier ones are preferred."""

MOST_REACH = 1.0
"""Largest distance of a servo from its nominal position, rad or m, in tasks with legs."""

FEW_ACTIONS = 4
"""Most actions of a robot whose search can afford many candidates."""


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
    """

    task: str
    keyframe: str
    outputs: list[str] = field(default_factory=list)
    planner: dict[str, Any] = field(default_factory=dict)
    action: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def starting_point(model: Mujoco, task: str = "", keyframe: str = "") -> StartingPoint:
    """
    Return a first configuration for a MuJoCo model.

    Args:
        model: the model, without added outputs.
        task: of TASKS; if empty, what fits the joints.
        keyframe: name of the pose; if empty, home or the first keyframe if there is one.

    Raises ConfigurationError if the model cannot have the task, or has no such keyframe.
    """
    base = _base(model)
    task = task or ("reach" if base is None else "hover" if _flies(model) else "stand")
    if (task in FIXED) != (base is None):
        raise ConfigurationError(
            f"--task is {task}, but no free joint carries the actuators: allowed are "
            f"{' and '.join(FIXED)}"
            if base is None
            else f"--task is {task}, but the free joint '{base}' carries the actuators: allowed "
            "are stand, walk and hover"
        )
    pose = _pose(model, keyframe)
    point = StartingPoint(task, model.model.key(pose).name if pose >= 0 else "")
    data = _data(model, pose)
    _set_search(point, model)
    _set_actions(point, model, data, pose)
    rows = dict(zip(model.state_names, [*data.qpos, *data.qvel, *data.act], strict=True))
    if task == "move":
        _move(point, model, rows)
    elif base is None:
        _reach(point, model, data)
    else:
        _float(point, model, f"{base}_", rows)
    weights = {
        name: _short(0.01 / (0.5 * (high - low)) ** 2)
        for name, low, high in zip(
            model.action_names, model.action_low, model.action_high, strict=True
        )
    }
    point.costs["smooth"] = {"plugin": "action_rate", "weight": weights}
    point.notes["smooth"] = "Charges changes of the action, each in units of half its range."
    return point


def _base(model: Mujoco) -> str | None:
    """Return the free joint of the robot, whose body carries what actuators drive, or None."""
    import mujoco

    physics, kinds = model.model, mujoco.mjtTrn
    driven = []
    for index in range(physics.nu):
        kind, target = int(physics.actuator_trntype[index]), int(physics.actuator_trnid[index][0])
        if kind in OF_A_JOINT:
            driven.append(physics.jnt_bodyid[target])
        elif kind in (int(kinds.mjTRN_SITE), int(kinds.mjTRN_SLIDERCRANK)):
            driven.append(physics.site_bodyid[target])
        elif kind == int(kinds.mjTRN_BODY):
            driven.append(target)
    roots = {int(physics.body_rootid[body]) for body in driven}
    for index in range(physics.njnt):
        joint = physics.joint(index)
        is_free = int(joint.type[0]) == int(mujoco.mjtJoint.mjJNT_FREE)
        if is_free and int(joint.bodyid[0]) in roots:
            return joint.name
    return None


def _flies(model: Mujoco) -> bool:
    """Return whether an actuator moves the body itself, as a thruster does, or none a joint."""
    import mujoco

    physics = model.model
    of_site, free = int(mujoco.mjtTrn.mjTRN_SITE), int(mujoco.mjtJoint.mjJNT_FREE)
    driven = zip(physics.actuator_trntype, physics.actuator_trnid[:, 0], strict=True)
    return not _arm_joints(model) or any(
        kind == of_site or (kind in OF_A_JOINT and physics.jnt_type[joint] == free)
        for kind, joint in driven
    )


def _arm_joints(model: Mujoco) -> list[str]:
    """Return the hinge and slide joints that an actuator drives."""
    physics = model.model
    driven = {int(physics.actuator_trnid[i][0]) for i in range(physics.nu) if is_single(physics, i)}
    return [physics.joint(i).name for i in sorted(driven)]


def _pose(model: Mujoco, keyframe: str) -> int:
    """Return the index of a keyframe; -1 for the pose of the file."""
    names = [model.model.key(i).name for i in range(model.model.nkey)]
    if keyframe and keyframe not in names:
        raise ConfigurationError(
            f"--keyframe is {keyframe}, allowed: a keyframe of the file, which has "
            f"{', '.join(names) or 'none'}"
        )
    return names.index(keyframe) if keyframe else model.rest_keyframe


def _data(model: Mujoco, pose: int) -> mujoco.MjData:
    """Return the simulation at a keyframe, with everything that depends on positions computed."""
    import mujoco

    data = mujoco.MjData(model.model)
    if pose >= 0:
        mujoco.mj_resetDataKeyframe(model.model, data, pose)
        data.qvel[:] = 0.0
    mujoco.mj_forward(model.model, data)
    return data


def _set_search(point: StartingPoint, model: Mujoco) -> None:
    step = model.model.opt.timestep
    dt = max(1, round(0.02 / step)) * step
    many = len(model.action_names) > FEW_ACTIONS
    # Contacts need many short plans and quick changes, an arm that reaches needs precision.
    touches = many and point.task != "reach"
    horizon = max(4, round(HORIZONS.get(point.task, 0.5 if many else 0.8) / dt))
    point.planner = {
        "samples": 32 if touches else 24 if many else 64,
        "elites": 4 if many else 8,
        "iterations": 1 if touches else 3,
        "horizon": horizon,
        "dt": _short(dt),
        "order": 3,
        "knot_spacing": max(1, round(0.1 / dt)),
        "std_initial": 0.1 if point.task == "hover" else 0.3 if many else 0.15,
    }
    if touches:
        point.planner["noise_beta"] = 0.25


def _set_actions(point: StartingPoint, model: Mujoco, data: mujoco.MjData, pose: int) -> None:
    """Begin the search at what holds the pose, and stop by holding what is measured."""
    bounds = dict(
        zip(model.action_names, zip(model.action_low, model.action_high, strict=True), strict=True)
    )
    word = f"keyframe:{point.keyframe}"
    controls = model.named_actions.get(word) if pose >= 0 else None
    positions = {name: s for name, s in model.measured_by.items() if not s.endswith("_dot")}
    if controls is None or not np.any(controls):
        controls = _holding(model, data)
        nominal: dict[str, Any] = dict(zip(model.action_names, map(_short, controls), strict=True))
    else:
        nominal = dict.fromkeys(model.action_names, word)
    held = dict(zip(model.action_names, controls, strict=True))
    point.action["nominal"] = nominal
    for name in model.action_names:
        low, high = bounds[name]
        if not low <= held[name] <= high:
            point.action["nominal"][name] = _short(np.clip(held[name], low, high))
    if point.task in ("stand", "walk") and positions:
        near = {}
        for name in positions:
            low, high = bounds[name]
            center = min(max(held[name], low), high)
            near[name] = max(low, center - MOST_REACH), min(high, center + MOST_REACH)
        for place, side in enumerate(("low", "high")):
            point.action[side] = {name: _short(both[place]) for name, both in near.items()}
    near_by = 0.25 if point.task == "walk" else 0.15  # rad or m
    point.action["std"] = {
        name: _short(
            min(near_by, 0.3 * (high - low))
            if name in positions
            else point.planner["std_initial"] * 0.5 * (high - low)
        )
        for name, (low, high) in bounds.items()
    }
    safe: dict[str, Any] = dict.fromkeys(model.measured_by, "measured")
    for name, (low, high) in bounds.items():
        if name not in safe and (not low <= 0.0 <= high or point.task == "hover"):
            safe[name] = _short(np.clip(held[name] if point.task == "hover" else 0.0, low, high))
    if safe:
        point.action["safe"] = safe


def _holding(model: Mujoco, data: mujoco.MjData) -> np.ndarray:
    """Return the controls (nu,) whose forces hold the pose best, by least squares."""
    import mujoco

    physics, count = model.model, model.model.nu
    forces = []
    for row in range(count + 1):
        data.ctrl[:] = 0.0
        if row:
            data.ctrl[row - 1] = 1.0
        mujoco.mj_forward(physics, data)
        forces.append(data.qfrc_actuator.copy())
    gains = np.array(forces[1:]).T - forces[0][:, None]
    moved = np.abs(gains).max(1) > 1e-9
    needed = (data.qfrc_bias - data.qfrc_passive - forces[0])[moved]
    data.ctrl[:] = 0.0
    mujoco.mj_forward(physics, data)
    controls = np.linalg.lstsq(gains[moved], needed, rcond=None)[0] if moved.any() else []
    names = [physics.actuator(i).name for i in range(count)]
    held = dict(zip(names, controls, strict=False))
    values = np.array([held.get(name, 0.0) for name in model.action_names])
    return np.clip(values, model.action_low, model.action_high)


def _move(point: StartingPoint, model: Mujoco, pose: Mapping[str, float]) -> None:
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
        "target": {axis: _short(pose[f"{name}_{axis}"]) for axis in "xyz"},
    }
    point.notes["object"] = (
        f"The object {name} goes to a position (m), and to roll, pitch and yaw (rad). The target "
        "is where it is now: set yours, live too, or a topic (geometry_msgs/PoseStamped)."
    )


def _reach(point: StartingPoint, model: Mujoco, data: mujoco.MjData) -> None:
    kind, name, place = _hand(model, data)
    hand = "hand"
    while any(signal.startswith(f"{hand}_") for signal in model.signal_names):
        hand = f"the_{hand}"
    object_ = f"{kind} {shlex.quote(name)}"
    point.outputs = [f"{hand}: framepos {object_}", f"{hand}_turn: framequat {object_}"]
    target = dict(zip("xyz", (_short(v) for v in place), strict=True))
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
        "topic (geometry_msgs/PoseStamped)."
    )
    speeds = [f"{joint}_dot" for joint in _arm_joints(model) if f"{joint}_dot" in model.state_names]
    if speeds:
        point.costs["calm"] = {"plugin": "quadratic", "weight": dict.fromkeys(speeds, 0.01)}
        point.notes["calm"] = "Charges the speeds of the joints."


def _hand(model: Mujoco, data: mujoco.MjData) -> tuple[str, str, np.ndarray]:
    """Return kind, name and position (3,) of what is probably the hand."""
    physics = model.model
    sites = [physics.site(i).name for i in range(physics.nsite)]
    moved = [s for s in sites if s and physics.body_weldid[physics.site(s).bodyid[0]] > 0]
    for part in HANDS:
        for site in moved:
            if part in site.lower():
                return "site", site, data.site(site).xpos
    depth = [0] * physics.nbody
    for body in range(1, physics.nbody):
        depth[body] = depth[physics.body_parentid[body]] + 1
    bodies = [b for b in range(1, physics.nbody) if physics.body_weldid[b] and physics.body(b).name]
    if not bodies:
        raise ConfigurationError(
            f"file '{model.file}' names no body that moves, and the task reach needs the hand of "
            "the robot: give it a name in the file"
        )
    last = max(bodies, key=lambda b: depth[b])
    return "xbody", physics.body(last).name, data.xpos[last]


def _float(point: StartingPoint, model: Mujoco, base: str, pose: Mapping[str, float]) -> None:
    """Set the costs of a robot with a free joint whose states begin with `base`."""
    attitude = [f"{base}{part}" for part in ("qw", "qx", "qy", "qz")]
    place = [f"{base}{axis}" for axis in "xyz"]
    speeds = [f"{base}{axis}_dot" for axis in "xyz"]
    turns = [f"{base}w{axis}" for axis in "xyz"]
    target = {attitude[0]: 1.0, place[2]: _short(pose[place[2]])}
    height = 200.0 if point.task == "walk" else 50.0
    weight = {place[2]: height, attitude[1]: 10.0, attitude[2]: 10.0, attitude[3]: 1.0}
    signals = [place[2], *attitude]
    note = "Keeps the base upright and at its height (m)."
    if point.task == "hover":
        signals = [*place, *attitude]
        target |= {name: _short(pose[name]) for name in place[:2]}
        target[place[2]] = _short(max(1.0, pose[place[2]]))
        weight |= dict.fromkeys(place, 10.0)
        note = "Holds the position (m) and the attitude: set a target, live too, or a topic."
    point.costs["base"] = {
        "plugin": "track",
        "signals": signals,
        "weight": weight,
        "target": target,
    }
    point.notes["base"] = note
    wanted = {speeds[0]: 0.3 if point.task == "walk" else 0.0, speeds[1]: 0.0, turns[2]: 0.0}
    weight = {speeds[0]: 10.0, speeds[1]: 10.0, turns[2]: 1.0}
    if point.task != "walk":
        wanted = dict.fromkeys((*speeds, *turns), 0.0)
        weight = dict.fromkeys(speeds, 1.0) | dict.fromkeys(turns, 0.1)
    point.costs["velocity"] = {
        "plugin": "track",
        "signals": list(wanted),
        "weight": weight,
        "target": wanted,
    }
    point.notes["velocity"] = (
        "The velocity (m/s, rad/s), linear in the axes of the world: set a target, live too."
    )
    joints = [joint for joint in _arm_joints(model) if joint in pose]
    if joints:
        point.costs["posture"] = {
            "plugin": "quadratic",
            "weight": dict.fromkeys(joints, 0.2 if point.task == "walk" else 1.0)
            | {f"{joint}_dot": 0.001 for joint in joints},
            "target": {joint: _short(pose[joint]) for joint in joints},
        }
        point.notes["posture"] = "Pulls the joints to the pose, and charges their speeds."


def _short(number: float) -> float:
    """Return a number with four digits, or 0 for what rounding left, which are read more easily."""
    return float(f"{number:.4g}") if abs(number) > 1e-9 else 0.0
