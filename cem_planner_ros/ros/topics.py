# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The topics of a configured node: input of states and surroundings, output of commands."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping

import numpy as np
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.control.commander import Commander
from cem_planner_ros.control.integration import Integration, most_leads
from cem_planner_ros.control.ladder import STOPPED
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import IN_A_FRAME
from cem_planner_ros.navigation.poses import Pose, compose
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.readers import frame_name
from cem_planner_ros.ros.follow_path import FollowPathServer
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.messages import command_writer, message_class
from cem_planner_ros.ros.node_parameters import NodeParameters
from cem_planner_ros.ros.reference_input import ReferenceInput
from cem_planner_ros.ros.reports import Reports
from cem_planner_ros.ros.speed_limit import SpeedLimit
from cem_planner_ros.ros.state_topics import StateTopics
from cem_planner_ros.ros.surroundings_input import SurroundingsInput

ACKNOWLEDGE_TIMEOUT = Duration(seconds=0.5)

TOO_NEAR = 1e-3
"""Times of two points of a trajectory are further apart than this, s."""

BODY_FRAME = "base_link"
"""Default frame of a robot's body (REP 105)."""


class Topics:
    """
    The subscriptions and publishers of a configuration.

    Args:
        node: the node with the topics.
        table: the parameters of the node; live values are read from them.
        configuration: defines which topics there are.
        on_surroundings: called with the surroundings after each change.
        commander: returns the commander of the current loop, None if there is no loop.
        on_speed_limit: called when the speed limit has changed (`slowed`).

    Raises ConfigurationError if a topic cannot be made, and then removes the others.
    """

    def __init__(
        self,
        node: LifecycleNode,
        table: NodeParameters,
        configuration: Configuration,
        on_surroundings: Callable[[Surroundings], None],
        commander: Callable[[], Commander | None],
        on_speed_limit: Callable[[], None],
    ):
        self._node = node
        self._table = table
        self._commander = commander
        values = configuration.values
        use_sim_time = node.get_parameter("use_sim_time").value
        self.clock: Callable[[], float] = self.stamp_clock if use_sim_time else time.monotonic
        """
        Clock of the control loop, s: ROS time under `use_sim_time`, otherwise the steady clock.
        """
        self.command_type: str = values["command.type"]
        period = 1.0 / max(values["control_rate"], values["command.rate"])
        self._write = command_writer(self.command_type, configuration.fields("command"), period)
        rows = configuration.integrated_rows()
        is_sent_as_it_is = all(row is None for row in rows)
        leads = self._leads(configuration)
        self._integration = None if is_sent_as_it_is else Integration(rows, period, leads)
        self._period = period
        self.surroundings: SurroundingsInput | None = None
        """None for a plant without surroundings."""
        self.references: ReferenceInput | None = None
        """None where no cost and no body of the model follows a reference."""
        self._follow_path: FollowPathServer | None = None
        self._speed_limit: SpeedLimit | None = None
        self._frames = Frames(node, values["frame_id"])
        self._undo: list[Callable[[], object]] = [self._frames.destroy]
        try:
            self._make(configuration, on_surroundings)
            if configuration.reference_sources:
                self._listen_to_references(configuration, commander)
            if self.surroundings is not None and self.surroundings.follows_action:
                self._serve(configuration, on_speed_limit)
        except Exception as error:
            self.destroy()
            raise ConfigurationError(f"a topic cannot be made: {error}") from error

    def _make(
        self, configuration: Configuration, on_surroundings: Callable[[Surroundings], None]
    ) -> None:
        node, values = self._node, configuration.values
        self._command = node.create_publisher(
            message_class(self.command_type), values["command.topic"], 1
        )
        self._undo.append(functools.partial(node.destroy_publisher, self._command))
        self.states = StateTopics(node, configuration, self.clock, self.stamp_clock)
        self._undo.append(self.states.destroy)
        drives = bool(configuration.inputs)
        self.reports = Reports(node, lambda: self._table.configuration, drives)
        self._undo.append(self.reports.destroy)
        if drives:
            self.surroundings = SurroundingsInput(
                node,
                configuration,
                self._frames,
                self.clock,
                self.stamp_clock,
                on_surroundings,
                body=self._body,
            )
            self._undo.append(self.surroundings.destroy)

    def _listen_to_references(
        self, configuration: Configuration, commander: Callable[[], Commander | None]
    ) -> None:
        def use(references: Mapping[str, Reference]) -> None:
            present = commander()
            if present is not None:
                present.references = references

        self.references = ReferenceInput(
            self._node,
            configuration.reference_sources,
            self._frames,
            self.stamp_clock,
            use,
        )
        self.references.use(configuration.values)
        self._undo.append(self.references.destroy)

    def _serve(
        self,
        configuration: Configuration,
        on_speed_limit: Callable[[], None],
    ) -> None:
        """Serve the action follow_path, and subscribe to the speed limit."""
        node, surroundings = self._node, self.surroundings
        self._frames.listen()  # Paths are in the frame of the map, and a goal does not wait.
        self._follow_path = FollowPathServer(
            node,
            lambda: self._table.configuration or configuration,
            surroundings,
            self.clock,
            self._commander,
        )
        self._undo.append(self._follow_path.destroy)
        topic = node.resolve_topic_name(configuration.values["speed_limit_topic"])
        self._speed_limit = SpeedLimit(node, topic, on_speed_limit)
        self._undo.append(self._speed_limit.destroy)

    def destroy(self) -> None:
        """Destroy the topics."""
        for give_up in self._undo:
            give_up()
        self._undo = []

    def begin(self) -> None:
        """Accept goals, paths and references from now on: the node is active."""
        if self.references is not None:
            self.references.begin()
        if self.surroundings is not None:
            self.surroundings.begin()
        if self._follow_path is not None:
            self._follow_path.begin()

    def end(self) -> None:
        """Accept no more goals, paths and references: the node is no longer active."""
        if self.references is not None:
            self.references.end()
        if self._follow_path is not None:
            self._follow_path.end()
        if self.surroundings is not None:
            self.surroundings.end()

    def use(self, configuration: Configuration) -> None:
        """Use new values of live parameters."""
        if self._integration is not None:
            self._integration.most_lead = self._leads(configuration)
        if self.references is not None:
            self.references.use(configuration.values)
        if self.surroundings is not None:
            self.surroundings.use(configuration)

    @staticmethod
    def _leads(configuration: Configuration) -> np.ndarray:
        return most_leads(configuration.control_settings, configuration.values["command.max_lead"])

    @property
    def waiting(self) -> list[str]:
        """Names of the states whose set-points wait for what is measured."""
        if self._integration is None:
            return []
        values = self._table.configuration.values
        names = self._table.configuration.dynamics.action_names
        waiting = zip(names, self._integration.waiting, strict=True)
        return [values[f"command.integrate.{name}"] for name, waits in waiting if waits]

    def slowed(self, configuration: Configuration) -> Configuration:
        """Return a configuration with the bounds reduced by the speed limit."""
        if self._speed_limit is None:
            return configuration
        return self._speed_limit.slowed(configuration)

    @property
    def is_simulated(self) -> bool:
        """Whether the loop uses a simulated clock."""
        return self.clock is not time.monotonic

    @property
    def command_topic(self) -> str:
        """The resolved name of the command's topic."""
        return self._command.topic_name

    def latest_state(self) -> StateSample | None:
        """Return the newest usable state, for the control loop."""
        return self.states.latest()

    def send(self, action: np.ndarray, *, is_stop: bool = False) -> None:
        """
        Publish a command (nu,). Any thread may call it.

        `is_stop` says that it is the safe action of a node that no longer controls.
        """
        frame = self._body_frame
        if self.command_type in IN_A_FRAME:
            frame = frame_name(self._table.configuration.values["frame_id"]) or BODY_FRAME
        values, commander = self._table.configuration.values, self._commander()
        later = {}
        if values["command.preview"] and commander is not None and not is_stop:
            later = {"later": self._preview(commander, values["command.preview"])}
        sent: np.ndarray | None = action
        if self._integration is not None:
            newest = self.states.newest
            is_stopped = is_stop or commander is None or commander.ladder.status == STOPPED
            state = None if newest is None else newest.state
            sent = self._integration.command(action, self.clock(), state, is_stopped)
        if sent is not None:
            stamp = self._node.get_clock().now().to_msg()
            self._command.publish(self._write(sent, stamp, frame, **later))

    def _preview(self, commander: Commander, count: int) -> list[tuple[float, np.ndarray]]:
        """Return later points (time from now in s, action) of the plan that a command follows."""
        plan = commander.followed
        if plan is None:
            return []
        # The command itself has to be reached after a period, and so have the later actions.
        times = plan.edges[:-1] - commander.effect(self.clock()) + self._period
        points = zip(times, plan.actions, strict=True)
        return [point for point in points if point[0] > self._period + TOO_NEAR][:count]

    @property
    def _body_frame(self) -> str:
        frame = self._table.configuration.values["command.frame_id"] or self.states.child_frame
        return frame_name(frame) or BODY_FRAME

    def _body(self, time: float) -> tuple[str, Pose | None]:
        """Return the frame of the robot's body, and its pose at a time, s, if it is known."""
        sample, commander = self.states.newest, self._commander()
        configuration = self._table.configuration
        if sample is None or commander is None:
            return self._body_frame, None
        late = time - sample.time
        if abs(late) > configuration.values["max_state_age"]:
            return self._body_frame, None
        robot = configuration.planar_robot()
        twist = robot.measured(sample.state, commander.last_action)
        moved = Pose(*(late * speed for speed in twist))
        return self._body_frame, compose(robot.pose(sample.state), moved)

    def wait_for_acknowledgement(self) -> None:
        """Wait until the last command was acknowledged, for a limited time."""
        self._command.wait_for_all_acked(ACKNOWLEDGE_TIMEOUT)

    def forget(self, *, has_jumped: bool = False) -> None:
        """
        Forget received states and reports: the node is activated, or the clock was set.

        After a jump of the clock, references and whatever has a time in the surroundings
        are forgotten too.
        """
        if has_jumped and self.references is not None:
            self.references.forget()
        if has_jumped and self.surroundings is not None:
            self.surroundings.forget()
        self.states.forget()
        if self._integration is not None:
            self._integration.forget()
        self.reports.forget()

    def facts(self) -> dict[str, object]:
        """Return the values of `/diagnostics` about the topics."""
        facts = self.states.facts()
        terms = self.reports.cost_terms
        facts |= {f"cost {name}": f"{term:.6g}" for name, term in terms.items()}
        if self.surroundings is not None:
            facts["path headings"] = self.surroundings.headings
            facts["footprint from"] = self.surroundings.footprint
            facts |= self.surroundings.dropped
        if self.references is not None:
            facts |= self.references.facts()
        return facts

    def warnings(self) -> list[str]:
        """Return why goal, path, costmap or moving obstacles cannot be used."""
        return [] if self.surroundings is None else [*self.surroundings.problems.values()]

    def stamp_clock(self) -> float:
        """Return ROS time, s, on which messages are stamped."""
        return self._node.get_clock().now().nanoseconds * 1e-9
