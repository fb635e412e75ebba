# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the page draws of the topics of a robot that drives, without planner and browser."""

import numpy as np
import pytest

pytest.importorskip("viser")

import rclpy
from geometry_msgs.msg import PoseStamped, Twist
from nav_msgs.msg import OccupancyGrid, Path
from sensor_msgs.msg import PointCloud2
from spinning import spinning
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share
from cem_planner_ros.ros.messages import LATCHED
from cem_planner_ros.ros.moving_obstacles_input import moving_obstacles_message
from cem_planner_ros.ros.watched_topics import WatchedTopics, topic_of, with_whole_topics
from cem_planner_ros.view import robots
from cem_planner_ros.view.page import Page

PLANNER = "/robot1/cem_planner"
SPEED, DECELERATION = 0.8, 0.5
VALUES = {
    "planner.device": "cpu",
    "obstacles.moving_obstacles": 2,
    "drive.max_moving_obstacles_age": 60.0,
    "drive.deceleration": DECELERATION,
    "drive.reaction": 0.0,
    "drive.goal_topic": "goal_pose",
    "drive.path_topic": "plan",
    "drive.moving_obstacles_topic": "moving_obstacles",
    "drive.costmap_topic": "~/costmap",
    "state.type": "std_msgs/msg/Float64MultiArray",
    "state.topic": "~/state",
    "command.topic": "cmd_vel",
    "command.type": "geometry_msgs/msg/Twist",
    "max_state_age": 60.0,
}


class Driving:
    """A page, and the topics of a planner that it watches."""

    def __init__(self, context, observer):
        self.observer, self._publishers = observer, {}
        values = with_whole_topics(PLANNER, load_yaml(share("config") / "drive.yaml") | VALUES)
        configuration = configure(
            {n: v for n, v in values.items() if not n.startswith("state.fields")}
        )
        self.node = rclpy.create_node("view", context=context)
        self.page = Page(Nobody(), port=0)
        self.page.scene.use(robots.from_configuration(configuration))
        self.watched = WatchedTopics(self.node, PLANNER, configuration, self.page, self.clock)

    def clock(self):
        return self.node.get_clock().now().nanoseconds * 1e-9

    def close(self):
        self.watched.destroy()
        self.page.close()
        self.node.destroy_node()

    def send(self, topic, message):
        """Send a message again and again, as a robot does."""
        if topic not in self._publishers:
            made = self.observer.node.create_publisher(type(message), topic, LATCHED)
            self._publishers[topic] = made
        self._publishers[topic].publish(message)

    def drawn(self, name):
        """Draw; return what is drawn with a name, or None."""
        self.watched.draw()
        return self.page.server.scene.get_handle_by_name(f"/world{name}")


class Nobody:
    """A node that is not asked for anything."""

    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.fixture
def driving(context, observer):
    made = Driving(context, observer)
    with spinning(made.node):
        yield made
    made.close()


def posed(x, y):
    pose = PoseStamped()
    pose.header.frame_id = "odom"
    pose.pose.position.x, pose.pose.position.y = x, y
    pose.pose.orientation.w = 1.0
    return pose


def test_a_robot_that_drives_is_drawn_with_all_that_it_drives_by(driving, wait_until):
    grid = OccupancyGrid()
    grid.header.frame_id = "odom"
    grid.info.resolution, grid.info.width, grid.info.height = 0.5, 20, 12
    grid.info.origin.orientation.w = 1.0
    grid.data = [0] * 239 + [100]
    path = Path(poses=[posed(0.0, 0.0), posed(4.0, 0.0)])
    path.header.frame_id = "odom"
    cloud = moving_obstacles_message(np.array([[2.0, 1.0]]), np.zeros((1, 2)), np.array([0.3]))
    assert isinstance(cloud, PointCloud2)
    command = Twist()
    command.linear.x = SPEED

    def sent():
        driving.send("/robot1/cem_planner/costmap", grid)
        driving.send("/robot1/plan", path)
        driving.send("/robot1/goal_pose", posed(4.0, 0.0))
        driving.send("/robot1/moving_obstacles", cloud)
        driving.send("/robot1/cmd_vel", command)
        state = Float64MultiArray(data=[1.0, 0.0, 0.0, SPEED, 0.0])
        driving.send("/robot1/cem_planner/state", state)

    def appears(name, is_right=lambda handle: True):
        def look():
            sent()
            handle = driving.drawn(name)
            return handle is not None and is_right(handle)

        wait_until(look)

    appears("/costmap", lambda image: image.render_width == 10.0)
    appears("/path", lambda line: line.points[..., 0].max() == 4.0)
    appears("/goal", lambda goal: goal.position[0] == 4.0)
    appears("/moving_obstacles", lambda line: abs(line.points[..., 1].max() - 1.3) < 1e-6)
    # It brakes from 1 m on; its nose is ahead of that.
    farthest = 1.0 + SPEED**2 / (2.0 * DECELERATION)
    appears("/braking", lambda line: len(line.points) and line.points[..., 0].max() > farthest)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [("goal", "/robot1/goal"), ("/goal", "/goal"), ("~/goal", "/robot1/cem_planner/goal")],
)
def test_topics_are_those_that_the_planner_means(topic, expected):
    assert topic_of("/robot1/cem_planner", topic) == expected
    assert topic_of("/cem_planner", topic) == expected.replace("/robot1", "")


def test_every_parameter_with_a_topic_gets_its_whole_name():
    values = {"state.topic": "~/state", "track.topic": "way", "drive.footprint_topic": "", "a": 1.0}
    whole = with_whole_topics("/robot1/planner", values)
    assert whole == values | {"state.topic": "/robot1/planner/state", "track.topic": "/robot1/way"}
    with pytest.raises(ConfigurationError, match=r"'track.topic' is 'a b'"):
        with_whole_topics("/planner", {"track.topic": "a b"})
