# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.planning import noise


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("length", [1, 2, 30, 101])
def test_every_step_has_unit_variance_and_the_correlation_of_the_theory(beta, length):
    factor = noise.factor(length, beta)
    covariance = factor @ factor.T
    np.testing.assert_allclose(np.diag(covariance), 1.0, atol=1e-12)
    np.testing.assert_allclose(covariance[0], noise.autocorrelation(length, beta), atol=1e-6)
    np.testing.assert_array_equal(np.triu(factor, 1), 0.0)


@settings(max_examples=12)
@given(
    length=st.one_of(st.integers(1, 300), st.integers(1000, 10_000)),
    beta=st.floats(0.0, 8.0),
    where=st.floats(0.0, 1.0),
)
def test_the_autocorrelation_is_that_of_the_spectrum_at_any_length(length, beta, where):
    found = noise.autocorrelation(length, beta)
    assert found.shape == (length,)
    assert found[0] == pytest.approx(1.0, abs=1e-12)
    for lag in {round(where * (length - 1)), length - 1}:
        exact = oracle.autocorrelation(length, beta, [0, lag])[1]
        assert found[lag] == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("beta", [0.5, 2.0, 8.0])
def test_noise_over_thousands_of_steps_keeps_its_law(beta):
    length = 1500
    factor = noise.factor(length, beta)
    covariance = factor @ factor[[0, 700, -1]].T
    correlation = noise.autocorrelation(length, beta)
    for column, step in enumerate((0, 700, length - 1)):
        lags = np.abs(np.arange(length) - step)
        np.testing.assert_allclose(covariance[:, column], correlation[lags], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(factor, axis=1), 1.0, atol=1e-12)


def test_beta_zero_is_white():
    np.testing.assert_allclose(noise.factor(50, 0.0), np.eye(50), atol=1e-6)


def test_each_action_has_its_own_exponent():
    factors = noise.factors(20, (0.0, 2.0), 2)
    np.testing.assert_allclose(factors[0], np.eye(20), atol=1e-6)
    np.testing.assert_array_equal(factors[1], noise.factor(20, 2.0))
    assert noise.factors(20, 0.0, 2) is None


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_the_spectrum_falls_with_the_exponent(beta):
    length = 512
    white = np.random.default_rng(0).standard_normal((length, 2000))
    series = noise.factor(length, beta) @ white
    window = np.hanning(length)[:, None]
    power = (np.abs(np.fft.rfft(window * series, axis=0)) ** 2).mean(1)
    frequency = np.fft.rfftfreq(length)
    inner = slice(8, 200)
    slope = np.polyfit(np.log(frequency[inner]), np.log(power[inner]), 1)[0]
    assert slope == pytest.approx(-beta, abs=0.1)
