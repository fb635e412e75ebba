"""What this package raises when it is used wrongly."""

from __future__ import annotations

from collections.abc import Mapping
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


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip().splitlines() or [""])[0]
