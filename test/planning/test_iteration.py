# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Every execution against the NumPy oracle, for every setting of the search."""

import executors
import numpy as np
import oracle
import pytest

from cem_planner_ros.compile.cpp_execution import CppExecution
from cem_planner_ros.planning.execution import EagerExecution


@pytest.mark.parametrize("made_of", [EagerExecution, CppExecution])
@pytest.mark.parametrize("settings", executors.SETTINGS)
def test_an_iteration_is_that_of_the_oracle(settings, made_of):
    given = executors.given(**executors.SETTINGS[settings])
    expected = oracle.iterate(
        given.task, given.oracle_belief, given.use.numpy(), given.noise.double().numpy()
    )
    assert np.isnan(expected.cost).any()
    execution = made_of(given.setup)
    cost, done = execution.run(given.use[None], 0, range(1), noise=given.noise)
    assert done == 1
    knots = execution.candidates[..., : cost.numel()]
    near = {"rtol": 2e-3, "atol": 2e-3}
    np.testing.assert_allclose(knots.reshape(expected.knots.shape), expected.knots, **near)
    np.testing.assert_allclose(cost, expected.cost, **near)
    belief = given.setup.belief
    for name in belief._fields:
        got, wanted = getattr(belief, name).numpy(), getattr(expected, name)
        np.testing.assert_allclose(got, wanted, **near, err_msg=name)
