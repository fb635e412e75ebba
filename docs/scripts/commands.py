# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/reference/commands.md from the parsers of the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parents[1] / "reference" / "commands.md"

HEAD = """# Commands

What `python -m cem_planner_ros COMMAND --help` says, for every command. `make reference` writes
this page.
"""


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of all commands below a parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield below
                yield from commands(below)


def page() -> str:
    """Return the page."""
    os.environ["COLUMNS"] = "100"
    from cem_planner_ros.cli import parser

    parts = [HEAD]
    for command in commands(parser()):
        name = command.prog.partition("cem_planner_ros ")[2]
        parts.append(f"\n## {name}\n\n```text\n{command.format_help().strip()}\n```\n")
    return "".join(parts)


if __name__ == "__main__":
    TARGET.write_text(page())
