# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Values on the page: what is shown, asked for, refused, undone and written."""

import pytest
import yaml

from cem_planner_ros.configuration import load_yaml
from cem_planner_ros.plugins.parameter import Parameter
from cem_planner_ros.view.tuning import Tuning

PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter("planner.samples", 64, "Number.", low=1),
        Parameter("goal.weight.x", 1.0, "Weight.", low=0.0),
        Parameter("costs", ["goal"], "Costs."),
        Parameter("empty", [], "Empty."),
    )
}


class FakeNode:
    """Answers when it is told to."""

    def __init__(self):
        self.asked, self.refused, self.shown = [], [], []
        self.tuning = Tuning(
            lambda values, done: self.asked.append((values, done)),
            lambda names: self.shown.extend(names),
            self.refused.append,
        )
        values = {name: parameter.default for name, parameter in PARAMETERS.items()}
        self.tuning.begin(PARAMETERS, values, {})

    def answer(self, reasons=None):
        _, done = self.asked.pop(0)
        done(reasons or {})


@pytest.fixture
def fake():
    return FakeNode()


def test_a_value_is_asked_for_and_counts_when_the_node_has_it(fake):
    fake.tuning.ask("goal.weight.x", 3)
    assert fake.asked[0][0] == {"goal.weight.x": 3.0}
    assert fake.tuning.shown("goal.weight.x") == 3.0
    assert fake.tuning.changes == {}
    fake.answer()
    assert fake.tuning.changes == {"goal.weight.x": (1.0, 3.0)}


def test_of_a_dragged_slider_only_the_newest_value_waits(fake):
    for value in (2.0, 3.0, 4.0, 5.0):
        fake.tuning.ask("goal.weight.x", value)
    assert len(fake.asked) == 1
    fake.answer()
    assert [values for values, _ in fake.asked] == [{"goal.weight.x": 5.0}]
    # The node tells the older value meanwhile: the slider does not jump back.
    fake.tuning.follow({"goal.weight.x": 2.0})
    assert fake.tuning.shown("goal.weight.x") == 5.0
    fake.answer()
    assert fake.tuning.values["goal.weight.x"] == 5.0


def test_a_refused_value_goes_back_with_the_reason(fake):
    fake.tuning.ask("planner.samples", 100)
    fake.answer({"planner.samples": "not now"})
    assert fake.refused == [{"planner.samples": "not now"}]
    assert fake.tuning.shown("planner.samples") == 64
    assert "planner.samples" in fake.shown


def test_what_the_declaration_does_not_allow_is_not_even_sent(fake):
    fake.tuning.ask("goal.weight.x", -1.0)
    assert fake.asked == []
    assert "at least 0" in fake.refused[0]["goal.weight.x"]
    assert "goal.weight.x" in fake.shown


def test_values_that_others_set_are_shown(fake):
    fake.tuning.follow({"goal.weight.x": 7.0, "unknown": 1})
    assert fake.tuning.shown("goal.weight.x") == 7.0
    assert fake.shown == ["goal.weight.x"]
    assert fake.tuning.changes == {"goal.weight.x": (1.0, 7.0)}


def test_undo_asks_for_the_values_of_the_start_together(fake):
    fake.tuning.follow({"goal.weight.x": 7.0, "planner.samples": 128})
    fake.tuning.undo(["goal.weight.x", "planner.samples", "costs"])
    assert fake.asked[0][0] == {"goal.weight.x": 1.0, "planner.samples": 64}
    fake.answer()
    assert fake.tuning.changes == {}


def test_reasons_are_told_together_with_what_was_accepted(fake):
    fake.tuning.follow({"goal.weight.x": 7.0, "planner.samples": 128})
    fake.tuning.undo(["goal.weight.x", "planner.samples"])
    fake.answer({"goal.weight.x": "no"})
    assert fake.refused == [{"goal.weight.x": "no"}]
    assert fake.tuning.changes == {"goal.weight.x": (1.0, 7.0)}


def test_a_node_that_comes_again_keeps_the_values_of_the_start(fake):
    fake.tuning.follow({"goal.weight.x": 7.0})
    fake.tuning.ask("planner.samples", 100)  # It is gone before it answers.
    fake.tuning.begin(PARAMETERS, fake.tuning.values, {})
    assert fake.tuning.changes == {"goal.weight.x": (1.0, 7.0)}
    fake.asked.clear()
    fake.tuning.ask("planner.samples", 100)
    assert len(fake.asked) == 1


def test_what_was_changed_before_the_page_came_is_known(fake):
    now = fake.tuning.values | {"goal.weight.x": 7.0}
    fake.tuning.begin(PARAMETERS, now, {"goal.weight.x": 2.0, "planner.samples": 64})
    assert fake.tuning.changes == {"goal.weight.x": (2.0, 7.0)}
    fake.tuning.undo(["goal.weight.x"])
    assert fake.asked[0][0] == {"goal.weight.x": 2.0}


def test_an_undo_counts_more_than_values_that_wait(fake):
    fake.tuning.ask("goal.weight.x", 2.0)
    fake.tuning.ask("goal.weight.x", 3.0)
    fake.answer()
    fake.tuning.ask("goal.weight.x", 4.0)
    fake.tuning.undo(["goal.weight.x"])
    fake.answer()
    fake.answer()
    assert fake.asked == []
    assert fake.tuning.shown("goal.weight.x") == 1.0


def test_prepared_values_wait_until_they_are_taken(fake):
    fake.tuning.stage("planner.samples", 128)
    fake.tuning.stage("goal.weight.x", 1.0)  # It has this value already.
    assert fake.asked == []
    assert fake.tuning.shown("planner.samples") == 128
    assert fake.tuning.take_staged() == {"planner.samples": 128}
    assert fake.tuning.shown("planner.samples") == 64


def test_the_file_can_be_read_by_a_planner(fake, tmp_path):
    fake.tuning.follow({"goal.weight.x": 7.0})
    text = fake.tuning.yaml()
    assert "goal.weight.x was 1.0" in text
    file = tmp_path / "planner.yaml"
    file.write_text(text)
    assert load_yaml(file) == {"planner.samples": 64, "goal.weight.x": 7.0, "costs": ["goal"]}
    assert yaml.safe_load(text)["/**"]["ros__parameters"]["goal"]["weight"]["x"] == 7.0
