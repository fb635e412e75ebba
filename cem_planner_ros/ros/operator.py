"""What an operator may do while the node controls: reset, pause, stop."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import EMERGENCY_STOP, PAUSED
from cem_planner_ros.ros.messages import LATCHED


class Operator:
    """
    The services `~/reset` and `~/pause`, and the topic `~/emergency_stop`.

    They exist as long as the node does, so that the emergency stop is known before it controls. It
    lasts until it is released and the node is activated anew; a pause until it is taken back.

    Args:
        node: the node.
        send_safe: sends the safe command.
    """

    def __init__(self, node: LifecycleNode, send_safe: Callable[[], None]):
        self._node = node
        self._send_safe = send_safe
        self._loop: ControlLoop | None = None
        self._is_stopped = self._is_paused = False
        self.is_pressed = False
        """Whether the emergency stop is pressed now."""
        node.create_service(Trigger, "~/reset", self._on_reset)
        node.create_service(SetBool, "~/pause", self._on_pause)
        # Latched, and for every publisher that is not: whoever wants to stop it must be heard.
        for qos in (LATCHED, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)):
            node.create_subscription(Bool, "~/emergency_stop", self._on_emergency_stop, qos)

    def begin(self, loop: ControlLoop) -> None:
        """Watch over a loop that is about to control."""
        self._loop = loop
        self._is_stopped = self.is_pressed
        self._halt()

    def end(self) -> None:
        """The loop is about to end."""
        self._loop = None

    def _halt(self) -> None:
        if self._loop is not None:
            paused = PAUSED if self._is_paused else ""
            self._loop.commander.halted = EMERGENCY_STOP if self._is_stopped else paused

    def _on_reset(self, request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._loop is not None
        response.message = "the warm start is forgotten" if response.success else "not active"
        if response.success:
            self._loop.forget()
        return response

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._is_paused = request.data
        self._halt()
        if request.data and self._loop is not None:  # At once, as for the emergency stop.
            self._send_safe()
        response.success = True
        response.message = "the safe command goes out" if request.data else "no longer paused"
        return response

    def _on_emergency_stop(self, message: Bool) -> None:
        log = self._node.get_logger()
        pressed = message.data and not self.is_pressed
        released = self.is_pressed and not message.data
        self.is_pressed = message.data
        self._is_stopped |= message.data
        self._halt()
        if pressed:
            if self._loop is not None:  # At once; it may be in the middle of a long plan.
                self._send_safe()
            log.error("emergency stop: only the safe command goes out")
        elif released:
            log.warning("emergency stop released: deactivate and activate the node to go on")
