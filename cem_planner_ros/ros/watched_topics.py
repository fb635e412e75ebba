# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The topics that the page shows: subscribed to while somebody looks, read as often as drawn."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import OccupancyGrid, Path
from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.readers import MessageError, command_reader
from cem_planner_ros.ros.any_durability import AnyDurabilitySubscription
from cem_planner_ros.ros.diagnostics import COST_TERM
from cem_planner_ros.ros.frames import planar_pose
from cem_planner_ros.ros.messages import message_class
from cem_planner_ros.ros.state_topics import StateTopics
from cem_planner_ros.view.page import Page
from cem_planner_ros.view.scene import MapGrid

MOST_STATES = 5
"""Number of states in the plot of states and predictions."""

PLOTS_EVERY = 10
"""Plots are drawn anew at each so many drawings of the scene."""


def topic_of(planner: str, topic: str) -> str:
    """Return the full name of a topic that a parameter of a planner names."""
    namespace, _, name = planner.rpartition("/")
    return expand_topic_name(topic, name, namespace or "/")


class WatchedTopics:
    """
    Subscribes to what one configuration of a planner speaks about, and draws it.

    Args:
        node: the node that subscribes; its executor serves the subscriptions.
        planner: fully qualified name of the planner.
        configuration: what the planner's parameters say, on the CPU.
        page: where it is drawn.
        stamp_clock: clock with which messages are stamped, s.
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
        self._action: np.ndarray | None = None
        self._drawn = 0
        values, names = configuration.values, configuration.dynamics.state_names
        self._states, self._actions = names, configuration.dynamics.action_names
        self._budget = 1e3 * values["budget_fraction"] / values["control_rate"]
        # Topics without a leading slash are in the namespace of the planner.
        place = rclpy.create_node(
            f"_{node.get_name()}_topics",
            context=node.context,
            namespace=planner.rpartition("/")[0] or "/",
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._undo.append(place.destroy_node)
        self._state_topics = StateTopics(place, configuration, time.monotonic, stamp_clock)
        self._undo.append(self._state_topics.destroy)
        kind = values["command.type"]
        self._read_command = command_reader(kind, configuration.fields("command"))
        command = topic_of(planner, values["command.topic"])
        self._subscribe(message_class(kind), command, self._on_command)
        for name in ("plan", "candidates", "statistics"):
            take = getattr(self, f"_on_{name}")
            self._subscribe(Float64MultiArray, f"{planner}/{name}", take, depth=20)
        inputs = configuration.inputs
        self._has_goal = "goal" in inputs
        if "costmap" in inputs:
            topic = topic_of(planner, values["drive.costmap_topic"])
            self._latched(OccupancyGrid, topic, self._on_costmap)
        for name, kind in (("goal", PoseStamped), ("path", Path)):
            if name in inputs:
                topic = topic_of(planner, values[f"drive.{name}_topic"])
                self._latched(kind, topic, getattr(self, f"_on_{name}"))

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
            if self._has_goal:  # A first one, to be dragged.
                page.scene.offer_goal(self._configuration.planar_robot().pose(sample.state))
        elif self._plan is not None:
            page.scene.show_state(self._plan[1][0, 1 : 1 + len(self._states)])
        new, self._new = self._new, {}
        for show in new.values():
            show()
        page.plan.add(now, self._row(sample, now))
        self._drawn += 1
        if self._drawn % PLOTS_EVERY == 0:
            page.show_plots()

    def _row(self, sample, now: float) -> dict[str, float]:
        """Return what is plotted of state and command at a time, s."""
        row: dict[str, float] = {}
        names = self._states[:MOST_STATES]
        if sample is not None:
            row |= {f"state {n}": float(v) for n, v in zip(names, sample.state, strict=False)}
        if self._plan is not None:
            received, rows = self._plan
            ahead = now - received
            if ahead < rows[-1, 0]:
                columns = rows[:, 1 : 1 + len(names)].T
                row |= {
                    f"state {name}, predicted": float(np.interp(ahead, rows[:, 0], column))
                    for name, column in zip(names, columns, strict=True)
                }
        if self._action is not None:
            actions = zip(self._actions, self._action, strict=True)
            row |= {f"command {n}": float(v) for n, v in actions}
        return row

    def _subscribe(self, kind: type, topic: str, take: Callable, depth: int = 1) -> None:
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        subscription = self._node.create_subscription(kind, topic, take, qos)
        self._undo.append(functools.partial(self._node.destroy_subscription, subscription))

    def _latched(self, kind: type, topic: str, take: Callable) -> None:
        subscription = AnyDurabilitySubscription(
            self._node, kind, topic, take, ReliabilityPolicy.BEST_EFFORT
        )
        subscription.ask()
        self._undo.append(subscription.destroy)

    # What comes

    def _on_command(self, message) -> None:
        with contextlib.suppress(MessageError):  # Of another publisher.
            self._action = self._read_command(message)

    def _on_plan(self, message: Float64MultiArray) -> None:
        rows = np.array(message.data).reshape([d.size for d in message.layout.dim])
        if rows.shape[1] != 1 + len(self._states) + len(self._actions):
            return  # Of the configuration before.
        self._plan = time.monotonic(), rows
        states = rows[:, 1 : 1 + len(self._states)]
        self._new["plan"] = functools.partial(self._show_plan, states)

    def _show_plan(self, states: np.ndarray) -> None:
        self._page.scene.show_plan(states)
        footprint = self._configuration.footprint
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

    def _on_costmap(self, message: OccupancyGrid) -> None:
        info = message.info
        if info.width * info.height != len(message.data) or not info.width:
            return
        cells = np.array(message.data, np.int8).reshape(info.height, info.width)
        try:
            pose = planar_pose(info.origin.position, info.origin.orientation)
        except MessageError:
            return
        grid = MapGrid(cells, info.resolution, pose)
        self._new["costmap"] = functools.partial(self._page.scene.show_costmap, grid)

    def _on_path(self, message: Path) -> None:
        places = [(p.pose.position.x, p.pose.position.y) for p in message.poses]
        points = np.array(places, float).reshape(-1, 2)
        self._new["path"] = functools.partial(self._page.scene.show_path, points)

    def _on_goal(self, message: PoseStamped) -> None:
        try:
            pose = planar_pose(message.pose.position, message.pose.orientation)
        except MessageError:  # The planner refuses it too, and says so.
            return
        self._new["goal"] = functools.partial(self._page.scene.show_goal, pose)
