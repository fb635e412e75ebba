# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Studies: what they find does not depend on workers or interruptions, and nothing is lost."""

import multiprocessing
import os
import signal
import threading

import pytest
import yaml
from optuna.storages import JournalStorage

from cem_planner_ros.configuration import MissingSectionError, configure, load_yaml
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share
from cem_planner_ros.studies import outcome, study_file
from cem_planner_ros.studies.study import Study
from cem_planner_ros.studies.workers import Here, Processes, Queue

pytestmark = pytest.mark.timeout(600)  # The first episode compiles, maybe on a busy machine.


def nothing(progress):
    """Show nothing."""


def study_of(file, folder, resume=False):
    return Study(study_file.read(file), folder, resume)


def run(file, folder, workers=None, show=nothing):
    """Trace a study and return it."""
    study = study_of(file, folder)
    with workers or Here() as hired:
        study.run(hired, show)
    return study


def trials(study):
    """Return parameters, state and values of each trial."""
    return [(t.params, t.state.name, t.values) for t in study.study.get_trials()]


class Unpunctual(Here):
    """Workers that have many tasks at a time, and finish the last one first."""

    def run(self, queue):
        running = []
        while queue or running:
            while queue:
                running.append(queue.popleft())
            yield from super().run(Queue([running.pop()]))


@pytest.fixture(scope="module")
def whole(write, tmp_path_factory):
    """Return a small study that is finished; nobody changes it."""
    return run(write(), tmp_path_factory.mktemp("whole") / "study")


def test_what_is_found_does_not_depend_on_which_worker_is_faster(whole, write, tmp_path):
    assert len(trials(whole)) == 7
    assert all(state == "COMPLETE" for _, state, _ in trials(whole))
    assert trials(run(write(), tmp_path / "study", Unpunctual())) == trials(whole)


@pytest.mark.extras
def test_one_worker_and_two_of_which_one_is_killed_find_the_same(whole, write, tmp_path):
    killed = []

    def kill_one(progress):
        if progress.episodes == 3 and not killed:
            killed.append(multiprocessing.active_children()[0])
            killed[0].kill()

    together = run(write(), tmp_path / "two", Processes(2), kill_one)
    assert killed
    assert trials(together) == trials(whole)


@pytest.mark.parametrize(
    "sampler",
    [
        "tpe",
        *(pytest.param(name, marks=pytest.mark.extras) for name in ("nsga2", "cmaes", "random")),
    ],
)
def test_a_stopped_study_continues_as_if_it_had_not_been_stopped(write, tmp_path, sampler):
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    changes = {"batch": 4, "trials": 13} if sampler == "cmaes" else {}
    file = write(sampler=sampler, prune=True, **changes)
    whole = run(file, tmp_path / "whole")

    def interrupt(progress):
        if progress.episodes == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(file, tmp_path / "parts", show=interrupt)
    rest = study_of(file, tmp_path / "parts", resume=True)
    counts = []
    rest.run(Unpunctual(), lambda progress: counts.append(progress.episodes))
    assert trials(rest) == trials(whole)
    episodes = sum(len(t.user_attrs["episodes"]) for t in whole.study.get_trials())
    assert counts[-1] == episodes - 5  # Nothing was run again.


def test_an_interruption_waits_until_an_episode_is_in_the_journal(
    write, tmp_path, whole, monkeypatch
):
    """Another thread, which does nothing, may receive the signal."""
    keep, written, over = JournalStorage.set_trial_user_attr, [], threading.Event()
    thread = threading.Thread(target=over.wait, daemon=True)
    thread.start()

    def interrupted(storage, trial, name, value):
        os.kill(os.getpid(), signal.SIGINT)
        keep(storage, trial, name, value)
        written.append(name)

    study = study_of(write(), tmp_path / "study")
    with monkeypatch.context() as patch:
        patch.setattr(JournalStorage, "set_trial_user_attr", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.run(Here(), nothing)
    over.set()
    assert written == ["episodes"]
    rest = study_of(write(), tmp_path / "study", resume=True)
    rest.run(Here(), nothing)
    assert trials(rest) == trials(whole)


def test_a_finished_study_is_made_longer(write, tmp_path):
    run(write(trials=4), tmp_path / "study")
    longer = study_of(write(trials=6), tmp_path / "study", resume=True)
    longer.run(Here(), nothing)
    assert len(trials(longer)) == 6


def test_a_stopped_study_can_be_made_shorter(write, tmp_path):
    def interrupt(progress):
        if progress.episodes == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(write(), tmp_path / "study", show=interrupt)
    shorter = study_of(write(trials=3), tmp_path / "study", resume=True)
    shorter.run(Here(), nothing)
    states = [state for _, state, _ in trials(shorter)]
    assert states[:3] == ["COMPLETE"] * 3
    assert set(states[3:]) == {"RUNNING"}  # Which a longer study would continue.


def test_hopeless_trials_end_early(write, tmp_path):
    study = run(write(prune=True, trials=12, sampler="random"), tmp_path / "study")
    states = [state for _, state, _ in trials(study)]
    assert "PRUNED" in states
    assert states[:5] == ["COMPLETE"] * 5


@pytest.mark.filterwarnings("error:Mean of empty slice")
def test_no_trial_is_hopeless_before_its_objective_was_measured(write, tmp_path):
    """A scenario without a goal comes first, and has no time to it."""
    free = {"plant": "model", "name": "free", "duration": 0.2}
    scenarios = [free, *yaml.safe_load(write().read_text())["scenarios"]]
    file = write(
        prune=True, trials=12, sampler="random", scenarios=scenarios, objectives=["time_to_goal"]
    )
    study = run(file, tmp_path / "study")
    counts = [len(t.user_attrs["episodes"]) for t in study.study.get_trials()]
    assert min(counts) > 1


def test_the_best_is_a_file_that_the_node_loads(whole, tmp_path):
    study = whole
    (best, *others) = outcome.write_files(study, tmp_path)
    assert not others
    values = load_yaml(best)
    found = study.best().params
    assert {name: values[name] for name in found} == pytest.approx(found)
    assert values["planner.samples"] == 16
    configure(values, str(best))


@pytest.mark.parametrize("file", sorted(share("config").glob("*.yaml")), ids=lambda file: file.stem)
def test_any_shipped_file_is_written_as_it_is_read(file, tmp_path):
    try:
        values = load_yaml(file)
    except MissingSectionError:
        pytest.skip("the file of another node")
    except ConfigurationError:
        pytest.skip("not a parameter file")
    written = tmp_path / "written.yaml"
    written.write_text(outcome.as_yaml(values))
    assert load_yaml(written) == values


def test_the_best_is_compared_with_today_on_seeds_of_their_own(whole):
    compared = outcome.compare(whole, whole.best(), Here())
    assert {who: list(episodes) for who, episodes in compared.items()} == {
        "today": [("model", 7)],
        "best": [("model", 7)],
    }
    assert set(outcome.means(compared["best"])) == {
        *("cost", "time_to_goal", "command_change", "plan_time")
    }


def test_several_objectives_give_a_front_and_its_knee(write, tmp_path):
    study = run(write(objectives=["cost", "command_change"]), tmp_path / "study")
    front = {trial.number: trial.values for trial in study.best_trials()}
    others = [t.values for t in study.study.get_trials() if t.number not in front]
    for values in front.values():
        assert not any(o[0] < values[0] and o[1] < values[1] for o in others)
    assert study.best().number in front
    files = outcome.write_files(study, tmp_path)
    assert len(files) == len(front) + 1
    for file in files:
        configure(load_yaml(file), str(file))


def test_a_trial_beyond_a_limit_is_not_the_best(write, tmp_path):
    limited = run(write(limits={"command_change": 1e-9}, trials=2), tmp_path / "limited")
    assert limited.best() is None
    assert outcome.write_files(limited, tmp_path) == []


def test_tied_parameters_follow_and_values_that_cannot_work_cost_one_trial(write, tmp_path):
    parameters = {
        "planner.samples": {"low": 8, "high": 40},
        "planner.elites": {"tied": "planner.samples", "factor": 0.25},
        "planner.keep": {"choices": [0.0, 1.0]},
    }
    study = run(write(parameters=parameters, trials=2), tmp_path / "study")
    values = load_yaml(outcome.write_files(study, tmp_path)[0])
    assert values["planner.elites"] == round(0.25 * values["planner.samples"])
    # With as many elites as candidates some trials cannot be configured.
    parameters["planner.elites"] = {"low": 4, "high": 40}
    study = run(write(parameters=parameters), tmp_path / "other")
    states = [state for _, state, _ in trials(study)]
    assert "FAIL" in states
    assert "COMPLETE" in states
    problems = [t.user_attrs["problem"] for t in study.study.get_trials() if t.state.name == "FAIL"]
    assert all("planner.elites" in problem for problem in problems)


def test_if_nothing_can_work_it_is_said_after_the_first_batch(write, tmp_path):
    parameters = {"planner.elites": {"low": 17, "high": 40}}
    with pytest.raises(ConfigurationError, match=r"no trial of the first batch .*elites"):
        run(write(parameters=parameters), tmp_path / "study")


def test_a_folder_is_continued_only_when_asked_and_by_its_own_study(write, tmp_path):
    folder = tmp_path / "study"
    with pytest.raises(ConfigurationError, match="no study to be continued"):
        study_of(write(), folder, resume=True)
    run(write(trials=2), folder)
    with pytest.raises(ConfigurationError, match="has a study already"):
        study_of(write(), folder)
    for changes in (
        {"seed": 1},
        {"objectives": ["cost", "command_change"]},
        {"parameters": {"planner.std_initial": {"low": 0.1, "high": 1.0}}},
    ):
        (name,) = changes
        with pytest.raises(ConfigurationError, match=f"another study: '{name}' differs"):
            study_of(write(**changes), folder, resume=True)
    config = write().with_name("small.yaml")
    before = config.read_text()
    config.write_text(before.replace("samples: 16", "samples: 20"))
    with pytest.raises(ConfigurationError, match="'the values of its config' differs"):
        study_of(write(), folder, resume=True)
    config.write_text(before)
    (folder / "study.journal").write_text("no journal\n")
    with pytest.raises(ConfigurationError, match="no journal of Optuna"):
        study_of(write(), folder, resume=True)
