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
from cem_planner_ros.configuration.yaml_files import problem
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import first_file, share
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import Parameter
from cem_planner_ros.studies import courses, search_space
from cem_planner_ros.studies import scenario as scenarios
from cem_planner_ros.studies.episode import reported
from cem_planner_ros.studies.objectives import OBJECTIVES
from cem_planner_ros.studies.scenario import RECORDING, StudyScenario, number
from cem_planner_ros.studies.search_space import SearchSpace

SAMPLERS = ("tpe", "cmaes", "nsga2", "random")
FOR_SEVERAL = ("tpe", "nsga2", "random")
AUTO = "auto"

MOST_TRIALS = 10**6

SMALLEST_SHARE = 1e-4
"""Of a CPU or a GPU, of which Ray takes account."""

SCALARS = {
    parameter.name: parameter
    for parameter in (
        Parameter("config", "", "YAML file that is tuned."),
        Parameter("trials", 100, "Number of trials.", low=1, high=MOST_TRIALS),
        Parameter("sampler", AUTO, "Optuna's sampler.", choices=(AUTO, *SAMPLERS)),
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
    file = first_file((file, share("config") / "studies" / file)) or file
    try:
        loader = _Loader(file.read_text())
        loader.name = file.name
        given = loader.get_single_data()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"{file}: not valid YAML: {problem(error)}") from error
    try:
        return _study(file, given)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that has a name twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen - {"<<"}:
                raise yaml.MarkedYAMLError(
                    problem=f"'{key.value}' is given twice, expected once",
                    problem_mark=key.start_mark,
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


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
    found = _scenarios(given.get("scenarios"), base, file.parent, space)
    objectives = _objectives(given.get("objectives"), found, base)
    limits = _limits(given.get("limits", {}), found, base)
    _check_lengths(space, found)
    _check_sampler(values, objectives)
    _check_needs(values["cpus"], values["gpus"])
    sampler = values["sampler"]
    if sampler == AUTO:
        sampler = "tpe" if len(objectives) == 1 else "nsga2"
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
    places = [file.parent / name, Path(name), share("config") / name]
    if found := first_file(places, lambda place: place.is_file() and not place.samefile(file)):
        return str(found)
    raise ConfigurationError(
        f"'config' is {name!r}, which is no file beside the study, here, or in {share('config')}"
    )


def _scenarios(
    given: Any, base: Configuration, folder: Path, space: SearchSpace
) -> tuple[StudyScenario, ...]:
    if not isinstance(given, list) or not given:
        raise ConfigurationError(f"'scenarios' is {given!r}, expected a list of one or more")
    found: list[StudyScenario] = []
    for number_, entry in enumerate(given, start=1):
        try:
            new = scenarios.read(entry, base, folder)
            for one in new:
                _try(one, base, space)
        except ConfigurationError as error:
            raise ConfigurationError(f"scenario {number_}: {error}") from error
        found += new
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


def _try(scenario: StudyScenario, base: Configuration, space: SearchSpace) -> None:
    """Raise ConfigurationError if the episodes of a scenario could not begin."""
    for name in scenario.set:
        if name in space.parameters:
            raise ConfigurationError(
                f"'set' has '{name}', which is tuned: leave it out here, or in 'parameters'"
            )
    base = configure({**base.values, **scenario.set}, base.file)
    followed = [name for name in base.costs if base.reference_sources.get(name)]
    if followed and scenario.plant != RECORDING:
        name = followed[0]
        topic = base.values[f"{name}.topic"]
        raise ConfigurationError(
            f"the cost '{name}' follows the topic '{topic}', on which nobody publishes in an "
            f"episode: write set: {{{name}.topic: ''}} and its target"
        )
    courses.check(scenario, base)


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
    if len(objectives) > 1 and sampler not in (AUTO, *FOR_SEVERAL):
        raise ConfigurationError(
            f"'sampler' is {sampler}, allowed with several objectives: {', '.join(FOR_SEVERAL)}"
        )
    if len(objectives) > 1 and values["prune"]:
        raise ConfigurationError("'prune' is true, allowed with one objective only")


def _check_needs(cpus: float, gpus: float) -> None:
    """Raise ConfigurationError if a task on Ray cannot need so much."""
    for name, value in (("cpus", cpus), ("gpus", gpus)):
        if 0.0 < value < SMALLEST_SHARE or (name == "gpus" and value > 1.0 and value % 1.0):
            whole = ", or a whole number" if name == "gpus" else " or more"
            raise ConfigurationError(
                f"'{name}' is {value:g}, expected 0, a share from {SMALLEST_SHARE} to 1{whole}"
            )
    if not cpus and not gpus:
        raise ConfigurationError(
            "'cpus' and 'gpus' are 0, expected one of them above 0: Ray would begin all episodes "
            "at once"
        )
