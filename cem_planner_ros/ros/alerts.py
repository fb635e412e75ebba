# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Alerts: problems of a node, logged at once and again while they last."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from rclpy.impl.rcutils_logger import RcutilsLogger

INFO, WARNING, ERROR = "info", "warning", "error"

REPEAT = 5.0
"""Time after which a warning or an error is logged again, s."""


class Alert(NamedTuple):
    """
    A present problem of the node.

    Attributes:
        cause: identifies the problem; the text may contain numbers that change.
        text: text for the log.
        level: INFO is logged once; WARNING and ERROR are logged again every REPEAT s.
    """

    cause: str
    text: str
    level: str = WARNING


class Alerts:
    """
    Logs alerts: each cause at once, and then every REPEAT s while it lasts.

    A cause that comes and goes is not logged more often either.
    """

    def __init__(self, log: RcutilsLogger):
        self._log = log
        self._due: dict[str, float] = {}
        self.present: list[Alert] = []
        """The alerts of the last `update`."""

    def update(self, alerts: Iterable[Alert], now: float) -> None:
        """Update the alerts at `now`, s, and log those that are due."""
        self.present = list(alerts)
        for alert in self.present:
            if now < self._due.get(alert.cause, -math.inf):
                continue
            self._due[alert.cause] = math.inf if alert.level == INFO else now + REPEAT
            # Each level has its own source line, because rclpy allows only one level per line.
            if alert.level == INFO:
                self._log.info(alert.text)
            elif alert.level == WARNING:
                self._log.warning(alert.text)
            else:
                self._log.error(alert.text)

    def forget(self) -> None:
        """Forget all causes; the next alerts are logged at once."""
        self._due = {}
        self.present = []
