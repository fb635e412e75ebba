# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A robot among pedestrians who cross its way, as in the benchmark."""

import pytest

from cem_planner_ros.benchmarks import bench_drive
from cem_planner_ros.paths import share

pytest.importorskip("mujoco")
pytestmark = pytest.mark.slow

WORLD = """
<mujoco model="short">
  <include file="{robot}"/>
  <custom>
    <numeric name="start" data="0 0 0"/>
    <numeric name="goal" data="4 0 0"/>
    <numeric name="path" data="0 0  1 0  2 0  3 0  4 0"/>
    <numeric name="pedestrians" data="2"/>
  </custom>
  <worldbody>
    <geom name="ground" type="plane" size="20 20 1"/>
  </worldbody>
</mujoco>
"""


def test_it_lets_pedestrians_pass_and_arrives(tmp_path):
    file = tmp_path / "short.xml"
    file.write_text(WORLD.format(robot=share("models") / "diff_drive" / "robot.xml"))
    configuration = bench_drive.load(2, samples=200)
    # With this seed the robot is touched if it only sees pedestrians in its costmap.
    run = bench_drive.drive(configuration, configuration.planner(), str(file), 6)
    assert run["arrived"]
    assert run["touched"] == []
