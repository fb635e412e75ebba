# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Commands, links and pictures of the pages lead somewhere; test_tutorials.py runs the blocks."""

import importlib.util
import itertools
import re
import sys
from pathlib import Path

import pages
import pytest
from pages import NODES, PAGES, ROOT, is_placeholder

from cem_planner_ros import cli
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.errors import ConfigurationError


def everything():
    """Return [(page, words)] of the commands of blocks and sentences."""
    found = set()
    for page in PAGES:
        shown = [block.text for block in pages.blocks(page) if not block.language]
        for command in itertools.chain(*map(pages.commands, shown + pages.inline(page))):
            if command.startswith(("python", "ros2 ", "make", "cd ", *NODES)):
                found.add((page.relative_to(ROOT), pages.words(command)))
    return sorted(found)


COMMANDS = everything()


def starting(*begin):
    return [(page, words) for page, words in COMMANDS if words[: len(begin)] == begin]


def test_pages_have_commands():
    assert len(COMMANDS) > 60


@pytest.mark.parametrize(("page", "words"), starting("python", "-m", "cem_planner_ros"))
def test_commands_can_be_parsed(page, words, capsys):
    arguments = list(words[3:])
    if arguments and not arguments[0].isupper():
        status = parsed(arguments)
        # A sentence may name a command without its arguments.
        is_short = len(arguments) <= 2 and "required" in capsys.readouterr().err
        assert status == 0 or is_short, f"{page}: {' '.join(words)}"
    for word in arguments:
        if word.startswith(("config/", "models/", "examples/", "worlds/")):
            assert (ROOT / word).exists() or is_placeholder(word), f"{page}: {word}"


def parsed(arguments):
    """Return the status with which the parser ends; 0 if it does not end."""
    try:
        cli.parser().parse_args(arguments)
    except SystemExit as end:
        return end.code
    return 0


def runnable():
    """Return (folder, words) of the commands that need no robot, no network and little time."""
    quick = ("check", "parameters", "plugins", "init", "--version")
    found = set()
    for page, words in starting("python", "-m", "cem_planner_ros"):
        folder, words = page.parent if page.parts[0] == "examples" else Path(), words[3:]
        if not words or words[0] not in quick or any(is_placeholder(word) for word in words):
            continue
        if all((ROOT / folder / word).exists() for word in words if word.endswith(".yaml")):
            found.add((folder, words))
    return sorted(found)


@pytest.mark.extras
@pytest.mark.parametrize(("folder", "words"), runnable(), ids=str)
def test_commands_run(folder, words, monkeypatch, capsys):
    monkeypatch.chdir(ROOT / folder)
    status = cli.main(list(words))
    said = capsys.readouterr()
    if "no installed Python package" in said.err:
        pytest.skip(said.err)
    assert status == 0, said


@pytest.mark.parametrize(("page", "words"), starting("make"))
def test_targets_and_variables_of_make_exist(page, words):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())
    for word in words[1:]:
        name, equals, _ = word.partition("=")
        known = re.search(rf"\$[({{]{name}\b|^{name} \?=", makefile, re.M) if equals else None
        assert known or word in targets, f"{page}: {' '.join(words)}"


@pytest.mark.parametrize(("page", "words"), starting("ros2", "launch", "cem_planner_ros"))
def test_launch_files_and_their_arguments_exist(page, words):
    if len(words) < 4:
        return
    text = (ROOT / "launch" / words[3]).read_text()
    for word in words[4:]:
        name, assigned, _ = word.partition(":=")
        assert not assigned or f'"{name}"' in text, f"{page}: {' '.join(words)}"


@pytest.mark.parametrize(
    ("page", "words"), [(p, w) for p, w in COMMANDS if w[0] in NODES and len(w) > 1]
)
def test_files_of_nodes_exist(page, words):
    for option, value in itertools.pairwise(words):
        if option == "--params-file" and not is_placeholder(value):
            folders = (ROOT, *(path for path in (ROOT / "examples").iterdir() if path.is_dir()))
            assert any((folder / value).exists() for folder in folders), f"{page}: {value}"


@pytest.mark.parametrize(("page", "words"), starting("cd"))
def test_folders_exist(page, words):
    assert (ROOT / words[1]).is_dir() or is_placeholder(words[1]), f"{page}: {words[1]}"


def test_links_and_pictures_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"


def test_lists_are_indented_as_the_site_needs_it():
    """By fours; other indentations look right elsewhere, but end a list on the site."""
    for page in (page for page in PAGES if "docs" in page.parts):
        text = re.sub(r"^( *)```.*?^ *```", r"\1```", page.read_text(), flags=re.S | re.M)
        begins = re.findall(r"(?:^\n( *)(?=\S)|^( *)(?=[*-] |```))", text, re.M)
        wrong = [indents for indents in begins if len("".join(indents)) % 4]
        assert wrong == [], page


def test_pages_of_the_site_are_in_its_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        assert f": {page.relative_to(ROOT / 'docs')}\n" in navigation


def test_readme_links_every_page():
    """But for Python's reference, what no test runs, and what is at the top of the repository."""
    text = (ROOT / "README.md").read_text()
    pages = {page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md")}
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", text))
    others = {page for page in pages - linked if not page.startswith("docs/api/")}
    assert others == {"docs/contributing.md", "docs/reference/not_run.md"}


def script(name):
    """Return a module of docs/scripts."""
    file = ROOT / "docs" / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Where dataclasses and named tuples look for it.
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["commands", "messages"])
def test_pages_that_are_made_from_the_code_are_up_to_date(name):
    module = script(name)
    assert module.page() == module.TARGET.read_text(), "make reference"


SHOWN = ("arm", "cartpole", "distance", "drive", "plots", "replay")
SCREENSHOTS = {f"view_{what}" for what in SHOWN}
"""Pictures that tests of the page in a browser take."""


def test_pictures_are_shown_and_can_be_drawn_again():
    pytest.importorskip("matplotlib")
    drawn = {draw.__name__ for draw in script("figures").PICTURES}
    files = [*(ROOT / "docs" / "figures").iterdir()]
    assert {file.stem for file in files} == drawn | SCREENSHOTS
    text = "".join(page.read_text() for page in PAGES)
    assert [file.name for file in files if f"figures/{file.name})" not in text] == []


@pytest.mark.extras
def test_pictures_are_drawn_from_runs(tmp_path, monkeypatch):
    """The script runs, in the size of the pictures that are shown."""
    image = pytest.importorskip("matplotlib.image")
    figures = script("figures")
    there, _ = figures.FOLDER, monkeypatch.setattr(figures, "FOLDER", tmp_path)
    figures.main(["data_flow", "ladder"])
    for name in ("data_flow.png", "ladder.png"):
        assert image.imread(tmp_path / name).shape == image.imread(there / name).shape


def test_the_moving_picture_is_small():
    assert (ROOT / "docs" / "figures" / "cartpole.gif").stat().st_size < 2e6


def test_plan_times_of_the_readme_are_those_that_were_measured():
    times = re.findall(r"\d\.\d\d ms", (ROOT / "README.md").read_text())
    assert len(times) >= 4
    measured = (ROOT / "docs" / "benchmarks.md").read_text()
    assert [time for time in times if f"| {time} |" not in measured] == []


def test_every_refusal_and_warning_says_what_to_do():
    rows = re.findall(r"^\| (.*) \|$", (ROOT / "docs/reference/messages.md").read_text(), re.M)
    assert len(rows) > 400
    assert [row for row in rows if not row.rpartition(" | ")[2].strip()] == []


def rows_of_messages():
    """Return [(pattern of a message, what to do)] of those that have words of their own."""
    rows = []
    for row in re.findall(r"^\| (.*) \|$", (ROOT / "docs/reference/messages.md").read_text(), re.M):
        message, _, remedy = row.replace("\\|", "|").rpartition(" | ")
        words = re.split(r"[A-Z][A-Z_]+", message)  # Capitals stand for anything.
        if sum(len(re.sub(r"[^a-z]", "", part)) for part in words) >= 10:
            rows.append((re.compile(".+?".join(map(re.escape, words))), remedy))
    return rows


@pytest.mark.parametrize(
    "changes",
    [
        {"action.safe.force": 20.0, "command_phase": 0.75, "command.preview": 2},
        {"action.low.force": 20.0},
        {"action.measured_by.force": "hinge", "action.nominal.force": "reference"},
        {"command.fields.force": "data[-1]"},
        {"control_rat": 50.0},
        {"control_rate": 0.0, "planner.noise_beta": "hot"},
        {"costs": ["running", "running"]},
        {"costs": ["running"]},
        {"drive.costmap_topic": "costmap"},
        {"dynamics.plugin": "cartpol"},
        {"dynamics.plugin": "nowhere:Model"},
        {"fallback": "policy"},
        {"planner.device": "cuda:99"},
        {"planner.elites": 5000, "planner.order": 2},
        {"planner.samples": 1},
        {"policy.file": "nowhere.yaml", "policy.candidates": 4},
        {"realtime.cpus": "all"},
        {"running.signals": "x"},
        {"state.sources": ["one", "one"]},
        {"state.sources": ["joints"], "state.base.topic": "odom"},
        {"state.topic": "joint states", "state.type": "std_msgs/msg/String"},
    ],
    ids=str,
)
def test_what_a_wrong_parameter_file_gives_is_among_the_messages(changes):
    """Refusals that are raised together, as a reader would look for them."""
    rows = rows_of_messages()
    with pytest.raises(ConfigurationError) as refused:
        configure(load_yaml(ROOT / "config" / "cartpole.yaml") | changes)
    for line in str(refused.value).splitlines():
        assert any(pattern.match(line) and remedy for pattern, remedy in rows), line


@pytest.mark.parametrize(
    "text",
    [
        "cem_planner: {ros__parameters: {a: [[1]]}}",
        "cem_planner: {ros__parameters: {a: [1, x]}}",
        "cem_planner: {ros__parameters: 3}",
        "cem_planner: {ros__parameters: {a: }}",
        "cem_planner: {ros__parameters: {}, b: {}}",
        "cem_planner: {ros__parameters: {a: &A 1, b: *A}}",
        "cem_planner: {a: 1}",
        "ros__parameters: {a: 1}",
        "[cem_planner]",
        "other: {ros__parameters: {a: 1}}",
        "cem_planner: [",
    ],
)
def test_what_a_file_that_rcl_refuses_gives_is_among_the_messages(text, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_yaml(file)
    said = str(refused.value).splitlines()[0]
    rows = rows_of_messages()
    assert any(pattern.search(said) and remedy for pattern, remedy in rows), said


def test_a_warning_is_among_the_messages():
    wrong = load_yaml(ROOT / "config" / "cartpole.yaml") | {"command.rate": 10.0}
    (warning, *_) = configure(wrong).warnings()
    assert warning.startswith("command.rate is 10")
    assert any(pattern.match(warning) and remedy for pattern, remedy in rows_of_messages())
