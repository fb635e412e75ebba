"""Goal, path and costmap in: what is around the robot, in the frame of its states."""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import OccupancyGrid, Path
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.navigation.poses import Pose, compose
from cem_planner_ros.navigation.surroundings import NOTHING, Costmap, ReferencePath, Surroundings
from cem_planner_ros.ros.messages import MessageError, euler, stamp_of

SAME_GOAL = 0.5
"""m between a goal and the end of a path that leads to it."""

STILL = 0.01
"""m and rad by which what moves with its frame stays the same; a map is corrected all the time."""

LOOK_AGAIN = 0.2
"""s between two looks at where other frames are now."""

MAX_CELLS = 1_000_000
"""Of a costmap; while its distance field is made, 0.1 s for so many, nothing else is heard."""


class _Told(NamedTuple):
    """A goal, as one pose, or a path, in the frame in which it came."""

    frame: str
    poses: list[Pose]
    times: np.ndarray | None = None  # (n,), s on the clock of the states
    has_heading: bool = True  # whether the last pose says how to stand there


class SurroundingsInput:
    """
    What the topics of goal, path and costmap say, made ready for the control loop.

    The last pose of a path is the goal, unless a goal was given that lies near it. A goal elsewhere
    ends the path; an empty path ends both, and the robot stands still. What comes in another frame
    is transformed by tf2, where that is installed, goal and path anew whenever their frame moved.

    All of it happens on the executor's thread.

    Args:
        node: whose topics they are.
        configuration: its costs say which topics there are.
        clock: s, of the control loop.
        stamp_clock: s, on which messages are stamped.
        changed: called with what is known when that is something else.
    """

    def __init__(
        self,
        node: LifecycleNode,
        configuration: Configuration,
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
        changed: Callable[[Surroundings], None],
    ):
        self._node = node
        self._clock = clock
        self._stamp_clock = stamp_clock
        self._changed = changed
        self._lethal = configuration.values["drive.lethal"]
        self._max_age = configuration.values["drive.max_costmap_age"]
        self._frames = _Frames(node, configuration.values["frame_id"], self._settle)
        self._goal: _Told | None = None
        self._path: _Told | None = None
        self._is_path_newer = False
        self._grid: tuple[OccupancyGrid, np.ndarray] | None = None
        self.known = NOTHING
        """Replaced whole."""
        self.is_active = False
        """Whether goals and paths count: those that came before the node controls do not."""
        self.problems: dict[str, str] = {}
        """Why goal or path, or the last costmap, cannot be used."""
        self.dropped: Counter[str] = Counter()
        """Messages that could not be used, by cause."""
        self._undo: list[Callable[[], object]] = [self._frames.destroy]
        has_way = bool(configuration.inputs & {"goal", "path"})
        has_map = "costmap" in configuration.inputs
        topics = [
            (PoseStamped, "goal", "", self._on_goal, has_way),
            (Path, "path", "", self._on_path, has_way),
            (OccupancyGrid, "costmap", "", self._on_costmap, has_map),
        ]
        try:
            update = importlib.import_module("map_msgs.msg").OccupancyGridUpdate
            topics.append((update, "costmap", "_updates", self._on_update, has_map))
        except ImportError:
            pass  # Whole grids come all the same.
        for kind, name, ending, take, is_wanted in topics:
            if is_wanted:
                topic = configuration.values[f"drive.{name}_topic"] + ending
                subscription = node.create_subscription(kind, topic, self._guarded(name, take), 1)
                self._undo.append(lambda s=subscription: node.destroy_subscription(s))

    def destroy(self) -> None:
        """Give the topics up."""
        for give_up in self._undo:
            give_up()
        self._undo = []

    def begin(self) -> Surroundings:
        """Forget goal and path, take in new ones from now on, and return what is known."""
        self.is_active = True
        self.problems.clear()
        self._goal = self._path = None
        self.known = replace(self.known, goal=None, path=None)
        return self.known

    def end(self) -> None:
        """Take no goal and no path in any more."""
        self.is_active = False

    def forget(self) -> None:
        """Forget the costmap and when to be where: the clock was set."""
        self._grid = None
        if self._path is not None:
            self._path = self._path._replace(times=None)
        self._use(replace(self.known, costmap=None))
        self._settle()

    def _guarded(self, name: str, take: Callable[[object], None]) -> Callable[[object], None]:
        def guarded(message) -> None:
            is_way = name != "costmap"
            try:
                if is_way and not self.is_active:
                    raise MessageError("the node is not active")
                take(message)
            except MessageError as error:
                self.dropped[f"{name} ignored: {error}"] += 1
                if is_way and self.is_active:
                    self._goal = self._path = None
                    self._stand_still(f"{name}: {error}")
                else:
                    self._tell(name, f"{name} ignored: {error}")
            else:
                if not is_way:
                    self.problems.pop(name, None)

        return guarded

    def _tell(self, name: str, problem: str) -> None:
        if self.problems.get(name) != problem:
            self._node.get_logger().warning(problem)
        self.problems[name] = problem

    def _stand_still(self, problem: str) -> None:
        """Go not on to the goal of before: another one is wanted."""
        self._tell("way", f"standing still: {problem}")
        self._use(replace(self.known, goal=None, path=None))

    def _use(self, known: Surroundings) -> None:
        self.known = known
        self._changed(known)

    # Goal and path

    def _on_goal(self, message: PoseStamped) -> None:
        self._goal = _Told(message.header.frame_id, [_pose(message.pose)])
        self._is_path_newer = False
        self._settle()

    def _on_path(self, message: Path) -> None:
        self._is_path_newer = True
        if not message.poses:
            self._goal = self._path = None
            self._settle()
            return
        frames = {message.header.frame_id, *(each.header.frame_id for each in message.poses)}
        if len(frames - {""}) > 1:
            raise MessageError(f"its poses are in several frames: {', '.join(sorted(frames))}")
        stamps = [stamp_of(each) for each in message.poses]
        times = None
        if None not in stamps:
            times = np.array(stamps) + (self._clock() - self._stamp_clock())
        last = message.poses[-1].pose.orientation
        self._path = _Told(
            max(frames),
            [_pose(each.pose) for each in message.poses],
            times,
            any((last.x, last.y, last.z, last.w)),
        )
        self._settle()

    def _settle(self) -> None:
        """Bring goal and path to where their frames are now, and make one way of them."""
        goal = path = end = None
        try:
            if self._path:
                path, end = self._follow(self._path)
        except MessageError as error:
            if self._is_path_newer or self._goal is None:
                self._stand_still(str(error))
                return
            self._path = None
        try:
            if self._goal:
                goal = self._place(self._goal)[-1]
        except MessageError as error:
            if end is None or not self._is_path_newer:
                self._stand_still(str(error))
                return
            self._goal = None
        self.problems.pop("way", None)
        if goal is not None and end is not None and math.dist(goal[:2], end[:2]) > SAME_GOAL:
            if self._is_path_newer:
                goal = self._goal = None
            else:
                path = end = self._path = None
        goal = end if goal is None else goal
        known = self.known
        # The same objects where nothing changed: a goal once reached is not begun again.
        if goal is not None and known.goal is not None and _is_same(goal, known.goal):
            goal = known.goal
        if path is not None and known.path is not None and _is_same_path(path, known.path):
            path = known.path
        if goal is not known.goal or path is not known.path:
            self._use(replace(known, goal=goal, path=path))

    def _place(self, told: _Told) -> list[Pose]:
        frame = self._frames.pose_of(told.frame)
        return [compose(frame, pose) for pose in told.poses]

    def _follow(self, told: _Told) -> tuple[ReferencePath | None, Pose]:
        """Return a path to follow, None if all its points are one, and where it ends."""
        poses = self._place(told)
        try:
            path = ReferencePath.through(np.array([pose[:2] for pose in poses]), told.times)
        except ValueError:
            return None, poses[-1]
        if told.has_heading:
            return path, poses[-1]
        return path, poses[-1]._replace(yaw=float(path.heading(path.lengths[-1])))

    # The costmap

    def _on_costmap(self, message: OccupancyGrid) -> None:
        info = message.info
        is_grid = 0 < info.width * info.height == len(message.data)
        if not (is_grid and 0.0 < info.resolution < math.inf):
            raise MessageError(
                f"it has {len(message.data)} cells of {info.resolution:g} m, expected "
                f"{info.width} x {info.height} of more than 0 m"
            )
        if len(message.data) > MAX_CELLS:
            raise MessageError(f"it has {len(message.data)} cells, allowed: {MAX_CELLS}")
        cells = np.array(message.data, np.int8).reshape(info.height, info.width)
        self._grid = message, cells
        self._take_grid(message.header.frame_id, stamp_of(message))

    def _on_update(self, message) -> None:
        if self._grid is None:
            raise MessageError("an update came before the whole")
        whole, cells = self._grid
        rows, columns = slice(message.y, message.y + message.height), message.x + message.width
        patch = cells[rows, message.x : columns]
        if patch.shape != (message.height, message.width) or patch.size != len(message.data):
            raise MessageError("an update does not fit into the whole")
        cells = cells.copy()  # What was handed over stays as it is.
        cells[rows, message.x : columns] = np.reshape(message.data, patch.shape)
        self._grid = whole, cells
        self._take_grid(whole.header.frame_id, stamp_of(message))

    def _take_grid(self, frame: str, stamp: float | None) -> None:
        message, cells = self._grid
        age = 0.0 if stamp is None else self._stamp_clock() - stamp
        # An old map is an old map. One from the future is, with clocks that differ a little, new.
        if age < -self._max_age:
            raise MessageError("its stamp is in the future by more than drive.max_costmap_age")
        costmap = Costmap(
            cells,
            message.info.resolution,
            compose(self._frames.pose_of(frame), _pose(message.info.origin)),
            self._clock() - max(age, 0.0),
            self._lethal,
        )
        costmap.distance  # noqa: B018, made here, outside the control period
        self._use(replace(self.known, costmap=costmap))


class _Frames:
    """
    Where other frames are in the fixed one, as tf2 says.

    Args:
        node: that listens to tf2, from the first foreign frame on.
        fixed: the frame of the states.
        moved: called now and then once there are foreign frames.
    """

    def __init__(self, node: LifecycleNode, fixed: str, moved: Callable[[], None]):
        self._node = node
        self._fixed = fixed
        self._moved = moved
        self._buffer = None
        self._undo: list[Callable[[], object]] = []

    def pose_of(self, frame: str) -> Pose:
        """Return the pose of a frame, of no name the fixed one's; raise MessageError if unknown."""
        if frame.lstrip("/") in ("", self._fixed):
            return Pose(0.0, 0.0, 0.0)
        try:
            tf2_ros = importlib.import_module("tf2_ros")
        except ImportError as error:
            raise MessageError(
                f"frame '{frame}' is not '{self._fixed}' (frame_id), and tf2_ros, which would "
                "transform it, is not installed"
            ) from error
        if self._buffer is None:
            self._buffer = tf2_ros.Buffer()
            listener = tf2_ros.TransformListener(self._buffer, self._node)
            timer = self._node.create_timer(
                LOOK_AGAIN, self._moved, clock=Clock(clock_type=ClockType.STEADY_TIME)
            )
            self._undo = [listener.unregister, lambda: self._node.destroy_timer(timer)]
        try:
            found = self._buffer.lookup_transform(self._fixed, frame.lstrip("/"), Time())
        except tf2_ros.TransformException as error:
            # Not its text, in which times are: each would be another cause.
            kind = type(error).__name__
            raise MessageError(f"tf2 cannot transform frame '{frame}': {kind}") from error
        place, turn = found.transform.translation, found.transform.rotation
        return Pose(place.x, place.y, euler(turn.x, turn.y, turn.z, turn.w)[2])

    def destroy(self) -> None:
        """Listen no more."""
        for give_up in self._undo:
            give_up()
        self._undo = []
        self._buffer = None


def _pose(message) -> Pose:
    """Return the part in the plane of a geometry_msgs/Pose; raise MessageError if not finite."""
    turn = message.orientation
    pose = Pose(message.position.x, message.position.y, euler(turn.x, turn.y, turn.z, turn.w)[2])
    if not all(map(math.isfinite, pose)):
        raise MessageError("a pose is not finite")
    return pose


def _is_same(one: Pose, other: Pose) -> bool:
    turned = math.remainder(one.yaw - other.yaw, math.tau)
    return math.dist(one[:2], other[:2]) < STILL and abs(turned) < STILL


def _is_same_path(one: ReferencePath, other: ReferencePath) -> bool:
    if one.points.shape != other.points.shape or np.abs(one.points - other.points).max() >= STILL:
        return False
    if one.times is None or other.times is None:
        return one.times is other.times
    return bool(np.abs(one.times - other.times).max() < STILL)
