# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The interface of a cost plugin."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.references import ReferenceSource
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.plugins.parameter import Parameter, Parameterised

INPUTS = ("goal", "path", "costmap", "moving_obstacles")
"""Inputs from the surroundings that a cost may use."""


class Cost(Parameterised, ABC):
    """
    One term of the cost of a candidate; the planner adds the terms of all cost plugins.

    A subclass declares `parameters`, or `parameters_for` if they depend on the names of the model.
    It implements `stage`, `terminal` or both, in plain PyTorch. Samples are the last dimension. The
    cost of a sample must not depend on other samples.

    Args:
        dynamics: the model whose states and actions are evaluated.
        values: parameter values by name; other parameters have their defaults.
        device: the device of the parameter tensors.

    Raises ConfigurationError for an unknown name or a value that is not allowed.
    """

    inputs: tuple[str, ...] = ()
    """
    What it has to know of the surroundings, of INPUTS; without that the robot does not drive.

    One that names the costmap has a `robot_footprint`.
    """
    places: tuple[str, ...] | None = None
    """
    Its parameters that are places, with a number for each state; () if there are none.

    It then works with states of which `origin` is subtracted: so do the tensors of `places`, and
    `prepare` subtracts it from whatever else is a position. None if it needs states as they are:
    then nothing is subtracted for any cost of the planner.
    """
    reads_outputs: bool = False
    """
    Whether `stage` and `terminal` get signals (nx + ny, N): the states, and the model's outputs
    below them, in the order of `Dynamics.signal_names`. Without outputs, signals are the states.
    """
    reads_previous_state: bool = False
    """
    Whether `stage` gets a fifth argument: the state (nx, N) at the beginning of the step.

    It has no outputs, which a model may know only after a step.
    """
    takes_times: bool = False
    """
    Whether `stage` also takes times (N,), one for each sample, and not only one for all of them.

    The steps of a model that rolls out itself are then evaluated faster.
    """
    reference_source: ReferenceSource | None = None
    """
    From which topic it gets a reference; None without one.

    `prepare` finds the reference in `surroundings.references`, by the name of the cost.
    """
    robot_footprint: Footprint | None = None
    """The outline of the robot that its parameters give; the stop guard uses the same one."""

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        self.parameters = self.parameters_for(dynamics)
        super().__init__(values or {}, device)
        self._state_names = dynamics.state_names
        self.origin = np.zeros(len(dynamics.state_names))
        """What is subtracted from the states of candidates (nx,), `Dynamics.origin` or zero."""
        self.edges = np.zeros(1)
        """Times of the edges of the plan's steps (H + 1,), s from the start of the plan."""

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return the parameters of this cost for a model."""
        return cls.parameters

    def set_bounds(self, low: np.ndarray, high: np.ndarray) -> None:
        """Take over the bounds (nu,) of actions; called whenever the planner is tuned."""

    def set_origin(self, origin: np.ndarray) -> None:
        """Subtract an origin (nx,) from the states of candidates; called before `prepare`."""
        if self.places and (origin.any() or self.origin.any()):
            rows = np.flatnonzero((origin != 0.0) | (self.origin != 0.0))
            for place in self.places:
                for row in rows:
                    self.subtract(f"{place}.{self._state_names[row]}", origin[row])
        self.origin = origin

    def set_edges(self, edges: np.ndarray) -> None:
        """
        Take over the times (H + 1,), s from the start of the plan, of the edges of its steps.

        Step k ends at `edges[k + 1]`, which is the `time` that `stage` receives for it. The planner
        calls it when it is made, and before each `prepare`; H stays the same.
        """
        self.edges = edges

    def prepare(self, state: np.ndarray, time: float, surroundings: Surroundings) -> None:
        """
        Update tensors of the cost, best those of `PlanInputs`, in place.

        The planner calls it before each plan, in the planner thread.

        Args:
            state: (nx,), the state in which all candidates begin; `origin` is not subtracted.
            time: when the plan begins, s, on the clock with which states are stamped. In the node
                this is ROS time, about 1.7e9, which float32 cannot resolve. It jumps when the clock
                is set.
            surroundings: the goal, path, costmap and moving obstacles that are known now.
        """

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """
        Return the cost (N,) of one model step.

        The planner adds the stage costs over the horizon, each multiplied by the step's length /
        dt.

        Args:
            state: (nx, N), at the end of the step; signals (nx + ny, N) if `reads_outputs`.
            action: (nu, N), held during the step.
            previous_action: (nu, N), held during the previous step.
            time: 0-d, s from the start of the plan to the end of the step.
        """
        return torch.zeros_like(state[0])

    def asked_for(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the arguments of `stage`: those given, of which the last is the previous state."""
        return given if self.reads_previous_state else given[:-1]

    def terminal(self, state: torch.Tensor) -> torch.Tensor:
        """Return the cost (N,) of the state (nx, N) at the end of the horizon."""
        return torch.zeros_like(state[0])


def rows_of(dynamics: Dynamics, *names: str, outputs: bool = False) -> list[int]:
    """
    Return the rows of states, or with `outputs` of signals, by name.

    Raises ConfigurationError if the model lacks one.
    """
    known, what = dynamics.state_names, "state"
    if outputs:
        known, what = dynamics.signal_names, "state or output"
    missing = [name for name in names if name not in known]
    if missing:
        raise ConfigurationError(
            f"needs the {what} '{missing[0]}', the model has: {', '.join(known)}"
        )
    return [known.index(name) for name in names]
