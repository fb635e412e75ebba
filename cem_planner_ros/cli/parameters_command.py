# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Print every parameter: of a configuration as commented YAML, of all plugins as Markdown."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import replace

import yaml

from cem_planner_ros.cli.plugins_command import AnyModel, actions, declared, summary
from cem_planner_ros.configuration import NODE_NAME, Configuration, configure, load_yaml, split_name
from cem_planner_ros.configuration.driving_table import (
    DRIVING,
    FOLLOW_PATH,
    GOAL_CHECKER,
    PROGRESS_CHECKER,
)
from cem_planner_ros.configuration.state_sources import SOURCE
from cem_planner_ros.configuration.table import TABLE
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import COMMAND_TYPES, REFERENCE_TYPES, STATE_TYPES
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import Parameter

WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file and the node's name."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE.yaml",
        help="parameter file whose values, model and costs are shown",
    )
    parser.add_argument(
        "--node",
        default=NODE_NAME,
        metavar="[NAMESPACE/]NAME",
        help="the node whose sections of the file count (default: %(default)s)",
    )
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="instead of a file, tables of the node and of every plugin of this package",
    )


def run(options: argparse.Namespace) -> int:
    """Print the reference of a file's configuration, or that of everything there is."""
    if options.markdown == (options.file is not None):
        raise ConfigurationError("give either a FILE.yaml or --markdown")
    if options.markdown:
        print(markdown(), end="")
        return 0
    values = load_yaml(options.file, *split_name(options.node))
    print(reference(configure({**values, "planner.device": "cpu"}), values), end="")
    return 0


def reference(configuration: Configuration, given: dict) -> str:
    """Return YAML with all parameters of a configuration, each under a comment that explains it."""
    lines = [
        "# Every parameter of the planner node: what it means, what is allowed, and when it may",
        "# change: live (while the node controls), inactive-only (while it does not), read-only.",
        "# Made by `python -m cem_planner_ros parameters FILE.yaml`, which does so for any file.",
        "/**:",
        "  ros__parameters:",
    ]
    path: list[str] = []
    for name, parameter in _grouped(configuration.parameters).items():
        *groups, leaf = name.split(".")
        common = 0
        while common < min(len(path), len(groups)) and path[common] == groups[common]:
            common += 1
        for depth, group in enumerate(groups[common:], common):
            lines.append(f"{'  ' * (depth + 2)}{_scalar(group)}:")
        path = groups
        indent = "  " * (len(groups) + 2)
        text = f"{parameter.description} ({parameter.allowed}; {parameter.when})"
        prefix = f"{indent}# "
        lines += textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=prefix)
        value = given.get(name, parameter.default)
        lines.append(f"{indent}{_scalar(leaf)}: {_scalar(value)}")
    return "\n".join(lines) + "\n"


HEAD = """\
# Parameters

Made by `python -m cem_planner_ros parameters --markdown`. `parameters FILE.yaml` shows
the parameters of your own model and costs, with their values.

The column "when" says when a parameter may change: *live*, also while the node controls;
*inactive-only*, only while it does not control; *read-only*, only at the start.

## The node
"""

NAMES = """\
## For each state, action and cost

STATE, OUTPUT and ACTION stand for the names of the model, COST for a name in `costs`. The default
bounds and the units are those of the model. The default fields are `data[0]`, `data[1]` and so on
in a Float64MultiArray, and `data` in a Float64. docs/messages.md says which states have default
fields in other messages. All other fields must be given.
"""

SOURCES = """\
For each SOURCE that `state.sources` names, and `state.SOURCE.fields.STATE` (docs/messages.md):
"""

DRIVES = """\
## A robot that drives

A node has these parameters if one of its costs uses a goal, a path, a costmap or moving obstacles
(docs/driving.md).
"""

FOLLOWS = """\
## The action follow_path

A node has these parameters with `drive.follow_path` (docs/nav2.md). GOAL_CHECKER and
PROGRESS_CHECKER stand for each name in `goal_checker_plugins` and `progress_checker_plugins`.
"""

ONE_S_OWN = ("action.low.", "action.high.", "state.fields.", "command.fields.")
"""Parameters whose defaults come from the model or the message."""


def markdown() -> str:
    """Return tables of the parameters of the node, of messages and of this package's plugins."""
    any_node = configure(
        {
            "planner.device": "cpu",
            "dynamics.plugin": f"{AnyModel.__module__}:{AnyModel.__name__}",
            "state.type": "std_msgs/msg/Float64MultiArray",
            "costs": ["COST"],
        }
    ).parameters
    known = {p.name for p in TABLE}
    known |= {f"COST.{p.name}" for p in declared(loading.load("costs", "quadratic"))}
    of_names = [p for name, p in any_node.items() if name not in known]
    lines = [HEAD, *_table(TABLE), "", NAMES, *_table(of_names), ""]
    lines += [SOURCES, *_table(p.under("state.SOURCE") for p in SOURCE), ""]
    lines += ["| message | fields |", "|---|---|"]
    for name, grammar in (STATE_TYPES | COMMAND_TYPES | REFERENCE_TYPES).items():
        lines.append(f"| {name} | {_cell(grammar.words)} |")
    checkers = [p.under("GOAL_CHECKER") for p in GOAL_CHECKER]
    checkers += [p.under("PROGRESS_CHECKER") for p in PROGRESS_CHECKER]
    lines += ["", DRIVES, *_table(DRIVING), "", FOLLOWS, *_table((*FOLLOW_PATH, *checkers))]
    for kind, title, prefix in (("dynamics", "Model", "dynamics"), ("costs", "Cost", "COST")):
        for name, entries in loading.installed(kind).items():
            if not entries[0].value.startswith("cem_planner_ros."):
                continue
            plugin = loading.load(kind, name)
            text = summary(plugin)
            if kind == "dynamics":
                states = ", ".join(plugin.state_names)
                given = f" States: {states}. Actions: {actions(plugin)}."
                text += given if states else " The file gives states and actions."
            lines += ["", f"## {title} `{name}`", "", *textwrap.wrap(text, WIDTH)]
            if declared(plugin):
                lines += ["", *_table(p.under(prefix) for p in declared(plugin))]
    return "\n".join(lines) + "\n"


def _table(parameters: Iterable[Parameter]) -> list[str]:
    """Return a Markdown table."""
    lines = ["| name | default | unit | allowed | when | meaning |", "|---|---|---|---|---|---|"]
    for p in parameters:
        default, text = f"`{_scalar(p.default)}`", p.description
        if p.name.startswith(ONE_S_OWN):
            # The text after the colon of a field depends on the message.
            default, text = "", text.partition(":")[0].rstrip(".") + "."
        cells = (f"`{p.name}`", default, p.unit, replace(p, unit="").allowed, p.when, text)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _grouped(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Return the parameters; those of a group follow the first one of the group."""
    first: dict[str, int] = {}
    keys = {}
    for index, name in enumerate(parameters):
        parts = name.split(".")
        prefixes = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
        keys[name] = [first.setdefault(prefix, index) for prefix in prefixes]
    return {name: parameters[name] for name in sorted(parameters, key=keys.__getitem__)}


def _scalar(value) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("\n...\n").rstrip("\n")
