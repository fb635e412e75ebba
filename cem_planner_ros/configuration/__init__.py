"""The parameters of the node: table, YAML files, checks between them, what is built of them."""

from cem_planner_ros.configuration.values import (
    NODE_NAME,
    Configuration,
    MissingSectionError,
    configure,
    cpu_set,
    load_yaml,
)

__all__ = [
    "NODE_NAME",
    "Configuration",
    "MissingSectionError",
    "configure",
    "cpu_set",
    "load_yaml",
]
