# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Actions of the operator: reset, pause, emergency stop."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import ReliabilityPolicy
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import EMERGENCY_STOP, PAUSED
from cem_planner_ros.ros.any_durability import AnyDurabilitySubscription

LASTS = "released, not activated since"
"""The value of "emergency stop" in `/diagnostics` while a released one still stops the robot."""


class Operator:
    """
    The services `~/reset`, `~/pause` and `~/emergency_stop`, and the topic `~/emergency_stop`.

    They exist as long as the node, so an emergency stop is known before the node controls. An
    emergency stop lasts until it is released and the node is activated again. A pause lasts until
    it is ended. A service answers when the safe command has been sent; a message on the topic may
    get lost.
    """

    def __init__(self, node: LifecycleNode):
        self._node = node
        self._loop: ControlLoop | None = None
        self._is_stopped = self._is_paused = False
        self.is_pressed = False
        """Whether the emergency stop is pressed now."""
        node.create_service(Trigger, "~/reset", self._on_reset)
        node.create_service(SetBool, "~/pause", self._on_pause)
        node.create_service(SetBool, "~/emergency_stop", self._on_emergency_stop)
        self._button = AnyDurabilitySubscription(
            node,
            Bool,
            "~/emergency_stop",
            lambda message: self._press(message.data),
            ReliabilityPolicy.BEST_EFFORT,  # Messages of every publisher must be received.
        )
        self._button.ask()

    def listen(self) -> None:
        """Receive earlier messages of latched publishers of the emergency stop."""
        self._button.settle()

    def begin(self, loop: ControlLoop) -> None:
        """Use a loop that is about to control."""
        self._loop = loop
        self._is_stopped = self.is_pressed
        loop.commander.halted = self._cause

    def end(self) -> None:
        """The loop is about to end."""
        self._loop = None

    def facts(self) -> dict[str, object]:
        """Return the values of `/diagnostics` about what the operator wants."""
        lasts = self._is_stopped and self._loop is not None
        return {
            "emergency stop": "pressed" if self.is_pressed else LASTS if lasts else "released",
            "paused": "yes" if self._is_paused else "no",
        }

    @property
    def _cause(self) -> str:
        paused = PAUSED if self._is_paused else ""
        return EMERGENCY_STOP if self._is_stopped else paused

    def _halt(self) -> str:
        """Halt or continue the loop at once; return the error, or ""."""
        if self._loop is None:
            return ""
        try:
            self._loop.commander.halt(self._cause)
        except Exception as error:  # The loop sends it in the next periods.
            problem = f"the safe command could not be sent: {type(error).__name__}: {error}"
            self._node.get_logger().error(problem)
            return problem
        return ""

    def _on_reset(self, request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._loop is not None
        response.message = "the warm start is forgotten" if response.success else "not active"
        if response.success:
            self._loop.forget()
        return response

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._is_paused = request.data
        problem = self._halt()
        response.success = not problem
        said = "the safe command is sent" if request.data else "no longer paused"
        response.message = problem or said
        return response

    def _on_emergency_stop(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        problem = self._press(request.data)
        response.success = not problem
        if request.data:
            said = "stopped: only the safe command is sent"
            if self._loop is None:
                said = "pressed: the node is not active, and is not activated until it is released"
        else:
            said = "released: deactivate and activate the node to go on"
            if not self._is_stopped or self._loop is None:
                said = "released"
        response.message = problem or said
        return response

    def _press(self, is_pressed: bool) -> str:
        """Press or release the emergency stop; return the error, or ""."""
        log = self._node.get_logger()
        was_pressed, self.is_pressed = self.is_pressed, is_pressed
        problem = ""
        if is_pressed:
            self._is_stopped = True
            problem = self._halt()
            if not was_pressed:
                log.error("emergency stop: only the safe command is sent")
        elif was_pressed:
            log.warning("emergency stop released: deactivate and activate the node to go on")
        return problem
