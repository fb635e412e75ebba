# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The planner that a page shows, as its parameters describe it: its robot and its topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from cem_planner_ros.configuration import Configuration, configure
from cem_planner_ros.configuration.yaml_files import ROS_PARAMETERS
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import LIVE
from cem_planner_ros.ros.planner_client import PlannerClient
from cem_planner_ros.ros.watched_topics import WatchedTopics, with_whole_topics
from cem_planner_ros.view import robots
from cem_planner_ros.view.page import Page


class WatchedPlanner:
    """
    Draws a planner on a page, and subscribes to its topics only while a browser shows the page.

    Args:
        node: the node that subscribes.
        planner: fully qualified name of the planner.
        page: where it is drawn.
        operating: what sends goals to the planner.
        robot_file: MJCF or URDF file of the robot; "" for that of the model.
    """

    def __init__(
        self, node: Node, planner: str, page: Page, operating: PlannerClient, robot_file: str = ""
    ):
        self._node, self._planner, self._robot_file = node, planner, robot_file
        self._page, self._operating = page, operating
        self._topics: WatchedTopics | None = None
        self._configuration: Configuration | None = None

    def use(self, values: Mapping[str, Any]) -> None:
        """Draw what all values of the planner's parameters describe, from now on."""
        is_simulated = values.get("use_sim_time", False)
        self._node.set_parameters([RosParameter("use_sim_time", value=is_simulated)])
        try:
            configuration = self._configured(values)
        except ConfigurationError as error:
            self._page.show_robot_problem(f"the parameters describe no robot: {error}")
            return
        if self._configuration is not None and _is_same(configuration, self._configuration):
            return
        self.unwatch()
        self._configuration = configuration
        problem = ""
        try:
            robot = robots.from_configuration(configuration, self._robot_file)
            if robot is None:
                problem = "the names of the states do not say what the robot looks like"
        except ConfigurationError as error:
            robot, problem = None, str(error)
        self._page.scene.use(robot)
        self._page.show_robot_problem(problem)
        topic = ""
        if "goal" in configuration.inputs:
            topic = configuration.values["drive.goal_topic"]
        self._operating.use_goal(topic, configuration.values["frame_id"])

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise ConfigurationError if the planner could not be configured with other values."""
        # Where the present ones cannot be used here, as without a plugin's module, others cannot be
        # checked.
        if self._configuration is not None:
            self._configured(self._page.panel.tuning.values | dict(values))

    def forget(self) -> None:
        """Draw nothing until `use` is called again: the planner is gone."""
        self.unwatch()
        self._configuration = None

    def draw(self) -> None:
        """Draw what is new since the last call, if a browser shows the page."""
        if self._configuration is None or not self._page.serving.is_watched:
            self.unwatch()
            return
        if self._topics is None:
            try:
                self._topics = WatchedTopics(
                    self._node, self._planner, self._configuration, self._page, self._stamp_clock
                )
            except ConfigurationError as error:
                self._configuration = None
                self._page.show_robot_problem(str(error))
                return
        self._topics.draw()

    def unwatch(self) -> None:
        """End the subscriptions, until the next drawing."""
        if self._topics is not None:
            self._topics.destroy()
            self._topics = None

    def _configured(self, values: Mapping[str, Any]) -> Configuration:
        own = {n: v for n, v in values.items() if n.partition(".")[0] not in ROS_PARAMETERS}
        own = with_whole_topics(self._planner, own) | {"planner.device": "cpu"}
        if "drive.follow_path" in own:  # The page hears paths of topics, not those of actions.
            own["drive.follow_path"] = False
        return configure(own, self._planner, leftover=own)

    def _stamp_clock(self) -> float:
        return self._node.get_clock().now().nanoseconds * 1e-9


def _is_same(one: Configuration, other: Configuration) -> bool:
    """Return whether two configurations have the same topics and robots."""

    def what(configuration: Configuration) -> dict[str, Any]:
        declared = configuration.parameters
        return {
            n: v
            for n, v in configuration.values.items()
            if n in declared and declared[n].when != LIVE
        }

    return what(one) == what(other)
