# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Studies over recorded runs, whose control periods are planned again."""

from dataclasses import replace

import numpy as np
import pytest

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning import task
from cem_planner_ros.learning.recorded_run import RecordedRun
from cem_planner_ros.learning.recording import BagWriter
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.studies import outcome, replanning, study_file
from cem_planner_ros.studies.episode import episode
from cem_planner_ros.studies.replanning import RecordedPart
from cem_planner_ros.studies.study import Study
from cem_planner_ros.studies.workers import Here

pytestmark = pytest.mark.timeout(600)

PERIOD, PERIODS = 0.1, 12
RECORDED = {"plant": "recording", "recording": "run.npz"}


@pytest.fixture(scope="module")
def driven(write):
    """Record a run beside the study; return (configuration, times, states, commands)."""
    file = write().with_name("small.yaml")
    configuration = configure(load_yaml(file), str(file))
    planner = configuration.planner()
    recording = planner.record()
    state, commands, states = np.array([1.0, -1.0, 0.0, 0.0]), [np.zeros(2)], []
    for index in range(PERIODS):
        plan = planner.plan(state, 7.0 + index * PERIOD, commands[-1])
        states.append(state)
        commands.append(plan.actions[0])
        state = planner.predict(plan, state)[1]
    recording.save(file.with_name("run.npz"))
    return configuration, 7.0 + PERIOD * np.arange(PERIODS), states, commands[1:]


@pytest.fixture(scope="module")
def recorded(write, driven):
    """Return a function that writes a study over the recorded run, and returns its file."""

    def file(*scenarios, **changes):
        given = {"scenarios": list(scenarios or [RECORDED]), "objectives": ["plan_cost"]}
        return write(**given | changes)

    return file


def test_todays_values_give_the_plans_of_the_run_and_their_costs(recorded, driven):
    configuration, _, _, commands = driven
    place = recorded().with_name("run.npz")
    part = replanning.load(str(place), configuration, 0.0, np.inf)
    judge = configure(configuration.values, configuration.file)
    planner = configuration.planner()
    again = replanning.replan(configuration, planner, judge, part)
    assert again.commands == pytest.approx(np.array(commands))
    assert len(again.costs) == len(again.plan_times) == PERIODS
    planner.reset()
    run = part.run
    known = zip(run.states, run.times, run.previous, strict=True)
    costs = [planner.plan(state, time, previous).cost for state, time, previous in known]
    assert again.costs == pytest.approx(costs, rel=1e-3)


def test_the_costs_of_today_judge_plans_that_were_made_with_others(recorded):
    """Smaller weights alone change no plan, so they do not make it cheaper."""
    study = study_file.read(recorded())
    values, (one,) = dict(study.run), study.scenarios
    smaller = {name: 0.5 * v for name, v in values.items() if name.startswith("running.weight.")}
    assert len(smaller) == 4
    today, scaled = (
        episode({**values, **changes}, values, study.file, one, 0) for changes in ({}, smaller)
    )
    assert scaled["plan_cost"] == pytest.approx(today["plan_cost"], rel=1e-4)


def test_a_study_of_a_recording_is_compared_on_other_noise_and_another_part(recorded, tmp_path):
    first = {**RECORDED, "name": "first", "duration": 0.55, "seeds": [0], "unseen": [1]}
    rest = {**RECORDED, "name": "rest", "begin": 0.55, "seeds": [], "unseen": [0]}
    file = study_file.read(
        recorded(first, rest, trials=3, objectives=["plan_cost", "command_change"])
    )
    study = Study(file, tmp_path / "study", False)
    study.run(Here(), lambda progress: None)
    trials = study.study.get_trials()
    assert [len(trial.user_attrs["episodes"]) for trial in trials] == [1, 1, 1]
    assert len({tuple(trial.values) for trial in trials}) > 1
    compared = outcome.compare(study, study.best(), Here())
    assert list(compared["best"]) == [("first", 1), ("rest", 0)]
    assert set(outcome.means(compared["best"])) == replanning.MEASURED
    assert len(compared["best"]["first", 1]["curves"]["states"]) == 6


def test_a_bag_is_planned_again(recorded, driven):
    pytest.importorskip("rosbags")
    configuration, times, states, commands = driven
    small = recorded().with_name("small.yaml")
    with BagWriter(small.with_name("bag"), task.load(small)) as writer:
        for time, state, command in zip(times, states, commands, strict=True):
            writer.state(time, state)
            writer.command(time + 0.001, command)
    study = study_file.read(recorded({**RECORDED, "recording": "bag"}))
    part = replanning.load(study.scenarios[0].recording, configuration, 0.0, np.inf)
    # What was in force before the first command is not known.
    assert part.states == pytest.approx(np.array(states[1:]))
    again = replanning.replan(configuration, configuration.planner(), study.base, part)
    assert np.isfinite(again.costs).all()


@pytest.mark.parametrize(
    ("scenario", "changes", "message"),
    [
        ({"recording": "none.npz"}, {}, r"'none\.npz' is no file and no folder"),
        ({"recording": "~nobody_at_all/run"}, {}, "is no file and no folder"),
        ({"recording": ""}, {}, "needs a 'recording': a file"),
        ({"recording": "study.yaml"}, {}, "cannot be read, expected a file of Planner.record"),
        ({"begin": 1.15}, {}, "it has 0 control periods from 1.15 s on, expected at least 2"),
        ({"duration": 0.05}, {}, "it has 1 control periods"),
        ({"process_noise": 0.1}, {}, "the plant 'recording' has no such setting: it is for 'model"),
        ({"plant": "model"}, {}, "'recording' is given, but the plant 'model' has no such"),
        ({"seeds": [], "unseen": [0]}, {}, "no scenario has 'seeds'"),
        ({}, {"objectives": ["cost"]}, "'cost' is reported by no scenario: these report command"),
        ({}, {"limits": {"time_to_goal": 1}}, "'time_to_goal' is reported by no scenario"),
        (
            {},
            {"parameters": {"planner.horizon": {"low": 3, "high": 9}}},
            "plans of a recording have to be of one length: leave 'planner.horizon' out",
        ),
    ],
)
def test_a_wrong_recording_is_one_message(recorded, scenario, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        study_file.read(recorded({**RECORDED, **scenario}, **changes))


@pytest.fixture(scope="module")
def on_a_path(write):
    """Record three periods of a robot that drives; return the names of run and configuration."""
    folder = write().parent
    small = {
        "planner.backend": "eager",
        **{"planner.samples": 16, "planner.elites": 4, "planner.iterations": 1},
        **{"planner.horizon": 6, "planner.device": "cpu"},
    }
    values = {**load_yaml(share("config") / "drive.yaml"), **small}
    (folder / "small_drive.yaml").write_text(outcome.as_yaml(values))
    planner = configure(values).planner()
    free = Costmap(np.zeros((100, 100), np.int8), 0.05, Pose(-2.5, -2.5, 0.0), 7.0)
    path = ReferencePath.through(np.array([[0.0, 0.0], [2.0, 0.0]]))
    around = Surroundings(Pose(2.0, 0.0, 0.0), path, free)
    for name, known in (("driven.npz", around), ("lost.npz", replace(around, costmap=None))):
        recording = planner.record()
        for index in range(3):
            state = np.array([0.02 * index, 0.1, 0.0, 0.4, 0.0])
            planner.plan(state, 7.0 + 0.05 * index, np.zeros(2), surroundings=known)
        recording.save(folder / name)
    return {
        "config": "small_drive.yaml",
        "parameters": {"path.progress_weight": {"low": 1.0, "high": 4.0}},
    }


def test_plans_of_a_path_are_judged_along_it_each_time_anew(recorded, on_a_path):
    study = study_file.read(recorded({**RECORDED, "recording": "driven.npz"}, **on_a_path))
    values, (one,) = dict(study.run), study.scenarios
    first, changed, again = (
        episode({**values, **changes}, values, study.file, one, 0)
        for changes in ({}, {"path.progress_weight": 9.0}, {})
    )
    assert first["plan_cost"] == again["plan_cost"]
    assert np.isfinite(changed["plan_cost"])


def test_a_later_part_is_on_the_branch_of_its_time_where_a_path_crosses_itself(recorded, on_a_path):
    """The robot is where it was 8 m earlier, and drives to the right instead of ahead."""
    study = study_file.read(recorded({**RECORDED, "recording": "driven.npz"}, **on_a_path))
    corners = np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (2.0, 2.0), (2.0, -2.0)])
    path = ReferencePath.through(corners)
    lengths = np.arange(0.0, 10.5, 0.2)
    along = path.along(lengths)
    speeds = np.tile([0.4, 0.0], (len(lengths), 1))
    states = np.column_stack((path.at(lengths), np.arctan2(along[:, 1], along[:, 0]), speeds))
    free = Costmap(np.zeros((100, 100), np.int8), 0.1, Pose(-2.5, -5.0, 0.0), 0.0)
    known = [Surroundings(Pose(2.0, -2.0, 0.0), path, free)] * len(lengths)
    times, plans = 0.5 * np.arange(len(lengths)), [None] * len(lengths)
    run = RecordedRun(times, states, speeds, speeds, plans, [], 0.0, known)
    crossing = int(np.argmin(np.abs(lengths - 10.0)))
    planner, judge = study.base.planner(), configure(study.base.values, study.base.file)
    whole, later = (
        replanning.replan(study.base, planner, judge, RecordedPart(run, first, crossing + 2)).costs
        for first in (0, crossing)
    )
    # A plan along the first branch would have to turn, which costs half as much again.
    assert later == pytest.approx(whole[crossing:], rel=0.2)
    assert judge.costs["path"].progress.place == pytest.approx(lengths[crossing + 1], abs=0.1)


def test_a_recording_without_the_costmap_that_costs_need_is_refused(recorded, on_a_path):
    file = recorded({**RECORDED, "recording": "lost.npz"}, **on_a_path)
    with pytest.raises(ConfigurationError, match=r"'lost\.npz' has no costmap, which costs"):
        study_file.read(file)
