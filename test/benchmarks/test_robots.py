"""Walking robots as benchmarks: their rewards, and the published iCEM beside this package."""

import json

import numpy as np
import pytest
import torch

from cem_planner_ros.benchmarks import bench_robots
from cem_planner_ros.benchmarks.gym_tasks import (
    FALLEN,
    TASKS,
    RunForward,
    RunHopper,
    StandUp,
    episode,
)
from cem_planner_ros.benchmarks.icem import ICEM, PublishedSettings, coloured
from cem_planner_ros.cli import bench_command
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.planning.settings import Search

NOW = torch.tensor(0.0)


class Robot(Dynamics):
    """A body in a plane, and how high it stands."""

    state_names, action_names = ("rootx", "rootz", "rooty", "root_z"), ("a", "b")
    action_low, action_high, action_units = (-1.0, -1.0), (1.0, 1.0), ("", "")

    def step(self, state, action, dt):
        return state


def column(*numbers):
    return torch.tensor(numbers)[:, None]


def test_running_is_rewarded_by_speed_and_charged_for_effort():
    cost = RunForward(Robot())
    before, after, action = (
        column(1.0, 0.0, 0.0, 0.0),
        column(1.1, 0.0, 3.0, 0.0),
        column(1.0, -0.5),
    )
    expected = 0.1 / 0.05 - 0.1 * 1.25
    assert cost.stage(after, action, action, NOW, before).item() == pytest.approx(-expected)


@pytest.mark.parametrize(
    ("height", "pitch", "stands"), [(1.2, 0.1, True), (0.6, 0.1, False), (1.2, -0.3, False)]
)
def test_a_hopper_is_rewarded_while_it_stands(height, pitch, stands):
    cost = RunHopper(Robot())
    before, after, action = (
        column(0.0, 1.2, 0.0, 0.0),
        column(0.008, height, pitch, 0.0),
        column(1.0, 1.0),
    )
    reward = 1.0 - 2e-3 + stands
    assert cost.has_fallen(after).item() == (not stands)
    assert cost.reward(after, action, before).item() == pytest.approx(reward, rel=1e-5)
    planned = cost.stage(after, action, action, NOW, before).item()
    assert planned == pytest.approx((0.0 if stands else FALLEN) - reward, rel=1e-5)


def test_standing_up_is_rewarded_by_height():
    cost = StandUp(Robot())
    reward = cost.reward(column(0.0, 0.0, 0.0, 0.6), column(0.4, 0.2), column(0.0, 0.0, 0.0, 0.1))
    assert reward.item() == pytest.approx(0.6 / 0.003 - 0.1 * 0.2 + 1.0)


@pytest.mark.parametrize("beta", [0.0, 0.25, 2.0])
@pytest.mark.parametrize("length", [1, 2, 9, 30])
def test_the_noise_of_icem_has_unit_variance_and_the_spectrum_of_its_exponent(beta, length):
    noise = coloured(np.random.default_rng(0), beta, (4000, length))
    assert noise.var() == pytest.approx(1.0, rel=0.1)
    power = (np.abs(np.fft.rfft(noise)) ** 2).mean(0)
    frequency = np.arange(1, (length - 1) // 2 + 1)
    if len(frequency) > 1:
        inner = power[frequency]
        np.testing.assert_allclose(inner / inner[0], frequency**-beta, rtol=0.15)


def test_icem_divides_its_rollouts_over_iterations():
    assert PublishedSettings().populations() == [42, 32, 26]
    assert sum(PublishedSettings(rollouts=300).populations()) == 300
    assert PublishedSettings(rollouts=30).populations() == [20, 20, 20]


def test_icem_finds_the_best_action():
    counts = []

    def score(state, samples):
        counts.append(len(samples))
        return ((samples - [0.4, -0.5]) ** 2).sum((1, 2))

    low, high = np.array([-1.0, -1.0]), np.array([1.0, 1.0])
    controller = ICEM(score, low, high, PublishedSettings(horizon=5), seed=0)
    for _ in range(20):
        action = controller.act(np.zeros(1))
        assert (low <= action).all()
        assert (action <= high).all()
    np.testing.assert_allclose(action, [0.4, -0.5], atol=0.2)
    assert counts == 20 * [42, 32, 26]


def test_the_preset_has_as_many_rollouts_as_allowed():
    for rollouts in bench_robots.BUDGETS:
        for settings in (bench_robots.preset(), {}):
            samples = bench_robots.samples_within(rollouts, settings)
            total = [
                sum(search.population(i) for i in range(search.iterations))
                for search in (Search(samples=n, **settings) for n in (samples, samples + 1))
            ]
            assert total[0] <= rollouts < total[1]


@pytest.mark.filterwarnings("ignore:compiler attribute 'settotalmass'")
@pytest.mark.parametrize("name", TASKS)
def test_robots_begin_as_in_gymnasium_and_move_when_they_act(name):
    pytest.importorskip("mujoco")
    pytest.importorskip("gymnasium")
    task = TASKS[name]
    actions = len(task.model().action_names)
    still, again, moved, other = (
        episode(task, lambda state, time, a=action: np.full(actions, a), 5, seed)
        for action, seed in ((0.0, 0), (0.0, 0), (0.3, 0), (0.0, 1))
    )
    assert still == again
    assert len({still, moved, other}) == 3


@pytest.mark.filterwarnings("ignore:compiler attribute 'settotalmass'")
def test_bench_quality_compares_methods_on_robots(monkeypatch, tmp_path, capsys):
    pytest.importorskip("mujoco")
    pytest.importorskip("gymnasium")
    monkeypatch.setattr(bench_robots, "STEPS", {"Hopper": 2})
    monkeypatch.setattr(bench_robots, "BUDGETS", (60,))
    monkeypatch.setattr(bench_robots, "HORIZON", 4)
    file = tmp_path / "rows.json"
    parser = bench_command.argparse.ArgumentParser()
    bench_command.add_arguments(parser)
    words = ["quality", "--suite", "robots", "--task", "Hopper", "--quick", "--json", str(file)]
    assert bench_command.run(parser.parse_args(words)) == 0
    rows = json.loads(file.read_text())["rows"]
    assert [row["method"] for row in rows] == ["preset", "defaults", "icem"]
    for row in rows:
        assert (row["task"], row["rollouts"], row["seeds"], row["steps"]) == ("Hopper", 60, 2, 2)
        assert row["samples"] <= 60
        assert -10.0 < row["cost"]["mean"] < 0.0
    assert "Hopper 60 rollouts icem" in capsys.readouterr().out
    words = ["quality", "--suite", "robots", "--task", "cartpole"]
    with pytest.raises(
        bench_command.ConfigurationError, match=r"'cartpole', allowed .*HalfCheetah"
    ):
        bench_command.run(parser.parse_args(words))
