# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Show live what a planner node does."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping

from cem_planner_ros.cli.get_command import add_node, remote

CLEAR = "\033[H\033[J"
"""Terminal codes: move to the top left, and clear the rest."""

SILENCE = 5.0
"""Time without diagnostics after which that is told, s; a planner sends them every second."""

KEYS = (
    "lifecycle",
    "plan time p50 (ms)",
    "plan time p99 (ms)",
    "deadline margin min (ms)",
    "state age p50 (ms)",
    "iterations",
    "cost",
    "invalid candidates (%)",
    "commands",
    "commands late",
    "commands missing",
)
"""The values of `/diagnostics` that are shown if they exist; its message has status and cause."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the node."""
    add_node(parser)
    parser.add_argument(
        "--count", type=int, default=0, help="end after so many seconds (default: at Ctrl-C)"
    )


def run(options: argparse.Namespace) -> int:
    """Show status, causes, plan times and, where they are published, costs, once a second."""
    watched = remote(options.node)
    from diagnostic_msgs.msg import DiagnosticArray
    from std_msgs.msg import Float64MultiArray

    from cem_planner_ros.ros.diagnostics import STATISTICS

    terms: dict[str, float] = {}
    shown = 0

    def on_statistics(message: Float64MultiArray) -> None:
        labels = [dimension.label for dimension in message.layout.dim]
        found = dict(zip(labels, message.data, strict=False))
        terms.update({label: v for label, v in found.items() if label not in STATISTICS})

    def on_diagnostics(message: DiagnosticArray) -> None:
        nonlocal shown
        for status in message.status:
            owner = status.name.rpartition(":")[0].strip("/ ")
            if owner in (node.full_name.strip("/"), node.name):
                values = {value.key: value.value for value in status.values}
                home = CLEAR if sys.stdout.isatty() else "\n" if shown else ""
                print(home + block(node.full_name, status.message, values, terms), flush=True)
                shown += 1

    with watched as node:
        node.node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 10)
        node.node.create_subscription(
            Float64MultiArray, f"{node.full_name}/statistics", on_statistics, 1
        )
        silent_at = time.monotonic() + SILENCE
        try:
            while not options.count or shown < options.count:
                node.spin()
                if not shown and time.monotonic() > silent_at:
                    silent_at = math.inf
                    print(
                        f"waiting: nothing of '{node.full_name}' on '/diagnostics' in "
                        f"{SILENCE:g} s, so it is no planner, or one that compiles",
                        file=sys.stderr,
                    )
        except KeyboardInterrupt:
            print()
    return 0


def block(node: str, message: str, values: Mapping[str, str], terms: Mapping[str, float]) -> str:
    """Return lines about the state of a node; `terms` are costs by name."""
    lines = [f"{node}: {message}"]
    lines += [f"  {key:<26} {values[key]}" for key in KEYS if values.get(key)]
    lines += [f"  {label:<26} {value:.6g}" for label, value in terms.items()]
    return "\n".join(lines)
