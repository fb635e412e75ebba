# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The command line: one module for each command, with `add_arguments` and `run`."""

from __future__ import annotations

import argparse
import errno
import functools
import importlib
import os
import signal
import sys
from types import ModuleType

from cem_planner_ros import __version__
from cem_planner_ros.errors import ConfigurationError, did_you_mean

COMMANDS = {
    "demo": "control a simulated plant over ROS 2 and report how it went",
    "init": "write a first parameter file for a robot",
    "plugins": "list the installed dynamics and costs with their parameters",
    "parameters": "print every parameter of a file's configuration as commented YAML",
    "bench": "measure plan times and control quality on this machine",
    "check": "validate a parameter file without ROS and time a plan",
    "tune": "tune parameters in simulated episodes, with Optuna",
    "record": "record states and commands over ROS 2 as a bag for train",
    "train": "learn a model from a bag of states and commands",
    "set": "set a parameter of a node that runs",
    "get": "print a parameter of a node that runs",
    "list": "list the parameters of a node that runs",
    "watch": "show live what a planner node does",
    "view": "serve a page in a browser that shows a planner node and its parameters",
    "search-policy": "search the weights of a linear policy in a Gymnasium environment",
}


class Parser(argparse.ArgumentParser):
    """A parser that says which choice or option was probably meant."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            choices = [*map(str, action.choices or ())]
            if len(choices) > 2:  # Of two, "gpu" is nearer to "cpu" than to "cuda".
                error.message += did_you_mean(str(value), choices)
            raise

    def parse_known_args(self, args=None, namespace=None):
        """Refuse unknown options here, where it is known which options the command has."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            hint = did_you_mean(rest[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
        return found, rest


@functools.cache
def load() -> dict[str, ModuleType]:
    """Return the module of each command, imported, which takes seconds."""
    return {
        name: importlib.import_module(f"cem_planner_ros.cli.{name.replace('-', '_')}_command")
        for name in COMMANDS
    }


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status; 2 for wrong usage, 130 after Ctrl-C."""
    try:
        return _main(arguments)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has had enough of it, such as `head`.
        _close_output()
        return 0
    except OSError as error:
        if error.errno == errno.EIO:  # The terminal was closed.
            _close_output()
            return 128 + signal.SIGHUP
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1


def _close_output() -> None:
    """Let what is still to be printed go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="python -m cem_planner_ros",
        description="Sampling-based control on the onboard GPU or CPU under ROS 2.",
    )
    parser.add_argument("--version", action="version", version=f"cem_planner_ros {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in load().items():
        module.add_arguments(
            commands.add_parser(name, help=COMMANDS[name], description=COMMANDS[name])
        )
    return parser


def _main(arguments: list[str] | None) -> int:
    options = parser().parse_args(arguments)
    return load()[options.command].run(options)
