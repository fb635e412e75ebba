# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The command line of a node."""

from __future__ import annotations

import itertools
from collections.abc import Sequence


def params_files(arguments: Sequence[str]) -> list[str]:
    """Return the files that follow --params-file on a command line."""
    pairs = itertools.pairwise(arguments)
    return [value for option, value in pairs if option == "--params-file"]


def without_params_files(arguments: Sequence[str]) -> list[str]:
    """Return a command line without its --params-file options."""
    kept: list[str] = []
    for argument in arguments:
        if kept and kept[-1] == "--params-file":
            kept.pop()
        else:
            kept.append(argument)
    return kept


def correction(name: str, arguments: Sequence[str]) -> str:
    """
    Return what is wrong with the arguments of an executable, and a correction; "" if nothing.

    Only arguments between `--ros-args` and `--` reach a node; others would be ignored.
    """
    reaches = False
    of_ros: list[str] = []
    stray: list[str] = []
    for argument in arguments:
        if argument in ("--ros-args", "--"):
            reaches = argument == "--ros-args"
        else:
            (of_ros if reaches else stray).append(argument)
    if not stray:
        return ""
    meant: list[str] = []
    for argument in stray:
        is_value = bool(meant) and meant[-1].startswith("-") and meant[-1] != "--"
        if not is_value and not argument.startswith("-"):
            if argument.endswith((".yaml", ".yml")):
                meant.append("--params-file")
            elif ":=" in argument:
                meant.append("-r" if argument.startswith("__") else "-p")
            else:
                meant.append("--params-file")
        meant.append(argument)
    line = " ".join([name, "--ros-args", *meant, *of_ros])
    return f"{' '.join(stray)}: what is not after --ros-args is ignored; expected: {line}"


def usage(name: str) -> str:
    """Return the --help text of an executable."""
    options = "[--params-file FILE.yaml] [-p NAME:=VALUE] [-r __ns:=/NAMESPACE]"
    return (
        f"usage: {name} --ros-args {options}\n\n"
        "`python -m cem_planner_ros parameters FILE.yaml` explains the parameters of the planner."
        "\n`python -m cem_planner_ros list NODE` shows those of any node that runs."
    )
