# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Finds out, from outside the control loop, why an active node does not control."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from rclpy.lifecycle import LifecycleNode

from cem_planner_ros.control.ladder import FRESH, PREVIOUS_PLAN
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import (
    EMERGENCY_STOP,
    NO_GOAL,
    NO_STATE,
    PAUSED,
    RESTING,
    STALE_COSTMAP,
    STALE_MOVING_OBSTACLES,
    STALE_STATE,
    Tick,
)
from cem_planner_ros.ros import endpoints
from cem_planner_ros.ros.alerts import ERROR, INFO, Alert, Alerts
from cem_planner_ros.ros.state_topics import StateTopic
from cem_planner_ros.ros.state_watch import too_rare
from cem_planner_ros.ros.surroundings_input import SurroundingsInput
from cem_planner_ros.ros.topics import Topics

LOOK = 0.5
"""Time between two looks, s; a problem that two successive looks find is reported."""

POINT_CLOUD = "sensor_msgs/msg/PointCloud2"

MANY_INVALID = 0.1
"""Share of candidates with a NaN or infinite cost above which it is reported."""

STANDSTILL = 1.0
"""Time after which a simulated clock that does not change stands still, s."""


class Supervision:
    """
    Checks an active node regularly, in the executor thread, and logs problems.

    Args:
        node: the node that is checked.
    """

    def __init__(self, node: LifecycleNode):
        self._node = node
        self._alerts = Alerts(node.get_logger())
        self._found: set[str] = set()
        self._shown = (math.nan, math.nan)

    def begin(self) -> None:
        """The node is about to control."""
        self._alerts.forget()
        self._found = set()
        self._shown = (math.nan, math.nan)

    @property
    def warnings(self) -> list[str]:
        """The problems, for `/diagnostics`."""
        return [alert.text for alert in self._alerts.present if alert.level != INFO]

    @property
    def clock_stands(self) -> bool:
        """Whether a simulated clock stands still."""
        return any(alert.cause == "clock" for alert in self._alerts.present)

    def look(self, topics: Topics, loop: ControlLoop, values: Mapping[str, Any]) -> None:
        """Look for problems, and log those that the last look found too."""
        now = time.monotonic()
        topics.states.look()
        found = [
            alert
            for alert in (
                self._clock(topics, now),
                self._command(topics),
                *self._states(topics, values),
                *(topics.references.alerts() if topics.references is not None else ()),
                *self._plans(topics, loop, values),
                _waiting(topics, values),
            )
            if alert is not None
        ]
        before, self._found = self._found, {alert.cause for alert in found}
        self._alerts.update([alert for alert in found if alert.cause in before], now)

    def _clock(self, topics: Topics, now: float) -> Alert | None:
        if not topics.is_simulated:
            return None
        shown = topics.clock()
        if shown != self._shown[0]:
            self._shown = shown, now
        if now - self._shown[1] < STANDSTILL:
            return None
        count = self._node.count_publishers("/clock")
        return Alert(
            "clock",
            "the clock stands still: only the safe command is sent (use_sim_time is set; "
            f"publishers on '/clock': {count})",
            ERROR,
        )

    def _command(self, topics: Topics) -> Alert | None:
        topic, kind = topics.command_topic, topics.command_type
        others = endpoints.other_publishers(self._node, topic, own=1)
        if others:
            return Alert(
                "commands",
                f"others publish on the command topic '{topic}' too, so the robot gets the "
                f"commands of all: end or remap {', '.join(others)}",
            )
        if not endpoints.has_subscriber(self._node, topic, kind):
            counts = endpoints.subscribers(self._node, topic, kind)
            return Alert(
                "no subscriber",
                f"no subscriber of the commands on '{topic}' (sends {endpoints.short(kind)}; "
                f"{counts})",
            )
        return None

    def _states(self, topics: Topics, values: Mapping[str, Any]) -> list[Alert]:
        return [a for each in topics.states.each for a in self._state(each, values)]

    def _state(self, each: StateTopic, values: Mapping[str, Any]) -> list[Alert]:
        """Return the problems of one topic of the state."""
        alerts, watch, name = [], each.watch, each.source.name
        rare = too_rare(watch.rate, each.max_age(values), each.limit)
        if rare:
            alerts.append(Alert(f"rare {name}", f"{rare} ({each.where})"))
        if not each.has_parts:
            others = endpoints.several(self._node, each.topic, "states")
            if others:
                text = f"{others}; the newest state of any of them is used"
                alerts.append(Alert(f"plants {name}", text))
        if watch.degrees:
            alerts.append(Alert(f"degrees {name}", f"{watch.degrees} ({each.where})"))
        frame, expected = watch.frame, values["frame_id"].lstrip("/")
        if each.has_frame and frame not in ("", expected):
            alerts.append(
                Alert(
                    f"frame {name}",
                    f"states on {each.where} are in the frame '{frame}', frame_id is "
                    f"'{expected}': what is published is in the frame frame_id",
                )
            )
        return alerts

    def _plans(self, topics: Topics, loop: ControlLoop, values: Mapping[str, Any]) -> list[Alert]:
        alerts, tick = [], loop.commander.tick
        troubles = {"failure": loop.commander.failure, "problem": loop.problem}
        alerts += [Alert(cause, text, ERROR) for cause, text in troubles.items() if text]
        if tick is None or tick.cause in (PAUSED, EMERGENCY_STOP):
            return alerts
        if tick.cause in RESTING:
            return [*alerts, Alert(tick.cause, f"{tick.status}: {_rests(topics, tick)}", INFO)]
        if tick.status not in (FRESH, PREVIOUS_PLAN):
            why = self._why(topics, tick, values)
            return [*alerts, Alert(f"stop {tick.cause}", f"{tick.status}: {why}", ERROR)]
        if tick.plan is not None and tick.plan.invalid_share > MANY_INVALID:
            alerts.append(
                Alert(
                    "invalid",
                    f"{100 * tick.plan.invalid_share:.0f} % of the candidates have a NaN or "
                    "infinite cost",
                )
            )
        return alerts

    def _why(self, topics: Topics, tick: Tick, values: Mapping[str, Any]) -> str:
        """Return why there is no plan: what is missing, and what is there instead."""
        reason = tick.reason or tick.cause
        if tick.cause in (NO_STATE, STALE_STATE):
            # Of several sources, the one that keeps the others waiting is told of.
            found = [self._silence(each, values) for each in topics.states.each]
            text = "; ".join(filter(None, found))
            if text:
                return text
            each = topics.states.oldest(values)
            part = f" by its part {each.input.oldest}" if each.input.oldest else ""
            limit = f"{each.limit} is {each.max_age(values):g} s"
            return f"{reason}{part} ({each.where}, {limit})"
        surroundings = topics.surroundings
        if tick.cause == STALE_COSTMAP and surroundings.known.costmap is None:
            return self._missing(surroundings, "costmap", values["drive.costmap_type"], values)
        if tick.cause == STALE_MOVING_OBSTACLES and surroundings.known.moving_obstacles is None:
            return self._missing(surroundings, "moving_obstacles", POINT_CLOUD, values)
        return reason

    def _missing(
        self, surroundings: SurroundingsInput, name: str, kind: str, values: Mapping[str, Any]
    ) -> str:
        """Return why nothing is known of an input: the last problem, or that no message came."""
        topic = self._node.resolve_topic_name(values[f"drive.{name}_topic"])
        nothing = endpoints.nothing_on(self._node, topic, kind)
        return surroundings.problems.get(name, nothing)

    def _silence(self, each: StateTopic, values: Mapping[str, Any]) -> str:
        """Return why there is no recent state on one topic; "" if there is one."""
        watch, topic, kind = each.watch, each.topic, each.source.type
        source = f" (source {each.source.name})" if each.source.name else ""
        if watch.problem:
            return f"no state on '{topic}' can be used{source}: {watch.problem}"
        if math.isinf(watch.silence):
            return f"{endpoints.nothing_on(self._node, topic, kind)}{source}"
        rare = too_rare(watch.rate, each.max_age(values), each.limit)
        if rare:
            return f"{rare}{source}"
        if watch.silence > each.max_age(values):
            counts = endpoints.publishers(self._node, topic, kind)
            return f"no message on '{topic}' for {watch.silence:.1f} s ({counts}){source}"
        return ""


def _waiting(topics: Topics, values: Mapping[str, Any]) -> Alert | None:
    """Return which set-points wait for joints that are far behind."""
    names = topics.waiting
    if not names:
        return None
    return Alert(
        "waiting",
        f"the set-point waits for {', '.join(names)}, which is farther behind than "
        f"command.max_lead {values['command.max_lead']:g} s allows: it is blocked, hangs under a "
        "load, or has a servo that is slower than action.lag",
    )


def _rests(topics: Topics, tick: Tick) -> str:
    """Return why it is right that a mobile robot stands still."""
    if tick.cause != NO_GOAL or topics.surroundings is None:
        return tick.cause
    way = topics.surroundings.problems.get("way", "")
    return way or f"waiting, {tick.reason} yet"
