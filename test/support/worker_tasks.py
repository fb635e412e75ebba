# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Functions for processes that tests start: they must be importable there."""

import os
import signal
from pathlib import Path


def double(value):
    return 2 * value


def fail(text):
    raise ValueError(text)


def die_once(folder, value):
    """Die the first time; return the value the second time."""
    marker = Path(folder) / str(value)
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die():
    os.kill(os.getpid(), signal.SIGKILL)
