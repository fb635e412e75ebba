# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The action `follow_path` of Nav2's controller_server, served by the planner node."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.configuration.driving_table import POSE_PROGRESS_CHECKER, STOPPED_GOAL_CHECKER
from cem_planner_ros.control.commander import Commander
from cem_planner_ros.control.ladder import STOPPED
from cem_planner_ros.control.tick import (
    COLLISION_IMMINENT,
    DEVICE_FAILED,
    EMERGENCY_STOP,
    NO_STATE,
    NO_VALID_PLAN,
    OUTSIDE_COSTMAP,
    PAUSED,
    PLAN_FAILED,
    STALE_COSTMAP,
    STALE_MOVING_OBSTACLES,
    STALE_STATE,
)
from cem_planner_ros.navigation.path_progress import PathProgress
from cem_planner_ros.navigation.planar_robot import PlanarRobot, Twist
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.progress_checker import ProgressChecker
from cem_planner_ros.navigation.surroundings import GoalTolerance
from cem_planner_ros.readers import MessageError, frame_name
from cem_planner_ros.ros.nav2_messages import fill_feedback, nav2_type
from cem_planner_ros.ros.surroundings_input import SurroundingsInput

ACTION = "follow_path"

LOOK = 0.05
"""Period in which the current goal is checked, s."""

STOP_TIMEOUT = 2.0
"""Longest time after `hold_time` that a cancelled goal waits until the robot stands, s."""

ABORTS = {
    NO_STATE: "TF_ERROR",
    STALE_STATE: "TF_ERROR",
    STALE_COSTMAP: "CONTROLLER_TIMED_OUT",
    OUTSIDE_COSTMAP: "CONTROLLER_TIMED_OUT",
    STALE_MOVING_OBSTACLES: "CONTROLLER_TIMED_OUT",
    NO_VALID_PLAN: "NO_VALID_CONTROL",
    PLAN_FAILED: "NO_VALID_CONTROL",
    DEVICE_FAILED: "NO_VALID_CONTROL",
    COLLISION_IMMINENT: "NO_VALID_CONTROL",
}
"""Name of the error code for each cause that lasts longer than `failure_tolerance`."""


class _RefusedError(Exception):
    """The reason why a goal is refused: the name of an error code, and a text."""


@dataclass
class _Task:
    """The current goal."""

    handle: object
    progress: ProgressChecker | None
    along: PathProgress = field(default_factory=PathProgress)
    well: float = math.nan
    """Time of the last period without a problem that aborts, s on the clock of the loop."""
    cancelled: float = math.nan
    """Time at which a cancelled goal began to stop the robot, s on the clock of the loop."""


class FollowPathServer:
    """
    Passes the paths of FollowPath goals on, and reports how each goal ends.

    There is one current goal. A new goal replaces it without a stop; the replaced goal is aborted.
    A cancelled goal ends when the robot stands, after the fallback has braked it evenly. Everything
    happens on the executor thread. The server only reads the control loop's results.

    Args:
        node: the node that serves the action.
        configuration: returns the current parameters.
        surroundings: receives the paths.
        clock: the clock of the control loop, s.
        commander: returns the commander of the current loop, None if there is no loop.

    Raises ConfigurationError if nav2_msgs is not installed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        configuration: Callable[[], Configuration],
        surroundings: SurroundingsInput,
        clock: Callable[[], float],
        commander: Callable[[], Commander | None],
    ):
        kind = nav2_type("action", "FollowPath", "drive.follow_path")
        self._node = node
        self._configuration = configuration
        self._surroundings = surroundings
        self._clock = clock
        self._commander = commander
        self._kind = kind
        self._robot: PlanarRobot = configuration().planar_robot()
        self._task: _Task | None = None
        self._server = _Server(
            node,
            kind,
            ACTION,
            lambda handle: kind.Result(),
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=lambda handle: CancelResponse.ACCEPT,
        )
        self._timer = node.create_timer(
            LOOK, self.look, clock=Clock(clock_type=ClockType.STEADY_TIME), autostart=False
        )

    def destroy(self) -> None:
        """Destroy the action server."""
        self._node.destroy_timer(self._timer)
        self._server.destroy()

    def begin(self) -> None:
        """Accept goals from now on."""
        self._timer.reset()

    def end(self) -> None:
        """Abort the current goal, and accept no more goals."""
        self._timer.cancel()
        self._abort("UNKNOWN", "the node was deactivated")

    # Goals

    def _on_goal(self, request) -> GoalResponse:
        if self._surroundings.is_active:
            return GoalResponse.ACCEPT
        self._node.get_logger().warning(f"goal of '{ACTION}' rejected: the node is not active")
        return GoalResponse.REJECT

    def _on_accepted(self, handle) -> None:
        handle.execute()
        before = self._task
        request = handle.request
        self._task = task = _Task(handle, None)
        if before is None:
            # Otherwise an equal goal that was reached before would count as reached.
            self._surroundings.stand_still()
        else:
            is_cancelled = before.handle.is_cancel_requested
            state = "canceled" if is_cancelled else "abort"
            self._conclude(before, state, "NONE", "another path came")
        try:
            values = self._configuration().values
            _chosen("controller", request.controller_id, values)
            task.progress = _progress_checker(request.progress_checker_id, values)
            tolerance = _tolerance(request.goal_checker_id, values)
            self._surroundings.follow(request.path, tolerance)
        except _RefusedError as refusal:
            self._abort(*refusal.args)
        except MessageError as error:
            self._abort("INVALID_PATH", f"the path cannot be followed: {error}")

    def look(self) -> None:
        """Check the current goal: send feedback, or conclude the goal."""
        task, commander = self._task, self._commander()
        if task is None or commander is None:
            return
        now = self._clock()
        if task.handle.is_cancel_requested:
            self._stop(task, commander, now)
            return
        if "way" in self._surroundings.problems:
            self._surroundings.settle()  # Its transform may have come.
        if "way" not in self._surroundings.problems and commander.is_goal_reached:
            self._task = None
            self._conclude(task, "succeed", "NONE", "")
        else:
            self._follow(task, commander, now)

    def _follow(self, task: _Task, commander: Commander, now: float) -> None:
        halted, tick = commander.halted, commander.tick
        if halted == EMERGENCY_STOP:
            # The robot must not continue by itself when the emergency stop is released.
            self._abort(
                "UNKNOWN",
                "the emergency stop lasts until it is released and the node is activated again",
            )
            return
        problem = self._surroundings.problems.get("way", "")
        code = "TF_ERROR" if problem else ABORTS.get("" if tick is None else tick.cause)
        if not task.well <= now or not code or halted == PAUSED:
            task.well = now
        patience = self._configuration().values["failure_tolerance"]
        if code and 0.0 <= patience < now - task.well:
            if code == "NO_VALID_CONTROL" and patience > 0.0:
                code = "PATIENCE_EXCEEDED"
            self._abort(code, problem or tick.reason or tick.cause)
            return
        if commander.state is None:
            return
        pose = self._robot.pose(commander.state.state)
        if task.progress is not None:
            if halted == PAUSED:
                task.progress.wait(now)
            elif task.progress.is_stuck(pose, now):
                why = "" if tick is None or not tick.cause else f" ({tick.cause})"
                self._abort("FAILED_TO_MAKE_PROGRESS", f"the robot makes no progress{why}")
                return
        if problem:
            return
        task.along.update(self._surroundings.known.path, np.array(pose[:2]), now)
        task.handle.publish_feedback(self._feedback(task, commander, pose))

    def _stop(self, task: _Task, commander: Commander, now: float) -> None:
        """Brake the robot evenly, and conclude the goal as canceled when the robot stands."""
        if math.isnan(task.cancelled):
            task.cancelled = now
            self._surroundings.stand_still()
            return
        drive, tick = self._configuration().drive_settings(), commander.tick
        stands = tick is not None and tick.status == STOPPED and tick.scheduled > task.cancelled
        stands = stands and math.hypot(*self._twist(commander)[:2]) < drive.speed_tolerance
        if stands or not 0.0 <= now - task.cancelled < drive.hold_time + STOP_TIMEOUT:
            self._task = None
            self._conclude(task, "canceled", "NONE", "cancelled")

    def _abort(self, code: str, text: str) -> None:
        """Brake the robot evenly, and conclude the current goal as aborted."""
        task, self._task = self._task, None
        if task is None:
            return
        self._surroundings.stand_still()
        self._node.get_logger().error(f"'{ACTION}' aborted: {text} ({code})")
        self._conclude(task, "abort", code, text)

    def _conclude(self, task: _Task, state: str, code: str, text: str) -> None:
        """Send the result of a goal. `state` is the method of the goal handle to call."""
        result = self._kind.Result()
        result.error_code = getattr(result, code)
        if hasattr(result, "error_msg"):
            result.error_msg = text

        def conclude(handle) -> object:
            getattr(handle, state)()
            return result

        self._server.notify_execute(task.handle, conclude)

    # Feedback

    def _twist(self, commander: Commander) -> Twist:
        sample = commander.state
        if sample is None:
            return self._robot.commanded(commander.last_action)
        return self._robot.measured(sample.state, commander.last_action)

    def _feedback(self, task: _Task, commander: Commander, pose: Pose) -> object:
        feedback, twist = self._kind.Feedback(), self._twist(commander)
        known = self._surroundings.known
        fill_feedback(
            feedback,
            pose,
            math.hypot(twist.forward, twist.sideways),
            pose if known.goal is None else known.goal,
            known.path,
            task.along.place,
        )
        if hasattr(feedback, "tracking_feedback"):
            tracking = feedback.tracking_feedback
            stamp = self._node.get_clock().now().to_msg()
            frame = frame_name(self._configuration().values["frame_id"])
            for header in (tracking.header, tracking.robot_pose.header):
                header.stamp, header.frame_id = stamp, frame
        return feedback


class _Server(ActionServer):
    """
    An action server that calls an execute callback only to conclude a goal.

    The usual callback is a coroutine that waits for the end of the goal. rclpy's executor resumes a
    waiting coroutine in every round, and so would never be idle.
    """

    def notify_execute(self, goal_handle, execute_callback) -> None:
        """Schedule a callback, if there is one: there is none when a goal begins."""
        if execute_callback is not None:
            super().notify_execute(goal_handle, execute_callback)


def _chosen(kind: str, name: str, values: dict) -> str:
    """Return the plugin that a goal names. No name means the only plugin, or "" without any."""
    names = values[f"{kind}_plugins"]
    if name in names:
        return name
    if not name and len(names) < 2:
        return names[0] if names else ""
    code = "INVALID_CONTROLLER" if kind == "controller" else "UNKNOWN"
    raise _RefusedError(
        code, f"{kind}_id is {name!r}, allowed: {', '.join(names) or 'empty'} ({kind}_plugins)"
    )


def _tolerance(name: str, values: dict) -> GoalTolerance:
    name = _chosen("goal_checker", name, values)
    speeds = values["drive.speed_tolerance"], values["drive.yaw_rate_tolerance"]
    if values[f"{name}.plugin"] == STOPPED_GOAL_CHECKER:
        speeds = values[f"{name}.trans_stopped_velocity"], values[f"{name}.rot_stopped_velocity"]
    places = values[f"{name}.xy_goal_tolerance"], values[f"{name}.yaw_goal_tolerance"]
    return GoalTolerance(*places, *speeds, is_stateful=values[f"{name}.stateful"])


def _progress_checker(name: str, values: dict) -> ProgressChecker | None:
    name = _chosen("progress_checker", name, values)
    if not name:
        return None
    turns = values[f"{name}.plugin"] == POSE_PROGRESS_CHECKER
    return ProgressChecker(
        values[f"{name}.required_movement_radius"],
        values[f"{name}.required_movement_angle"] if turns else None,
        values[f"{name}.movement_time_allowance"],
    )
