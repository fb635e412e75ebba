# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node of the planner."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from cem_planner_ros.configuration import NODE_NAME, Configuration
from cem_planner_ros.control.commander import MAX_GAP
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.ros import diagnostics, supervision
from cem_planner_ros.ros.node_parameters import NodeParameters
from cem_planner_ros.ros.operator import Operator
from cem_planner_ros.ros.planner_swap import PlannerSwap
from cem_planner_ros.ros.planner_thread import PlannerThread
from cem_planner_ros.ros.ready_planner import ReadyPlanner, make_planner
from cem_planner_ros.ros.topics import Topics
from cem_planner_ros.ros.transitions import answer_invalid_requests, guarded_by

STUCK = 5.0
"""Time after which a robot that stands although it should drive is reported, s."""

LOOK_AFTER = 0.1
"""Time between two looks at the planner in the background, s."""


class PlannerNode(LifecycleNode):
    """
    Plans from state messages, and publishes commands while it is active.

    The executor thread serves ROS. The planner thread makes the planner, warms it up and runs the
    control loop; only this thread uses PyTorch. The watchdog thread only sends commands. The
    threads share the newest state and the newest configuration, which are always replaced as a
    whole. With `allow_rebuild`, one more thread makes the next planner while the first one
    controls.

    Args:
        interrupted: called during a long configure; returns whether to give up.
        **options: options of rclpy's Node.
    """

    def __init__(self, *, interrupted: Callable[[], bool] = lambda: False, **options):
        super().__init__(NODE_NAME, **options)
        answer_invalid_requests(self)
        self._thread = PlannerThread(self.get_logger(), interrupted)
        self.ready: ReadyPlanner | None = None
        """The planner that controls or will control; None while the node is not configured."""
        self.loop: ControlLoop | None = None
        """The present or last control loop; None while the node is not configured."""
        self.topics: Topics | None = None
        """None while the node is not configured."""
        self._clock_jumps = 0
        self._had_begun = False
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self.create_timer(LOOK_AFTER, self._look_after, clock=steady)
        self.create_timer(supervision.LOOK, self._supervise, clock=steady)
        self._operator = Operator(self)
        self._supervision = supervision.Supervision(self)
        gap = Duration(seconds=MAX_GAP)
        self._jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=gap, min_backward=Duration(nanoseconds=-1)),
            pre_callback=self._before_clock_jump,
            post_callback=self._on_clock_jump,
        )
        self._table = NodeParameters(self, self._on_change, lambda: self._swap.begin(self.ready))
        self._swap = PlannerSwap(self._table, self.get_logger(), self._take_over)

    def autostart(self, listen: Callable[[], None] = lambda: None) -> None:
        """
        Configure and activate if the parameter `autostart` is true.

        `listen` is called in between and receives messages, because an emergency stop may be
        latched.
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
        self._thread.close()  # `process` does not wait for a running compiler.
        self._swap.close()

    def destroy_node(self) -> None:
        """Destroy the node at once; with its lifecycle rclpy leaves it to the garbage collector."""
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    # Transitions

    @guarded_by(TransitionCallbackReturn.FAILURE)
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the plugins; make, compile and warm up the planner; then report that it is ready."""
        self.get_logger().info("configuring: loading plugins and compiling")
        self._build()
        return TransitionCallbackReturn.SUCCESS

    @guarded_by(TransitionCallbackReturn.FAILURE)
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start control, with a new planner if parameters changed that need one."""
        self._operator.listen()
        if self._operator.is_pressed:
            raise ConfigurationError("the emergency stop is pressed: release it, then activate")
        is_simulated = self.get_parameter("use_sim_time").value
        has_changed = self._table.needs_rebuild or self._table.waits_for
        if has_changed or is_simulated != self.topics.is_simulated:
            self._build()
        try:
            self._start_control()
            return super().on_activate(state)
        except Exception:
            self._stop_control()
            raise

    @guarded_by(TransitionCallbackReturn.ERROR)
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop controlling and send the safe command."""
        self._stop_control()
        return super().on_deactivate(state)

    @guarded_by(TransitionCallbackReturn.ERROR)
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy the planner and the topics."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @guarded_by(TransitionCallbackReturn.ERROR)
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop controlling, send the safe command, destroy everything."""
        self._stop_control()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @guarded_by(TransitionCallbackReturn.FAILURE)
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go to unconfigured, so that the node can be configured again."""
        self._stop_control()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    # Making and giving up

    def _build(self) -> None:
        """
        Replace planner and topics by new ones, made from the parameters.

        Raises ConfigurationError if they cannot be made; the old ones then stay.
        """
        values = self._table.values()
        source = self._table.source(values)
        try:
            made = self._thread.call(make_planner, values, source, self._table.names)
        except ConfigurationError as error:
            # Declare the parameters of the named plugins, so that they can be set and corrected.
            self._table.declare(error.parameters)
            raise
        topics = Topics(
            self,
            self._table,
            made.configuration,
            self._on_surroundings,
            commander=lambda: self.loop and self.loop.commander,
            on_speed_limit=lambda: self._on_change(self._table.configuration),
        )
        self._release()
        self.topics = topics
        self._table.use(made.configuration)
        self._use(made)
        for warning in self._thread.call(made.configuration.warnings, self.resolve_topic_name):
            self.get_logger().warning(warning)

    def _use(self, made: ReadyPlanner) -> None:
        self.ready = made
        self.topics.reports.use(made.planner)
        execution = made.planner.execution
        if execution.reason:
            self.get_logger().warning(f"planning runs as {execution.name}: {execution.reason}")
        period = 1.0 / made.configuration.values["control_rate"]
        self.get_logger().info(
            f"ready: a plan takes {1e3 * made.plan_time:.2f} ms of the {1e3 * period:g} ms period "
            f"({execution.name} on {made.configuration.device}"
            f"{': ' if made.device_reason else ''}{made.device_reason})"
        )

    def _release(self) -> None:
        if self.topics is not None:
            self.topics.destroy()
        self.topics = self.ready = self.loop = None
        self._table.use(None)

    def _start_control(self) -> None:
        topics, ready = self.topics, self.ready
        configuration = topics.slowed(self._table.configuration)
        # Live values may have changed since the planner was made; a plugin may refuse one.
        self._thread.call(configuration.tune, ready.planner)
        topics.forget()
        self._supervision.begin()
        self._swap.problem = ""
        reports = topics.reports
        self.loop = loop = ControlLoop(
            ready.planner,
            configuration,
            topics.latest_state,
            topics.send,
            lambda tick: reports.publish_tick(tick, loop.commander),
            lambda *shown: reports.publish_plan(*shown, loop.planner, loop.commander.stop_guard),
            clock=topics.clock,
            stamp_clock=topics.stamp_clock,
            iteration_time=ready.iteration_time,
            warn=self.get_logger().warning,
        )
        topics.begin()
        self._operator.begin(loop)
        self._table.active = True
        self._thread.begin(loop, configuration.values, self._send_safe)
        rate = 1.0 / loop.commander.period
        self.get_logger().info(f"active: {rate:g} commands per second on '{topics.command_topic}'")

    def _stop_control(self) -> None:
        """End the control loop, then send the safe command."""
        self._table.active = False
        self._operator.end()
        self._swap.abandon()
        if self.topics is not None:
            self.topics.end()
        if not self._thread.is_controlling:
            return
        self._thread.stop()
        self.loop.commander.close()
        self._send_safe()
        self._table.needs_rebuild |= not self._thread.join()
        self.topics.wait_for_acknowledgement()
        # Collect garbage of the time while the collector was off.
        gc.collect()

    # The executor's thread

    def _on_change(self, configuration: Configuration) -> None:
        if self.loop is not None:
            self.loop.change(self.topics.slowed(configuration))
        self.topics.use(configuration)

    def _on_surroundings(self, surroundings: Surroundings) -> None:
        loop = self.loop  # The costmap thread calls this too.
        if loop is not None:
            loop.commander.surroundings = surroundings

    def _before_clock_jump(self) -> None:
        self._had_begun = self._table.active and self.loop.has_begun

    def _on_clock_jump(self, jump) -> None:
        if self.topics is None or not self.topics.is_simulated:
            return
        self.topics.forget(has_jumped=True)
        if not self._had_begun:  # The first reading, or the first since the executor was busy.
            return
        self._clock_jumps += 1
        self.loop.forget(is_jump=True)
        self.get_logger().warning(
            f"the clock was set by {jump.delta.nanoseconds * 1e-9:+.3f} s: planning starts again"
        )

    def _look_after(self) -> None:
        self._swap.look(self.ready, self.loop)

    def _take_over(self, made: ReadyPlanner) -> None:
        """Use another planner from the next period on."""
        configuration = self.topics.slowed(self._table.swap(made.configuration))
        self.loop.change(configuration, made.planner, made.iteration_time)
        self._use(made)
        if not gc.isenabled():
            # Making the planner leaves many objects; they are collected after deactivation.
            gc.freeze()

    def _supervise(self) -> None:
        if self._table.active:
            values = self._table.configuration.values
            self._supervision.look(self.topics, self.loop, values)
            if self._supervision.clock_stands:  # The loop waits for it, the plant may not wait.
                self.loop.commander.stop()

    def _publish_diagnostics(self) -> None:
        _, lifecycle = self._state_machine.current_state
        status = diagnostics.diagnostic_status(
            self.get_fully_qualified_name(),
            self.loop if self._table.active else None,
            lifecycle,
            self._facts(),
            self._warnings(),
        )
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics.diagnostics_message(status, stamp))
        if not gc.isenabled() and not self._swap.is_making:
            # Collect only objects since the last time; the planner waits for the interpreter
            # meanwhile.
            gc.collect(0)

    def _facts(self) -> dict[str, object]:
        if self.ready is None:
            return {"execution": "none", **self._operator.facts()}
        execution, device = self.ready.planner.execution, self.ready.configuration.device
        std, elites = self.topics.reports.spread
        facts = {
            "execution": ": ".join(filter(None, (execution.name, execution.reason))),
            "device": str(device),
            "search std (%)": f"{100 * std:.2f}",
            "elite spread (%)": f"{100 * elites:.2f}",
            "clock jumps": self._clock_jumps,
        }
        if device.type == "cuda":
            facts["GPU memory (MB)"] = f"{torch.cuda.memory_allocated(device) / 1e6:.1f}"
        return facts | self._operator.facts() | self.topics.facts()

    def _warnings(self) -> list[str]:
        warnings = [self._swap.problem] if self._swap.problem else []
        if self._table.waits_for:
            warnings.append(f"values that wait until others are set: {self._table.waits_for}")
        if self._swap.is_making:
            warnings.append("a new planner is being made")
        if self.topics is None:
            return warnings
        warnings += self.topics.warnings()
        if not self._table.active:
            return warnings
        checker = self.loop.commander.goal_checker
        if checker is not None and checker.standing > STUCK:
            warnings.append(
                f"standing for {checker.standing:.0f} s: no way was found, or none is allowed"
            )
        warnings += [text for text in self._supervision.warnings if text not in warnings]
        return warnings

    def _send_safe(self) -> None:
        action = self.loop.commander.stop_action()
        if action is not None:
            self.topics.send(action, is_stop=True)
