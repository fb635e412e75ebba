# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""First configurations of a MuJoCo model: pose, actions, outputs and costs of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cem_planner_ros.cli import first_costs
from cem_planner_ros.cli.first_costs import StartingPoint, arm_joints, short
from cem_planner_ros.dynamics.mjcf import OF_A_JOINT, ONE_AXIS, is_single
from cem_planner_ros.dynamics.mujoco import Mujoco
from cem_planner_ros.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    import mujoco

TASKS = {
    "reach": "the tip of an arm, a site or a link, goes to a pose",
    "move": "an arm or a hand moves an object, which has a free joint, to a pose",
    "stand": "a robot with legs stands at its pose",
    "walk": "a robot with legs walks as velocity commands say, in its own frame",
    "hover": "a flying robot holds a pose in the air",
}
"""The tasks that a first configuration may have."""

FIXED = ("reach", "move")
"""Tasks of robots that no free joint carries."""

HORIZONS = {"walk": 0.4, "stand": 0.5, "hover": 0.5, "move": 1.0}
"""Length of the plans of tasks, s."""

MOST_REACH = 1.0
"""Largest distance of a servo from its nominal position, rad or m, in tasks with legs."""

KNOT, STROKE = 0.1, 0.32
"""Time between two knots of a plan, and that of fingers that move an object, s."""

QUICK, CALM = 3.0, 0.3
"""Speed to which a force of the search brings a joint of an arm within KNOT, and that of an arm of
many motors, which few candidates hardly hold; rad/s or m/s."""

POSES = 32
"""Number of poses in which the inertia of a joint is computed."""

FEW_ACTIONS = 4
"""Most actions of a robot whose search can afford many candidates."""


def starting_point(
    model: Mujoco, task: str = "", keyframe: str = "", tip: str = ""
) -> StartingPoint:
    """
    Return a first configuration for a MuJoCo model.

    Args:
        model: the model, without added outputs.
        task: of TASKS; if empty, what fits the joints.
        keyframe: name of the pose; if empty, home or the first keyframe if there is one.
        tip: name of the site or body that the task reach brings to a pose; if empty, the hand.

    Raises ConfigurationError if the model cannot have the task, or has no such keyframe or tip.
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
    if tip and task != "reach":
        raise ConfigurationError(f"--tip is for --task reach, but the task is {task}")
    pose = _pose(model, keyframe)
    point = StartingPoint(task, model.model.key(pose).name if pose >= 0 else "")
    data = _data(model, pose)
    _set_search(point, model)
    _set_actions(point, model, data, pose)
    rows = dict(zip(model.state_names, [*data.qpos, *data.qvel, *data.act], strict=True))
    if task == "move":
        first_costs.move(point, model, rows)
    elif base is None:
        calm = 0.03 if is_torque_arm(point, model) else 0.01
        first_costs.reach(point, model, data, calm, tip)
    elif task == "walk":
        first_costs.walk(point, model, data, base, rows)
    else:
        first_costs.hold(point, model, f"{base}_", rows)
    weights = {
        name: short(0.01 / (0.5 * (high - low)) ** 2)
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
    return not arm_joints(model) or any(
        kind == of_site or (kind in OF_A_JOINT and physics.jnt_type[joint] == free)
        for kind, joint in driven
    )


def _pose(model: Mujoco, keyframe: str) -> int:
    """Return the index of a keyframe; -1 for the pose of the file."""
    names = [model.model.key(i).name for i in range(model.model.nkey)]
    if keyframe and keyframe not in names:
        raise ConfigurationError(
            f"--keyframe is {keyframe}, allowed: a keyframe of the file, which has "
            f"{', '.join(names) or 'none'}{did_you_mean(keyframe, names)}"
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
    # Contacts need many short plans and quick changes, an arm that reaches needs precision, and
    # fingers that move an object need long strokes: few knots (docs/benchmarks.md).
    touches = many and point.task != "reach"
    pushes = touches and point.task == "move"
    horizon = max(4, round(HORIZONS.get(point.task, 0.5 if many else 0.8) / dt))
    point.planner = {
        "samples": 32 if touches else 24 if many else 64,
        "elites": 3 if pushes else 4 if many else 8,
        "iterations": 1 if touches else 3,
        "horizon": horizon,
        "dt": short(dt),
        "order": 3,
        "knot_spacing": max(1, round((STROKE if pushes else KNOT) / dt)),
        "std_initial": 0.1 if point.task == "hover" else 0.3 if many else 0.15,
    }
    if touches:
        point.planner["noise_beta"] = 0.0 if pushes else 0.25
    if pushes:
        point.planner |= {"std_ramp": 10.0, "weighting": "elites", "keep": 0.0}
        point.planner["inject_best"] = False
    if pushes or is_torque_arm(point, model):
        point.planner["execute"] = "mean"


def is_torque_arm(point: StartingPoint, model: Mujoco) -> bool:
    """Return whether forces of many motors move an arm, with no servo that holds it meanwhile."""
    many = len(model.action_names) > FEW_ACTIONS
    return point.task == "reach" and many and not model.measured_by


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
        nominal: dict[str, Any] = dict(zip(model.action_names, map(short, controls), strict=True))
    else:
        nominal = dict.fromkeys(model.action_names, word)
    held = dict(zip(model.action_names, controls, strict=True))
    point.action["nominal"] = nominal
    for name in model.action_names:
        low, high = bounds[name]
        if not low <= held[name] <= high:
            point.action["nominal"][name] = short(np.clip(held[name], low, high))
    if point.task in ("stand", "walk") and positions:
        near = {}
        for name in positions:
            low, high = bounds[name]
            center = min(max(held[name], low), high)
            near[name] = max(low, center - MOST_REACH), min(high, center + MOST_REACH)
        for place, side in enumerate(("low", "high")):
            point.action[side] = {name: short(both[place]) for name, both in near.items()}
    most = {}
    if point.task == "reach":
        point.quick = CALM if is_torque_arm(point, model) else QUICK
        most = _forces(model, point.quick)
    near_by = 0.25 if point.task == "walk" else 0.15  # rad or m
    point.action["std"] = {
        name: short(
            min(near_by, 0.3 * (high - low))
            if name in positions
            else min(point.planner["std_initial"] * 0.5 * (high - low), most.get(name, np.inf))
        )
        for name, (low, high) in bounds.items()
    }
    safe: dict[str, Any] = dict.fromkeys(model.measured_by, "measured")
    for name, (low, high) in bounds.items():
        if name not in safe and (not low <= 0.0 <= high or point.task == "hover"):
            safe[name] = short(np.clip(held[name] if point.task == "hover" else 0.0, low, high))
    if safe:
        point.action["safe"] = safe


def _forces(model: Mujoco, speed: float) -> dict[str, float]:
    """
    Return the controls whose forces speed a joint up to `speed` in KNOT, against its damping.

    Without this limit a wrist, whose inertia is small, turns at hundreds of rad/s in candidates,
    or MuJoCo cannot simulate them. The inertia is the median over POSES random poses.
    """
    import mujoco

    physics, data = model.model, mujoco.MjData(model.model)
    joints = np.flatnonzero(np.isin(physics.jnt_type, ONE_AXIS))
    is_limited = physics.jnt_limited[joints, None].astype(bool)
    low, high = np.where(is_limited, physics.jnt_range[joints], (-np.pi, np.pi)).T
    random, units = np.random.default_rng(0), np.eye(physics.nv)
    inertias = np.zeros((POSES, physics.nv, physics.nv))
    for pose in inertias:
        data.qpos[physics.jnt_qposadr[joints]] = random.uniform(low, high)
        mujoco.mj_fwdPosition(physics, data)
        for row, unit in zip(pose, units, strict=True):
            mujoco.mj_mulM(physics, data, row, unit)
    inertia = np.median(inertias.diagonal(axis1=1, axis2=2), axis=0)
    found = {}
    for name, index in zip(model.action_names, model.actuators, strict=True):
        gain = abs(physics.actuator_gainprm[index][0] * physics.actuator_gear[index][0])
        if name not in model.measured_by and is_single(physics, index) and gain:
            dof = physics.jnt_dofadr[physics.actuator_trnid[index][0]]
            found[name] = speed * (inertia[dof] / KNOT + physics.dof_damping[dof].item()) / gain
    return found


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


def lacking(model: Mujoco, point: StartingPoint) -> list[str]:
    """Return what a file probably lacks for its task."""
    import mujoco

    physics, found = model.model, []
    ground = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD))
    falls = point.task in ("stand", "walk")
    if falls and not any(int(kind) in ground for kind in physics.geom_type):
        found.append(
            "the file has no floor (no geom of type plane or hfield): a body with a free joint "
            "falls; write a scene that includes the file and has a floor"
        )
    if is_torque_arm(point, model):
        dofs = {physics.joint(n).dofadr[0]: n for n in arm_joints(model)}
        loose = [n for dof, n in dofs.items() if not physics.dof_damping[dof]]
        if loose:
            found.append(
                f"torques move {', '.join(loose)}, which the file gives no damping, so that plans "
                "hold the arm badly: write what the gears have (in URDF <dynamics damping=...>); "
                "if the drives take positions, write a scene with position servos "
                "(docs/models_from_files.md), which hold an arm better than torques"
            )
    return found
