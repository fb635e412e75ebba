# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the node: table, YAML files, checks, and building a planner from them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cem_planner_ros.configuration.yaml_files import (
    NODE_NAME,
    MissingSectionError,
    load_yaml,
    split_name,
)

if TYPE_CHECKING:
    from cem_planner_ros.configuration.build import configure
    from cem_planner_ros.configuration.cross_checks import cpu_set
    from cem_planner_ros.configuration.device import configure_on, planner_of
    from cem_planner_ros.configuration.values import Configuration

_MODULES = {
    "Configuration": "values",
    "configure": "build",
    "configure_on": "device",
    "cpu_set": "cross_checks",
    "planner_of": "device",
}
"""Module of each name that needs PyTorch, which takes seconds. It is imported on first use."""

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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
