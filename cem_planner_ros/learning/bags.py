"""States and commands from rosbag2 directories (MCAP and SQLite), without ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning.task import Task
from cem_planner_ros.readers import MessageError, command_reader, missing, part_reader, stamp_of


class Signal(NamedTuple):
    """Values (n, k) at increasing times (n,), s; a row of NaN is an unusable message."""

    times: np.ndarray
    values: np.ndarray


class BagContent(NamedTuple):
    """The content of a bag, notes about reading it, and its name for messages."""

    states: Signal
    commands: Signal
    notes: list[str]
    name: str


def read(folder: Path, task: Task) -> BagContent:
    """
    Return states and commands of a bag, in the units and in the order of the model.

    Args:
        folder: folder of the rosbag2, with its metadata.yaml.
        task: topics, types and fields, as the node uses them.

    Raises ConfigurationError if rosbags is not installed or the bag lacks what is needed.
    """
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise ConfigurationError(
            f"reading bags needs rosbags (pip install rosbags): {error}"
        ) from error
    if not (folder / "metadata.yaml").is_file():
        raise ConfigurationError(
            f"bag '{folder}' has no metadata.yaml, allowed: the folder that `ros2 bag record` makes"
        )
    notes: list[str] = []
    try:
        # SQLite bags have the names of message types, but not their definitions.
        reader = AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_JAZZY))
        with reader:
            signals = [_signal(folder, reader, task, side, notes) for side in SIDES]
    except AnyReaderError as error:
        raise ConfigurationError(f"bag '{folder}' cannot be read: {error}") from error
    (arrived, stamped, states), (commanded, command_stamped, commands) = signals
    # The times of both must be from one clock.
    usable = _usable(stamped, arrived, "states", task.dt, notes)
    has_stamps = np.isfinite(command_stamped).any()
    if has_stamps and not _usable(command_stamped, commanded, "commands", task.dt, notes):
        usable = False
    if usable:
        arrived, commanded = stamped, command_stamped if has_stamps else commanded
    return BagContent(
        _in_order(arrived, states, "states", notes),
        _in_order(commanded, commands, "commands", notes),
        notes,
        f"bag '{folder}'",
    )


def _usable(
    stamps: np.ndarray, arrivals: np.ndarray, what: str, dt: float, notes: list[str]
) -> bool:
    """Return whether stamps (n,) can be used as times; note their offset to the arrivals."""
    if not np.isfinite(stamps).all():
        if np.isfinite(stamps).any():
            notes.append(f"not all {what} have stamps: arrival times are used")
        return False
    offset, back = float(np.median(arrivals - stamps)), -float(np.diff(stamps).min(initial=0.0))
    reason = ""
    if abs(offset) > dt:
        reason = f", more than planner.dt, {dt:g} s"
    elif back > dt:
        reason = f" and go back by {back:.3g} s"
    notes.append(
        f"stamps of the {what} lie {offset:.4g} s before their arrival{reason}: "
        + ("arrival times are used" if reason else "stamps are used")
    )
    return not reason


SIDES = ("state", "command")

MAX_PART_AGE = 0.2
"""Largest age difference of the parts of a state from several publishers, s."""


def _signal(
    folder: Path, reader, task: Task, side: str, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return arrivals (n,), stamps (n,) (NaN if there is none), and values (n, k)."""
    topic, kind, fields = task.topics[side], task.types[side], task.fields[side]
    # Names in a bag are absolute; those in the YAML are relative to an unknown namespace.
    ending = "/" + topic.removeprefix("~").strip("/")
    found = [c for c in reader.connections if c.topic == ending]
    found = found or [c for c in reader.connections if c.topic.endswith(ending)]
    known = ", ".join(f"{c.topic} ({c.msgtype})" for c in reader.connections) or "none"
    if not found:
        raise ConfigurationError(
            f"bag '{folder}' has no topic '{topic}', the {side}.topic of the file; it has: {known}"
        )
    topics = sorted({c.topic for c in found})
    if len(topics) > 1:
        raise ConfigurationError(
            f"bag '{folder}' has several topics that end in '{ending}', the {side}.topic of the "
            f"file: {', '.join(topics)}; write the whole name of one into the file"
        )
    if any(c.msgtype != kind for c in found):
        raise ConfigurationError(
            f"bag '{folder}': topic '{topic}' has messages of {found[0].msgtype}, expected {kind}, "
            f"the {side}.type of the file"
        )
    read_one: Callable[[object], np.ndarray]
    read_one = (part_reader if side == "state" else command_reader)(kind, fields)
    rows, unusable, others = [], Counter(), 0
    # Several publishers may each send a part of the state; each field keeps its newest value.
    newest, heard = np.full(len(fields), np.nan), np.full(len(fields), -np.inf)
    for connection, time, raw in reader.messages(connections=found):
        message = reader.deserialize(raw, connection.msgtype)
        try:
            value = read_one(message)
            if side == "state":
                has = ~np.isnan(value)
                if not has.any():  # The message is about other joints.
                    others += 1
                    continue
                newest[has], heard[has] = value[has], 1e-9 * time
                value = newest.copy()
                if np.isnan(value).any():
                    raise MessageError(missing(fields, np.isnan(value), message.name))
                if heard.max() - heard.min() > MAX_PART_AGE:
                    raise MessageError(f"a part of the state is older than {MAX_PART_AGE:g} s")
            if not np.isfinite(value).all():
                name = list(fields)[int(np.argmin(np.isfinite(value)))]
                raise MessageError(f"'{name}' is not finite")
        except MessageError as error:
            unusable[str(error)] += 1
            value = np.full(len(fields), np.nan)
        stamp = stamp_of(message)
        rows.append((1e-9 * time, np.nan if stamp is None else stamp, value))
    if not rows:
        what = "no message of the joints of the state" if others else "no messages"
        raise ConfigurationError(f"bag '{folder}': topic '{topic}' has {what}")
    if others:
        notes.append(f"{others} messages of '{topic}' are of other joints")
    for reason, count in unusable.items():
        notes.append(f"{count} of {len(rows)} messages of '{topic}' left out: {reason}")
    if sum(unusable.values()) == len(rows):
        raise ConfigurationError(
            f"bag '{folder}': no message of '{topic}' can be used: {next(iter(unusable))}"
        )
    arrivals, stamps, columns = zip(*rows, strict=True)
    return np.array(arrivals), np.array(stamps), np.array(columns, float)


def _in_order(times: np.ndarray, values: np.ndarray, what: str, notes: list[str]) -> Signal:
    """Return a signal without rows whose time is not later than that of the previous row."""
    keep = np.ones(len(times), bool)
    latest = -np.inf
    for index, time in enumerate(times):
        keep[index] = time > latest
        latest = max(latest, time)
    if not keep.all():
        notes.append(f"{int((~keep).sum())} {what} left out whose time does not go forward")
    return Signal(times[keep], values[keep])
