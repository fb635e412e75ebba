# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What comes out of a study: parameter files, and the best trial beside today's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cem_planner_ros.configuration.yaml_files import PARAMETERS, parse_value
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.studies.objectives import OBJECTIVES, mean
from cem_planner_ros.studies.study import Study, text_of
from cem_planner_ros.studies.workers import Queue, Workers

if TYPE_CHECKING:
    import optuna

TODAY, BEST = "today", "best"

Episodes = dict[tuple[str, int], dict[str, Any]]
"""What episodes measured, by (scenario, seed)."""


def compare(
    study: Study,
    trial: optuna.trial.FrozenTrial,
    workers: Workers,
    show: Callable[[int, int], None] = lambda done, count: None,
) -> dict[str, Episodes]:
    """
    Return the episodes of TODAY and of BEST, a trial, on seeds that the study has not seen.

    A scenario without unseen seeds is run on those of the study. `show` is called with the number
    of episodes that were run, and of all.

    Raises ConfigurationError if an episode fails.
    """
    changes = {TODAY: {}, BEST: study.file.space.changes(study.file.base.values, trial.params)}
    queue = Queue(
        study.task((who, scenario.name, seed), changed, scenario, seed, with_curves=True)
        for who, changed in changes.items()
        for scenario in study.file.scenarios
        for seed in scenario.unseen or scenario.seeds
    )
    count, found = len(queue), {TODAY: {}, BEST: {}}
    for done, outcome in enumerate(workers.run(queue), start=1):
        who, *episode = outcome.task.key
        if outcome.error is not None:
            raise ConfigurationError(
                f"the episode {' '.join(map(str, episode))} of {who} failed: "
                f"{text_of(outcome.error)}"
            )
        found[who][tuple(episode)] = outcome.value
        show(done, count)
    return {who: dict(sorted(episodes.items())) for who, episodes in found.items()}


def means(episodes: Episodes) -> dict[str, float]:
    """Return the mean of each objective over episodes that report it."""
    measured = list(episodes.values())
    names = [name for name in OBJECTIVES if any(name in episode for episode in measured)]
    return {name: mean(measured, name) for name in names}


def seeds_of_comparison(study: Study) -> str:
    """Return whose seeds `compare` drives."""
    is_unseen = all(scenario.unseen for scenario in study.file.scenarios)
    return "seeds that the study has not seen" if is_unseen else "the seeds of the study"


def write_files(study: Study, folder: Path) -> list[Path]:
    """
    Write a parameter file for the best trial, or for each on the Pareto front, and return them.

    The first one is that of the best trial, or of the knee of the front, and named best.yaml.
    """
    best, front = study.best(), study.best_trials()
    if best is None:
        return []
    files = [folder / "best.yaml"]
    write_whole(files[0], parameter_file(study, best))
    if len(study.file.objectives) > 1:
        pareto = folder / "pareto"
        pareto.mkdir(exist_ok=True)
        for old in pareto.glob("trial_*.yaml"):
            old.unlink()
        for trial in front:
            file = pareto / f"trial_{trial.number}.yaml"
            write_whole(file, parameter_file(study, trial))
            files.append(file)
    return files


def write_whole(file: Path, text: str) -> None:
    """Write a file as a whole, or leave it as it is where the disk is full; raise OSError then."""
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(text)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def parameter_file(study: Study, trial: optuna.trial.FrozenTrial) -> str:
    """Return today's file as YAML for the node, with the parameters of a trial."""
    file = study.file
    changes = file.space.changes(file.base.values, trial.params)
    values = zip(file.objectives, trial.values, strict=True)
    told = sum(one.state.is_finished() for one in study.study.get_trials(deepcopy=False))
    lines = [
        f"# {Path(file.file).name}, tuned by the study {file.name}: trial {trial.number} of the "
        f"trials 0 to {told - 1}.",
        "# " + ", ".join(f"{name} {value:.5g}" for name, value in values),
        "# Changed:",
        *(f"#   {name}: {v!r} (was {file.base.values[name]!r})" for name, v in changes.items()),
    ]
    return "\n".join(lines) + "\n" + as_yaml({**file.today, **changes})


def as_yaml(values: Mapping[str, Any]) -> str:
    """Return parameters by full name as a YAML file for any node, which rcl reads the same."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *groups, leaf = name.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = value
    nested = {"/**": {PARAMETERS: tree}}
    return yaml.dump(nested, Dumper=_Dumper, sort_keys=False, width=100)


class _Dumper(yaml.SafeDumper):
    """Quotes texts that rcl takes for something else, such as y, which is true there."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if parse_value(text) == text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)
