"""What the node tells about itself: `/diagnostics`, `~/statistics` and the predicted path."""

from __future__ import annotations

import array
import math
from collections.abc import Iterable, Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from std_msgs.msg import Float64MultiArray, MultiArrayDimension

from cem_planner_ros.control.loop import FRESH, STATUSES, ControlLoop, Tick
from cem_planner_ros.ros.messages import quaternion

STATISTICS = (
    "status",
    "plan_ms",
    "state_age_ms",
    "interval_ms",
    "late",
    "missing",
    "iterations",
    "cost",
    "invalid_share",
)
"""
Labels of `~/statistics`, in the order of its data.

`status` is an index into `STATUSES`, `late` 0 or 1 of this command, `missing` counts since
activation. What a period did not have is NaN.
"""


def statistics_message() -> Float64MultiArray:
    """Return a message with the labels filled in, to be used again for every tick."""
    message = Float64MultiArray()
    message.layout.dim = [
        MultiArrayDimension(label=label, size=1, stride=1) for label in STATISTICS
    ]
    return message


def fill_statistics(message: Float64MultiArray, tick: Tick, missing: int) -> None:
    """Write a tick into a message of `statistics_message`."""
    plan = tick.plan
    values = (
        STATUSES.index(tick.status),
        1e3 * tick.plan_time,
        1e3 * tick.state_age,
        1e3 * tick.interval,
        tick.late,
        missing,
        plan.iterations if plan else 0,
        plan.cost if plan else math.nan,
        plan.invalid_share if plan else math.nan,
    )
    message.data = array.array("d", values)


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """Return p50, p99 and max of the numbers that are not NaN; NaN where there are none."""
    numbers = np.array([value for value in values if not math.isnan(value)])
    if not numbers.size:
        return {"p50": math.nan, "p99": math.nan, "max": math.nan}
    p50, p99 = np.percentile(numbers, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": float(numbers.max())}


def diagnostic_status(
    name: str,
    loop: ControlLoop | None,
    lifecycle: str,
    execution: str,
    received: int,
    dropped: Mapping[str, int],
) -> DiagnosticStatus:
    """
    Return the state of the control loop for `/diagnostics`.

    It is ERROR while the safe action goes out, WARN if one of the last commands was late or the
    node does not control, OK otherwise.
    """
    result = DiagnosticStatus(name=name, hardware_id="cem_planner")
    values = {"lifecycle": lifecycle, "execution": execution, "states received": received}
    values |= {f"states dropped: {cause}": count for cause, count in dropped.items()}
    ticks = list(loop.ticks) if loop else []
    if not ticks:
        result.level, result.message = DiagnosticStatus.WARN, f"not controlling ({lifecycle})"
    else:
        last = ticks[-1]
        result.level, result.message = DiagnosticStatus.OK, last.status
        if any(tick.late for tick in ticks):
            result.level, result.message = DiagnosticStatus.WARN, "commands were late"
        if last.status != FRESH:
            result.level = DiagnosticStatus.ERROR
            result.message = f"{last.status}: {last.reason}" if last.reason else last.status
        if loop.problem:
            values["problem"] = loop.problem
            result.level, result.message = DiagnosticStatus.ERROR, loop.problem
        values |= {
            "status": last.status,
            "commands": loop.commands,
            "commands late": loop.late,
            "commands missing": loop.missing,
        }
        for label, numbers in (
            ("plan time", [tick.plan_time for tick in ticks]),
            ("state age", [tick.state_age for tick in ticks]),
            ("interval", [tick.interval for tick in ticks]),
        ):
            for quantile, value in percentiles(numbers).items():
                values[f"{label} {quantile} (ms)"] = f"{1e3 * value:.3f}"
        if last.plan:
            values["iterations"] = last.plan.iterations
            values["cost"] = f"{last.plan.cost:.6g}"
            values["invalid candidates (%)"] = f"{100 * last.plan.invalid_share:.2f}"
    result.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return result


def diagnostics_message(status: DiagnosticStatus, stamp) -> DiagnosticArray:
    """Return a status as the message of `/diagnostics`."""
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message


def path_message(states: np.ndarray, names: tuple[str, ...], stamp, frame: str) -> Path:
    """Return predicted states (H + 1, nx) of a model with states x and y (m), maybe yaw (rad)."""
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
