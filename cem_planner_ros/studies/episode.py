# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
An episode: the control loop and a plant in lockstep on a simulated clock, and how it went.

The episode of a recorded run is its control periods, planned again.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cem_planner_ros.configuration import Configuration, configure
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.studies import courses, replanning
from cem_planner_ros.studies.courses import Course
from cem_planner_ros.studies.disturbed_plant import DisturbedPlant, Push
from cem_planner_ros.studies.planner_cache import PLANNERS
from cem_planner_ros.studies.replanning import RecordedPart
from cem_planner_ros.studies.scenario import RECORDING, StudyScenario

NOT_REACHED = 2.0
"""Factor of the longest duration that counts as the time to a goal that was not reached."""


@dataclass(frozen=True)
class Trace:
    """
    What happened in an episode.

    Attributes:
        period: control period, s.
        states: (periods + 1, nx), the true state at the begin and after each period.
        commands: (periods, nu), what was sent.
        plan_times: (plans,), s of real time.
        is_goal_reached: whether a mobile robot has reached its goal.
    """

    period: float
    states: np.ndarray
    commands: np.ndarray
    plan_times: np.ndarray
    is_goal_reached: bool

    @property
    def seconds(self) -> float:
        """Simulated time, s."""
        return self.period * len(self.commands)


def drive(
    configuration: Configuration,
    planner: Planner,
    course: Course,
    at_most: float,
    disturbed: DisturbedPlant | None = None,
) -> Trace:
    """
    Drive a course until its goal is reached, something is touched, or the time is over.

    Args:
        configuration: configuration of the loop.
        planner: planner of this configuration, or what plans in its place.
        course: plant and surroundings.
        at_most: longest duration, s.
        disturbed: the plant of the course, with disturbances; None for none.
    """
    planner.reset()
    state, step = course.state, course.step
    if disturbed is not None:
        state, step = disturbed.measured, disturbed.step
    lockstep = Lockstep(configuration, planner, state, step)
    commander = lockstep.loop.commander
    states, commands = [np.array(course.state())], []
    while lockstep.time < at_most - 1e-9 and not commander.is_goal_reached and not course.touched:
        surroundings = course.surroundings(lockstep.time)
        if surroundings is not None:
            commander.surroundings = surroundings
        lockstep.period()
        states.append(np.array(course.state()))
        commands.append(np.array(commander.last_action))
    return Trace(
        commander.period,
        np.array(states),
        np.array(commands),
        np.array(lockstep.plan_times),
        commander.is_goal_reached,
    )


def episode(
    values: Mapping[str, Any],
    base_values: Mapping[str, Any],
    file: str,
    scenario: StudyScenario,
    seed: int,
    with_curves: bool = False,
) -> dict[str, Any]:
    """
    Return what an episode measures, by name of the objective, and `wall_s`, its real time, s.

    Apart from times it depends on nothing but the arguments.

    Args:
        values: parameters of the planner.
        base_values: today's parameters, whose costs judge and whose model is the plant "model".
        file: source of the values, for messages.
        scenario: what to simulate.
        seed: of the plant, or of the planner if a recording is planned again.
        with_curves: whether states and commands are returned too.

    Raises ConfigurationError if the values or the scenario cannot work.
    """
    began = time.perf_counter()
    torch.set_num_threads(1)  # Workers run beside each other.
    # A cached planner gives what a new one gives: it begins anew, and has the same numbers.
    values, base_values = ({**given, **scenario.set} for given in (values, base_values))
    if scenario.plant == RECORDING:
        values["planner.seed"] = seed
    configuration, planner = PLANNERS.of(values, file)
    text = json.dumps(base_values, sort_keys=True)
    base = _base(text, file)
    if scenario.plant == RECORDING:
        part = _recorded(text, file, scenario.recording, scenario.begin, scenario.duration)
        found, curves = _replanned(part, configuration, planner, base)
    else:
        course = courses.make(scenario, seed, configuration, base)
        disturbed = _disturbed(course, scenario, seed, base)
        run = drive(configuration, planner, course, scenario.duration, disturbed)
        found = measures(run, course, scenario, configuration, base)
        curves = run.period, run.states, run.commands
    if with_curves:
        period, states, commands = curves
        found["curves"] = {
            "period": period,
            "states": states.round(5).tolist(),
            "commands": commands.round(5).tolist(),
        }
    found["wall_s"] = time.perf_counter() - began
    return found


def measures(
    run: Trace,
    course: Course,
    scenario: StudyScenario,
    configuration: Configuration,
    base: Configuration,
) -> dict[str, float]:
    """Return what is reported of a run, by name of the objective; see `objectives.OBJECTIVES`."""
    found = _of_commands(run.commands, run.plan_times, configuration)
    if is_costed(base):
        found["cost"] = _mean_stage_cost(run, base)
    if course.path is not None:
        found["time_to_goal"] = run.seconds
        if not run.is_goal_reached:
            found["time_to_goal"] = NOT_REACHED * scenario.duration
        nearest = course.path.at(np.array([course.path.nearest(p) for p in run.states[1:, :2]]))
        found["path_error"] = float(np.linalg.norm(nearest - run.states[1:, :2], axis=1).mean())
    elif scenario.goal:
        found["time_to_goal"] = _settling_time(run, scenario, base)
    if scenario.plant == "robot":
        found["touched"] = float(len(course.touched))
        clearance = course.clearance(run.states)
        if clearance is not None:
            found["clearance"] = clearance
    return found


def _replanned(
    part: RecordedPart, configuration: Configuration, planner: Planner, base: Configuration
) -> tuple[dict[str, Any], tuple[float, np.ndarray, np.ndarray]]:
    """Return what is reported of a recorded run that is planned again; and its curves."""
    again = replanning.replan(configuration, planner, base, part)
    found = _of_commands(again.commands, again.plan_times, configuration)
    found["plan_cost"] = float(again.costs.mean())
    period = float(np.median(np.diff(part.run.times)))
    return found, (period, part.states, again.commands[:-1])


def _of_commands(
    commands: np.ndarray, plan_times: np.ndarray, configuration: Configuration
) -> dict[str, Any]:
    """Return what is reported of commands (n, nu), and of the times of plans, s."""
    ranges = np.subtract(configuration.action("high"), configuration.action("low"))
    changes = np.abs(np.diff(commands, axis=0)) / ranges
    return {
        "command_change": float(changes.mean()) if changes.size else 0.0,
        "plan_time": 1e3 * float(np.percentile(plan_times, 95)) if len(plan_times) else 0.0,
    }


def reported(scenario: StudyScenario, base: Configuration) -> set[str]:
    """Return the names of the objectives that episodes of a scenario measure."""
    if scenario.plant == RECORDING:
        return replanning.MEASURED
    found = {"command_change", "plan_time"}
    if is_costed(base):
        found.add("cost")
    if scenario.plant == "robot":
        found |= {"touched", "time_to_goal", "path_error"}
        if base.footprint is not None:
            found.add("clearance")
    elif scenario.path:
        found |= {"time_to_goal", "path_error"}
    elif scenario.goal:
        found.add("time_to_goal")
    return found


def is_costed(base: Configuration) -> bool:
    """Return whether the costs of today judge states alone, without goal, path or reference."""
    costs = base.costs.values()
    needs_outputs = bool(base.dynamics.output_names) and any(cost.reads_outputs for cost in costs)
    return not needs_outputs and all(type(cost).prepare is Cost.prepare for cost in costs)


def _mean_stage_cost(run: Trace, base: Configuration) -> float:
    """Return the mean over the periods of the sum of the stage costs of today."""
    states = torch.from_numpy(run.states.T.astype(np.float32))
    commands = torch.from_numpy(run.commands.T.astype(np.float32))
    before = torch.cat((commands[:, :1], commands[:, :-1]), 1)
    given = (states[:, 1:], commands, before, torch.tensor(run.period), states[:, :-1])
    with torch.no_grad():
        costs = [cost.stage(*cost.asked_for(*given)).mean() for cost in base.costs.values()]
    return float(sum(costs))


def _settling_time(run: Trace, scenario: StudyScenario, base: Configuration) -> float:
    """Return the time after which all states of the goal stay within their tolerance, s."""
    names, is_near = base.dynamics.state_names, np.ones(len(run.states), bool)
    for name, target in scenario.goal.items():
        error = run.states[:, names.index(name)] - target
        if name in base.dynamics.angle_names:
            error = np.remainder(error + np.pi, 2.0 * np.pi) - np.pi
        is_near &= np.abs(error) <= scenario.tolerance[name]
    far = np.flatnonzero(~is_near)
    if len(far) and far[-1] == len(is_near) - 1:
        return NOT_REACHED * scenario.duration
    return run.period * float(far[-1] + 1) if len(far) else 0.0


def _disturbed(
    course: Course, scenario: StudyScenario, seed: int, base: Configuration
) -> DisturbedPlant:
    names, actions = base.dynamics.state_names, base.dynamics.action_names
    half = 0.5 * np.subtract(base.action("high"), base.action("low"))
    pushes = [
        Push(at, duration, np.array([push.get(name, 0.0) for name in actions]))
        for at, duration, push in scenario.pushes
    ]
    return DisturbedPlant(
        course.state,
        course.step,
        course.idle,
        np.random.default_rng([seed, 1]),
        scenario.delay,
        scenario.process_noise * half,
        np.array([scenario.state_noise.get(name, 0.0) for name in names]),
        pushes,
    )


@functools.lru_cache(maxsize=4)
def _base(text: str, file: str) -> Configuration:
    """Return the configuration of today's values, which are given as JSON."""
    return configure(json.loads(text), file)


@functools.lru_cache(maxsize=4)
def _recorded(text: str, file: str, *given: Any) -> RecordedPart:
    """Return a part of a recorded run, given the rest of the arguments of `replanning.load`."""
    recording, *limits = given
    return replanning.load(recording, _base(text, file), *limits)
