"""The scenarios of `demo`: nodes, observed topics, and criteria of success."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from cem_planner_ros.configuration import Configuration, load_yaml
from cem_planner_ros.paths import share

LAST = 2.0
"""Time at the end of the run for which the pole must be up, s."""

PROCESS_NOISE = 0.02
"""Noise of the simulated actions, as a share of half their range; it makes seeds differ."""

SAY_AGAIN = 0.5
"""Time between two messages with the goal, until the robot drives, s."""

PLAN_EVERY = 2.5
"""Time between two plans in the picture, s."""


@dataclass
class DemoRecording:
    """The recorded topics; times in s since the first planned command."""

    states: list[tuple[float, np.ndarray]] = field(default_factory=list)
    actions: list[tuple[float, np.ndarray]] = field(default_factory=list)
    statistics: list[tuple[float, dict[str, float]]] = field(default_factory=list)

    @property
    def time(self) -> float:
        """Of the last command."""
        return self.actions[-1][0] if self.actions else 0.0


class Scenario:
    """
    A scenario: a plant, its planner, and how to judge the run.

    Args:
        seed: seed of planner and plant.
    """

    files: ClassVar[Mapping[str, str]]
    """YAML file in the package's config of each node, in the order of their start."""
    duration: ClassVar[float]
    """Default duration, s."""
    min_duration: ClassVar[float] = 0.0
    """s"""
    max_late_share: ClassVar[float] = 1.0
    """Share of the commands that may be late or missing."""
    signals: ClassVar[tuple[tuple[str, Callable[[np.ndarray], float]], ...]]
    """(label, function of the state): what the picture shows over time."""
    has_map: ClassVar[bool] = False

    def __init__(self, seed: int):
        self.seed = seed
        self.config = share("config")

    def parameters(self, node: str) -> dict[str, Any]:
        """Return what a node gets beside its file."""
        if node == "planner":
            return {"planner.seed": self.seed, "publish_statistics": "true"}
        return {"seed": self.seed} if node == "simulator" else {}

    def watch(self, node, configuration: Configuration) -> None:
        """Subscribe to and publish further topics with a node."""

    def is_over(self, recording: DemoRecording) -> bool:
        """Return whether the run can end."""
        return False

    def evaluate(
        self, recording: DemoRecording, duration: float
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the results of this scenario for the summary, and the reasons of a failure."""
        raise NotImplementedError

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        """Return that in words."""
        raise NotImplementedError

    def draw(self, axis, recording: DemoRecording) -> None:
        """Draw a map; only called if `has_map`."""
        raise NotImplementedError


class CartPoleScenario(Scenario):
    """A pole on a cart is swung up and balanced."""

    files: ClassVar = {"simulator": "cartpole_simulator.yaml", "planner": "cartpole.yaml"}
    duration = 10.0
    min_duration = LAST
    max_late_share = 0.01
    signals = (
        ("angle [rad]", lambda state: math.remainder(state[2], math.tau)),
        ("cart [m]", lambda state: state[0]),
    )

    TOLERANCE: ClassVar = 0.2
    """Largest angle from upright that counts as up, rad."""

    def parameters(self, node: str) -> dict[str, Any]:
        """Return what a node gets beside its file."""
        noise = {"process_noise": PROCESS_NOISE} if node == "simulator" else {}
        return super().parameters(node) | noise

    def evaluate(
        self, recording: DemoRecording, duration: float
    ) -> tuple[dict[str, Any], list[str]]:
        """Return when the pole was up for good, and how much of the last seconds."""
        tilts = [(t, abs(self.signals[0][1](state))) for t, state in recording.states]
        last = [tilt < self.TOLERANCE for t, tilt in tilts if t >= duration - LAST]
        fallen = [t for t, tilt in tilts if tilt >= self.TOLERANCE]
        is_up = tilts and tilts[-1][1] < self.TOLERANCE
        share = float(np.mean(last)) if last else 0.0
        return {
            "time_to_goal_s": round(max(fallen, default=0.0), 3) if is_up else None,
            "upright_share_last_2s": round(share, 4),
        }, [f"not upright for the last {LAST:g} s"] if share < 1.0 else []

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        """Return that in words."""
        time = summary["time_to_goal_s"]
        return {
            "time to upright": f"{time:.2f} s" if time is not None else "never",
            "upright, last 2 s": f"{100 * summary['upright_share_last_2s']:.1f} %",
        }


class LearnedCartPoleScenario(CartPoleScenario):
    """The same with a model that was learned from a recording."""

    files: ClassVar = {"simulator": "cartpole_simulator.yaml", "planner": "cartpole_learned.yaml"}


class DiffDriveScenario(Scenario):
    """A robot drives along a path, around unknown obstacles, to a pose."""

    files: ClassVar = {
        "simulator": "drive_simulator.yaml",
        "mapper": "drive_mapper.yaml",
        "planner": "drive.yaml",
    }
    duration = 60.0
    signals = (("v [m/s]", lambda state: state[3]), ("yaw rate [rad/s]", lambda state: state[4]))
    has_map = True

    def __init__(self, seed: int):
        super().__init__(seed)
        from cem_planner_ros.simulation import worlds

        self._world = worlds.load(
            load_yaml(self.config / self.files["simulator"])["world"], self.seed
        )
        self._plans: list[np.ndarray] = []
        self._is_reached = self._has_touched = self._is_going = False

    def watch(self, node, configuration: Configuration) -> None:
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
        from matplotlib.patches import Circle, Rectangle

        world = self._world
        for outlines, color in ((world.fixed, "0.4"), (world.obstacles, "tab:red")):
            for x, y, yaw, length, width in outlines.boxes:
                corner = (x - length / 2, y - width / 2)
                angle = math.degrees(yaw)
                axis.add_patch(
                    Rectangle(
                        corner, length, width, angle=angle, rotation_point="center", color=color
                    )
                )
            for x, y, radius in outlines.circles:
                axis.add_patch(Circle((x, y), radius, color=color))
        axis.plot(*world.path.T, "k--", linewidth=0.8, label="path")
        way = np.array([state for _, state in recording.states])
        every = max(1, round(PLAN_EVERY / max(recording.time, 1e-9) * len(self._plans)))
        for index, plan in enumerate(self._plans[::every]):
            axis.plot(*plan.T, "tab:blue", linewidth=1.0, label=None if index else "plans")
        if len(way):
            axis.plot(*way[:, :2].T, "tab:green", linewidth=1.5, label="way driven")
            spacing = max(1, round(len(way) / max(recording.time, 1.0)))  # About 1 s.
            for pose in way[:: 2 * spacing, :3]:
                axis.plot(*self._footprint.at(*pose).T, "tab:green", linewidth=0.4)
        x, y, yaw = world.goal
        axis.arrow(
            x, y, 0.3 * math.cos(yaw), 0.3 * math.sin(yaw), color="tab:purple", head_width=0.1
        )
        low, high = world.path.min(0) - 1.2, world.path.max(0) + 1.2
        axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axis.set(xlabel="x [m]", ylabel="y [m]")
        axis.legend(loc="upper left", fontsize="small")


SCENARIOS: Mapping[str, type[Scenario]] = {
    "cartpole": CartPoleScenario,
    "cartpole_learned": LearnedCartPoleScenario,
    "diff_drive": DiffDriveScenario,
}
