# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Access to matplotlib, which is optional."""

from __future__ import annotations

from types import ModuleType

from cem_planner_ros.errors import ConfigurationError


def pyplot() -> ModuleType:
    """Return pyplot for files. Raises ConfigurationError if matplotlib is not installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plot
    except ImportError as error:
        raise ConfigurationError(
            f"a picture needs matplotlib (pip install matplotlib): {error}"
        ) from error
    return plot
