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


def write(file: Path, results: dict) -> None:
    """Write results as JSON."""
    file.write_text(json.dumps(results, indent=2) + "\n")
