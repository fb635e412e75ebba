"""The lifecycle node: messages in, messages out, and who does what when."""

from __future__ import annotations

import functools
import gc
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Path
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.configuration import NODE_NAME, Configuration, configure
from cem_planner_ros.control.loop import FRESH, ControlLoop, StateSample, Tick
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.ros import diagnostics
from cem_planner_ros.ros.messages import (
    MESSAGES,
    MessageError,
    command_writer,
    stamp_of,
    state_reader,
)
from cem_planner_ros.ros.parameters import NodeParameters

WARM_UP_PLANS = 5

ACKNOWLEDGE_TIMEOUT = Duration(seconds=0.5)

LOG_INTERVAL = 1.0
"""s between two lines about the status; it may change with every command."""


def _guarded(transition: Callable) -> Callable:
    """Make a transition that raises fail with a message; rclpy would swallow the exception."""

    @functools.wraps(transition)
    def guarded(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except ConfigurationError as error:
            self.get_logger().error(f"not configured:\n{error}")
        except Exception:
            self.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
        return TransitionCallbackReturn.FAILURE

    return guarded


class PlannerNode(LifecycleNode):
    """
    Plans from the state messages and publishes commands while it is active.

    The executor's thread serves ROS; one thread of its own makes the planner, warms it up and runs
    the control loop, so that a single thread uses PyTorch. Between them are the newest state and
    the newest configuration, each replaced whole.

    Args:
        interrupted: asked during a long configure whether to give up.
        **options: those of rclpy's Node.
    """

    def __init__(self, *, interrupted: Callable[[], bool] = lambda: False, **options):
        super().__init__(NODE_NAME, **options)
        self._interrupted = interrupted
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner")
        self._planner: Planner | None = None
        self._loop: ControlLoop | None = None
        self._control: Future | None = None
        self._is_making = False
        self._stop = threading.Event()
        self._state: StateSample | None = None
        self._received = 0
        self._dropped: Counter[str] = Counter()
        self._status = FRESH
        self._path_due = self._log_due = 0.0
        self._statistics_message = diagnostics.statistics_message()
        self._entities: list[tuple[Callable, object]] = []
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_timer(
            1.0, self._publish_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._table = NodeParameters(self, self._on_change)

    def autostart(self) -> None:
        """Configure and activate, if the parameter `autostart` says so."""
        wanted = self.get_parameter("autostart").value
        if wanted and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """Send the safe command if the node controls, and end its thread."""
        self._stop_control()
        self._release()
        # A compiler that runs cannot be called off; `process` ends without waiting for it.
        self._thread.shutdown(wait=not self._is_making)

    # Transitions

    @_guarded
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the plugins, make the planner, compile it, warm it up, and only then say ready."""
        self.get_logger().info("configuring: loading plugins and compiling")
        self._build()
        return TransitionCallbackReturn.SUCCESS

    @_guarded
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to control, with a new planner if its shape was changed meanwhile."""
        if self._table.needs_rebuild:
            self._build()
        configuration = self._table.configuration
        self._loop = ControlLoop(
            self._planner, configuration, lambda: self._state, self._send, self._report
        )
        self._status = FRESH
        # With torch imported a full collection takes 0.1 s; what lives now need not be looked at.
        gc.collect()
        gc.freeze()
        self._stop.clear()
        self._table.active = True
        self._control = self._thread.submit(self._run, self._loop)
        self.get_logger().info(
            f"active: {configuration.values['control_rate']:g} commands per second on "
            f"'{self._command_publisher.topic_name}'"
        )
        return super().on_activate(state)

    @_guarded
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop controlling and send the safe command."""
        self._stop_control()
        return super().on_deactivate(state)

    @_guarded
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give up the planner and the topics."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @_guarded
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop controlling, send the safe command, give everything up."""
        self._stop_control()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @_guarded
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured, from where the node can be configured again."""
        self._stop_control()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    # Making and giving up

    def _build(self) -> None:
        """
        Make planner and topics from the parameters, in place of those there are.

        Raises ConfigurationError, and leaves everything as it was, if they cannot be made.
        """
        values, source = self._table.values(), self._table.source
        making = self._thread.submit(self._make_planner, values, source, self._table.names)
        while not making.done():
            self._is_making = True
            if self._interrupted():
                raise ConfigurationError("interrupted while configuring")
            time.sleep(0.02)
        self._is_making = False
        try:
            configuration, planner, plan_time = making.result()
        except ConfigurationError as error:
            # What the plugins now named bring can be set, and so be mended.
            self._table.declare(error.parameters)
            raise
        entities = self._connect(configuration)
        self._release()
        self._entities = entities
        self._table.use(configuration)
        self._planner = planner
        names = configuration.dynamics.state_names
        self._is_planar = "x" in names and "y" in names
        self._received = 0
        self._dropped.clear()
        execution = planner.execution
        if execution.reason:
            self.get_logger().warning(f"planning runs as {execution.name}: {execution.reason}")
        period = 1.0 / configuration.values["control_rate"]
        self.get_logger().info(
            f"ready: a plan takes {1e3 * plan_time:.2f} ms of the {1e3 * period:g} ms period "
            f"({execution.name} on {configuration.device})"
        )

    @staticmethod
    def _make_planner(
        values: dict, source: str, leftover: Collection[str]
    ) -> tuple[Configuration, Planner, float]:
        """Return configuration, planner and the time of a warm plan, s; on the planner's thread."""
        torch.set_num_threads(1)
        configuration = configure(values, source, leftover)
        planner = configuration.planner()
        start = np.zeros(len(configuration.dynamics.state_names))
        times = []
        for _ in range(WARM_UP_PLANS):
            began = time.perf_counter()
            planner.plan(start, 0.0)
            times.append(time.perf_counter() - began)
        planner.reset()
        return configuration, planner, min(times)

    def _connect(self, configuration: Configuration) -> list[tuple[Callable, object]]:
        """Make the topics of a configuration; return how to destroy each."""
        values = configuration.values
        read = state_reader(values["state.type"], configuration.fields("state"))
        write = command_writer(values["command.type"], configuration.fields("command"))
        made = []
        try:
            for kind, topic in (
                (MESSAGES[values["command.type"]], values["command.topic"]),
                (Float64MultiArray, "~/statistics"),
                (Path, "~/path"),
            ):
                made.append((self.destroy_publisher, self.create_publisher(kind, topic, 1)))
            # Best effort takes what reliable and best-effort publishers send; the newest matters.
            newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
            subscription = self.create_subscription(
                MESSAGES[values["state.type"]], values["state.topic"], self._on_state, newest
            )
            made.append((self.destroy_subscription, subscription))
        except Exception as error:
            for destroy, entity in made:
                destroy(entity)
            raise ConfigurationError(f"a topic cannot be made: {error}") from error
        self._command_publisher, self._statistics_publisher, self._path_publisher = (
            entity for _, entity in made[:3]
        )
        self._read, self._write = read, write
        return made

    def _release(self) -> None:
        for destroy, entity in self._entities:
            destroy(entity)
        self._entities = []
        self._planner = self._loop = self._state = None
        self._table.use(None)

    def _stop_control(self) -> None:
        """End the control loop and send the safe command after its last one."""
        self._table.active = False
        if self._control is None:
            return
        self._stop.set()
        self._control.result()
        self._control = None
        self._send_safe()
        # A subscriber that does not answer must not keep the node.
        self._command_publisher.wait_for_all_acked(ACKNOWLEDGE_TIMEOUT)
        gc.unfreeze()

    # The executor's thread

    def _on_state(self, message) -> None:
        arrived = time.monotonic()
        self._received += 1
        try:
            state = self._read(message)
        except MessageError as error:
            if str(error) not in self._dropped:
                self.get_logger().warning(f"state message dropped: {error}")
            self._dropped[str(error)] += 1
            return
        stamp = stamp_of(message)
        age = 0.0 if stamp is None else self.get_clock().now().nanoseconds * 1e-9 - stamp
        self._state = StateSample(state, arrived - max(0.0, age))

    def _on_change(self, configuration: Configuration) -> None:
        if self._loop is not None:
            self._loop.change(configuration)

    def _publish_diagnostics(self) -> None:
        _, lifecycle = self._state_machine.current_state
        execution = self._planner.execution if self._planner else None
        status = diagnostics.diagnostic_status(
            f"{self.get_name()}: control",
            self._loop if self._table.active else None,
            lifecycle,
            f"{execution.name} {execution.reason}".strip() if execution else "none",
            self._received,
            self._dropped,
        )
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics.diagnostics_message(status, stamp))

    # The planner's thread

    def _run(self, loop: ControlLoop) -> None:
        try:
            loop.run(self._stop)
        except Exception as error:
            loop.problem = f"the control loop ended: {type(error).__name__}: {error}"
            self.get_logger().fatal(f"the control loop ended:\n{traceback.format_exc()}")
            self._send_safe()

    def _send(self, action: np.ndarray) -> None:
        frame = self._table.configuration.values["frame_id"]
        stamp = self.get_clock().now().to_msg()
        self._command_publisher.publish(self._write(action, stamp, frame))

    def _send_safe(self) -> None:
        self._send(np.array(self._table.configuration.action("safe")))

    def _report(self, tick: Tick) -> None:
        """Tell about a tick, after its command is out."""
        values = self._table.configuration.values
        if tick.status != self._status and tick.published >= self._log_due:
            self._log_due = tick.published + LOG_INTERVAL
            log = self.get_logger()
            if tick.status == FRESH:
                log.info("planning again")
            else:
                log.warning(f"sending the safe command: {tick.status} {tick.reason}".rstrip())
            self._status = tick.status
        if values["publish_statistics"]:
            diagnostics.fill_statistics(self._statistics_message, tick, self._loop.missing)
            self._statistics_publisher.publish(self._statistics_message)
        rate = values["path_rate"]
        if self._is_planar and rate > 0.0 and tick.plan and tick.published >= self._path_due:
            self._path_due = tick.published + 1.0 / rate
            if self._path_publisher.get_subscription_count():
                states = self._planner.predict(tick.plan, tick.state)
                names = self._planner.dynamics.state_names
                stamp = self.get_clock().now().to_msg()
                frame = values["frame_id"]
                self._path_publisher.publish(diagnostics.path_message(states, names, stamp, frame))
