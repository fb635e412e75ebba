"""What keeps a node from controlling as it should: logged at once, and again while it lasts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from rclpy.impl.rcutils_logger import RcutilsLogger

INFO, WARNING, ERROR = "info", "warning", "error"

REPEAT = 5.0
"""s after which a warning or an error is logged again."""


class Alert(NamedTuple):
    """
    Something that is not as it should be now.

    Attributes:
        cause: what is told apart; the text may hold numbers that change.
        text: what is said, for a person.
        level: INFO is logged once, WARNING and ERROR again every REPEAT s.
    """

    cause: str
    text: str
    level: str = WARNING


class Alerts:
    """
    Logs alerts, each cause at once and then every REPEAT s while it lasts.

    A cause that comes and goes is not logged more often either.
    """

    def __init__(self, log: RcutilsLogger):
        self._log = log
        self._due: dict[str, float] = {}
        self.present: list[Alert] = []
        """Those of the last `update`."""

    def update(self, alerts: Iterable[Alert], now: float) -> None:
        """Take in what is not as it should be at `now`, s, and log what is due."""
        self.present = list(alerts)
        for alert in self.present:
            if now < self._due.get(alert.cause, -math.inf):
                continue
            self._due[alert.cause] = math.inf if alert.level == INFO else now + REPEAT
            # Each level has a line of its own: rclpy knows a line by one level only.
            if alert.level == INFO:
                self._log.info(alert.text)
            elif alert.level == WARNING:
                self._log.warning(alert.text)
            else:
                self._log.error(alert.text)

    def forget(self) -> None:
        """Begin anew: what comes up is logged at once."""
        self._due = {}
        self.present = []
