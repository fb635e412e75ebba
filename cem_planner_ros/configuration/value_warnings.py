# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Warnings about values that are allowed, but have no effect or are probably not intended."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from cem_planner_ros.configuration import state_sources
from cem_planner_ros.configuration.command_checks import (
    integration_warnings,
    std_warnings,
    unit_warnings,
)
from cem_planner_ros.configuration.reference_checks import reference_warnings
from cem_planner_ros.configuration.standstill import standstill_warnings
from cem_planner_ros.configuration.topic_checks import absolute, topic_warnings
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.plugins.checking import ATTEMPTS, FAR, costs_nothing

LONGEST_HELD = 2.0
"""Number of model steps for which a command may be held without a warning."""

LONG = 50.0
"""Reach of a footprint, m, above which it is probably in another unit."""


def warnings(
    value: Mapping[str, Any],
    dynamics: Dynamics,
    costs: Mapping[str, Cost],
    device: torch.device,
    resolve: Callable[[str], str] = absolute,
) -> list[str]:
    """
    Return warnings about values that have no effect or are probably not intended.

    `resolve` returns the absolute name of a topic of the node.
    """
    return [
        *dynamics.warnings(),
        *state_sources.warnings(value),
        *_action_warnings(value, dynamics),
        *standstill_warnings(value, dynamics, device),
        *integration_warnings(value, dynamics),
        *unit_warnings(value, dynamics),
        *_footprint_warnings(costs),
        *reference_warnings(value, dynamics, costs),
        *topic_warnings(value, dynamics, costs, resolve),
        *_variant_warnings(value, dynamics),
        *_rate_warnings(value),
        *_cost_warnings(value, dynamics, costs, device),
    ]


def _action_warnings(value: Mapping[str, Any], dynamics: Dynamics) -> list[str]:
    """Return warnings about the width of the search, and about bounds that are a guess."""
    found: list[str] = []
    guesses: dict[tuple[float, float], list[str]] = {}
    for name, low, high in zip(
        dynamics.action_names, dynamics.action_low, dynamics.action_high, strict=True
    ):
        is_default = (value[f"action.low.{name}"], value[f"action.high.{name}"]) == (low, high)
        if name in dynamics.guessed_actions and is_default:
            guesses.setdefault((low, high), []).append(name)
        found += std_warnings(value, name)
    found += [
        f"action.low and action.high of {', '.join(names)} are {low:g} and {high:g}, a guess: the "
        "model's file gives no control range (ctrlrange); set both to what the actuator takes"
        for (low, high), names in guesses.items()
    ]
    return found


def _footprint_warnings(costs: Mapping[str, Cost]) -> list[str]:
    """Return warnings about footprints that are probably not in m."""
    return [
        f"the footprint of the cost '{name}' reaches {cost.robot_footprint.reach:.3g} m from the "
        "robot's origin: its corners and its radius are in m"
        for name, cost in costs.items()
        if cost.robot_footprint is not None and cost.robot_footprint.reach > LONG
    ]


def _variant_warnings(value: Mapping[str, Any], dynamics: Dynamics) -> list[str]:
    """Return warnings about variants that do not differ, and about a risk without variants."""
    variants, found = value["randomisation.samples"], []
    spreads = {name: value[f"randomisation.spread.{name}"] for name in dynamics.numbers}
    if variants > 1 and not any(spreads.values()):
        found.append(
            f"randomisation.samples is {variants}, but every randomisation.spread is 0: the "
            "variants are all the same"
        )
    for name, spread in spreads.items():
        given = f"randomisation.spread.{name} is {spread}"
        if spread and variants == 1:
            found.append(f"{given}, but randomisation.samples is 1: there are no variants")
        elif spread and value[f"dynamics.{name}"] == 0.0:
            found.append(f"{given}, but dynamics.{name} is 0, and so it is in every variant")
    if value["planner.risk"] != "mean" and variants == dynamics.members == 1:
        found.append(
            f"planner.risk is {value['planner.risk']}, but the model is one: it has no members "
            "(randomisation.samples, or an ensemble)"
        )
    return found


def _rate_warnings(value: Mapping[str, Any]) -> list[str]:
    """Return warnings about rates of commands that do not fit together."""
    found = []
    if 0.0 < value["command.rate"] <= value["control_rate"]:
        found.append(
            f"command.rate is {value['command.rate']:g} Hz, not above control_rate, which is "
            f"{value['control_rate']:g} Hz: it has no effect; raise it, or set it to 0"
        )
    period = 1.0 / max(value["control_rate"], value["command.rate"])
    dt = value["planner.dt"]
    if period > LONGEST_HELD * dt * (1.0 + 1e-9):
        found.append(
            f"control_rate is {value['control_rate']:.4g} Hz, so each command is held for "
            f"{period:.4g} s, which is {period / dt:.3g} steps of planner.dt ({dt:.4g} s), but the "
            "plan changes the action in each step: raise control_rate, or raise planner.dt to "
            f"{period:.4g} s and lower planner.horizon"
        )
    return found


def _cost_warnings(
    value: Mapping[str, Any],
    dynamics: Dynamics,
    costs: Mapping[str, Cost],
    device: torch.device,
) -> list[str]:
    """Return warnings about costs that are 0 everywhere, or above 0 everywhere."""
    found = []
    for name, cost in costs.items():
        kind = type(cost)
        if kind.stage is Cost.stage and kind.terminal is Cost.terminal:
            found.append(
                f"the cost '{name}' is always 0: {kind.__name__} has neither stage nor terminal, "
                "expected at least one of them"
            )
        elif not cost.inputs and costs_nothing(cost, dynamics, device):
            found.append(
                f"the cost '{name}' is 0 in each of {ATTEMPTS} random states up to {FAR:g} from "
                "zero: are its weights or its tolerances 0?"
            )
        for number in cost.numbers:
            low, high = f"{name}.{number}", f"{name}.{number.replace('low.', 'high.', 1)}"
            if number.startswith("low.") and value[low] > value.get(high, math.inf):
                found.append(
                    f"{low} is {value[low]}, above {high}, which is {value[high]}: every state "
                    "costs"
                )
    return found
