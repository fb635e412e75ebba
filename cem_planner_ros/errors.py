# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Errors of this package, and the texts of errors."""

from __future__ import annotations

import difflib
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import Any


class ConfigurationError(ValueError):
    """
    A parameter, a plugin or a combination of them cannot work.

    The message names the parameter, its value, what is allowed and, where known, the file.
    `parameters` has the declarations, by name, of all parameters that were known when the error was
    raised.
    """

    def __init__(self, message: str, parameters: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.parameters = parameters or {}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """
    Return ", did you mean 'X'?" for the known name that is closest to `name`, or "".

    Upper and lower case are equal, and the last part of a name, after a slash or dot, is enough. If
    the section of a dotted name is known, only names of this section are meant.
    """
    known = {other.lower(): other for other in known}
    lowered = name.lower()
    section, _, own = lowered.rpartition(".")
    inside = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == section]
    if section and inside:
        close = [f"{section}.{other}" for other in difflib.get_close_matches(own, inside, n=1)]
        return f", did you mean '{known[close[0]]}'?" if close else ""
    last = {re.split(r"[/.]", other)[-1]: other for other in known}
    close = difflib.get_close_matches(lowered, known, n=1)
    if not close:
        close = [last[other] for other in difflib.get_close_matches(lowered, last, n=1)]
    return f", did you mean '{known[close[0]]}'?" if close else ""


def describe(error: BaseException) -> str:
    """
    Return type and first line of an error, and file and line of the plugin that raised it.

    The line is the last one in the file of the plugin, also if a function that it called raised the
    error.
    """
    text = first_line(error)
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = _plugin_line(error)
    return f"{text}, in {place}" if place else text


def _plugin_line(error: BaseException) -> str:
    """Return FILE:LINE of the plugin in the traceback of an error; "" if there is none."""
    frames = [
        (str(frame.f_globals.get("__name__")), frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    package = __name__.partition(".")[0]
    kinds = (f"{package}.dynamics.", f"{package}.costs.")
    bases = (f"{package}.dynamics.base", f"{package}.dynamics.randomised", f"{package}.costs.base")
    libraries = {package, "torch", "numpy", "scipy", *sys.stdlib_module_names} - {"__main__"}
    foreign = [(f, line) for name, f, line in frames if name.partition(".")[0] not in libraries]
    own = [(f, line) for name, f, line in frames if name.startswith(kinds) and name not in bases]
    found = foreign or own
    # The plugin may call functions in other files, but the plugin has to be corrected.
    return ":".join(map(str, [f for f in found if f[0] == found[0][0]][-1])) if found else ""


def first_line(error: BaseException) -> str:
    """Return the first line of the text of an error."""
    return (str(error).strip().splitlines() or [""])[0]
