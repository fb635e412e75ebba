# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the page asks of a planner node, over its services."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.publisher import Publisher
from std_srvs.srv import SetBool, Trigger

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import Parameter
from cem_planner_ros.ros.declaring import declaration, python_value
from cem_planner_ros.ros.messages import quaternion
from cem_planner_ros.ros.stop_button import StopButton

Refused = Mapping[str, str]
"""{name: reason} of parameters that the node did not set."""


class PlannerClient:
    """
    Asks a planner node without waiting: the answers come in the executor's thread.

    Args:
        node: the node that asks.
        planner: fully qualified name of the planner.
        told: called with what the planner answered to a button.
        told_stop: called with what is known of the emergency stop, see `StopButton`.
    """

    def __init__(
        self,
        node: Node,
        planner: str,
        told: Callable[[str], None],
        told_stop: Callable[[str, bool], None],
    ):
        self._node, self._planner, self._told = node, planner, told
        self._stop = StopButton(node.context, planner, told_stop)
        self._goals: tuple[Publisher, str] | None = None
        kinds = {
            "list_parameters": ListParameters,
            "describe_parameters": DescribeParameters,
            "get_parameters": GetParameters,
            "set_parameters": SetParameters,
            "change_state": ChangeState,
            "get_state": GetState,
            "reset": Trigger,
            "pause": SetBool,
        }
        self._clients = {
            name: node.create_client(kind, f"{planner}/{name}") for name, kind in kinds.items()
        }

    def close(self) -> None:
        """End the thread of the emergency stop."""
        self._stop.close()

    @property
    def is_there(self) -> bool:
        """Whether the planner serves its parameters."""
        return self._clients["list_parameters"].service_is_ready()

    def read_parameters(self, done: Callable[[dict[str, Parameter], dict[str, Any]], None]) -> None:
        """Call `done` with the declarations and the values of all parameters."""

        def on_names(response) -> None:
            names = list(response.result.names)

            def on_descriptors(described) -> None:
                def on_values(found) -> None:
                    values = map(python_value, found.values)
                    done(*_declared(described.descriptors, dict(zip(names, values, strict=True))))

                self._ask("get_parameters", GetParameters.Request(names=names), on_values)

            request = DescribeParameters.Request(names=names)
            self._ask("describe_parameters", request, on_descriptors)

        self._ask("list_parameters", ListParameters.Request(), on_names)

    def read_state(self, done: Callable[[str], None]) -> None:
        """Call `done` with the lifecycle state."""
        self._ask("get_state", GetState.Request(), lambda r: done(r.current_state.label))

    def set_parameters(self, values: Mapping[str, Any], done: Callable[[Refused], None]) -> None:
        """Set values; call `done` with the refused ones."""
        names = list(values)
        parameters = [_message(name, value) for name, value in values.items()]

        def on_results(response) -> None:
            results = zip(names, response.results, strict=True)
            done({name: result.reason for name, result in results if not result.successful})

        if not self._clients["set_parameters"].service_is_ready():
            done(dict.fromkeys(names, f"{self._planner} is not there"))
            return
        self._ask("set_parameters", SetParameters.Request(parameters=parameters), on_results)

    def set_inactive(self, values: Mapping[str, Any], done: Callable[[Refused], None]) -> None:
        """Deactivate an active planner, set values, and activate it again."""

        def on_state(label: str) -> None:
            if label != "active":
                self.set_parameters(values, done)
            else:
                self._change("deactivate", lambda is_done: self.set_parameters(values, activate))

        def activate(refused: Refused) -> None:
            done(refused)
            self._change("activate", lambda is_done: None)

        self.read_state(on_state)

    def transition(self, name: str) -> None:
        """Ask for the transition configure, activate or deactivate."""
        self._change(name, lambda is_done: None)

    def pause(self, is_paused: bool) -> None:
        """Pause, or end the pause."""
        self._ask("pause", SetBool.Request(data=is_paused), lambda r: self._told(r.message))

    def reset(self) -> None:
        """Have the planner forget its last plan."""
        self._ask("reset", Trigger.Request(), lambda r: self._told(r.message))

    def emergency_stop(self, is_pressed: bool) -> None:
        """Press or release the emergency stop."""
        self._stop.press(is_pressed)

    def use_goal(self, topic: str, frame: str) -> None:
        """Send goals to a topic from now on, in a frame; "" for no topic."""
        if self._goals is not None:
            self._node.destroy_publisher(self._goals[0])
        self._goals = None
        if topic:
            # A latched goal would be received again by a planner that is activated later. That
            # somebody waits for latched ones meanwhile is no fault.
            quiet = PublisherEventCallbacks(use_default_callbacks=False)
            publisher = self._node.create_publisher(PoseStamped, topic, 1, event_callbacks=quiet)
            self._goals = publisher, frame

    def send_goal(self, x: float, y: float, yaw: float) -> None:
        """Send a goal, m and rad."""
        if self._goals is None:
            return
        publisher, frame = self._goals
        goal = PoseStamped()
        goal.header.stamp = self._node.get_clock().now().to_msg()
        goal.header.frame_id = frame
        goal.pose.position.x, goal.pose.position.y = x, y
        turn = goal.pose.orientation
        turn.x, turn.y, turn.z, turn.w = quaternion(0.0, 0.0, yaw)
        publisher.publish(goal)
        self._told(f"goal sent: x {x:.2f} m, y {y:.2f} m, yaw {yaw:.2f} rad")

    def _change(self, name: str, done: Callable[[bool], None]) -> None:
        number = getattr(Transition, f"TRANSITION_{name.upper()}")

        def on_answer(response) -> None:
            why = "" if response.success else " failed: the log and the state say why"
            self._told(f"{name}{why or ': done'}")
            done(response.success)

        self._told(f"{name}: asked")
        request = ChangeState.Request(transition=Transition(id=number))
        self._ask("change_state", request, on_answer)

    def _ask(self, service: str, request: Any, done: Callable[[Any], None]) -> None:
        client = self._clients[service]
        if not client.service_is_ready():
            self._told(f"{self._planner} does not serve {service}: it is not there")
            return

        def on_answer(future) -> None:
            if future.result() is not None:
                done(future.result())

        client.call_async(request).add_done_callback(on_answer)


def _message(name: str, value: Any):
    if isinstance(value, list):  # An empty one would have no type.
        return RosParameter(name, RosParameter.Type.STRING_ARRAY, value).to_parameter_msg()
    return RosParameter(name, value=value).to_parameter_msg()


def _declared(descriptors, values: Mapping[str, Any]) -> tuple[dict[str, Parameter], dict]:
    """Return declarations and values of parameters of the types that a planner has."""
    found = {}
    for descriptor in descriptors:
        with contextlib.suppress(ConfigurationError):  # One of ROS, of another type.
            found[descriptor.name] = declaration(descriptor, values.get(descriptor.name))
    return found, {name: values[name] for name in found}
