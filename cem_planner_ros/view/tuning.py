# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The values of a node's parameters on the page, and requests to change them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import Parameter

Done = Callable[[Mapping[str, str]], None]
"""Called with {name: reason} of the values that the node refused."""


class Tuning:
    """
    What the node's parameters are, what they were at the start, and what was asked for.

    While the node has not answered a request for a parameter, later values for it wait, and only
    the newest of them is sent: a slider that is dragged sends one value after the other. The node
    has the last word: a value is that of the node as soon as it has answered.

    Args:
        send: sends values to the node, and calls `Done` when it has answered.
        changed: called with the names whose value, or whether it was changed, is to be shown anew.
        refused: called with {name: reason} of refused values after each answer.
    """

    def __init__(
        self,
        send: Callable[[Mapping[str, Any], Done], None],
        changed: Callable[[Iterable[str]], None],
        refused: Callable[[Mapping[str, str]], None],
    ):
        self._send, self._changed, self._refused = send, changed, refused
        self._lock = threading.RLock()
        self._asked: dict[str, Any] = {}
        self._next: dict[str, Any] = {}
        self.parameters: dict[str, Parameter] = {}
        """The declarations."""
        self.values: dict[str, Any] = {}
        """The values of the node."""
        self.started: dict[str, Any] = {}
        """The values with which the node was started; if unknown, those when the page met it."""
        self.staged: dict[str, Any] = {}
        """Values that are to be set while the node is not active."""

    def begin(
        self,
        parameters: Mapping[str, Parameter],
        values: Mapping[str, Any],
        initial: Mapping[str, Any],
    ) -> None:
        """
        Take over all parameters, and the values with which the node was started.

        Where these are unknown, what was known before keeps the value of its start.
        """
        with self._lock:
            self.parameters, self.values = dict(parameters), dict(values)
            known = self.started | dict(initial)
            self.started = {name: known.get(name, v) for name, v in values.items()}
            self.staged = {n: v for n, v in self.staged.items() if n in values}
            self._asked.clear()
            self._next.clear()

    def shown(self, name: str) -> Any:
        """Return the value that the page shows: asked for, else staged, else that of the node."""
        with self._lock:
            for values in (self._next, self._asked, self.staged):
                if name in values:
                    return values[name]
            return self.values[name]

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """What differs from the start: {name: (value at the start, value now)}."""
        with self._lock:
            return {
                name: (self.started[name], value)
                for name, value in self.values.items()
                if value != self.started[name]
            }

    def follow(self, values: Mapping[str, Any]) -> None:
        """Take over values that the node has now, whoever set them."""
        with self._lock:
            known = {name: value for name, value in values.items() if name in self.values}
            self.values.update(known)
        self._changed(known)

    def ask(self, name: str, value: Any) -> None:
        """Ask the node for a value. What the declaration does not allow is refused at once."""
        try:
            value = self.parameters[name].check(value)
        except ConfigurationError as error:
            self._refused({name: str(error)})
            self._changed([name])
            return
        with self._lock:
            if name in self._asked:
                self._next[name] = value
                return
            if value == self.values[name]:
                return
            self._asked[name] = value
        self._send({name: value}, functools.partial(self._answered, [name]))

    def stage(self, name: str, value: Any) -> None:
        """Keep a value until the node is not active; one that it has already is dropped."""
        try:
            value = self.parameters[name].check(value)
        except ConfigurationError as error:
            self._refused({name: str(error)})
        else:
            with self._lock:
                self.staged.pop(name, None)
                if value != self.values[name]:
                    self.staged[name] = value
        self._changed([name])

    def take_staged(self) -> dict[str, Any]:
        """Return the staged values, and keep them no longer."""
        with self._lock:
            staged, self.staged = self.staged, {}
            return staged

    def undo(self, names: Iterable[str]) -> None:
        """Ask for the values that parameters had at the start, together."""
        with self._lock:
            old = {name: self.started[name] for name in names if name in self.changes}
            self._asked.update(old)
            for name in old:
                self._next.pop(name, None)
        if old:
            self._send(old, functools.partial(self._answered, list(old)))

    def yaml(self) -> str:
        """Return all values as a parameter file, with what was changed above them."""
        with self._lock:
            changes, values = self.changes, dict(self.values)
        tree: dict[str, Any] = {}
        for name, value in values.items():
            # rcl refuses an empty list, which is the default where there is one.
            if value == [] or name not in self.parameters:
                continue
            *groups, leaf = name.split(".")
            place = tree
            for group in groups:
                place = place.setdefault(group, {})
            place[leaf] = value
        lines = [f"# {name} was {before!r}" for name, (before, _) in changes.items()]
        text = yaml.safe_dump({"/**": {"ros__parameters": tree}}, sort_keys=False)
        return "\n".join([*lines, text])

    def _answered(self, names: Iterable[str], reasons: Mapping[str, str]) -> None:
        later = {}
        with self._lock:
            for name in names:
                value = self._asked.pop(name, None)
                if name not in reasons and value is not None:
                    self.values[name] = value
                if name in self._next:
                    later[name] = self._next.pop(name)
        self._refused(reasons)
        for name, value in later.items():
            self.ask(name, value)
        self._changed(names)
