# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Loading of dynamics and cost plugins by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError, describe, did_you_mean
from cem_planner_ros.plugins.parameter import Parameterised, check_declared

BASES: dict[str, type[Parameterised]] = {"dynamics": Dynamics, "costs": Cost}
"""The two kinds of plugins. The entry-point groups are `cem_planner_ros.dynamics` and `.costs`."""

MOST_LISTED = 30
"""Number of known names that the message about an unknown one lists."""

RENAMED: dict[str, dict[str, str]] = {
    "dynamics": {"remember": "begin_plan", "judges": "predicts_return"},
    "costs": {},
}
"""What the two interfaces called otherwise before: {kind: {old name: present name}}."""


def installed(kind: str) -> dict[str, list[EntryPoint]]:
    """
    Return all installed plugins of a kind ("dynamics" or "costs") by name, without loading.

    A name that several distributions register has several entries.
    """
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=f"cem_planner_ros.{kind}"), key=lambda e: e.name):
        entries = found.setdefault(entry.name, [])
        # A distribution can appear twice, through its metadata and through a path hook.
        if entry.value not in [other.value for other in entries]:
            entries.append(entry)
    return found


def load(kind: str, name: str) -> type[Parameterised]:
    """
    Return the plugin class `name`: the name of an entry point, or `package.module:Class`.

    Raises ConfigurationError, listing what exists, if the name is missing, registered twice, cannot
    be imported, is no class of the right kind, is written for another plugin interface, or declares
    parameters that are not allowed.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            loaded = importlib.import_module(module)
        except (Exception, SystemExit) as error:
            raise ConfigurationError(_broken(kind, name, error)) from error
        if not hasattr(loaded, attribute):
            classes = [n for n, value in vars(loaded).items() if isinstance(value, type)]
            raise ConfigurationError(
                f"{kind} plugin '{name}' cannot be loaded: module '{module}' has no '{attribute}'"
                + did_you_mean(attribute, classes)
            )
        plugin = getattr(loaded, attribute)
    else:
        entries = installed(kind).get(name, [])
        if not entries:
            raise ConfigurationError(_missing(kind, name))
        if len(entries) > 1:
            raise ConfigurationError(
                f"{kind} plugin '{name}' is registered more than once: "
                + ", ".join(f"{entry.value} ({source(entry)})" for entry in entries)
                + "; name the one you mean as package.module:Class"
            )
        try:
            plugin = entries[0].load()
        except (Exception, SystemExit) as error:
            raise ConfigurationError(_broken(kind, name, error)) from error
    base = BASES[kind]
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        raise ConfigurationError(
            f"{kind} plugin '{name}' must be a subclass of {base.__module__}.{base.__name__}, "
            f"it is {plugin!r}"
        )
    for old, new in RENAMED[kind].items():
        if hasattr(plugin, old) and old not in [p.name for p in plugin.parameters]:
            raise ConfigurationError(
                f"{kind} plugin '{name}' has {plugin.__name__}.{old}, expected it under its "
                f"present name: {new}"
            )
    if plugin.api_version != Parameterised.api_version:
        raise ConfigurationError(
            f"{kind} plugin '{name}' is written for version {plugin.api_version!r} of the plugin "
            f"interface, expected version {Parameterised.api_version}"
        )
    check_declared(plugin, plugin.parameters)
    return plugin


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """
    Return a message that says that `name` is unknown, and which name is similar.

    If none is, it lists the names of the same section, if they are not many.
    """
    known = list(known)
    hint = did_you_mean(name, known)
    section = name.rpartition(".")[0]
    inside = [other for other in known if section and other.rpartition(".")[0] == section]
    if not hint and 0 < len(inside) <= MOST_LISTED:
        hint = f", expected one of {', '.join(inside)}"
    return f"unknown {what} '{name}'{hint}"


def _missing(kind: str, name: str) -> str:
    names = installed(kind)
    return (
        unknown(f"{kind} plugin", name, names)
        + f" (installed: {', '.join(names) or 'none'}; or give package.module:Class)"
    )


def _broken(kind: str, name: str, error: BaseException) -> str:
    return f"{kind} plugin '{name}' cannot be loaded: {describe(error)}"


def source(entry: EntryPoint) -> str:
    """Return the distribution of an entry point, for messages."""
    return (
        f"from {entry.dist.name} {entry.dist.version}" if entry.dist else "from an unknown package"
    )
