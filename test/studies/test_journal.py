# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Journals of studies: one process writes them, and what a killed process has left does no harm."""

import optuna
import pytest

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.studies import journal, study_file
from cem_planner_ros.studies.study import Study
from cem_planner_ros.studies.workers import Here

pytestmark = pytest.mark.timeout(600)  # The first episode compiles, maybe on a busy machine.


def run(file, folder, resume=False):
    """Run a study in its folder, and return parameters, state and values of each trial."""
    with journal.claimed(folder):
        study = Study(study_file.read(file), folder, resume)
        study.run(Here(), lambda progress: None)
        return [(t.params, t.state.name, t.values) for t in study.study.get_trials()]


def test_a_study_that_runs_is_not_run_by_another_process(tmp_path):
    folder = tmp_path / "new" / "study"
    with (
        journal.claimed(folder),
        pytest.raises(ConfigurationError, match=r"study that another process is running: wait"),
        journal.claimed(folder),
    ):
        pass
    assert not folder.exists()  # Nothing was written.
    folder.mkdir(parents=True)
    with journal.claimed(folder):
        pass
    assert folder.exists()


def test_what_a_killed_process_has_left_is_put_right(write, tmp_path):
    folder = tmp_path / "study"
    whole = run(write(trials=2), folder)
    (folder / "study.journal.lock").symlink_to("a/journal/that/was/moved")
    file = folder / "study.journal"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    assert run(write(trials=2), folder, resume=True) == whole


def test_a_trial_that_was_not_proposed_as_a_whole_costs_this_trial(write, tmp_path, monkeypatch):
    storage, calls = optuna.storages.JournalStorage, []
    propose = storage.set_trial_param

    def die(*arguments):
        calls.append(arguments)
        if len(calls) == 4:  # The second parameter of the second trial.
            raise SystemError("as if killed")
        propose(*arguments)

    folder = tmp_path / "study"
    with monkeypatch.context() as patch:
        patch.setattr(storage, "set_trial_param", die)
        with pytest.raises(SystemError):
            run(write(trials=3), folder)
    states = [state for _, state, _ in run(write(trials=3), folder, resume=True)]
    assert states == ["COMPLETE", "FAIL", "COMPLETE"]


@pytest.mark.parametrize("name", ["study", "another"])
def test_a_journal_of_something_else_is_refused_and_not_changed(write, tmp_path, name):
    file = tmp_path / journal.JOURNAL
    backend = optuna.storages.journal.JournalFileBackend(str(file))
    other = optuna.create_study(storage=optuna.storages.JournalStorage(backend), study_name=name)
    other.add_trial(optuna.trial.create_trial(value=1.0))
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="has a journal that this command has not made"):
        Study(study_file.read(write()), tmp_path, resume=True)
    assert file.read_bytes() == before
