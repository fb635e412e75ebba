# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What `bench` finds does not depend on the number of processes that drive its episodes."""

import pytest

from cem_planner_ros.benchmarks import bench_drive, bench_learning, path_runs
from cem_planner_ros.studies.workers import Here, Processes

pytest.importorskip("mujoco")

pytestmark = [pytest.mark.extras, pytest.mark.timeout(1200)]


def without_times(row):
    return {name: value for name, value in row.items() if name != "plan_ms"}


@pytest.mark.parametrize("measure", [bench_learning.run, bench_drive.run, path_runs.run])
def test_one_process_and_two_find_the_same(measure, monkeypatch):
    pytest.importorskip("rosbags", reason="bench learning reads a bag")
    monkeypatch.setattr(bench_learning, "SECONDS", (5.0,))
    found = []
    for workers in (Here(), Processes(2)):
        with workers:
            found.append([*map(without_times, measure(True, lambda text: None, workers))])
    assert found[0] == found[1]
    assert len(found[0]) == 2
