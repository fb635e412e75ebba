# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What a launch file of Nav2 has where the nodes of the page are put, and which nodes these are."""

import yaml
from pages import ROOT

started = []
configured_params, use_respawn, remappings = "params.yaml", "false", [("/tf", "tf")]


def Node(**arguments):  # noqa: N802
    started.append(arguments)


def then(names):
    planner, costmap = started
    assert (planner["package"], planner["executable"]) == ("cem_planner_ros", "planner_node")
    assert ("cmd_vel", "cmd_vel_nav") in planner["remappings"]
    parameters = yaml.safe_load((ROOT / "config" / "nav2_params.yaml").read_text())
    assert planner["name"] in parameters
    assert costmap["name"] in parameters[costmap["namespace"]]
