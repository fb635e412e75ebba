# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks measure the same in this process and in several."""

import json

import pytest

from cem_planner_ros import cli


@pytest.mark.extras
@pytest.mark.timeout(600)
def test_bench_quality_finds_the_same_with_two_processes(tmp_path):
    words = ["bench", "quality", "--task", "doorway", "--method", "defaults", "--rollouts", "300"]
    rows = []
    for jobs in ("1", "2"):
        file = tmp_path / f"{jobs}.json"
        options = ["--seeds", "0", "1", "--jobs", jobs, "--json", str(file)]
        assert cli.main([*words, *options]) == 0
        rows.append(json.loads(file.read_text())["rows"])
    assert rows[0] == rows[1]
