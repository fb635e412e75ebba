# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Watches what plugins read while they are traced, and whether it has changed.

Compiled code reads tensors in memory, so it follows changes in place. Everything else is compiled
in: Python numbers, and which tensor an attribute refers to. What is read is therefore noted once,
and before each plan a `Watch` checks whether it is still the same.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import operator
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.planning.rollout import Rollout

_LARGEST_ARRAY = 4096
"""Largest size of a NumPy array that is compared before each plan, bytes."""

_FOREIGN = (
    *(str(Path(module.__file__).parent) for module in (torch, np)),
    *(__file__, "<frozen"),
)
"""Where functions stand that keep nothing of a plugin's; so do those of the standard library."""

_STANDARD, _INSTALLED = (sysconfig.get_path(name) for name in ("stdlib", "purelib"))


def _is_foreign(file: str) -> bool:
    is_standard = file.startswith(_STANDARD) and not file.startswith(_INSTALLED)
    return file.startswith(_FOREIGN) or (is_standard and "-packages" not in file)


_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_OPAQUE = (*_PLAIN, torch.Tensor, np.ndarray, torch.dtype, torch.device)
_BOUND = (types.BuiltinFunctionType, types.MethodType, types.MethodWrapperType)
_CODE = (types.FunctionType, types.MethodType, functools.partial)


_OF_MODULES = set(vars(torch.nn.Module())) - {"training"}
"""What PyTorch keeps in each module; parameters, buffers and submodules are noted as a whole."""


class ChangedError(Exception):
    """Something that is compiled in has changed; the text says what."""


class Watch:
    """
    What a function reads of plugins, noted in two calls: one for its code, one for objects.

    Raises UnsupportedError if something is read that cannot be watched.
    """

    def __init__(self, plugins: Iterable[object], function: Callable[[], object]):
        notes = _Notes(_called(function))
        with notes.reading(plugins):
            function()
        self._slots = notes.slots
        self._arrays = [(array, array.tobytes()) for array in notes.arrays.values()]
        for array, _ in self._arrays:
            if array.nbytes > _LARGEST_ARRAY:
                raise UnsupportedError(
                    f"a plugin reads a NumPy array of {array.nbytes} bytes in each step: make a "
                    "tensor of it in the constructor"
                )
        # All in a few calls of C: one by one it would take longer than a small plan.
        self._getters = [getter for getter, _, _ in self._slots]
        self._expected = [value for _, value, _ in self._slots]
        self.add(value for value in self._expected if isinstance(value, torch.Tensor))

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Watch the memory and the layout of more tensors."""
        known = {id(tensor): tensor for tensor in (*getattr(self, "_tensors", ()), *tensors)}
        self._tensors = list(known.values())
        self._places = [tensor.data_ptr() for tensor in self._tensors]
        self._wide = [tensor for tensor in self._tensors if tensor.ndim]
        self._shapes = _shapes(self._wide)

    def check(self) -> None:
        """Raise ChangedError if something that was read has changed."""
        try:
            found = [get() for get in self._getters]
        except _MISSING:
            found = ()
        if not (found and all(map(operator.is_, found, self._expected))):
            self._compare()
        if list(map(torch.Tensor.data_ptr, self._tensors)) != self._places:
            raise ChangedError("a tensor of a plugin lies elsewhere in memory")
        if _shapes(self._wide) != self._shapes:
            raise ChangedError("a tensor of a plugin has other strides or another shape")
        for array, before in self._arrays:
            if array.tobytes() != before:
                raise ChangedError("a NumPy array that a plugin reads in each step has changed")

    def outdated(self, name: str) -> str:
        """Return what changed that the execution `name` was compiled with, in words, or nothing."""
        try:
            self.check()
        except ChangedError as error:
            return (
                f"a plugin changes what the {name} was compiled with: {error}; change "
                "tensors in place (copy_, fill_), which are read anew for each plan"
            )
        return ""

    def _compare(self) -> None:
        """Look closer: an equal number is another object, and as good."""
        for index, (getter, before, name) in enumerate(self._slots):
            now = _call(getter)
            if now is before:
                continue
            are_plain = type(now) is type(before) and isinstance(now, _PLAIN)
            if not (are_plain and (now == before or (now != now and before != before))):
                raise ChangedError(f"{name} is {_words(now)}, and was {_words(before)}")
            self._expected[index] = now
            self._slots[index] = (getter, now, name)


def _shapes(tensors: list[torch.Tensor]) -> list[tuple[int, ...]]:
    """Return the sizes of tensors, and then their strides."""
    return [*map(torch.Tensor.size, tensors), *map(torch.Tensor.stride, tensors)]


_MISSING = (AttributeError, KeyError, IndexError, ValueError, TypeError)
"""Errors when something is read that no longer exists."""


def _call(getter: Callable[[], object]) -> object:
    try:
        return getter()
    except _MISSING:
        return _GONE


def watched(rollout: Rollout, device: torch.device | str) -> Watch:
    """Return a watch of what a model step and the terminal cost read of the plugins."""
    dynamics = rollout.dynamics.member or rollout.dynamics
    one = Rollout(dynamics, rollout.costs, rollout.dt)
    state = torch.zeros(len(dynamics.state_names), dynamics.members, device=device)
    action = torch.zeros(len(dynamics.action_names), dynamics.members, device=device)
    time = torch.ones((), device=device)

    @torch.no_grad()
    def read() -> None:
        one.terminal(one.step(state, action, action, action, time, time)[0])

    return Watch((dynamics, *rollout.costs), read)


def _dictionary(instance: object) -> dict[str, object]:
    """Return the attributes that an instance itself has; a class with slots may have none."""
    try:
        return object.__getattribute__(instance, "__dict__")
    except AttributeError:
        return {}


def _is_kept(value: object) -> bool:
    """Return whether an attribute of a class or a module is an object, not code or a descriptor."""
    return not (isinstance(value, _BOUND) or hasattr(type(value), "__get__"))


def _is_held(instance: object, kind: type, name: str, value: object) -> bool:
    """Return whether an instance, or its class, holds an attribute rather than computing it."""
    if name in _dictionary(instance):
        return True
    is_of_class = _is_kept(value) and any(name in vars(owner) for owner in kind.__mro__)
    computed = property, functools.cached_property
    return is_of_class and not isinstance(getattr(kind, name, None), computed)


class _Gone:
    def __repr__(self) -> str:
        return "not there"


_GONE = _Gone()


def _words(value: object) -> str:
    is_told = isinstance(value, (*_PLAIN, _Gone))
    return repr(value) if is_told else f"another {type(value).__name__}"


def _called(function: Callable[[], object]) -> dict[types.CodeType, dict]:
    """Return the code of plugins that runs in a call, and the variables of the module of each."""
    codes: dict[types.CodeType, dict] = {}

    def profile(frame: types.FrameType, event: str, argument: object) -> None:
        if event == "call" and not _is_foreign(frame.f_code.co_filename):
            codes[frame.f_code] = frame.f_globals

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # It may call functions that have nothing to do with the plugin.
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return codes


class _Notes:
    """
    What was read, as (how to read it again, what it was, its name).

    `codes` is the code that reads it, with the variables of the module of each. Reading from a
    module or a class cannot be noticed: its attributes that any of this code names are noted.
    """

    def __init__(self, codes: dict[types.CodeType, dict]):
        self._codes = codes
        self._names = {name for code in codes for name in code.co_names}
        self.slots: list[tuple[Callable[[], object], object, str]] = []
        self.arrays: dict[int, np.ndarray] = {}
        self._seen: set[tuple[int, object]] = set()
        self._visited: set[int] = set()
        self._swapped: list[tuple[object, type]] = []

    @contextlib.contextmanager
    def reading(self, plugins: Iterable[object]) -> Iterator[None]:
        """Note what is read of plugins, and of what they hold, meanwhile."""
        try:
            for plugin in plugins:
                # Methods may be written within functions, whose variables they keep.
                for owner in type(plugin).__mro__:
                    for value in vars(owner).values():
                        if isinstance(value, types.FunctionType):
                            self._closure(value)
                self._visit(plugin)
            for code, variables in self._codes.items():
                self._globals(code, variables)
            yield
        finally:
            for instance, kind in reversed(self._swapped):
                object.__setattr__(instance, "__class__", kind)

    def _globals(self, code: types.CodeType, variables: dict) -> None:
        """Note the variables of its module that code names."""
        for name in code.co_names:
            value = variables.get(name, _GONE)
            if isinstance(value, (types.ModuleType, type)):
                self._visit(value, name)
            elif value is not _GONE and not isinstance(value, types.BuiltinFunctionType):
                getter = functools.partial(variables.__getitem__, name)
                self._note(getter, value, name, (id(variables), name))

    def _attributes(self, holder: types.ModuleType | type, name: str) -> None:
        """Note the attributes of a module or a class that the code names."""
        if _is_foreign(str(getattr(holder, "__file__", ""))):
            return
        held = getattr(holder, "__dict__", {})
        for attribute in self._names & held.keys():
            value = held[attribute]
            if isinstance(value, (types.ModuleType, type)):
                self._visit(value, f"{name}.{attribute}")
            elif _is_kept(value):
                getter = functools.partial(getattr, holder, attribute)
                self._note(getter, value, f"{name}.{attribute}", (id(holder), attribute))

    def _note(self, getter: Callable, value: object, name: str, key: tuple) -> None:
        if key not in self._seen:
            self._seen.add(key)
            self.slots.append((getter, value, name))
            self._visit(value, name)

    def _visit(self, value: object, name: str = "") -> None:
        """Note what a value holds, or note later what of it is read."""
        if id(value) in self._visited:
            return
        if isinstance(value, np.ndarray):
            self.arrays[id(value)] = value
        if isinstance(value, _OPAQUE):
            return
        self._visited.add(id(value))
        if isinstance(value, (types.ModuleType, type)):
            self._attributes(value, name)
        elif isinstance(value, (list, tuple, dict, set, frozenset)):
            self._contents(value, name)
        elif isinstance(value, types.FunctionType):
            if not _is_foreign(value.__code__.co_filename):
                self._closure(value)
        elif isinstance(value, _CODE):
            held = (getattr(value, "__self__", None), getattr(value, "__func__", None))
            for part in (*held, getattr(value, "func", None), *getattr(value, "args", ())):
                self._visit(part, name)
        else:
            self._listen(value)

    def _contents(self, value: object, name: str) -> None:
        if not isinstance(value, (tuple, frozenset)):
            self.slots.append((functools.partial(len, value), len(value), f"the length of {name}"))
        if isinstance(value, dict):
            items = value.items()
        elif isinstance(value, (set, frozenset)):
            return
        else:
            items = enumerate(value)
        for key, item in items:
            getter = functools.partial(operator.getitem, value, key)
            self._note(getter, item, f"{name}[{key!r}]", (id(value), key))

    def _closure(self, function: types.FunctionType) -> None:
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            if name != "__class__":
                getter = functools.partial(getattr, cell, "cell_contents")
                self._note(getter, _call(getter), name, (id(cell), 0))

    def _listen(self, instance: object) -> None:
        """Give an object, for a while, a class that notes which of its attributes are read."""
        kind = type(instance)
        if kind.__module__.startswith("torch.utils."):
            return  # How arguments are nested, which never changes.
        ignored = _OF_MODULES if isinstance(instance, torch.nn.Module) else ()
        notes, plain = self, object.__getattribute__

        def read(this: object, name: str) -> object:
            value = kind.__getattribute__(this, name)
            is_ignored = name.startswith("__") or name in ignored
            if not is_ignored and _is_held(this, kind, name, value):
                getter = functools.partial(getattr, instance, name)
                notes._note(getter, value, f"{kind.__name__}.{name}", (id(this), name))
            return value

        try:
            listening = type(kind)(
                kind.__name__, (kind,), {"__slots__": (), "__getattribute__": read}
            )
            object.__setattr__(instance, "__class__", listening)
        except Exception:  # The class may do anything when one is derived from it.
            return  # Of C: what it holds cannot be looked at.
        self._swapped.append((instance, kind))
        if isinstance(instance, torch.nn.Module):
            for held in ("_parameters", "_buffers", "_modules"):
                self._visit(plain(instance, "__dict__")[held], f"{kind.__name__}.{held}")
