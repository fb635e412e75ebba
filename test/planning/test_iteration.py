"""Every executor against the NumPy oracle, for every setting of the search."""

import executors
import numpy as np
import oracle
import pytest

from cem_planner_ros.compile.cpp_execution import CppExecution
from cem_planner_ros.planning.execution import EagerExecution

SETTINGS = {
    "elites": {"weighting": "elites"},
    "rank": {"weighting": "rank"},
    "softmax": {"weighting": "softmax", "temperature": 3.0},
    "control cost": {"weighting": "softmax", "control_cost": 0.7, "noise_beta": 0.0},
    "control cost of coloured noise": {
        **{"weighting": "softmax", "control_cost": 0.5, "temperature": 0.5},
        **{"noise_beta": 1.5, "modes": 2, "explore": 0.2},
    },
    "control cost of elites": {"weighting": "elites", "control_cost": 0.3, "keep": 0.3},
    "momentum": {"momentum": 0.3},
    "keep": {"keep": 0.5},
    "explore": {"explore": 0.25},
    "truncate": {"sampling": "truncate", "std_initial": 2.0},
    "modes": {"modes": 3, "elites": 5},
    "cubic splines": {"knot_spacing": 4, "order": 3, "phase": 2},
    "linear splines": {"knot_spacing": 3, "order": 1, "phase": 1},
    "held knots": {"knot_spacing": 4, "phase": 3},
    "proposals": {"proposals": 3},
    "rate": {"rate": (2.0, np.inf)},
    "bounds narrowed past the action in force": {"low": (-1.0, -1.2), "rate": (2.0, 0.5)},
    "rate of splines": {"rate": (2.0, 3.0), "knot_spacing": 4, "order": 1},
    "lag": {"lag": (0.3, 0.0)},
    "all at once": {
        "weighting": "rank",
        "momentum": 0.1,
        "keep": 0.3,
        "explore": 0.1,
        "modes": 2,
        "knot_spacing": 3,
        "order": 1,
        "rate": (2.0, 3.0),
        "lag": (0.3, 0.1),
    },
}


@pytest.mark.parametrize("made_of", [EagerExecution, CppExecution])
@pytest.mark.parametrize("settings", SETTINGS)
def test_an_iteration_is_that_of_the_oracle(settings, made_of):
    given = executors.given(**SETTINGS[settings])
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
