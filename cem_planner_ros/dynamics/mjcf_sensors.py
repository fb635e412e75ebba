# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The sensors of an MJCF file: adding them by a text, and their names."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from cem_planner_ros.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    import mujoco

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

OF_FRAMES = ("body", "xbody", "geom", "site", "camera")
"""The kinds of objects that have a frame."""

COLLECTIONS = {
    **{"body": "bodies", "xbody": "bodies", "subtree": "bodies", "geom": "geoms", "site": "sites"},
    **{"camera": "cameras", "joint": "joints", "tendon": "tendons", "actuator": "actuators"},
}
"""Where a file (MjSpec) has the objects of each kind."""

KIND_OF = {sensor: kind for kind, sensors in ATTACHED.items() for sensor in sensors}

PARTS = {4: ("_qw", "_qx", "_qy", "_qz"), 3: ("_x", "_y", "_z"), 1: ("",)}
"""What is added to the name of a sensor with so many numbers, as in the names of states."""


def output_names(model: mujoco.MjModel, states: Collection[str]) -> list[tuple[str, ...]]:
    """
    Return the names of the numbers of each sensor.

    A sensor without a name is called sensor plus the next free number. Where a state has the name
    already, `_sensor` is added to it.
    """
    import mujoco

    taken, found = set(states), []
    for index in range(model.nsensor):
        name = model.sensor(index).name.replace(".", "_") or free_name("sensor", index, taken)
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


def free_name(kind: str, number: int, taken: Collection[str]) -> str:
    """Return KIND plus the first number, from `number` on, that gives a new name."""
    names = (f"{kind}{count}" for count in itertools.count(number))
    return next(
        name
        for name in names
        if not any(other == name or other.startswith(f"{name}_") for other in taken)
    )


def add_sensor(spec: mujoco.MjSpec, text: str) -> None:
    """Add the sensor of a text such as "hand: framepos site grip" to a file."""
    import mujoco

    name, colon, rest = text.partition(":")
    try:
        sensor, *words = shlex.split(rest) or [""]
    except ValueError:  # A quotation mark has no other.
        sensor, words = "", []
    if not colon or not re.fullmatch(r"[^\s\"'<>&]+", name.strip()) or not sensor:
        raise ConfigurationError(
            f"parameter 'outputs' has {text!r}, allowed: NAME: SENSOR OBJECTS, such as "
            "'hand: framepos site grip', with a NAME without spaces and quotes, and names with "
            "spaces in quotes"
        )
    name = name.strip()
    if name in (other.name for other in spec.sensors):
        raise ConfigurationError(
            f"parameter 'outputs' has {text!r}, but the file or another output has a sensor "
            f"'{name}' already: choose another name"
        )
    pairs = _objects(text, sensor, words)
    for kind, wanted in pairs:
        known = [item.name for item in getattr(spec, COLLECTIONS[kind]) if item.name]
        if wanted not in known:
            raise ConfigurationError(
                f"parameter 'outputs' has {text!r}, but no {kind} is called '{wanted}', the file "
                f"has {', '.join(known) or 'none with a name'}{did_you_mean(wanted, known)}"
            )
    attributes = " ".join(f"{key}={quoteattr(value)}" for key, value in _attributes(sensor, pairs))
    tag = f"<{sensor} name={quoteattr(name)} {attributes}/>"
    try:
        parsed = mujoco.MjSpec.from_string(f"<mujoco><sensor>{tag}</sensor></mujoco>").sensors[0]
    except ValueError as error:
        raise ConfigurationError(f"parameter 'outputs' has {text!r}: {error}") from error
    copied = ("name", "type", "objtype", "objname", "reftype", "refname", "intprm", "cutoff")
    spec.add_sensor(**{key: getattr(parsed, key) for key in copied})


def _objects(text: str, sensor: str, words: Sequence[str]) -> list[tuple[str, str]]:
    """Return kind and name of each object of a sensor, for the words after its type."""
    kinds: tuple[tuple[str, ...], ...]
    least = 1
    if sensor in ALONE:
        form, kinds, least = "", (), 0
    elif sensor in KIND_OF:
        kind = KIND_OF[sensor]
        form, kinds = f" [{kind}] NAME", ((kind,),)
        words = [kind, *words] if len(words) == 1 else words
    elif sensor in FRAMES:
        form = " KIND NAME [KIND NAME], where KIND is body, xbody, geom, site or camera"
        kinds = (OF_FRAMES, OF_FRAMES)
    elif sensor == "contact":
        form = " KIND NAME [KIND NAME], where KIND is geom, body or subtree, the first also site"
        kinds = (("geom", "body", "subtree", "site"), ("geom", "body", "subtree"))
    elif sensor in PAIRS:
        form = " KIND NAME KIND NAME, where KIND is geom or body"
        kinds, least = (("geom", "body"), ("geom", "body")), 2
    else:
        known = (*KIND_OF, *FRAMES, *PAIRS, *ALONE)
        raise ConfigurationError(
            f"parameter 'outputs' has {text!r}, allowed sensors: {', '.join(known)}"
            f"{did_you_mean(sensor, known)}"
        )
    pairs = list(zip(words[::2], words[1::2], strict=False))
    if (
        2 * len(pairs) != len(words)
        or not least <= len(pairs) <= len(kinds)
        or any(kind not in of for (kind, _), of in zip(pairs, kinds, strict=False))
    ):
        raise ConfigurationError(f"parameter 'outputs' has {text!r}, allowed: NAME: {sensor}{form}")
    return pairs


def _attributes(sensor: str, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the attributes of a sensor's XML element, for kind and name of each object."""
    if sensor in FRAMES:
        keys = ("objtype", "objname", "reftype", "refname")
        return list(zip(keys, (word for pair in pairs for word in pair), strict=False))
    if sensor not in PAIRS:
        return list(pairs)
    attributes = [
        (kind if kind == "site" else f"{kind}{number}", name)
        for number, (kind, name) in enumerate(pairs, 1)
    ]
    return [*attributes, ("cutoff", "1000")] if sensor == "distance" else attributes
