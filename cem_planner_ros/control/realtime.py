"""What a process may ask of the operating system and of Python to be on time."""

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
    """Settings that are undone in the end; what the system refuses is told, and left out."""

    def __init__(self, warn: Callable[[str], None]):
        super().__init__()
        self._warn = warn

    def attempt(self, name: str, action: Callable[[], object], back: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, AttributeError, ValueError) as error:
            self._warn(f"'realtime.{name}' is not possible here and left out: {error}")
        else:
            self.callback(back)


@contextlib.contextmanager
def thread_settings(
    *, priority: int = 0, cpus: Collection[int] = (), warn: Callable[[str], None]
) -> Iterator[None]:
    """
    Run the calling thread, and those that it starts, with these settings; undo them afterwards.

    What the system refuses is told to `warn`, and left out.

    Args:
        priority: of SCHED_FIFO; 0 leaves the scheduler as it is.
        cpus: on which the thread runs; all if empty.
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
        lock_memory: keep the process's memory from being swapped out.
        freeze_garbage: Python's collector does not look at what exists now, nor starts by itself.
        switch_interval: s after which a Python thread has to let another run.
        warn: called with a line for each setting that is refused.
    """
    with _Undo(warn) as undo:
        if lock_memory:
            undo.attempt("lock_memory", _lock_memory, lambda: ctypes.CDLL(None).munlockall())
        if switch_interval is not None:
            undo.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(switch_interval)
        if freeze_garbage:
            # With torch imported a full collection takes 0.1 s.
            gc.collect()
            gc.freeze()
            gc.disable()
            undo.callback(gc.unfreeze)
            undo.callback(gc.enable)
        yield


def outrank(warn: Callable[[str], None]) -> None:
    """
    Put the calling thread above the one that started it, if that runs under SCHED_FIFO.

    If the system refuses, it is told to `warn`.
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
