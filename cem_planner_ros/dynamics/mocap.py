# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Mocap bodies of an MJCF file: their poses, constant or from topics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cem_planner_ros.errors import ConfigurationError, did_you_mean
from cem_planner_ros.fields import (
    BODY_TRAJECTORY,
    POSITION,
    QUATERNION,
    REFERENCE_TYPES,
    TOPIC,
)
from cem_planner_ros.navigation.references import Reference, ReferenceSource
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

if TYPE_CHECKING:
    import mujoco

POSE = (*POSITION, *QUATERNION)
"""What a pose has, in this order."""

TYPES = (
    "geometry_msgs/msg/PoseStamped",
    "nav_msgs/msg/Path",
    "trajectory_msgs/msg/MultiDOFJointTrajectory",
)
"""Message types that can move a mocap body."""

POSES = Parameter(
    "mocap",
    [],
    "Poses of mocap bodies, such as a goal in the file: BODY: X Y Z, in m, or BODY: X Y Z "
    "QW QX QY QZ; the others stay where the file has them. A section {BODY: X Y Z} may be given "
    "too.",
    when=INACTIVE,
    has_entries=True,
)

TOPICS = Parameter(
    "mocap_topics",
    [],
    "Topics of the poses of mocap bodies: BODY: TOPIC for geometry_msgs/msg/PoseStamped, or BODY: "
    "TOPIC TYPE for nav_msgs/msg/Path with stamps or trajectory_msgs/msg/MultiDOFJointTrajectory, "
    "in which the joint has the name of the body. A section {BODY: TOPIC} may be given too.",
    when=INACTIVE,
    has_entries=True,
)


class MocapBodies:
    """
    The poses of the mocap bodies of a model over time.

    Args:
        model: the model; its default poses become those of `poses`.
        poses: texts of the parameter POSES.
        topics: texts of the parameter TOPICS.

    Raises ConfigurationError, naming the text, if there is no such body, or if it is no pose or no
    topic.
    """

    def __init__(self, model: mujoco.MjModel, poses: Sequence[str], topics: Sequence[str]):
        bodies = {
            model.body(index).name: index
            for index in range(model.nbody)
            if model.body_mocapid[index] >= 0
        }
        key_places = model.key_mpos.reshape(model.nkey, model.nmocap, 3)
        key_turns = model.key_mquat.reshape(model.nkey, model.nmocap, 4)
        for text in poses:
            body, pose = _placed(text, bodies)
            place, turn = pose[:3], pose[3:]
            index = int(model.body_mocapid[body])
            model.body_pos[body] = key_places[:, index] = place
            if len(turn):
                model.body_quat[body] = key_turns[:, index] = turn / np.linalg.norm(turn)
        self.held = np.zeros((model.nmocap, len(POSE)))
        """The pose (nmocap, 7) of each body until a message comes, m and unit quaternions."""
        for body in bodies.values():
            self.held[model.body_mocapid[body]] = *model.body_pos[body], *model.body_quat[body]
        self.sources: dict[str, ReferenceSource] = {}
        """The topics of poses by the name of their reference, which is 'mocap BODY'."""
        self._places: dict[str, int] = {}
        for text in topics:
            name, source = _source(text, bodies)
            if name in self.sources:
                raise ConfigurationError(
                    f"parameter 'mocap_topics' has two topics of {name.removeprefix('mocap ')!r}, "
                    "allowed: one for each body"
                )
            self.sources[name] = source
            self._places[name] = int(model.body_mocapid[bodies[name.removeprefix("mocap ")]])

    def poses(self, references: Mapping[str, Reference], times: np.ndarray) -> np.ndarray:
        """
        Return the poses (m, nmocap, 7) at times (m,), s, ascending, on the clock of stamps.

        A body without a reference is where it is held.
        """
        found = np.tile(self.held, (len(times), 1, 1))
        for name, place in self._places.items():
            if name in references:
                found[:, place] = references[name].at(times, self.held[place]).T
        return found

    def controls(self, references: Mapping[str, Reference], times: np.ndarray) -> np.ndarray:
        """Return the poses (m, 7 nmocap) as MuJoCo orders them: all positions, all quaternions."""
        parts = np.split(self.poses(references, times), [3], axis=-1)
        return np.concatenate([part.reshape(len(times), -1) for part in parts], 1)


def _body(parameter: str, text: str, bodies: Mapping[str, int]) -> tuple[str, str]:
    """Return the name of a body and what follows it. Raises ConfigurationError if there is none."""
    name, _, rest = text.partition(":")
    name = name.strip()
    if name not in bodies:
        raise ConfigurationError(
            f"parameter '{parameter}' has {text!r}, allowed: a mocap body of the file, which has "
            f"{', '.join(bodies) or 'none'}{did_you_mean(name, bodies)}"
        )
    return name, rest


def _placed(text: str, bodies: Mapping[str, int]) -> tuple[int, np.ndarray]:
    """Return the index of a body, and its pose (3,) or (7,)."""
    name, numbers = _body("mocap", text, bodies)
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
    return bodies[name], pose


def _source(text: str, bodies: Mapping[str, int]) -> tuple[str, ReferenceSource]:
    """Return the name and the source of the reference of a body."""
    name, rest = _body("mocap_topics", text, bodies)
    words = rest.split()
    topic, kind = (*words, TYPES[0])[:2] if words else ("", "")
    if len(words) > 2 or kind not in TYPES or not re.fullmatch(TOPIC, topic):
        raise ConfigurationError(
            f"parameter 'mocap_topics' has {text!r}, allowed: BODY: TOPIC or BODY: TOPIC TYPE, "
            f"with TYPE one of {', '.join(TYPES)}{did_you_mean(kind, TYPES)}"
        )
    joint = f"[{name}]" if REFERENCE_TYPES[kind] is BODY_TRAJECTORY else ""
    source = ReferenceSource(
        topic,
        kind,
        {f"{name}_{part}": f"{part}{joint}" for part in POSE},
        velocities=[False] * len(POSE),
        angles=[False] * len(POSE),
        quaternions=[[POSE.index(part) for part in QUATERNION]],
        held="the pose of the file",
    )
    return f"mocap {name}", source
