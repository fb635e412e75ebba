# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What `bench` prints and writes while it measures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from cem_planner_ros.benchmarks import machine


def table(
    columns: Iterable[tuple[str, int]],
    rows: Iterable[dict],
    line: Callable[[dict], tuple],
    file: Path | None = None,
) -> dict:
    """
    Print `line` of each row under (title, width) of `columns`; return what the JSON holds.

    With a `file`, the rows so far are written there after each one, so that a run of hours that
    is ended leaves them.
    """
    titles, widths = zip(*columns, strict=True)

    def show(values: Iterable) -> None:
        first, *rest = zip(map(str, values), widths, strict=False)
        print(first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest), flush=True)

    show(titles)
    results = {"machine": machine.describe(), "rows": []}
    for row in rows:
        results["rows"].append(row)
        show(line(row))
        if file:
            write(file, results)
    return results


def table_of_runs(second: tuple[str, int], rows: Iterable[dict]) -> dict:
    """Print runs of a robot; `second` is the (title, width) of what tells runs of a world apart."""
    return table(
        (
            *(("world", 10), second, ("arrived", 7), ("touched", 16), ("time s", 6)),
            *(("error m", 7), ("jerk", 6), ("yaw rate", 8), ("change of v", 11), ("yaw rate", 8)),
            *(("plan p50 ms", 11), ("p99", 6)),
        ),
        rows,
        lambda row: (
            *(row["world"], row[second[0]], "yes" if row["arrived"] else "NO"),
            *(", ".join(row["touched"]) or "nothing", row["time_s"], row["path_error_m"]),
            *(row["jerk"], row["yaw_rate_rms"], *row["command_change"].values()),
            *row["plan_ms"].values(),
        ),
    )


def table_of_walks(rows: Iterable[dict]) -> dict:
    """Print what walking costs with as many candidates as fit into a period."""
    return table(
        (("robot", 24), ("engine", 12), ("N", 6), ("p50 ms", 9), ("cost", 9), ("std", 9)),
        rows,
        lambda row: (
            *(row["name"], row["engine"], row["samples"]),
            *(row["plan_ms"]["p50"], *row["cost"].values()),
        ),
    )


def table_of_robots(rows: Iterable[dict]) -> dict:
    """Print runs of the robots of the demos."""
    return table(
        (
            *(("robot", 12), ("seed", 4), ("success", 7), ("error", 7), ("fell", 5)),
            *(("plan p50 ms", 11), ("p99", 7), ("period ms", 9), ("physics", 7), ("late", 5)),
        ),
        rows,
        lambda row: (
            *(row["robot"], row["seed"], "yes" if row["success"] else "NO", row["error"]),
            *("YES" if row["fell"] else "no", *row["plan_ms"].values(), row["period_ms"]),
            *(row["physics_share"], row["late"]),
        ),
    )


def write(file: Path, results: dict) -> None:
    """Write results as JSON."""
    file.write_text(json.dumps(results, indent=2) + "\n")
