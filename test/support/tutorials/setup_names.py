# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the `setup` of the guide is given, and whether it names the plugins."""

given = {}


def setup(**arguments):
    given.update(arguments)


def then(names):
    assert set(given["entry_points"]) == {"cem_planner_ros.dynamics", "cem_planner_ros.costs"}
