# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The scenario of `demo` in which a robot with four legs follows velocity commands."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import numpy as np

from cem_planner_ros.cli.demo_scenario import DemoRecording, Panel, Scenario
from cem_planner_ros.configuration import Configuration
from cem_planner_ros.simulation import walking

RATE = 20.0
"""Of the velocity commands, Hz."""


class QuadrupedScenario(Scenario):
    """A quadruped stands, walks forward, sideways and round, and is pushed."""

    files: ClassVar = {"simulator": "quadruped_simulator.yaml", "planner": "quadruped.yaml"}
    duration = walking.DURATION
    min_duration = 4.0
    max_late_share = 0.05
    signals = (("height [m]", lambda state: state[2]),)
    has_map = True

    def __init__(self, seed: int):
        super().__init__(seed)
        self._first_speed = 0
        self._is_pushed = self._is_down = False
        self._falls = 0

    def parameters(self, node: str) -> dict[str, Any]:
        """Return what a node gets beside its file."""
        noise = {"process_noise": 0.02} if node == "simulator" else {}
        return super().parameters(node) | noise

    def watch(self, node, configuration: Configuration, recording: DemoRecording) -> None:
        """Publish velocity commands, push the robot once, and count its falls."""
        from geometry_msgs.msg import Twist, Vector3

        self._first_speed = configuration.dynamics.state_names.index("base_x_dot")
        command = node.create_publisher(Twist, configuration.values["velocity.topic"], 1)
        push = node.create_publisher(Vector3, "push", 1)

        def send() -> None:
            now = recording.now
            message = Twist()
            if now >= 0.0:
                velocity = map(float, walking.command_at(now))
                message.linear.x, message.linear.y, message.angular.z = velocity
            command.publish(message)
            if now >= walking.PUSH_TIME and not self._is_pushed:
                self._is_pushed = True
                x, y, z = walking.PUSH
                push.publish(Vector3(x=x, y=y, z=z))
            self._count_falls(recording)

        node.create_timer(1.0 / RATE, send)

    def _walk(self, recorded: list[tuple[float, np.ndarray]]) -> walking.Walk:
        """Return the motion of states with their times."""
        if not recorded:
            return walking.Walk(np.zeros(0), np.zeros((0, 3)), np.zeros(0), np.zeros(0))
        states = np.array([state for _, state in recorded])
        first = self._first_speed
        moved = walking.motion(states[:, :7], states[:, first : first + 6])
        return walking.Walk(np.array([t for t, _ in recorded]), *moved)

    def _count_falls(self, recording: DemoRecording) -> None:
        was_down, self._is_down = self._is_down, self._walk(recording.states[-1:]).is_down.any()
        self._falls += bool(self._is_down and not was_down)

    def readings(self, recording: DemoRecording) -> list[tuple[str, str]]:
        """Return height, error of the velocity over the last stride, and number of falls."""
        begin = recording.states[-1][0] - walking.STRIDE
        stride = [*itertools.takewhile(lambda each: each[0] >= begin, reversed(recording.states))]
        walk = self._walk(stride[::-1])
        return [
            ("height [m]", f"{walk.heights[-1]:.2f}"),
            ("velocity error [m/s]", f"{walking.present_error(walk):.2f}"),
            ("falls", f"{self._falls}"),
        ]

    def evaluate(
        self, recording: DemoRecording, duration: float
    ) -> tuple[dict[str, Any], list[str]]:
        """Return how well the velocity was followed, and whether the robot fell."""
        return walking.judge(self._walk(recording.states), duration)

    def panels(self, recording: DemoRecording) -> list[Panel]:
        """Return height and velocities over time, and what was commanded."""
        walk = self._walk(recording.states)
        times = walk.times.tolist()
        wanted = np.array([walking.command_at(time) for time in times]).reshape(-1, 3)
        panels = super().panels(recording)
        for row, label in enumerate(("forward [m/s]", "sideways [m/s]", "turning [rad/s]")):
            panels.append((label, times, walk.velocities[:, row].tolist()))
            panels.append((f"{label}, commanded", times, wanted[:, row].tolist()))
        return panels

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        """Return that in words."""
        error, turning = summary["velocity_error_m_s"], summary["turning_error_rad_s"]
        down, after = summary["down_after_push_s"], "does not stand"
        if down is None:
            after = f"not pushed before {walking.PUSH_TIME:g} s"
        elif summary["stands_at_the_end"]:
            after = f"got up within {down} s" if down else "stands"
        return {
            "velocity error": "not measured"
            if error is None
            else f"{error} m/s, turning {turning} rad/s",
            "fell": "yes" if summary["fell"] else "no",
            "after the push": after,
        }

    def draw(self, axis, recording: DemoRecording) -> None:
        """Draw the way of the trunk from above."""
        way = np.array([state[:2] for _, state in recording.states]).reshape(-1, 2)
        axis.plot(*way.T, "tab:green", linewidth=1.5)
        axis.set(xlabel="x [m]", ylabel="y [m]", aspect="equal")
