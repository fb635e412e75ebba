# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The scenario of `demo` in which a robot drives around obstacles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cem_planner_ros.cli.demo_scenario import DemoRecording, Scenario
from cem_planner_ros.configuration import Configuration, load_yaml

if TYPE_CHECKING:
    from cem_planner_ros.simulation.worlds import World

SAY_AGAIN = 0.5
"""Time between two messages with the goal, until the robot drives, s."""

PLAN_EVERY = 2.5
"""Time between two plans in the picture, s."""


class DiffDriveScenario(Scenario):
    """A robot drives along a path, around unknown obstacles, to a pose."""

    files: ClassVar = {
        "simulator": "drive_simulator.yaml",
        "mapper": "drive_mapper.yaml",
        "planner": "drive.yaml",
    }
    duration = 60.0
    has_map = True

    def __init__(self, seed: int):
        super().__init__(seed)
        from cem_planner_ros.simulation import worlds

        self._world = worlds.load(
            load_yaml(self.config / self.files["simulator"])["world"], self.seed
        )
        goal = self._world.goal[:2]
        self.signals = (
            ("from the goal [m]", lambda state: math.dist(state[:2], goal)),
            ("v [m/s]", lambda state: state[3]),
            ("yaw rate [rad/s]", lambda state: state[4]),
        )
        self._plans: list[np.ndarray] = []
        self._is_reached = self._has_touched = self._is_going = False

    def watch(self, node, configuration: Configuration, recording: DemoRecording) -> None:
        """Publish the goal until the robot drives, and record how it drives."""
        from builtin_interfaces.msg import Time
        from std_msgs.msg import Bool, Float64MultiArray

        from cem_planner_ros.ros.diagnostics import path_message
        from cem_planner_ros.ros.messages import LATCHED

        values = configuration.values
        self._tolerance = values["drive.xy_tolerance"], values["drive.yaw_tolerance"]
        self._footprint = configuration.footprint

        def on_reached(message: Bool) -> None:
            self._is_reached = message.data

        def on_touched(message: Bool) -> None:
            self._has_touched = message.data

        def on_plan(message: Float64MultiArray) -> None:
            self._is_going = True
            rows = np.reshape(message.data, (message.layout.dim[0].size, -1))
            self._plans.append(rows[:, 1:3])  # After the time; x and y come first.

        node.create_subscription(Bool, "/cem_planner/goal_reached", on_reached, LATCHED)
        node.create_subscription(Bool, "touched", on_touched, LATCHED)
        node.create_subscription(Float64MultiArray, "/cem_planner/plan", on_plan, 5)
        steps = np.diff(self._world.path, axis=0)
        headings = np.append(np.arctan2(steps[:, 1], steps[:, 0]), self._world.goal[2])
        poses = np.column_stack((self._world.path, headings))
        message = path_message(poses, ("x", "y", "yaw"), Time(), values["frame_id"])
        publisher = node.create_publisher(type(message), values["drive.path_topic"], 1)
        node.create_timer(SAY_AGAIN, lambda: self._is_going or publisher.publish(message))

    def is_over(self, recording: DemoRecording) -> bool:
        """Return whether the robot has arrived, or has touched something."""
        return self._is_reached or self._has_touched

    def evaluate(
        self, recording: DemoRecording, duration: float
    ) -> tuple[dict[str, Any], list[str]]:
        """Return when and how it arrived, and whether it touched anything."""
        x, y, yaw = recording.states[-1][1][:3] if recording.states else (math.nan,) * 3
        goal = self._world.goal
        off, turned = math.dist((x, y), goal[:2]), abs(math.remainder(yaw - goal[2], math.tau))
        is_there = self._is_reached and off < self._tolerance[0] and turned < self._tolerance[1]
        problems = [] if is_there else [f"not at the goal after {recording.time:.1f} s"]
        if self._has_touched:
            problems.append("it touched something")
        return {
            "time_to_goal_s": round(recording.time, 3) if is_there else None,
            "distance_m": round(off, 3),
            "heading_error_rad": round(turned, 3),
            "touched": self._has_touched,
        }, problems

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        """Return that in words."""
        time = summary["time_to_goal_s"]
        return {
            "time to the goal": f"{time:.2f} s" if time is not None else "never",
            "from the goal": f"{summary['distance_m']:.2f} m, "
            f"{summary['heading_error_rad']:.2f} rad",
            "touched": "something" if summary["touched"] else "nothing",
        }

    def draw(self, axis, recording: DemoRecording) -> None:
        """Draw the world from above, the driven track, the footprint and some plans."""
        draw_world(axis, self._world)
        way = np.array([state for _, state in recording.states])
        every = max(1, round(PLAN_EVERY / max(recording.time, 1e-9) * len(self._plans)))
        for index, plan in enumerate(self._plans[::every]):
            axis.plot(*plan.T, "tab:blue", linewidth=1.0, label=None if index else "plans")
        if len(way):
            axis.plot(*way[:, :2].T, "tab:green", linewidth=1.5, label="way driven")
            spacing = max(1, round(len(way) / max(recording.time, 1.0)))  # About 1 s.
            for pose in way[:: 2 * spacing, :3]:
                axis.plot(*self._footprint.at(*pose).T, "tab:green", linewidth=0.4)
        axis.legend(loc="upper left", fontsize="small")


def draw_world(axis, world: World) -> None:
    """Draw a world from above: walls, obstacles that its path does not know, path and goal."""
    from matplotlib.patches import Circle, Rectangle

    for outlines, color in ((world.fixed, "0.4"), (world.obstacles, "tab:red")):
        for x, y, yaw, length, width in outlines.boxes:
            corner, angle = (x - length / 2, y - width / 2), math.degrees(yaw)
            axis.add_patch(
                Rectangle(corner, length, width, angle=angle, rotation_point="center", color=color)
            )
        for x, y, radius in outlines.circles:
            axis.add_patch(Circle((x, y), radius, color=color))
    axis.plot(*world.path.T, "k--", linewidth=0.8, label="path")
    x, y, yaw = world.goal
    axis.arrow(x, y, 0.3 * math.cos(yaw), 0.3 * math.sin(yaw), color="tab:purple", head_width=0.1)
    low, high = world.path.min(0) - 1.2, world.path.max(0) + 1.2
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axis.set(xlabel="x [m]", ylabel="y [m]")
