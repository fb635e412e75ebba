# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Whether the machine had time: how well something does in real time can only be judged then."""

import threading
from pathlib import Path

INTERVAL = 0.5
"""Between two looks, s."""

LEAST = 0.05
"""Share of the processors that is idle at least on a machine that has time."""


class Idleness:
    """Looks at how much of the processors is idle, while the context lasts."""

    def __init__(self):
        self._shares = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()

    def _look(self):
        before = _ticks()
        while not self._stop.wait(INTERVAL):
            now = _ticks()
            idle, total = (new - old for new, old in zip(now, before, strict=True))
            self._shares.append(idle / max(total, 1))
            before = now

    def lasted(self, seconds):
        """Return whether a part of the processors was idle all the time for the last `seconds`."""
        return min(self._shares[-round(seconds / INTERVAL) :]) > LEAST


def _ticks():
    """Return the ticks so far of all processors that were idle, and all (Linux: /proc/stat)."""
    cpu = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(cpu[4]) + int(cpu[5]), sum(map(int, cpu[1:9]))
