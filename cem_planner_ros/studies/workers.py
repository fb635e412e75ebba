# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Runs tasks here, or in processes that are started for it.

A task is a plain function with its arguments, so that any worker may run it, and again if it dies.
"""

from __future__ import annotations

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Any, Protocol

MOST_DEATHS = 2
"""Workers that may die of one task, while they run nothing else, until the task is given up."""


class WorkerDiedError(RuntimeError):
    """Workers died whenever they ran a task."""


@dataclass(frozen=True)
class WorkerTask:
    """
    A call of a function that can be pickled.

    Attributes:
        key: what tells it apart, for whoever asked for it.
        function, arguments: the call.
        deaths: workers that died while they ran this task alone.
        is_suspect: whether a worker died while it ran this task, or another one at the same time.
    """

    key: Hashable
    function: Callable[..., Any]
    arguments: tuple = ()
    deaths: int = 0
    is_suspect: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a task: the value that it returned, or else the error that it raised."""

    task: WorkerTask
    value: Any = None
    error: Exception | None = None


Queue = collections.deque[WorkerTask]


class Workers(Protocol):
    """What runs tasks; a context manager."""

    def __enter__(self) -> Workers: ...

    def __exit__(self, *reason) -> None: ...

    def run(self, queue: Queue) -> Iterator[Outcome]:
        """
        Run the tasks of a queue, and yield the outcomes in the order in which they come.

        Tasks may be added to the queue between two outcomes; those on the left are begun first.
        """


class Here:
    """Runs one task after the other in this process."""

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *reason) -> None:
        pass

    def run(self, queue: Queue) -> Iterator[Outcome]:
        """Run the tasks of a queue; see `Workers.run`."""
        while queue:
            task = queue.popleft()
            try:
                value = task.function(*task.arguments)
            except Exception as error:  # A plugin may raise anything.
                yield Outcome(task, error=error)
            else:
                yield Outcome(task, value)


class Processes:
    """
    Runs tasks in processes, which are spawned.

    When a process dies, those beside it are started anew too, and all tasks that were running are
    run again, one at a time. A task of which its process dies then is given up after MOST_DEATHS.

    Args:
        count: number of processes.
    """

    def __init__(self, count: int):
        self._count = count
        self._others = multiprocessing.active_children()
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind, *reason) -> None:
        if self._pool is None:
            return
        if kind is not None:  # Nobody waits for what is running.
            for process in set(multiprocessing.active_children()) - set(self._others):
                process.terminate()
        self._pool.shutdown(cancel_futures=True)
        self._pool = None

    def run(self, queue: Queue) -> Iterator[Outcome]:
        """Run the tasks of a queue; see `Workers.run`."""
        running: dict[concurrent.futures.Future, WorkerTask] = {}
        suspects = Queue()
        while queue or running or suspects:
            lost = []
            while not suspects and queue and len(running) < self._count:
                self._start(queue.popleft(), running, lost)
            if suspects and not running:
                self._start(suspects.popleft(), running, lost)
            done, _ = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                task, error = running.pop(future), future.exception()
                if isinstance(error, BrokenProcessPool):
                    lost.append(task)
                elif error is not None:
                    yield Outcome(task, error=error)
                else:
                    yield Outcome(task, future.result())
            if not lost:
                continue
            # The pool is broken: what else it runs will not end.
            lost += running.values()
            running.clear()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            for task in lost:
                deaths = task.deaths + task.is_suspect
                if deaths == MOST_DEATHS:
                    text = f"its process died {deaths} times, while it ran nothing else"
                    yield Outcome(task, error=WorkerDiedError(text))
                else:
                    suspects.append(replace(task, deaths=deaths, is_suspect=True))

    def _start(self, task: WorkerTask, running: dict, lost: list[WorkerTask]) -> None:
        if self._pool is None:
            self._pool = concurrent.futures.ProcessPoolExecutor(
                self._count, multiprocessing.get_context("spawn"), _begin
            )
        try:
            running[self._pool.submit(task.function, *task.arguments)] = task
        except BrokenProcessPool:
            lost.append(task)


def _begin() -> None:
    """Prepare a process: Ctrl-C is for the process that waits for it, whose end is its own too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that ended."""
    multiprocessing.parent_process().join()
    os._exit(1)


def local(jobs: int) -> Workers:
    """Return workers on this machine: `jobs` processes, or this process for one job."""
    return Here() if jobs == 1 else Processes(jobs)


def in_order(
    workers: Workers, function: Callable[..., Any], calls: Iterable[tuple]
) -> Iterator[Any]:
    """
    Yield what a function returns for each of some arguments, in their order.

    Raises the error of the first call that raised one.
    """
    queue = Queue(WorkerTask(index, function, arguments) for index, arguments in enumerate(calls))
    count, found = len(queue), {}
    outcomes = workers.run(queue)
    for index in range(count):
        while index not in found:
            outcome = next(outcomes)
            found[outcome.task.key] = outcome
        outcome = found.pop(index)
        if outcome.error is not None:
            raise outcome.error
        yield outcome.value
