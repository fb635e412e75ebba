# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that raise an error, or that are not possible."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable

from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from cem_planner_ros.errors import ConfigurationError, describe


def guarded_by(on_exception: TransitionCallbackReturn) -> Callable:
    """
    Make a transition that raises log the error and return `on_exception`; rclpy would hide it.

    FAILURE leads back to the state before the transition, ERROR through `on_error` to unconfigured.
    """

    def decorate(transition: Callable) -> Callable:
        @functools.wraps(transition)
        def guarded(self: LifecycleNode, state: LifecycleState) -> TransitionCallbackReturn:
            try:
                return transition(self, state)
            except ConfigurationError as error:
                self.get_logger().error(f"not {transition.__name__.removeprefix('on_')}d:\n{error}")
            except Exception as error:
                self.get_logger().error(
                    f"{transition.__name__} failed: {describe(error)}\n{traceback.format_exc()}"
                )
            return on_exception

        return guarded

    return decorate


def answer_invalid_requests(node: LifecycleNode) -> None:
    """
    Make a node answer a request for an invalid transition with no success.

    Up to Jazzy (rclpy 7.1) the callback raises instead, and the client waits forever (rclpy #1209).
    """
    service = next(s for s in node.services if s.srv_name.endswith("/change_state"))
    change_state = service.callback

    def answer(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        try:
            return change_state(request, response)
        except rclpy_implementation.RCLError as error:
            node.get_logger().error(f"this transition is not possible now: {error}")
            response.success = False
            return response

    service.callback = answer
