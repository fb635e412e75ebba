# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Reports about each period, after its command was sent."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

import numpy as np
from nav_msgs.msg import Path
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from std_msgs.msg import Bool, Float64MultiArray
from visualization_msgs.msg import MarkerArray

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.control.commander import Commander
from cem_planner_ros.control.control_settings import KEEP_LAST, POLICY, RAMP_TO_SAFE
from cem_planner_ros.control.ladder import FALLBACK, FRESH, PREVIOUS_PLAN, STOPPED
from cem_planner_ros.control.tick import RESTING, Tick
from cem_planner_ros.navigation.stop_guard import StopGuard
from cem_planner_ros.planning.execution import Execution
from cem_planner_ros.planning.plan import Candidates, Plan, elites_among
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.readers import frame_name
from cem_planner_ros.ros import diagnostics
from cem_planner_ros.ros.markers import BEST, Drawing, Line, braking, fan, in_space, moving
from cem_planner_ros.ros.messages import LATCHED

# A node logs the reasons itself. Where nobody handles what the planner logs for those who use it
# without ROS, Python would write it to the console too.
logging.getLogger("cem_planner_ros").addHandler(logging.NullHandler())

LOG_INTERVAL = 1.0
"""Time between two log lines about the same status, s; it may change with every command."""

SPREAD_RATE = 2.0
"""Rate of measuring the width of the search, Hz."""

TERMS_RATE = 0.5
"""Rate of computing the cost terms of the plan, Hz."""

MOST_CANDIDATES = 24
"""Largest number of candidates in `~/candidates`, which takes time from planning."""

CANDIDATES_SHARE = 0.005
"""Largest share of the time that `~/candidates` takes from planning; they come less often then."""

WORDS = {
    FRESH: "planning again",
    PREVIOUS_PLAN: "using the previous plan",
    RAMP_TO_SAFE: "ramping to the safe action",
    KEEP_LAST: "repeating the last command",
    POLICY: "following the policy while the state is recent",
}
"""What each status means for the command; for `fallback` this depends on the parameter."""


class Reports:
    """
    Logs changes of the status; publishes what plans and periods are like.

    The topics are `~/statistics`, `~/plan`, `~/candidates`, `~/path` and `~/markers`.

    For a mobile robot it also publishes `~/goal_reached` and `~/collision_imminent` when they
    change. These topics are latched.
    """

    def __init__(
        self, node: LifecycleNode, configuration: Callable[[], Configuration], drives: bool
    ):
        self._node = node
        self._configuration = configuration
        self._statistics = node.create_publisher(Float64MultiArray, "~/statistics", 1)
        self._plan = node.create_publisher(Float64MultiArray, "~/plan", 1)
        self._candidates = node.create_publisher(Float64MultiArray, "~/candidates", 1)
        self._path = node.create_publisher(Path, "~/path", 1)
        self._markers = node.create_publisher(MarkerArray, "~/markers", 1)
        self._drawing: Drawing | None = None
        self._facts: list[tuple[Publisher, Callable[[Commander], bool]]] = []
        """What a robot that drives publishes when it changes, each with how it is found out."""
        if drives:
            reached = node.create_publisher(Bool, "~/goal_reached", LATCHED)
            imminent = node.create_publisher(Bool, "~/collision_imminent", LATCHED)
            self._facts = [
                (reached, lambda commander: commander.is_goal_reached),
                (imminent, lambda commander: commander.is_collision_imminent),
            ]
        self._said: dict[Publisher, bool] = {}
        self._status = STOPPED
        self._used: tuple[Planner | None, Execution | None] = (None, None)
        self._log_due: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._shown = -math.inf
        self._statistics_message: Float64MultiArray | None = None
        self.cost_terms: dict[str, float] = {}
        """Cost terms of a recent plan by name, with `publish_statistics`; replaced as a whole."""
        self.spread = (math.nan, math.nan)
        """Recent result of `Planner.spread`."""

    def destroy(self) -> None:
        """Destroy the publishers."""
        facts = (publisher for publisher, _ in self._facts)
        plans = (self._plan, self._candidates, self._path, self._markers)
        for publisher in (self._statistics, *plans, *facts):
            self._node.destroy_publisher(publisher)

    def forget(self) -> None:
        """Start again: the clock was set, or the node was activated."""
        self._log_due = {}
        self._said = {}
        self._due = {}
        self.cost_terms = {}
        self._status = STOPPED

    def publish_tick(self, tick: Tick, commander: Commander) -> None:
        """Report a tick. The thread that sent the command calls it, one at a time."""
        values = self._configuration().values
        if tick.status != self._status:
            self._status = tick.status
            if tick.published >= self._log_due.get(tick.status, -math.inf):
                self._log_due[tick.status] = tick.published + LOG_INTERVAL
                self._log(tick, values["fallback"])
        for publisher, find_out in self._facts:
            now = find_out(commander)
            if self._said.get(publisher) != now:
                self._said[publisher] = now
                publisher.publish(Bool(data=now))
        if values["publish_statistics"]:
            costs = tuple(self._configuration().costs)
            if self._statistics_message is None or costs != tuple(self.cost_terms):
                self.cost_terms = dict.fromkeys(costs, math.nan)
                self._statistics_message = diagnostics.statistics_message(costs)
            message = self._statistics_message
            diagnostics.fill_statistics(
                message, tick, commander.missing, commander.period, self.cost_terms.values()
            )
            self._statistics.publish(message)

    def publish_plan(
        self,
        plan: Plan,
        state: np.ndarray,
        applied: np.ndarray,
        planner: Planner,
        guard: StopGuard | None,
    ) -> None:
        """
        Publish a plan at the configured rates. The planner thread calls it.

        `state` (nx,) and `applied` (nu,), what the actuators apply, are those at its beginning.
        """
        self._tell_execution(planner)
        values = self._configuration().values
        now = plan.edges[0]
        if now < self._shown:  # The clock was set back.
            self._due = {}
        self._shown = now
        if self._is_due("spread", SPREAD_RATE, now):
            self.spread = planner.spread()
        names = planner.dynamics.state_names
        is_planar = {"x", "y"} <= set(names)
        is_due = self._is_due("plan", values["plan_rate"], now)
        shows_path = is_due and is_planar and self._path.get_subscription_count()
        shows_plan = shows_path or (is_due and self._plan.get_subscription_count())
        shows_markers = (
            self._is_due("markers", values["marker_rate"], now)
            and is_planar
            and self._markers.get_subscription_count()
        )
        shows_candidates = is_due and self._candidates.get_subscription_count()
        if shows_candidates and now >= self._due.get("candidates", -math.inf):
            self._publish_candidates(planner, min(values["marker_count"], MOST_CANDIDATES), now)
        shows_terms = values["publish_statistics"] and self._is_due("terms", TERMS_RATE, now)
        if not (shows_plan or shows_markers or shows_terms):
            return
        states = planner.predict(plan, state, applied)
        frame = frame_name(values["frame_id"])
        if shows_terms:
            terms = planner.cost_terms(plan, states)
            self.cost_terms = dict(zip(self._configuration().costs, terms, strict=True))
        if shows_plan:
            actions = planner.dynamics.action_names
            self._plan.publish(diagnostics.plan_message(plan, states, names, actions))
        if shows_path:
            stamp = self._node.get_clock().now().to_msg()
            self._path.publish(diagnostics.path_message(states, names, stamp, frame))
        if shows_markers:
            lines = [Line("plan", 0.03, BEST, in_space(states, names))]
            lines += candidate_lines(planner, values["marker_count"])
            if guard is not None and guard.stopping is not None:
                ends = (guard.stopping[0], guard.stopping[-1])
                lines += braking(guard.stopping, [guard.footprint.at(*pose) for pose in ends])
            if guard is not None and guard.moving is not None:
                lines += moving(guard.moving)
            if self._drawing is None:
                self._drawing = Drawing(frame)
            self._markers.publish(self._drawing.draw(lines))

    def _publish_candidates(self, planner: Planner, count: int, now: float) -> None:
        """Publish candidates, and note when there is time for the next ones."""
        if not count:
            return
        began = time.perf_counter()
        found, elites = sampled(planner, count)
        names = planner.dynamics.state_names
        self._candidates.publish(diagnostics.candidates_message(found, elites, names))
        self._due["candidates"] = now + (time.perf_counter() - began) / CANDIDATES_SHARE

    def use(self, planner: Planner) -> None:
        """Log from now on when another execution than the present one runs a planner's search."""
        self._used = planner, planner.execution

    def _tell_execution(self, planner: Planner) -> None:
        used, execution = self._used
        if planner is used and planner.execution is not execution:
            self.use(planner)
            self._node.get_logger().warning(
                f"planning now runs as {planner.execution.name}, not as {execution.name}: "
                f"{planner.execution.reason}"
            )

    def _is_due(self, what: str, rate: float, now: float) -> bool:
        if not rate or now < self._due.get(what, -math.inf):
            return False
        self._due[what] = now + 1.0 / rate
        return True

    def _log(self, tick: Tick, fallback: str) -> None:
        words = WORDS.get(fallback if tick.status == FALLBACK else tick.status)
        what = f"{tick.status}: {words}" if words else tick.status
        why = ": ".join(filter(None, (tick.cause, tick.reason)))
        log = self._node.get_logger()
        if tick.status == FRESH:
            log.info(WORDS[FRESH])
        elif tick.cause in RESTING:
            log.info(f"{tick.status}: {why}")
        else:
            log.warning(f"{what} ({why})")


def candidate_lines(planner: Planner, count: int) -> list[Line]:
    """Return the lines of `count` candidates of the last iteration, coloured by cost."""
    if not count:
        return []
    (states, _, costs), elites = sampled(planner, count)
    points = in_space(states, planner.dynamics.state_names)
    return fan(np.moveaxis(points, -1, 0), costs, elites)


def sampled(planner: Planner, count: int) -> tuple[Candidates, int]:
    """Return at most `count` candidates of the last iteration, and how many are elites."""
    return planner.candidates(count), elites_among(count, planner.search.elites)
