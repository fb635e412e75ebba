# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks measure the same in this process and in several."""

import json

import pytest

from cem_planner_ros import cli
from cem_planner_ros.benchmarks import bench_learning

QUALITY = ("--task", "doorway", "--method", "defaults", "--rollouts", "300", "--seeds", "0", "1")

TIMES = "plan_ms"
"""Of a row: what depends on the machine."""


@pytest.mark.extras
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("what", "parts"),
    [
        (("quality", *QUALITY), ("rows",)),
        (("drive", "--quick"), ("rows", "straight", "paths")),
        (("learning", "--quick"), ("rows",)),
    ],
    ids=["quality", "drive", "learning"],
)
def test_two_processes_find_what_one_finds(tmp_path, monkeypatch, what, parts):
    monkeypatch.setattr(bench_learning, "SECONDS", (20.0,))  # Less data is sooner learned from.
    found = []
    for jobs in ("1", "2"):
        file = tmp_path / f"{jobs}.json"
        assert cli.main(["bench", *what, "--jobs", jobs, "--json", str(file)]) == 0
        results = json.loads(file.read_text())
        found.append([_without_times(row) for part in parts for row in results[part]])
    assert found[0] == found[1]
    assert len(found[0]) >= len(parts)


def _without_times(row: dict) -> dict:
    return {name: value for name, value in row.items() if name != TIMES}
