# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Which goal, path and costmap are known after which messages."""

import itertools
import math
import sys
import threading
import time
import types
from dataclasses import replace

import numpy as np
import pytest
from geometry_msgs.msg import Point32, PolygonStamped, PoseStamped
from nav_msgs.msg import OccupancyGrid, Path
from standin_node import StandInNode

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.surroundings import GoalTolerance
from cem_planner_ros.paths import share
from cem_planner_ros.readers import MessageError, quaternion
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.surroundings_input import SurroundingsInput

CONFIGURATION = configure(load_yaml(share("config") / "drive.yaml") | {"planner.device": "cpu"})


class Bench:
    def __init__(self, configuration=CONFIGURATION):
        self.node = StandInNode()
        self.time = 50.0
        self.told = []
        self.robot = None  # The pose of the robot at a time.
        self.frames = Frames(self.node, configuration.values["frame_id"])
        self.input = SurroundingsInput(
            self.node,
            configuration,
            self.frames,
            lambda: self.time,
            lambda: self.time + 1000.0,
            self.told.append,
            lambda time: ("base_link", self.robot and self.robot(time)),
        )
        self.input.begin()

    @property
    def known(self):
        return self.input.known

    def goal(self, x, y, yaw=0.0, frame="odom"):
        self.node.take["/goal_pose"](stamped(x, y, yaw, frame))

    def path(self, *poses, frame="odom", times=None):
        message = Path(poses=[stamped(*pose) for pose in poses])
        message.header.frame_id = frame
        for pose, second in zip(message.poses, times or (), strict=False):
            pose.header.stamp.sec = second
        self.node.take["/plan"](message)

    def send_costmap(self, **changes):
        self.node.take["/costmap"](grid(**changes))

    def costmap(self, **changes):
        """Send a costmap that can be used, and wait until it is known."""
        before = self.known.costmap
        self.send_costmap(**changes)
        wait_until(lambda: self.known.costmap is not before)


def stamped(x, y, yaw=0.0, frame=""):
    message = PoseStamped()
    message.header.frame_id = frame
    message.pose.position.x, message.pose.position.y = float(x), float(y)
    turn = message.pose.orientation
    turn.x, turn.y, turn.z, turn.w = quaternion(0.0, 0.0, yaw)
    return message


def grid(frame="odom", sec=0, yaw=0.0, cells=((0, 100, 0), (0, 0, -1)), resolution=0.5):
    message = OccupancyGrid()
    message.header.frame_id = frame
    message.header.stamp.sec = sec
    message.info.resolution = resolution
    message.info.height, message.info.width = len(cells), len(cells[0])
    message.info.origin = stamped(1.0, 2.0, yaw).pose
    message.data = list(itertools.chain(*cells))
    return message


def wait_until(condition, timeout=20.0):
    """Wait for the thread that prepares costmaps."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.001)


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.input.destroy()


def test_the_end_of_a_path_is_the_goal(bench):
    bench.path((0, 0), (1, 0), (2, 1, 0.5))
    np.testing.assert_allclose(bench.known.goal, (2.0, 1.0, 0.5))
    np.testing.assert_allclose(bench.known.path.points, [(0, 0), (1, 0), (2, 1)])
    assert bench.known.path.times is None


def test_the_log_says_once_that_headings_of_a_path_were_not_used(bench):
    """As from a planner of positions, which sends a new path every second."""
    bench.path((0, 0), (1, 0), (2, 0))
    assert (bench.input.headings, bench.node.said) == ("from the poses", [])
    bench.path((0, 0), (1, 0), (1, 1))
    bench.path((0, 0), (1, 0), (1, 2))
    assert bench.input.headings == "from the way"
    assert bench.known.goal == pytest.approx((1.0, 2.0, 0.0))
    assert len(bench.node.said) == 1
    assert "do not follow its way" in bench.node.said[0]
    bench.path()
    assert bench.input.headings == "no path"


def test_a_goal_at_the_end_of_a_path_says_how_to_stand_there(bench):
    bench.goal(2.1, 0.0, 1.5)
    bench.path((0, 0), (2, 0))
    assert bench.known.goal == pytest.approx((2.1, 0.0, 1.5))
    assert bench.known.path is not None


def test_a_goal_elsewhere_ends_the_path_and_a_path_elsewhere_the_goal(bench):
    bench.path((0, 0), (2, 0))
    bench.goal(5.0, 5.0)
    assert bench.known.path is None
    bench.path((0, 0), (0, -3, 0.7))
    assert bench.known.goal == pytest.approx((0.0, -3.0, 0.7))


def test_the_same_path_again_is_no_new_goal(bench):
    """A planner that plans anew every second must not make a robot that arrived begin again."""
    bench.path((0, 0), (2, 0))
    goal, path = bench.known.goal, bench.known.path
    bench.path((0, 0), (2, 0.001))
    assert bench.known.goal is goal
    assert bench.known.path is path
    bench.path((0, 0), (2, 0.1))
    assert bench.known.goal is not goal


def test_an_empty_path_means_stand_still(bench):
    bench.goal(1.0, 0.0)
    bench.path()
    assert (bench.known.goal, bench.known.path) == (None, None)


def test_a_path_of_one_place_is_a_goal(bench):
    bench.path((3, 1, 0.2), (3, 1, 0.2))
    assert bench.known.goal == pytest.approx((3.0, 1.0, 0.2))
    assert bench.known.path is None


def test_stamps_of_a_path_are_its_times(bench):
    bench.path((0, 0), (1, 0), (2, 0), times=(1060, 1061, 1063))
    np.testing.assert_allclose(bench.known.path.times, [1060.0, 1061.0, 1063.0])
    bench.path((0, 0), (1, 0), (2, 1), times=(1060, 1060, 1060))  # Those of its making.
    assert bench.known.path.times is None


def test_goals_count_only_while_the_node_is_active(bench):
    bench.input.end()
    bench.goal(1.0, 0.0)
    assert bench.known.goal is None
    assert "not active" in bench.node.logged[-1]
    bench.input.begin()
    assert not bench.input.problems
    bench.goal(1.0, 0.0)
    assert bench.known.goal is not None
    bench.input.begin()
    assert bench.known.goal is None


def test_with_a_goal_that_is_not_finite_it_goes_to_none(bench):
    """It was told to go elsewhere, so not on to where it went."""
    bench.goal(1.0, 0.0)
    bench.goal(math.nan, 0.0)
    assert bench.known.goal is None
    assert bench.input.dropped == {"goal ignored: its position is not finite": 1}
    assert "goal on '/goal_pose': its position is not finite" in bench.input.problems["way"]
    bench.path((0, 0), (2, 0))
    assert bench.known.path is not None
    assert not bench.input.problems


def test_a_costmap_lies_where_it_says_with_the_time_of_its_stamp(bench):
    bench.costmap(sec=1049, yaw=math.pi / 2)
    costmap = bench.known.costmap
    assert costmap.time == pytest.approx(49.0)
    # The second cell of the first row, turned to the left around the corner (1, 2).
    assert (
        costmap.clearance(np.array([0.75, 2.75])) < 0.0 < costmap.clearance(np.array([0.75, 2.25]))
    )
    bench.costmap()
    assert bench.known.costmap.time == 50.0  # Without a stamp, of its arrival.


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"resolution": 0.0}, "6 cells of 0 m"),
        ({"resolution": math.inf}, "6 cells of inf m"),
        ({"resolution": 1e30}, "and at most 1e+09 m in all"),
        ({"sec": 1052}, "in the future by more than drive.max_costmap_age"),
        ({"frame": "map"}, "'map' is not 'odom' (frame_id), and tf2_ros"),
    ],
)
def test_a_costmap_that_cannot_be_used_is_not(bench, changes, reason):
    bench.send_costmap(**changes)
    assert bench.known.costmap is None
    assert reason in bench.node.logged[-1]
    assert reason in bench.input.problems["costmap"]
    bench.costmap()
    assert not bench.input.problems


def test_before_a_simulated_clock_was_read_every_costmap_is_new(bench):
    bench.time = -1000.0  # The clock of the stamps shows 0.
    bench.costmap(sec=9)
    assert bench.known.costmap.time == bench.time
    assert not bench.input.problems


def raw_costmap(monkeypatch, updates=False):
    """Return a bench that takes raw costmaps, and one of them."""
    kinds = {"Costmap": types.SimpleNamespace}
    if updates:
        kinds["CostmapUpdate"] = types.SimpleNamespace
    monkeypatch.setitem(sys.modules, "nav2_msgs", types.ModuleType("nav2_msgs"))
    monkeypatch.setitem(sys.modules, "nav2_msgs.msg", types.SimpleNamespace(**kinds))
    values = {**CONFIGURATION.values, "drive.costmap_type": "nav2_msgs/msg/Costmap"}
    like = grid(sec=1049)
    info = types.SimpleNamespace(
        resolution=0.5, size_x=3, size_y=2, origin=like.info.origin, layer="master"
    )
    cells = bytes((252, 254, 0, 253, 0, 255))
    message = types.SimpleNamespace(header=like.header, metadata=info, data=cells)
    return Bench(replace(CONFIGURATION, values=values)), message


def test_in_a_raw_costmap_254_is_an_obstacle_and_253_and_255_are_none(monkeypatch):
    bench, message = raw_costmap(monkeypatch)
    bench.node.take["/costmap"](message)
    wait_until(lambda: bench.known.costmap is not None)
    known = bench.known.costmap
    np.testing.assert_array_equal(known.cells, [(98, 100, 0), (99, 0, -1)])
    assert (known.cells >= known.lethal).sum() == 1
    assert known.time == pytest.approx(49.0)
    message.metadata.size_x = 7
    bench.node.take["/costmap"](message)
    assert "expected 7 x 2" in bench.node.logged[-1]
    bench.input.destroy()


def test_updates_of_a_raw_costmap_change_a_part_of_it(monkeypatch):
    bench, message = raw_costmap(monkeypatch, updates=True)
    bench.node.take["/costmap"](message)
    wait_until(lambda: bench.known.costmap is not None)
    before = bench.known.costmap
    update = types.SimpleNamespace(
        header=grid(sec=1050).header, x=1, y=1, size_x=2, size_y=1, data=bytes((254, 0))
    )
    bench.node.take["/costmap_updates"](update)
    wait_until(lambda: bench.known.costmap is not before)
    np.testing.assert_array_equal(bench.known.costmap.cells, [(98, 100, 0), (99, 100, 0)])
    bench.input.destroy()


def test_an_update_that_a_newer_costmap_has_overtaken_is_ignored(monkeypatch):
    """They have topics of their own, whose order nobody keeps."""
    bench, message = raw_costmap(monkeypatch, updates=True)

    def send(sec):
        """Send a costmap, an update of before that clears a cell, and one that occupies another."""
        message.header = grid(sec=sec).header
        bench.node.take["/costmap"](message)
        for stamp, x, cell in ((sec - 1, 1, 0), (sec, 2, 254)):
            update = types.SimpleNamespace(x=x, y=0, size_x=1, size_y=1, data=bytes([cell]))
            update.header = grid(sec=stamp).header
            bench.node.take["/costmap_updates"](update)

    def occupied():
        return bench.known.costmap is not None and (bench.known.costmap.cells == 100).sum()

    send(1049)
    wait_until(lambda: occupied() == 2)
    bench.input.forget()  # The clock was set back.
    send(1040)
    wait_until(lambda: occupied() == 2)
    assert not bench.input.problems
    bench.input.destroy()


@pytest.fixture
def told():
    """A bench whose paths come from the action follow_path."""
    made = Bench(replace(CONFIGURATION, values={**CONFIGURATION.values, "drive.follow_path": True}))
    yield made
    made.input.destroy()


TOLERANCE = GoalTolerance(0.3, 0.4, 0.1, 0.2)


def path_message(*poses, frame="odom"):
    message = Path(poses=[stamped(*pose) for pose in poses])
    message.header.frame_id = frame
    return message


def test_with_follow_path_no_topic_says_where_to_go(told):
    """In Nav2, the topic `plan` has the path of the global planner, and `goal_pose` its goal."""
    assert set(told.node.take) == {"/costmap"}


def test_a_path_that_is_followed_brings_its_tolerance(told):
    told.input.follow(path_message((0, 0), (2, 1, 0.5)), TOLERANCE)
    assert told.known.goal == pytest.approx((2.0, 1.0, 0.5))
    assert told.known.tolerance == TOLERANCE
    goal = told.known.goal
    told.input.follow(path_message((0, 0), (2, 1, 0.5)), replace(TOLERANCE, xy=0.1))
    assert told.known.goal is goal
    assert told.known.tolerance.xy == 0.1
    told.input.stand_still()
    assert (told.known.goal, told.known.path, told.known.tolerance) == (None, None, None)


def test_a_path_that_is_none_leaves_the_one_before(told):
    told.input.follow(path_message((0, 0), (2, 0)), TOLERANCE)
    before = told.known
    with pytest.raises(MessageError, match="no poses"):
        told.input.follow(Path(), TOLERANCE)
    assert told.known is before


def test_a_path_in_another_frame_is_followed_as_that_frame_moves(monkeypatch, told):
    tf2 = Tf2()
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    told.input.follow(path_message((0, 0), (2, 0)), TOLERANCE)
    told.input.follow(path_message((0, 0), (1, 0), frame="map"), TOLERANCE)
    assert told.known.goal is None  # The transform has not come yet.
    assert "cannot transform frame 'map'" in told.input.problems["way"]
    tf2.pose = (10.0, 0.0, math.pi / 2)
    told.node.timers[-1]()
    assert "way" not in told.input.problems
    assert told.known.goal == pytest.approx((10.0, 1.0, math.pi / 2))
    tf2.pose = (11.0, 0.0, math.pi / 2)
    told.node.timers[-1]()
    assert told.known.goal == pytest.approx((11.0, 1.0, math.pi / 2))
    assert told.known.tolerance == TOLERANCE
    tf2.pose = None
    told.node.timers[-1]()
    assert told.known.goal is None
    assert "cannot transform frame 'map'" in told.input.problems["way"]


def test_a_costmap_of_a_clock_that_is_a_little_ahead_is_new(bench):
    bench.time = 49.7
    bench.costmap(sec=1050)
    assert bench.known.costmap.time == 49.7


def test_an_old_costmap_is_old(bench):
    bench.costmap(sec=100)
    assert bench.known.costmap.time == pytest.approx(100 - 1000)


def test_after_a_jump_of_the_clock_no_costmap_is_known(bench):
    bench.costmap()
    bench.goal(1.0, 0.0)
    bench.input.forget()
    assert bench.known.costmap is None
    assert bench.known.goal is not None


def test_updates_change_a_part_of_a_costmap(monkeypatch):
    messages = types.SimpleNamespace(OccupancyGridUpdate=OccupancyGrid)  # Its type is not asked.
    monkeypatch.setitem(sys.modules, "map_msgs", types.ModuleType("map_msgs"))
    monkeypatch.setitem(sys.modules, "map_msgs.msg", messages)
    bench = Bench()
    update = types.SimpleNamespace(x=1, y=0, width=2, height=2, data=[7, 8, 9, 10])
    update.header = grid(sec=1049).header
    take = bench.node.take["/costmap_updates"]
    take(update)
    assert "before the whole" in bench.node.logged[-1]
    bench.costmap(sec=1040)
    before = bench.known.costmap
    take(update)
    wait_until(lambda: bench.known.costmap is not before)
    np.testing.assert_array_equal(bench.known.costmap.cells, [(0, 7, 8), (0, 9, 10)])
    assert bench.known.costmap.time == pytest.approx(49.0)
    np.testing.assert_array_equal(before.cells, [(0, 100, 0), (0, 0, -1)])
    update.x = 2
    take(update)
    assert "does not fit" in bench.node.logged[-1]
    bench.input.destroy()


def test_a_goal_in_another_frame_needs_tf2(bench):
    bench.goal(1.0, 0.0)
    bench.goal(2.0, 0.0, frame="map")
    assert bench.known.goal is None  # Not on to the one before.
    assert "'map' is not 'odom'" in bench.input.problems["way"]
    bench.goal(2.0, 0.0)
    assert not bench.input.problems
    assert bench.known.goal is not None


def test_what_cannot_be_placed_is_no_obstacle_to_what_comes_after(bench):
    bench.path((0, 0), (9, 0), frame="map")
    bench.goal(2.0, 0.0)
    assert bench.known.goal == pytest.approx((2.0, 0.0, 0.0))
    bench.goal(1.0, 0.0, frame="map")
    assert bench.known.goal is None
    bench.path((0, 0), (3, 0))
    assert bench.known.goal == pytest.approx((3.0, 0.0, 0.0))
    bench.goal(1.0, 0.0, frame="map")
    bench.input.begin()
    assert not bench.input.problems


class Tf2:
    """Stands for tf2_ros, which is not there without a ROS installation."""

    class TransformException(Exception):  # noqa: N818
        pass

    def __init__(self):
        self.pose = None
        self.change = lambda message: message
        self.listener = types.SimpleNamespace(unregister=lambda: None)

    def Buffer(self):  # noqa: N802
        return self

    def TransformListener(self, buffer, node):  # noqa: N802
        return self.listener

    def lookup_transform(self, target, source, time):
        if self.pose is None:
            raise Tf2.TransformException(f"no {source} in {target}")
        pose = self.change(stamped(*self.pose)).pose
        transform = types.SimpleNamespace(translation=pose.position, rotation=pose.orientation)
        return types.SimpleNamespace(transform=transform)


def test_with_tf2_a_goal_moves_with_its_frame(monkeypatch, bench):
    tf2 = Tf2()
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    bench.goal(1.0, 0.0, frame="map")
    assert "cannot transform frame 'map': TransformException" in bench.input.problems["way"]
    tf2.pose = (10.0, 0.0, math.pi / 2)
    bench.node.timers[-1]()
    assert bench.known.goal == pytest.approx((10.0, 1.0, math.pi / 2))
    goal = bench.known.goal
    tf2.pose = (10.001, 0.0, math.pi / 2)
    bench.node.timers[-1]()
    assert bench.known.goal is goal
    tf2.pose = (11.0, 0.0, math.pi / 2)
    bench.node.timers[-1]()
    assert bench.known.goal == pytest.approx((11.0, 1.0, math.pi / 2))
    bench.input.destroy()
    bench.frames.destroy()
    assert (bench.node.take, bench.node.timers) == ({}, [])


@pytest.mark.parametrize(("z", "w"), [(1.0, 1.0), (0.05, 0.05), (300.0, 300.0)])
def test_orientations_need_not_be_of_unit_length(monkeypatch, bench, z, w):
    def turned(message):
        message.pose.orientation.z, message.pose.orientation.w = z, w
        return message

    bench.node.take["/goal_pose"](turned(stamped(1.0, 0.0)))
    assert bench.known.goal == pytest.approx((1.0, 0.0, math.pi / 2))
    bench.node.take["/plan"](Path(poses=[stamped(0, 0), turned(stamped(5.0, 0.0))]))
    assert bench.known.goal == pytest.approx((5.0, 0.0, math.pi / 2))
    message = grid()
    message.info.origin.orientation.z, message.info.origin.orientation.w = z, w
    bench.node.take["/costmap"](message)
    wait_until(lambda: bench.known.costmap is not None)
    assert bench.known.costmap.origin == pytest.approx((1.0, 2.0, math.pi / 2))
    tf2 = Tf2()
    tf2.pose = (10.0, 0.0, 0.0)
    tf2.change = turned
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    bench.goal(1.0, 0.0, frame="map")
    assert bench.known.goal == pytest.approx((10.0, 1.0, math.pi / 2))


def test_a_place_with_which_nothing_can_be_computed_is_refused(monkeypatch, bench):
    far = stamped(1e300, 0.0)
    for topic, message in (
        ("/goal_pose", far),
        ("/plan", Path(poses=[stamped(0, 0), far])),
        ("/goal_pose", stamped(0.0, -1e10)),
    ):
        bench.goal(2.0, 0.0)
        bench.node.take[topic](message)
        assert f"on '{topic}': its position is too far away, expected" in bench.node.logged[-1]
        assert bench.known.goal is None
    tf2 = Tf2()
    tf2.pose = (1e300, 0.0)
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    bench.goal(1.0, 0.0, frame="map")
    assert "frame 'map' on '/tf': its position is too far away" in bench.node.logged[-1]


@pytest.mark.parametrize("number", [0.0, math.nan, math.inf], ids=str)
def test_an_orientation_that_is_no_rotation_is_refused_with_its_topic(monkeypatch, bench, number):
    def broken(message):
        turn = message.pose.orientation
        turn.x, turn.y, turn.z, turn.w = (number,) * 4
        return message

    bench.goal(1.0, 0.0)
    for topic, message in (
        ("/goal_pose", broken(stamped(1.0, 0.0))),
        ("/plan", Path(poses=[stamped(0, 0), broken(stamped(5.0, 0.0))])),
        ("/plan", Path(poses=[broken(stamped(0, 0)), stamped(5.0, 0.0)])),
    ):
        bench.goal(2.0, 0.0)
        bench.node.take[topic](message)
        assert f"on '{topic}': its orientation is not a rotation" in bench.node.logged[-1]
        assert bench.known.goal is None
    message = grid()
    turn = message.info.origin.orientation
    turn.x, turn.y, turn.z, turn.w = (number,) * 4
    bench.node.take["/costmap"](message)
    assert "on '/costmap' ignored: its orientation is not a rotation" in bench.node.logged[-1]
    tf2 = Tf2()
    tf2.pose, tf2.change = (1.0, 0.0), broken
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    bench.goal(1.0, 0.0, frame="map")
    assert "frame 'map' on '/tf': its orientation is not a rotation" in bench.node.logged[-1]


@pytest.mark.parametrize("fixed", ["odom", "/odom"])
def test_a_leading_slash_of_a_frame_does_not_matter(monkeypatch, fixed):
    configuration = CONFIGURATION.changed({})
    configuration.values["frame_id"] = fixed
    bench = Bench(configuration)
    for frame in ("odom", "/odom", ""):
        bench.goal(1.0, 0.0, frame=frame)
        assert bench.known.goal == (1.0, 0.0, 0.0)
        bench.path((0, 0), (7, 0), frame=frame)
        assert bench.known.goal == (7.0, 0.0, 0.0)
        bench.costmap(frame=frame)
    asked = []
    tf2 = Tf2()
    tf2.pose = (1.0, 0.0)
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    monkeypatch.setattr(
        tf2,
        "lookup_transform",
        lambda *names: asked.append(names[:2]) or Tf2.lookup_transform(tf2, *names),
    )
    bench.goal(1.0, 0.0, frame="/map")
    assert asked == [("odom", "map")]
    bench.input.destroy()


def test_a_path_whose_header_and_poses_differ_by_a_slash_only_is_in_one_frame(bench):
    message = Path(poses=[stamped(0, 0, frame="odom"), stamped(3, 0, frame="/odom")])
    message.header.frame_id = "/odom"
    bench.node.take["/plan"](message)
    assert bench.known.goal == (3.0, 0.0, 0.0)
    message.poses[0].header.frame_id = "map"
    bench.node.take["/plan"](message)
    assert "several frames: map, odom" in bench.node.logged[-1]


class Gate:
    """Makes distance fields when it is told to, and says which."""

    def __init__(self, monkeypatch):
        self.begun, self.made = [], []
        self.error = None
        self._opened = threading.Semaphore(0)
        original = Costmap.distance.func

        def distance(costmap):
            self.begun.append(costmap.time)
            assert self._opened.acquire(timeout=20.0)
            if self.error:
                raise self.error
            self.made.append(costmap.time)
            return original(costmap)

        monkeypatch.setattr(Costmap, "distance", property(distance))

    def open(self, count=1):
        self._opened.release(count)


@pytest.fixture
def gate(monkeypatch, bench):
    """Before the bench is given up, what waits is let go."""
    made = Gate(monkeypatch)
    yield made
    made.open(100)


def test_nothing_waits_for_the_distance_field_of_a_costmap(bench, gate):
    bench.send_costmap(sec=1041)
    wait_until(lambda: gate.begun == [41.0])
    bench.goal(1.0, 0.0)  # On the thread that sent the costmap.
    assert bench.known.goal is not None
    assert bench.known.costmap is None
    gate.open()
    wait_until(lambda: bench.known.costmap is not None)
    assert bench.known.goal is not None
    assert bench.told[-1] is bench.known


def test_of_costmaps_that_come_while_one_is_prepared_the_newest_is_next(bench, gate):
    bench.send_costmap(sec=1041)
    wait_until(lambda: gate.begun == [41.0])
    for sec in (1042, 1043, 1044):
        bench.send_costmap(sec=sec)
    gate.open(2)
    wait_until(lambda: bench.known.costmap is not None and bench.known.costmap.time == 44.0)
    assert gate.made == [41.0, 44.0]


def test_a_costmap_of_before_the_clock_was_set_is_not_known_after(bench, gate):
    bench.send_costmap(sec=1041)
    wait_until(lambda: gate.begun == [41.0])
    bench.input.forget()
    bench.send_costmap(sec=1002)
    gate.open(2)
    wait_until(lambda: gate.made == [41.0, 2.0])
    wait_until(lambda: bench.known.costmap is not None)
    times = {known.costmap.time for known in bench.told if known.costmap is not None}
    assert times == {2.0}


def test_a_costmap_that_cannot_be_prepared_is_told_and_the_next_one_taken(bench, gate):
    gate.error = ImportError("No module named 'scipy'")
    bench.send_costmap()
    gate.open()
    wait_until(lambda: "costmap" in bench.input.problems)
    assert "on '/costmap' ignored: it cannot be prepared: ImportError" in bench.node.logged[-1]
    gate.error = None
    bench.send_costmap()
    gate.open()
    wait_until(lambda: bench.known.costmap is not None)


def test_when_the_topics_are_given_up_no_costmap_is_told_of_any_more(bench, gate):
    bench.send_costmap(sec=1041)
    wait_until(lambda: gate.begun == [41.0])
    bench.send_costmap(sec=1042)
    gate.open(2)
    bench.input.destroy()  # It waits for what was begun.
    assert gate.made == gate.begun
    told = len(bench.told)
    assert (bench.node.take, bench.node.timers) == ({}, [])
    assert not any(thread.name.startswith("costmap") for thread in threading.enumerate())
    assert len(bench.told) == told


def test_how_far_in_the_future_a_costmap_may_be_changes_while_it_runs(bench):
    bench.send_costmap(sec=1052)
    assert "max_costmap_age" in bench.node.logged[-1]
    bench.input.use(CONFIGURATION.changed({"drive.max_costmap_age": 5.0}))
    bench.costmap(sec=1052)


FOOTPRINT = [(0.22, 0.20), (0.22, -0.20), (-0.22, -0.20), (-0.22, 0.20)]
LONG = [(0.6, 0.25), (0.6, -0.25), (-0.3, -0.25), (-0.3, 0.25)]


def polygon(corners, frame="base_link", pose=(0.0, 0.0, 0.0), sec=0):
    """A message with corners in the frame of the body, where a robot in a pose has them."""
    x, y, yaw = pose
    places = (np.reshape(corners, (-1, 2)) @ [1.0, 1j]) * np.exp(1j * yaw) + complex(x, y)
    message = PolygonStamped()
    message.header.frame_id, message.header.stamp.sec = frame, sec
    message.polygon.points = [Point32(x=place.real, y=place.imag) for place in places]
    return message


@pytest.fixture
def outlined():
    file = share("config") / "drive.yaml"
    changes = {"planner.device": "cpu", "drive.footprint_topic": "published_footprint"}
    made = Bench(configure(load_yaml(file) | changes, str(file)))
    made.take = made.node.take["/published_footprint"]
    yield made
    made.input.destroy()


def test_the_footprint_is_that_of_the_topic(outlined):
    assert outlined.known.footprint is None
    assert outlined.input.footprint == "the parameters"
    outlined.take(polygon(LONG))
    assert outlined.input.footprint == "/published_footprint"
    first = outlined.known.footprint
    np.testing.assert_allclose(first.corners, LONG, atol=1e-6)
    outlined.take(polygon([(x + 0.004, y) for x, y in LONG]))
    assert outlined.known.footprint is first
    outlined.take(polygon([*FOOTPRINT, FOOTPRINT[0]]))
    np.testing.assert_allclose(outlined.known.footprint.corners, FOOTPRINT, atol=1e-6)
    assert not outlined.input.problems


def test_the_footprint_of_the_parameters_again_changes_nothing(outlined):
    outlined.take(polygon(FOOTPRINT))
    assert outlined.known.footprint is None


@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (12.0, -3.0, 2.0), (-7.0, 5.0, -3.0)])
def test_a_footprint_in_the_frame_of_the_state_is_where_the_robot_was_at_its_stamp(outlined, pose):
    # A clock that is 1000 s ahead stamps the messages, see Bench.
    outlined.robot = lambda time: Pose(*pose) if time == 47.0 else None
    outlined.take(polygon(LONG, "odom", pose, sec=1047))
    np.testing.assert_allclose(outlined.known.footprint.corners, LONG, atol=1e-5)
    outlined.take(polygon(FOOTPRINT, "odom", pose, sec=1048))
    assert "where the robot was at its stamp is not known" in outlined.input.problems["footprint"]


def test_a_footprint_in_any_other_frame_needs_tf2(monkeypatch, outlined):
    outlined.robot = lambda time: Pose(2.0, 1.0, 0.5)
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    outlined.take(polygon(LONG, "map", (2.0, 1.0, 0.5)))
    assert "tf2_ros, which would transform it" in outlined.input.problems["footprint"]
    tf2 = Tf2()
    tf2.pose = (10.0, 0.0, math.pi / 2)
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    outlined.take(polygon(LONG, "map", (1.0, 8.0, 0.5 - math.pi / 2)))
    np.testing.assert_allclose(outlined.known.footprint.corners, LONG, atol=1e-5)
    assert not outlined.input.problems


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        ([], "x and y of three corners or more"),
        (FOOTPRINT[:2], "x and y of three corners or more"),
        ([*FOOTPRINT[:3], (math.nan, 0.2)], "x and y of three corners or more"),
        ([*FOOTPRINT[:3], (-1e30, 0.2)], "each at most 1e+09 m"),
        ([*FOOTPRINT[:3], (-math.inf, 0.2)], "x and y of three corners or more"),
        ([(x + 1.0, y) for x, y in FOOTPRINT], "corners in order around the robot's origin"),
        ([(0.0, 0.0)] * 4, "corners in order around the robot's origin"),
        ([(1.0, 0.0), (-1.0, 0.0), (0.5, 0.0)], "corners in order around the robot's origin"),
    ],
)
def test_what_is_no_footprint_is_refused_and_the_last_one_stays(outlined, corners, reason):
    outlined.take(polygon(LONG))
    before = outlined.known.footprint
    outlined.take(polygon(corners))
    assert outlined.known.footprint is before
    assert reason in outlined.input.problems["footprint"]
    outlined.take(polygon(LONG))
    assert not outlined.input.problems
