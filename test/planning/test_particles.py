# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import pytest

from cem_planner_ros.planning.particles import Particles


@pytest.mark.parametrize(("share", "members", "tail"), [(0.07, 100, 7), (0.4, 5, 2), (0.41, 5, 3)])
def test_the_tail_is_the_share_of_the_members_rounded_up(share, members, tail):
    assert Particles(risk="cvar", cvar_alpha=share).tail(members) == tail
