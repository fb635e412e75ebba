# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The planner of a worker, which the next episode uses again if it can."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cem_planner_ros.configuration import Configuration, configure
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.planner import Planner


class PlannerCache:
    """The planner of the last episode in this process, which the next one may use again."""

    def __init__(self):
        self._last: tuple[str, Configuration, Planner] | None = None

    def of(self, values: Mapping[str, Any], file: str) -> tuple[Configuration, Planner]:
        """Return the configuration of values, and its planner."""
        text = json.dumps(values, sort_keys=True)
        if self._last is None or self._last[0] != text:
            configuration, planner = self._like_the_last(configure(values, file))
            self._last = None  # Another configuration may change its plugins from now on.
            planner = planner or configuration.planner()
            configuration.tune(planner)
            self._last = text, configuration, planner
        return self._last[1:]

    def _like_the_last(self, wanted: Configuration) -> tuple[Configuration, Planner | None]:
        """Return a wanted configuration, with a planner if that of the last one can be used."""
        if self._last is None:
            return wanted, None
        _, before, planner = self._last
        if changed := _changed_live(before, wanted):
            return changed, planner
        if known := wanted.with_plugins_of(before):
            return known, known.planner(planner)
        return wanted, None


def _changed_live(before: Configuration, wanted: Configuration) -> Configuration | None:
    """
    Return a configuration with the values of a wanted one, for the same planner; None for another.

    An active node changes live values in the same way. The variants of a randomised model and the
    candidates of a policy are made together with the planner.
    """
    values = wanted.values
    if values["randomisation.samples"] > 1 or values["policy.candidates"]:
        return None
    if set(values) != set(before.values):
        return None
    try:
        return before.changed(values)
    except ConfigurationError:
        return None


PLANNERS = PlannerCache()
