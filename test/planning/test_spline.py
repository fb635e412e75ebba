# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem_planner_ros.planning.spline import ORDERS, Spline

splines = st.builds(Spline, st.integers(1, 60), st.sampled_from(ORDERS), st.integers(1, 15))


def sequence(spline, cell, knots):
    first, weights = spline.basis(cell)
    return sum(weights[:, k] * knots[first + k] for k in range(weights.shape[1]))


@given(spline=splines, cell=st.integers(0, 1000), seed=st.integers(0, 99))
def test_a_sequence_stays_within_its_knots(spline, cell, seed):
    knots = np.random.default_rng(seed).uniform(-1, 1, spline.knots)
    values = sequence(spline, cell, knots)
    assert values.shape == (spline.horizon,)
    assert values.min() >= knots.min() - 1e-6
    assert values.max() <= knots.max() + 1e-6


@given(spline=splines, cell=st.integers(0, 100), step=st.integers(0, 40))
def test_a_sequence_seen_from_a_later_cell_is_the_same(spline, cell, step):
    """Knots moved by whole spacings and the basis of the new cell give the old actions."""
    early = np.random.default_rng(0).standard_normal(500)
    origin = cell // spline.spacing
    later = (cell + step) // spline.spacing - origin
    before = sequence(spline, cell, early[: spline.knots])
    after = sequence(spline, cell + step, early[later : later + spline.knots])
    overlap = max(0, spline.horizon - step)
    np.testing.assert_allclose(after[:overlap], before[step:], atol=1e-6)


def test_orders_hold_interpolate_and_round():
    knots = np.array([0.0, 1.0, 0.0, 0.0, 0.0])
    assert list(sequence(Spline(4, 0, 2), 0, knots)) == [0.0, 0.0, 1.0, 1.0]
    np.testing.assert_allclose(sequence(Spline(4, 1, 2), 0, knots), [0.25, 0.75, 0.75, 0.25])
    smooth = sequence(Spline(8, 3, 4), 0, knots)
    assert np.abs(np.diff(smooth, 2)).max() < 0.1


def test_spacing_one_of_order_zero_is_no_spline():
    assert Spline(30, 0, 1).knots == 30


@pytest.mark.parametrize("order", ORDERS)
def test_a_long_horizon_has_few_knots(order):
    assert Spline(100, order, 10).knots <= 11 + order
