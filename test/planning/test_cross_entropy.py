import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cem_planner_ros.planning import cross_entropy

FLOOR = torch.tensor(0.0)


def refit(candidates, cost, elites, std_min=FLOOR):
    shape = candidates.shape[:-1]
    mean, std = torch.full(shape, 7.0), torch.full(shape, 3.0)
    return cross_entropy.refit(candidates, cost, elites, mean, std, std_min)


def test_mean_and_std_are_those_of_the_cheapest_with_one_over_k():
    candidates = torch.randn(3, 2, 50)
    cost = torch.randn(50)
    mean, std = refit(candidates, cost, 10)
    best = candidates.numpy()[..., np.argsort(cost.numpy())[:10]]
    np.testing.assert_allclose(mean, best.mean(-1), rtol=1e-5)
    np.testing.assert_allclose(std, best.std(-1, ddof=0), rtol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_an_invalid_candidate_is_never_an_elite(bad):
    candidates = torch.arange(10.0)
    cost = torch.arange(10.0)
    cost[:4] = bad
    mean, std = refit(candidates, cost, 3)
    assert mean.item() == 5.0
    assert std.item() == pytest.approx(np.std([4, 5, 6]), rel=1e-5)


def test_fewer_valid_candidates_than_elites_all_count_and_no_other_does():
    cost = torch.full((10,), float("nan"))
    cost[[2, 8]] = torch.tensor([1.0, 100.0])
    mean, std = refit(torch.arange(10.0), cost, 5)
    assert (mean.item(), std.item()) == (5.0, 3.0)


def test_without_a_valid_candidate_the_distribution_stays():
    mean, std = refit(torch.randn(4, 10), torch.full((10,), float("nan")), 5)
    assert mean.eq(7.0).all()
    assert std.eq(3.0).all()


def test_std_keeps_its_floor():
    _, std = refit(torch.zeros(4, 10), torch.arange(10.0), 5, torch.tensor(0.25))
    assert std.eq(0.25).all()


@given(
    low=st.floats(-1e3, 1e3),
    width=st.floats(1e-3, 1e3),
    mean=st.floats(-1e4, 1e4),
    std=st.floats(0.0, 1e4),
    seed=st.integers(0, 2**31),
)
def test_no_candidate_leaves_its_bounds(low, width, mean, std, seed):
    noise = torch.randn(3, 2, 20, generator=torch.Generator().manual_seed(seed))
    low, high = torch.tensor([[low]]), torch.tensor([[low]]) + width
    sequence = cross_entropy.sample(
        torch.full((3, 2), mean), torch.full((3, 2), std), noise, low, high
    )
    assert (sequence >= low).all()
    assert (sequence <= high).all()
