# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Checks the values of parameters and loads the plugins; reports all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cem_planner_ros.configuration.cross_checks import cross_check
from cem_planner_ros.configuration.driving_checks import (
    driving_problems,
    driving_topic_problems,
    follow_path_problems,
)
from cem_planner_ros.configuration.driving_table import (
    DRIVING,
    FOLLOW_PATH,
    GOAL_CHECKER,
    PROGRESS_CHECKER,
)
from cem_planner_ros.configuration.policy_checks import policy_problems
from cem_planner_ros.configuration.reference_checks import reference_problems
from cem_planner_ros.configuration.state_sources import (
    SOURCE,
    field_parameters,
    name_problems,
    of_no_source,
    spelled_out,
)
from cem_planner_ros.configuration.table import RENAMED, TABLE
from cem_planner_ros.configuration.values import Configuration, in_file
from cem_planner_ros.configuration.yaml_files import ROS_PARAMETERS, load_yaml
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.action_parameters import action_parameters
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError, describe, did_you_mean
from cem_planner_ros.fields import COMMAND_TYPES, MULTI_ARRAY, NUMBER
from cem_planner_ros.paths import find, share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.planner_arguments import usable_device
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter, named, with_entries
from cem_planner_ros.policies.linear_policy import load as load_policy

_RESERVED = {parameter.name.partition(".")[0] for parameter in (*TABLE, *DRIVING)} | {"action"}


def configure(
    values: Mapping[str, Any], file: str = "", leftover: Collection[str] = ()
) -> Configuration:
    """
    Check the values of parameters and load the plugins that they name.

    Args:
        values: values by full name ("planner.samples"); others have their defaults.
        file: source of the values, for messages.
        leftover: unknown names to ignore, such as those of the previous model.

    Raises ConfigurationError with one line for each mistake.
    """
    try:
        return replace(_configure(values, leftover), file=file)
    except ConfigurationError as error:
        raise in_file(error, file) from error


def load(file: str | Path, **values: Any) -> Planner:
    """
    Make the planner of a YAML file.

    Args:
        file: a path, or the name of a file in the package's folder `config`.
        **values: parameters that replace those of the file; a dot in a name is written as two
            underscores, as in `planner__samples=512`.

    Raises ConfigurationError with one line for each mistake.
    """
    path = Path(file) if Path(file).exists() else share("config") / file
    changed = {name.replace("__", "."): value for name, value in values.items()}
    return configure(load_yaml(path) | changed, str(path)).planner()


def _configure(values: Mapping[str, Any], leftover: Collection[str]) -> Configuration:
    found = _Checked(values)
    found.declare(TABLE)
    _declare_sources(found)
    device = _device(found)
    dynamics = found.plugin(
        "dynamics",
        "dynamics",
        lambda cls: cls.parameters,
        lambda cls, own: cls(own, device=device),
    )
    costs: dict[str, Cost] = {}
    if isinstance(dynamics, Dynamics):
        _declare_of_model(found, dynamics)
        costs = _costs(found, dynamics, device)
        inputs = {name for cost in costs.values() for name in cost.inputs}
        if inputs:
            _declare_driving(found, dynamics, costs, inputs)
        found.problems += _unknown_problems(found, costs, leftover)
        found.problems += cross_check(found.checked, dynamics, costs, found.wrong)
        found.problems += policy_problems(found.checked, dynamics, costs)
        found.problems += reference_problems(costs)
    if found.problems:
        raise ConfigurationError("\n".join(found.problems), found.parameters)
    assert isinstance(dynamics, Dynamics)  # Else there is a problem.
    file = found.checked["policy.file"]
    policy = load_policy(find(file)) if file else None
    return Configuration(found.checked, found.parameters, dynamics, costs, device, policy)


class _Checked:
    """
    The parameters that are known so far, and what is wrong with their values.

    Attributes:
        values: what was given, by full name.
        parameters: what was declared, by full name.
        checked: the value of each parameter, or its default if the value is wrong.
        wrong: names of parameters with wrong values.
        problems: one line for each mistake.
    """

    def __init__(self, values: Mapping[str, Any]):
        self.values = spelled_out(
            {
                name: value
                for name, value in values.items()
                if name.partition(".")[0] not in ROS_PARAMETERS
            }
        )
        self.parameters: dict[str, Parameter] = {}
        self.checked: dict[str, Any] = {}
        self.wrong: set[str] = set()
        self.problems: list[str] = []

    def declare(self, declared: Iterable[Parameter]) -> None:
        """Check the values of parameters."""
        for parameter in declared:
            name = parameter.name
            self.parameters[name] = parameter
            try:
                self.checked[name] = parameter.check(self.values.get(name, parameter.default))
            except ConfigurationError as error:
                self.problems.append(str(error))
                self.wrong.add(name)
                self.checked[name] = parameter.default

    def plugin(
        self,
        kind: str,
        prefix: str,
        declared_by: Callable[[Any], Sequence[Parameter]],
        make: Callable[[Any, dict[str, Any]], Dynamics | Cost],
    ) -> Dynamics | Cost | None:
        """
        Load the plugin that PREFIX.plugin names, and make it; None if that cannot be.

        Args:
            kind: "dynamics" or "costs".
            prefix: of the names of its parameters.
            declared_by: returns the parameters of its class.
            make: returns an instance, given the class and the values of its parameters.
        """
        name = self.checked[f"{prefix}.plugin"]
        try:
            plugin_class = loading.load(kind, name)
            declared = declared_by(plugin_class)
            under = [parameter.under(prefix) for parameter in declared]
            for parameter in under:
                if parameter.has_entries:
                    self.values = with_entries(self.values, parameter.name)
            self.declare(under)
            made = make(
                plugin_class, {p.name: self.checked[f"{prefix}.{p.name}"] for p in declared}
            )
            if "_numbers" not in vars(made):
                raise ConfigurationError(
                    f"{type(made).__name__}.__init__ does not call super().__init__, expected that "
                    "it does, with what it was given"
                )
            made.instance = prefix
            if isinstance(made, Dynamics):
                made.check()
            return made
        except ConfigurationError as error:
            self.problems.append(_of_plugin(prefix, str(error), self.parameters))
        except (Exception, SystemExit) as error:  # A plugin's constructor may raise any error.
            self.problems.append(
                f"parameter '{prefix}.plugin': {name!r} cannot be made: {describe(error)}"
            )
        return None


def _declare_sources(found: _Checked) -> None:
    """Declare the parameters of each source of the state; none if a name of one is wrong."""
    problems = name_problems(found.checked["state.sources"])
    if problems:
        found.problems += problems
        found.wrong.add("state.sources")
        found.checked["state.sources"] = []
    for name in found.checked["state.sources"]:
        found.declare(parameter.under(f"state.{name}") for parameter in SOURCE)


def _device(found: _Checked) -> torch.device:
    """Return the device to plan on; the CPU if the wanted one cannot be used."""
    try:
        return usable_device(found.checked["planner.device"])
    except ConfigurationError as error:
        found.problems.append(str(error))
        return torch.device("cpu")


def _declare_of_model(found: _Checked, dynamics: Dynamics) -> None:
    """Declare what depends on the states and actions of the model."""
    found.declare(action_parameters(dynamics))
    found.declare(_low_passes(dynamics))
    found.declare(_spreads(dynamics))
    found.declare(field_parameters(found.checked, found.values, dynamics.state_names))
    found.declare(_command_fields(found.checked["command.type"], dynamics.action_names))
    found.declare(_integrals(dynamics))


def _costs(found: _Checked, dynamics: Dynamics, device: torch.device) -> dict[str, Cost]:
    """Return the costs by name, without those that cannot be made."""
    names, costs = found.checked["costs"], {}
    for name in names:
        if name in _RESERVED or "." in name or name in costs:
            found.problems.append(
                f"parameter 'costs' is {names!r}, allowed: different names without a dot, none of "
                f"{', '.join(sorted(_RESERVED))}"
            )
            break
        found.declare([_cost_plugin(name)])
        cost = found.plugin(
            "costs",
            name,
            lambda cls: cls.parameters_for(dynamics),
            lambda cls, own: cls(dynamics, own, device=device),
        )
        if isinstance(cost, Cost):
            costs[name] = cost
    return costs


def _declare_driving(
    found: _Checked, dynamics: Dynamics, costs: Mapping[str, Cost], inputs: Collection[str]
) -> None:
    """Declare the parameters of a mobile robot, whose costs use `inputs`."""
    checked = found.checked
    found.declare(DRIVING)
    found.problems += driving_problems(dynamics, costs)
    found.problems += driving_topic_problems(checked, inputs)
    if not checked["drive.follow_path"]:
        return
    found.declare(FOLLOW_PATH)
    found.problems += follow_path_problems(checked, costs)
    for kind, declared in (("goal", GOAL_CHECKER), ("progress", PROGRESS_CHECKER)):
        for name in checked[f"{kind}_checker_plugins"]:
            found.declare(parameter.under(name) for parameter in declared)


def _unknown_problems(
    found: _Checked, costs: Collection[str], leftover: Collection[str]
) -> list[str]:
    """Return the mistakes of values whose names are unknown, except for `leftover`."""
    problems, values, checked = [], found.values, found.checked
    unknown = set(values) - set(found.parameters) - set(leftover)
    for name in sorted({name.partition(".")[0] for name in unknown if ".plugin" in name}):
        unknown = {other for other in unknown if not other.startswith(f"{name}.")}
        if not isinstance(values.get("costs"), list):
            continue
        hint = did_you_mean(name, [*checked["costs"], "dynamics"])
        problems.append(
            f"parameter '{name}.plugin' is given, but 'costs', which is {checked['costs']!r}, "
            f"does not name '{name}'{hint}"
        )
    # Parameters of a cost with a broken plugin are not unknown, only not known yet.
    broken = tuple(f"{name}." for name in checked["costs"] if name not in costs)
    unknown = {name for name in unknown if not name.startswith(broken)}
    if broken:  # A broken cost may be the one for which the robot has to know its surroundings.
        unknown -= {parameter.name for parameter in (*DRIVING, *FOLLOW_PATH)}
    strays = of_no_source(unknown, checked["state.sources"])
    unknown = {name for name in unknown if not name.startswith(tuple(strays))}
    if "state.sources" not in found.wrong:
        problems += strays.values()
    return problems + _misspelt_problems(unknown, values, found.parameters)


def _misspelt_problems(
    names: Collection[str], values: Mapping[str, Any], known: Collection[str]
) -> list[str]:
    """Return the mistakes of misspelt or renamed parameters; one for a whole unknown section."""
    sections: dict[str, list[str]] = {}
    for name in sorted(names):
        sections.setdefault(name.partition(".")[0], []).append(name)
    known_sections = {name.partition(".")[0] for name in known if "." in name}
    problems = []
    for section, inside in sections.items():
        if len(inside) > 1 and section not in known_sections:
            problems.append(
                loading.unknown("section", section, known_sections)
                + f" (it holds {', '.join(inside)})"
            )
            continue
        problems += [
            f"parameter '{name}' is now called {RENAMED[name]}"
            if name in RENAMED
            else loading.unknown("parameter", name, known) + f" (its value is {values[name]!r})"
            for name in inside
        ]
    return problems


def _command_fields(type_name: str, names: Sequence[str]) -> list[Parameter]:
    """Return the parameters that name the message field of each action."""
    grammar = COMMAND_TYPES[type_name]
    defaults = {
        name: {MULTI_ARRAY: f"data[{index}]", NUMBER: "data"}.get(grammar, "")
        for index, name in enumerate(names)
    }
    return [
        Parameter(
            f"command.fields.{name}",
            defaults[name],
            f"Field of the command message that is {name}: {grammar.words}.",
            when=INACTIVE,
        )
        for name in names
    ]


def _integrals(dynamics: Dynamics) -> list[Parameter]:
    """Return the parameters of actions that are speeds and sent as positions."""
    text = (
        "Name of the state whose speed {name} is. If given, the position that follows from {name} "
        "is sent, beginning at the measured one. If empty, {name} is sent."
    )
    return [
        Parameter(f"command.integrate.{name}", "", text.format(name=name), when=INACTIVE)
        for name in dynamics.action_names
    ]


def _low_passes(dynamics: Dynamics) -> tuple[Parameter, ...]:
    """Return the parameters of the low-pass of commands."""
    text = "Time constant of a low-pass on the {name} that is sent; 0 for none."
    limits = {"unit": "s", "low": 0.0, "high": 10.0}
    return named("action.low_pass", dynamics.action_names, 0.0, text, **limits)


def _spreads(dynamics: Dynamics) -> tuple[Parameter, ...]:
    """Return the parameters of the spread of numbers between variants."""
    text = "Share of the model's {name} by which its variants differ at most."
    limits = {"low": 0.0, "high": 0.99, "when": INACTIVE}
    return named("randomisation.spread", dynamics.numbers, 0.0, text, **limits)


def _cost_plugin(name: str) -> Parameter:
    text = "The cost: an installed plugin or package.module:Class."
    return Parameter(f"{name}.plugin", "quadratic", text, when=INACTIVE)


def _of_plugin(prefix: str, problem: str, known: Collection[str]) -> str:
    """Return what a plugin says is wrong, with the whole name of the parameter that it names."""
    match = re.match(r"parameter '([^']*)'", problem)
    if match and f"{prefix}.{match[1]}" in known:
        return f"parameter '{prefix}.{match[1]}'{problem[match.end() :]}"
    return f"parameter '{prefix}.plugin': {problem}"
