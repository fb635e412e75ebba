# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import re
import sys
from importlib.metadata import EntryPoint

import pytest

from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins import loading


def test_built_in_plugins_are_found_by_name():
    assert loading.load("dynamics", "cartpole") is CartPole
    assert loading.load("costs", "quadratic") is Quadratic
    assert {"cartpole", "diff_drive", "single_track"} <= set(loading.installed("dynamics"))


def test_a_class_is_found_by_its_module():
    name = "cem_planner_ros.dynamics.cartpole:CartPole"
    assert loading.load("dynamics", name) is CartPole


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        ("dynamics", "cartpol", r"did you mean 'cartpole'.*installed: ([a-z_]+, )*cartpole, "),
        (
            "dynamics",
            "cem_planner_ros.dynamics.cartpole:Pole",
            "has no 'Pole', did you mean 'CartPole'",
        ),
        (
            "dynamics",
            "cem_planner_ros.costs.quadratic:Quadratic",
            "must be a subclass of .*Dynamics",
        ),
        ("costs", "math:pi", "must be a subclass of .*Cost"),
        ("costs", "", "unknown costs plugin"),
    ],
)
def test_what_cannot_be_loaded_is_explained(kind, name, text):
    with pytest.raises(ConfigurationError, match=text):
        loading.load(kind, name)


def test_a_module_that_raises_on_import_shows_the_cause(tmp_path, monkeypatch):
    (tmp_path / "exploding.py").write_text("raise OSError('disk on fire')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="OSError: disk on fire"):
        loading.load("costs", "exploding:Cost")
    assert "exploding" not in sys.modules


def test_a_module_that_exits_on_import_does_not_end_the_process(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text("import sys\nsys.exit('usage: script FILE')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="SystemExit: usage: script FILE"):
        loading.load("costs", "script:Cost")


def test_a_name_registered_twice_is_refused_naming_both(monkeypatch):
    group = "cem_planner_ros.dynamics"
    entries = [EntryPoint("mine", value, group) for value in ("a:Model", "b:Model")]
    monkeypatch.setattr(loading, "entry_points", lambda group: entries)
    with pytest.raises(ConfigurationError, match=r"more than once: a:Model .*, b:Model"):
        loading.load("dynamics", "mine")


def test_a_plugin_for_another_interface_is_refused(tmp_path, monkeypatch):
    (tmp_path / "from_the_future.py").write_text(
        "from cem_planner_ros.costs.base import Cost\nclass Price(Cost):\n    api_version = 7\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = "'from_the_future:Price' is written for version 7 of the plugin interface, expected .* 1"
    with pytest.raises(ConfigurationError, match=text):
        loading.load("costs", "from_the_future:Price")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def remember(self, state, action, time): ...", "begin_plan"),
        ("judges = True", "predicts_return"),
    ],
)
def test_an_old_name_of_the_interface_is_refused_with_the_present_one(
    tmp_path, monkeypatch, old, new
):
    module = f"written_before_{new}"
    (tmp_path / f"{module}.py").write_text(
        "from cem_planner_ros.dynamics.base import Dynamics\n"
        f"class Old(Dynamics):\n    def step(self, state, action, dt): ...\n    {old}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = rf"'{module}:Old' has Old.(remember|judges), expected .* present name: {new}$"
    with pytest.raises(ConfigurationError, match=text):
        loading.load("dynamics", f"{module}:Old")


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (
            '("gain", 1.0), ("gain", 2.0)',
            "Model declares a parameter called 'gain', but so is anoth",
        ),
        ('("gain", 1.0), ("gain.x", 2.0)', "called 'gain', but others are called gain.SOMETHING"),
        ('("", 1.0),', "called '', expected a name of Python"),
        ('("my gain", 1.0),', "called 'my gain', expected a name of Python"),
        ('("gain.", 1.0),', "called 'gain.', expected a name of Python"),
        ('("step", 1.0),', "called 'step', but 'step' is something else already"),
        ('("set", 1.0),', "called 'set', but 'set' is something else already"),
        ('("members.a", 1.0),', "called 'members.a', but 'members' is something else already"),
        ('("plugin", ""),', "called 'plugin', but 'plugin' is something else already"),
        ('("gain", None),', "'gain' has the default None, expected a bool, an int"),
        (
            '("gain", 1.0, "", "m", 2.0),',
            "default of a declaration: parameter 'gain' is 1.0",
        ),
        ('("gain", 1.0, "", "", None, None, (), "never"),', "'gain' may change 'never', expected"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(parameters, text, tmp_path, monkeypatch):
    (tmp_path / "declaring.py").write_text(
        "from cem_planner_ros.dynamics.cartpole import CartPole\n"
        "from cem_planner_ros.plugins.parameter import Parameter\n"
        "class Model(CartPole):\n"
        f"    parameters = tuple(Parameter(*p[:2], 'Any.', *p[3:]) for p in ({parameters}))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "declaring", raising=False)
    with pytest.raises(ConfigurationError, match=re.escape(text)):
        loading.load("dynamics", "declaring:Model")
