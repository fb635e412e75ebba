"""Transitions of a lifecycle node that raise."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from cem_planner_ros.errors import ConfigurationError


def guarded_by(on_exception: TransitionCallbackReturn) -> Callable:
    """
    Make a transition that raises say so and return `on_exception`; rclpy would swallow it.

    FAILURE goes back to where the transition began, ERROR through `on_error` to unconfigured.
    """

    def decorate(transition: Callable) -> Callable:
        @functools.wraps(transition)
        def guarded(self: LifecycleNode, state: LifecycleState) -> TransitionCallbackReturn:
            try:
                return transition(self, state)
            except ConfigurationError as error:
                self.get_logger().error(f"not {transition.__name__.removeprefix('on_')}d:\n{error}")
            except Exception:
                self.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            return on_exception

        return guarded

    return decorate
