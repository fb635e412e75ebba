# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Recorded runs on the page, and their periods planned again; without a browser."""

import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("viser")

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning import recorded_run, task
from cem_planner_ros.learning.recorded_run import RecordedRun
from cem_planner_ros.learning.recording import BagWriter
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.view.replay import Replay
from cem_planner_ros.view.replay_page import ReplayPage

FILE = share("config") / "cartpole.yaml"
PERIOD = 0.02
PERIODS = 8


@pytest.fixture(scope="module")
def configuration():
    small = {"planner.device": "cpu", "planner.samples": 64, "planner.backend": "eager"}
    return configure(load_yaml(FILE) | small, str(FILE))


@pytest.fixture(scope="module")
def run_file(configuration, tmp_path_factory):
    """A run that a planner has recorded: the cart-pole begins to swing up."""
    planner = configuration.planner()
    recording = planner.record()
    state, action = np.array([0.0, 0.0, np.pi, 0.0]), np.zeros(1)
    for index in range(PERIODS):
        plan = planner.plan(state, 5.0 + index * PERIOD, action)
        action = plan.action_at(5.0 + index * PERIOD)
        state = planner.predict(plan, state)[1]
    file = tmp_path_factory.mktemp("run") / "run.npz"
    recording.save(file)
    return file


@pytest.fixture(scope="module")
def run(run_file, configuration):
    return recorded_run.from_planner(run_file, configuration)


@pytest.fixture(scope="module")
def replay(run, configuration):
    return Replay(run, configuration)


def test_a_run_has_its_periods_and_plans(run, configuration):
    assert run.times == pytest.approx(np.arange(PERIODS) * PERIOD)
    assert run.states.shape == (PERIODS, 4)
    horizon = configuration.values["planner.horizon"]
    assert all(plan.actions.shape == (horizon, 1) for plan in run.plans)
    for time, plan in zip(run.times, run.plans, strict=True):
        assert plan.edges[0] == pytest.approx(time)


def test_the_recorded_plan_has_a_cost_by_term_and_predicted_states(replay, configuration):
    shown = replay.recorded(3)
    assert list(shown.terms) == list(configuration.costs)
    assert shown.states[0] == pytest.approx(replay.run.states[3], abs=1e-6)
    assert len(shown.states) == configuration.values["planner.horizon"] + 1


def test_a_period_planned_again_is_as_good_as_the_recorded_plan(replay):
    """The search begins with the plan before it, so it can hardly be worse."""
    for index in (4, PERIODS - 1):
        recorded, made = replay.recorded(index), replay.again(index)
        cost, before = (sum(each.terms.values()) for each in (made.prediction, recorded))
        assert cost < 1.1 * before
        assert len(made.terms) == made.candidates.costs.size
        sums = [sum(terms.values()) for terms in made.terms]
        assert sums == pytest.approx(made.candidates.costs, rel=1e-3)


def test_other_parameters_give_another_plan_and_wrong_ones_a_reason(run, configuration):
    replay, answers = Replay(run, configuration), []
    same = replay.again(5).prediction.plan
    replay.set_parameters({"action.high.force": 2.0, "action.low.force": -2.0}, answers.append)
    assert replay.is_changed
    assert np.abs(replay.again(5).prediction.plan.actions).max() <= 2.0
    assert np.abs(same.actions).max() > 2.0
    replay.set_parameters({"planner.elites": 5000}, answers.append)
    assert answers[0] == {}
    assert "planner.elites" in answers[1]["planner.elites"]
    assert np.abs(replay.again(5).prediction.plan.actions).max() <= 2.0


def test_the_page_shows_periods_and_plans_them_again(replay, tmp_path):
    page = ReplayPage(replay, port=0, save_to=tmp_path)
    try:
        page.show(PERIODS + 10)
        page.plan_again()
        page.panel.tuning.ask("running.weight.theta", 0.5)
        page.plan_again()
        assert replay.is_changed
        page.panel.save()
        assert load_yaml(tmp_path / "planner_1.yaml")["running.weight.theta"] == 0.5
    finally:
        page.close()
        replay.set_parameters({"running.weight.theta": 1.0}, lambda reasons: None)


def test_a_run_plays_on_where_a_plugin_fails(replay, monkeypatch, wait_until):
    shown = []

    def recorded(index):
        shown.append(index)
        raise RuntimeError("the plugin has failed")

    monkeypatch.setattr(replay, "recorded", recorded)
    page = ReplayPage(replay, port=0)
    try:
        page.play(True)
        wait_until(lambda: len(set(shown)) > 1)
        assert "the plugin has failed" in page.said
    finally:
        page.close()


@pytest.fixture(scope="module")
def bag(run, tmp_path_factory):
    """A function that writes the run as a bag, with or without its plans; returns the folder."""
    typesys = pytest.importorskip("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    types, made = store.types, task.load(FILE)
    channels = {
        "topics": {**made.topics, "plan": "/cem_planner/plan"},
        "types": {**made.types, "plan": "std_msgs/msg/Float64MultiArray"},
    }

    def table(plan):
        columns = np.column_stack((plan.edges - plan.edges[0], plan.actions[[*range(30), -1]]))
        dimension, layout = (
            types[f"std_msgs/msg/MultiArray{name}"] for name in ("Dimension", "Layout")
        )
        sizes = (("step", len(columns)), ("time,force", 2))
        dim = [dimension(label=label, size=size, stride=0) for label, size in sizes]
        message = types["std_msgs/msg/Float64MultiArray"](
            layout=layout(dim=dim, data_offset=0), data=columns.ravel()
        )
        return bytes(store.serialize_cdr(message, message.__msgtype__))

    def write(has_plans):
        folder = tmp_path_factory.mktemp("bag") / "bag"
        with BagWriter(folder, replace(made, **channels)) as writer:
            for time, state, plan in zip(100.0 + run.times, run.states, run.plans, strict=True):
                writer.state(time, state)
                writer.command(time + 0.001, plan.actions[0])
                if has_plans:
                    writer.write("plan", time + 0.002, table(plan))
        return folder

    return write


def test_a_bag_has_a_period_for_each_command_with_its_plan(bag, run, configuration):
    found = recorded_run.from_bag(bag(True), FILE, configuration)
    # What was in force before the first command is not known.
    assert found.times == pytest.approx(np.arange(PERIODS - 1) * PERIOD, abs=1e-6)
    assert found.states == pytest.approx(run.states[1:], abs=1e-6)
    assert found.previous[:, 0] == pytest.approx([p.actions[0, 0] for p in run.plans[:-1]])
    for plan, expected in zip(found.plans, run.plans[1:], strict=True):
        assert plan.actions == pytest.approx(expected.actions)
    assert Replay(found, configuration).again(2).candidates.costs.size


@pytest.mark.parametrize("commands", [[1.0], [1.0, np.nan, np.nan], [np.nan, 1.0, np.nan]])
def test_a_bag_without_two_commands_in_a_row_is_refused(tmp_path, configuration, commands):
    pytest.importorskip("rosbags")
    with BagWriter(tmp_path / "bag", task.load(FILE)) as writer:
        for index, command in enumerate(commands):
            writer.state(100.0 + index, np.zeros(4))
            writer.command(100.1 + index, np.array([command]))
    with pytest.raises(ConfigurationError, match="no command after a state and another command"):
        recorded_run.from_bag(tmp_path / "bag", FILE, configuration)


def test_a_bag_without_plans_says_so_and_is_planned_again(bag, configuration):
    found = recorded_run.from_bag(bag(False), FILE, configuration)
    assert any("no plans" in note for note in found.notes)
    replay = Replay(found, configuration)
    assert replay.recorded(3) is None
    assert np.isfinite(replay.again(3).prediction.plan.cost)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--run", "--bag"])
def test_the_command_serves_a_recorded_run_until_ctrl_c(
    option, bag, run_file, tmp_path, wait_until
):
    source = run_file if option == "--run" else bag(True)
    log, errors = tmp_path / "log", tmp_path / "errors"
    command = [sys.executable, "-m", "cem_planner_ros", "view", option, source]
    command += ["--params-file", FILE, "--port", "0"]
    with log.open("w") as out, errors.open("w") as err:
        view = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
    try:
        wait_until(lambda: log.read_text().endswith("\n") or view.poll() is not None)
        what, _, address = log.read_text().strip().partition(" are at ")
        assert what.startswith(f"{PERIODS - (option == '--bag')} periods of 0.1 s")
        with urllib.request.urlopen(address) as page:
            assert page.status == 200
        view.send_signal(signal.SIGINT)
        assert view.wait(120.0) == 130
        assert errors.read_text().strip() == ""
    finally:
        view.kill()


def test_a_run_without_a_description_is_refused(tmp_path, configuration):
    file = tmp_path / "run.npz"
    names = ("time", "state", "previous_action", "applied", "actions")
    columns = {name: [0.0] for name in names}
    np.savez(file, planner="{}", **columns)
    with pytest.raises(ConfigurationError, match=r"run\.npz' cannot be read"):
        recorded_run.from_planner(file, configuration)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", None])
def test_files_that_are_no_runs_are_refused(tmp_path, configuration, content):
    file = tmp_path / "run.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"run\.npz"):
        recorded_run.from_planner(file, configuration)


def test_a_run_of_another_model_is_refused(run_file):
    other = configure(load_yaml(share("config") / "pendulum.yaml") | {"planner.device": "cpu"})
    with pytest.raises(ConfigurationError, match=r"states x, x_dot.*pendulum|angle|theta"):
        recorded_run.from_planner(run_file, other)


class Loop:
    """A robot that drives a path which crosses itself, and a wall beside it."""

    CORNERS = np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (2.0, 2.0), (2.0, -2.0)])

    def __init__(self):
        file = share("config") / "drive.yaml"
        small = {"device": "cpu", "samples": 32, "elites": 8, "backend": "eager"}
        small |= {"horizon": 12, "iterations": 1}
        small = {f"planner.{name}": value for name, value in small.items()}
        self.configuration = configure(load_yaml(file) | small, str(file))
        self.path = ReferencePath.through(self.CORNERS)
        places = np.arange(0.0, 10.5, 0.2)
        along = self.path.along(places)
        yaw = np.arctan2(along[:, 1], along[:, 0])
        speeds = np.tile([0.4, 0.0], (len(places), 1))
        states = np.column_stack((self.path.at(places), yaw, speeds))
        cells = np.zeros((100, 100), np.int8)
        cells[:, 70] = 100  # At x = 4.5 m.
        costmap = Costmap(cells, 0.1, Pose(-2.5, -5.0, 0.0), 0.0)
        known = Surroundings(goal=Pose(2.0, -2.0, 0.0), path=self.path, costmap=costmap)
        times = 0.5 * np.arange(len(places))
        plans = [None] * len(places)
        run = RecordedRun(times, states, speeds, speeds, plans, [], 1e9, [known] * len(places))
        self.replay = Replay(run, self.configuration)

    def place(self, index):
        """Return where the path's cost sees the robot when a period is planned again, m."""
        self.replay.again(index)
        return self.configuration.costs["path"].progress.place


def test_a_robot_that_drives_is_planned_again_with_what_it_knew():
    loop, answers = Loop(), []
    last = len(loop.replay.run.times) - 1
    # It drives down the last leg, at the place where it drove along the first one.
    assert loop.place(last) == pytest.approx(0.2 * last, abs=0.05)
    assert loop.place(3) == pytest.approx(0.6, abs=0.05)
    # It sees the wall, until the weight is taken away.
    beside = int(np.argmax(loop.replay.run.states[:, 0]))
    before = loop.replay.again(beside)
    loop.replay.set_parameters({"obstacles.weight": 0.0}, answers.append)
    assert answers == [{}]
    without = loop.replay.again(beside)
    assert max(terms["obstacles"] for terms in before.terms) > 0.0
    assert max(terms["obstacles"] for terms in without.terms) < max(
        terms["obstacles"] for terms in before.terms
    )
