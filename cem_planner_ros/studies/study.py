# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
A study: Optuna proposes parameters, workers run the episodes, and a journal keeps all of it.

Trials come in batches. Batch n is asked for when the batches up to n - 2 have been told, and a
batch is told as a whole, in order. So two batches keep all workers busy, and what Optuna proposes
for a trial depends on trials of earlier batches alone: not on the number of workers, nor on which
of them was faster. For the same reason each proposal has a seed of its own, which also lets a study
that was stopped continue as if it had not been.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from cem_planner_ros.errors import ConfigurationError, describe
from cem_planner_ros.studies import journal
from cem_planner_ros.studies.episode import episode
from cem_planner_ros.studies.objectives import OBJECTIVES, excess, knee, mean
from cem_planner_ros.studies.scenario import StudyScenario
from cem_planner_ros.studies.study_file import StudyFile
from cem_planner_ros.studies.workers import Outcome, Queue, Workers, WorkerTask

if TYPE_CHECKING:
    import optuna

EPISODES, PROBLEM = "episodes", "problem"
"""Attributes of a trial in the journal."""

KILLED = "the process was killed while this trial was proposed"


@dataclass(frozen=True)
class StudyProgress:
    """
    How far a study has come.

    Attributes:
        finished: trials that need no more episodes.
        trials: number of trials.
        episodes: episodes that were run since the study was begun or continued.
        best: the objectives of the best trial that was told, or of the knee; None without one.
        fails: trials whose values cannot work.
        problem: why the last one of these cannot.
    """

    finished: int
    trials: int
    episodes: int
    best: tuple[float, ...] | None
    fails: int
    problem: str


@dataclass
class _OpenTrial:
    """A trial that was asked for and not told yet."""

    number: int
    id: int
    params: dict[str, Any]
    episodes: list[dict[str, Any]]
    problem: str = ""
    is_pruned: bool = False
    is_complete: bool = False

    @property
    def is_finished(self) -> bool:
        return bool(self.problem) or self.is_pruned or self.is_complete


class Study:
    """
    A study in a folder, new or continued.

    Args:
        file: what is tuned, and how.
        folder: where the journal is.
        resume: whether it is continued.

    Raises ConfigurationError if Optuna is not installed, there is a study already, there is none to
    be continued, or it is another one.
    """

    def __init__(self, file: StudyFile, folder: Path, resume: bool):
        self.file = file
        self._optuna = optuna = load_optuna()
        journal.check(folder, resume)
        self._firsts: dict[int, optuna.Study] = {}
        self._episodes = [(s, seed) for s in file.scenarios for seed in s.seeds]
        if file.sampler == "cmaes":
            self._sampler(0)  # It says at once what is missing.
        directions = {
            name: "maximize" if OBJECTIVES[name].is_maximised else "minimize"
            for name in file.objectives
        }
        with _experiments():
            self._storage, self.study = journal.open_study(folder, directions, file.identity)
        self.study.pruner = optuna.pruners.MedianPruner()

    def run(self, workers: Workers, show: Callable[[StudyProgress], None]) -> None:
        """
        Run the trials that are missing.

        Args:
            workers: run the episodes.
            show: called after each episode, and at the begin.

        Raises ConfigurationError if no trial of the first batch can work.
        """
        queue = Queue()
        with _uninterrupted():
            self._restore(queue)
            self._proceed(queue)
        show(self._progress())
        for outcome in workers.run(queue):
            with _uninterrupted():
                self._take(outcome, queue)
                self._proceed(queue)
            show(self._progress())

    def _restore(self, queue: Queue) -> None:
        """Find in the journal which trials were told, and continue those that were not."""
        states = self._optuna.trial.TrialState
        trials = self.study.get_trials(deepcopy=False)
        problems = [t.user_attrs[PROBLEM] for t in trials if t.state == states.FAIL]
        self._fails, self._problem = len(problems), problems[-1] if problems else ""
        self._told = sum(trial.state.is_finished() for trial in trials)
        self._open: dict[int, _OpenTrial] = {}
        self._done = 0
        self._find_best()
        for trial in trials[self._told : self.file.trials]:
            attributes = trial.user_attrs
            if {*trial.params} != {*self.file.space.distributions}:
                attributes = {PROBLEM: KILLED}
                self._storage.set_trial_user_attr(self._id(trial.number), PROBLEM, KILLED)
            self._begin(trial.number, dict(trial.params), attributes, queue)

    def _begin(
        self, number: int, params: dict[str, Any], attributes: Mapping[str, Any], queue: Queue
    ) -> None:
        found = list(attributes.get(EPISODES, []))
        trial = _OpenTrial(number, self._id(number), params, found, attributes.get(PROBLEM, ""))
        self._open[number] = trial
        self._go_on(trial, queue)

    def _proceed(self, queue: Queue) -> None:
        """Tell the batches that are complete, and ask for those that are due."""
        while True:
            end = self._batch_end(self._told)
            asked = self._told + len(self._open)
            for number in range(asked, min(end + self.file.batch, self.file.trials)):
                self._begin(number, self._ask(number), {}, queue)
            batch = [self._open[n] for n in range(self._told, end) if n in self._open]
            if not batch or not all(trial.is_finished for trial in batch):
                return
            is_first = not self._told
            for trial in batch:
                self._tell(trial)
                del self._open[trial.number]
            self._told = end
            self._find_best()
            if is_first and all(trial.problem for trial in batch):
                raise ConfigurationError(
                    f"no trial of the first batch can work; the last one: {self._problem}"
                )

    def _batch_end(self, number: int) -> int:
        """Return the number after that of the last trial of the batch of a trial."""
        batch = self.file.batch
        return min((number // batch + 1) * batch, self.file.trials)

    def _ask(self, number: int) -> dict[str, Any]:
        """Return the free parameters that Optuna proposes for a trial."""
        self.study.sampler = self._sampler(number)
        return self.study.ask(dict(self.file.space.distributions)).params

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Return the sampler for a trial, with the seed of this trial."""
        samplers, file = self._optuna.samplers, self.file
        seed = int(np.random.default_rng([file.seed, number]).integers(2**31))
        with _experiments():
            if file.sampler == "tpe":
                return samplers.TPESampler(seed=seed)
            if file.sampler == "nsga2":
                return samplers.NSGAIISampler(population_size=file.batch, seed=seed)
            if file.sampler == "random":
                return samplers.RandomSampler(seed=seed)
            try:
                import cmaes  # noqa: F401, Optuna imports it as late as the first proposal.
            except ImportError as error:
                raise ConfigurationError(
                    f"the sampler cmaes needs the package cmaes (pip install cmaes): {error}"
                ) from error
            return samplers.CmaEsSampler(
                seed=seed, popsize=file.batch, warn_independent_sampling=False
            )

    def _id(self, number: int) -> int:
        study_id = self._storage.get_study_id_from_name(journal.NAME)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def _go_on(self, trial: _OpenTrial, queue: Queue) -> None:
        """Put the next episode of a trial at the head of the queue, if there has to be one."""
        index = len(trial.episodes)
        trial.is_complete = index == len(self._episodes)
        trial.is_pruned = not trial.is_complete and index > 0 and self._is_hopeless(trial)
        if trial.is_finished:
            return
        try:
            changes = self.file.space.changes(self.file.base.values, trial.params)
        except ConfigurationError as error:
            self._refuse(trial, str(error))
            return
        task = self.task(trial.number, changes, *self._episodes[index])
        # A trial that has begun goes on, in the process that has its planner.
        (queue.appendleft if index else queue.append)(task)

    def _is_hopeless(self, trial: _OpenTrial) -> bool:
        """Return whether the pruner would end a trial, by the trials that were told before it."""
        if not self.file.prune:
            return False
        known = (trial.number // self.file.batch - 1) * self.file.batch
        return self.study.pruner.prune(
            self._first(max(0, known)), self._storage.get_trial(trial.id)
        )

    def _first(self, count: int) -> optuna.Study:
        """Return a study of the first trials alone."""
        if count not in self._firsts:
            optuna = self._optuna
            first = optuna.create_study(direction=self.study.direction)
            trials = self.study.get_trials(deepcopy=False)[:count]
            first.add_trials(trials)
            # Two batches are open at a time.
            recent = {n: s for n, s in self._firsts.items() if n >= count - self.file.batch}
            self._firsts = recent | {count: first}
        return self._firsts[count]

    def task(
        self,
        key: Hashable,
        changes: Mapping[str, Any],
        scenario: StudyScenario,
        seed: int,
        with_curves: bool = False,
    ) -> WorkerTask:
        """Return the task of an episode with changed parameters."""
        run = dict(self.file.run)
        arguments = ({**run, **changes}, run, self.file.file, scenario, seed, with_curves)
        return WorkerTask(key, episode, arguments)

    def _take(self, outcome: Outcome, queue: Queue) -> None:
        """Write the outcome of an episode into the journal, and go on with its trial."""
        trial = self._open[outcome.task.key]
        if outcome.error is not None:
            self._refuse(trial, text_of(outcome.error))
            return
        self._done += 1
        trial.episodes.append(outcome.value)
        self._storage.set_trial_user_attr(trial.id, EPISODES, trial.episodes)
        objective, *others = self.file.objectives
        if not others and any(objective in episode for episode in trial.episodes):
            value = mean(trial.episodes, objective)
            step = len(trial.episodes) - 1
            self._storage.set_trial_intermediate_value(trial.id, step, value)
        self._go_on(trial, queue)

    def _refuse(self, trial: _OpenTrial, problem: str) -> None:
        trial.problem = problem
        self._storage.set_trial_user_attr(trial.id, PROBLEM, problem)

    def _tell(self, trial: _OpenTrial) -> None:
        self.study.sampler = self._sampler(trial.number)
        states = self._optuna.trial.TrialState
        values = []
        if trial.is_complete:
            values = [mean(trial.episodes, name) for name in self.file.objectives]
        beyond = {name: excess(trial.episodes, name, at) for name, at in self.file.limits.items()}
        if not np.isfinite(values).all() or np.isnan([*beyond.values()]).any():
            self._refuse(trial, f"an objective is not finite: {values}, beyond limits by {beyond}")
        if trial.problem:
            self._fails, self._problem = self._fails + 1, trial.problem
            self.study.tell(trial.number, state=states.FAIL)
            return
        known = self._optuna.trial.Trial(self.study, trial.id)
        for name, by in beyond.items():
            known.set_constraint(name, by)
        if trial.is_pruned:
            self.study.tell(known, state=states.PRUNED)
        else:
            self.study.tell(known, values)

    def _find_best(self) -> None:
        best = self.best()
        self._best = tuple(best.values) if best else None

    def _progress(self) -> StudyProgress:
        finished = self._told + sum(trial.is_finished for trial in self._open.values())
        return StudyProgress(
            *(finished, self.file.trials, self._done, self._best, self._fails, self._problem)
        )

    def best(self) -> optuna.trial.FrozenTrial | None:
        """Return the best trial, or the knee of the Pareto front; None if none keeps the limits."""
        front = self.best_trials()
        if not front:
            return None
        signs = [-1.0 if OBJECTIVES[name].is_maximised else 1.0 for name in self.file.objectives]
        return front[knee(np.array([trial.values for trial in front]) * signs)]

    def best_trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return the best trial, or those on the Pareto front, that keep the limits."""
        front = self.study.best_trials
        return front[:1] if len(self.file.objectives) == 1 else front

    def nearest_to_limits(self) -> tuple[int, dict[str, float]]:
        """
        Return the complete trial that misses the limits by least: number, {objective: excess}.

        Excesses count in units of the largest one of an objective in any trial. Those of limits
        that the trial keeps are left out.
        """
        complete = self.study.get_trials(
            deepcopy=False, states=(self._optuna.trial.TrialState.COMPLETE,)
        )
        limits = self.file.limits
        beyond = np.array(
            [
                [excess(trial.user_attrs[EPISODES], name, limit) for name, limit in limits.items()]
                for trial in complete
            ]
        ).clip(0.0)
        nearest = int((beyond / beyond.max(0).clip(1e-300)).max(1).argmin())
        misses = zip(limits, map(float, beyond[nearest]), strict=True)
        return complete[nearest].number, {name: by for name, by in misses if by > 0.0}


@contextlib.contextmanager
def _experiments() -> Iterator[None]:
    """Leave out warnings about what Optuna may change one day; its version is pinned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", load_optuna().exceptions.ExperimentalWarning)
        yield


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C waiting until the journal is whole again; for the main thread."""
    seen: list[int] = []
    # A mask of this thread would not do: another thread may receive the signal.
    before = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if seen:
        signal.raise_signal(signal.SIGINT)


def text_of(error: Exception) -> str:
    """Return the text of the error of an episode."""
    return str(error) if isinstance(error, ConfigurationError) else describe(error)


def load_optuna() -> ModuleType:
    """Return Optuna, which logs warnings only; raise ConfigurationError if it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigurationError(
            f"a study needs Optuna (pip install optuna, or the extra tune): {error}"
        ) from error
    optuna.logging.set_verbosity(logging.WARNING)
    return optuna
