# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The cost of the mean velocity of a body over the horizon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.costs.base import rows_of
from cem_planner_ros.costs.reference_cost import TOPIC, ReferenceCost
from cem_planner_ros.dynamics.base import Dynamics, wrap
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import QUATERNION, REFERENCE_TYPES, TWIST
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter, named
from cem_planner_ros.plugins.plan_inputs import PlanInputs

WAYS = {"forward": "x_dot", "sideways": "y_dot", "turning": "wz"}
"""The parts of a velocity in the plane, and the end of the name of the state of each."""


class MeanVelocity(ReferenceCost):
    """
    The weighted squared errors of the mean velocity of a body in the plane over the horizon.

    The velocity is forward, sideways, m/s, and turning, rad/s. It is the way from the place where
    the plan begins to that at the end of the horizon, over the time between, in the axes of the
    body with the mean of both headings; the turning velocity is the change of the heading over this
    time. How the body moves in between costs nothing. A robot with legs sways within each step, so
    the horizon should be a whole number of steps. The reference is constant or comes from a topic.
    """

    joint: str
    type: str
    max_age: torch.Tensor
    weight: torch.Tensor

    parameters = (
        Parameter(
            "joint",
            "",
            "Name of the free joint of the body, as in the states NAME_x and NAME_qw; empty for "
            "the only one.",
            when=INACTIVE,
        ),
        TOPIC,
        Parameter(
            "type",
            "geometry_msgs/msg/Twist",
            "Message type of the reference.",
            choices=tuple(name for name, grammar in REFERENCE_TYPES.items() if grammar is TWIST),
            when=INACTIVE,
        ),
        Parameter(
            "max_age",
            0.5,
            "Age of a velocity from which it counts as zero; 0 for no limit.",
            unit="s",
            low=0.0,
        ),
        *named("weight", WAYS, 1.0, "Weight of the squared error of the {name} velocity.", low=0.0),
        *named("target", WAYS, 0.0, "The {name} velocity that is followed without a topic."),
    )

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        self._goal = PlanInputs(device, place=(2, 1), axes=(2, 2), heading=(1,), period=())
        self._goal.host["period"][...] = 1.0
        super().__init__(dynamics, values, device=device)
        body = self.followed[0].removesuffix(f"_{WAYS['forward']}")
        self._place = rows_of(dynamics, f"{body}_x", f"{body}_y")
        self._attitude = rows_of(dynamics, *(f"{body}_{part}" for part in QUATERNION))

    def _signals(self, dynamics: Dynamics) -> tuple[str, ...]:
        bodies = [
            body
            for body in (
                quaternion[0].removesuffix("_qw") for quaternion in dynamics.quaternion_names
            )
            if {f"{body}_x", *(f"{body}_{end}" for end in WAYS.values())} <= {*dynamics.state_names}
        ]
        if self.joint not in bodies and (self.joint or len(bodies) != 1):
            raise ConfigurationError(
                f"parameter 'joint' is '{self.joint}', allowed: a free joint of the model, which "
                f"has {', '.join(bodies) or 'none'}"
            )
        return tuple(f"{self.joint or bodies[0]}_{end}" for end in WAYS.values())

    def _targets(self) -> np.ndarray:
        return np.array([self.value(f"target.{way}") for way in WAYS])

    def _type(self) -> str:
        return self.type

    def _max_age(self) -> float:
        return self.value("max_age")

    def _fields(self) -> dict[str, str]:
        return dict(zip(self.followed, ("linear.x", "linear.y", "angular.z"), strict=True))

    def prepare(self, state: np.ndarray, time: float, surroundings: Surroundings) -> None:
        """Find where the body would be at the end of the horizon."""
        super().prepare(state, time, surroundings)
        host, period = self._goal.host, self.edges[-1]
        velocity = self.wanted @ np.diff(self.edges) / period
        begin = _heading(torch.from_numpy(state[self._attitude][:, None])).item()
        mean = begin + 0.5 * velocity[2] * period
        cos, sin = np.cos(mean), np.sin(mean)
        host["axes"][:] = (cos, sin), (-sin, cos)
        way = host["axes"].T @ velocity[:2] * period
        host["place"][:, 0] = (state - self.origin)[self._place] + way
        host["heading"][:] = begin + velocity[2] * period
        host["period"][...] = period
        self._goal.send()

    def terminal(self, state: torch.Tensor) -> torch.Tensor:
        """Return the weighted squared errors of the mean velocity, shape (N,)."""
        goal = self._goal
        x, y = (state[row] - goal.place[i] for i, row in enumerate(self._place))
        turn = _heading(torch.stack([state[row] for row in self._attitude])) - goal.heading
        way = torch.stack(
            (
                goal.axes[0, 0] * x + goal.axes[0, 1] * y,
                goal.axes[1, 0] * x + goal.axes[1, 1] * y,
                wrap(turn[None], [True])[0],
            )
        )
        error = way / goal.period
        return (self.weight * error * error).sum(0)


def _heading(attitude: torch.Tensor) -> torch.Tensor:
    """Return the angle (N,), rad, between axis x of the world and that of a body (4, N)."""
    w, x, y, z = attitude
    return torch.atan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)
