# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Reads the file of a study: what is tuned, in which scenarios, for which objectives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import Parameter
from cem_planner_ros.studies import scenario as scenarios
from cem_planner_ros.studies import search_space
from cem_planner_ros.studies.episode import reported
from cem_planner_ros.studies.objectives import OBJECTIVES
from cem_planner_ros.studies.scenario import RECORDING, StudyScenario, number
from cem_planner_ros.studies.search_space import SearchSpace

SAMPLERS = ("tpe", "cmaes", "nsga2", "random")
FOR_SEVERAL = ("tpe", "nsga2", "random")

SCALARS = {
    parameter.name: parameter
    for parameter in (
        Parameter("config", "", "YAML file that is tuned."),
        Parameter("trials", 100, "Number of trials.", low=1, high=10**6),
        Parameter("sampler", "", "Optuna's sampler.", choices=("", *SAMPLERS)),
        Parameter("seed", 0, "Seed of the sampler.", low=0, high=2**31 - 1),
        Parameter("batch", 10, "Trials of a batch.", low=2, high=10**5),
        Parameter("prune", False, "Whether hopeless trials end early."),
        Parameter("cpus", 1.0, "CPUs of a task on Ray.", low=0.0, high=1e4),
        Parameter("gpus", 0.0, "Share of a GPU, or GPUs, of a task on Ray.", low=0.0, high=1e3),
    )
}
"""The settings of a study that are one value."""

SECTIONS = ("parameters", "scenarios", "objectives", "limits")

LENGTHS = {"planner.horizon", "planner.dt"}
"""The parameters that say how far a plan looks ahead."""

NOT_COMPARED = ("trials", "cpus", "gpus")
"""Settings that may change while a study is stopped."""


@dataclass(frozen=True)
class StudyFile:
    """
    A study.

    Attributes:
        name: of the file, without its ending.
        base: configuration with today's values.
        file: the YAML that is tuned.
        today: the values that this file gives.
        run: these values as episodes have them, on the CPU unless a task has a GPU.
        space: what is searched.
        scenarios: what an episode simulates.
        objectives: names, of OBJECTIVES.
        limits: {objective: limit}, which no episode may exceed.
        trials: number of trials.
        sampler: one of SAMPLERS.
        seed: of the sampler.
        batch: trials that are asked for together.
        prune: whether hopeless trials end early.
        cpus, gpus: what a task on Ray needs.
        identity: what must be equal when a study is continued, as JSON by name.
    """

    name: str
    base: Configuration
    file: str
    today: Mapping[str, Any]
    run: Mapping[str, Any]
    space: SearchSpace
    scenarios: tuple[StudyScenario, ...]
    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    trials: int
    sampler: str
    seed: int
    batch: int
    prune: bool
    cpus: float
    gpus: float
    identity: Mapping[str, str]


def read(file: Path) -> StudyFile:
    """
    Return the study of a file, given its path, or its name in the folder config/studies.

    Raises ConfigurationError, with the file, for what cannot work.
    """
    shipped = share("config") / "studies" / file
    if not file.exists() and shipped.is_file():
        file = shipped
    try:
        given = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file}: not valid YAML: {error}") from error
    try:
        return _study(file, given)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error


def _study(file: Path, given: Any) -> StudyFile:
    known = {*SCALARS, *SECTIONS}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"expected {', '.join(sorted(known))}, each with ': VALUE'")
    for name in given:
        if name not in known:
            raise ConfigurationError(
                loading.unknown("setting of a study", str(name), known)
                + f" (known: {', '.join(sorted(known))})"
            )
    values = {name: p.check(number(given.get(name, p.default))) for name, p in SCALARS.items()}
    config = _config(file, values["config"])
    today = load_yaml(config)
    run = today if values["gpus"] else {**today, "planner.device": "cpu"}
    base = configure(run, config)
    space = search_space.read(given.get("parameters"), base)
    found = _scenarios(given.get("scenarios"), base, file.parent)
    objectives = _objectives(given.get("objectives"), found, base)
    limits = _limits(given.get("limits", {}), found, base)
    _check_lengths(space, found)
    _check_sampler(values, objectives)
    sampler = values["sampler"] or ("tpe" if len(objectives) == 1 else "nsga2")
    compared = {**given, "sampler": sampler, "batch": values["batch"], "seed": values["seed"]}
    compared = {name: value for name, value in compared.items() if name not in NOT_COMPARED}
    identity = {name: json.dumps(value, sort_keys=True) for name, value in compared.items()}
    identity["the values of its config"] = json.dumps(today, sort_keys=True)
    return StudyFile(
        name=file.stem,
        base=base,
        file=config,
        today=today,
        run=run,
        space=space,
        scenarios=found,
        objectives=objectives,
        limits=limits,
        sampler=sampler,
        **{name: values[name] for name in ("trials", "seed", "batch", "prune", "cpus", "gpus")},
        identity=identity,
    )


def _config(file: Path, name: str) -> str:
    """Return the file that is tuned."""
    if not name:
        raise ConfigurationError("'config' is missing: expected the YAML file that is tuned")
    places = [file.parent / name, Path(name).expanduser(), share("config") / name]
    for place in places:
        if place.is_file() and not place.samefile(file):
            return str(place)
    raise ConfigurationError(
        f"'config' is {name!r}, which is no file beside the study, here, or in {share('config')}"
    )


def _scenarios(given: Any, base: Configuration, folder: Path) -> tuple[StudyScenario, ...]:
    if not isinstance(given, list) or not given:
        raise ConfigurationError("'scenarios' is missing: expected a list of one or more")
    found: list[StudyScenario] = []
    for number_, entry in enumerate(given, start=1):
        try:
            found += scenarios.read(entry, base, folder)
        except ConfigurationError as error:
            raise ConfigurationError(f"scenario {number_}: {error}") from error
        for one in found:
            if one.set:
                configure({**base.values, **one.set}, base.file)
    names = [scenario.name for scenario in found]
    if len(set(names)) < len(names):
        raise ConfigurationError(
            f"two scenarios have one name ({', '.join(names)}): expected a 'name' for each"
        )
    if not any(scenario.seeds for scenario in found):
        raise ConfigurationError(
            "no scenario has 'seeds', expected one or more with seeds that the trials drive"
        )
    return tuple(found)


def _objectives(
    given: Any, found: tuple[StudyScenario, ...], base: Configuration
) -> tuple[str, ...]:
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list) or not given or len(set(map(str, given))) < len(given):
        raise ConfigurationError(
            f"'objectives' is {given!r}, expected one or more of {', '.join(OBJECTIVES)}"
        )
    return tuple(_reported("objective", str(name), found, base) for name in given)


def _limits(given: Any, found: tuple[StudyScenario, ...], base: Configuration) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"'limits' is {given!r}, expected OBJECTIVE: LIMIT")
    return {
        _reported("objective", str(name), found, base): Parameter(f"limits.{name}", 0.0, "").check(
            number(limit)
        )
        for name, limit in given.items()
    }


def _reported(what: str, name: str, found: tuple[StudyScenario, ...], base: Configuration) -> str:
    """Return the name of an objective that an episode measures."""
    if name not in OBJECTIVES:
        raise ConfigurationError(
            loading.unknown(what, name, OBJECTIVES) + f" (known: {', '.join(OBJECTIVES)})"
        )
    by_scenario = [reported(scenario, base) for scenario in found if scenario.seeds]
    if not any(name in names for names in by_scenario):
        has = ", ".join(sorted(set().union(*by_scenario)))
        raise ConfigurationError(f"{what} '{name}' is reported by no scenario: these report {has}")
    return name


def _check_lengths(space: SearchSpace, found: tuple[StudyScenario, ...]) -> None:
    """Raise ConfigurationError if costs of plans of different lengths would be compared."""
    tuned = LENGTHS & {*space.distributions, *space.ties}
    if tuned and any(scenario.plant == RECORDING for scenario in found):
        raise ConfigurationError(
            f"the plans of a recording have to be of one length: leave '{min(tuned)}' out of "
            "'parameters', or tune it with a plant that is simulated"
        )


def _check_sampler(values: Mapping[str, Any], objectives: tuple[str, ...]) -> None:
    sampler = values["sampler"]
    if len(objectives) > 1 and sampler not in ("", *FOR_SEVERAL):
        raise ConfigurationError(
            f"'sampler' is {sampler}, allowed with several objectives: {', '.join(FOR_SEVERAL)}"
        )
    if len(objectives) > 1 and values["prune"]:
        raise ConfigurationError("'prune' is true, allowed with one objective only")
