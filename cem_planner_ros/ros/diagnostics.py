# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The messages of `/diagnostics`, `~/statistics`, `~/plan`, `~/candidates` and `~/path`."""

from __future__ import annotations

import array
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from std_msgs.msg import Float64MultiArray, MultiArrayDimension

from cem_planner_ros.control.commander import Commander
from cem_planner_ros.control.ladder import FALLBACK, FRESH, STATUSES, STOPPED
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import CAUSES, PAUSED, RECOVERING, RESTING, Tick
from cem_planner_ros.planning.plan import Candidates, Plan
from cem_planner_ros.readers import quaternion

STATISTICS = (
    "status",
    "cause",
    "plan_ms",
    "state_age_ms",
    "latency_ms",
    "interval_ms",
    "margin_ms",
    "late",
    "missing",
    "iterations",
    "cost",
    "invalid_share",
)
"""
Labels of `~/statistics`, in the order of its data.

`status` is an index into `STATUSES`, `cause` one into `CAUSES`, `late` 0 or 1 of this command;
`missing` counts since activation. `latency_ms` is from the state to the command, `margin_ms` from
the command to the end of its period. A number that a period does not have is NaN. The cost terms
follow, see `statistics_message`.
"""

COST_TERM = "cost."
"""Prefix of the label of a cost term in `~/statistics`; the name of the cost follows."""


def statistics_message(costs: Iterable[str] = ()) -> Float64MultiArray:
    """Return a message with all labels, which is filled again for every tick."""
    message = Float64MultiArray()
    message.layout.dim = [
        MultiArrayDimension(label=label, size=1, stride=1)
        for label in (*STATISTICS, *(f"{COST_TERM}{name}" for name in costs))
    ]
    return message


def fill_statistics(
    message: Float64MultiArray,
    tick: Tick,
    missing: int,
    period: float,
    terms: Iterable[float] = (),
) -> None:
    """Write a tick and cost terms into a message of `statistics_message`; `period` is in s."""
    plan = tick.plan
    values = (
        STATUSES.index(tick.status),
        CAUSES.index(tick.cause),
        1e3 * tick.plan_time,
        1e3 * tick.state_age,
        1e3 * tick.latency,
        1e3 * tick.interval,
        1e3 * (tick.scheduled + period - tick.published),
        tick.late,
        missing,
        plan.iterations if plan else 0,
        plan.cost if plan else math.nan,
        plan.invalid_share if plan else math.nan,
        *terms,
    )
    message.data = array.array("d", values)


def quantiles(numbers: np.ndarray, shares: Mapping[str, float]) -> dict[str, float]:
    """Return named quantiles of numbers; NaN where there are none."""
    if not numbers.size:
        return dict.fromkeys(shares, math.nan)
    found = np.quantile(numbers, list(shares.values()))
    return {name: float(value) for name, value in zip(shares, found, strict=True)}


UPPER = {"p50": 0.5, "p99": 0.99, "max": 1.0}
LOWER = {"p50": 0.5, "p99": 0.01, "min": 0.0}
"""Quantiles of values that should be large: 99 % of the values are above p99."""


def control_values(commander: Commander) -> dict[str, object]:
    """Return the values of `/diagnostics` about commands."""
    last, history = commander.tick, commander.history
    values: dict[str, object] = {
        "status": last.status,
        "cause": last.cause,
        "commands": commander.commands,
        "commands late": commander.late,
        "commands missing": commander.missing,
        "plans overdue": commander.overdue,
    }
    values |= {f"steps to {status}": commander.ladder.steps[status] for status in STATUSES}
    for label, numbers, shares in (
        ("plan time", commander.plan_times.column("plan_time"), UPPER),
        ("deadline margin", history.column("margin"), LOWER),
        ("state age", history.column("state_age"), UPPER),
        ("state to command", history.column("latency"), UPPER),
        ("interval", history.column("interval"), UPPER),
    ):
        for quantile, value in quantiles(numbers, shares).items():
            values[f"{label} {quantile} (ms)"] = f"{1e3 * value:.3f}"
    plan = commander.last_plan
    if plan is not None:
        values["iterations"] = plan.iterations
        values["cost"] = f"{plan.cost:.6g}"
        values["invalid candidates (%)"] = f"{100 * plan.invalid_share:.2f}"
    return values


def diagnostic_status(
    node: str,
    loop: ControlLoop | None,
    lifecycle: str,
    facts: Mapping[str, object],
    warnings: Iterable[str] = (),
) -> DiagnosticStatus:
    """
    Return the state of the control loop for `/diagnostics`.

    The level is ERROR while the plant is braked or stopped because of a fault. It is WARN if an
    earlier plan is used, plans are good again but not yet followed, the node is paused or does not
    control, a command was late, or there are `warnings`. Otherwise it is OK.

    Args:
        node: fully qualified name of the node, so that robots can share `/diagnostics`.
        loop: the control loop while the node is active.
        lifecycle: lifecycle state of the node.
        facts: further values to show.
        warnings: further problems.
    """
    values = {"lifecycle": lifecycle, **facts}
    level, messages = DiagnosticStatus.OK, []
    if loop is None or loop.commander.tick is None:
        level, messages = DiagnosticStatus.WARN, [f"not controlling ({lifecycle})"]
    else:
        last = loop.commander.tick
        values |= control_values(loop.commander)
        # What supervision found out about a stop says more than the reason of the tick.
        begin, warnings = f"{last.status}: ", list(warnings)
        found = [text for text in warnings if text.startswith(begin)]
        warnings = [text for text in warnings if text not in found]
        reasons = [text.removeprefix(begin) for text in found] or [last.reason]
        what = f"{last.status} ({last.cause})" if last.cause else last.status
        messages.append(": ".join(filter(None, (what, *reasons))))
        if (last.status != FRESH and last.cause not in RESTING) or loop.commander.history.column(
            "late"
        ).any():
            level = DiagnosticStatus.WARN
        if last.status == FRESH and level == DiagnosticStatus.WARN:
            messages.append("commands were late")
        no_fault = (PAUSED, RECOVERING, *RESTING)
        if last.status in (FALLBACK, STOPPED) and last.cause not in no_fault:
            level = DiagnosticStatus.ERROR
    for trouble in filter(None, (loop.commander.failure, loop.problem) if loop else ()):
        level = DiagnosticStatus.ERROR
        messages.append(trouble)
    warnings = list(warnings)
    if warnings and level == DiagnosticStatus.OK:
        level = DiagnosticStatus.WARN
    return DiagnosticStatus(
        name=f"{node}: control",
        hardware_id=node,
        level=level,
        message="; ".join(dict.fromkeys([*messages, *warnings])),
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def diagnostics_message(status: DiagnosticStatus, stamp) -> DiagnosticArray:
    """Return a status as the message of `/diagnostics`."""
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message


def path_message(states: np.ndarray, names: tuple[str, ...], stamp, frame: str) -> Path:
    """Return the path of states (H + 1, nx) of a model with x and y (m), maybe yaw (rad)."""
    message = Path()
    message.header.stamp = stamp
    message.header.frame_id = frame
    x, y = names.index("x"), names.index("y")
    yaw = names.index("yaw") if "yaw" in names else None
    for state in states:
        pose = PoseStamped(header=message.header)
        pose.pose.position.x, pose.pose.position.y = float(state[x]), float(state[y])
        heading = float(state[yaw]) if yaw is not None else 0.0
        orientation = pose.pose.orientation
        orientation.x, orientation.y, orientation.z, orientation.w = quaternion(0.0, 0.0, heading)
        message.poses.append(pose)
    return message


def plan_message(
    plan: Plan, states: np.ndarray, state_names: Sequence[str], action_names: Sequence[str]
) -> Float64MultiArray:
    """
    Return a plan and its predicted states (H + 1, nx), one row for each edge of its grid.

    A row has the time since the start of the plan (s), the state, and the action from then on; the
    last row repeats the last action. The label of the second dimension names the columns.
    """
    columns = ("time", *state_names, *action_names)
    times = (plan.edges - plan.edges[0])[:, None]
    actions = np.vstack((plan.actions, plan.actions[-1:]))
    rows = np.hstack((times, states, actions))
    message = Float64MultiArray(data=array.array("d", rows.tobytes()))
    message.layout.dim = [
        MultiArrayDimension(label="step", size=len(rows), stride=rows.size),
        MultiArrayDimension(label=",".join(columns), size=len(columns), stride=len(columns)),
    ]
    return message


def candidates_message(
    candidates: Candidates, elites: int, state_names: Sequence[str]
) -> Float64MultiArray:
    """
    Return candidates (n), one row for each, the first `elites` of which are elites.

    A row has the cost, 1 for an elite or else 0, and the predicted states (H + 1, nx), step by
    step. The label of the third dimension names the states.
    """
    count = len(candidates.costs)
    is_elite = np.arange(count) < elites
    states = np.moveaxis(candidates.states, -1, 0).reshape(count, -1)
    rows = np.column_stack((candidates.costs, is_elite, states))
    message = Float64MultiArray(data=array.array("d", rows.tobytes()))
    names = ",".join(state_names)
    message.layout.dim = [
        MultiArrayDimension(label="candidate", size=count, stride=rows.size),
        MultiArrayDimension(label="cost,elite,states", size=rows.shape[1], stride=rows.shape[1]),
        MultiArrayDimension(label=names, size=len(state_names), stride=len(state_names)),
    ]
    return message
