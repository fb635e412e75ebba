# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import importlib.util

import pytest

pytest.importorskip("mujoco")

from cem_planner_ros.benchmarks import bench_physics


def test_a_row_for_each_number_of_candidates_says_how_many_fit(monkeypatch):
    monkeypatch.setattr(bench_physics, "robots", lambda folder: {"quadruped": "quadruped.xml"})
    monkeypatch.setattr(bench_physics, "HORIZON", 5)
    monkeypatch.setattr(bench_physics, "SAMPLES", {"cpu": (8, 16)})
    # A plan of any time fits into the period of the second rate, and none into the first one's.
    monkeypatch.setattr(bench_physics, "RATES", (1e-6, 1e9))
    rows = list(bench_physics.run("cpu", True, lambda text: None))
    assert [row["name"] for row in rows] == ["quadruped 8 x 5 x 1", "quadruped 16 x 5 x 1"]
    for row, samples in zip(rows, (8, 16), strict=True):
        assert row["engine"] == "mujoco"
        assert row["time_steps"] == 20
        assert 0.0 < row["plan_ms"]["p50"] <= row["plan_ms"]["p99"]
        assert row["processor_ms"] > 0.0
        assert row["rest_share"] < 1.0
        slow, fast = row["candidates_per_period"].values()
        assert slow == {"p50": samples, "p99": samples}
        assert fast == {"p50": 0, "p99": 0}


@pytest.mark.extras
@pytest.mark.parametrize(("share", "samples"), [(1e9, 16), (1e-9, 8)])
def test_a_robot_walks_with_the_most_candidates_that_fit(monkeypatch, share, samples):
    if importlib.util.find_spec("mjlab") is None:
        pytest.skip("needs the files of mjlab")
    short = dataclasses.replace(bench_physics.TASKS["go1"], steps=2)
    monkeypatch.setitem(bench_physics.TASKS, "go1", short)
    monkeypatch.setattr(bench_physics, "SAMPLES", {"cpu": (8, 16)})
    monkeypatch.setattr(bench_physics, "_plan_times", lambda planner, seconds: {"p50": 1.0})
    monkeypatch.setattr(bench_physics, "SHARE", share)
    (row,) = bench_physics.walks("cpu", False, lambda text: None)
    assert (row["name"], row["engine"], row["samples"]) == ("go1 walks, 25 Hz", "mujoco", samples)
    assert row["seeds"] == 3
    assert row["cost"]["mean"] > 0.0
