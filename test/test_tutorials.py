# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The blocks of Python, YAML and XML in the pages, executed, checked and loaded as they stand.

A comment above a block, which a reader does not see, says what it belongs to:

    <!-- with FILE -->        a part of a parameter file, merged into FILE; Python after FILE;
                              MJCF in a folder where FILE is robot.xml or robot.urdf
    <!-- is FILE -->          the content of FILE, or a part of it
    <!-- a study -->          the file of a study; `a study, with FILE` for a part of it
    <!-- not run: REASON -->  a row of docs/reference/not_run.md says more
"""

import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pages
import pytest
import yaml
from pages import PAGES, ROOT

from cem_planner_ros import __version__, cli
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.paths import share

BLOCKS = [block for page in PAGES for block in pages.blocks(page) if block.language]


def marked(language, verb):
    """Return the blocks of a language whose marker begins with a word."""
    return [b for b in BLOCKS if b.language == language and b.marker.startswith(verb)]


def name(block):
    return f"{block.page}:{block.heading}" if isinstance(block, pages.Block) else None


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The present folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS, ids=name)
def test_each_block_says_how_it_is_tried(block):
    verb, _, rest = block.marker.partition(" ")
    assert block.language in ("python", "xml", "yaml"), "no test tries blocks of this language"
    assert verb in ("with", "is", "a", "not"), "the comment above is missing"
    if verb in ("with", "is"):
        assert (ROOT / rest).is_file(), rest


@pytest.mark.parametrize("block", marked("python", "with"), ids=name)
def test_blocks_of_python_run(block):
    names = {"__name__": "tutorial"}
    exec((ROOT / block.marker.removeprefix("with ")).read_text(), names)
    exec(compile(block.text, str(block.page), "exec"), names)
    names.get("then", lambda names: None)(names)


def parts():
    """Return {(page, file): texts} of the parts of parameter files."""
    found = defaultdict(list)
    for block in marked("yaml", "with"):
        found[block.page, block.marker.removeprefix("with ")].append(block.text)
    return found


def values_of(text, node="cem_planner", namespace="/"):
    """Return the values of a node in a parameter file, or in the part of one below its node."""
    if "ros__parameters" not in text:
        lines = (f"    {line}\n" for line in text.splitlines())
        text = "/**:\n  ros__parameters:\n" + "".join(lines)
    with open("part.yaml", "w") as file:
        file.write(text)
    return load_yaml("part.yaml", node, namespace)


def merged(values, part):
    """Return values with those of a part, without what belonged to plugins that are replaced."""
    gone = [name.removesuffix("plugin") for name in part if name.endswith(".plugin")]
    gone += [f"{cost}." for cost in set(values["costs"]) - set(part.get("costs", values["costs"]))]
    gone += ["state."] if "state.sources" in part else []
    kept = {name: v for name, v in values.items() if not name.startswith(tuple(gone))}
    return kept | part


@pytest.mark.parametrize(("page", "file"), parts(), ids=str)
def test_parts_of_parameter_files_are_accepted(page, file, folder):
    """Parts of one page for one file add up, as a reader would add them."""
    for module in ("mujoco", "safetensors"):
        pytest.importorskip(module)
    texts = parts()[page, file]
    if any("policy" in text for text in texts):
        pytest.importorskip("gymnasium")
        search = "search-policy --env CartPole-v1 --out policy.yaml --iterations 1"
        assert cli.main([*search.split(), "--candidates", "4"]) == 0
    for beside in (ROOT / file).parent.glob("*.xml"):
        shutil.copy(beside, folder)
    values = load_yaml(ROOT / file)
    for text in texts:
        part = values_of(text)
        values = merged(values, part)
        used = configure(values).values
        assert {name: used[name] for name in part} == part


def test_sections_of_a_parameter_file_are_for_the_nodes_that_the_page_says(folder):
    (text,) = (b.text for b in marked("yaml", "with") if b.page.name == "running.md")
    assert values_of(text) == {"control_rate": 50.0}
    assert values_of(text, namespace="/robot2") == {"control_rate": 30.0}
    text = text.replace("/*/cem_planner:", "/*/other:")
    assert values_of(text, namespace="/robot1") == {"control_rate": 40.0}


@pytest.mark.parametrize("block", marked("yaml", "is"), ids=name)
def test_files_that_are_shown_are_those_that_are_shipped(block):
    file = (ROOT / block.marker.removeprefix("is ")).read_text()
    if yaml.safe_load(block.text) != yaml.safe_load(file):
        shown, there = (text.splitlines() for text in (block.text, file))
        bare = [line.lstrip() for line in there]
        begin = bare.index(shown[0].lstrip())
        assert shown == pages.dedent(there[begin : begin + len(shown)]).splitlines()


@pytest.mark.parametrize("block", marked("yaml", "a study"), ids=name)
def test_studies_can_be_read(block, folder):
    pytest.importorskip("optuna")
    from cem_planner_ros.studies import study_file

    given = yaml.safe_load(block.text)
    _, _, file = block.marker.partition("with ")
    if file:
        rest = yaml.safe_load((ROOT / file).read_text())
        if "plan_cost" in given["objectives"]:
            rest["parameters"].pop("planner.horizon", None)  # Plans of one length are compared.
        given = {name: rest[name] for name in ("config", "parameters")} | given
    for scenario in given["scenarios"]:
        if "recording" in scenario and not Path(scenario["recording"]).exists():
            write_bag(Path(scenario["recording"]), share("config") / given["config"])
    (folder / "mine.yaml").write_text(yaml.safe_dump(given))
    study = study_file.read(folder / "mine.yaml")
    assert list(study.objectives) == given["objectives"]


def write_bag(folder, config):
    """Write a minute of a robot that stands still."""
    pytest.importorskip("rosbags")
    from cem_planner_ros.learning import task
    from cem_planner_ros.learning.recording import BagWriter

    folder.parent.mkdir()
    described = task.load(config)
    with BagWriter(folder, described) as writer:
        for time in np.arange(0.0, 60.0, 0.02):
            writer.state(100.0 + time, np.zeros(len(described.state_names)))
            writer.command(100.001 + time, np.zeros(len(described.action_names)))


@pytest.mark.extras
def test_ray_accepts_the_file_of_the_cluster():
    """Ray checks it by its schema; the machines are not there."""
    ray = pytest.importorskip("ray.autoscaler._private.util", reason="needs ray")
    (block,) = (b for b in marked("yaml", "not run: several machines"))
    ray.validate_config(ray.prepare_config(yaml.safe_load(block.text)))


@pytest.mark.parametrize("block", marked("xml", "with"), ids=name)
def test_scenes_are_files_of_mujoco(block, folder):
    mujoco = pytest.importorskip("mujoco")
    robot = ROOT / block.marker.removeprefix("with ")
    shutil.copy(robot, f"robot{robot.suffix}")
    (folder / "scene.xml").write_text(block.text)
    model = mujoco.MjModel.from_xml_path("scene.xml")
    assert model.nu > 0
    assert mujoco.mjtGeom.mjGEOM_PLANE in model.geom_type


def test_the_readme_says_which_version_this_is():
    assert f"Version {__version__}" in (ROOT / "README.md").read_text()
