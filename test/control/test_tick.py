# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The numbers of causes and statuses are those that docs/topics.md lists."""

import re
from pathlib import Path

from cem_planner_ros.control.ladder import STATUSES
from cem_planner_ros.control.tick import CAUSES

TOPICS = (Path(__file__).parents[2] / "docs" / "topics.md").read_text()


def test_the_causes_are_those_in_the_table():
    listed = dict(
        re.findall(r"\| (\d+) \| `(\w+)` (?=\|)", TOPICS.partition("| cause | name |")[2])
    )
    assert {int(number): cause for number, cause in listed.items()} == dict(
        enumerate(CAUSES[1:], start=1)
    )


def test_the_statuses_are_those_in_the_table():
    (row,) = re.findall(r"^\| 0 \| `status` \| (.*?):", TOPICS, re.MULTILINE)
    assert row == ", ".join(f"{number} {status}" for number, status in enumerate(STATUSES))
