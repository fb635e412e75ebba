# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The cost of following a pose of a body."""

from __future__ import annotations

import numpy as np
import torch

from cem_planner_ros.costs.reference_cost import TOPIC
from cem_planner_ros.costs.tracking_cost import TERMINAL_WEIGHT, TrackingCost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import (
    ANGLES,
    BODY_TRAJECTORY,
    POSE,
    POSITION,
    QUATERNION,
    REFERENCE_TYPES,
)
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter
from cem_planner_ros.readers import quaternion

POSE_TYPES = tuple(
    name for name, grammar in REFERENCE_TYPES.items() if grammar in (POSE, BODY_TRAJECTORY)
)


class PoseTracking(TrackingCost):
    """
    The weighted squared errors of position and attitude of a body, such as the hand of an arm.

    weight |p - p_r|^2 + orientation_weight angle^2, with the angle, rad, of the rotation from the
    reference to the attitude. The reference is constant or comes from a topic; each step is judged
    by the reference at its own time.
    """

    parameters = (
        Parameter(
            "position",
            "",
            "Name of the states or outputs NAME_x, NAME_y and NAME_z that are the position; empty "
            "for x, y and z.",
            when=INACTIVE,
        ),
        Parameter(
            "orientation",
            "",
            "Name of the states or outputs NAME_qw, NAME_qx, NAME_qy and NAME_qz that are the "
            "attitude; empty for the name of the position.",
            when=INACTIVE,
        ),
        TOPIC,
        Parameter(
            "type",
            "geometry_msgs/msg/PoseStamped",
            "Message type of the reference.",
            choices=POSE_TYPES,
            when=INACTIVE,
        ),
        Parameter("weight", 1.0, "Weight of the squared distance.", unit="1/m^2", low=0.0),
        Parameter(
            "orientation_weight",
            1.0,
            "Weight of the squared angle between the attitudes.",
            unit="1/rad^2",
            low=0.0,
        ),
        TERMINAL_WEIGHT,
        *(
            Parameter(
                f"target.{axis}",
                0.0,
                f"{axis} that is followed without a topic.",
                unit="m",
            )
            for axis in POSITION
        ),
        *(
            Parameter(
                f"target.{angle}",
                0.0,
                f"{angle.capitalize()} of the attitude that is followed without a topic (REP-103).",
                unit="rad",
            )
            for angle in ANGLES
        ),
    )

    position: str
    orientation: str
    weight: torch.Tensor
    orientation_weight: torch.Tensor
    type: str

    def _signals(self, dynamics: Dynamics) -> tuple[str, ...]:
        prefixes = self.position, self.orientation or self.position
        names = tuple(
            f"{prefix}_{part}" if prefix else part
            for prefix, parts in zip(prefixes, (POSITION, QUATERNION), strict=True)
            for part in parts
        )
        for parameter, parts in (("position", names[:3]), ("orientation", names[3:])):
            lacks = [part for part in parts if part not in dynamics.signal_names]
            given = getattr(self, parameter)
            if lacks:
                raise ConfigurationError(
                    f"parameter '{parameter}' is {given!r}, but the model has no "
                    f"{', '.join(lacks)}, it has: {', '.join(dynamics.signal_names)}; a MuJoCo "
                    "model has them of sensors (dynamics.outputs), such as 'hand: framepos site "
                    "NAME' and 'hand_turn: framequat site NAME'"
                )
        if names[3:] not in dynamics.quaternion_names:
            raise ConfigurationError(
                f"{', '.join(names[3:])} are no quaternion of the model, it has: "
                f"{', '.join(map(str, dynamics.quaternion_names)) or 'none'}"
            )
        return names

    def _weights(self) -> torch.Tensor:
        ways = [self.weight] * 3 + [self.orientation_weight] * 4
        return torch.stack(ways)[:, None]

    def _targets(self) -> np.ndarray:
        place = [self.value(f"target.{axis}") for axis in POSITION]
        x, y, z, w = quaternion(*(self.value(f"target.{angle}") for angle in ANGLES))
        return np.array([*place, w, x, y, z])

    def _type(self) -> str:
        return self.type

    def _fields(self) -> dict[str, str]:
        return dict(zip(self.followed, (*POSITION, *QUATERNION), strict=True))
