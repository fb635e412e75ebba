# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Functions for processes that tests start: they must be importable there."""

import fcntl
import os
import signal
import threading
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


def hold(file):
    """Keep a file locked until this process ends."""
    with open(file, "w") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        locked.write("held")
        locked.flush()
        threading.Event().wait()
