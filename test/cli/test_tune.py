# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The command tune."""

import re
from pathlib import Path

import pytest
import yaml

from cem_planner_ros import cli
from cem_planner_ros.configuration import load_yaml
from cem_planner_ros.studies import outcome
from cem_planner_ros.studies import study as studies

JournalStorage = pytest.importorskip("optuna").storages.JournalStorage
pytest.importorskip("rich")
pytest.importorskip("matplotlib")

pytestmark = pytest.mark.timeout(600)  # On a busy machine.

STUDY = {
    "config": "double_integrator.yaml",
    "trials": 2,
    "batch": 2,
    "parameters": {"planner.keep": {"low": 0.1, "high": 0.9}},
    "scenarios": [
        {
            "plant": "model",
            "duration": 0.3,
            "set": {"planner.samples": 64, "planner.backend": "eager"},
        }
    ],
    "objectives": ["cost"],
}


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    return file


def test_a_study_ends_with_a_comparison_and_a_parameter_file(file, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["tune", str(file), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "cost" in text
    assert "today" in text
    assert "1/2 trials, no best yet\n" in text  # It is no terminal.
    assert "2/2 trials, best: cost " in text
    assert "2 episodes of trials, " in text
    assert 0.1 <= load_yaml(out / "best.yaml")["planner.keep"] <= 0.9
    assert load_yaml(out / "best.yaml")["planner.samples"] != 64  # Of the scenario only.
    report = (out / "report.html").read_text()
    assert report.count("<img") >= 3  # Episodes, values, slices; two trials have no importance.
    assert "planner.keep" in report
    assert "<th>today</th><th>best</th>" in report
    assert "on the seeds of the study" in report
    assert cli.main(["tune", str(file), "--out", str(out)]) == 1
    assert "has a study already: continue it with --resume" in capsys.readouterr().err


def test_ctrl_c_keeps_what_has_ended(file, tmp_path, capsys, monkeypatch):
    ended = []

    def one_then_interrupted(*arguments):
        if ended:
            raise KeyboardInterrupt
        ended.append(studies.episode(*arguments))
        return ended[0]

    plain = studies.Study.task

    def task(*arguments, **options):
        made = plain(*arguments, **options)
        return type(made)(made.key, one_then_interrupted, made.arguments)

    out = tmp_path / "out"
    with monkeypatch.context() as changed:
        changed.setattr(studies.Study, "task", task)
        assert cli.main(["tune", str(file), "--out", str(out)]) == 130
    text = capsys.readouterr().out
    assert "--resume continues" in text
    assert "best.yaml" not in text  # No batch is complete.
    assert cli.main(["tune", str(file), "--out", str(out), "--resume"]) == 0


def test_ctrl_c_in_the_comparison_leaves_the_best_as_a_file(file, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    monkeypatch.setattr(outcome, "compare", interrupted)
    assert cli.main(["tune", str(file), "--out", str(out)]) == 130
    assert f"wrote {out}/best.yaml, the best so far" in capsys.readouterr().out
    assert "trials 0 to 1." in (out / "best.yaml").read_text().splitlines()[0]
    assert cli.main(["check", str(out / "best.yaml")]) == 0


def test_without_a_trial_within_the_limits_the_command_names_the_nearest(file, tmp_path, capsys):
    assert cli.main(["tune", str(file), "--out", str(tmp_path / "free")]) == 0
    number, least = re.search(
        r"trial (\d) of .*\n# cost (\S+)\n", (tmp_path / "free" / "best.yaml").read_text()
    ).groups()
    file.write_text(yaml.safe_dump({**STUDY, "limits": {"cost": -1.0}}))
    out = tmp_path / "out"
    assert cli.main(["tune", str(file), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert "no trial keeps the limits (cost -1); " in error
    by = re.search(rf"the nearest, trial {number}, misses cost by (\S+) in its worst", error)[1]
    assert float(by) == pytest.approx(float(least) + 1.0, rel=0.01)  # As it has one episode.
    assert "loosen them" in error
    assert not (out / "best.yaml").exists()


def test_a_disk_that_is_full_loses_nothing(file, tmp_path, capsys, monkeypatch):
    keep, calls = JournalStorage.set_trial_user_attr, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        keep(*arguments)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(JournalStorage, "set_trial_user_attr", full)
        assert cli.main(["tune", str(file), "--out", str(out)]) == 1
    assert "No space left on device; " in capsys.readouterr().err
    assert cli.main(["tune", str(file), "--out", str(out), "--resume"]) == 0


def test_a_file_that_does_not_fit_on_the_disk_is_not_half_there(tmp_path, monkeypatch):
    def full(file, text):
        file.open("w").write(text[:3])
        raise OSError(28, "No space left on device")

    file = tmp_path / "best.yaml"
    file.write_text("before")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            outcome.write_whole(file, "text")
    assert [*tmp_path.iterdir()] == [file]
    assert file.read_text() == "before"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "--jobs is 0"),
        (["--trials", "0"], "--trials is 0"),
        (["--trials", "10000000"], "allowed: from 1 to 1000000"),
        (["--resume"], "no study to be continued"),
    ],
)
def test_a_wrong_option_is_one_message(file, tmp_path, capsys, options, message):
    assert cli.main(["tune", str(file), "--out", str(tmp_path / "out"), *options]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_without_optuna_the_extra_is_named(file, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    assert cli.main(["tune", str(file)]) == 1
    assert "pip install optuna, or the extra tune" in capsys.readouterr().err
