# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The input of goals, paths, costmaps and moving obstacles, in the frame of the state."""

from __future__ import annotations

import importlib
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from geometry_msgs.msg import PolygonStamped, PoseStamped
from nav_msgs.msg import OccupancyGrid, Path
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.configuration.driving_table import RAW_COSTMAP
from cem_planner_ros.navigation.goal_and_path import GoalAndPath
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.surroundings import NOTHING, GoalTolerance, Surroundings
from cem_planner_ros.readers import MessageError
from cem_planner_ros.ros.any_durability import AnyDurabilitySubscription
from cem_planner_ros.ros.costmap_input import CostmapInput
from cem_planner_ros.ros.footprint_input import FootprintInput
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.moving_obstacles_input import MovingObstaclesInput
from cem_planner_ros.ros.nav2_messages import nav2_type

WAYS = ("goal", "path")
INPUTS = (*WAYS, "costmap", "moving_obstacles")
"""The inputs from topics `drive.INPUT_topic`; a wrong one of WAYS ends the goal or path before."""


class SurroundingsInput:
    """
    Prepares goals, paths, costmaps and moving obstacles from topics for the control loop.

    The last pose of a path is the goal, unless a given goal is near it. A goal that is not near
    ends the path. An empty path ends both, and the robot stands still. Messages in another frame
    are transformed by tf2 if it is installed; goal and path are transformed again when their frame
    moves.

    Goals and paths are accepted while the node is active. The last message of a latched publisher
    is accepted when the node is activated.

    Everything except the distance fields of costmaps happens in the executor thread.

    Args:
        node: the node with the topics.
        configuration: its costs define which topics are needed.
        frames: transforms of the messages' frames.
        clock: clock of the control loop, s.
        stamp_clock: clock with which messages are stamped, s.
        changed: called with the surroundings after each change, by one thread at a time.
        body: returns the frame of the robot's body, and its pose at a time on `clock`, s.

    Raises ConfigurationError if the package of a message is not installed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        configuration: Configuration,
        frames: Frames,
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
        changed: Callable[[Surroundings], None],
        body: Callable[[float], tuple[str, Pose | None]],
    ):
        self._node = node
        self._clock = clock
        self._stamp_clock = stamp_clock
        self._changed = changed
        self._lock = threading.Lock()
        self._frames = frames
        self._way = GoalAndPath(configuration.planar_robot().moves_sideways)
        self._tolerance: GoalTolerance | None = None
        self._has_told_headings = False
        self.known = NOTHING
        """Always replaced as a whole."""
        self.is_active = False
        """Whether goals and paths are accepted, which is only while the node controls."""
        self.problems: dict[str, str] = {}
        """Why the goal or path, the last costmap or the moving obstacles cannot be used."""
        self.dropped: Counter[str] = Counter()
        """Number of messages that could not be used, by cause."""
        self._costmap = CostmapInput(
            self._frames,
            configuration,
            clock,
            stamp_clock,
            lambda: self.known.moving_obstacles,
            lambda costmap: self._use(costmap=costmap),
            lambda problem: self._ignore("costmap", MessageError(problem)),
        )
        self._moving = MovingObstaclesInput(
            self._frames,
            configuration,
            clock,
            stamp_clock,
            lambda moving: self._use(moving_obstacles=moving),
        )
        self._undo: list[Callable[[], object]] = [self._costmap.destroy]
        self._ways: list[AnyDurabilitySubscription] = []
        self._maps: list[AnyDurabilitySubscription] = []
        self._topics = {
            name: node.resolve_topic_name(configuration.values[f"drive.{name}_topic"])
            for name in INPUTS
        }
        self.follows_action = configuration.values["drive.follow_path"]
        """Whether paths come from `follow` alone, and not from topics."""
        try:
            self._subscribe_to_all(configuration, body)
        except Exception:
            self.destroy()
            raise
        frames.moved.append(self.settle)

    def _subscribe_to_all(
        self, configuration: Configuration, body: Callable[[float], tuple[str, Pose | None]]
    ) -> None:
        if configuration.inputs & {"goal", "path"} and not self.follows_action:
            self._ways = [
                self._subscribe(PoseStamped, "goal", self._on_goal),
                self._subscribe(Path, "path", self._on_path),
            ]
        if "costmap" in configuration.inputs:
            is_raw = configuration.values["drive.costmap_type"] == RAW_COSTMAP
            kind = OccupancyGrid
            if is_raw:
                kind = nav2_type("msg", "Costmap", f"drive.costmap_type {RAW_COSTMAP}")
            self._maps = [self._subscribe(kind, "costmap", self._costmap.take)]
            self._maps[0].ask()
            self._subscribe_to_updates(is_raw)
            if configuration.values["drive.footprint_topic"]:
                self._subscribe_to_footprint(configuration, body)
        if "moving_obstacles" in configuration.inputs:
            newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
            self._subscribe_plainly(PointCloud2, "moving_obstacles", self._moving.take, newest)

    def _subscribe(
        self, kind: type, name: str, take: Callable[[object], str | None]
    ) -> AnyDurabilitySubscription:
        topic, guarded = self._topics[name], self._guarded(name, take)
        subscription = AnyDurabilitySubscription(self._node, kind, topic, guarded)
        self._undo.append(subscription.destroy)
        return subscription

    def _subscribe_to_updates(self, is_raw: bool) -> None:
        package, name = "map_msgs", "OccupancyGridUpdate"
        if is_raw:
            package, name = "nav2_msgs", "CostmapUpdate"
        try:
            kind = getattr(importlib.import_module(f"{package}.msg"), name)
        except (ImportError, AttributeError):
            return  # Whole grids are received all the same.
        # Each has a part that no other one may have again.
        self._subscribe_plainly(kind, "costmap", self._costmap.update, 10, "_updates")

    def _subscribe_to_footprint(
        self, configuration: Configuration, body: Callable[[float], tuple[str, Pose | None]]
    ) -> None:
        outline = FootprintInput(
            self._frames,
            configuration,
            self._clock,
            self._stamp_clock,
            body,
            lambda footprint: self._use(footprint=footprint),
        )
        topic = configuration.values["drive.footprint_topic"]
        self._topics["footprint"] = self._node.resolve_topic_name(topic)
        subscription = self._subscribe(PolygonStamped, "footprint", outline.take)
        self._maps.append(subscription)
        subscription.ask()

    def _subscribe_plainly(
        self,
        kind: type,
        name: str,
        take: Callable[[object], str | None],
        qos: QoSProfile | int,
        suffix: str = "",
    ) -> None:
        topic, guarded = self._topics[name] + suffix, self._guarded(name, take)
        subscription = self._node.create_subscription(kind, topic, guarded, qos)
        self._undo.append(lambda: self._node.destroy_subscription(subscription))

    def use(self, configuration: Configuration) -> None:
        """Use other values of live parameters from now on."""
        self._costmap.use(configuration)
        self._moving.use(configuration)

    def destroy(self) -> None:
        """Destroy the topics."""
        for give_up in reversed(self._undo):
            give_up()
        self._undo = []

    def begin(self) -> None:
        """Forget goal and path; accept new ones and latched ones from now on."""
        self.is_active = True
        self._has_told_headings = False
        self.problems.clear()
        self.stand_still()
        for subscription in self._ways:
            subscription.ask()

    def stand_still(self) -> None:
        """Forget goal and path."""
        self._way.forget()
        self._tolerance = None
        self.problems.pop("way", None)
        self._use(goal=None, path=None, tolerance=None)

    def follow(self, message: Path, tolerance: GoalTolerance) -> None:
        """
        Replace goal and path by this path; the robot does not stop in between.

        While the frame of the path is not known, the robot stands still, and `problems` says so.
        Raises MessageError if the message is not a path. Goal and path then stay as they were.
        """
        self._way.follow(message)
        self._tolerance = tolerance
        self.settle()

    def end(self) -> None:
        """Accept no more goals and paths."""
        self.is_active = False
        for subscription in self._ways:
            subscription.ask_no_more()

    def forget(self) -> None:
        """
        Forget what has a time, because the clock was set.

        That is the times of the path, a costmap that is not latched, and moving obstacles.
        """
        self._costmap.forget()
        self._moving.forget()
        for subscription in self._maps:
            subscription.ask()
        self._way.forget_times()
        self.settle()

    def _guarded(self, name: str, take: Callable[[object], str | None]) -> Callable[[object], None]:
        def guarded(message) -> None:
            try:
                if name in WAYS and not self.is_active:
                    raise MessageError("the node is not active: send it again when it is")
                problem = take(message)
            except MessageError as error:
                self._ignore(name, error)
                return
            if problem:  # The message is used all the same.
                self._report_problem(name, f"{name} on '{self._topics[name]}': {problem}")
            elif name not in WAYS:
                self.problems.pop(name, None)

        return guarded

    def _ignore(self, name: str, error: MessageError) -> None:
        """Note a message that cannot be used; without a goal or path, stand still."""
        where = f"{name} on '{self._topics[name]}'"
        self.dropped[f"{name} ignored: {error}"] += 1
        if name in WAYS and self.is_active:
            self._way.forget()
            self._stand_still(f"{where}: {error}")
        else:
            self._report_problem(name, f"{where} ignored: {error}")

    def _report_problem(self, name: str, problem: str) -> None:
        if self.problems.get(name) != problem:
            self._node.get_logger().warning(problem)
        self.problems[name] = problem

    def _stand_still(self, problem: str) -> None:
        """Drop the old goal, because another one was requested."""
        self._report_problem("way", f"standing still: {problem}")
        self._use(goal=None, path=None)

    def _use(self, **changes: object) -> None:
        with self._lock:  # The costmap thread calls this too.
            self.known = replace(self.known, **changes)
            self._changed(self.known)

    # Goal and path

    def _on_goal(self, message: PoseStamped) -> None:
        self._way.take_goal(message)
        self.settle()

    def _on_path(self, message: Path) -> None:
        self._way.take_path(message)
        self.settle()

    def settle(self) -> None:
        """Transform goal and path to the present poses of their frames."""
        way, known = self._way, self.known
        try:
            way.settle(self._frames.pose_of)
        except MessageError as error:
            self._stand_still(str(error))
            return
        self.problems.pop("way", None)
        is_same = way.goal is known.goal and way.path is known.path
        if not is_same or self._tolerance != known.tolerance:
            self._use(goal=way.goal, path=way.path, tolerance=self._tolerance)
            self._tell_headings()

    @property
    def headings(self) -> str:
        """Which headings the robot has along its path, for `/diagnostics`."""
        path = self.known.path
        if path is None:
            return "no path"
        return "from the way" if path.headings is None else "from the poses"

    @property
    def footprint(self) -> str:
        """Where the footprint comes from, for `/diagnostics`."""
        if self.known.footprint is None:
            return "the parameters"
        return self._topics["footprint"]

    def _tell_headings(self) -> None:
        path = self.known.path
        if path is not None and path.headings is None and not self._has_told_headings:
            self._has_told_headings = True
            self._node.get_logger().info(
                "the headings of the path's poses do not follow its way: the robot drives forwards "
                "along the way, and only the last pose says how it should be turned"
            )
