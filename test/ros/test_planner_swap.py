# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Which planners take over from one that controls."""

from types import SimpleNamespace

import pytest

from cem_planner_ros.ros import planner_swap
from cem_planner_ros.ros.planner_swap import PlannerSwap


def ready(iteration_time, least_share):
    return SimpleNamespace(
        configuration=SimpleNamespace(values={"budget_fraction": 0.8, "control_rate": 20.0}),
        iteration_time=iteration_time,
        planner=SimpleNamespace(execution=SimpleNamespace(least_share=least_share)),
    )


@pytest.mark.parametrize(
    ("iteration_time", "least_share", "takes_over"),
    [(0.03, 1.0, True), (0.05, 1.0, False), (0.05, 1 / 16, True), (0.8, 1 / 16, False)],
)
def test_an_iteration_that_a_deadline_can_end_need_not_fit_as_a_whole(
    iteration_time, least_share, takes_over, monkeypatch, wait_until
):
    made, taken, said = ready(iteration_time, least_share), [], []
    monkeypatch.setattr(planner_swap, "make_planner", lambda values, before: made)
    table = SimpleNamespace(current=dict, differs_from=lambda configuration: False, active=False)
    swap = PlannerSwap(table, SimpleNamespace(error=said.append), taken.append)
    before = ready(0.01, 1.0)
    swap.begin(before)

    def done():
        swap.look(before, SimpleNamespace(needs_another_device=False))
        return not swap.is_making

    wait_until(done)
    swap.close()
    assert taken == ([made] if takes_over else [])
    assert bool(said) is not takes_over
