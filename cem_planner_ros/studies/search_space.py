# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The parameters of a study: their ranges, and what a trial changes."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import READ_ONLY, Parameter
from cem_planner_ros.studies.scenario import number

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MOST_STEPS = 10**6

RANGE = {"low", "high", "log", "step"}
CHOICES = {"choices"}
TIED = {"tied", "factor"}
FORMS = (
    "expected {low: A, high: B}, with log: true or step: S where wanted; {choices: [A, B]}; or "
    "{tied: PARAMETER, factor: F}"
)


@dataclass(frozen=True)
class Tie:
    """A parameter that is another one, multiplied by a factor."""

    other: str
    factor: float


@dataclass(frozen=True)
class SearchSpace:
    """
    What is searched.

    Attributes:
        distributions: Optuna's distributions of the free parameters, by name.
        ties: parameters that follow from others, by name.
        parameters: the declarations of all of these.
    """

    distributions: Mapping[str, BaseDistribution]
    ties: Mapping[str, Tie]
    parameters: Mapping[str, Parameter]

    def changes(self, base: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the parameters that a trial changes, by name.

        Args:
            base: today's values of all parameters.
            found: values of the free parameters.

        Raises ConfigurationError if a tied value is not allowed.
        """
        values = {**base, **found}
        changed = dict(found)
        for name, tie in self.ties.items():
            value, parameter = tie.factor * values[tie.other], self.parameters[name]
            changed[name] = parameter.check(value if parameter.is_float else round(value))
        return changed


def read(given: Any, configuration: Configuration) -> SearchSpace:
    """
    Return the search space of the section `parameters` of a study file.

    Raises ConfigurationError, with one line for each mistake.
    """
    if not isinstance(given, Mapping) or not given:
        raise ConfigurationError(f"'parameters' is {given!r}, expected NAME: RANGE; {FORMS}")
    distributions, ties, problems = {}, {}, []
    for name, entry in given.items():
        try:
            parameter = _declaration(str(name), configuration)
            if isinstance(entry, Mapping) and "tied" in entry:
                ties[name] = _tie(parameter, entry, configuration)
            else:
                distributions[name] = _distribution(parameter, entry)
        except ConfigurationError as error:
            problems.append(str(error))
    problems += [
        f"parameter '{name}' is tied to '{tie.other}', which is tied too: expected one that is not"
        for name, tie in ties.items()
        if tie.other in ties
    ]
    if not problems and not distributions:
        problems.append("all parameters are tied, expected one or more with a range")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return SearchSpace(
        distributions, ties, {name: configuration.parameters[name] for name in given}
    )


def _declaration(name: str, configuration: Configuration) -> Parameter:
    known = configuration.parameters
    if name not in known:
        raise ConfigurationError(loading.unknown("parameter", name, known))
    parameter = known[name]
    if parameter.when == READ_ONLY:
        raise ConfigurationError(f"parameter '{name}' is read-only, and cannot be tuned")
    if isinstance(parameter.default, list):
        raise ConfigurationError(
            f"parameter '{name}' is a list, expected one with a number, a word or true and false"
        )
    return parameter


def _distribution(parameter: Parameter, entry: Any) -> BaseDistribution:
    from optuna import distributions

    name = parameter.name
    if not isinstance(entry, Mapping) or not (set(entry) <= RANGE or set(entry) <= CHOICES):
        raise ConfigurationError(f"parameter '{name}' has the range {entry!r}, {FORMS}")
    if "choices" in entry:
        choices = entry["choices"]
        if not isinstance(choices, list) or len(choices) < 2:
            raise ConfigurationError(
                f"parameter '{name}' has the choices {choices!r}, expected a list of two or more"
            )
        checked = [parameter.check(number(choice)) for choice in choices]
        if len(set(checked)) < len(checked):
            raise ConfigurationError(f"parameter '{name}' has a choice twice: {choices!r}")
        return distributions.CategoricalDistribution(checked)
    if isinstance(parameter.default, (bool, str)) and not parameter.is_float:
        raise ConfigurationError(
            f"parameter '{name}' is no number: expected {{choices: [A, B]}}, with "
            f"{parameter.allowed}"
        )
    if not {"low", "high"} <= set(entry):
        raise ConfigurationError(f"parameter '{name}' has the range {dict(entry)!r}, {FORMS}")
    low, high = (parameter.check(number(entry[side])) for side in ("low", "high"))
    log, step = entry.get("log", False), number(entry.get("step"))
    if any(isinstance(bound, str) for bound in (low, high)) or not low < high:
        raise ConfigurationError(
            f"parameter '{name}' has an empty range from {low!r} to {high!r}, expected low < high"
        )
    if type(log) is not bool or (log and low <= 0):
        raise ConfigurationError(
            f"parameter '{name}' has the range from {low!r} to {high!r} with log {log!r}, expected "
            "true or false, and bounds above 0 with true"
        )
    if step is not None and (log or not _divides(step, low, high, parameter.is_float)):
        kind = "a number" if parameter.is_float else "an integer"
        raise ConfigurationError(
            f"parameter '{name}' has the step {step!r} and the range from {low!r} to {high!r}, "
            f"expected {kind} of which high - low is a multiple, at most {MOST_STEPS} of them, and "
            "no log beside it"
        )
    if parameter.is_float:
        return distributions.FloatDistribution(low, high, log=log, step=step)
    return distributions.IntDistribution(low, high, log=log, step=step or 1)


def _divides(step: Any, low: float, high: float, is_float: bool) -> bool:
    """Return whether a range has a whole number of steps, as decimal numbers."""
    if type(step) not in ((int, float) if is_float else (int,)):
        return False
    if not 0 < step <= high - low <= MOST_STEPS * step:
        return False
    low, high, step = (decimal.Decimal(str(number)) for number in (low, high, step))
    return (high - low) % step == 0


def _tie(parameter: Parameter, entry: Mapping, configuration: Configuration) -> Tie:
    name, other = parameter.name, str(entry["tied"])
    if set(entry) - TIED:
        raise ConfigurationError(f"parameter '{name}' is {dict(entry)!r}, {FORMS}")
    factor = Parameter(f"{name}.factor", 1.0, "").check(number(entry.get("factor", 1.0)))
    if type(parameter.default) not in (int, float) and not parameter.is_float:
        raise ConfigurationError(f"parameter '{name}' is no number, and cannot be tied")
    value = configuration.values[_declaration(other, configuration).name]
    if type(value) not in (int, float) or other == name:
        raise ConfigurationError(
            f"parameter '{name}' is tied to '{other}', expected another one that is a number"
        )
    return Tie(other, factor)
