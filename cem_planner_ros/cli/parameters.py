"""Print every parameter of a configuration as commented YAML."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping

import yaml

from cem_planner_ros.configuration import NODE_NAME, Configuration, configure, load_yaml
from cem_planner_ros.parameters import Parameter

WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file and the node's name."""
    parser.add_argument(
        "file", metavar="FILE.yaml", help="parameter file whose values, model and costs are shown"
    )
    parser.add_argument("--node", default=NODE_NAME, help="name of the node (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Print the reference of a file's configuration."""
    values = load_yaml(options.file, options.node)
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


def _grouped(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Return the parameters with those of a group together, where its first one stands."""
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
