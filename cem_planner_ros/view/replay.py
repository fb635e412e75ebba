# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Periods of a recorded run, planned again with the parameters as they were or with others."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cem_planner_ros.configuration import Configuration, configure
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning.recorded_run import RecordedRun
from cem_planner_ros.planning.plan import Candidates, Plan, elites_among
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.view.tuning import Done

CANDIDATES = 24
"""Number of candidates that are shown."""


class Prediction(NamedTuple):
    """A plan, the states (H + 1, nx) that the model predicts for it, and its cost by term."""

    plan: Plan
    states: np.ndarray
    terms: dict[str, float]


class PlannedAgain(NamedTuple):
    """A plan that was made again, with candidates of its last iteration."""

    prediction: Prediction
    candidates: Candidates
    elites: int
    """Number of the candidates, the first ones, that are elites."""
    terms: list[dict[str, float]]
    """Cost by term of each candidate."""


class Replay:
    """
    Plans the periods of a run again.

    A period is planned from the recorded state, beginning with the recorded plan of the period
    before. The standard deviation and the elites at that time were not recorded, so the new plan
    need not be that of the run; `planning.record.replay` repeats a whole run exactly.

    Costs know what was known in the period, and have seen the periods before it. From these follow
    where the robot is on a path that crosses itself, and what is held until a reference comes.

    Args:
        run: the run.
        configuration: the parameters of the run.

    Raises ConfigurationError if a plugin fails a check.
    """

    def __init__(self, run: RecordedRun, configuration: Configuration):
        self.run = run
        self._lock = threading.Lock()
        self._as_recorded = self._changed = configuration.planner()
        self._reached: tuple[Planner | None, int] = None, 0
        """Which planner has seen the periods before which one."""
        needs = configuration.inputs or configuration.reference_sources
        self._reads_surroundings = bool(needs) and len(run.surroundings) > 0
        self._given = dict(configuration.values)
        self._names = list(configuration.costs)
        self._file = configuration.file
        self.configuration = configuration
        """The parameters with what `set_parameters` has changed."""

    @property
    def is_changed(self) -> bool:
        """Whether any parameter differs from those of the run."""
        return self.configuration.values != self._given

    def set_parameters(self, values: Mapping[str, Any], done: Done) -> None:
        """Use other values in `again`; call `done` with the reason if they are refused."""
        with self._lock:
            try:
                wanted = configure({**self.configuration.values, **values}, self._file)
                planner = wanted.planner()
            except ConfigurationError as error:
                reasons = dict.fromkeys(values, str(error))
            else:
                self.configuration, self._changed, reasons = wanted, planner, {}
        done(reasons)

    def set_inactive(self, values: Mapping[str, Any], done: Done) -> None:
        """Do the same: nothing is active here."""
        self.set_parameters(values, done)

    def recorded(self, index: int) -> Prediction | None:
        """Return the plan of a period as it was recorded; None if there is none."""
        plan = self.run.plans[index]
        if plan is None:
            return None
        with self._lock:
            planner = self._as_recorded
            if self._reads_surroundings:  # The costs have to see them before they judge the plan.
                self._plan(planner, index, plan, float(plan.edges[0]), iterations=1)
            return self._predict(planner, index, plan)

    def again(self, index: int) -> PlannedAgain:
        """Plan a period with the present parameters."""
        run = self.run
        with self._lock:
            planner, before = self._changed, run.plans[index - 1] if index else None
            plan = self._plan(planner, index, before, float(run.times[index]))
            prediction = self._predict(planner, index, plan)
            candidates = planner.candidates(CANDIDATES)
            terms = [
                self._terms(planner, plan, candidates.actions[..., n], candidates.states[..., n])
                for n in range(candidates.costs.size)
            ]
        elites = elites_among(CANDIDATES, planner.search.elites)
        return PlannedAgain(prediction, candidates, elites, terms)

    def _plan(
        self,
        planner: Planner,
        index: int,
        around: Plan | None,
        time: float,
        iterations: int | None = None,
    ) -> Plan:
        """Plan a period, which begins at a time, s, around a plan if there is one."""
        reached, shown = self._reached
        if around is None or reached is not planner or index < shown:
            planner.reset()  # The costs forget where the robot was.
            shown = 0
        if around is not None:
            planner.adopt(around)
        if self._reads_surroundings:
            edges = planner.search.dt * np.arange(planner.search.horizon + 1)
            self.run.show(planner.rollout, shown, index, edges)
            self._reached = planner, index
        return self.run.plan(planner, index, self.run.known_once(index), time, iterations)

    def _predict(self, planner: Planner, index: int, plan: Plan) -> Prediction:
        states = planner.predict(plan, self.run.states[index])
        return Prediction(plan, states, self._terms(planner, plan, plan.actions, states))

    def _terms(
        self, planner: Planner, plan: Plan, actions: np.ndarray, states: np.ndarray
    ) -> dict[str, float]:
        terms = planner.cost_terms(replace(plan, actions=actions), states)
        return dict(zip(self._names, terms, strict=False))
