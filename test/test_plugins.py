import sys
from importlib.metadata import EntryPoint

import pytest

from cem_planner_ros import plugins
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.errors import ConfigurationError


def test_built_in_plugins_are_found_by_name():
    assert plugins.load("dynamics", "cartpole") is CartPole
    assert plugins.load("costs", "quadratic") is Quadratic
    assert {"cartpole", "diff_drive", "single_track"} <= set(plugins.installed("dynamics"))


def test_a_class_is_found_by_its_module():
    name = "cem_planner_ros.dynamics.cartpole:CartPole"
    assert plugins.load("dynamics", name) is CartPole


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (
            "dynamics",
            "cartpol",
            "did you mean 'cartpole'.*installed: ackermann, ackermann_drive, cartpole, ",
        ),
        ("dynamics", "cem_planner_ros.dynamics.cartpole:Pole", "no attribute 'Pole'|Pole"),
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
        plugins.load(kind, name)


def test_a_module_that_raises_on_import_shows_the_cause(tmp_path, monkeypatch):
    (tmp_path / "exploding.py").write_text("raise OSError('disk on fire')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="OSError: disk on fire"):
        plugins.load("costs", "exploding:Cost")
    assert "exploding" not in sys.modules


def test_a_name_registered_twice_is_refused_naming_both(monkeypatch):
    group = "cem_planner_ros.dynamics"
    entries = [EntryPoint("mine", value, group) for value in ("a:Model", "b:Model")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries)
    with pytest.raises(ConfigurationError, match=r"more than once: a:Model .*, b:Model"):
        plugins.load("dynamics", "mine")


def test_a_plugin_for_another_interface_is_refused(tmp_path, monkeypatch):
    (tmp_path / "from_the_future.py").write_text(
        "from cem_planner_ros.costs.base import Cost\nclass Price(Cost):\n    api_version = 7\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = "'from_the_future:Price' is written for version 7 of the plugin interface, expected .* 1"
    with pytest.raises(ConfigurationError, match=text):
        plugins.load("costs", "from_the_future:Price")
