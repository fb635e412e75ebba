# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.record import replay
from cem_planner_ros.planning.search import truncated
from cem_planner_ros.planning.settings import Search


def noise_of_the_kernel(cartpole, plan=0, iteration=0, **options):
    """Return the noise (P, N) that a kernel drew: the candidates without bounds."""
    model, costs = cartpole
    planner = Planner(
        model, costs, low=[-1e6], high=[1e6], std_initial=1e-6, std_min=1e-6, **options
    )
    uses = torch.zeros(4, planner.search.injected, dtype=torch.bool)
    iterations = range(iteration, iteration + 1)
    planner.execution.run(uses, plan, iterations)
    return planner.execution.candidates[:, 0].clone()


def test_the_kernels_noise_is_standard_normal_and_independent(cartpole):
    noise = noise_of_the_kernel(cartpole, samples=8192, horizon=31, noise_beta=0.0).double()
    count = noise.numel()
    assert noise.mean().abs() < 4 / math.sqrt(count)
    assert (noise.var() - 1).abs() < 4 * math.sqrt(2 / count)
    assert (noise**3).mean().abs() < 4 * math.sqrt(15 / count)
    assert ((noise**4).mean() - 3).abs() < 4 * math.sqrt(96 / count)
    # Kolmogorov and Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand.
    ordered = torch.sort(noise.flatten()).values
    steps = torch.arange(1, count + 1) / count
    assert (torch.special.ndtr(ordered) - steps).abs().max() < 1.95 / math.sqrt(count)
    correlation = torch.corrcoef(noise) - torch.eye(len(noise))
    assert correlation.abs().max() < 5 / math.sqrt(noise.shape[1])
    across = torch.corrcoef(noise[:, :200].T) - torch.eye(200)
    assert across.abs().max() < 5.5 / math.sqrt(len(noise))


def test_the_kernels_noise_is_coloured_as_told(cartpole):
    from cem_planner_ros.planning.noise import autocorrelation

    noise = noise_of_the_kernel(cartpole, samples=8192, horizon=20, noise_beta=2.0)
    np.testing.assert_allclose(
        torch.corrcoef(noise)[0], autocorrelation(20, 2.0), atol=5 / math.sqrt(8192)
    )
    np.testing.assert_allclose(noise.var(1), 1.0, atol=0.08)


def test_seed_plan_and_iteration_make_the_noise_and_nothing_else(cartpole):
    options = {"samples": 200, "horizon": 8}
    first = noise_of_the_kernel(cartpole, **options)
    assert torch.equal(first, noise_of_the_kernel(cartpole, threads=2, **options))
    for other in ({"plan": 1}, {"iteration": 1}, {"seed": 1}):
        different = noise_of_the_kernel(cartpole, **options, **other)
        assert (different == first).float().mean() < 0.01


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_how_often_it_was_called_off_does_not_change_later_noise(cartpole, backend):
    """The noise of a plan does not depend on how many iterations the plans before had."""
    model, costs = cartpole
    sent = []
    for first_iterations in (1, 4):
        planner = Planner(
            model,
            costs,
            backend=backend,
            **{"samples": 64, "elites": 8, "keep": 0.0, "inject_mean": "never"},
            inject_best=False,
        )
        planner.plan(np.ones(4), 0.0, iterations=first_iterations)
        # An earlier time forgets the last plan; the numbers of plans go on.
        sent.append(planner.plan(np.ones(4), -1.0).actions)
    np.testing.assert_array_equal(*sent)


@pytest.mark.parametrize(
    ("samples", "modes", "elites"),
    [
        (1024, 1, 64),
        (512, 1, 32),
        (1024, 4, 16),
        (100, 1, 10),
        (40, 1, 10),
        (12, 1, 6),
        (3, 1, 1),
        (10**5, 1, 512),
    ],
)
def test_the_elites_are_a_share_of_the_candidates_with_a_floor(samples, modes, elites):
    assert Search(samples=samples, modes=modes).elites == elites
    assert Search(samples=samples, modes=modes, elites=1).elites == 1


class Wall(Cost):
    """Two equally good ways: the action may be 0.7 or -0.7, not between."""

    def stage(self, state, action, previous_action, time):
        return (torch.abs(action[0]) - 0.7) ** 2


class Stay(Dynamics):
    state_names = ("x",)
    action_names = ("a",)
    action_low = (-1.0,)
    action_high = (1.0,)
    action_units = ("",)

    def step(self, state, action, dt):
        return state


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_modes_and_the_best_candidate_do_not_average_two_ways(backend):
    model = Stay()
    for options in ({"modes": 4, "elites": 4}, {"execute": "best"}):
        planner = Planner(
            model,
            [Wall(model)],
            backend=backend,
            **{"samples": 256, "elites": 16, "horizon": 1, "iterations": 4} | options,
        )
        plan = planner.plan(np.zeros(1), 0.0)
        assert abs(plan.actions[0, 0]) == pytest.approx(0.7, abs=0.15)


@pytest.mark.parametrize("backend", ["eager", "compile"])
@pytest.mark.parametrize("execute", ["mean", "best"])
def test_rate_limits_hold_from_the_action_in_force_on(cartpole, backend, execute):
    model, costs = cartpole
    planner = Planner(
        model, costs, samples=64, elites=8, rate=[10.0], dt=0.1, backend=backend, execute=execute
    )
    plan = planner.plan(np.array([0.0, 0.0, 3.0, 0.0]), 0.0, np.array([4.0]))
    changes = np.diff(np.concatenate(([4.0], plan.actions[:, 0])))
    assert np.abs(changes).max() <= 1.0 + 1e-4


def test_truncated_noise_stays_inside_and_keeps_its_shape():
    noise = torch.randn(100_000)
    inside = truncated(noise, torch.tensor(-0.5), torch.tensor(1.5))
    assert inside.min() >= -0.5
    assert inside.max() <= 1.5
    assert inside.std() < 0.6
    wide = truncated(noise, torch.tensor(-9.0), torch.tensor(9.0))
    torch.testing.assert_close(wide, noise, atol=1e-2, rtol=0)


def test_the_population_decays_to_its_floor():
    search = Search(samples=100, elites=10, decay=1.25)
    assert [search.population(i) for i in (0, 1, 2, 9)] == [100, 80, 64, 20]


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_modes_keep_both_of_two_ways(backend):
    model = Stay()
    planner = Planner(
        model, [Wall(model)], backend=backend, modes=6, samples=600, elites=10, horizon=1
    )
    for tick in range(20):
        planner.plan(np.zeros(1), 0.05 * tick)
        found = planner.candidates()
        actions = found.actions[0, 0][found.costs < 1e-3]
        assert actions.min() < -0.6
        assert actions.max() > 0.6


@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_a_recorded_run_is_planned_again_bit_for_bit(cartpole, tmp_path, backend):
    model, costs = cartpole
    options = {"samples": 64, "elites": 8, "modes": 2, "keep": 0.3, "backend": backend}
    planner = Planner(model, costs, **options)
    planner.plan(np.ones(4), 0.0)
    recording = planner.record()
    for tick in range(5):
        planner.plan(np.ones(4) * tick, 0.03 * tick, iterations=tick + 1)
    recording.save(tmp_path / "run.npz")
    assert len(recording) == 5
    again = Planner(model, costs, **options)
    assert list(replay(again, tmp_path / "run.npz")) == [0.0] * 5
    model.set("pole_mass", 0.3)
    assert replay(again, tmp_path / "run.npz").max() > 0.0
    with pytest.raises(ConfigurationError, match="seed 0, this planner has 1"):
        replay(Planner(model, costs, seed=1, **options), tmp_path / "run.npz")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decay", 0.5),
        ("weighting", "foo"),
        ("execute", "median"),
        ("momentum", 2.0),
        ("std_initial", math.nan),
        ("keep", -1.0),
        ("knot_spacing", 0),
        ("noise_beta", (1.0, -2.0)),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=f"'planner.{name}' is .*allowed"):
        Search(**{name: value})


class Nothing(Cost):
    def stage(self, state, action, previous_action, time):
        return torch.zeros_like(state[0])


@pytest.mark.parametrize("backend", ["eager", "compile"])
@pytest.mark.parametrize("noise_beta", [0.0, 2.0])
@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 0.300), (0.05, 0.285), (0.36, 0.192), (1.0, 0.0)]
)
def test_where_nothing_costs_the_control_cost_draws_the_mean_to_zero(
    backend, noise_beta, share, expected
):
    """The weights make samples around u those around u (1 - gamma / temperature)."""
    model = Stay()
    planner = Planner(
        *(model, [Nothing(model)]),
        **{"samples": 20_000, "elites": 10, "iterations": 1, "horizon": 2, "dt": 0.1},
        **{"weighting": "softmax", "temperature": 2.0, "control_cost": 2.0 * share},
        **{
            "low": [-4.0],
            "high": [4.0],
            "std_initial": 0.1,
            "noise_beta": noise_beta,
            "keep": 0.0,
            "inject_best": False,
        },
        **{"inject_mean": "never", "execute": "mean", "backend": backend},
    )
    planner.adopt(Plan(0.1 * np.arange(3), np.full((2, 1), 0.3), 0.0, 1, 0.0))
    np.testing.assert_allclose(planner.plan(np.zeros(1), 0.0).actions, expected, atol=0.03)
