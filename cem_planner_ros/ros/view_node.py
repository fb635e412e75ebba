# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The node that serves a page in a browser: what a planner does, and its parameters."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import TransitionEvent
from rcl_interfaces.msg import ParameterEvent
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile

from cem_planner_ros.configuration import NODE_NAME, split_name
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import find
from cem_planner_ros.plugins.parameter import READ_ONLY, Parameter
from cem_planner_ros.ros.declaring import declare, python_value
from cem_planner_ros.ros.planner_client import PlannerClient

try:
    from cem_planner_ros.view.page import Page

    if importlib.util.find_spec("mjviser") is None:  # It is imported with the first robot.
        raise ImportError("there is no package mjviser")
except ImportError as error:
    raise ConfigurationError(
        f"the page needs the packages viser and mjviser (pip install viser mjviser): {error}"
    ) from error

RATE = 10.0
"""Rate of drawing the scene, Hz."""

LOOK = 0.25
"""Time between two looks whether the planner is there, s."""

TABLE = tuple(
    Parameter(name, default, text, when=READ_ONLY, **options)
    for name, default, text, options in (
        ("node", NODE_NAME, "The planner, as NAME or NAMESPACE/NAME.", {}),
        ("host", "127.0.0.1", "Address of this machine at which the page is served.", {}),
        ("port", 8080, "Port at which the page is served.", {"low": 0, "high": 65535}),
        (
            "token",
            "",
            "What the address of the page must contain as ?token=TOKEN; empty for none on "
            "127.0.0.1, and for one by chance, which is logged, elsewhere.",
            {},
        ),
        ("robot", "", "MJCF or URDF file of the robot to draw; empty for that of the model.", {}),
        ("read_only", False, "Whether the page only shows, and sends nothing.", {}),
        (
            "save_to",
            "",
            "Folder on this machine in which the page saves parameter files; empty for none.",
            {},
        ),
    )
)
"""The parameters of the node."""


class ViewNode(Node):
    """
    Serves the page of one planner, which it finds again whenever it is started anew.

    It subscribes to what the planner publishes only while a browser shows the page. A browser that
    hangs, sleeps or is closed changes nothing: commands are sent by clicks alone.

    Raises ConfigurationError if a parameter is wrong, or the page cannot be served.
    """

    def __init__(self, **options):
        super().__init__("cem_planner_view", **options)
        values, _ = declare(self, TABLE)
        name, namespace = split_name(values["node"])
        if values["robot"]:
            find(values["robot"])
        self._planner = f"{namespace.rstrip('/')}/{name}"
        self._is_there = self._is_reading = self._is_stale = self._is_shown = False
        self.operating = PlannerClient(
            self,
            self._planner,
            lambda text: self.page.show_answer(text),
            lambda text, is_pressed: self.page.show_stop(text, is_pressed=is_pressed),
            lambda values: self._watched.check(values),
        )
        """What the page asks of the planner."""
        try:
            self.page = Page(
                self.operating,
                host=values["host"],
                port=values["port"],
                token=values["token"],
                save_to=Path(values["save_to"]).expanduser() if values["save_to"] else None,
                read_only=values["read_only"],
            )
        except ConfigurationError:
            self.operating.close()
            raise
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(LOOK, self._look, clock=steady)
        self.create_timer(1.0 / RATE, lambda: self._watched.draw(), clock=steady)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.create_subscription(
            ParameterEvent, "/parameter_events", self._on_parameters, QoSProfile(depth=100)
        )
        self.create_subscription(
            TransitionEvent, f"{self._planner}/transition_event", self._on_transition, 10
        )
        address = self.page.serving.address
        self.page.show_waiting(f"waiting for {self._planner}")
        self.get_logger().info(f"the page of {self._planner} is at {address}")
        # This imports PyTorch, which takes seconds. Browsers load the page meanwhile.
        from cem_planner_ros.ros.watched_planner import WatchedPlanner

        self._watched = WatchedPlanner(
            self, self._planner, self.page, self.operating, values["robot"]
        )

    def close(self) -> None:
        """End the page, the subscriptions and the thread of the emergency stop."""
        self._watched.unwatch()
        self.operating.close()
        self.page.close()

    @property
    def is_connected(self) -> bool:
        """Whether the planner is there, and its parameters are on the page."""
        return self._is_there and self._is_shown

    # What the planner is

    def _look(self) -> None:
        """Notice that the planner has come or gone, and read its parameters where needed."""
        was_there, self._is_there = self._is_there, self.operating.is_there
        if was_there and not self._is_there:
            self._watched.forget()
            self._is_reading = self._is_shown = False
            self.page.show_waiting(f"{self._planner} is gone: waiting for it")
        if self._is_there and not self._is_reading and (not was_there or self._is_stale):
            self._is_reading, self._is_stale = True, False
            self.operating.read_parameters(self._use, self._read_again)
            self.operating.read_state(self.page.show_lifecycle, self._read_again)

    def _read_again(self, reason: str) -> None:
        """An answer was lost, as of a planner that ends meanwhile."""
        self._is_reading, self._is_stale = False, True

    def _use(
        self,
        parameters: dict[str, Parameter],
        values: dict[str, Any],
        initial: dict[str, Any],
    ) -> None:
        """Show the parameters of the planner, and the robot that they describe."""
        self._is_reading = False
        self.page.panel.fill(parameters, values, initial)
        self._watched.use(values)
        self._is_shown = True

    # What the planner says

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f"{self._planner}: control":
                values = {value.key: value.value for value in status.values}
                self.operating.is_stopped = values.get("emergency stop", "released") != "released"
                self.page.show_diagnostics(status.level[0], status.message, values)

    def _on_parameters(self, event: ParameterEvent) -> None:
        if event.node != self._planner:
            return
        self._is_stale |= bool(event.new_parameters or event.deleted_parameters)
        changed = {p.name: p.value for p in event.changed_parameters}
        self.page.panel.tuning.follow({name: python_value(v) for name, v in changed.items()})

    def _on_transition(self, event: TransitionEvent) -> None:
        self.page.show_lifecycle(event.goal_state.label)
