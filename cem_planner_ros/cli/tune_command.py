# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Tune parameters: episodes in simulation, proposed by Optuna, on all cores or on a cluster."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from cem_planner_ros.cli.hired_workers import add_options, hire
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning.plots import pyplot
from cem_planner_ros.studies import outcome, study_file, study_report
from cem_planner_ros.studies.objectives import OBJECTIVES
from cem_planner_ros.studies.outcome import BEST, TODAY, Episodes
from cem_planner_ros.studies.study import Study, StudyProgress, load_optuna

EXIT_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the study, its size, where it runs, and where the results go."""
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="what is tuned, and how")
    parser.add_argument(
        "--trials", type=int, metavar="N", help="number of trials (default: that of the study)"
    )
    add_options(parser)
    parser.add_argument(
        "--resume", action="store_true", help="continue the study that --out has already"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: NAME-study, of the study NAME.yaml"
    )


def run(options: argparse.Namespace) -> int:
    """Run the study, compare its best trial with today's values, and write the results."""
    load_optuna()
    pyplot()  # What is missing for the report is said at once.
    file = study_file.read(options.study)
    if options.trials is not None:
        if options.trials < 1:
            raise ConfigurationError(f"--trials is {options.trials}, allowed: at least 1")
        file = dataclasses.replace(file, trials=options.trials)
    folder = options.out or Path(f"{file.name}-study")
    hired = hire(options, file.cpus, file.gpus)
    study = Study(file, folder, options.resume)
    try:
        with hired, _shown(file.objectives) as show:
            study.run(hired, show.trials)
            best = study.best()
            if best is None:
                print(f"no trial keeps the limits {dict(file.limits)}; they are in {folder}")
                return 1
            compared = outcome.compare(study, best, hired, show.comparison)
    except KeyboardInterrupt:
        print(f"stopped: {folder} has all episodes that have ended; --resume continues")
        files = outcome.write_files(study, folder)
        if files:
            print(f"wrote {files[0]}, the best so far, which is not compared with today's values")
        return EXIT_INTERRUPTED
    files = outcome.write_files(study, folder)
    report = study_report.write(study, compared, folder)
    _print_comparison(study, compared)
    others = f", {len(files) - 1} files of the Pareto front in {folder}/pareto" if files[1:] else ""
    print(f"wrote {files[0]}{others} and {report}")
    return 0


class _Display:
    """The line on the terminal."""

    def __init__(self, progress, objectives: tuple[str, ...]):
        self._progress = progress
        self._objectives = objectives
        self._tasks: dict[str, int] = {}

    def _update(self, what: str, done: int, count: int, text: str = "") -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=count, text="")
        self._progress.update(self._tasks[what], completed=done, text=text)

    def trials(self, now: StudyProgress) -> None:
        """Show how far the study has come."""
        best = "no best yet"
        if now.best is not None:
            values = zip(self._objectives, now.best, strict=True)
            best = "best: " + ", ".join(f"{name} {value:.4g}" for name, value in values)
        if now.fails:
            best += f"; {now.fails} cannot work: {now.problem.splitlines()[0]}"
        self._update("trials", now.finished, now.trials, best)

    def comparison(self, done: int, count: int) -> None:
        """Show how far the comparison with today's values has come."""
        self._update("comparison", done, count)


@contextlib.contextmanager
def _shown(objectives: tuple[str, ...]) -> Iterator[_Display]:
    """Show one line for each part of a study: progress, the best so far, time left."""
    try:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as RichProgress,
        )
    except ImportError as error:
        raise ConfigurationError(
            f"a study needs rich (pip install rich, or the extra tune): {error}"
        ) from error
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with RichProgress(*columns) as progress:
        yield _Display(progress, objectives)


def _print_comparison(study: Study, compared: dict[str, Episodes]) -> None:
    """Print the means of today's values and of the best trial."""
    today, best = (outcome.means(compared[who]) for who in (TODAY, BEST))
    is_unseen = all(scenario.unseen for scenario in study.file.scenarios)
    seeds = "seeds that the study has not seen" if is_unseen else "the seeds of the study"
    print(f"means over {len(compared[BEST])} episodes, {seeds}:")
    print(f"{'':<16}{'today':>12}{'best':>12}")
    for name in today:
        mark = " (tuned)" if name in study.file.objectives else ""
        unit = OBJECTIVES[name].unit
        print(f"{name:<16}{today[name]:12.5g}{best[name]:12.5g} {unit}{mark}".rstrip())
