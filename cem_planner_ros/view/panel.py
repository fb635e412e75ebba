# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The parameters of a node as inputs of the page."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import math
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import viser

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import INACTIVE, LIVE, READ_ONLY, Parameter
from cem_planner_ros.view.tuning import Done, Tuning

GENERAL = "node"
"""Folder of the parameters whose names have no group."""

WIDE = 4.0
"""A slider goes at least up to WIDE times the value, or up to the declared end."""

STEPS = 200
"""Number of steps of a slider."""

TYPING = 0.7
"""Time after the last key until what is typed counts as complete, s; each key is sent."""

CHANGED, STAGED = "● ", "◌ "
"""Marks of parameters that were changed since the start, and of values that wait."""


class Setter(Protocol):
    """What the panel asks of the node."""

    def set_parameters(self, values: Mapping[str, Any], done: Done) -> None:
        """Set values; call `done` with {name: reason} of the refused ones."""

    def set_inactive(self, values: Mapping[str, Any], done: Done) -> None:
        """Deactivate the node, set values, activate it; call `done` as above."""


class Panel:
    """
    An input for each parameter, grouped as in the YAML file.

    The inputs follow the node: whoever sets a parameter, every browser shows it. A refused value
    goes back, and the reason is shown. Inputs of parameters that change only while the node is not
    active are greyed while it is active. The switch `prepare` makes them usable: their values are
    kept, and a button deactivates the node, sets them and activates it.

    Args:
        gui: where the panel is made, in the container that is open.
        setter: sets the parameters.
        save_to: folder on the robot to which files are saved; None for no such button.
        read_only: whether nothing can be changed.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        setter: Setter,
        *,
        save_to: Path | None = None,
        read_only: bool = False,
    ):
        self._server, self._gui, self._setter = server, server.gui, setter
        self._save_to, self._read_only = save_to, read_only
        self.tuning = Tuning(setter.set_parameters, self._show, self._refuse)
        self._lock = threading.RLock()
        self._inputs: dict[str, Any] = {}
        self._folders: dict[str, viser.GuiFolderHandle] = {}
        self._typing: dict[str, threading.Timer] = {}
        self._entered: dict[str, Any] = {}
        self._is_active = False
        gui = self._gui
        self._message = gui.add_markdown("No parameters yet: the node was not found.")
        self._changes = gui.add_markdown("")
        self._choice = gui.add_dropdown("Changed", ("none",), disabled=read_only)
        self._undo = gui.add_button("Undo this change", disabled=read_only)
        self._undo_all = gui.add_button("Undo all changes", disabled=read_only)
        self._download = gui.add_button("Download as YAML")
        self._file = gui.add_text(
            "File",
            "",
            visible=save_to is not None,
            disabled=read_only,
            hint=f"Below {save_to} on the robot; empty for the next free planner_NUMBER.yaml.",
        )
        self._save = gui.add_button(
            "Save on the robot",
            visible=save_to is not None,
            disabled=read_only,
            hint=f"Writes a file into {save_to}." if save_to else None,
        )
        self._prepare = gui.add_checkbox(
            "Prepare values that need a pause of control",
            False,
            disabled=read_only,
            hint="Greyed parameters change only while the node is not active.",
        )
        self._apply = gui.add_button("Deactivate, set, activate", disabled=True, color="orange")
        # The inputs are made later, when another container may be open.
        self._place = gui.add_folder("All parameters")
        self._download.on_click(self._on_download)
        self._prepare.on_update(lambda _: self._enable())
        if not read_only:
            self._undo.on_click(lambda _: self.undo([self._choice.value]))
            self._undo_all.on_click(
                lambda _: self.undo([*self.tuning.changes, *self.tuning.staged])
            )
            self._save.on_click(lambda _: self.save())
            self._apply.on_click(lambda _: self.apply())

    def fill(
        self,
        parameters: Mapping[str, Parameter],
        values: Mapping[str, Any],
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Show the parameters of a node, in place of those that were shown before.

        `initial` has the values with which the node was started, as far as they are known.
        """
        with self._lock, self._server.atomic():
            before = self.tuning.parameters
            self.tuning.begin(parameters, values, initial or {})
            # Folders that somebody has opened stay open where the inputs are the same.
            if list(map(_looks, before.values())) != list(map(_looks, parameters.values())):
                self._make()
            self._message.content = ""
        self._show(parameters)
        self._enable()

    @property
    def is_active(self) -> bool:
        """Whether the node is active, as far as the panel knows."""
        return self._is_active

    @property
    def message(self) -> str:
        """What the panel says: why a value was refused, or where a file was saved."""
        return self._message.content

    def set_active(self, is_active: bool) -> None:
        """Grey what cannot change while the node is active, or no longer."""
        if is_active != self._is_active:
            self._is_active = is_active
            self._enable()

    def undo(self, names: Iterable[str]) -> None:
        """Ask for the values of the start, or prepare them where the node has to pause."""
        tuning, now = self.tuning, []
        for name in names:
            if name not in tuning.parameters:
                continue
            if self._needs_pause(tuning.parameters[name]):
                tuning.stage(name, tuning.started[name])
            else:
                now.append(name)
        tuning.undo(now)

    def apply(self) -> None:
        """Set the prepared values while the node is not active."""
        staged = self.tuning.take_staged()
        if staged:
            self._apply.disabled = True

            def done(reasons: Mapping[str, str]) -> None:
                self._refuse(reasons)
                self._show(staged)

            self._setter.set_inactive(staged, done)

    def save(self) -> None:
        """Write the values as YAML into the folder that was given at the start."""
        if self._save_to is None:
            return
        try:
            file = save_text(self._save_to, self._file.value.strip(), self.tuning.yaml())
            self._message.content = f"Saved as `{file}`."
        except (ConfigurationError, OSError, ValueError) as error:  # ValueError: of a null byte.
            self._message.content = f"Not saved: {error}"

    def _on_download(self, event: viser.GuiEvent) -> None:
        if event.client is not None:
            content = self.tuning.yaml().encode()
            event.client.send_file_download("planner.yaml", content, save_immediately=True)

    def _make(self) -> None:
        for folder in self._folders.values():
            folder.remove()
        self._folders, self._inputs = {}, {}
        for name, parameter in self.tuning.parameters.items():
            group, _, rest = name.partition(".")
            group, label = (group, rest) if rest else (GENERAL, name)
            if group not in self._folders:
                with self._place:
                    self._folders[group] = self._gui.add_folder(group, expand_by_default=False)
            with self._folders[group]:
                made = make_input(self._gui, label, parameter, self.tuning.shown(name))
            if made is None:
                continue
            self._inputs[name] = made
            made.on_update(functools.partial(self._on_update, name))

    async def _on_update(self, name: str, event: viser.GuiEvent) -> None:
        """
        Take the value of an input in the thread of the server, as soon as it has come.

        Later, the panel may already have shown the node's value in its place.
        """
        if event.client is None:  # The page itself has shown another value.
            return
        self._entered[name] = event.target.value
        asyncio.get_running_loop().run_in_executor(None, self._on_input, name, event.target)

    def _on_input(self, name: str, handle: Any) -> None:
        if self._read_only or handle.disabled:  # A browser may change it all the same.
            self._show([name])
        elif isinstance(handle, (viser.GuiTextHandle, viser.GuiNumberHandle)):
            with self._lock:
                if name in self._typing:
                    self._typing[name].cancel()
                timer = threading.Timer(TYPING, self._enter, (name,))
                timer.daemon = True
                self._typing[name] = timer
            timer.start()
        else:
            self._enter(name)

    def _enter(self, name: str) -> None:
        """Ask for the value that was entered last."""
        parameter = self.tuning.parameters[name]
        try:
            value = from_input(parameter, self._entered[name])
        except ConfigurationError as error:
            self._refuse({name: str(error)})
            self._show([name])
            return
        if self._needs_pause(parameter):
            self.tuning.stage(name, value)
        else:
            self.tuning.ask(name, value)

    def _needs_pause(self, parameter: Parameter) -> bool:
        if parameter.when != INACTIVE or not self._is_active:
            return False
        may_rebuild = self.tuning.values.get("allow_rebuild", False)
        return not (may_rebuild and parameter.name.startswith("planner."))

    def _refuse(self, reasons: Mapping[str, str]) -> None:
        lines = [f"**Refused:** `{name}`: {reason}" for name, reason in reasons.items()]
        self._message.content = "\n\n".join(lines)

    def _show(self, names: Iterable[str]) -> None:
        """Show values and marks of parameters anew, and the list of changes."""
        tuning = self.tuning
        changes, staged = tuning.changes, dict(tuning.staged)
        with self._lock, self._server.atomic():
            for name in names:
                if name not in self._inputs:
                    continue
                handle, parameter = self._inputs[name], tuning.parameters[name]
                show_value(handle, parameter, tuning.shown(name))
                label = name.partition(".")[2] or name
                mark = STAGED if name in staged else CHANGED if name in changes else ""
                if handle.label != mark + label:
                    handle.label = mark + label
            lines = [f"- `{n}`: {before} → **{now}**" for n, (before, now) in changes.items()]
            lines += [f"- `{n}`: prepared **{value}**" for n, value in staged.items()]
            text = "\n".join(lines) or "Nothing was changed since the start."
            if text != self._changes.content:
                self._changes.content = text
                self._choice.options = tuple(changes) or ("none",)
            self._apply.disabled = self._read_only or not staged
        if "allow_rebuild" in names:
            self._enable()

    def _enable(self) -> None:
        with self._lock, self._server.atomic():
            for name, handle in self._inputs.items():
                parameter = self.tuning.parameters[name]
                is_off = self._read_only or parameter.when == READ_ONLY
                is_off |= self._needs_pause(parameter) and not self._prepare.value
                if handle.disabled != is_off:
                    handle.disabled = is_off


def save_text(folder: Path, name: str, text: str) -> Path:
    """
    Write a file at a path below a folder, and return where; no file is overwritten.

    Args:
        name: the path; ".yaml" is added where it is missing; "" for the next free
            planner_NUMBER.yaml.

    Raises ConfigurationError if the path leads out of the folder or is taken, and OSError if it
    cannot be written.
    """
    numbers = itertools.count(1)
    while True:
        file = folder / (name or f"planner_{next(numbers)}")
        if file.suffix not in (".yaml", ".yml"):
            file = file.with_name(f"{file.name}.yaml")
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ConfigurationError(f"the file is {name!r}, expected a path below {folder}")
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with file.open("x") as opened:
                opened.write(text)
            return file
        except FileExistsError:
            if name:
                raise ConfigurationError(f"{file} exists already: choose another name") from None


def _looks(parameter: Parameter) -> tuple[object, ...]:
    """Return what an input depends on; the default of a declaration is the value of its time."""
    p = parameter
    kind = type(p.default)
    return p.name, p.description, p.unit, p.low, p.high, p.choices, p.when, p.words, kind


def make_input(gui: viser.GuiApi, label: str, parameter: Parameter, value: Any) -> Any:
    """Return an input for a parameter, with what its declaration says as a hint."""
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    hint = f"{parameter.description}{unit} ({parameter.allowed}; {parameter.when})"
    default = parameter.default
    if isinstance(default, bool):
        return gui.add_checkbox(label, value, hint=hint)
    if parameter.choices and isinstance(default, str):
        return gui.add_dropdown(label, parameter.choices, initial_value=value, hint=hint)
    if isinstance(default, (list, str)) or parameter.words:
        return gui.add_text(label, to_text(value), hint=hint)
    if parameter.low is None or parameter.when != LIVE:
        # A parameter such as a target, which may have any sign. The number beside a greyed slider
        # would not be greyed.
        return gui.add_number(label, value, min=parameter.low, max=parameter.high, hint=hint)
    top, step = slider_range(parameter, value)
    return gui.add_slider(label, parameter.low, top, step, value, hint=hint)


def slider_range(parameter: Parameter, value: float) -> tuple[float, float]:
    """
    Return upper end and step of a slider that begins at the declared lower end.

    A range of many decades, such as that of a number of iterations from 1 to 10000, would leave no
    room for the usual values, so the slider ends earlier. It grows where its end is reached.
    """
    low, high = parameter.low, parameter.high
    wide = WIDE * abs(value) if value > low else low + 1.0
    top = 10.0 ** math.ceil(math.log10(max(wide, 1e-6)))
    if high is not None:
        top = high if low < 0.0 else min(top, high)
    if not parameter.is_float:
        return max(int(top), int(low) + 1), 1
    return float(top), 10.0 ** math.floor(math.log10((top - low) / STEPS))


def show_value(handle: Any, parameter: Parameter, value: Any) -> None:
    """Show a value in an input; the range of a slider follows it."""
    if isinstance(handle, viser.GuiTextHandle):
        value = to_text(value)
    if isinstance(handle, viser.GuiSliderHandle) and value >= handle.max:
        top, step = slider_range(parameter, value)
        if top > handle.max:
            handle.max, handle.step = top, step
    if handle.value != value:
        handle.value = value


def from_input(parameter: Parameter, value: Any) -> Any:
    """Return what the node is asked for; raise ConfigurationError if a text is no number."""
    if isinstance(parameter.default, list):
        return [item for item in (item.strip() for item in value.split(";")) if item]
    if isinstance(value, str) and parameter.is_float and value not in parameter.words:
        with contextlib.suppress(ValueError):
            return float(value)
        raise ConfigurationError(
            f"parameter '{parameter.name}' is {value!r}, allowed: {parameter.allowed}"
        )
    return value


def to_text(value: Any) -> str:
    """Return a value for a text input; the items of a list are joined by semicolons."""
    return "; ".join(value) if isinstance(value, list) else str(value)
