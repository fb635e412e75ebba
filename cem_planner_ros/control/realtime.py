# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Settings of the operating system and of Python for punctual threads."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Callable, Collection, Iterator

MCL_CURRENT, MCL_FUTURE = 1, 2
"""Flags of mlockall (sys/mman.h)."""


class _Undo(contextlib.ExitStack):
    """Settings that are undone at the end. Refused settings are reported and skipped."""

    def __init__(self, warn: Callable[[str], None]):
        super().__init__()
        self._warn = warn

    def attempt(self, name: str, action: Callable[[], object], back: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, AttributeError, ValueError) as error:
            self._warn(f"'realtime.{name}' is not possible here and is not used: {error}")
        else:
            self.callback(back)


@contextlib.contextmanager
def thread_settings(
    *, priority: int = 0, cpus: Collection[int] = (), warn: Callable[[str], None]
) -> Iterator[None]:
    """
    Run the calling thread, and threads that it starts, with these settings; undo them at the end.

    What the system refuses is told to `warn`, and left out.

    Args:
        priority: priority under SCHED_FIFO; 0 keeps the present scheduler.
        cpus: cores on which the thread runs; all if empty.
        warn: called with a line for each setting that is refused.
    """
    with _Undo(warn) as undo:
        if cpus:
            before = os.sched_getaffinity(0)
            undo.attempt(
                "cpus",
                lambda: os.sched_setaffinity(0, cpus),
                lambda: os.sched_setaffinity(0, before),
            )
        if priority:
            undo.attempt(
                "priority",
                lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority)),
                lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
            )
        yield


@contextlib.contextmanager
def process_settings(
    *,
    lock_memory: bool = False,
    freeze_garbage: bool = False,
    switch_interval: float | None = None,
    warn: Callable[[str], None],
) -> Iterator[None]:
    """
    Run the process with these settings; undo them afterwards.

    What the system refuses is told to `warn`, and left out.

    Args:
        lock_memory: whether the memory of the process must not be swapped out.
        freeze_garbage: whether Python's garbage collector ignores the present objects and does not
            start by itself.
        switch_interval: time after which a Python thread must let another one run, s.
        warn: called with a line for each setting that is refused.
    """
    with _Undo(warn) as undo:
        if lock_memory:
            undo.attempt("lock_memory", _lock_memory, lambda: ctypes.CDLL(None).munlockall())
        if switch_interval is not None:
            undo.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(switch_interval)
        if freeze_garbage:
            # A full collection takes 0.1 s when PyTorch is imported.
            gc.collect()
            gc.freeze()
            gc.disable()
            undo.callback(gc.unfreeze)
            undo.callback(gc.enable)
        yield


def outrank(warn: Callable[[str], None]) -> None:
    """
    Raise the calling thread above the thread that started it, if that is under SCHED_FIFO.

    If the system refuses, `warn` is called.
    """
    try:
        if os.sched_getscheduler(0) != os.SCHED_FIFO:
            return
        priority = os.sched_getparam(0).sched_priority + 1
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, AttributeError, ValueError) as error:
        warn(f"the watchdog cannot have a higher 'realtime.priority' than the planner: {error}")


def _lock_memory() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
