# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Tune parameters: episodes in simulation, proposed by Optuna, on all cores or on a cluster."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cem_planner_ros.cli.hired_workers import add_options, hire
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning.plots import pyplot
from cem_planner_ros.studies import journal, outcome, study_file, study_report
from cem_planner_ros.studies.objectives import OBJECTIVES
from cem_planner_ros.studies.outcome import BEST, TODAY, Episodes
from cem_planner_ros.studies.study import Study, StudyProgress, load_optuna
from cem_planner_ros.studies.study_file import MOST_TRIALS, StudyFile
from cem_planner_ros.studies.workers import Workers

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

EXIT_INTERRUPTED = 130

SPEED_OVER = 600.0
"""s over which the speed is measured that says how much time is left."""


LINES = 20
"""About how many lines say how far a study has come, if they go into a file and not a terminal."""


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
    display = _progress()
    file = study_file.read(options.study)
    if options.trials is not None:
        if not 1 <= options.trials <= MOST_TRIALS:
            raise ConfigurationError(
                f"--trials is {options.trials}, allowed: from 1 to {MOST_TRIALS}"
            )
        file = dataclasses.replace(file, trials=options.trials)
    folder = options.out or Path(f"{file.name}-study")
    hired = hire(options, file.cpus, file.gpus)
    with journal.claimed(folder):
        journal.check(folder, options.resume)
        try:
            return _run(file, folder, options.resume, hired, display)
        except BrokenPipeError:
            raise
        except OSError as error:  # Such as a full disk.
            raise ConfigurationError(
                f"the study was stopped: {error}; continue it with --resume, since {folder} has "
                "the episodes that have ended"
            ) from error


def _run(file: StudyFile, folder: Path, resume: bool, hired: Workers, display: RichProgress) -> int:
    study, files = None, []
    try:
        with hired:
            study = Study(file, folder, resume)
            with display:
                show = _Display(display, file.objectives)
                study.run(hired, show.trials)
                files = outcome.write_files(study, folder)
                if not files:
                    _refuse(study, folder)
                compared = outcome.compare(study, study.best(), hired, show.comparison)
        report = study_report.write(study, compared, folder)
    except KeyboardInterrupt:
        if study is None:
            raise
        print(f"stopped: {folder} has all episodes that have ended; --resume continues")
        files = outcome.write_files(study, folder)
        if files:
            print(f"wrote {files[0]}, the best so far, which is not compared with today's values")
        return EXIT_INTERRUPTED
    _print_comparison(study, compared)
    print(show.speed())
    others = f", {len(files) - 1} files of the Pareto front in {folder}/pareto" if files[1:] else ""
    print(f"wrote {files[0]}{others} and {report}")
    return 0


def _refuse(study: Study, folder: Path) -> NoReturn:
    """Raise ConfigurationError as no trial keeps the limits of the study, with the nearest one."""
    limits = ", ".join(f"{name} {limit:g}" for name, limit in study.file.limits.items())
    number, beyond = study.nearest_to_limits()
    misses = ", ".join(
        f"{name} by {excess:.3g} {OBJECTIVES[name].unit}".rstrip()
        for name, excess in beyond.items()
    )
    raise ConfigurationError(
        f"no trial keeps the limits ({limits}); the nearest, trial {number}, misses {misses} in "
        "its worst episode: loosen them in another study, or search on with --resume and a larger "
        f"--trials; all trials are in {folder}"
    )


class _Display:
    """The line on the terminal."""

    def __init__(self, progress: RichProgress, objectives: tuple[str, ...]):
        self._progress = progress
        self._objectives = objectives
        self._tasks: dict[str, int] = {}
        self._logged = 0  # The next line of a file is for more trials than these.
        self._episodes = 0
        self._first = self._last = 0.0  # Times at which episodes ended, s.

    def _update(self, what: str, done: int, count: int, text: str = "") -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=count, text="")
        self._progress.update(self._tasks[what], completed=done, text=text)

    def trials(self, now: StudyProgress) -> None:
        """Show how far the study has come."""
        best = "no best yet"
        if now.best is not None:
            values = zip(self._objectives, now.best, strict=True)
            units = (OBJECTIVES[name].unit for name in self._objectives)
            texts = (
                f"{n} {v:.4g} {unit}".strip() for (n, v), unit in zip(values, units, strict=True)
            )
            best = "best: " + ", ".join(texts)
        if now.fails:
            best += f"; {now.fails} cannot work: {now.problem.splitlines()[0]}"
        self._update("trials", now.finished, now.trials, best)
        if not self._progress.console.is_terminal and now.finished > self._logged:
            print(f"{now.finished}/{now.trials} trials, {best}", flush=True)
            self._logged = min(now.finished + now.trials // LINES, now.trials - 1)
        if now.episodes > self._episodes:
            self._episodes, self._last = now.episodes, time.monotonic()
            self._first = self._first or self._last

    def speed(self) -> str:
        """Return how many episodes of trials were run, and how fast, without the start."""
        text = f"{self._episodes} episodes of trials"
        if self._last > self._first:
            text += f", {(self._episodes - 1) / (self._last - self._first):.3g} per second"
        return text

    def comparison(self, done: int, count: int) -> None:
        """Show how far the comparison with today's values has come."""
        self._update("comparison", done, count)


def _progress() -> RichProgress:
    """Return what shows a line for each part of a study: progress, the best so far, time left."""
    try:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as LeftColumn
        from rich.table import Column
    except ImportError as error:
        raise ConfigurationError(
            f"a study needs rich (pip install rich, or the extra tune): {error}"
        ) from error
    whole = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description}", table_column=whole),
        BarColumn(bar_width=20, table_column=whole),
        MofNCompleteColumn(table_column=whole),
        LeftColumn(table_column=whole),
        # Problems have lists in brackets. On a narrow terminal this column alone is wrapped.
        TextColumn("{task.fields[text]}", markup=False, table_column=Column()),
        speed_estimate_period=SPEED_OVER,
    )


def _print_comparison(study: Study, compared: dict[str, Episodes]) -> None:
    """Print the means of today's values and of the best trial."""
    today, best = (outcome.means(compared[who]) for who in (TODAY, BEST))
    seeds = outcome.seeds_of_comparison(study)
    print(f"means over {len(compared[BEST])} episodes, {seeds}:")
    print(f"{'':<16}{'today':>12}{'best':>12}")
    for name in today:
        mark = " (tuned)" if name in study.file.objectives else ""
        unit = OBJECTIVES[name].unit
        print(f"{name:<16}{today[name]:12.5g}{best[name]:12.5g} {unit}{mark}".rstrip())
