# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The scenario of `demo` in which an arm reaches poses around a column."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from cem_planner_ros.cli.demo_scenario import DemoRecording, Panel, Scenario
from cem_planner_ros.configuration import Configuration
from cem_planner_ros.simulation import column_reach
from cem_planner_ros.simulation.column_reach import GoalsAroundColumn, Tip

LOOK = 0.02
"""Time between two looks whether a goal is due, s."""


class ArmScenario(Scenario):
    """An arm of seven joints moves its tip around a column, from one pose to the next."""

    files: ClassVar = {"simulator": "arm_simulator.yaml", "planner": "arm.yaml"}
    duration = 20.5
    min_duration = column_reach.EVERY
    has_map = True

    def __init__(self, seed: int):
        super().__init__(seed)
        self.goals = GoalsAroundColumn(seed)
        self.began = math.nan
        """When the first goal was sent, s on the clock of the recording."""
        self.has_touched = False
        self._tip = Tip()
        self.most_jump = math.inf
        """Largest first step of a joint that is allowed, rad."""

    def parameters(self, node: str) -> dict[str, Any]:
        """Return what a node gets beside its file."""
        start = {"start": column_reach.start(self.seed)} if node == "simulator" else {}
        return super().parameters(node) | start

    def watch(self, node, configuration: Configuration, recording: DemoRecording) -> None:
        """Publish the goals once the arm is controlled, and hear whether it touched anything."""
        from geometry_msgs.msg import Point, PoseStamped, Quaternion
        from std_msgs.msg import Bool

        from cem_planner_ros.ros.messages import LATCHED

        self.most_jump = column_reach.most_jump(configuration)
        (source,) = configuration.reference_sources.values()
        publisher = node.create_publisher(PoseStamped, source.topic, 1)
        sent = -1

        def on_touched(message: Bool) -> None:
            self.has_touched = self.has_touched or message.data

        def publish() -> None:
            nonlocal sent
            if not recording.now >= 0.0 or not publisher.get_subscription_count():
                return
            if math.isnan(self.began):
                self.began = recording.now
            index = self.goals.index(recording.now - self.began)
            if index > sent:
                sent = index
                x, y, z, qw, qx, qy, qz = map(float, self.goals.goal(index))
                message = PoseStamped()
                message.header.stamp = node.get_clock().now().to_msg()
                message.pose.position = Point(x=x, y=y, z=z)
                message.pose.orientation = Quaternion(w=qw, x=qx, y=qy, z=qz)
                publisher.publish(message)

        node.create_subscription(Bool, "touched", on_touched, LATCHED)
        node.create_timer(LOOK, publish)

    def _reached(self, recording: DemoRecording) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return times since the first goal (n,), s, tips (n, 3) and distances (n,), m."""
        if math.isnan(self.began) or not recording.states:
            return np.zeros(0), np.zeros((0, 3)), np.zeros(0)
        times = np.array([t for t, _ in recording.states]) - self.began
        tips = self._tip.at(np.array([state for _, state in recording.states]))
        return times, tips, self.goals.distances(times, tips)

    def readings(self, recording: DemoRecording) -> list[tuple[str, str]]:
        """Return which goal holds, and how far the tip is from it."""
        if math.isnan(self.began):
            return []
        time, state = recording.states[-1]
        since, tip = np.array([time - self.began]), self._tip.at(state[None])
        return [
            ("goal", f"{self.goals.index(since[0]) + 1}"),
            ("from it [m]", f"{self.goals.distances(since, tip)[0]:.3f}"),
        ]

    def evaluate(
        self, recording: DemoRecording, duration: float
    ) -> tuple[dict[str, Any], list[str]]:
        """Return how near it came to the goals, and whether it touched anything or jumped."""
        times, _, distances = self._reached(recording)
        jump = math.inf
        if recording.first is not None:
            state, command = recording.first
            jump = float(np.abs(command - state).max())
        result = column_reach.result(times, distances, self.has_touched, jump, self.most_jump)
        return {
            "goals": len(result.errors),
            "reached": sum(error < column_reach.MOST_ERROR for error in result.errors),
            "max_error_m": round(max(result.errors), 4) if result.errors else None,
            "touched": self.has_touched,
            "first_step_rad": round(jump, 4) if math.isfinite(jump) else None,
        }, result.problems

    def panels(self, recording: DemoRecording) -> list[Panel]:
        """Return the distance from the goal, and the height of the tip."""
        times, tips, distances = self._reached(recording)
        since = (times + self.began).tolist()
        return [
            ("distance [m]", since, distances.tolist()),
            ("height of tip [m]", since, tips[:, 2].tolist()),
        ]

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        """Return that in words."""
        error, jump = summary["max_error_m"], summary["first_step_rad"]
        return {
            "goals reached": f"{summary['reached']} of {summary['goals']}",
            "from the goals": "-" if error is None else f"at most {error:.3f} m after 1 s",
            "touched": "something" if summary["touched"] else "nothing",
            "first command": "none" if jump is None else f"{jump:.3f} rad from the measured pose",
        }

    def draw(self, axis, recording: DemoRecording) -> None:
        """Draw column, goals and the way of the tip, from above."""
        from matplotlib.patches import Circle

        _, tips, distances = self._reached(recording)
        axis.add_patch(Circle(column_reach.COLUMN, column_reach.RADIUS, color="tab:red"))
        last = self.goals.index(recording.time - self.began) if len(distances) else -1
        goals = np.array([self.goals.goal(index) for index in range(last + 1)]).reshape(-1, 7)
        axis.plot(*goals[:, :2].T, "kx", label="goals")
        axis.plot(*tips[:, :2].T, "tab:green", linewidth=1.2, label="way of the tip")
        axis.plot(0.0, 0.0, "ks", label="base")
        axis.set(xlabel="x [m]", ylabel="y [m]", aspect="equal")
        axis.legend(loc="upper left", fontsize="small")
