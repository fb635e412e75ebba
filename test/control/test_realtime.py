# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import gc
import os
import sys
import threading

import pytest

from cem_planner_ros.control import realtime as module
from cem_planner_ros.control.realtime import outrank, process_settings, thread_settings


def test_what_is_asked_for_holds_inside_and_is_undone():
    before = os.sched_getaffinity(0), sys.getswitchinterval()
    one = min(before[0])
    warnings = []
    with (
        thread_settings(cpus={one}, warn=warnings.append),
        process_settings(freeze_garbage=True, switch_interval=0.001, warn=warnings.append),
    ):
        assert os.sched_getaffinity(0) == {one}
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        assert sys.getswitchinterval() == pytest.approx(0.001)
    assert (os.sched_getaffinity(0), sys.getswitchinterval()) == before
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert warnings == []


def test_what_the_system_refuses_is_told_and_left_out(monkeypatch):
    def refuse(*arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(module, "_lock_memory", refuse)
    warnings = []
    with (
        thread_settings(priority=50, cpus={4000}, warn=warnings.append),
        process_settings(lock_memory=True, warn=warnings.append),
    ):
        assert len(warnings) == 3
    for name in ("realtime.priority", "realtime.cpus", "realtime.lock_memory"):
        assert any(name in line for line in warnings)
    assert sum("not permitted" in line for line in warnings) == 2


def test_it_is_undone_also_when_the_loop_ends_with_an_error():
    with pytest.raises(RuntimeError), process_settings(freeze_garbage=True, warn=print):
        raise RuntimeError("the loop ended")
    assert gc.isenabled()


def test_a_thread_beside_the_loop_can_be_put_above_it():
    priorities = []

    def look():
        outrank(warnings.append)
        priorities.append(os.sched_getparam(0).sched_priority)

    warnings = []
    with thread_settings(priority=40, warn=warnings.append):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    if warnings:
        pytest.skip(f"no real-time priorities here: {warnings[0]}")
    assert priorities == [41]


def test_without_a_priority_there_is_nothing_to_outrank():
    outrank(pytest.fail)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_watchdog_that_cannot_be_put_above_is_told(monkeypatch):
    def refuse(*arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_getscheduler", lambda pid: os.SCHED_FIFO)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    warnings = []
    outrank(warnings.append)
    assert "watchdog" in warnings[0]
