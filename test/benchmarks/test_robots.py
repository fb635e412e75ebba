# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Walking robots as benchmarks: their rewards, and the published iCEM beside this package."""

import dataclasses
import importlib.util
import json

import numpy as np
import pytest
import torch

from cem_planner_ros.benchmarks import bench_robots, example_tasks, judo_tasks, robot_tasks
from cem_planner_ros.benchmarks.gym_tasks import TASKS, RunForward, RunHopper, StandUp
from cem_planner_ros.benchmarks.icem import ICEM, PublishedSettings, coloured
from cem_planner_ros.benchmarks.part import Progress
from cem_planner_ros.benchmarks.robot_tasks import FALLEN, episode, preset, samples_within
from cem_planner_ros.cli import bench_command
from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.mujoco import Mujoco
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
    for rollouts in bench_robots.ROLLOUTS:
        for settings in (preset(), {}):
            samples = samples_within(rollouts, settings)
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
    task = dataclasses.replace(TASKS[name], steps=5)
    actions = len(task.problem().nominal)
    still, again, moved, other = (
        episode(task, lambda state, time, a=action: np.full(actions, a), seed)
        for action, seed in ((0.0, 0), (0.0, 0), (0.3, 0), (0.0, 1))
    )
    assert still == again
    assert len({still, moved, other}) == 3


@pytest.fixture
def bench(monkeypatch):
    """Two steps of Hopper, and a function that runs `bench quality --suite robots` with words."""
    pytest.importorskip("mujoco")
    pytest.importorskip("gymnasium")
    task = dataclasses.replace(TASKS["Hopper"], steps=2)
    monkeypatch.setattr(bench_robots, "TASKS", {"Hopper": task})
    monkeypatch.setattr(bench_robots, "ROLLOUTS", (60, 80))
    monkeypatch.setattr(robot_tasks, "HORIZON", 4)
    parser = bench_command.argparse.ArgumentParser()
    bench_command.add_arguments(parser)
    words = ["quality", "--suite", "robots"]
    return lambda *more: bench_command.run(parser.parse_args([*words, *map(str, more)]))


@pytest.mark.filterwarnings("ignore:compiler attribute 'settotalmass'")
def test_bench_quality_compares_methods_on_robots(bench, tmp_path, capsys):
    file = tmp_path / "rows.json"
    assert bench("--task", "Hopper", "--quick", "--json", file) == 0
    rows = json.loads(file.read_text())["rows"]
    assert [row["method"] for row in rows] == ["preset", "defaults", "icem"]
    for row in rows:
        assert (row["task"], row["rollouts"], row["seeds"], row["steps"]) == ("Hopper", 60, 2, 2)
        assert row["samples"] <= 60
        assert -10.0 < row["cost"]["mean"] < 0.0
    assert "Hopper 60 rollouts icem" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:compiler attribute 'settotalmass'")
def test_bench_quality_measures_the_chosen_part(bench, tmp_path, capsys):
    file = tmp_path / "rows.json"
    bench("--method", "icem", "--rollouts", 90, "--seeds", 7, 9, "--json", file)
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["method"], row["rollouts"], row["seeds"]) == ("icem", 90, 2)
    costs = row["cost_of_seed"]
    assert list(costs) == ["7", "9"]
    assert row["cost"]["mean"] == pytest.approx(sum(costs.values()) / 2, abs=0.1)
    assert "icem, seed 9: 50 % done" in capsys.readouterr().err
    with pytest.raises(bench_command.ConfigurationError, match=r"'cartpole', allowed .*Hopper"):
        bench("--task", "cartpole")
    with pytest.raises(bench_command.ConfigurationError, match="0, allowed: from 1"):
        bench("--rollouts", 0)
    with pytest.raises(bench_command.ConfigurationError, match=r"'cem', allowed .*preset"):
        bench("--method", "cem")


@pytest.mark.filterwarnings("ignore:compiler attribute 'settotalmass'")
def test_a_benchmark_that_is_ended_leaves_its_rows(bench, monkeypatch, tmp_path):
    def ended(task, rollouts, seed):
        raise KeyboardInterrupt

    monkeypatch.setitem(bench_robots.METHODS, "icem", ended)
    file = tmp_path / "rows.json"
    with pytest.raises(KeyboardInterrupt):
        bench("--rollouts", 60, "--seeds", 0, "--json", file)
    assert [row["method"] for row in json.loads(file.read_text())["rows"]] == ["preset", "defaults"]


def test_progress_says_how_much_is_left(monkeypatch):
    clock = iter([0.0, 10.0, 600.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    said = []
    progress = Progress(said.append, total=100)
    for label, work in (("a", 20), ("b", 40), ("c", 40)):
        progress.run(label, work)
    assert said == ["a: 0 % done", "b: 20 % done, 40 s left", "c: 60 % done, 7 min left"]


class Chase(Cost):
    """The position, as an output and as a state, and 100 where the action changes."""

    reads_outputs = True

    def __init__(self, dynamics, *args, **options):
        super().__init__(dynamics, *args, **options)
        (self._x,) = rows_of(dynamics, "slide")
        (self._measured,) = rows_of(dynamics, "measured", outputs=True)

    def stage(self, signals, action, previous_action, time):
        changed = (action != previous_action).any(0)
        return 2.0 * signals[self._measured] - signals[self._x] + 100.0 * changed


def test_a_run_is_judged_by_costs_that_read_outputs_and_the_action_before(tmp_path):
    """The action changes once, from the nominal one; the output is the position."""
    pytest.importorskip("mujoco")
    file = tmp_path / "slide.xml"
    file.write_text(SLIDE)

    class Slide(robot_tasks.RobotTask):
        def problem(self):
            model = Mujoco({"file": str(file)})
            ones = np.ones(1)
            return robot_tasks.ControlProblem(
                model, [Chase(model)], 0.1, 5, 0.2, -ones, ones, 0.0 * ones
            )

        def preset(self, rollouts, seed):
            raise NotImplementedError

    def at_one(model, data, random):
        data.qpos[0] = 1.0

    positions = []

    def act(state, time):
        positions.append(state[0])
        return np.array([0.5])

    found = [episode(Slide(reset=at_one, steps=steps), act, 0) for steps in (4, 5)]
    _, *ends = positions[4:]  # Of the longer run; the cost is that of the end of each period.
    assert np.all(np.diff(positions[4:]) > 0.0)
    assert -found[0] == pytest.approx(100.0 + sum(ends), rel=1e-4)


SLIDE = """
<mujoco>
  <worldbody>
    <body>
      <joint name="slide" type="slide" axis="1 0 0" damping="1"/>
      <geom size="0.1" mass="0.01"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="slide" ctrlrange="-1 1"/></actuator>
  <sensor><jointpos name="measured" joint="slide"/></sensor>
</mujoco>
"""


@pytest.fixture(params=example_tasks.TASKS)
def example(request, monkeypatch):
    """The name of a robot of examples/robots, of which a run is short."""
    pytest.importorskip("mujoco")
    package = "mjlab" if request.param == "go1" else "judo"
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs the files of {package}")
    short = dataclasses.replace(example_tasks.TASKS[request.param], steps=2)
    monkeypatch.setitem(bench_robots.TASKS, request.param, short)
    return request.param


@pytest.mark.extras
def test_robots_of_the_examples_are_tasks_of_each_method(example):
    """Each method has the budget of the task; what it does counts."""
    task = bench_robots.TASKS[example]
    (rollouts,) = task.rollouts
    found = {}
    for method, make in bench_robots.METHODS.items():
        if bench_robots.has(method, example) and method not in ("defaults", "icem"):
            act, sizes = make(example, rollouts, 0)
            assert sizes["samples"] * sizes["iterations"] <= rollouts
            found[method] = episode(task, act, 0)
    assert np.isfinite(list(found.values())).all()
    assert len(set(found.values())) == len(found)


@pytest.mark.extras
def test_optimisers_of_judo_push_a_cylinder(monkeypatch):
    pytest.importorskip("mujoco")
    if not judo_tasks.is_installed():
        pytest.skip("needs judo with scipy and viser")
    task = dataclasses.replace(example_tasks.TASKS["cylinder_push"], steps=12)
    monkeypatch.setitem(bench_robots.TASKS, "cylinder_push", task)
    idle = episode(task, lambda state, time: state[:2], 0)
    for method in judo_tasks.OPTIMISERS:
        act, sizes = bench_robots.METHODS[method]("cylinder_push", 16, 0)
        assert (sizes["samples"], sizes["iterations"]) == (16, 1)
        assert episode(task, act, 0) > idle
