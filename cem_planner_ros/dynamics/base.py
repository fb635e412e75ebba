# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The interface of a dynamics plugin."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference, ReferenceSource
from cem_planner_ros.plugins.parameter import FLOAT32_MAX, INACTIVE, Parameter, Parameterised

INTEGRATOR = Parameter(
    "integrator",
    "midpoint",
    "How the differential equation is integrated over a model step.",
    choices=("euler", "midpoint", "rk4"),
    when=INACTIVE,
)
"""Belongs in the `parameters` of every `DifferentialEquation`."""


def wrap(values: torch.Tensor, is_angle: Sequence[bool]) -> torch.Tensor:
    """
    Return rows (n, N) with their angles wrapped to [-pi, pi).

    `is_angle` (n,) says which rows are angles. It is plain Python, so that nothing is computed for
    the other rows.
    """
    if not any(is_angle):
        return values
    return torch.stack(
        [
            torch.remainder(row + torch.pi, 2.0 * torch.pi) - torch.pi if angle else row
            for row, angle in zip(values, is_angle, strict=True)
        ]
    )


class Dynamics(Parameterised, ABC):
    """
    A model of the plant: it computes the next state from a state and an action.

    A subclass declares names, default action bounds and parameters as class attributes. It
    implements `step` in plain PyTorch. Samples are the last dimension. The result for a sample must
    not depend on other samples.

    Args:
        values: parameter values by name; other parameters have their defaults.
        device: the device of the parameter tensors.

    Raises ConfigurationError for an unknown name or a value that is not allowed.
    """

    state_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    action_low: tuple[float, ...] = ()
    """Default smallest action, in `action_units`."""
    action_high: tuple[float, ...] = ()
    """Default largest action, in `action_units`."""
    action_units: tuple[str, ...] = ()
    guessed_actions: tuple[str, ...] = ()
    """Actions whose default bounds are a guess, since the model's file does not give them."""
    output_names: tuple[str, ...] = ()
    """
    Outputs: quantities besides the states that costs with `reads_outputs` see, such as sensors.

    A model in PyTorch computes them in `output`. A model that rolls out itself returns them from
    `rollout`.
    """
    angle_names: tuple[str, ...] = ()
    """States that live on a circle (rad): costs wrap their errors to [-pi, pi)."""
    quaternion_names: tuple[tuple[str, ...], ...] = ()
    """
    Each four states or outputs (w, x, y, z) that are a quaternion, from body to world.

    Its norm need not be one, and q and -q are one attitude: costs compare attitudes.
    """
    named_actions: Mapping[str, Sequence[float]] = {}
    """{word: action (nu,)} for words that `action.nominal` may have, such as `keyframe:home`."""
    measured_by: Mapping[str, str] = {}
    """
    {action: state} for each state that measures what the action commands, in the same unit.

    For example, the position of a joint measures the set-point of a position controller.
    """
    reference_sources: Mapping[str, ReferenceSource] = {}
    """{name: topic} of references that the model follows itself, for `set_references`."""
    position_names: tuple[str, ...] = ()
    """States of which only changes matter: a rollout from elsewhere is the same one, moved."""
    forward_names: tuple[str, ...] = ("v", "v_x")
    """The states, or else actions, that are the forward speed of a robot that drives, m/s."""
    sideways_names: tuple[str, ...] = ("v_y",)
    """The same for its speed to the left, m/s."""
    turning_names: tuple[str, ...] = ("yaw_rate",)
    """The same for its yaw rate, rad/s."""
    steering_names: tuple[str, ...] = ("steering",)
    """The actions that are the steering angle of a car, rad, with `wheel_base_parameter`."""
    wheel_base_parameter: str = ""
    """
    The parameter that is the distance between the axles, m, of a model with a steering angle.

    Its yaw rate is v tan(steering) / wheel base.
    """
    radius_parameter: str = ""
    """The parameter that is the smallest turning radius, m, if the model limits the yaw rate."""
    is_repeatable: bool = True
    """Whether the same arguments give exactly the same result; otherwise it differs by rounding."""
    predicts_return: bool = False
    """Whether `returns` predicts a return that is subtracted from the costs."""
    members: int = 1
    """
    Number of members, P. `step` gets N = P n samples: the first n for the first member, and so on.
    """
    member: Dynamics | None = None
    """
    The first member, if the others differ from it only in numbers; the members are then compiled.

    `variant(p, numbers)` returns tensors, those of the first one's numbers replaced by the p-th's,
    and `refresh()` brings these to what was tuned.
    """

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, device: torch.device | str = "cpu"
    ):
        super().__init__(values or {}, device)

    @abstractmethod
    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """
        Return the state (nx, N) after holding `action` for `dt`.

        Args:
            state: (nx, N), rows in the order of `state_names`.
            action: (nu, N), rows in the order of `action_names`.
            dt: 0-d, s.
        """

    def rollout(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> Iterable[torch.Tensor]:
        """
        Return the H states (nx, N) after each step of `sequence` (H, nu, N) from `state` (nx, N).

        A model that is no PyTorch function, such as a physics engine, overrides this method;
        nothing is compiled then. If it has outputs, it returns H signals (nx + ny, N) instead:
        states, and the outputs below them. `durations` is (H,), s.
        """
        states = []
        for action, duration in zip(sequence, durations, strict=True):
            state = self.step(state, action, duration)
            states.append(state)
        return states

    def output(self, state: torch.Tensor) -> torch.Tensor:
        """Return the outputs (ny, N) of states (nx, N), in the order of `output_names`."""
        raise NotImplementedError

    @property
    def signal_names(self) -> tuple[str, ...]:
        """The states, then the outputs: the rows that costs with `reads_outputs` see."""
        return (*self.state_names, *self.output_names)

    @property
    def rest_state(self) -> np.ndarray:
        """A state (nx,) from which a plan makes sense: zero, with quaternions of no rotation."""
        return np.array([float(n == "qw" or n.endswith("_qw")) for n in self.state_names])

    def origin(self, state: np.ndarray) -> np.ndarray:
        """
        Return the origin (nx,), float64, that is subtracted from all states of a rollout.

        For a model with `position_names`, the origin has the positions of `state` (nx,), the start
        of the rollout, and the full turns of its angles. The differences then use all digits of
        float32, wherever the robot is. For other models, and for models with outputs, the origin is
        zero.
        """
        origin = np.zeros(len(self.state_names))
        if self.position_names and not self.output_names and np.isfinite(state).all():
            for row, name in enumerate(self.state_names):
                if name in self.position_names:
                    origin[row] = state[row]
                elif name in self.angle_names:
                    origin[row] = math.tau * round(state[row] / math.tau)
        return origin

    def set_references(self, references: Mapping[str, Reference], time: float) -> None:
        """
        Take over references, such as the pose of a goal in the model, before each plan.

        Args:
            references: the known ones by name, some of them those of `reference_sources`.
            time: when the plan begins, s, on the clock with which states are stamped.
        """

    def begin_plan(self, state: np.ndarray, action: np.ndarray, time: float) -> None:
        """
        Note the start of a plan; for models that need the past.

        The planner calls it before each plan. What the model stores must not change until the next
        call.

        Args:
            state: (nx,), the measured state, predicted to `time`.
            action: (nu,), the action applied until then.
            time: s, on any clock; it may jump.
        """

    def returns(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """
        Return the predicted return (N,) of each sequence; called if `predicts_return`.

        The arguments are those of `rollout`; all columns of `state` are the same.
        """
        raise NotImplementedError

    @property
    def rolls_out_itself(self) -> bool:
        """Whether a rollout is not just repeated calls of `step`; it is then not compiled."""
        return self.predicts_return or type(self).rollout is not Dynamics.rollout

    def check_dt(self, dt: float) -> None:
        """Raise ConfigurationError if the model cannot be used with the model step `dt`, s."""

    def warnings(self) -> list[str]:
        """Return warnings about what is allowed but probably not intended."""
        return []

    def check(self) -> None:
        """Raise ConfigurationError if names, bounds and units do not fit together."""
        self._check_names()
        self._check_methods()
        self._check_groups()
        self._check_bounds()

    def _check_names(self) -> None:
        """Raise ConfigurationError unless states, actions and outputs have names of their own."""
        name = type(self).__name__
        for what, names in (("state_names", self.state_names), ("action_names", self.action_names)):
            good = not isinstance(names, str) and all(
                isinstance(item, str) and item and "." not in item for item in names
            )
            if not names or not good or len(set(names)) < len(names):
                raise ConfigurationError(
                    f"{name}.{what} is {names!r}, expected at least one name, all different, "
                    "without dots"
                )
        outputs, signals = self.output_names, self.signal_names
        if len(set(signals)) < len(signals) or any("." in item for item in outputs):
            raise ConfigurationError(
                f"{name}.output_names is {outputs!r}, expected different names without dots, none "
                "of them a state's"
            )

    def _check_methods(self) -> None:
        """Raise ConfigurationError if a method lacks without which a declaration says nothing."""
        name, outputs = type(self).__name__, self.output_names
        if outputs and not self.rolls_out_itself and type(self).output is Dynamics.output:
            raise ConfigurationError(
                f"{name}.output_names is {outputs!r}, expected with it the method output(state)"
            )
        if self.predicts_return and type(self).returns is Dynamics.returns:
            raise ConfigurationError(
                f"{name}.predicts_return is true, expected with it the method "
                "returns(state, sequence, durations)"
            )

    def _check_groups(self) -> None:
        """Raise ConfigurationError if angles, positions or quaternions name no states."""
        name = type(self).__name__
        if any(len(quaternion) != 4 for quaternion in self.quaternion_names):
            raise ConfigurationError(
                f"{name}.quaternion_names is {self.quaternion_names!r}, expected four names for "
                "each quaternion, of w, x, y and z"
            )
        parts = [part for quaternion in self.quaternion_names for part in quaternion]
        for what, named_ones, kind, known in (
            ("angle_names", self.angle_names, "states", self.state_names),
            ("position_names", self.position_names, "states", self.state_names),
            ("quaternion_names", parts, "states or outputs", self.signal_names),
        ):
            strangers = sorted(set(named_ones) - set(known))
            if strangers:
                raise ConfigurationError(
                    f"{name}.{what} has {strangers[0]!r}, expected names of {kind}: "
                    f"{', '.join(known)}"
                )

    def _check_bounds(self) -> None:
        """Raise ConfigurationError unless each action has a unit and two finite bounds."""
        name = type(self).__name__
        for what in ("action_low", "action_high", "action_units"):
            values = getattr(self, what)
            count = len(values) if hasattr(values, "__len__") else "no"
            if count != len(self.action_names):
                raise ConfigurationError(
                    f"{name}.{what} has {count} entries, expected {len(self.action_names)}, "
                    f"for {', '.join(self.action_names)}"
                )
        for action, low, high in zip(
            self.action_names, self.action_low, self.action_high, strict=True
        ):
            are_finite = all(
                isinstance(bound, Real) and abs(bound) <= FLOAT32_MAX for bound in (low, high)
            )
            if not (are_finite and low < high):
                raise ConfigurationError(
                    f"{name} bounds its action {action!r} to [{low!r}, {high!r}], expected two "
                    "finite numbers, the smaller one first"
                )


class DifferentialEquation(Dynamics):
    """
    A model given by the time derivative of its state; `parameters` must have `INTEGRATOR`.

    In each step, Euler evaluates the derivative once, midpoint twice, and the classical Runge-Kutta
    method RK4 four times. The error of a step is of order dt^2, dt^3 and dt^5 (Hairer, Norsett,
    Wanner, Solving Ordinary Differential Equations I, II.1).
    """

    integrator: str

    def check(self) -> None:
        """Raise ConfigurationError also if INTEGRATOR is missing."""
        super().check()
        if not hasattr(self, "integrator"):
            raise ConfigurationError(
                f"{type(self).__name__}.parameters lacks 'integrator', expected INTEGRATOR of "
                f"{__name__} among them"
            )

    @abstractmethod
    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return d(state)/dt, (nx, N), in state units per second."""

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Integrate `derivative` over `dt` with a constant action."""
        return self.integrate(lambda state: self.derivative(state, action), state, dt)

    def integrate(
        self,
        derivative: Callable[[torch.Tensor], torch.Tensor],
        state: torch.Tensor,
        dt: torch.Tensor | float,
    ) -> torch.Tensor:
        """Return a state (n, N) after `dt` with the integrator, for a derivative of the state."""
        slope = derivative(state)
        if self.integrator == "euler":
            return state + dt * slope
        middle = derivative(state + 0.5 * dt * slope)
        if self.integrator == "midpoint":
            return state + dt * middle
        again = derivative(state + 0.5 * dt * middle)
        end = derivative(state + dt * again)
        return state + dt / 6.0 * (slope + 2.0 * (middle + again) + end)
