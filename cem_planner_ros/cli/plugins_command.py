# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""List the installed plugins."""

from __future__ import annotations

import argparse

import torch

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import Parameter


class AnyModel(Dynamics):
    """Stands for every model where a cost has a parameter for each state, output or action."""

    state_names = ("STATE",)
    action_names = ("ACTION",)
    action_low = (-1.0,)
    action_high = (1.0,)
    action_units = ("",)
    output_names = ("OUTPUT",)

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Stand still."""
        return state

    def output(self, state: torch.Tensor) -> torch.Tensor:
        """Return the state."""
        return state


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing: the command has no options."""


def run(options: argparse.Namespace) -> int:
    """Print every plugin; the exit status is 1 if one cannot be loaded."""
    broken = 0
    for kind in loading.BASES:
        print(f"{kind}:")
        for name, entries in loading.installed(kind).items():
            sources = ", ".join(f"{e.value}, {loading.source(e)}" for e in entries)
            print(f"  {name}  ({sources})")
            try:
                plugin = loading.load(kind, name)
            except ConfigurationError as error:
                print(f"    broken: {error}")
                broken += 1
                continue
            print(f"    {summary(plugin)}")
            if kind == "dynamics":
                of_file = "those of its file"
                print(f"    states: {', '.join(plugin.state_names) or of_file}")
                print(f"    actions: {actions(plugin) or of_file}")
            parameters = declared(plugin)
            for p in parameters:
                print(f"      {p.name} = {p.default}: {p.description} ({p.allowed}; {p.when})")
    return 1 if broken else 0


def summary(plugin: type) -> str:
    """Return the first line of what a plugin says of itself."""
    lines = (plugin.__doc__ or "").strip().splitlines()
    return lines[0] if lines else "no description"


def actions(plugin: type[Dynamics]) -> str:
    """Return the actions of a model with bounds and units, in one line."""
    bounds = zip(
        plugin.action_names,
        plugin.action_low,
        plugin.action_high,
        plugin.action_units,
        strict=True,
    )
    return ", ".join(f"{name} [{low:g}, {high:g}] {unit}" for name, low, high, unit in bounds)


def declared(plugin: type) -> tuple[Parameter, ...]:
    """Return the parameters of a model, or of a cost for `AnyModel`."""
    if issubclass(plugin, Dynamics):
        return plugin.parameters
    return plugin.parameters_for(AnyModel())
