# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The scenario of `demo` in which a quadrotor flies a figure of eight."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cem_planner_ros.cli.demo_scenario import DemoRecording, Panel, Scenario
from cem_planner_ros.configuration import Configuration
from cem_planner_ros.simulation import figure_eight
from cem_planner_ros.simulation.figure_eight import APPROACH, FigureOfEight

if TYPE_CHECKING:
    from trajectory_msgs.msg import MultiDOFJointTrajectory

LOOK = 0.02
"""Time between two looks whether a trajectory is due, s."""


class QuadrotorScenario(Scenario):
    """A quadrotor flies a figure of eight whose shape changes every second."""

    files: ClassVar = {"simulator": "quadrotor_simulator.yaml", "planner": "quadrotor.yaml"}
    duration = 24.0
    min_duration = APPROACH + figure_eight.SETTLE + 1.0
    signals = (
        ("z [m]", lambda state: state[2]),
        ("speed [m/s]", lambda state: float(np.linalg.norm(state[3:6]))),
    )
    has_map = True

    def __init__(self, seed: int):
        super().__init__(seed)
        self.figure = FigureOfEight(seed)
        self.began = math.nan
        """When the figure began, s on the clock of the recording."""

    def parameters(self, node: str) -> dict[str, Any]:
        """Return what a node gets beside its file."""
        if node != "simulator":
            return super().parameters(node)
        return super().parameters(node) | {"start": figure_eight.start(self.seed)}

    def watch(self, node, configuration: Configuration, recording: DemoRecording) -> None:
        """Publish the trajectory once the quadrotor is controlled, and again every second."""
        from rclpy.time import Time
        from trajectory_msgs.msg import MultiDOFJointTrajectory

        (source,) = configuration.reference_sources.values()
        publisher = node.create_publisher(MultiDOFJointTrajectory, source.topic, 1)
        second, zero = -1, 0  # The figure's last second that was published; its beginning, ns.

        def publish() -> None:
            nonlocal second, zero
            if not recording.now >= 0.0 or not publisher.get_subscription_count():
                return
            now = node.get_clock().now().nanoseconds
            if second < 0:
                self.began, zero = recording.now + APPROACH, now + round(1e9 * APPROACH)
            due = max(0, (now - zero) // round(1e9 * figure_eight.CHANGE))
            if due > second:
                # The first one begins now, so that the quadrotor flies to the figure.
                begin = now if second < 0 else zero + due * round(1e9 * figure_eight.CHANGE)
                second = due
                times, *points = self.figure.trajectory(second, figure_eight.AHEAD)
                offsets = times + 1e-9 * (zero - begin)
                stamp = Time(nanoseconds=begin).to_msg()
                publisher.publish(_message(stamp, offsets, *points))

        node.create_timer(LOOK, publish)

    def readings(self, recording: DemoRecording) -> list[tuple[str, str]]:
        """Return height, speed, and how far from the figure it is, once that has begun."""
        told = super().readings(recording)
        time, state = recording.states[-1]
        if time >= self.began:
            off = self.figure.distances(np.array([time - self.began]), state[None, :3])[0]
            told.append(("from the figure [m]", f"{off:.2f}"))
        return told

    def evaluate(
        self, recording: DemoRecording, duration: float
    ) -> tuple[dict[str, Any], list[str]]:
        """Return how far from the figure it flew, and whether it fell."""
        result = figure_eight.result(*self._flown(recording))
        is_known = not math.isnan(result.error)
        return {
            "rms_error_m": round(result.error, 4) if is_known else None,
            "max_error_m": round(result.most, 4) if is_known else None,
            "speed_m_s": self.figure.speed,
        }, result.problems

    def _flown(self, recording: DemoRecording) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return times since the figure began, s, distances from it and heights, m, each (n,)."""
        times = np.array([t for t, _ in recording.states]) - self.began
        positions = np.array([state[:3] for _, state in recording.states]).reshape(-1, 3)
        if math.isnan(self.began) or not len(times):
            return times, np.full(len(times), np.nan), positions[:, 2]
        return times, self.figure.distances(times, positions), positions[:, 2]

    def panels(self, recording: DemoRecording) -> list[Panel]:
        """Return the distance from the figure, and the speed."""
        _, distances, _ = self._flown(recording)
        label, speed = self.signals[-1]
        since = [t for t, _ in recording.states]
        return [
            ("distance [m]", since, distances.tolist()),
            (label, since, [speed(state) for _, state in recording.states]),
        ]

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        """Return that in words."""
        error, most = summary["rms_error_m"], summary["max_error_m"]
        flown = f"{error:.3f} m (root mean square), at most {most:.3f} m" if error else "not flown"
        return {
            "from the figure": flown,
            "speed of the figure": f"{summary['speed_m_s']:g} m/s",
        }

    def draw(self, axis, recording: DemoRecording) -> None:
        """Draw the figure and the way flown, from above."""
        way = np.array([state[:2] for _, state in recording.states]).reshape(-1, 2)
        if not math.isnan(self.began):
            end = max(recording.time - self.began, 0.0)
            wanted = self.figure.position(np.arange(0.0, end, 0.02))
            axis.plot(*wanted[:, :2].T, "k--", linewidth=0.8, label="figure of eight")
        axis.plot(*way.T, "tab:green", linewidth=1.2, label="way flown")
        axis.set(xlabel="x [m]", ylabel="y [m]", aspect="equal")
        axis.legend(loc="upper right", fontsize="small")


def _message(
    stamp, offsets: np.ndarray, positions: np.ndarray, velocities: np.ndarray
) -> MultiDOFJointTrajectory:
    """Return a trajectory that begins at a stamp, with points at offsets (n,), s."""
    from builtin_interfaces.msg import Duration
    from geometry_msgs.msg import Quaternion, Transform, Twist, Vector3
    from trajectory_msgs.msg import MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint

    message = MultiDOFJointTrajectory(joint_names=["base_link"])
    message.header.stamp = stamp
    for offset, place, velocity in zip(offsets, positions, velocities, strict=True):
        nanoseconds = max(round(1e9 * offset), 0)
        point = MultiDOFJointTrajectoryPoint(
            time_from_start=Duration(
                sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000
            )
        )
        x, y, z = map(float, place)
        point.transforms = [
            Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(w=1.0))
        ]
        vx, vy, vz = map(float, velocity)
        point.velocities = [Twist(linear=Vector3(x=vx, y=vy, z=vz))]
        message.points.append(point)
    return message
