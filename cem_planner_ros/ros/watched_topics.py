# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The topics that the page shows: subscribed to while somebody looks, read as often as drawn."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.readers import MessageError, command_reader, frame_name
from cem_planner_ros.ros.diagnostics import COST_TERM
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.messages import message_class
from cem_planner_ros.ros.state_topics import StateTopics
from cem_planner_ros.ros.surroundings_input import SurroundingsInput
from cem_planner_ros.ros.topics import BODY_FRAME
from cem_planner_ros.view.page import Page, predicted

COMMAND_AGE = 1.0
"""Time after its last command for which the braking way of a robot is shown, s."""

PLOTS_EVERY = 10
"""Plots are drawn anew at each so many drawings of the scene."""


def topic_of(planner: str, topic: str) -> str:
    """Return the full name of a topic that a parameter of a planner names."""
    namespace, _, name = planner.rpartition("/")
    return expand_topic_name(topic, name, namespace or "/")


def with_whole_topics(planner: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return values of parameters in which every topic has its full name, as the planner means it.

    Raises ConfigurationError if one is not the name of a topic.
    """
    whole = dict(values)
    for name, value in values.items():
        if name.endswith("topic") and value:
            try:
                whole[name] = topic_of(planner, value)
            except ValueError as error:
                raise ConfigurationError(
                    f"parameter '{name}' is {value!r}, expected the name of a topic: {error}"
                ) from error
    return whole


class WatchedTopics:
    """
    Subscribes to what one configuration of a planner speaks about, and draws it.

    Args:
        node: the node that subscribes; its executor serves the subscriptions.
        planner: fully qualified name of the planner.
        configuration: what the planner's parameters say, on the CPU; topics have their full names.
        page: where it is drawn.
        stamp_clock: clock with which messages are stamped, s.

    Raises ConfigurationError if a type of message is not installed.
    """

    def __init__(
        self,
        node: Node,
        planner: str,
        configuration: Configuration,
        page: Page,
        stamp_clock: Callable[[], float],
    ):
        self._node, self._page, self._configuration = node, page, configuration
        self._undo: list[Callable[[], object]] = []
        self._plan: tuple[float, np.ndarray] | None = None
        self._new: dict[str, Callable[[], None]] = {}
        self._command: tuple[float, np.ndarray] | None = None
        self._drawn = 0
        values, names = configuration.values, configuration.dynamics.state_names
        self._states, self._actions = names, configuration.dynamics.action_names
        self._budget = 1e3 * values["budget_fraction"] / values["control_rate"]
        self._guard = configuration.stop_guard()
        self._surroundings: SurroundingsInput | None = None
        self._footprint: Footprint | None = None  # From a topic.
        try:
            self._subscribe_to_all(planner, stamp_clock)
            page.show_states(names)
        except Exception:
            self.destroy()
            raise

    def _subscribe_to_all(self, planner: str, stamp_clock: Callable[[], float]) -> None:
        node, configuration, values = self._node, self._configuration, self._configuration.values
        self._state_topics = StateTopics(node, configuration, time.monotonic, stamp_clock)
        self._undo.append(self._state_topics.destroy)
        kind = values["command.type"]
        self._read_command = command_reader(kind, configuration.fields("command"))
        self._subscribe(message_class(kind), values["command.topic"], self._on_command)
        for name in ("plan", "candidates", "statistics"):
            take = getattr(self, f"_on_{name}")
            self._subscribe(Float64MultiArray, f"{planner}/{name}", take, depth=20)
        if configuration.inputs:
            frames = Frames(node, values["frame_id"])
            self._undo.append(frames.destroy)
            self._surroundings = SurroundingsInput(
                node,
                configuration,
                frames,
                time.monotonic,
                stamp_clock,
                changed=lambda known: None,
                body=self._body,
            )
            self._undo.append(self._surroundings.destroy)
            self._surroundings.begin()

    def destroy(self) -> None:
        """End the subscriptions."""
        for undo in reversed(self._undo):
            undo()
        self._undo = []

    def draw(self) -> None:
        """Draw what is new since the last call."""
        sample = self._state_topics.latest()
        page, now = self._page, time.monotonic()
        if sample is not None:
            page.scene.show_state(sample.state)
        elif self._plan is not None:
            page.scene.show_state(self._plan[1][0, 1 : 1 + len(self._states)])
        if self._surroundings is not None:
            self._draw_surroundings(self._surroundings, sample, now)
        new, self._new = self._new, {}
        for show in new.values():
            show()
        page.plan.add(now, self._row(sample, now))
        self._drawn += 1
        if self._drawn % PLOTS_EVERY == 0:
            page.show_plots()

    def _draw_surroundings(
        self, surroundings: SurroundingsInput, sample: StateSample | None, now: float
    ) -> None:
        """Draw what the robot drives by: what is new of it, and what moves."""
        scene, values = self._page.scene, self._configuration.values
        known, moving = surroundings.known, surroundings.known.moving_obstacles
        self._footprint = known.footprint
        if moving is not None:
            age = now - moving.time
            is_old = age > values["drive.max_moving_obstacles_age"]
            known = replace(known, moving_obstacles=None if is_old else moving.after(age))
        scene.show_surroundings(known)
        if sample is None:
            return
        if "goal" in self._configuration.inputs:  # A first one, to be dragged.
            scene.offer_goal(self._configuration.planar_robot().pose(sample.state))
        if self._guard is not None:
            self._guard.use(known.footprint)
            way = np.zeros((0, 3))
            if self._command is not None and now < self._command[0] + COMMAND_AGE:
                action = self._command[1]
                safe = self._configuration.control_settings.safe.at(sample.state)
                way = self._guard.way(sample.state, now - sample.time, action, safe)
            scene.show_braking(way, self._guard.footprint)

    def _body(self, moment: float) -> tuple[str, Pose | None]:
        """Return the frame of the robot's body, and its newest pose if it is known."""
        values, sample = self._configuration.values, self._state_topics.newest
        frame = frame_name(values["command.frame_id"] or self._state_topics.child_frame)
        if sample is None:
            return frame or BODY_FRAME, None
        return frame or BODY_FRAME, self._configuration.planar_robot().pose(sample.state)

    def _row(self, sample: StateSample | None, now: float) -> dict[str, float]:
        """Return what is plotted of state and command at a time, s."""
        row: dict[str, float] = {}
        names = self._states
        if sample is not None:
            row |= {f"state {n}": float(v) for n, v in zip(names, sample.state, strict=True)}
        if self._plan is not None:
            received, rows = self._plan
            ahead = now - received
            if ahead < rows[-1, 0]:
                columns = rows[:, 1 : 1 + len(names)].T
                row |= {
                    predicted(name): float(np.interp(ahead, rows[:, 0], column))
                    for name, column in zip(names, columns, strict=True)
                }
        if self._command is not None:
            actions = zip(self._actions, self._command[1], strict=True)
            row |= {f"command {n}": float(v) for n, v in actions}
        return row

    def _subscribe(self, kind: type, topic: str, take: Callable, depth: int = 1) -> None:
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        subscription = self._node.create_subscription(kind, topic, take, qos)
        self._undo.append(functools.partial(self._node.destroy_subscription, subscription))

    # What comes

    def _on_command(self, message) -> None:
        with contextlib.suppress(MessageError):  # Of another publisher.
            self._command = time.monotonic(), self._read_command(message)

    def _on_plan(self, message: Float64MultiArray) -> None:
        rows = np.array(message.data).reshape([d.size for d in message.layout.dim])
        if rows.shape[1] != 1 + len(self._states) + len(self._actions):
            return  # Of the configuration before.
        self._plan = time.monotonic(), rows
        states = rows[:, 1 : 1 + len(self._states)]
        self._new["plan"] = functools.partial(self._show_plan, states)

    def _show_plan(self, states: np.ndarray) -> None:
        self._page.scene.show_plan(states)
        footprint = self._footprint or self._configuration.footprint
        if footprint is not None:
            robot = self._configuration.planar_robot()
            self._page.scene.show_footprints(footprint, np.array([robot.pose(s) for s in states]))

    def _on_candidates(self, message: Float64MultiArray) -> None:
        count, width, states = (dimension.size for dimension in message.layout.dim)
        if states != len(self._states):
            return
        rows = np.array(message.data).reshape(count, width)
        self._new["candidates"] = functools.partial(
            self._page.scene.show_candidates,
            rows[:, 2:].reshape(count, -1, states),
            rows[:, 0],
            int(rows[:, 1].sum()),
        )

    def _on_statistics(self, message: Float64MultiArray) -> None:
        labels = (dimension.label for dimension in message.layout.dim)
        values = dict(zip(labels, message.data, strict=False))
        chosen = ("plan_ms", "margin_ms", "iterations", "status")
        row = {n: v for n, v in values.items() if n in chosen or n.startswith(COST_TERM)}
        self._page.statistics.add(time.monotonic(), row | {"budget_ms": self._budget})
