"""What this package raises when it is used wrongly."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any


class ConfigurationError(ValueError):
    """
    A parameter, a plugin or a combination of them cannot work.

    The message names the parameter, its value, what is allowed and, where known, the file.
    `parameters` holds the declarations, by name, of all parameters that were known by then.
    """

    def __init__(self, message: str, parameters: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.parameters = parameters or {}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """
    Return ", did you mean 'X'?" for the known name that is closest to `name`, or "".

    Case does not count, and the last part of a name, after a slash or a dot, may stand for it.
    """
    known = {other.lower(): other for other in known}
    last = {re.split(r"[/.]", other)[-1]: other for other in known}
    lowered = name.lower()
    close = difflib.get_close_matches(lowered, known, n=1)
    if not close:
        close = [last[other] for other in difflib.get_close_matches(lowered, last, n=1)]
    return f", did you mean '{known[close[0]]}'?" if close else ""


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip().splitlines() or [""])[0]
