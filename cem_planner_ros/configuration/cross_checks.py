# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Checks between values that are right one by one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from cem_planner_ros.configuration import state_sources
from cem_planner_ros.configuration.command_checks import command_problems
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.action_parameters import MEASURED, MIDDLE, REFERENCE
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import TOPIC
from cem_planner_ros.planning.planner_arguments import bounds_problem, follower, nominal_problem
from cem_planner_ros.planning.settings import Search


def search_settings(value: Mapping[str, Any], dynamics: Dynamics) -> dict[str, Any]:
    """Return the settings of `Search` from the values of all parameters."""
    names = [field.name for field in fields(Search) if f"planner.{field.name}" in value]
    settings = {name: value[f"planner.{name}"] for name in names}
    own = (value[f"action.noise_beta.{name}"] for name in dynamics.action_names)
    settings["noise_beta"] = tuple(settings["noise_beta"] if b < 0 else b for b in own)
    return settings | {"proposals": value["policy.candidates"]}


def cross_check(
    value: Mapping[str, Any],
    dynamics: Dynamics,
    costs: Mapping[str, Cost],
    wrong: Collection[str] = (),
) -> list[str]:
    """
    Return the mistakes between values that are right one by one.

    `wrong` has the names of values that are wrong by themselves. For example, fields of a message
    of unknown type are not checked.
    """
    problems = []
    for check in (
        lambda: Search(**search_settings(value, dynamics)),
        lambda: dynamics.check_dt(value["planner.dt"]),
    ):
        try:
            check()
        except ConfigurationError as error:
            problems.append(str(error))
    for name in dynamics.action_names:
        problems += _action_problems(value, dynamics, costs, name)
    problems += _variant_problems(value, dynamics)
    if (value["policy.candidates"] or value["fallback"] == "policy") and not value["policy.file"]:
        problems.append(
            "parameter 'policy.file' is missing, allowed with policy.candidates or fallback "
            "policy: a YAML file that `search-policy` wrote"
        )
    try:
        cpu_set(value["realtime.cpus"])
    except ConfigurationError as error:
        problems.append(str(error))
    latest = value["budget_fraction"] - 0.1
    if value["command_phase"] > max(0.0, latest) + 1e-9:
        problems.append(
            f"parameter 'command_phase' is {value['command_phase']}, allowed: at most "
            f"budget_fraction less 0.1, which is {latest:g}"
        )
    if not value["costs"]:
        problems.append("parameter 'costs' is [], allowed: at least one name")
    problems += state_sources.problems(value, dynamics.state_names, wrong)
    problems += command_problems(value, dynamics, wrong)
    topics = [f"{prefix}.topic" for prefix in state_sources.prefixes(value).values()]
    for name in (*topics, "command.topic"):
        if not re.fullmatch(TOPIC, value[name]):
            problems.append(
                f"parameter '{name}' is {value[name]!r}, allowed: a ROS topic name, such as "
                "joint_states, /robot/joint_states or ~/states"
            )
    return problems


def _action_problems(
    value: Mapping[str, Any], dynamics: Dynamics, costs: Mapping[str, Cost], name: str
) -> list[str]:
    """Return the mistakes of the parameters of an action."""
    problems = []
    low, high, safe = (value[f"action.{group}.{name}"] for group in ("low", "high", "safe"))
    problem = bounds_problem(name, low, high)
    if problem:
        problems.append(problem)
    elif safe != MEASURED and not low <= safe <= high:
        problems.append(
            f"parameter 'action.safe.{name}' is {safe}, allowed: from action.low.{name} to "
            f"action.high.{name}, which are {low} and {high}"
        )
    state = value[f"action.measured_by.{name}"]
    if state and state not in dynamics.state_names:
        problems.append(
            f"parameter 'action.measured_by.{name}' is {state!r}, allowed: one of the states "
            f"{', '.join(dynamics.state_names)}, or empty"
        )
    elif safe == MEASURED and not state:
        problems.append(
            f"parameter 'action.safe.{name}' is {MEASURED}, allowed with "
            f"action.measured_by.{name}, the state that measures what {name} commands"
        )
    return problems + _nominal_problems(value, dynamics, costs, name)


def _variant_problems(value: Mapping[str, Any], dynamics: Dynamics) -> list[str]:
    """Return why a model cannot have variants, if it is to have some."""
    if value["randomisation.samples"] == 1:
        return []
    for it_has, what in (
        (dynamics.members > 1, "has members already"),
        (not dynamics.numbers, "has no numbers"),
        (dynamics.rolls_out_itself, "rolls out by itself"),
        (type(dynamics).begin_plan is not Dynamics.begin_plan, "remembers what came before"),
    ):
        if it_has:
            return [
                f"parameter 'randomisation.samples' is {value['randomisation.samples']}, "
                f"allowed: 1, as {value['dynamics.plugin']} {what}"
            ]
    return []


def _nominal_problems(
    value: Mapping[str, Any], dynamics: Dynamics, costs: Mapping[str, Cost], name: str
) -> list[str]:
    """Return the mistakes of the nominal value of an action."""
    given = value[f"action.nominal.{name}"]
    if given == MIDDLE:
        return []
    state = value[f"action.measured_by.{name}"]
    if given == REFERENCE and state in dynamics.state_names:
        try:
            follower(name, state, list(costs.values()))
        except ConfigurationError as error:
            return [str(error)]
    if given in (MEASURED, REFERENCE):
        if state:
            return []
        return [
            f"parameter 'action.nominal.{name}' is {given}, allowed with "
            f"action.measured_by.{name}, the state that measures what {name} commands"
        ]
    number = given
    if isinstance(given, str):
        number = dynamics.named_actions[given][dynamics.action_names.index(name)]
        given = f"{given} ({number:g})"
    bounds = (value[f"action.{group}.{name}"] for group in ("low", "high"))
    problem = nominal_problem(name, given, number, *bounds)
    return [problem] if problem else []


def cpu_set(text: str) -> set[int]:
    """
    Return the set of CPUs in a text such as "0 2" or "0,2".

    Raises ConfigurationError if the text is not a list of numbers.
    """
    try:
        return {int(number) for number in text.replace(",", " ").split()}
    except ValueError:
        raise ConfigurationError(
            f"parameter 'realtime.cpus' is {text!r}, allowed: numbers of CPUs, such as '2 3'"
        ) from None
