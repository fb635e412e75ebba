"""The lifecycle node: messages in, messages out, and who does what when."""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import numpy as np
import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy

from cem_planner_ros.configuration import NODE_NAME, Configuration, cpu_set
from cem_planner_ros.control.commander import MAX_GAP
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.realtime import process_settings, thread_settings
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.ros import diagnostics
from cem_planner_ros.ros.making import Made, fewer_samples, make_planner
from cem_planner_ros.ros.messages import MESSAGES, command_writer, state_reader
from cem_planner_ros.ros.operator import Operator
from cem_planner_ros.ros.parameters import NodeParameters
from cem_planner_ros.ros.reports import Reports
from cem_planner_ros.ros.state_input import StateInput
from cem_planner_ros.ros.surroundings_input import SurroundingsInput

ACKNOWLEDGE_TIMEOUT = Duration(seconds=0.5)

END_TIMEOUT = 3.0
"""s that the planner's thread may take to end its last period."""

STILL_MAKING = 10.0
"""s between two lines that say that making a planner goes on."""

STUCK = 5.0
"""s after which a robot that stands, and should not, says so."""

LOOK_AFTER = 0.1
"""s between two looks at whether a planner made in the background is ready, or one is needed."""


def _guarded(on_exception: TransitionCallbackReturn) -> Callable:
    """
    Make a transition that raises say so and return `on_exception`; rclpy would swallow it.

    FAILURE goes back to where the transition began, ERROR through `on_error` to unconfigured.
    """

    def decorate(transition: Callable) -> Callable:
        @functools.wraps(transition)
        def guarded(self, state: LifecycleState) -> TransitionCallbackReturn:
            try:
                return transition(self, state)
            except ConfigurationError as error:
                self.get_logger().error(f"not {transition.__name__.removeprefix('on_')}d:\n{error}")
            except Exception:
                self.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            return on_exception

        return guarded

    return decorate


class PlannerNode(LifecycleNode):
    """
    Plans from the state messages and publishes commands while it is active.

    The executor's thread serves ROS; one thread of its own makes the planner, warms it up and runs
    the control loop, so that a single thread uses PyTorch; the loop's watchdog is another, which
    only sends. Between them are the newest state and the newest configuration, each replaced whole.
    Only with `allow_rebuild` one more thread makes the next planner beside the one that controls.

    Args:
        interrupted: asked during a long configure whether to give up.
        **options: those of rclpy's Node.
    """

    def __init__(self, *, interrupted: Callable[[], bool] = lambda: False, **options):
        super().__init__(NODE_NAME, **options)
        self._interrupted = interrupted
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner")
        self._background = ThreadPoolExecutor(1, thread_name_prefix="planner_rebuild")
        self._made: Made | None = None
        self._loop: ControlLoop | None = None
        self._control: Future | None = None
        self._rebuild: Future | None = None
        self._rebuild_problem = ""
        self._is_making = False
        self._stop = threading.Event()
        self._settings = contextlib.ExitStack()
        self._input: StateInput | None = None
        self._reports: Reports | None = None
        self._surroundings: SurroundingsInput | None = None
        self._clock_jumps = 0
        self._looked_at = math.nan
        self._loop_clock: Callable[[], float] = time.monotonic
        self._entities: list[Callable[[], object]] = []
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self.create_timer(LOOK_AFTER, self._look_after, clock=steady)
        self._operator = Operator(self, self._send_safe)
        gap = Duration(seconds=MAX_GAP)
        self._jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=gap, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_clock_jump,
        )
        self._table = NodeParameters(self, self._on_change, self._on_shape_change)

    def autostart(self, listen: Callable[[], None] = lambda: None) -> None:
        """
        Configure and activate, if the parameter `autostart` says so.

        `listen`, called in between, lets messages in: an emergency stop may be latched.
        """
        wanted = self.get_parameter("autostart").value
        if wanted and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            listen()
            self.trigger_activate()

    def close(self) -> None:
        """Send the safe command if the node controls, and end its threads."""
        self._jumps.unregister()
        self._stop_control()
        self._release()
        # A compiler that runs cannot be called off; `process` ends without waiting for it.
        self._thread.shutdown(wait=not self._is_making)
        self._background.shutdown(wait=False, cancel_futures=True)

    # Transitions

    @_guarded(TransitionCallbackReturn.FAILURE)
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the plugins, make the planner, compile it, warm it up, and only then say ready."""
        self.get_logger().info("configuring: loading plugins and compiling")
        self._build()
        return TransitionCallbackReturn.SUCCESS

    @_guarded(TransitionCallbackReturn.FAILURE)
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to control, with a new planner if its shape was changed meanwhile."""
        if self._operator.is_pressed:
            raise ConfigurationError("the emergency stop is pressed: release it, then activate")
        if self._table.needs_rebuild or self._table.waits_for:
            self._build()
        try:
            self._start_control()
            return super().on_activate(state)
        except Exception:
            self._stop_control()
            raise

    @_guarded(TransitionCallbackReturn.ERROR)
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop controlling and send the safe command."""
        self._stop_control()
        return super().on_deactivate(state)

    @_guarded(TransitionCallbackReturn.ERROR)
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give up the planner and the topics."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @_guarded(TransitionCallbackReturn.ERROR)
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop controlling, send the safe command, give everything up."""
        self._stop_control()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @_guarded(TransitionCallbackReturn.FAILURE)
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
        began = said = time.monotonic()
        making = self._thread.submit(make_planner, values, source, self._table.names)
        while not making.done():
            self._is_making = True
            if time.monotonic() > said + STILL_MAKING:
                said = time.monotonic()
                self.get_logger().info(
                    f"still configuring after {said - began:.0f} s: compiling, or a plugin that "
                    "does not return"
                )
            if self._interrupted():
                raise ConfigurationError("interrupted while configuring")
            time.sleep(0.02)
        self._is_making = False
        try:
            made = making.result()
        except ConfigurationError as error:
            # What the plugins now named bring can be set, and so be mended.
            self._table.declare(error.parameters)
            raise
        entities = self._connect(made.configuration)
        self._release()
        self._entities = entities
        self._table.use(made.configuration)
        self._use(made)
        for warning in made.warnings:
            self._warn(warning)

    def _use(self, made: Made) -> None:
        self._made = made
        execution = made.planner.execution
        if execution.reason:
            self.get_logger().warning(f"planning runs as {execution.name}: {execution.reason}")
        period = 1.0 / made.configuration.values["control_rate"]
        self.get_logger().info(
            f"ready: a plan takes {1e3 * made.plan_time:.2f} ms of the {1e3 * period:g} ms period "
            f"({execution.name} on {made.configuration.device})"
        )

    def _connect(self, configuration: Configuration) -> list[Callable[[], object]]:
        """Make the topics of a configuration; return how to give each up."""
        values = configuration.values
        clock = self._ros_time if self.get_parameter("use_sim_time").value else time.monotonic
        state_input = StateInput(
            state_reader(values["state.type"], configuration.fields("state")),
            clock,
            self._ros_time,
            self._warn,
            # Where goal and costmap are in a frame, so is the robot.
            frame=values["frame_id"] if configuration.inputs else "",
        )
        undo: list[Callable[[], object]] = []
        try:
            command = self.create_publisher(
                MESSAGES[values["command.type"]], values["command.topic"], 1
            )
            undo.append(functools.partial(self.destroy_publisher, command))
            # A node that no executor knows: its topic is read by the control loop, once a period.
            # Called back for each of 500 states a second, Python would have little time to plan.
            reader = rclpy.create_node(
                f"_{self.get_name()}_state",
                context=self.context,
                namespace=self.get_namespace(),
                use_global_arguments=False,
                start_parameter_services=False,
                enable_rosout=False,
            )
            undo.append(reader.destroy_node)
            # Best effort takes what reliable and best-effort publishers send; the newest matters.
            subscription = reader.create_subscription(
                MESSAGES[values["state.type"]],
                self.resolve_topic_name(values["state.topic"]),
                lambda message: None,
                QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
            )
            drives = bool(configuration.inputs)
            reports = Reports(self, lambda: self._table.configuration, drives)
            undo.append(reports.destroy)
            surroundings = None
            if drives:
                surroundings = SurroundingsInput(
                    self, configuration, clock, self._ros_time, self._on_surroundings
                )
                undo.append(surroundings.destroy)
        except Exception as error:
            for give_up in undo:
                give_up()
            raise ConfigurationError(f"a topic cannot be made: {error}") from error
        self._loop_clock, self._input, self._reports = clock, state_input, reports
        self._surroundings = surroundings
        self._look = functools.partial(state_input.look, subscription)
        self._command_publisher = command
        self._write = command_writer(values["command.type"], configuration.fields("command"))
        return undo

    def _release(self) -> None:
        for give_up in self._entities:
            give_up()
        self._entities = []
        self._made = self._loop = None
        self._table.use(None)

    def _start_control(self) -> None:
        configuration, planner = self._table.configuration, self._made.planner
        # Live values may have changed since the planner was made; a plugin may refuse one.
        self._thread.submit(configuration.tune, planner).result()
        self._input.newest = None
        self._reports.forget()
        self._rebuild_problem = ""
        reports = self._reports
        self._loop = loop = ControlLoop(
            planner,
            configuration,
            self._look,
            self._send,
            lambda tick: reports.tell(tick, loop.commander),
            lambda *shown: reports.show(*shown, loop.planner, loop.commander.driving),
            clock=self._loop_clock,
            iteration_time=self._made.iteration_time,
            warn=self._warn,
        )
        if self._surroundings is not None:
            loop.commander.driving.surroundings = self._surroundings.begin()
        self._operator.begin(self._loop)
        self._stop = threading.Event()  # One that hangs keeps its own.
        values = configuration.values
        self._settings.enter_context(
            process_settings(
                lock_memory=values["realtime.lock_memory"],
                freeze_garbage=values["realtime.freeze_garbage"],
                switch_interval=values["realtime.switch_interval"],
                warn=self._warn,
            )
        )
        self._table.active = True
        self._control = self._thread.submit(self._run, loop, self._stop, values)
        self.get_logger().info(
            f"active: {configuration.values['control_rate']:g} commands per second on "
            f"'{self._command_publisher.topic_name}'"
        )

    def _stop_control(self) -> None:
        """End the control loop and send the safe command after its last one."""
        self._table.active = False
        self._operator.end()
        self._rebuild = None
        if self._surroundings is not None:
            self._surroundings.end()
        if self._control is None:
            return
        self._stop.set()
        self._loop.commander.close()
        self._send_safe()
        self._await_control()
        self._control = None  # Not before: on_error tries again what failed.
        self._settings.close()
        # A subscriber that does not answer must not keep the node.
        self._command_publisher.wait_for_all_acked(ACKNOWLEDGE_TIMEOUT)
        # What was left while the collector was off, now that there is time.
        gc.collect()

    def _await_control(self) -> None:
        """Wait for the planner's thread; one that a plugin does not let go is left behind."""
        try:
            self._control.result(END_TIMEOUT)
        except FutureTimeoutError:
            self.get_logger().error(
                f"the model or a cost did not return within {END_TIMEOUT:g} s: its thread is left "
                "behind, and a new planner is made when the node is activated"
            )
            self._thread.shutdown(wait=False)
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner")
            self._table.needs_rebuild = True

    # The executor's thread

    def _ros_time(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _on_change(self, configuration: Configuration) -> None:
        if self._loop is not None:
            self._loop.change(configuration)

    def _on_surroundings(self, surroundings: Surroundings) -> None:
        if self._loop is not None:
            self._loop.commander.driving.surroundings = surroundings

    def _on_clock_jump(self, jump) -> None:
        if self._loop_clock is time.monotonic or self._input is None:
            return
        self._clock_jumps += 1
        self._input.newest = None
        self._reports.forget()
        if self._surroundings is not None:
            self._surroundings.forget()
        if self._loop is not None:
            self._loop.forget(is_jump=True)
        self.get_logger().warning(
            f"the clock was set by {jump.delta.nanoseconds * 1e-9:+.3f} s: planning begins anew"
        )

    def _on_shape_change(self) -> None:
        if self._rebuild is None:
            self._rebuild_problem = ""
            self._rebuilt = self._table.current()
            self._rebuild = self._background.submit(make_planner, self._rebuilt, before=self._made)

    def _look_after(self) -> None:
        """Swap a planner that is ready in, and ask for one where the device failed."""
        if self._rebuild is not None and self._rebuild.done():
            rebuild, self._rebuild = self._rebuild, None
            try:
                made = rebuild.result()
                if self._table.differs_from(made.configuration):
                    self._on_shape_change()
                else:
                    self._check_fits(made)
                    self._swap(made)
            except Exception as error:  # A model may raise anything; the old planner goes on.
                self._rebuild_problem = f"no new planner, the old one goes on: {error}"
                self.get_logger().error(self._rebuild_problem)
                if self._table.current() != self._rebuilt:  # Changed again meanwhile.
                    self._on_shape_change()
        if self._rebuild is not None or not self._table.active:
            return
        loop, values = self._loop, self._table.configuration.values
        if loop.needs_another_device and values["allow_cpu_fallback"]:
            samples, reason = fewer_samples(loop.planner), loop.commander.tick.reason
            self.get_logger().error(f"{reason}: going on with {samples} samples on the CPU")
            self._table.force({"planner.device": "cpu", "planner.samples": samples})
            self._on_shape_change()

    def _check_fits(self, made: Made) -> None:
        """Raise ConfigurationError if a planner is too slow to control, and the present one not."""
        values = made.configuration.values
        budget = values["budget_fraction"] / values["control_rate"]
        is_too_slow = made.iteration_time > budget >= self._made.iteration_time
        if is_too_slow and not self._loop.needs_another_device:
            raise ConfigurationError(
                f"one iteration takes {1e3 * made.iteration_time:.0f} ms, of a period planning may "
                f"take {1e3 * budget:.0f} ms"
            )

    def _swap(self, made: Made) -> None:
        configuration = self._table.swap(made.configuration)
        self._loop.change(configuration, made.planner, made.iteration_time)
        self._use(made)
        if not gc.isenabled():
            # What making it left behind is much to look through; that is done when it deactivates.
            gc.freeze()

    def _publish_diagnostics(self) -> None:
        _, lifecycle = self._state_machine.current_state
        status = diagnostics.diagnostic_status(
            f"{self.get_name()}: control",
            self._loop if self._table.active else None,
            lifecycle,
            self._facts(),
            self._warnings(),
        )
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics.diagnostics_message(status, stamp))
        if not gc.isenabled() and self._rebuild is None:
            # What came into being since the last time; the longer this takes, the longer the
            # planner waits for the interpreter.
            gc.collect(0)

    def _facts(self) -> dict[str, object]:
        if self._made is None:
            return {"execution": "none"}
        execution, device = self._made.planner.execution, self._made.configuration.device
        std, elites = self._reports.spread
        facts = {
            "execution": f"{execution.name} {execution.reason}".strip(),
            "device": str(device),
            "search std (%)": f"{100 * std:.2f}",
            "elite spread (%)": f"{100 * elites:.2f}",
            "states read": self._input.received,
            "clock jumps": self._clock_jumps,
        }
        if device.type == "cuda":
            facts["GPU memory (MB)"] = f"{torch.cuda.memory_allocated(device) / 1e6:.1f}"
        if self._surroundings is not None:
            facts |= self._surroundings.dropped
        facts |= {f"states dropped: {c}": n for c, n in self._input.dropped.items()}
        return facts | {f"states with {c}": n for c, n in self._input.disbelieved.items()}

    def _warnings(self) -> list[str]:
        warnings = [self._rebuild_problem] if self._rebuild_problem else []
        if self._table.waits_for:
            warnings.append(f"values that wait for others: {self._table.waits_for}")
        if self._rebuild is not None:
            warnings.append("a new planner is being made")
        if self._surroundings is not None:
            warnings += self._surroundings.problems.values()
            standing = self._loop.commander.driving.standing if self._table.active else 0.0
            if standing > STUCK:
                warnings.append(f"standing for {standing:.0f} s: no way found, or none allowed")
        if self._loop is not None and self._loop_clock is not time.monotonic:
            now = self._loop_clock()
            if now == self._looked_at and self._table.active:
                warnings.append("the clock stands still: only the safe command is sent")
                self._send_safe()  # The loop waits for the clock, and the plant may not.
            self._looked_at = now
        if self._entities:
            topic = self._command_publisher.topic_name
            others = self.count_publishers(topic) - 1
            if others > 0:
                warnings.append(f"{others} other publishers on the command topic '{topic}'")
        return warnings

    # The planner's thread

    def _run(self, loop: ControlLoop, stop: threading.Event, values: Mapping[str, Any]) -> None:
        try:
            with thread_settings(
                priority=values["realtime.priority"],
                cpus=cpu_set(values["realtime.cpus"]),
                warn=self._warn,
            ):
                loop.run(stop)
        except Exception as error:
            loop.problem = f"the control loop ended: {type(error).__name__}: {error}"
            self.get_logger().fatal(f"the control loop ended:\n{traceback.format_exc()}")
            if not loop.commander.is_closed:
                self._send_safe()

    def _send(self, action: np.ndarray) -> None:
        frame = self._table.configuration.values["frame_id"]
        stamp = self.get_clock().now().to_msg()
        self._command_publisher.publish(self._write(action, stamp, frame))

    def _send_safe(self) -> None:
        self._send(np.array(self._table.configuration.action("safe")))

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text)
