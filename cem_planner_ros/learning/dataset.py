# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Training data: states and commands in sequences with a fixed step, split by episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning.bags import BagContent, Signal
from cem_planner_ros.learning.task import Task
from cem_planner_ros.planning.actuators import INSTANT

GAP = 5.0
"""A pause of this many median periods, in states or commands, ends an episode."""

LEAST_GAP = 0.1
"""Shortest pause that ends an episode, s."""

PHASES = 4
"""How often a recording is cut into steps; each time the cut starts a part of a step later."""

EVERY = 6
"""Of this many episodes, one is for validation and one for the test."""

NEAR = 1.05
"""Largest period of the states, as a share of dt."""

OUTSIDE = 0.05
"""Share of their range by which commands may exceed the bounds without a note."""


@dataclass(frozen=True)
class Segment:
    """States (K + 1, nx) at intervals of dt, angles unwrapped, and the actions (K, nu) between."""

    states: np.ndarray
    actions: np.ndarray


@dataclass
class Dataset:
    """
    Sequences for training, validation and test.

    Attributes:
        training, validation, test: sequences of different episodes, for learning, for choosing the
            epoch, and for measuring the error.
        notes: notes about the data, for the user.
        statistics: numbers about the data for the model's file.
    """

    training: list[Segment]
    validation: list[Segment]
    test: list[Segment]
    notes: list[str]
    statistics: dict[str, object] = field(default_factory=dict)


def make(recordings: Sequence[BagContent], task: Task) -> Dataset:
    """
    Return the dataset of recordings, in steps of dt.

    A state is interpolated between two messages. The action of a step is the mean of the commands
    in force during the step; each command holds until the next one. With a lag of the actuators, it
    is the mean of what the actuators apply, as in `planning/actuators.py`.

    Args:
        recordings: one recording for each bag.
        task: names, length and number of steps, delay.

    Raises ConfigurationError if no model can be learned from the data.
    """
    notes: list[str] = []
    dt, horizon = task.dt, task.horizon
    is_angle = np.array([name in task.angle_names for name in task.state_names])
    episodes: list[list[Segment]] = []
    seconds, periods = 0.0, []
    for recorded in recordings:
        name, found = recorded.name, list(recorded.notes)
        commands = Signal(recorded.commands.times + task.delay, recorded.commands.values)
        period = _usual_period(recorded.states, "states", name)
        periods.append((period, _usual_period(commands, "commands", name)))
        if period > NEAR * dt:
            raise ConfigurationError(
                f"{name}: states come every {period:.4g} s and planner.dt is {dt:g} s, allowed: at "
                f"most {NEAR * dt:.4g} s; record faster or raise planner.dt"
            )
        found += _out_of_bounds(commands, task)
        for begin, end in _spans(recorded.states, commands, name, found):
            cut = _cut(recorded.states, commands, begin, end, is_angle, task, period)
            if cut:
                episodes.append(cut)
                seconds += end - begin
        notes += [f"{name}: {note}" for note in found]
    if not episodes:
        raise ConfigurationError(
            f"no segment of the data has states and commands for longer than {2 * dt:g} s"
        )
    training, validation, test = _split(episodes, horizon, dt, notes)
    for what, names, columns in (
        ("state", task.state_names, [s.states for s in training]),
        ("action", task.action_names, [s.actions for s in training]),
    ):
        values = np.concatenate(columns)
        for name, spread in zip(names, np.ptp(values, axis=0), strict=True):
            if spread < 1e-6:
                raise ConfigurationError(
                    f"{what} '{name}' is constant in the data: what it does cannot be learned; "
                    "record with commands that move it"
                )
    states = np.concatenate([s.states for s in training + validation + test])
    actions = np.concatenate([s.actions for s in training + validation + test])
    statistics = {
        "seconds": round(seconds, 2),
        "episodes": len(episodes),
        "state_period_s": round(float(np.mean([p for p, _ in periods])), 5),
        "command_period_s": round(float(np.mean([p for _, p in periods])), 5),
        "lag_s": dict(zip(task.action_names, task.lag, strict=True)),
        "state_least": dict(zip(task.state_names, states.min(0).round(4).tolist(), strict=True)),
        "state_most": dict(zip(task.state_names, states.max(0).round(4).tolist(), strict=True)),
        "action_least": dict(zip(task.action_names, actions.min(0).round(4).tolist(), strict=True)),
        "action_most": dict(zip(task.action_names, actions.max(0).round(4).tolist(), strict=True)),
    }
    return Dataset(training, validation, test, notes, statistics)


def _usual_period(signal: Signal, what: str, name: str) -> float:
    if len(signal.times) < 3:
        raise ConfigurationError(
            f"{name} has {len(signal.times)} {what}, expected a recording of some seconds"
        )
    return float(np.median(np.diff(signal.times)))


def _out_of_bounds(commands: Signal, task: Task) -> list[str]:
    """Return a note for each action whose commands are far outside the bounds of the file."""
    notes = []
    for action, low, high, values in zip(
        task.action_names, task.action_low, task.action_high, commands.values.T, strict=True
    ):
        least, most = np.nanmin(values), np.nanmax(values)
        if max(low - least, most - high) > OUTSIDE * (high - low):
            notes.append(
                f"commands of '{action}' go from {least:g} to {most:g}, action.low and action.high "
                f"of the file allow {low:g} to {high:g}: is it another field or another unit?"
            )
    return notes


def _spans(
    states: Signal, commands: Signal, name: str, notes: list[str]
) -> list[tuple[float, float]]:
    """Return (begin, end), s, of segments without a gap in states or commands."""
    begin = max(states.times[0], commands.times[0])
    end = min(states.times[-1], commands.times[-1])
    if end <= begin:
        raise ConfigurationError(
            f"{name}: states from {states.times[0]:.3f} to {states.times[-1]:.3f} s, commands from "
            f"{commands.times[0]:.3f} to {commands.times[-1]:.3f} s, expected times that overlap"
        )
    breaks = []
    for signal, what in ((states, "states"), (commands, "commands")):
        usable = np.isfinite(signal.values).all(1)
        times = signal.times[usable]
        intervals = np.diff(times)
        usual = float(np.median(np.diff(signal.times)))
        gaps = intervals > max(GAP * usual, LEAST_GAP)
        breaks += list(zip(times[:-1][gaps], times[1:][gaps], strict=True))
        if gaps.any():
            count = int(gaps.sum())
            word = "gap" if count == 1 else "gaps"
            notes.append(f"{count} {word} in the {what}, {intervals[gaps].sum():.2f} s")
        missing = int(np.maximum(np.round(intervals[~gaps] / usual) - 1, 0).sum())
        # Commands need not come at even times: each holds until the next.
        if missing > 0.01 * len(times) and signal is states:
            notes.append(f"about {missing} of {missing + len(times)} {what} missing")
    spans = []
    for stop, go_on in [*sorted(breaks), (end, end)]:
        if stop > begin:
            spans.append((begin, min(stop, end)))
        begin = max(begin, go_on)
    return [(a, b) for a, b in spans if b > a]


def _cut(
    states: Signal,
    commands: Signal,
    begin: float,
    end: float,
    is_angle: np.ndarray,
    task: Task,
    period: float,
) -> list[Segment]:
    """Return the sequences of a segment, one for each phase."""
    usable = np.isfinite(states.values).all(1) & (states.times >= begin) & (states.times <= end)
    times, values = states.times[usable], states.values[usable]
    if len(times) < 2:
        return []
    values = np.where(is_angle, np.unwrap(values, axis=0), values)
    held = np.isfinite(commands.values).all(1)
    command_times, command_values = commands.times[held], commands.values[held]
    dt = task.dt
    phases = int(np.clip(round(dt / period), 1, PHASES))
    sequences = []
    for phase in range(phases):
        edges = np.arange(begin + phase * dt / phases, end + 1e-9, dt)
        edges = edges[(edges >= times[0]) & (edges <= times[-1])]
        if len(edges) < 3:
            continue
        at_edges = np.stack([np.interp(edges, times, column) for column in values.T], 1)
        sequences.append(
            Segment(at_edges, _mean_applied(command_times, command_values, edges, task.lag))
        )
    return sequences


def _mean_applied(
    times: np.ndarray, values: np.ndarray, edges: np.ndarray, lag: Sequence[float]
) -> np.ndarray:
    """
    Return the means (K, nu), between edges (K + 1,), of what the actuators apply.

    A command u holds until the next; meanwhile y goes from y_0 to u + (y_0 - u) exp(-d / lag), and
    its integral is u d + (y_0 - u) lag (1 - exp(-d / lag)) (`planning/actuators.py`). Before the
    first command, y is assumed to be that command.
    """
    lag = np.maximum(lag, INSTANT)
    left = np.exp(-np.diff(times)[:, None] / lag)
    applied = values.copy()
    for index, share in enumerate(left):
        applied[index + 1] = values[index] + (applied[index] - values[index]) * share

    def area(index: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        short_of = (applied[index] - values[index]) * lag
        return values[index] * lengths - short_of * np.expm1(-lengths / lag)

    before = np.arange(len(times) - 1)
    areas = np.cumsum(area(before, np.diff(times)[:, None]), axis=0)
    areas = np.concatenate((np.zeros((1, values.shape[1])), areas))
    index = np.clip(np.searchsorted(times, edges, "right") - 1, 0, None)
    total = areas[index] + area(index, np.maximum(edges - times[index], 0.0)[:, None])
    return np.diff(total, axis=0) / np.diff(edges)[:, None]


def _split(
    episodes: list[list[Segment]], horizon: int, dt: float, notes: list[str]
) -> tuple[list[Segment], list[Segment], list[Segment]]:
    """Return the sequences for training, validation and test, spread evenly over the episodes."""
    if len(episodes) < EVERY:
        count = len(episodes)
        episodes = [part for episode in episodes for part in _parts(episode, horizon)]
        notes.append(
            f"only {count} episode{'s' if count > 1 else ''}: segments of {2 * horizon} steps are "
            "held out instead of whole episodes"
        )
    if len(episodes) < EVERY:
        raise ConfigurationError(
            f"the data has {len(episodes)} segments of {2 * horizon} steps, expected at least "
            f"{EVERY}, so that some can be held out; record at least "
            f"{EVERY * 2 * horizon * dt:.0f} s, or take a smaller planner.horizon"
        )
    groups = ([], [], [])
    for index, episode in enumerate(episodes):
        groups[{EVERY // 2 - 1: 1, EVERY - 1: 2}.get(index % EVERY, 0)].extend(episode)
    return groups


def _parts(episode: list[Segment], horizon: int) -> list[list[Segment]]:
    """Return an episode in segments of twice the horizon."""
    length = 2 * horizon
    parts = []
    for begin in range(0, len(episode[0].actions), length):
        part = [
            Segment(s.states[begin : begin + length + 1], s.actions[begin : begin + length])
            for s in episode
        ]
        part = [s for s in part if len(s.actions) >= 2]
        if part:
            parts.append(part)
    return parts
