# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Exceptions in transitions that end control: the plant is stopped all the same."""

import pytest
from std_msgs.msg import Float64MultiArray

SAFE = [0.125, 0.0]


class Broken:
    """Stands for a method: raises on its first `times` calls, and is itself after that."""

    def __init__(self, method, times):
        self.method, self.times = method, times

    def __call__(self, *arguments):
        if self.times:
            self.times -= 1
            raise RuntimeError("it broke inside")
        return self.method(*arguments)


@pytest.mark.parametrize(
    ("transition", "method", "times", "after"),
    [
        ("deactivate", "_send_safe", 1, "unconfigured"),
        ("deactivate", "_stop_control", 1, "unconfigured"),
        ("active_shutdown", "destroy_publisher", 1, "unconfigured"),
        ("active_shutdown", "_release", 1, "unconfigured"),
        # The second one is in `on_error`: nothing can be done but to end.
        ("active_shutdown", "_release", 2, "finalized"),
    ],
)
def test_the_safe_command_goes_out_whatever_breaks_inside(
    node, observer, states, wait_until, capfd, transition, method, times, after
):
    commands = observer.listen(Float64MultiArray, "command")
    made = node()
    made.autostart()
    wait_until(lambda: commands and list(commands[-1][1].data) != SAFE)
    setattr(made, method, Broken(getattr(made, method), times))
    assert not observer.transition(transition)
    assert "RuntimeError: it broke inside" in capfd.readouterr().err
    assert observer.lifecycle() == after
    wait_until(lambda: list(commands[-1][1].data) == SAFE)
    if after == "finalized":
        for name in ("configure", "activate", "deactivate", "cleanup"):
            assert not observer.transition(name)
        assert observer.lifecycle() == "finalized"
        return
    assert observer.transition("configure")
    assert observer.transition("activate")
    wait_until(lambda: list(commands[-1][1].data) != SAFE)
