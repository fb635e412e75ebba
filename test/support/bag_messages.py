# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""ROS messages for bags, without ROS."""

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
TEXT = "string"


def message(kind, **values):
    """Make a message of zeros; `pose__position__x=1.0` sets a field of a field."""
    made = STORE.types[kind](**{name: _nothing(node) for name, node in STORE.fielddefs[kind][1]})
    for path, value in values.items():
        *parts, leaf = path.split("__")
        place = made
        for part in parts:
            place = getattr(place, part)
        setattr(place, leaf, value)
    return made


def stamp(time):
    """Make the stamp of a time, s."""
    nanoseconds = round(1e9 * time)
    return message(
        "builtin_interfaces/msg/Time", sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9
    )


def raw(made):
    """Serialise a message."""
    return bytes(STORE.serialize_cdr(made, made.__msgtype__))


def _nothing(node):
    kind, what = node
    if kind is Nodetype.NAME:
        return message(what)
    if kind is Nodetype.BASE:
        return "" if what[0] == TEXT else False if what[0] == "bool" else 0
    (inner, name), count = what
    if inner is Nodetype.BASE and name[0] != TEXT:
        return np.zeros(count if kind is Nodetype.ARRAY else 0, name[0])
    return []
