# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Checks with the model whether the safe action keeps the plant standing still."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cem_planner_ros.dynamics.action_parameters import MEASURED
from cem_planner_ros.dynamics.base import Dynamics

DURATION = 1.0
"""Time for which the model is simulated with the safe action, s."""

STILL = 1e-2
"""Largest change of a state in that time, in its unit, that counts as standing still."""


def standstill_warnings(
    value: Mapping[str, Any], dynamics: Dynamics, device: torch.device
) -> list[str]:
    """Return warnings if the safe action moves the plant; `value` has all parameters."""
    found = []
    for name in dynamics.action_names:
        safe, rate = value[f"action.safe.{name}"], value[f"action.rate.{name}"]
        state = value[f"action.measured_by.{name}"]
        if not state or safe == MEASURED or (rate and safe):
            continue
        how = f"at {rate:g}/s" if rate else "at once, as action.rate is 0"
        found.append(
            f"action.safe.{name} is {safe:g}, one place whatever '{state}' is: when there is no "
            f"plan the command goes there {how}; {MEASURED} keeps it where it is"
        )
    if found or _is_learned(dynamics) or dynamics.rolls_out_itself:
        return found
    drift = _drift(value, dynamics, device)
    if drift is None:
        return found
    row = int(drift.abs().argmax())
    if not drift.abs()[row] <= STILL:
        actions = (f"{name} {value[f'action.safe.{name}']:g}" for name in dynamics.action_names)
        found.append(
            f"action.safe is no standstill: from rest, with {', '.join(actions)}, the model moves "
            f"'{dynamics.state_names[row]}' by {drift[row]:.3g} in {DURATION:g} s; that is what "
            "the plant does when there is no plan"
        )
    return found


def _is_learned(dynamics: Dynamics) -> bool:
    """Return whether a model comes from a file; a learned model never quite stands still."""
    return any(parameter.name == "file" for parameter in dynamics.parameters)


@torch.no_grad()
def _drift(
    value: Mapping[str, Any], dynamics: Dynamics, device: torch.device
) -> torch.Tensor | None:
    """Return the change of states (nx,) from rest under the safe action; None if it fails."""
    safe = [value[f"action.safe.{name}"] for name in dynamics.action_names]
    if MEASURED in safe:
        return None
    start = dynamics.rest_state
    try:
        rest, action, dt = (
            torch.tensor(numbers, dtype=torch.float32, device=device)
            for numbers in (start, safe, value["planner.dt"])
        )
        state = rest[:, None]
        for _ in range(max(1, round(DURATION / value["planner.dt"]))):
            state = dynamics.step(state, action[:, None], dt)
        return state[:, 0] - rest
    except Exception:  # Errors of a plugin are reported when it is tried out.
        return None
