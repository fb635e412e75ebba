# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""List the parameters of a node that runs."""

from __future__ import annotations

import argparse

from cem_planner_ros.cli.get_command import add_node, remote, show
from cem_planner_ros.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the node and what the names begin with."""
    add_node(parser)
    parser.add_argument(
        "prefix", metavar="PREFIX", nargs="?", default="", help="show names that begin so"
    )
    parser.add_argument(
        "--describe", action="store_true", help="say what each one means and what is allowed"
    )


def run(options: argparse.Namespace) -> int:
    """Print a line for each parameter; the exit status is 1 if there is no such node, or none."""
    with remote(options.node) as node:
        names = [name for name in node.names() if name.startswith(options.prefix)]
        if not names:
            raise ConfigurationError(
                f"'{node.full_name}' has no parameter whose name begins with '{options.prefix}', "
                "expected the beginning of one, or none for all of them"
            )
        values = node.get(names)
        descriptors = node.describe(names) if options.describe else [None] * len(names)
    for name, value, descriptor in zip(names, values, descriptors, strict=True):
        print(f"{name}: {show(value)}")
        if descriptor is not None:
            print(f"    {descriptor.description} ({descriptor.additional_constraints})")
    return 0
