# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""States and commands from rosbag2 directories (MCAP and SQLite), without ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cem_planner_ros.control.state_parts import LARGEST_STEP
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import ANGLES, QUATERNION
from cem_planner_ros.learning.task import Task
from cem_planner_ros.readers import MessageError, command_reader, missing, part_reader, stamp_of


class Signal(NamedTuple):
    """Values (n, k) at increasing times (n,), s; a row of NaN is an unusable message."""

    times: np.ndarray
    values: np.ndarray


class BagContent(NamedTuple):
    """
    The content of a bag, notes about reading it, and its name for messages.

    `offset` is by how much its times lie after the stamps of the states, s: 0 if the stamps are the
    times.
    """

    states: Signal
    commands: Signal
    notes: list[str]
    name: str
    offset: float = 0.0


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
            channels = (*task.state_channels, "command")
            read_ones = {c: _messages(folder, reader, task, c, notes) for c in channels}
    except AnyReaderError as error:
        raise ConfigurationError(f"bag '{folder}' cannot be read: {error}") from error
    # The times of all must be from one clock.
    usable = True
    for channel, (arrived, stamped, _) in read_ones.items():
        what = "commands" if channel == "command" else f"states{channel.removeprefix('state')}"
        if channel == "command" and not np.isfinite(stamped).any():
            continue
        usable &= _usable(stamped, arrived, what, task.dt, notes)
    signals, offsets = {}, [0.0]
    for channel, (arrived, stamped, values) in read_ones.items():
        if channel != "command" and not usable and np.isfinite(stamped).any():
            offsets.append(float(np.nanmedian(arrived - stamped)))
        times = stamped if usable and np.isfinite(stamped).all() else arrived
        what = "commands" if channel == "command" else "states"
        times = times - task.delays.get(channel, 0.0)
        signals[channel] = _in_order(times, values, what, notes)
    commands = signals.pop("command")
    states = _whole(signals, task, notes)
    return BagContent(states, commands, notes, f"bag '{folder}'", offsets[-1])


def messages(
    folder: Path, topics: Mapping[str, tuple[str, str]], notes: list[str]
) -> Iterator[tuple[str, float, Any]]:
    """
    Yield (name, arrival in s, message) of the messages on topics of a bag, as they came.

    Args:
        folder: folder of the rosbag2.
        topics: {name: (topic, type)}; several names may have the same topic, and topics that the
            bag lacks are left out.
        notes: a note is added for each topic that several topics of the bag may be.
    """
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    with AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        names: dict[tuple[str, str], list[str]] = {}
        for name, (topic, kind) in topics.items():
            found = {c.topic for c in connections(reader, topic) if c.msgtype == kind}
            if len(found) > 1:
                several = ", ".join(sorted(found))
                notes.append(f"the {name} is not read: its topic '{topic}' may be {several}")
            elif found and kind in reader.typestore.fielddefs:
                names.setdefault((*found, kind), []).append(name)
        chosen = [c for c in reader.connections if (c.topic, c.msgtype) in names]
        # Without connections the reader would give the messages of all topics.
        for connection, time, raw in reader.messages(connections=chosen) if chosen else ():
            message = reader.deserialize(raw, connection.msgtype)
            for name in names[connection.topic, connection.msgtype]:
                yield name, 1e-9 * time, message


def connections(reader, topic: str) -> list:
    """Return the connections of a bag whose topic has a name that the YAML gives."""
    # Names in a bag are absolute; those in the YAML are relative to an unknown namespace.
    ending = "/" + topic.removeprefix("~").strip("/")
    found = [c for c in reader.connections if c.topic == ending]
    return found or [c for c in reader.connections if c.topic.endswith(ending)]


def tables(folder: Path, ending: str) -> list[tuple[float, list[str], np.ndarray]]:
    """
    Return (arrival in s, names of the columns, rows (n, k)) of each table on a topic of a bag.

    Args:
        folder: folder of the rosbag2.
        ending: how the topic ends, such as "/plan"; its messages are std_msgs/Float64MultiArray of
            two dimensions, the label of the second of which names the columns.
    """
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    found = []
    with AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        chosen = [
            connection
            for connection in reader.connections
            if connection.topic.endswith(ending)
            and connection.msgtype == "std_msgs/msg/Float64MultiArray"
        ]
        # Without connections the reader would give the messages of all topics.
        messages = reader.messages(connections=chosen) if chosen else ()
        for connection, time, raw in messages:
            message = reader.deserialize(raw, connection.msgtype)
            if len(message.layout.dim) == 2:
                rows, columns = message.layout.dim
                table = np.reshape(message.data, (rows.size, columns.size))
                found.append((1e-9 * time, columns.label.split(","), table))
    return found


def _whole(signals: Mapping[str, Signal], task: Task, notes: list[str]) -> Signal:
    """Return the whole state at the times of the source that has most messages."""
    if len(signals) == 1:
        return next(iter(signals.values()))
    most = max(signals, key=lambda channel: len(signals[channel].times))
    times = signals[most].times
    begin = max(signal.times[0] for signal in signals.values())
    end = min(signal.times[-1] for signal in signals.values())
    times = times[(times >= begin) & (times <= end)]
    if not times.size:
        raise ConfigurationError(
            f"the states of {', '.join(task.topics[c] for c in signals)} have no time in common"
        )
    values = np.empty((len(times), len(task.state_names)))
    for channel, signal in signals.items():
        fields = task.fields[channel]
        rows = [task.state_names.index(name) for name in fields]
        jumps = [
            name in task.angle_names or f in (*ANGLES, *QUATERNION) for name, f in fields.items()
        ]
        values[:, rows] = _between(signal, times, np.array(jumps))
    notes.append(f"the states of all sources are taken at the times of '{task.topics[most]}'")
    return Signal(times, values)


def _between(signal: Signal, times: np.ndarray, jumps: np.ndarray) -> np.ndarray:
    """
    Return values (n, k) of a signal at times (n,), s, interpolated between its messages.

    What jumps (k,), such as an angle that wraps, has the value of the nearer message. Between two
    messages that are far apart in time there are no values.
    """
    after = np.clip(np.searchsorted(signal.times, times), 1, len(signal.times) - 1)
    first, second = signal.values[after - 1], signal.values[after]
    begin, end = signal.times[after - 1], signal.times[after]
    share = ((times - begin) / (end - begin))[:, None]
    nearer = np.where(share < 0.5, first, second)
    step = second - first
    found = np.where(jumps & (np.abs(step) > LARGEST_STEP), nearer, first + share * step)
    found[end - begin > MAX_PART_AGE] = np.nan
    return found


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


MAX_PART_AGE = 0.2
"""Largest age difference of the parts of a state from several publishers, s."""


def _messages(
    folder: Path, reader, task: Task, channel: str, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return arrivals (n,), stamps (n,) (NaN if there is none), and values (n, k)."""
    topic, kind, fields = task.topics[channel], task.types[channel], task.fields[channel]
    is_state = channel != "command"
    found = connections(reader, topic)
    known = ", ".join(f"{c.topic} ({c.msgtype})" for c in reader.connections) or "none"
    if not found:
        raise ConfigurationError(
            f"bag '{folder}' has no topic '{topic}', the {channel}.topic of the file; it has: "
            f"{known}"
        )
    topics = sorted({c.topic for c in found})
    if len(topics) > 1:
        raise ConfigurationError(
            f"bag '{folder}' has several topics that end in '{topic}', the {channel}.topic of the "
            f"file: {', '.join(topics)}; write the whole name of one into the file"
        )
    if any(c.msgtype != kind for c in found):
        raise ConfigurationError(
            f"bag '{folder}': topic '{topic}' has messages of {found[0].msgtype}, expected {kind}, "
            f"the {channel}.type of the file"
        )
    read_one: Callable[[object], np.ndarray]
    read_one = (part_reader if is_state else command_reader)(kind, fields)
    rows, unusable, others = [], Counter(), 0
    # Several publishers may each send a part of the state; each field keeps its newest value.
    newest, heard = np.full(len(fields), np.nan), np.full(len(fields), -np.inf)
    for connection, time, raw in reader.messages(connections=found):
        message = reader.deserialize(raw, connection.msgtype)
        try:
            value = read_one(message)
            if is_state:
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
