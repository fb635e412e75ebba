# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the node: table, YAML files, checks, and building a planner from them."""

from cem_planner_ros.configuration.build import configure
from cem_planner_ros.configuration.cross_checks import cpu_set
from cem_planner_ros.configuration.device import configure_on, planner_of
from cem_planner_ros.configuration.values import Configuration
from cem_planner_ros.configuration.yaml_files import (
    NODE_NAME,
    MissingSectionError,
    load_yaml,
    split_name,
)

__all__ = [
    "NODE_NAME",
    "Configuration",
    "MissingSectionError",
    "configure",
    "configure_on",
    "cpu_set",
    "load_yaml",
    "planner_of",
    "split_name",
]
