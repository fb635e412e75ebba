# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Reads MJCF and URDF files: names, motors, ranges of actions."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cem_planner_ros.dynamics.mjcf_files import LEAVE_OUT, drop_missing, parse
from cem_planner_ros.dynamics.mjcf_sensors import add_sensor, free_name
from cem_planner_ros.errors import ConfigurationError

if TYPE_CHECKING:
    import mujoco

REMEDIES = {
    "mass and inertia": "a link that moves needs <inertial> with mass and inertia in URDF; a body "
    "needs a geom with mass or <inertial> in MJCF",
    "XML parse error|Unrecognized XML|empty file|not find decoder": "expected an MJCF or URDF file",
    r"Error opening file.*\.(obj|stl|msh|dae)'$": "bodies collide with this mesh, or have their "
    f"inertia of it: get it, or {LEAVE_OUT}",
    "no decoder found": f"MuJoCo reads STL, OBJ and MSH: convert the mesh, or {LEAVE_OUT}",
    "coplanar vertices": "a flat mesh cannot collide: take a box in its place, in URDF in "
    "<collision>",
}
"""What to do about errors of MuJoCo, by a pattern of their text; the first one counts."""

HARMLESS = "Attaching a spec with an empty prefix"
"""The beginning of what MuJoCo warns of where a URDF keeps the names of its joints."""

_logger = logging.getLogger(__name__)
_told: set[str] = set()
"""The kinds of warnings of MuJoCo that were logged."""

OF_A_JOINT = (0, 1)
"""mjTRN_JOINT and mjTRN_JOINTINPARENT: transmissions to a joint."""

ONE_AXIS = (2, 3)
"""mjJNT_SLIDE and mjJNT_HINGE: joints with one way to move."""


def load(
    file: Path,
    sensors: Sequence[str] = (),
    *,
    allow_missing_meshes: bool = False,
    remarks: list[str] | None = None,
) -> mujoco.MjModel:
    """
    Return the physics of an MJCF or URDF file, with names and motors as in `PhysicsFile`.

    The simulator uses this function too, so that the fields of its messages are the states and
    actions of the model. `sensors` are added, and meshes are left out, see
    `PhysicsFile.parameters`. What MuJoCo warns of, such as deprecated attributes, is added to
    `remarks`, each text once. Raises ConfigurationError, naming the file, if MuJoCo refuses the
    file, and naming the sensor if it refuses a sensor.
    """
    import mujoco

    mujoco.set_mju_user_warning(_tell_once)
    told: list[str] = [] if remarks is None else remarks
    try:
        spec = parse(file)
        drop_missing(spec, file, allow_missing_meshes)
        model = _compiled(spec, told)  # Number unnamed joints, actuators and sensors.
        taken = {item.name for item in (*spec.joints, *spec.actuators)}
        for kind, items in (("joint", spec.joints), ("actuator", spec.actuators)):
            for item in items:
                item.name = item.name or free_name(kind, item.id, taken)
                taken.add(item.name)
        if not spec.actuators:
            _add_motors(spec, mujoco, followers(model))
        model = _compiled(spec, told)
    except ConfigurationError:  # It names the file already.
        raise
    except ValueError as error:
        raise ConfigurationError(f"file '{file}': {_reason(error)}") from error
    for text in sensors:
        add_sensor(spec, text)
        try:
            model = _compiled(spec, told)
        except ValueError as error:
            raise ConfigurationError(
                f"parameter 'outputs' has {text!r}, which file '{file}' cannot have: "
                f"{_reason(error)}"
            ) from error
    if model.nu and not acting(model):
        raise ConfigurationError(
            f"file '{file}' disables all of its actuators (flag actuation, or "
            "actuatorgroupdisable), expected that one acts"
        )
    return model


def _tell_once(text: str) -> None:
    """
    Log a warning of MuJoCo, such as of an unstable simulation, once for each kind.

    MuJoCo itself would print each one, and write it into a file in the present folder.
    """
    kind = re.split(r"\d", text)[0]
    if kind not in _told and not text.startswith(HARMLESS):
        _told.add(kind)
        _logger.warning("MuJoCo says: %s (warnings of this kind end here)", text)


def _compiled(spec: mujoco.MjSpec, told: list[str]) -> mujoco.MjModel:
    """Compile a file; add to `told` what MuJoCo warns of, which it says again each time."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = spec.compile()
    texts = (" ".join(str(warning.message).split()) for warning in caught)
    texts = (text for text in texts if not text.startswith(HARMLESS))
    told += (text for text in texts if text not in told)
    return model


def _reason(error: ValueError) -> str:
    """Return what MuJoCo says on one line, and what to do about what is often wrong."""
    text = " ".join(str(error).split())
    for pattern, remedy in REMEDIES.items():
        if re.search(pattern, text):
            return f"{text} ({remedy})"
    return text


def acting(model: mujoco.MjModel) -> list[int]:
    """Return the indices of the actuators that the file does not disable."""
    import mujoco

    if model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_ACTUATION:
        return []
    off = model.opt.disableactuator
    return [index for index in range(model.nu) if not off >> int(model.actuator_group[index]) & 1]


def control_range(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the control range (nu, 2) of each actuator, and whether it is a guess (nu,).

    Without a control range in the file, a servo of a joint's position gets the range of the joint,
    and a motor what gives the largest force of the actuator or of its joint. If the file gives none
    of these either, the range is a guess: [0, 1] for a muscle, [-1, 1] for others.
    """
    import mujoco

    is_muscle = model.actuator_dyntype == mujoco.mjtDyn.mjDYN_MUSCLE
    limits = np.stack((np.where(is_muscle, 0.0, -1.0), np.ones(model.nu)), 1)
    guessed = np.ones(model.nu, bool)
    for index in range(model.nu):
        known: Any = None
        if model.actuator_ctrllimited[index]:
            known = model.actuator_ctrlrange[index]
        elif is_single(model, index):
            known = _derived_range(model, index)
        if known is not None:
            limits[index], guessed[index] = known, False
    return limits, guessed


def is_single(model: mujoco.MjModel, actuator: int) -> bool:
    """Return whether an actuator of fixed gain drives a hinge or a slide joint."""
    import mujoco

    joint = model.actuator_trnid[actuator][0]
    return (
        model.actuator_trntype[actuator] in OF_A_JOINT
        and model.jnt_type[joint] in ONE_AXIS
        and int(model.actuator_gaintype[actuator]) == mujoco.mjtGain.mjGAIN_FIXED
    )


def _derived_range(model: mujoco.MjModel, actuator: int) -> np.ndarray | None:
    """Return the control range (2,) that the limits of joint or force give; None without them."""
    gain, bias = model.actuator_gainprm[actuator][0], model.actuator_biasprm[actuator]
    joint, gear = int(model.actuator_trnid[actuator][0]), model.actuator_gear[actuator][0]
    if not gain * gear:
        return None
    if bias[1] != 0.0:  # The joint rests where gain * control + bias[1] * gear * position is 0.
        limits = -bias[1] / gain * gear * model.jnt_range[joint]
        return np.sort(limits) if model.jnt_limited[joint] else None
    if bias[2] != 0.0 or model.actuator_dyntype[actuator] != 0:
        return None
    if model.actuator_forcelimited[actuator]:
        return np.sort(model.actuator_forcerange[actuator] / gain)
    if model.jnt_actfrclimited[joint]:
        return np.sort(model.jnt_actfrcrange[joint] / (gain * gear))
    return None


def followers(model: mujoco.MjModel) -> dict[int, int]:
    """Return {joint: the joint that it follows by an active equality; -1 for a fixed position}."""
    import mujoco

    bits = mujoco.mjtDisableBit
    if model.opt.disableflags & (bits.mjDSBL_EQUALITY | bits.mjDSBL_CONSTRAINT):
        return {}
    return {
        int(model.eq_obj1id[i]): int(model.eq_obj2id[i])
        for i in range(model.neq)
        if model.eq_type[i] == mujoco.mjtEq.mjEQ_JOINT and model.eq_active0[i]
    }


def measured_by(model: mujoco.MjModel, actuators: Iterable[int]) -> dict[str, str]:
    """Return {actuator: state} for actuators that control the position or speed of a joint."""
    import mujoco

    found = {}
    for index in actuators:
        gain, bias = model.actuator_gainprm[index][0], model.actuator_biasprm[index]
        joint = int(model.actuator_trnid[index][0])
        is_servo = (
            is_single(model, index)
            and int(model.actuator_biastype[index]) == mujoco.mjtBias.mjBIAS_AFFINE
            and model.actuator_gear[index][0] == 1.0
            and gain > 0.0
        )
        # Its force is gain * control + bias . (1, position, speed).
        if is_servo and bias[1] == -gain:
            found[model.actuator(index).name] = model.joint(joint).name
        elif is_servo and bias[1] == 0.0 and bias[2] == -gain:
            found[model.actuator(index).name] = f"{model.joint(joint).name}_dot"
    return found


def _add_motors(spec: mujoco.MjSpec, mujoco: Any, following: Collection[int]) -> None:
    for joint in spec.joints:
        is_single = joint.type in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
        if is_single and joint.id not in following:
            low, high = joint.actfrcrange
            spec.add_actuator(
                name=joint.name,
                target=joint.name,
                trntype=mujoco.mjtTrn.mjTRN_JOINT,
                ctrllimited=low < high,
                ctrlrange=(low, high),
            )
