# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
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
