# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The cost of following a reference of any states and outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cem_planner_ros.costs.reference_cost import TOPIC, span
from cem_planner_ros.costs.tracking_cost import TERMINAL_WEIGHT, TrackingCost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError, did_you_mean
from cem_planner_ros.fields import REFERENCE_TYPES, reference_defaults
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter, named


class Track(TrackingCost):
    """
    The weighted squared errors of states and outputs from a reference, constant or from a topic.

    Each step is judged by the reference at its own time, so a plan sees what comes. Errors of
    angles are wrapped. The error of a quaternion is the rotation vector, rad, from the reference to
    the attitude, in the axes of the reference; the weights of its x, y and z are those of its
    components, and the weight of its w is not used.
    """

    signals: Sequence[str]
    weight: torch.Tensor
    type: str
    max_age: torch.Tensor

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return what is followed, and a weight, a target and a field for each state and output."""
        names = dynamics.signal_names
        first = {quaternion[0] for quaternion in dynamics.quaternion_names}
        targets = tuple(
            Parameter(
                f"target.{name}",
                float(name in first),
                f"Value of {name} that is followed without a topic.",
            )
            for name in names
        )
        fields = tuple(
            Parameter(
                f"fields.{name}",
                "",
                f"Field of the message that is the reference of {name}; empty if the name says "
                "which one it is.",
                when=INACTIVE,
            )
            for name in names
        )
        return (
            Parameter(
                "signals",
                [],
                "Names of the states and outputs that follow the reference; empty for all states.",
                when=INACTIVE,
            ),
            TOPIC,
            Parameter(
                "type",
                "sensor_msgs/msg/JointState",
                "Message type of the reference.",
                choices=tuple(REFERENCE_TYPES),
                when=INACTIVE,
            ),
            Parameter(
                "max_age",
                0.5,
                "Age of a set-point from which its velocities count as zero; 0 for no limit. "
                "Other values are held.",
                unit="s",
                low=0.0,
            ),
            TERMINAL_WEIGHT,
            *named("weight", names, 1.0, "Weight of the squared error of {name}.", low=0.0),
            *targets,
            *fields,
        )

    def _signals(self, dynamics: Dynamics) -> tuple[str, ...]:
        names = tuple(self.signals) or dynamics.state_names
        for name in names:
            if name not in dynamics.signal_names:
                hint = did_you_mean(name, dynamics.signal_names)
                raise ConfigurationError(
                    f"parameter 'signals' has '{name}', allowed: states and outputs of the model, "
                    f"{', '.join(dynamics.signal_names)}{hint}"
                )
            if names.count(name) > 1:
                raise ConfigurationError(f"parameter 'signals' has '{name}' twice, allowed: once")
        places = [dynamics.signal_names.index(name) for name in names]
        self._weight_rows = places
        return names

    def _weights(self) -> torch.Tensor:
        return self.weight[span(self._weight_rows)]

    def _targets(self) -> np.ndarray:
        return np.array([self.value(f"target.{name}") for name in self.followed])

    def _type(self) -> str:
        return self.type

    def _max_age(self) -> float:
        return self.value("max_age")

    def _fields(self) -> dict[str, str]:
        grammar = REFERENCE_TYPES[self.type]
        defaults = reference_defaults(self.type, self.followed)
        fields = {}
        for name in self.followed:
            field = getattr(self, f"fields.{name}") or defaults.get(name, "")
            if self.topic and not grammar.match(field):
                problem = f"is {field!r}" if field else "is missing"
                raise ConfigurationError(
                    f"parameter 'fields.{name}' {problem}, allowed for {self.type}: "
                    f"{grammar.words}{grammar.hint(field)}"
                )
            fields[name] = field
        return fields
