# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Record states and commands of a running robot or simulator, as a bag that `train` reads."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.ros import node_processes

WAIT = 60.0
"""Time in which the first state and the first command must come, s."""

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
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
    try:
        with recording.BagWriter(options.out, task) as writer:
            counts = _record(options, task, writer)
    finally:
        rclpy.try_shutdown()
    states = " and ".join(str(counts[channel]) for channel in task.state_channels)
    print(
        f"wrote {options.out}: {states} states and {counts['command']} commands in "
        f"{options.seconds:g} s"
    )
    return 0


def _record(options: argparse.Namespace, task, writer) -> dict[str, int]:
    """Record for some seconds from when all topics have been heard; return counts by channel."""
    from rclpy.duration import Duration
    from rclpy.node import Node
    from rclpy.qos import qos_profile_sensor_data
    from rclpy.serialization import deserialize_message

    from cem_planner_ros.readers import command_reader, part_reader
    from cem_planner_ros.ros import endpoints
    from cem_planner_ros.ros.messages import command_writer, message_class
    from cem_planner_ros.ros.process import light_executor

    kinds = {channel: message_class(kind) for channel, kind in task.types.items()}
    read_parts = {
        channel: part_reader(task.types[channel], task.fields[channel])
        for channel in task.state_channels
    }
    read = command_reader(task.types["command"], task.fields["command"])
    write = command_writer(task.types["command"], task.fields["command"], 1.0 / task.rate)
    random = np.random.default_rng(options.seed)
    counts, heard = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, -math.inf)
    began, action, ticks = math.inf, np.zeros(len(task.action_names)), 0
    last: dict[str, bytes] = {}
    node = Node("record")
    if options.random:  # Else it would look as if there was one more who commands.
        publisher = node.create_publisher(kinds["command"], task.topics["command"], 1)

    def send(values: np.ndarray) -> None:
        publisher.publish(write(values, node.get_clock().now().to_msg(), ""))

    def is_random() -> bool:
        now = time.monotonic()
        # Others have to be heard before they are taken turns with.
        in_turn = options.random == 1.0 or (now - began) % CYCLE < options.random * CYCLE
        return in_turn and all(now - heard[channel] < SILENCE for channel in read_parts)

    def note(channel: str) -> Callable[[bytes], None]:
        def on_message(raw: bytes) -> None:
            last[channel] = raw
            heard[channel] = time.monotonic()
            if heard[channel] >= began:
                writer.write(channel, time.time(), raw)
                counts[channel] += 1
            if channel == "command" and is_random():
                try:
                    other = not np.allclose(read(deserialize_message(raw, kinds[channel])), action)
                except ValueError:  # What cannot be read is not ours.
                    other = True
                if other:
                    send(action)

        return on_message

    def newest_state() -> np.ndarray | None:
        """Return the last state (nx,), for the safe command; None if a part of it is unknown."""
        state = np.full(len(task.state_names), np.nan)
        for channel, read_part in read_parts.items():
            rows = [task.state_names.index(name) for name in task.fields[channel]]
            with contextlib.suppress(ValueError, KeyError):  # What cannot be read says nothing.
                state[rows] = read_part(deserialize_message(last[channel], kinds[channel]))
        return None if np.isnan(state).any() else state

    def on_period() -> None:
        nonlocal action, ticks
        if not is_random():
            return
        if ticks % HOLD == 0:
            action = random.uniform(task.action_low, task.action_high)
        ticks += 1
        send(action)

    for channel, kind in kinds.items():
        node.create_subscription(
            kind, task.topics[channel], note(channel), qos_profile_sensor_data, raw=True
        )
    if options.random:
        node.create_timer(1.0 / task.rate, on_period)
    executor = light_executor()
    executor.add_node(node)
    started = looked = time.monotonic()
    told: dict[str, list[str]] = {}
    try:
        while time.monotonic() < began + options.seconds:
            node_processes.spin_once(executor)
            now = time.monotonic()
            if began == math.inf and min(heard.values()) > -math.inf:
                began = now
                print(f"recording for {options.seconds:g} s", flush=True)
            if now > max(began, looked + 1.0):  # It takes a moment to find everybody.
                looked = now
                for channel, topic in task.topics.items():
                    own = int(channel == "command" and options.random > 0.0)
                    topic = node.resolve_topic_name(topic)
                    found = endpoints.other_publishers(node, topic, own)
                    if len(found) > 1 and found != told.get(channel):
                        told[channel] = found
                        print(
                            f"WARNING: {len(found)} nodes publish on the {channel} topic "
                            f"'{topic}': {', '.join(found)}; the bag will hold what all of "
                            "them send",
                            flush=True,
                        )
            silent = [channel for channel, when in heard.items() if when < now - WAIT]
            if silent and now > started + WAIT:
                raise ConfigurationError(
                    f"no {silent[0]} on '{task.topics[silent[0]]}' "
                    f"({task.types[silent[0]]}) in {WAIT:g} s: is the robot or the simulator "
                    "running, with the same ROS_DOMAIN_ID? Only with --random 1 nobody else has "
                    "to send commands"
                )
    finally:
        if options.random:
            safe = task.safe.at(newest_state())
            if safe is not None:
                send(safe)
            publisher.wait_for_all_acked(Duration(seconds=0.5))
        node.destroy_node()
    return counts
