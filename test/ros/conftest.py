# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import pytest

try:
    from diagnostic_msgs.msg import DiagnosticArray
    from std_msgs.msg import Float64MultiArray

    from cem_planner_ros.control.ladder import STATUSES
    from cem_planner_ros.control.tick import CAUSES
    from cem_planner_ros.ros.diagnostics import STATISTICS
except ImportError:  # See test/conftest.py.
    pass


class StateSource:
    """Publishes a standing state at 50 Hz while it is on."""

    def __init__(self, observer):
        self.publisher = observer.node.create_publisher(Float64MultiArray, "state", 1)
        self.data = [0.0, 0.0, 0.0, 0.0]
        self.on = True
        observer.node.create_timer(0.02, self._publish)

    def _publish(self):
        if self.on:
            self.publisher.publish(Float64MultiArray(data=self.data))


class Statistics:
    """What `~/statistics` said."""

    def __init__(self, observer):
        self.messages = observer.listen(Float64MultiArray, "/cem_planner/statistics")

    def values(self, label):
        """All values of a label so far."""
        index = STATISTICS.index(label)
        return [message.data[index] for _, message in list(self.messages)]

    @property
    def status(self):
        return STATUSES[int(self.values("status")[-1])] if self.messages else None

    @property
    def cause(self):
        return CAUSES[int(self.values("cause")[-1])] if self.messages else None


@pytest.fixture
def unhurried():
    """Parameters with which a node keeps up on a machine that is busy with other things."""
    return {"control_rate": 5.0, "max_state_age": 2.0, "max_plan_age": 2.0}


@pytest.fixture
def states(observer):
    return StateSource(observer)


@pytest.fixture
def statistics(observer):
    return Statistics(observer)


@pytest.fixture
def newest(observer, wait_until):
    """A function to the next diagnostic values, by key, with level and message."""
    seen = observer.listen(DiagnosticArray, "/diagnostics")

    def wait_for_newest():
        count = len(seen)
        wait_until(lambda: len(seen) > count)
        status = seen[-1][1].status[0]
        values = {value.key: value.value for value in status.values}
        return values | {"level": status.level, "message": status.message}

    return wait_for_newest
