# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch

from cem_planner_ros.planning import cross_entropy

ONE = torch.tensor(1.0)


def fit(candidates, cost, elites, weighting="elites", temperature=ONE):
    index, weight = cross_entropy.select(cost, weighting, elites, temperature)
    return cross_entropy.refit(candidates[..., index], weight)


def test_mean_and_std_are_those_of_the_cheapest_with_one_over_k():
    candidates = torch.randn(3, 2, 50)
    cost = torch.randn(50)
    mean, std = fit(candidates, cost, 10)
    best = candidates.numpy()[..., np.argsort(cost.numpy())[:10]]
    np.testing.assert_allclose(mean, best.mean(-1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(std, best.std(-1, ddof=0), rtol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_an_invalid_candidate_is_never_an_elite(bad):
    candidates = torch.arange(10.0)
    cost = torch.arange(10.0)
    cost[:4] = bad
    mean, std = fit(candidates, cost, 3)
    assert mean.item() == 5.0
    assert std.item() == pytest.approx(np.std([4, 5, 6]), rel=1e-5)


def test_fewer_valid_candidates_than_elites_all_count_and_no_other_does():
    cost = torch.full((10,), float("nan"))
    cost[[2, 8]] = torch.tensor([1.0, 100.0])
    mean, std = fit(torch.arange(10.0), cost, 5)
    assert (mean.item(), std.item()) == (5.0, 3.0)


@pytest.mark.parametrize("weighting", cross_entropy.WEIGHTINGS)
def test_without_a_valid_candidate_no_weight_is_given(weighting):
    cost = torch.tensor([math.nan, math.inf, -math.inf])
    _, weight = cross_entropy.select(cost, weighting, 2, ONE)
    assert not weight.any()


@pytest.mark.parametrize("weighting", cross_entropy.WEIGHTINGS)
def test_weights_sum_to_one_and_fall_with_the_cost(weighting):
    cost = torch.randn(50)
    cost[7] = math.nan
    index, weight = cross_entropy.select(cost, weighting, 10, ONE)
    assert weight.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (weight[1:] <= weight[:-1] + 1e-7).all()
    assert index[0] == torch.where(torch.isnan(cost), math.inf, cost).argmin()


def test_softmax_is_that_of_mppi():
    cost = torch.tensor([3.0, 1.0, 2.0])
    index, weight = cross_entropy.select(cost, "softmax", 1, torch.tensor(0.5))
    expected = torch.softmax(-cost / 0.5, 0)
    torch.testing.assert_close(weight, expected[index])


@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e30])
def test_softmax_bears_any_scale_of_the_cost(spread):
    _, weight = cross_entropy.select(spread * torch.randn(20), "softmax", 1, ONE)
    assert torch.isfinite(weight).all()
    assert weight.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_rank_weights_are_logarithmic():
    weights = cross_entropy.rank_weights(3)
    raw = [math.log(3.5 / i) for i in (1, 2, 3)]
    assert weights == pytest.approx([value / sum(raw) for value in raw])


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


@pytest.mark.parametrize("weighting", ["elites", "rank"])
def test_minimize_finds_the_bottom_of_a_curved_valley(weighting):
    found = cross_entropy.minimize(
        rosenbrock,
        torch.tensor([-1.0, 2.0]),
        torch.ones(2),
        samples=500,
        elites=50,
        iterations=100,
        weighting=weighting,
        std_min=0.02,
        generator=torch.Generator().manual_seed(0),
    )
    assert found.best_cost < 1e-2
    torch.testing.assert_close(found.mean, torch.ones(2), atol=0.1, rtol=0)


def test_minimize_bears_an_objective_that_is_mostly_undefined():
    def objective(x):
        return torch.where(x[0] > 1.0, x[0] ** 2, math.nan)

    found = cross_entropy.minimize(
        objective,
        torch.zeros(1),
        torch.ones(1),
        samples=100,
        elites=50,
        iterations=30,
        generator=torch.Generator().manual_seed(0),
    )
    assert found.best[0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("threshold", "exact"), [(4.753424, 1e-6), (2.326348, 1e-2)])
def test_a_rare_event_has_the_probability_of_the_exact_gaussian_tail(threshold, exact):
    def direction(x):
        return x.sum(0) / math.sqrt(len(x))

    mean, std = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    estimates = [
        cross_entropy.rare_event(
            direction, mean, std, threshold, generator=torch.Generator().manual_seed(seed)
        )
        for seed in range(20)
    ]
    for found in estimates:
        assert found.standard_error < 0.05 * exact
        assert abs(found.probability - exact) < 5 * found.standard_error
    # The standard errors are honest: about two thirds lie within one of them.
    within = [abs(found.probability - exact) < found.standard_error for found in estimates]
    assert 7 <= sum(within) <= 19


def test_a_threshold_that_is_never_reached_is_said_so():
    with pytest.raises(RuntimeError, match="not the threshold 9"):
        cross_entropy.rare_event(
            lambda x: torch.tanh(x[0]), torch.zeros(1), torch.ones(1), 9.0, max_levels=3
        )


def minimized(objective, **options):
    settings = {"samples": 100, "elites": 10, "iterations": 3} | options
    generator = torch.Generator().manual_seed(0)
    return cross_entropy.minimize(
        objective, torch.zeros(2), torch.ones(2), generator=generator, **settings
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_minimize_says_it_when_no_candidate_has_a_cost(value):
    with pytest.raises(RuntimeError, match="NaN or infinite for all 300 candidates"):
        minimized(lambda x: torch.full(x.shape[-1:], value))


def test_minimize_says_how_many_candidates_had_no_cost():
    assert minimized(lambda x: (x**2).sum(0)).invalid_share == 0.0
    found = minimized(lambda x: torch.where(x[0] > 0.0, (x**2).sum(0), math.nan))
    assert 0.02 < found.invalid_share < 0.6
    # One that is valid in a later iteration only is found.
    calls = iter([math.nan, math.inf, 1.0])
    assert minimized(lambda x: next(calls) * (x**2).sum(0)).invalid_share == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"mean": torch.tensor([math.nan])}, "NaN, infinite or below 0"),
        ({"std": torch.tensor([-1.0])}, "NaN, infinite or below 0"),
        ({"std": torch.tensor([math.inf])}, "NaN, infinite or below 0"),
        ({"std": torch.ones(2)}, r"std has shape \(2,\)"),
        ({"iterations": 0}, "iterations is 0, allowed: at least 1"),
        ({"elites": 11}, "elites is 11, allowed"),
        ({"temperature": math.nan}, "temperature is nan, allowed: above 0"),
        ({"objective": lambda x: x.sum()}, r"objective returned shape \(\), expected \(10,\)"),
    ],
)
def test_minimize_refuses_what_cannot_be(arguments, text):
    given = {"objective": lambda x: x[0] ** 2, "mean": torch.zeros(1), "std": torch.ones(1)}
    given |= {"samples": 10, "elites": 2, "iterations": 2} | arguments
    with pytest.raises(ValueError, match=text):
        cross_entropy.minimize(**given)


def rare(performance, threshold=2.0, **options):
    mean, std = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    return cross_entropy.rare_event(
        performance, mean, std, threshold, generator=generator, **options
    )


def test_a_performance_that_is_nan_everywhere_is_said_and_no_probability_of_zero():
    with pytest.raises(RuntimeError, match="all 10000 samples is NaN after 0 levels"):
        rare(lambda x: x[0] * math.nan)
    # Where the levels climb to.
    with pytest.raises(RuntimeError, match=r"likelihood|NaN after [1-9]|not the threshold"):
        rare(lambda x: torch.where(x[0] > 1.5, math.nan, x[0]), max_levels=5)


def test_where_the_performance_is_nan_the_event_does_not_happen():
    """Half of the tail counts, though most samples have no performance."""
    found = rare(lambda x: torch.where(x[0] < 0.5, math.nan, x[0]))
    exact = 0.5 * math.erfc(2.0 / math.sqrt(2.0))
    assert abs(found.probability - exact) < 5 * found.standard_error
    assert found.nan_share < 0.2
    assert rare(lambda x: x[0]).nan_share == 0.0


def test_infinite_performances_are_above_and_below_every_threshold():
    exact = 0.5 * math.erfc(2.0 / math.sqrt(2.0))
    for function in (
        lambda x: torch.where(x[0] > 2.0, math.inf, x[0]),
        lambda x: torch.where(x[0] < 0.0, -math.inf, x[0]),
        lambda x: torch.where(x[0] > 2.0, math.inf, -math.inf * torch.ones_like(x[0])),
    ):
        found = rare(function, quantile=0.02)
        assert abs(found.probability - exact) < 5 * found.standard_error + 1e-12
    with pytest.raises(RuntimeError, match="reached -inf, not the threshold"):
        rare(lambda x: -math.inf * torch.ones_like(x[0]), max_levels=3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"threshold": math.nan}, "threshold is nan"),
        ({"quantile": 0.0}, "quantile is 0.0, allowed"),
        ({"performance": lambda x: x}, r"performance returned shape \(1, 10000\), expected"),
    ],
)
def test_a_rare_event_that_cannot_be_is_refused(options, text):
    with pytest.raises(ValueError, match=text):
        rare(**{"performance": lambda x: x[0]} | options)
