# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Studies on a Ray cluster: the same results, also if a node dies."""

import json
import re
import time
from pathlib import Path

import pytest
import yaml

from cem_planner_ros import cli
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.studies import study_file
from cem_planner_ros.studies.ray_workers import RayWorkers
from cem_planner_ros.studies.study import Study
from cem_planner_ros.studies.workers import Here, Queue, WorkerTask


def run(file, folder, workers, show=lambda progress: None, resume=False):
    """Run a study and return parameters, state and values of each trial."""
    study = Study(study_file.read(file), folder, resume)
    with workers:
        study.run(workers, show)
    return [(t.params, t.state.name, t.values) for t in study.study.get_trials()]


def patiently(start, times=4):
    """Return what a function returns; Ray gives up after 30 s, which a busy machine may take."""
    for attempt in range(times):
        try:
            return start()
        except Exception:
            if attempt == times - 1:
                raise


@pytest.mark.extras
@pytest.mark.timeout(600)
def test_a_cluster_that_loses_a_node_finds_what_one_process_finds(write, tmp_path):
    pytest.importorskip("ray", reason="needs Ray")
    from ray.cluster_utils import Cluster

    file = write(trials=6)
    alone = run(file, tmp_path / "alone", Here())
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    try:
        second = patiently(lambda: cluster.add_node(num_cpus=1))
        cluster.wait_for_nodes()
        killed = []

        def kill(progress):
            if progress.episodes == 3 and not killed:
                killed.append(second)
                cluster.remove_node(second, allow_graceful=False)

        together = run(file, tmp_path / "together", RayWorkers(cluster.address), kill)
        assert killed
        assert together == alone
    finally:
        cluster.shutdown()


@pytest.mark.extras
@pytest.mark.timeout(600)
def test_a_cluster_that_is_lost_stops_the_study_and_fails_no_trial(write, tmp_path):
    pytest.importorskip("ray", reason="needs Ray")
    from ray._private import worker

    file, folder = write(trials=6), tmp_path / "study"
    alone = run(file, tmp_path / "alone", Here())
    workers = patiently(lambda: RayWorkers("local", jobs=1).__enter__())

    def kill(progress):
        if progress.episodes == 3:
            worker._global_node.kill_raylet()
            time.sleep(5.0)  # Its workers end; until then they might run all that is left.

    with pytest.raises(ConfigurationError, match=r"the Ray cluster was lost: .*--resume"):
        run(file, folder, workers, kill)
    assert run(file, folder, Here(), resume=True) == alone


@pytest.mark.extras
@pytest.mark.timeout(600)
def test_a_cluster_of_this_machine_returns_values_and_errors():
    pytest.importorskip("ray", reason="needs Ray")
    with patiently(lambda: RayWorkers("local", jobs=1).__enter__()) as workers:
        outcomes = {
            outcome.task.key: outcome
            for outcome in workers.run(
                Queue([WorkerTask("right", int, ("3",)), WorkerTask("wrong", int, ("x",))])
            )
        }
    assert outcomes["right"].value == 3
    assert isinstance(outcomes["wrong"].error, ValueError)


@pytest.mark.extras
@pytest.mark.timeout(600)
def test_the_cluster_of_the_page_is_what_ray_accepts():
    """Nothing is started: Ray's schema, its defaults for such a cluster, and its options."""
    ray = pytest.importorskip("ray", reason="needs Ray")
    jsonschema = pytest.importorskip("jsonschema")
    from ray.scripts.scripts import start

    page = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()
    (text,) = re.findall(r"```yaml\n(# cluster\.yaml.*?)```", page, re.DOTALL)
    folder = Path(ray.__file__).parent / "autoscaler"
    schema = json.loads((folder / "ray-schema.json").read_text())
    defaults = yaml.safe_load((folder / "local" / "defaults.yaml").read_text())
    cluster = yaml.safe_load(text)
    assert set(cluster) <= set(schema["properties"])
    jsonschema.validate({**defaults, **cluster}, schema)
    lines = [line for line in page.splitlines() if "ray start --" in line]
    assert len(lines) == 4  # Of the YAML, and of the containers.
    known = {option for parameter in start.params for option in parameter.opts}
    for line in lines:
        assert set(re.findall(r"--[a-z-]+", line.partition("ray start")[2])) <= known


@pytest.mark.extras
@pytest.mark.timeout(600)
def test_without_a_cluster_one_message_says_how_to_start_one():
    pytest.importorskip("ray", reason="needs Ray")
    with (
        pytest.raises(ConfigurationError, match="ray start --head"),
        RayWorkers("auto"),
    ):
        pass


@pytest.mark.extras
@pytest.mark.timeout(600)
def test_what_no_machine_of_the_cluster_has_is_said_at_once():
    ray = pytest.importorskip("ray", reason="needs Ray")
    patiently(lambda: ray.init(num_cpus=1, include_dashboard=False))
    try:
        with (
            pytest.raises(ConfigurationError, match="needs 2 CPUs and 0 GPUs, which no machine"),
            RayWorkers("auto", cpus=2.0),
        ):
            pass
    finally:
        ray.shutdown()


def test_without_ray_the_extra_is_named(write, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    out = str(tmp_path / "out")
    assert cli.main(["tune", str(write()), "--ray", "auto", "--out", out]) == 1
    assert "pip install ray, or the extra ray" in capsys.readouterr().err
