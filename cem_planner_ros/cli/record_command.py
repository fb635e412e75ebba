# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Record states and commands of a running robot or simulator, as a bag that `train` reads."""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.ros import node_processes

if TYPE_CHECKING:
    from cem_planner_ros.learning.recording import BagWriter
    from cem_planner_ros.learning.task import Task

WAIT = 60.0
"""Time in which the first state and the first command must come, s."""

PATIENCE = 3.0
"""Time after which it is said what has not come yet, s."""

CYCLE = 4.0
"""Time from one stretch of random commands to the next, s."""

HOLD = 10
"""Number of periods for which a random command is held."""

SILENCE = 0.2
"""Time without a state after which no random command is sent, s."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to record, how long, and whether to send random commands."""
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE.yaml", help="of the planner node"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the bag's folder, to be made"
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="default: %(default)g"
    )
    parser.add_argument(
        "--random",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="MOVES THE ROBOT: in this share of the time send random commands within the bounds "
        "of the file, over those of others (default: none)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random commands (default: 0)")


def run(options: argparse.Namespace) -> int:
    """Write the bag; the last command is the safe one if random ones were sent."""
    from cem_planner_ros.learning import recording
    from cem_planner_ros.learning.task import load

    if not 0.0 < options.seconds < math.inf:
        raise ConfigurationError(f"--seconds is {options.seconds:g}, allowed: more than 0")
    if not 0.0 <= options.random <= 1.0:
        raise ConfigurationError(f"--random is {options.random:g}, allowed: from 0 to 1")
    if options.out.exists():
        raise ConfigurationError(f"--out {options.out} exists, allowed: a folder to be made")
    if not options.out.parent.is_dir():
        raise ConfigurationError(f"--out {options.out}: there is no folder {options.out.parent}")
    task = load(options.config)
    try:
        import rclpy
        from rclpy.signals import SignalHandlerOptions
    except ImportError as error:
        raise ConfigurationError(
            f"record needs rclpy: source a ROS 2 setup.bash, or `make install` ({error})"
        ) from error
    node_processes.end_as_by_ctrl_c()
    if options.random:
        bounds = zip(task.action_names, task.action_low, task.action_high, strict=True)
        print(
            f"WARNING: random commands go to '{task.topics['command']}' for "
            f"{options.random:.0%} of the time, over those of others: "
            + ", ".join(f"{name} from {low:g} to {high:g}" for name, low, high in bounds)
            + "\nKeep clear of the robot. Ctrl-C ends it with the safe command.",
            flush=True,
        )
    # Its own handlers would end the context before the safe command.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    recorder = None
    try:
        with recording.BagWriter(options.out, task) as writer:
            recorder = Recorder(task, writer, options.random, options.seed)
            try:
                recorder.run(options.seconds)
            finally:
                with node_processes.uninterrupted():
                    recorder.close()
    finally:
        rclpy.try_shutdown()
        if recorder is None or not any(recorder.counts.values()):
            shutil.rmtree(options.out, ignore_errors=True)  # It may not be there yet.
    counts = recorder.counts
    states = " and ".join(str(counts[channel]) for channel in task.state_channels)
    print(
        f"wrote {options.out}: {states} states and {counts['command']} commands in "
        f"{options.seconds:g} s"
    )
    return 0


class Recorder:
    """
    A node that writes what it hears, and sends random commands in turn with those of others.

    Args:
        task: topics, types and fields.
        writer: writes the messages.
        random: share of the time in which random commands are sent.
        seed: of the random commands.

    Attributes:
        counts: number of messages written, by channel.
    """

    def __init__(self, task: Task, writer: BagWriter, random: float, seed: int):
        from rclpy.node import Node
        from rclpy.qos import qos_profile_sensor_data

        from cem_planner_ros.readers import command_reader, part_reader
        from cem_planner_ros.ros.messages import command_writer, message_class

        self._task, self._writer, self._share = task, writer, random
        self._kinds = {channel: message_class(kind) for channel, kind in task.types.items()}
        self._read_parts = {
            channel: part_reader(task.types[channel], task.fields[channel])
            for channel in task.state_channels
        }
        command = task.types["command"], task.fields["command"]
        self._read, self._write = command_reader(*command), command_writer(*command, 1 / task.rate)
        self._random = np.random.default_rng(seed)
        self._action, self._ticks = np.zeros(len(task.action_names)), 0
        self._was_random = False
        self._began = math.inf
        self._heard = dict.fromkeys(self._kinds, -math.inf)
        self._last: dict[str, bytes] = {}
        self.counts = dict.fromkeys(self._kinds, 0)
        self._told: dict[str, list[str]] = {}
        self._node = Node("record")
        if random:  # Else it would look as if there was one more who commands.
            topic = task.topics["command"]
            self._publisher = self._node.create_publisher(self._kinds["command"], topic, 1)
            self._node.create_timer(1.0 / task.rate, self._on_period)
        for channel, kind in self._kinds.items():
            hear, topic = partial(self._on_message, channel), task.topics[channel]
            self._node.create_subscription(kind, topic, hear, qos_profile_sensor_data, raw=True)

    def run(self, seconds: float) -> None:
        """
        Record for so long from when all topics have been heard.

        Raises ConfigurationError if one of them is silent for WAIT s.
        """
        from cem_planner_ros.ros.process import light_executor

        executor = light_executor()
        executor.add_node(self._node)
        started = looked = time.monotonic()
        is_told = False
        while time.monotonic() < self._began + seconds:
            node_processes.spin_once(executor)
            now = time.monotonic()
            if self._began == math.inf and min(self._heard.values()) > -math.inf:
                self._began = now
                print(f"recording for {seconds:g} s", flush=True)
            if not is_told and started + PATIENCE < now < self._began:
                is_told = True
                self._tell_silent()
            if now > max(self._began, looked + 1.0):  # It takes a moment to find everybody.
                looked = now
                self._warn_of_several()
            if now > started + WAIT:
                self._check_heard(now)

    def close(self) -> None:
        """Send the safe command if random ones were sent, and leave."""
        from rclpy.duration import Duration

        if self._share:
            self._send_safe()
            self._publisher.wait_for_all_acked(Duration(seconds=0.5))
        self._node.destroy_node()

    def _on_message(self, channel: str, raw: bytes) -> None:
        self._last[channel] = raw
        self._heard[channel] = time.monotonic()
        if self._heard[channel] >= self._began:
            self._writer.write(channel, time.time(), raw)
            self.counts[channel] += 1
        if channel == "command" and self._is_random() and not self._is_own(raw):
            self._send(self._action)

    def _is_random(self) -> bool:
        """Return whether it is the turn of random commands, and the state is heard."""
        now = time.monotonic()
        # Others have to be heard before they are taken turns with.
        cycle = (now - self._began) % CYCLE
        in_turn = self._share == 1.0 or cycle < self._share * CYCLE
        return in_turn and all(now - self._heard[part] < SILENCE for part in self._read_parts)

    def _is_own(self, raw: bytes) -> bool:
        """Return whether a command is the one that was sent last."""
        from rclpy.serialization import deserialize_message

        try:
            values = self._read(deserialize_message(raw, self._kinds["command"]))
        except ValueError:  # What cannot be read is not ours.
            return False
        return np.allclose(values, self._action)

    def _on_period(self) -> None:
        self._was_random, before = self._is_random(), self._was_random
        if not self._was_random:
            if before:
                self._send_safe()  # Others may be silent.
            return
        if self._ticks % HOLD == 0:
            self._action = self._random.uniform(self._task.action_low, self._task.action_high)
        self._ticks += 1
        self._send(self._action)

    def _send_safe(self) -> None:
        safe = self._task.safe.at(self._newest_state())
        if safe is not None:
            self._send(safe)

    def _send(self, values: np.ndarray) -> None:
        now = self._node.get_clock().now().to_msg()
        self._publisher.publish(self._write(values, now, ""))

    def _newest_state(self) -> np.ndarray | None:
        """Return the last state (nx,), for the safe command; None if a part of it is unknown."""
        from rclpy.serialization import deserialize_message

        state = np.full(len(self._task.state_names), np.nan)
        for channel, read_part in self._read_parts.items():
            rows = [self._task.state_names.index(name) for name in self._task.fields[channel]]
            with contextlib.suppress(ValueError, KeyError):  # What cannot be read says nothing.
                message = deserialize_message(self._last[channel], self._kinds[channel])
                state[rows] = read_part(message)
        return None if np.isnan(state).any() else state

    def _warn_of_several(self) -> None:
        """Say once who publishes on a topic, if several nodes do."""
        from cem_planner_ros.ros import endpoints

        for channel, topic in self._task.topics.items():
            own = int(channel == "command" and self._share > 0.0)
            topic = self._node.resolve_topic_name(topic)
            found = endpoints.other_publishers(self._node, topic, own)
            if len(found) > 1 and found != self._told.get(channel):
                self._told[channel] = found
                print(
                    f"WARNING: {len(found)} nodes publish on the {channel} topic '{topic}': "
                    f"{', '.join(found)}; the bag will hold what all of them send",
                    flush=True,
                )

    def _tell_silent(self) -> None:
        """Say which topics nothing has come on, and what is there instead."""
        from cem_planner_ros.ros import endpoints

        for channel, when in self._heard.items():
            if when == -math.inf:
                topic = self._node.resolve_topic_name(self._task.topics[channel])
                found = endpoints.nothing_on(self._node, topic, self._task.types[channel])
                print(f"waiting for the {channel}: {found}", flush=True)

    def _check_heard(self, now: float) -> None:
        """Raise ConfigurationError if a topic is silent."""
        topics, types = self._task.topics, self._task.types
        for channel, when in self._heard.items():
            if when < now - WAIT:
                raise ConfigurationError(
                    f"no {channel} on '{topics[channel]}' ({types[channel]}) in {WAIT:g} s: is the "
                    "robot or the simulator running, with the same ROS_DOMAIN_ID? Only with "
                    "--random 1 nobody else has to send commands"
                )
