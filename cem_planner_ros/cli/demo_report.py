# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What `demo` reports: times and commands, a table, and a picture."""

from __future__ import annotations

import sys
from pathlib import Path

from cem_planner_ros.benchmarks.machine import PERCENT, quantiles
from cem_planner_ros.cli.demo_scenario import DemoRecording, Scenario
from cem_planner_ros.control.ladder import PREVIOUS_PLAN, STATUSES
from cem_planner_ros.dynamics.base import Dynamics

MOST_PANELS = 4
"""Number of actions that have a panel each in the picture; more of them share one."""


def timing(recording: DemoRecording, period: float) -> dict:
    """Return what the summary says of times, in ms, and of commands."""
    statistics = [s for _, s in recording.statistics]
    return {
        "plan_ms": quantiles([s["plan_ms"] for s in statistics], tuple(PERCENT)),
        "state_age_ms": quantiles([s["state_age_ms"] for s in statistics]),
        "period_jitter_ms": quantiles([abs(s["interval_ms"] - 1e3 * period) for s in statistics]),
        "commands": len(recording.actions),
        "late": int(sum(s["late"] for s in statistics)),
        "missing": int(statistics[-1]["missing"] - statistics[0]["missing"]) if statistics else 0,
        "previous_plan": sum(s["status"] == STATUSES.index(PREVIOUS_PLAN) for s in statistics),
    }


def lateness(timing: dict, allowed: float) -> list[str]:
    """Return what is wrong with when the commands came."""
    missed, periods = timing["late"] + timing["missing"], timing["commands"] + timing["missing"]
    if not timing["commands"]:
        return ["no commands"]
    if missed < allowed * periods:
        return []
    share = 100 * missed / periods
    return [
        f"{share:.1f} % of the commands late or missing, allowed {100 * allowed:g} %: is the "
        "machine busy?"
    ]


def show(scenario: Scenario, summary: dict, problems: list[str], report: Path) -> None:
    """Print the summary as a table."""

    def row(values: dict[str, float | None]) -> str:
        return "  ".join(f"{k} {v:.2f}" if v is not None else f"{k} -" for k, v in values.items())

    rows = {
        **scenario.rows(summary),
        "plan time (ms)": row(summary["plan_ms"]),
        "state age (ms)": row(summary["state_age_ms"]),
        "period jitter (ms)": row(summary["period_jitter_ms"]),
        "missed deadlines": f"{summary['late']} late, {summary['missing']} missing "
        f"of {summary['commands'] + summary['missing']}; "
        f"{summary['previous_plan']} by the previous plan",
        "result": "FAILED: " + "; ".join(problems) if problems else "success",
        "report": str(report),
    }
    title = f"{summary['scenario']}, seed {summary['seed']}"
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(title, *(f"  {name:<20} {text}" for name, text in rows.items()), sep="\n")
        return
    table = Table(title=title, show_header=False)
    for name, text in rows.items():
        table.add_row(name, text)
    Console(markup=False, emoji=False).print(table)


def reading(label: str, number: str) -> str:
    """Return a number with its name and unit: "z 0.31 m" for the label "z [m]"."""
    name, _, unit = label.removesuffix("]").partition(" [")
    return f"{name} {number} {unit}".rstrip()


def action_labels(dynamics: Dynamics) -> list[str]:
    """Return the name of each action with its unit in brackets, if it has one."""
    named = zip(dynamics.action_names, dynamics.action_units, strict=True)
    return [f"{name} [{unit}]" if unit else name for name, unit in named]


def plot(scenario: Scenario, dynamics: Dynamics, recording: DemoRecording, report: Path) -> None:
    """Write the map, the signals, the commands and the plan time over time as PNG."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        print("no picture: matplotlib is not installed", file=sys.stderr)
        return
    panels = [(label, times, {"": values}) for label, times, values in scenario.panels(recording)]
    times = [t for t, _ in recording.actions]
    actions = {
        name: [action[index] for _, action in recording.actions]
        for index, name in enumerate(action_labels(dynamics))
    }
    if len(actions) <= MOST_PANELS:
        panels += [(name, times, {"": values}) for name, values in actions.items()]
    else:
        panels.append(("commands", times, actions))
    plan_times = [s["plan_ms"] for _, s in recording.statistics]
    panels.append(("plan time [ms]", [t for t, _ in recording.statistics], {"": plan_times}))
    heights = [1.0] * len(panels)
    figure = pyplot.figure(
        figsize=(9, 2 * len(panels) + 4 * scenario.has_map), layout="constrained"
    )
    above = int(scenario.has_map)
    grid = figure.add_gridspec(above + len(panels), 1, height_ratios=[2.0] * above + heights)
    if scenario.has_map:
        scenario.draw(figure.add_subplot(grid[0]), recording)
    axes = [figure.add_subplot(grid[above])]
    axes += [figure.add_subplot(cell, sharex=axes[0]) for cell in list(grid)[above + 1 :]]
    for axis, (label, times, curves) in zip(axes, panels, strict=True):
        for name, values in curves.items():
            axis.plot(times, values, linewidth=1.0, label=name)
        if len(curves) > 1:
            axis.legend(fontsize="x-small", ncols=min(len(curves), 4), loc="upper center")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        axis.label_outer()
    axes[-1].set_xlabel("time [s]")
    figure.savefig(report / "demo.png", dpi=110)
    pyplot.close(figure)
