# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Workers: order, errors, tasks that are added, and processes that die."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
import worker_tasks

from cem_planner_ros.studies.workers import (
    Here,
    Processes,
    Queue,
    WorkerDiedError,
    WorkerTask,
    in_order,
)


def outcomes(workers, *tasks):
    """Return {key: outcome} of tasks."""
    with workers:
        return {outcome.task.key: outcome for outcome in workers.run(Queue(tasks))}


def test_results_come_in_the_order_of_the_calls():
    calls = [(value,) for value in range(6)]
    with Processes(2) as workers:
        assert list(in_order(workers, worker_tasks.double, calls)) == [0, 2, 4, 6, 8, 10]
    assert list(in_order(Here(), worker_tasks.double, calls)) == [0, 2, 4, 6, 8, 10]


def test_the_error_of_a_call_is_raised_where_its_result_would_be():
    found = in_order(Here(), worker_tasks.fail, [("no such thing",)])
    with pytest.raises(ValueError, match="no such thing"):
        next(found)


def test_tasks_may_be_added_and_the_first_of_the_queue_is_next():
    queue, seen = Queue([WorkerTask("a", worker_tasks.double, (1,)), WorkerTask("z", int)]), []
    for outcome in Here().run(queue):
        seen.append(outcome.task.key)
        if outcome.task.key == "a":
            queue.appendleft(WorkerTask("b", worker_tasks.double, (2,)))
    assert seen == ["a", "b", "z"]


def test_what_a_killed_process_did_is_done_again_and_a_killer_is_given_up(tmp_path):
    found = outcomes(
        Processes(2),
        WorkerTask("killer", worker_tasks.die),
        WorkerTask("victim", worker_tasks.die_once, (str(tmp_path), 3)),
        *(WorkerTask(index, worker_tasks.double, (index,)) for index in range(4)),
    )
    assert isinstance(found.pop("killer").error, WorkerDiedError)
    assert found.pop("victim").value == 3
    assert {key: outcome.value for key, outcome in found.items()} == {0: 0, 1: 2, 2: 4, 3: 6}


START = """
import sys
sys.path.insert(0, sys.argv[1])
import worker_tasks
from cem_planner_ros.studies.workers import Processes, Queue, WorkerTask
with Processes(2) as workers:
    tasks = [WorkerTask(file, worker_tasks.hold, (file,)) for file in sys.argv[2:]]
    list(workers.run(Queue(tasks)))
"""


def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path, wait_until):
    files = [tmp_path / "a", tmp_path / "b"]
    words = [sys.executable, "-c", START, str(Path(worker_tasks.__file__).parent), *files]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as starter:
        wait_until(lambda: all(f.exists() and f.read_text() == "held" for f in files), 120.0)
        starter.kill()
    for file in files:
        with file.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # The end of a process unlocks its files.
