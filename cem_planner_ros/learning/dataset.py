"""States and commands aligned in time, in sequences with a fixed step, split by episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning.bags import Recorded, Signal
from cem_planner_ros.learning.task import Task

GAP = 5.0
"""A pause of this many usual periods, of states or of commands, ends an episode."""

LEAST_GAP = 0.1
"""s; shorter pauses do not."""

PHASES = 4
"""How often a recording is cut into steps, each time beginning a part of a step later."""

HELD_OUT = 0.2
"""Share of the episodes that tells how good a model is."""


@dataclass(frozen=True)
class Stretch:
    """States (K + 1, nx), angles unwrapped, dt apart, and the actions (K, nu) between them."""

    states: np.ndarray
    actions: np.ndarray


@dataclass
class Dataset:
    """
    Sequences to learn from and to be judged by.

    Attributes:
        training, validation: sequences of different episodes.
        notes: what was noticed, in words.
        statistics: numbers about the data for the model's file.
    """

    training: list[Stretch]
    validation: list[Stretch]
    notes: list[str]
    statistics: dict[str, object] = field(default_factory=dict)


def make(recordings: Sequence[Recorded], task: Task) -> Dataset:
    """
    Return what recordings say about steps of dt.

    A state is interpolated between the two messages around a time; the action of a step is the mean
    of the commands in force during it, each of which holds until the next.

    Args:
        recordings: one for each bag.
        task: names, length and count of the steps, delay.

    Raises ConfigurationError if the data cannot teach a model.
    """
    notes = [note for recorded in recordings for note in recorded.notes]
    dt, horizon = task.dt, task.horizon
    is_angle = np.array([name in task.angle_names for name in task.state_names])
    episodes: list[list[Stretch]] = []
    seconds, periods = 0.0, []
    for recorded in recordings:
        commands = Signal(recorded.commands.times + task.delay, recorded.commands.values)
        period = _usual_period(recorded.states, "states")
        periods.append((period, _usual_period(commands, "commands")))
        if period > dt:
            raise ConfigurationError(
                f"states come every {period:.3g} s and planner.dt is {dt:g} s, allowed: at least "
                "one state in each model step; record faster or raise planner.dt"
            )
        for begin, end in _spans(recorded.states, commands, notes):
            cut = _cut(recorded.states, commands, begin, end, is_angle, dt, period)
            if cut:
                episodes.append(cut)
                seconds += end - begin
    if not episodes:
        raise ConfigurationError(
            f"no stretch of the data has states and commands for longer than {2 * dt:g} s"
        )
    training, validation = _split(episodes, horizon, notes)
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
    states = np.concatenate([s.states for s in training + validation])
    actions = np.concatenate([s.actions for s in training + validation])
    statistics = {
        "seconds": round(seconds, 2),
        "episodes": len(episodes),
        "state_period_s": round(float(np.mean([p for p, _ in periods])), 5),
        "command_period_s": round(float(np.mean([p for _, p in periods])), 5),
        "state_least": dict(zip(task.state_names, states.min(0).round(4).tolist(), strict=True)),
        "state_most": dict(zip(task.state_names, states.max(0).round(4).tolist(), strict=True)),
        "action_least": dict(zip(task.action_names, actions.min(0).round(4).tolist(), strict=True)),
        "action_most": dict(zip(task.action_names, actions.max(0).round(4).tolist(), strict=True)),
    }
    return Dataset(training, validation, notes, statistics)


def _usual_period(signal: Signal, what: str) -> float:
    if len(signal.times) < 3:
        raise ConfigurationError(
            f"the bag has {len(signal.times)} {what}, expected a recording of some seconds"
        )
    return float(np.median(np.diff(signal.times)))


def _spans(states: Signal, commands: Signal, notes: list[str]) -> list[tuple[float, float]]:
    """Return (begin, end), s, of the stretches without a gap in states or commands."""
    begin = max(states.times[0], commands.times[0])
    end = min(states.times[-1], commands.times[-1])
    breaks = []
    for signal, what in ((states, "states"), (commands, "commands")):
        usable = np.isfinite(signal.values).all(1)
        times = signal.times[usable]
        intervals = np.diff(times)
        usual = float(np.median(np.diff(signal.times)))
        gaps = intervals > max(GAP * usual, LEAST_GAP)
        breaks += list(zip(times[:-1][gaps], times[1:][gaps], strict=True))
        if gaps.any():
            notes.append(f"{int(gaps.sum())} gaps in the {what}, {intervals[gaps].sum():.2f} s")
        missing = int(np.maximum(np.round(intervals[~gaps] / usual) - 1, 0).sum())
        if missing > 0.01 * len(times):
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
    dt: float,
    period: float,
) -> list[Stretch]:
    """Return the sequences of a stretch, one for each phase."""
    usable = np.isfinite(states.values).all(1) & (states.times >= begin) & (states.times <= end)
    times, values = states.times[usable], states.values[usable]
    if len(times) < 2:
        return []
    values = np.where(is_angle, np.unwrap(values, axis=0), values)
    held = np.isfinite(commands.values).all(1)
    command_times, command_values = commands.times[held], commands.values[held]
    phases = int(np.clip(round(dt / period), 1, PHASES))
    sequences = []
    for phase in range(phases):
        edges = np.arange(begin + phase * dt / phases, end + 1e-9, dt)
        edges = edges[(edges >= times[0]) & (edges <= times[-1])]
        if len(edges) < 3:
            continue
        at_edges = np.stack([np.interp(edges, times, column) for column in values.T], 1)
        sequences.append(Stretch(at_edges, _mean_held(command_times, command_values, edges)))
    return sequences


def _mean_held(times: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the means (K, nu) of a signal that holds its last value, between edges (K + 1,)."""
    area = np.concatenate(
        ([np.zeros(values.shape[1])], np.cumsum(values[:-1] * np.diff(times)[:, None], axis=0))
    )
    index = np.clip(np.searchsorted(times, edges, "right") - 1, 0, None)
    total = area[index] + values[index] * (edges - times[index])[:, None]
    return np.diff(total, axis=0) / np.diff(edges)[:, None]


def _split(
    episodes: list[list[Stretch]], horizon: int, notes: list[str]
) -> tuple[list[Stretch], list[Stretch]]:
    """Return the sequences of most episodes and those of the rest, which are spread evenly."""
    if len(episodes) < 1 / HELD_OUT:
        count = len(episodes)
        episodes = [part for episode in episodes for part in _parts(episode, horizon)]
        notes.append(
            f"only {count} episode{'s' if count > 1 else ''}: every fifth stretch of "
            f"{2 * horizon} steps is held out instead of whole episodes"
        )
    if len(episodes) < 1 / HELD_OUT:
        raise ConfigurationError(
            f"the data has {len(episodes)} stretches of {2 * horizon} steps, expected at least "
            f"{int(1 / HELD_OUT)}, so that some can be held out; record longer"
        )
    every = int(1 / HELD_OUT)
    held_out = [i % every == every - 1 for i in range(len(episodes))]
    groups = ([], [])
    for episode, is_held_out in zip(episodes, held_out, strict=True):
        groups[is_held_out].extend(episode)
    return groups


def _parts(episode: list[Stretch], horizon: int) -> list[list[Stretch]]:
    """Return an episode in stretches of twice the horizon."""
    length = 2 * horizon
    parts = []
    for begin in range(0, len(episode[0].actions), length):
        part = [
            Stretch(s.states[begin : begin + length + 1], s.actions[begin : begin + length])
            for s in episode
        ]
        part = [s for s in part if len(s.actions) >= 2]
        if part:
            parts.append(part)
    return parts
