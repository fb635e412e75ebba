# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Set a parameter of a node that runs."""

from __future__ import annotations

import argparse

from cem_planner_ros.cli.get_command import add_node, remote, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare node, name and value."""
    add_node(parser)
    parser.add_argument("name", metavar="NAME", help="the parameter, such as planner.temperature")
    parser.add_argument(
        "value", metavar="VALUE", help="as in YAML: 3, 0.5, true, text, '[a, b]'; -- before -1"
    )


def run(options: argparse.Namespace) -> int:
    """Set the parameter and print its new value; the exit status is 1 if that is refused."""
    with remote(options.node) as node:
        value = node.set(options.name, options.value)
    print(f"{options.name}: {show(value)}")
    return 0
