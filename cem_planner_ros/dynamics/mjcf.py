"""Reads MJCF and URDF files: names, motors, ranges of actions, and sensors that are added."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np

from cem_planner_ros.errors import ConfigurationError, did_you_mean
from cem_planner_ros.paths import URI, in_ros_package

if TYPE_CHECKING:
    import mujoco

OF_A_JOINT = (0, 1)
"""mjTRN_JOINT and mjTRN_JOINTINPARENT: transmissions to a joint."""

ATTACHED = {
    "site": (
        *("touch", "accelerometer", "velocimeter", "gyro", "force", "torque", "magnetometer"),
        "rangefinder",
    ),
    "joint": (
        *("jointpos", "jointvel", "jointactuatorfrc", "jointlimitpos", "jointlimitvel"),
        *("jointlimitfrc", "ballquat", "ballangvel"),
    ),
    "tendon": (
        *("tendonpos", "tendonvel", "tendonactuatorfrc", "tendonlimitpos", "tendonlimitvel"),
        "tendonlimitfrc",
    ),
    "actuator": ("actuatorpos", "actuatorvel", "actuatorfrc"),
    "body": ("subtreecom", "subtreelinvel", "subtreeangmom"),
}
"""The sensors of one object, by the kind of the object."""

FRAMES = (
    *("framepos", "framequat", "framexaxis", "frameyaxis", "framezaxis", "framelinvel"),
    *("frameangvel", "framelinacc", "frameangacc"),
)
"""The sensors of a frame: of an object, as seen from another object if there is one."""

PAIRS = ("distance", "normal", "fromto", "contact")
"""The sensors of two objects."""

ALONE = ("e_potential", "e_kinetic", "clock")
"""The sensors of the whole simulation."""

KIND_OF = {sensor: kind for kind, sensors in ATTACHED.items() for sensor in sensors}

PARTS = {4: ("_qw", "_qx", "_qy", "_qz"), 3: ("_x", "_y", "_z"), 1: ("",)}
"""What is added to the name of a sensor with so many numbers, as in the names of states."""


def load(file: Path, sensors: Sequence[str] = ()) -> mujoco.MjModel:
    """
    Return the physics of an MJCF or URDF file, with names and motors as in `Mujoco`.

    The simulator uses this function too, so that the fields of its messages are the states and
    actions of the model. `sensors` are added, see `Mujoco.parameters`. Raises ConfigurationError,
    naming the file, if MuJoCo refuses the file, and naming the sensor if it refuses a sensor.
    """
    import mujoco

    try:
        text = _with_paths(file)
        spec = mujoco.MjSpec.from_string(text) if text else mujoco.MjSpec.from_file(str(file))
        model = spec.compile()  # Number unnamed joints, actuators and sensors.
        taken = {item.name for item in (*spec.joints, *spec.actuators)}
        for kind, items in (("joint", spec.joints), ("actuator", spec.actuators)):
            for item in items:
                item.name = item.name or _free_name(kind, item.id, taken)
                taken.add(item.name)
        if not spec.actuators:
            _add_motors(spec, mujoco, followers(model))
        model = spec.compile()
    except ValueError as error:
        raise ConfigurationError(f"file '{file}': {error}") from error
    for text in sensors:
        _add_sensor(spec, text)
        try:
            model = spec.compile()
        except ValueError as error:
            raise ConfigurationError(
                f"parameter 'outputs' has {text!r}, which file '{file}' cannot have: {error}"
            ) from error
    if model.nu and not acting(model):
        raise ConfigurationError(
            f"file '{file}' disables all of its actuators (flag actuation, or "
            "actuatorgroupdisable), expected that one acts"
        )
    return model


def _with_paths(file: Path) -> str:
    """
    Return a URDF file with paths in place of package:// and model://; "" if it has neither.

    Raises ConfigurationError, naming the file, if a ROS package is not found.
    """
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError):
        return ""  # MuJoCo says what is wrong.
    meshes = [mesh for mesh in root.iter("mesh") if mesh.get("filename")]
    if root.tag != "robot" or not any(URI.match(mesh.get("filename", "")) for mesh in meshes):
        return ""
    for mesh in meshes:
        name = mesh.get("filename", "")
        try:
            place = in_ros_package(name) if URI.match(name) else file.parent / name
        except ConfigurationError as error:
            raise ConfigurationError(f"file '{file}': {error}") from error
        mesh.set("filename", str(place.resolve()))
    extension = root.find("mujoco")
    if extension is None:
        extension = ElementTree.SubElement(root, "mujoco")
    compiler = extension.find("compiler")
    if compiler is None:
        compiler = ElementTree.SubElement(extension, "compiler")
    # MuJoCo would only keep the last part of each path.
    compiler.set("strippath", "false")
    return ElementTree.tostring(root, encoding="unicode")


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
    kinds = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
    return (
        model.actuator_trntype[actuator] in OF_A_JOINT
        and int(model.jnt_type[joint]) in kinds
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


def output_names(model: mujoco.MjModel, states: Collection[str]) -> list[tuple[str, ...]]:
    """
    Return the names of the numbers of each sensor.

    A sensor without a name is called sensor plus the next free number. Where a state has the name
    already, `_sensor` is added to it.
    """
    import mujoco

    taken, found = set(states), []
    for index in range(model.nsensor):
        name = model.sensor(index).name.replace(".", "_") or _free_name("sensor", index, taken)
        size = int(model.sensor_dim[index])
        is_quaternion = model.sensor_datatype[index] == mujoco.mjtDataType.mjDATATYPE_QUATERNION
        parts = PARTS.get(size) if size != 4 or is_quaternion else None
        names = [f"{name}{part}" for part in parts or (f"_{i}" for i in range(size))]
        while taken.intersection(names):
            name = f"{name}_sensor"
            names = [f"{name}{part}" for part in parts or (f"_{i}" for i in range(size))]
        taken.update(names)
        found.append(tuple(names))
    return found


def place_mocap_bodies(model: mujoco.MjModel, texts: Sequence[str]) -> None:
    """
    Change the poses at which rollouts have mocap bodies.

    Args:
        model: the model, which has the default poses.
        texts: poses such as "goal: 0.5 0 0.2" (m), or "goal: 0.5 0 0.2 1 0 0 0" with a quaternion
            w, x, y, z.

    Raises ConfigurationError, naming the text, if there is no such body or it is no pose.
    """
    bodies = [index for index in range(model.nbody) if model.body_mocapid[index] >= 0]
    names = {model.body(index).name: index for index in bodies}
    for text in texts:
        name, _, numbers = text.partition(":")
        name = name.strip()
        if name not in names:
            raise ConfigurationError(
                f"parameter 'mocap' has {text!r}, allowed: a mocap body of the file, which has "
                f"{', '.join(names) or 'none'}{did_you_mean(name, names)}"
            )
        try:
            pose = np.array([float(number) for number in numbers.split()])
        except ValueError:
            pose = np.zeros(0)
        if (
            len(pose) not in (3, 7)
            or not np.isfinite(pose).all()
            or (len(pose) == 7 and not pose[3:].any())
        ):
            raise ConfigurationError(
                f"parameter 'mocap' has {text!r}, allowed: BODY: X Y Z or BODY: X Y Z QW QX QY QZ"
            )
        model.body_pos[names[name]] = pose[:3]
        if len(pose) == 7:
            model.body_quat[names[name]] = pose[3:] / np.linalg.norm(pose[3:])


def _free_name(kind: str, number: int, taken: Collection[str]) -> str:
    """Return KIND plus the first number, from `number` on, that gives a new name."""
    names = (f"{kind}{count}" for count in itertools.count(number))
    return next(
        name
        for name in names
        if not any(other == name or other.startswith(f"{name}_") for other in taken)
    )


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


def _add_sensor(spec: mujoco.MjSpec, text: str) -> None:
    """Add the sensor of a text such as "hand: framepos site grip" to a file."""
    import mujoco

    name, colon, rest = text.partition(":")
    sensor, *words = rest.split() or [""]
    if not colon or not name.strip() or not sensor:
        raise ConfigurationError(
            f"parameter 'outputs' has {text!r}, allowed: NAME: SENSOR OBJECTS, such as "
            "'hand: framepos site grip'"
        )
    name = name.strip()
    if name in (other.name for other in spec.sensors):
        raise ConfigurationError(
            f"parameter 'outputs' has {text!r}, but the file or another output has a sensor "
            f"'{name}' already: choose another name"
        )
    attributes = " ".join(
        f"{key}={quoteattr(value)}" for key, value in _attributes(text, sensor, words)
    )
    tag = f"<{sensor} name={quoteattr(name)} {attributes}/>"
    try:
        parsed = mujoco.MjSpec.from_string(f"<mujoco><sensor>{tag}</sensor></mujoco>").sensors[0]
    except ValueError as error:
        raise ConfigurationError(f"parameter 'outputs' has {text!r}: {error}") from error
    copied = ("name", "type", "objtype", "objname", "reftype", "refname", "intprm", "cutoff")
    spec.add_sensor(**{key: getattr(parsed, key) for key in copied})


def _attributes(text: str, sensor: str, words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the attributes of a sensor's XML element, for the words after its type."""
    pairs = list(zip(words[::2], words[1::2], strict=False))
    are_pairs = 2 * len(pairs) == len(words)
    if sensor in ALONE:
        form, fits, attributes = "", not words, []
    elif sensor in KIND_OF:
        kind = KIND_OF[sensor]
        form = f" [{kind}] NAME"
        fits = len(words) == 1 or (len(words) == 2 and words[0] == kind)
        attributes = [(kind, words[-1])] if words else []
    elif sensor in FRAMES:
        form = " KIND NAME [KIND NAME], where KIND is body, xbody, geom, site or camera"
        fits = are_pairs and len(pairs) in (1, 2)
        keys = ("objtype", "objname", "reftype", "refname")
        attributes = list(zip(keys, words, strict=False))
    elif sensor in PAIRS:
        form = " KIND NAME [KIND NAME], where KIND is geom, body, subtree or site"
        if sensor != "contact":
            form = " KIND NAME KIND NAME, where KIND is geom or body"
        fits = are_pairs and len(pairs) in ((1, 2) if sensor == "contact" else (2,))
        attributes = [
            (kind if kind == "site" else f"{kind}{number}", name)
            for number, (kind, name) in enumerate(pairs, 1)
        ]
        if sensor == "distance":
            attributes.append(("cutoff", "1000"))
    else:
        known = (*KIND_OF, *FRAMES, *PAIRS, *ALONE)
        raise ConfigurationError(
            f"parameter 'outputs' has {text!r}, allowed sensors: {', '.join(known)}"
            f"{did_you_mean(sensor, known)}"
        )
    if not fits:
        raise ConfigurationError(f"parameter 'outputs' has {text!r}, allowed: NAME: {sensor}{form}")
    return attributes
