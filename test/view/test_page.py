# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the page shows, without a browser."""

import csv
import http.client
import io
import math
import socket

import numpy as np
import pytest

pytest.importorskip("viser")

import viser

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.paths import share
from cem_planner_ros.plugins.parameter import Parameter
from cem_planner_ros.view import panel, pictures, robots, scene
from cem_planner_ros.view.live_plots import TimeSeries
from cem_planner_ros.view.page import Page


class Recorder:
    """Notes what the page asks for."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.fixture(scope="module")
def page():
    made = Page(Recorder(), port=0)
    yield made
    made.close()


@pytest.fixture(scope="module")
def cartpole_configuration():
    return configure(load_yaml(share("config") / "cartpole.yaml") | {"planner.device": "cpu"})


def test_every_parameter_of_a_planner_has_an_input_that_shows_its_value(
    page, cartpole_configuration
):
    values = cartpole_configuration.values
    for name, parameter in cartpole_configuration.parameters.items():
        handle = panel.make_input(page.server.gui, name, parameter, values[name])
        panel.show_value(handle, parameter, values[name])
        assert panel.from_input(parameter, handle.value) == values[name], name
        assert parameter.allowed in handle.hint
        assert parameter.when in handle.hint
        handle.remove()


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        (Parameter("a", True, "A."), viser.GuiCheckboxHandle),
        (Parameter("a", "x", "A.", choices=("x", "y")), viser.GuiDropdownHandle),
        (Parameter("a", 0.5, "A.", low=0.0, high=1.0), viser.GuiSliderHandle),
        (Parameter("a", 5, "A.", low=1), viser.GuiSliderHandle),
        (Parameter("a", 0.5, "A."), viser.GuiNumberHandle),
        (Parameter("a", 0.5, "A.", words=("middle",)), viser.GuiTextHandle),
        (Parameter("a", ["x"], "A."), viser.GuiTextHandle),
    ],
)
def test_the_kind_of_input_follows_from_the_declaration(page, parameter, kind):
    handle = panel.make_input(page.server.gui, "a", parameter, parameter.default)
    assert isinstance(handle, kind)
    handle.remove()


@pytest.mark.parametrize("high", [None, 1e9])
def test_a_slider_grows_with_its_value(page, high):
    """A slider up to a far end would have no room for the usual values."""
    parameter = Parameter("weight", 0.001, "Weight.", low=0.0, high=high)
    handle = panel.make_input(page.server.gui, "weight", parameter, 0.001)
    assert 0.001 < handle.max <= 0.1
    panel.show_value(handle, parameter, 25.0)
    assert handle.value == 25.0
    assert handle.max > 25.0
    handle.remove()


def test_a_slider_does_not_grow_beyond_what_is_allowed(page):
    parameter = Parameter("share", 0.5, "Share.", low=0.1, high=0.9)
    handle = panel.make_input(page.server.gui, "share", parameter, 0.5)
    assert (handle.min, handle.max) == (0.1, 0.9)
    panel.show_value(handle, parameter, 0.9)
    assert handle.max == 0.9
    handle.remove()


def test_texts_become_numbers_words_and_lists():
    speed = Parameter("speed", "middle", "A.", words=("middle",))
    assert panel.from_input(speed, "0.5") == 0.5
    assert panel.from_input(speed, "middle") == "middle"
    with pytest.raises(ConfigurationError, match="allowed"):
        panel.from_input(speed, "fast")
    assert panel.from_input(Parameter("a", ["x"], "A."), "x;  y z ;") == ["x", "y z"]


def test_saved_files_do_not_overwrite_each_other(page, tmp_path, cartpole_configuration):
    own = panel.Panel(page.server, Recorder(), save_to=tmp_path / "new")
    own.fill(cartpole_configuration.parameters, cartpole_configuration.values)
    own.save()
    own.save()
    files = sorted((tmp_path / "new").iterdir())
    assert len(files) == 2
    assert configure(load_yaml(files[0]) | {"planner.device": "cpu"}).values == (
        cartpole_configuration.values
    )


def test_a_file_is_saved_at_a_path_below_the_folder_and_nowhere_else(tmp_path):
    folder = tmp_path / "saved"
    assert panel.save_text(folder, "robot/soft", "a") == folder / "robot" / "soft.yaml"
    assert panel.save_text(folder, "hard.yaml", "a").read_text() == "a"
    with pytest.raises(ConfigurationError, match="exists already"):
        panel.save_text(folder, "hard", "b")
    (folder / "out").symlink_to(tmp_path)
    for name in ("../evil", str(tmp_path / "evil"), "out/evil"):
        with pytest.raises(ConfigurationError, match="expected a path below"):
            panel.save_text(folder, name, "b")
    assert {file.name for file in tmp_path.rglob("*.yaml")} == {"soft.yaml", "hard.yaml"}


def test_undo_prepares_what_needs_a_pause(page, cartpole_configuration):
    asked = Recorder()
    own = panel.Panel(page.server, asked)
    values = cartpole_configuration.values
    changed = {"planner.samples": 512, "running.weight.theta": 9.0}
    own.fill(cartpole_configuration.parameters, values | changed, values)
    own.set_active(True)
    own.undo(changed)
    ((name, asked_for, _),) = asked.calls
    assert (name, asked_for) == ("set_parameters", {"running.weight.theta": 2.0})
    assert own.tuning.staged == {"planner.samples": 1024}
    own.undo(["planner.samples", "none"])
    assert own.tuning.staged == {"planner.samples": 1024}


def test_prepared_values_are_handed_over_together(page, cartpole_configuration):
    asked = Recorder()
    own = panel.Panel(page.server, asked)
    own.fill(cartpole_configuration.parameters, cartpole_configuration.values)
    own.apply()
    assert asked.calls == []
    own.tuning.stage("planner.samples", 512)
    own.apply()
    ((name, values, done),) = asked.calls
    assert (name, values) == ("set_inactive", {"planner.samples": 512})
    done({"planner.samples": "no"})
    assert own.tuning.shown("planner.samples") == 1024


def test_a_port_in_use_is_refused(page, capfd):
    with pytest.raises(ConfigurationError, match=str(page.serving.port)):
        Page(Recorder(), port=page.serving.port)
    assert capfd.readouterr() == ("", "")  # The server of viser would print.


def test_a_page_is_served_and_closed_without_a_word(capfd):
    Page(Recorder(), port=0).close()
    assert capfd.readouterr() == ("", "")


def test_a_page_for_each_address_is_called_by_the_name_of_the_machine():
    made = Page(Recorder(), host="0.0.0.0", port=0)
    try:
        where = f"http://{socket.gethostname()}:{made.serving.port}/?token="
        assert made.serving.address.startswith(where)
    finally:
        made.close()


def test_the_port_behind_the_gate_serves_nobody_else(page):
    """Each user of the machine can connect to it."""
    for port, status in ((page.serving.port, 200), (page.server.get_port(), 403)):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/", headers={"X-Cem-Planner-Gate": "guess"})
            assert connection.getresponse().status == status
        finally:
            connection.close()


@pytest.mark.parametrize(
    "names", [("x", "theta"), ("x", "y", "yaw"), ("x", "y", "z", "qw", "qx", "qy", "qz")]
)
def test_plans_and_candidates_can_be_drawn_again_and_again(page, names):
    numbers = np.random.default_rng(0)
    page.scene.use(robots.from_names(names, {}))
    for count in (5, 3):
        states = numbers.normal(size=(count, 11, len(names)))
        states[0, 3] = math.nan
        page.scene.show_state(states[1, 0])
        page.scene.show_plan(states[1])
        page.scene.show_candidates(states, np.arange(count) + 0.0, 2)
    page.scene.use(None)
    page.scene.show_state(states[1, 0])


def test_the_cheapest_candidate_is_green_and_the_most_expensive_red():
    cheap, dear, middle = scene.cost_colours(np.array([1.0, math.inf, 2.0]))
    assert cheap[1] > cheap[0]
    assert dear[0] > dear[1]
    assert 0 < middle[0] < dear[0]


def test_a_costmap_is_dark_where_it_is_occupied():
    cells = np.array([[0, 100], [-1, 50]], np.int8)
    image = pictures.map_image(cells)
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 1].max() < 50
    assert image[1, 1, 0] not in (255, image[0, 1, 0])
    assert image[1, 0].tolist() != [255, 255, 255]


def test_the_map_lies_where_its_corner_and_its_angle_say(page):
    costmap = Costmap(np.zeros((2, 4), np.int8), 0.5, Pose(1.0, 2.0, math.pi / 2), 0.0)
    page.scene.show_costmap(costmap)
    handle = page.server.scene.get_handle_by_name("/world/costmap")
    assert handle.position[:2] == pytest.approx((1.0 - 0.5, 2.0 + 1.0))


def test_a_distance_field_is_dark_within_obstacles_and_white_far_from_them():
    image = pictures.distance_image(np.array([[-0.1, 0.05], [0.5, 2.0]]))
    assert image[0, 0].tolist() == list(pictures.INSIDE)
    near, middle, far = image[0, 1], image[1, 0], image[1, 1]
    assert far.tolist() == [255, 255, 255]
    assert near[1] < middle[1] < far[1]


def test_a_large_map_is_thinned_and_keeps_its_obstacles():
    cells = np.zeros((1000, 30), np.int8)
    cells[777, 11] = 100
    small = pictures.thinned(cells, np.maximum)
    assert small.shape == (500, 15)
    assert np.argwhere(small == 100).tolist() == [[388, 5]]


def lines(page, name):
    """Return the segments (n, 2, 3) of a line of the scene."""
    return page.server.scene.get_handle_by_name(f"/world/{name}").points


def test_the_braking_way_has_the_footprint_where_it_begins_and_ends(page):
    footprint = Footprint.around(np.array([[0.2, 0.1], [-0.2, 0.1], [-0.2, -0.1], [0.2, -0.1]]), 2)
    way = np.column_stack((np.linspace(1.0, 2.0, 5), np.zeros((5, 2))))
    page.scene.show_braking(way, footprint)
    points = lines(page, "braking")
    assert points.shape == (4 + 2 * 4, 2, 3)
    assert points[..., 0].min() == pytest.approx(0.8)
    assert points[..., 0].max() == pytest.approx(2.2)
    page.scene.show_braking(np.zeros((0, 3)), footprint)
    assert not len(lines(page, "braking"))


def test_moving_obstacles_are_shown_with_where_they_are_predicted(page):
    place, speed = np.array([[3.0, 0.0], [0.0, 5.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])
    page.scene.show_moving_obstacles(MovingObstacles(place, speed, np.full(2, 0.5), 0.0, 0.0))
    now, later = lines(page, "moving_obstacles"), lines(page, "moving_obstacles_predicted")
    assert now[..., 0].max() == pytest.approx(3.5)
    assert later[..., 0].max() == pytest.approx(3.5 + scene.AHEAD_TIMES[-1])
    page.scene.show_moving_obstacles(None)
    assert not len(lines(page, "moving_obstacles"))
    assert not len(lines(page, "moving_obstacles_predicted"))


def test_a_dragged_goal_is_not_moved_and_a_first_one_is_offered(page):
    page.scene.offer_goal((1.0, 0.0, math.pi / 2))
    goal = page.server.scene.get_handle_by_name("/world/goal")
    assert goal.position[:2] == pytest.approx((1.0, 1.0))
    page.scene.show_goal((3.0, 4.0, 0.0))
    assert goal.position[:2] == pytest.approx((3.0, 4.0))
    page.scene.offer_goal((0.0, 0.0, 0.0))
    assert goal.position[:2] == pytest.approx((3.0, 4.0))


def test_a_time_series_keeps_the_last_seconds():
    series = TimeSeries(span=10.0)
    for time in range(20):
        series.add(float(time), {"a": float(time)} | ({"b": 1.0} if time == 19 else {}))
    times, a, b = series.columns(["a", "b"])
    assert times[0] == 9.0
    assert a[-1] == 19.0
    assert np.isnan(b[:-1]).all()
    assert len(series.columns(["a"], most=4)[0]) <= 4
    series.add(3.0, {"a": 0.0})  # The clock was set back.
    assert series.columns(["a"])[0].tolist() == [3.0]


@pytest.fixture
def plotting(page):
    """A function that adds numbers of a time to the plots, and shows them."""

    def add(time, **values):
        page.statistics.add(time, {"plan_ms": values.pop("plan_ms", 3.0), "cost.goal": 2.0})
        page.plan.add(time, {f"state {name}": value for name, value in values.items()})
        page.show_plots()

    yield add
    page.plots.hold(False)
    page.show_states(("x",))


def rows_of(page):
    return list(csv.DictReader(io.StringIO(page.plots.csv())))


def test_numbers_of_all_plots_are_written_as_csv(page, plotting):
    page.statistics.add(1.0, {"plan_ms": 3.0, "cost.goal": 2.0})
    page.plan.add(1.5, {"state x": 0.25})
    page.show_plots()
    rows = rows_of(page)
    assert rows[0]["plan_ms"] == "3"
    assert rows[0]["state x"] == ""
    assert rows[1]["state x"] == "0.25"


def test_what_is_downloaded_while_the_plots_are_held_is_what_they_show(page, plotting):
    plotting(2.0, x=1.0)
    plotting(3.0, x=2.0)
    page.plots.hold(True)
    shown = rows_of(page)
    plotting(90.0, x=7.0)  # What was before is too old by now.
    assert rows_of(page) == shown
    page.plots.hold(False)
    assert [row["state x"] for row in rows_of(page) if row["state x"]] == ["7"]


def test_many_states_are_chosen_among(page, plotting):
    names = [f"q{index}" for index in range(7)]
    page.show_states(names)
    states = next(plot for plot in page.plots.all if plot.title.startswith("State"))
    for time in (100.0, 101.0):
        plotting(time, **dict.fromkeys(names, 0.5))
    assert list(states.shown) == [f"state q{index}" for index in range(5)]
    assert "state q6" in rows_of(page)[-1]
    page.show_states(names[:2])
    plotting(102.0, q0=0.5)
    assert set(states.shown) > {"state q0"}


def test_the_plots_are_a_picture_too(page, plotting):
    pytest.importorskip("matplotlib")
    for time in (200.0, 201.0):
        plotting(time, x=1.0, plan_ms=math.nan)
    assert page.plots.picture().startswith(b"\x89PNG")


def test_statistics_can_be_switched_on_where_they_are_missing(cartpole_configuration):
    asked = Recorder()
    made = Page(asked, port=0)
    try:
        made.panel.fill(cartpole_configuration.parameters, cartpole_configuration.values)
        made.show_plots()
        made.publish_statistics()
        assert asked.calls[0][:2] == ("set_parameters", {"publish_statistics": True})
    finally:
        made.close()
