# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The page's node beside a planner, without a browser."""

import contextlib
import subprocess
import sys
import threading

import pytest

pytest.importorskip("viser")

from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import TransitionEvent
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.client import Client
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from spinning import kept
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins import parameter as declarations
from cem_planner_ros.ros.declaring import declaration, descriptor
from cem_planner_ros.ros.node import PlannerNode
from cem_planner_ros.ros.stop_button import StopButton
from cem_planner_ros.ros.view_node import ViewNode

pytestmark = pytest.mark.slow


@pytest.fixture
def view(context, monkeypatch):
    """A function that makes a view node and spins it; parameters by name."""
    with contextlib.ExitStack() as ended:

        def make(**values):
            monkeypatch.setattr(sys, "argv", ["view_node"])
            overrides = [Parameter(name, value=v) for name, v in ({"port": 0} | values).items()]
            return kept(ViewNode(parameter_overrides=overrides), ended)

        yield make


@pytest.fixture
def planner(node, observer):
    """An active planner."""
    made = node(plan_rate=20.0, marker_count=10)
    assert observer.transition("configure")
    assert observer.transition("activate")
    return made


def test_the_node_is_imported_without_pytorch():
    """PyTorch takes seconds, in which a browser loads the page already."""
    code = "import sys, cem_planner_ros.ros.view_node; exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_values_follow_the_planner_and_it_has_the_last_word(planner, view, observer, wait_until):
    page = view().page
    panel, tuning = page.panel, page.panel.tuning
    wait_until(lambda: panel.is_active and tuning.values)
    assert tuning.values["goal.weight.x"] == 1.0
    assert tuning.parameters["planner.samples"].when == declarations.INACTIVE
    tuning.ask("goal.weight.x", 2.5)
    wait_until(lambda: planner.get_parameter("goal.weight.x").value == 2.5)
    wait_until(lambda: tuning.changes == {"goal.weight.x": (1.0, 2.5)})
    # Somebody else.
    assert observer.set(goal__weight__x=4.0) == []
    wait_until(lambda: tuning.values["goal.weight.x"] == 4.0)
    tuning.undo(["goal.weight.x"])
    wait_until(lambda: planner.get_parameter("goal.weight.x").value == 1.0)
    # What the planner refuses goes back, with the reason.
    tuning.ask("control_rate", 60.0)
    wait_until(lambda: "not active" in panel.message)
    assert tuning.shown("control_rate") == 50.0
    # It is set while the planner is not active.
    tuning.stage("planner.samples", 128)
    panel.apply()
    wait_until(lambda: planner.get_parameter("planner.samples").value == 128)
    wait_until(lambda: tuning.shown("planner.samples") == 128)
    wait_until(lambda: observer.lifecycle() == "active")


def test_a_page_that_comes_later_knows_what_was_changed_since_the_start(
    planner, view, observer, wait_until
):
    assert observer.set(goal__weight__x=4.0) == []
    tuning = view().page.panel.tuning
    wait_until(lambda: tuning.changes == {"goal.weight.x": (1.0, 4.0)})


def test_values_that_do_not_fit_together_do_not_stop_the_robot(planner, view, observer, wait_until):
    transitions = observer.listen(TransitionEvent, "/cem_planner/transition_event")
    made = view()
    panel, tuning = made.page.panel, made.page.panel.tuning
    wait_until(lambda: made.is_connected and panel.is_active)
    tuning.stage("planner.samples", 128)
    tuning.stage("planner.elites", 256)
    panel.apply()
    wait_until(lambda: "planner.elites" in panel.message)
    assert "**Refused:**" in panel.message
    assert tuning.shown("planner.elites") == 8
    assert observer.lifecycle() == "active"
    assert transitions == []


@pytest.fixture
def lose(monkeypatch):
    """A function that loses the answers to a service, and returns a function that ends it."""
    call, lost = Client.call_async, set()

    def lossy(client, request):
        return Future() if client.srv_type.__name__ in lost else call(client, request)

    monkeypatch.setattr(Client, "call_async", lossy)

    def lose(kind):
        lost.add(kind.__name__)
        return lost.clear

    return lose


def test_parameters_are_asked_for_again_if_the_answer_is_lost(planner, view, wait_until, lose):
    end = lose(GetParameters)
    made = view()
    wait_until(lambda: made.page.panel.is_active)
    assert not made.is_connected
    end()
    wait_until(lambda: made.is_connected)


def test_a_slider_can_be_moved_again_if_an_answer_is_lost(planner, view, wait_until, lose):
    page = view().page
    panel, tuning = page.panel, page.panel.tuning
    wait_until(lambda: panel.is_active and tuning.values)
    end = lose(SetParameters)
    tuning.ask("goal.weight.x", 2.5)
    wait_until(lambda: "did not answer" in panel.message)
    assert tuning.shown("goal.weight.x") == 1.0
    end()
    tuning.ask("goal.weight.x", 3.5)
    wait_until(lambda: planner.get_parameter("goal.weight.x").value == 3.5)
    wait_until(lambda: not panel.message)


def test_nothing_is_set_on_a_planner_that_cannot_be_deactivated(
    node, observer, view, wait_until, monkeypatch
):
    monkeypatch.setattr(
        PlannerNode, "on_deactivate", lambda node, state: TransitionCallbackReturn.FAILURE
    )
    planner = node()
    assert observer.transition("configure")
    assert observer.transition("activate")
    page = view().page
    panel, tuning = page.panel, page.panel.tuning
    wait_until(lambda: panel.is_active and tuning.values)
    tuning.stage("planner.samples", 128)
    panel.apply()
    wait_until(lambda: "could not be deactivated" in panel.message)
    assert planner.get_parameter("planner.samples").value == 64
    assert tuning.shown("planner.samples") == 64


def test_a_goal_may_be_sent_while_its_topic_changes(view, observer, wait_until):
    operating, done, failed = view().operating, threading.Event(), []
    heard = observer.listen(PoseStamped, "/goal")

    def send():
        try:
            while not done.is_set():
                operating.send_goal(1.0, 2.0, 0.0)
        except Exception as error:
            failed.append(error)

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    for _ in range(30):
        operating.use_goal("/goal", "map")
    done.set()
    sending.join(60.0)
    assert (sending.is_alive(), failed) == (False, [])
    wait_until(lambda: operating.send_goal(1.0, 2.0, 0.0) or heard)
    goal = heard[-1][1]
    assert (goal.header.frame_id, goal.pose.position.x, goal.pose.position.y) == ("map", 1.0, 2.0)


@pytest.mark.extras
def test_a_page_shows_a_planner_that_comes_later_and_comes_again(
    view, start, wait_until, drive, write_yaml
):
    made = view(node="/cem_planner")
    file = write_yaml(drive | {"autostart": False})
    for _ in range(2):
        planner = start("planner", "--params-file", file)
        wait_until(lambda: made.is_connected)
        assert "goal.weight.x" in made.page.panel.tuning.values
        planner.end()
        wait_until(lambda: not made.is_connected)


def test_the_stop_is_pressed_until_a_planner_acknowledges_it(context, observer, wait_until):
    """It is pressed before anybody hears it."""
    told = []
    button = StopButton(observer.node.context, "/planner", lambda *said: told.append(said))
    try:
        button.press(True)
        wait_until(lambda: told and "not acknowledged" in told[-1][0])
        asked = []

        def serve(request, response):
            asked.append(request.data)
            response.success, response.message = True, "stopped"
            return response

        observer.node.create_service(SetBool, "/planner/emergency_stop", serve)
        wait_until(lambda: told[-1] == ("acknowledged by /planner: stopped", True))
        assert set(asked) == {True}
        button.press(False)
        wait_until(lambda: told[-1] == ("acknowledged by /planner: stopped", False))
    finally:
        button.close()


def test_a_press_that_is_answered_at_once_returns(context, observer, wait_until, monkeypatch):
    told = []
    button = StopButton(observer.node.context, "/planner", lambda *said: told.append(said))
    heard = threading.Event()

    def serve(request, response):
        heard.set()
        return response

    def answered(client, request):
        future = Future()
        future.set_result(SetBool.Response(success=True, message="stopped"))
        return future

    observer.node.create_service(SetBool, "/planner/emergency_stop", serve)
    button.press(True)
    wait_until(lambda: heard.is_set())
    monkeypatch.setattr(Client, "call_async", answered)
    pressing = threading.Thread(target=button.press, args=(True,), daemon=True)
    pressing.start()
    pressing.join(60.0)
    assert not pressing.is_alive()
    wait_until(lambda: told and told[-1] == ("acknowledged by /planner: stopped", True))
    button.close()


def test_a_release_is_not_kept_for_a_planner_that_comes_later(context, observer, wait_until):
    """Somebody else may have pressed the stop of this planner meanwhile."""
    told = []
    button = StopButton(observer.node.context, "/planner", lambda *said: told.append(said))
    try:
        button.press(True)
        wait_until(lambda: told)
        button.press(False)
        wait_until(lambda: told[-1] == ("not released: /planner is not there", True))
    finally:
        button.close()


def test_the_stop_of_the_page_stops_the_planner(planner, view, wait_until):
    made = view()
    wait_until(lambda: made.page.panel.is_active)
    made.operating.emergency_stop(True)
    wait_until(lambda: planner.loop.commander.tick.cause == "emergency_stop")
    wait_until(lambda: "acknowledged" in made.page.stop_text)
    # A page that is opened later shows it too.
    other = view()
    wait_until(lambda: "pressed" in other.page.stop_text)


def test_values_set_on_the_page_do_not_end_a_released_emergency_stop(
    planner, observer, view, wait_until, monkeypatch
):
    told = []
    made = view()
    monkeypatch.setattr(made.page, "show_answer", told.append)
    panel = made.page.panel
    wait_until(lambda: made.is_connected and panel.is_active)
    for is_pressed in (True, False):
        made.operating.emergency_stop(is_pressed)
        wait_until(lambda is_pressed=is_pressed: planner._operator.is_pressed == is_pressed)
    wait_until(lambda: made.operating.is_stopped)
    set_parameters = made.operating.set_parameters

    def set_late(*given):
        """Set values when the diagnostics of the inactive planner have come."""
        made.operating.is_stopped = False
        set_parameters(*given)

    monkeypatch.setattr(made.operating, "set_parameters", set_late)
    panel.tuning.stage("planner.samples", 128)
    panel.apply()
    wait_until(lambda: told and "not activated again" in told[-1])
    assert planner.get_parameter("planner.samples").value == 128
    assert observer.lifecycle() == "inactive"
    made.operating.transition("activate")
    wait_until(lambda: observer.lifecycle() == "active")
    wait_until(lambda: not made.operating.is_stopped)


def test_the_stop_works_while_the_page_is_busy(planner, view, wait_until, monkeypatch):
    made = view()
    wait_until(lambda: made.page.panel.is_active)
    is_busy, over = threading.Event(), threading.Event()

    def show(*arguments):
        is_busy.set()
        over.wait(60.0)

    monkeypatch.setattr(made.page, "show_diagnostics", show)
    wait_until(is_busy.is_set)
    try:
        made.operating.emergency_stop(True)
        wait_until(lambda: planner.loop.commander.tick.cause == "emergency_stop")
        wait_until(lambda: "acknowledged" in made.page.stop_text)
    finally:
        over.set()


def test_candidates_are_published_with_their_costs(planner, observer, states, wait_until):
    heard = observer.listen(Float64MultiArray, "/cem_planner/candidates")
    wait_until(lambda: heard)
    message = heard[-1][1]
    count, width, states = (dimension.size for dimension in message.layout.dim)
    assert (count, width, states) == (10, 2 + 21 * 4, 4)
    assert message.layout.dim[2].label == "x,y,x_dot,y_dot"
    rows = [message.data[i * width : (i + 1) * width] for i in range(count)]
    assert [row[1] for row in rows] == [1.0] * 5 + [0.0] * 5
    elites = [row[0] for row in rows[:5]]
    assert elites == sorted(elites)
    assert max(elites) <= min(row[0] for row in rows[5:])


@pytest.mark.parametrize(
    "parameter",
    [
        declarations.Parameter("a", True, "Whether [not] so."),
        declarations.Parameter("a", 5, "Number.", low=1, high=9),
        declarations.Parameter("a", 5, "Number.", unit="m", low=1),
        declarations.Parameter("a", 0.5, "Number.", unit="m/s", high=2.0, when="inactive-only"),
        declarations.Parameter("a", 0.5, "Number.", words=("middle", "measured")),
        declarations.Parameter("a", "middle", "Number.", low=0.0, words=("middle",)),
        declarations.Parameter("a", "x", "Choice.", choices=("x", "y"), when="read-only"),
        declarations.Parameter("a", "x", "Text."),
        declarations.Parameter("a", ["x"], "Texts."),
        declarations.Parameter("a", [], "Texts."),
    ],
)
def test_a_descriptor_says_all_of_a_declaration(parameter):
    assert declaration(descriptor(parameter), parameter.default) == parameter


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"port": 99999}, "port"),
        ({"node": "a b"}, "a b"),
        ({"robot": 1}, "robot"),
        ({"robot": "/nowhere/robot.urdf"}, "/nowhere/robot.urdf"),
    ],
)
def test_wrong_parameters_are_refused(view, values, words):
    with pytest.raises(ConfigurationError, match=words):
        view(**values)
