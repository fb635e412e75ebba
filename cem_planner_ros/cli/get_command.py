# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Print a parameter of a node that runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import yaml

from cem_planner_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from cem_planner_ros.ros.remote import Remote


def add_node(parser: argparse.ArgumentParser) -> None:
    """Declare the node."""
    parser.add_argument(
        "node", metavar="NODE", help="cem_planner, or with its namespace robot1/cem_planner"
    )


def remote(name: str) -> Remote:
    """Return a node to be entered; raise ConfigurationError if it cannot be one, or for rclpy."""
    try:
        from cem_planner_ros.ros.remote import Remote
    except ImportError as error:
        raise ConfigurationError(
            f"this needs rclpy: source a ROS 2 setup.bash, or `make install` ({error})"
        ) from error
    return Remote(name)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare node and name."""
    add_node(parser)
    parser.add_argument("name", metavar="NAME", help="the parameter, such as planner.temperature")


def run(options: argparse.Namespace) -> int:
    """Print the value; the exit status is 1 if there is no such node or parameter."""
    with remote(options.node) as node:
        (value,) = node.get([options.name])
    print(show(value))
    return 0


def show(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("\n...\n").rstrip("\n")
