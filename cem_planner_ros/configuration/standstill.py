"""Whether the safe action lets the plant stand still, as far as the model knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cem_planner_ros.dynamics.base import MEASURED, Dynamics

DURATION = 1.0
"""s for which the model is let alone with the safe action."""

STILL = 1e-2
"""Change of a state in that time, in its unit, that is none."""


def standstill_warnings(
    value: Mapping[str, Any], dynamics: Dynamics, device: torch.device
) -> list[str]:
    """Return what moves the plant though no plan may be used; `value` is of all parameters."""
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
    """Return whether a model comes from a file: one that was learned never quite stands still."""
    return any(parameter.name == "file" for parameter in dynamics.parameters)


@torch.no_grad()
def _drift(
    value: Mapping[str, Any], dynamics: Dynamics, device: torch.device
) -> torch.Tensor | None:
    """Return how states (nx,) change from rest with the safe action; None if that fails."""
    safe = [value[f"action.safe.{name}"] for name in dynamics.action_names]
    if MEASURED in safe:
        return None
    # All zero, but for quaternions, of which that is none.
    start = [float(name == "qw" or name.endswith("_qw")) for name in dynamics.state_names]
    try:
        rest, action, dt = (
            torch.tensor(numbers, dtype=torch.float32, device=device)
            for numbers in (start, safe, value["planner.dt"])
        )
        state = rest[:, None]
        for _ in range(max(1, round(DURATION / value["planner.dt"]))):
            state = dynamics.step(state, action[:, None], dt)
        return state[:, 0] - rest
    except Exception:  # What is wrong with a plugin is said when it is tried out.
        return None
