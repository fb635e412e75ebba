import numpy as np
import pytest

from cem_planner_ros.planning import noise


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("length", [1, 2, 30, 101])
def test_every_step_has_unit_variance_and_the_correlation_of_the_theory(beta, length):
    factor = noise.factor(length, beta)
    covariance = factor @ factor.T
    np.testing.assert_allclose(np.diag(covariance), 1.0, atol=1e-12)
    np.testing.assert_allclose(covariance[0], noise.autocorrelation(length, beta), atol=1e-6)
    np.testing.assert_array_equal(np.triu(factor, 1), 0.0)


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
