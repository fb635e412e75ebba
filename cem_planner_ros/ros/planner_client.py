# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the page asks of a planner node, over its services."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.publisher import Publisher
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import Parameter
from cem_planner_ros.readers import quaternion
from cem_planner_ros.ros.declaring import declaration, python_value
from cem_planner_ros.ros.stop_button import StopButton

ANSWER_TIMEOUT = 5.0
"""Time for an answer, s; it may be lost, or the planner may be busy with a transition."""

TRANSITION_TIMEOUT = 180.0
"""Time for the answer to a transition, which may compile a planner, s."""

LOOK = 0.25
"""Time between two looks for answers that did not come, s."""

Refused = Mapping[str, str]
"""{name: reason} of parameters that the node did not set."""


@dataclasses.dataclass(frozen=True)
class _Question:
    """What was asked and not answered yet, and when it is given up (`time.monotonic`, s)."""

    client: Client
    end: float
    lost: Callable[[str], None]
    reason: str


class PlannerClient:
    """
    Asks a planner node without waiting: the answers come in the executor's thread.

    Whoever asks is told when no answer has come in time. An answer that comes later is ignored:
    what it changed is seen in what the planner publishes.

    Args:
        node: the node that asks.
        planner: fully qualified name of the planner.
        told: called with what the planner answered to a button.
        told_stop: called with what is known of the emergency stop, see `StopButton`.
        check: raises ConfigurationError if values cannot be set together.
    """

    def __init__(
        self,
        node: Node,
        planner: str,
        told: Callable[[str], None],
        told_stop: Callable[[str, bool], None],
        check: Callable[[Mapping[str, Any]], None],
    ):
        self._node, self._planner, self._told = node, planner, told
        self._check = check
        self._stop = StopButton(node.context, planner, told_stop)
        self._goals: tuple[Publisher, str] | None = None
        self.is_stopped = False
        """Whether an emergency stop lasts, also one that is released, as far as is known."""
        self._lock = threading.Lock()
        self._asked: dict[Future, _Question] = {}
        node.create_timer(LOOK, self._give_up, clock=Clock(clock_type=ClockType.STEADY_TIME))
        kinds = {
            "list_parameters": ListParameters,
            "describe_parameters": DescribeParameters,
            "get_parameters": GetParameters,
            "set_parameters": SetParameters,
            "change_state": ChangeState,
            "get_state": GetState,
            "initial_parameters": Trigger,
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

    def read_parameters(
        self,
        done: Callable[[dict[str, Parameter], dict[str, Any], dict[str, Any]], None],
        lost: Callable[[str], None],
    ) -> None:
        """
        Call `done` with the declarations of all parameters, their values, and the initial ones.

        The initial values are {} if the planner does not serve them. Call `lost` without an answer.
        """

        def on_names(response) -> None:
            names = list(response.result.names)

            def on_descriptors(described) -> None:
                def on_values(found) -> None:
                    values = map(python_value, found.values)
                    known = _declared(described.descriptors, dict(zip(names, values, strict=True)))
                    self._ask(
                        "initial_parameters",
                        Trigger.Request(),
                        lambda initial: done(*known, json.loads(initial.message)),
                        lambda reason: done(*known, {}),
                    )

                self._ask("get_parameters", GetParameters.Request(names=names), on_values, lost)

            request = DescribeParameters.Request(names=names)
            self._ask("describe_parameters", request, on_descriptors, lost)

        self._ask("list_parameters", ListParameters.Request(), on_names, lost)

    def read_state(self, done: Callable[[str], None], lost: Callable[[str], None]) -> None:
        """Call `done` with the lifecycle state, or `lost`."""
        self._ask("get_state", GetState.Request(), lambda r: done(r.current_state.label), lost)

    def set_parameters(self, values: Mapping[str, Any], done: Callable[[Refused], None]) -> None:
        """Set values; call `done` with the refused ones."""
        names = list(values)
        parameters = [_message(name, value) for name, value in values.items()]

        def on_results(response) -> None:
            results = zip(names, response.results, strict=True)
            done({name: result.reason for name, result in results if not result.successful})

        request = SetParameters.Request(parameters=parameters)
        lost = functools.partial(_refuse_all, values, done)
        self._ask("set_parameters", request, on_results, lost)

    def set_inactive(self, values: Mapping[str, Any], done: Callable[[Refused], None]) -> None:
        """
        Deactivate an active planner, set values, and activate it again.

        Values that do not fit together are refused before anything happens. Nothing is set if the
        planner stays active. A planner that refuses values is activated again too. While an
        emergency stop lasts, it is left inactive: whoever ends that also activates the planner.
        """
        refuse = functools.partial(_refuse_all, values, done)
        try:
            self._check(values)
        except ConfigurationError as error:
            refuse(str(error))
            return

        was_stopped = False

        def on_state(label: str) -> None:
            nonlocal was_stopped
            # When it is inactive, it does not say any more that a released stop lasts.
            was_stopped = self.is_stopped
            if label == "active":
                self._change("deactivate", on_deactivated, refuse)
            else:
                self.set_parameters(values, done)

        def on_deactivated(is_done: bool) -> None:
            if is_done:
                self.set_parameters(values, activate)
            else:
                refuse("the planner could not be deactivated: its log says why")

        def activate(refused: Refused) -> None:
            done(refused)
            if was_stopped or self.is_stopped:
                self._told(
                    "not activated again: the emergency stop lasts until Activate is pressed"
                )
            else:
                self._change("activate")

        self.read_state(on_state, refuse)

    def transition(self, name: str) -> None:
        """Ask for the transition configure, activate or deactivate."""
        self._change(name)

    def pause(self, is_paused: bool) -> None:
        """Pause, or end the pause."""
        request = SetBool.Request(data=is_paused)
        self._ask("pause", request, lambda r: self._told(r.message), self._told)

    def reset(self) -> None:
        """Have the planner forget its last plan."""
        self._ask("reset", Trigger.Request(), lambda r: self._told(r.message), self._told)

    def emergency_stop(self, is_pressed: bool) -> None:
        """Press or release the emergency stop."""
        self._stop.press(is_pressed)

    def use_goal(self, topic: str, frame: str) -> None:
        """Send goals to a topic from now on, in a frame; "" for no topic."""
        # A browser may be sending a goal in another thread.
        with self._lock:
            if self._goals is not None:
                self._node.destroy_publisher(self._goals[0])
            self._goals = None
            if topic:
                # A latched goal would be received again by a planner that is activated later. That
                # somebody waits for latched ones meanwhile is no fault.
                quiet = PublisherEventCallbacks(use_default_callbacks=False)
                made = self._node.create_publisher(PoseStamped, topic, 1, event_callbacks=quiet)
                self._goals = made, frame

    def send_goal(self, x: float, y: float, yaw: float) -> None:
        """Send a goal, m and rad."""
        goal = PoseStamped()
        goal.header.stamp = self._node.get_clock().now().to_msg()
        goal.pose.position.x, goal.pose.position.y = x, y
        turn = goal.pose.orientation
        turn.x, turn.y, turn.z, turn.w = quaternion(0.0, 0.0, yaw)
        with self._lock:
            if self._goals is None:
                return
            publisher, goal.header.frame_id = self._goals
            publisher.publish(goal)
        self._told(f"goal sent: x {x:.2f} m, y {y:.2f} m, yaw {yaw:.2f} rad")

    def _change(
        self,
        name: str,
        done: Callable[[bool], None] = lambda is_done: None,
        lost: Callable[[str], None] = lambda reason: None,
    ) -> None:
        number = getattr(Transition, f"TRANSITION_{name.upper()}")

        def on_answer(response) -> None:
            why = "" if response.success else " failed: the log and the state say why"
            self._told(f"{name}{why or ': done'}")
            done(response.success)

        self._told(f"{name}: asked")

        def on_lost(reason: str) -> None:
            self._told(reason)
            lost(reason)

        request = ChangeState.Request(transition=Transition(id=number))
        self._ask("change_state", request, on_answer, on_lost, TRANSITION_TIMEOUT)

    def _ask(
        self,
        service: str,
        request: Any,
        done: Callable[[Any], None],
        lost: Callable[[str], None],
        timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        """Call `done` with the answer, or `lost` with the reason why none came."""
        client = self._clients[service]
        if not client.service_is_ready():
            lost(f"{self._planner} does not serve {service}: it is not there")
            return

        def on_answer(future: Future) -> None:
            with self._lock:
                was_waiting = self._asked.pop(future, None)
            if was_waiting and future.result() is not None:
                done(future.result())

        future = client.call_async(request)
        reason = (
            f"{self._planner} did not answer {service} within {timeout:g} s: it is busy, or the "
            "answer was lost"
        )
        with self._lock:
            end = time.monotonic() + timeout
            self._asked[future] = _Question(client, end, lost, reason)
        future.add_done_callback(on_answer)

    def _give_up(self) -> None:
        """Tell those whose answer has not come in time."""
        now = time.monotonic()
        with self._lock:
            late = {f: question for f, question in self._asked.items() if now > question.end}
            for future in late:
                del self._asked[future]
        for future, question in late.items():
            question.client.remove_pending_request(future)
            question.lost(question.reason)


def _refuse_all(values: Mapping[str, Any], done: Callable[[Refused], None], reason: str) -> None:
    done(dict.fromkeys(values, reason))


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
