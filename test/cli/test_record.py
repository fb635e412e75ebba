# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""`record` beside a plant and a sender of commands, over DDS."""

import re
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy")
from std_msgs.msg import Float64MultiArray

from cem_planner_ros import cli
from cem_planner_ros.learning import bags
from cem_planner_ros.learning import task as tasks

SENT = [0.25, -0.25]


SAFE = [0.125, 0.0]


def is_random(command):
    return list(command) not in (SENT, SAFE)


def ended_safely(commands):
    """Whether the safe command came after the random ones."""
    sent = [list(message.data) for _, message in list(commands)]
    last = max(index for index, command in enumerate(sent) if is_random(command))
    return SAFE in sent[last:]


@pytest.fixture
def recorded(observer, start, write_yaml, drive, tmp_path, wait_until):
    """A function that records with some options; returns output, bag, and commands seen."""
    file = write_yaml(drive)
    start(
        *("simulator", "-p", "plant:=model", "-p", f"planner_file:={file}"),
        *("-p", "state_topic:=state", "-p", "command_topic:=command"),
    )
    publisher = observer.node.create_publisher(Float64MultiArray, "command", 1)
    observer.node.create_timer(0.02, lambda: publisher.publish(Float64MultiArray(data=SENT)))
    commands = observer.listen(Float64MultiArray, "command")

    def run(*arguments, interrupt=False):
        options = ["--config", file, "--out", tmp_path / "bag", "--seconds", "4", *arguments]
        said = tmp_path / "output"
        with said.open("w") as file_of_output:
            process = subprocess.Popen(
                [sys.executable, "-m", "cem_planner_ros", "record", *map(str, options)],
                stdout=file_of_output,
                stderr=subprocess.STDOUT,
            )
        if interrupt:
            wait_until(lambda: "recording for" in said.read_text())
            until = len(commands) + 100  # By then, some are in the bag.
            wait_until(lambda: len(commands) > until)
            wait_until(lambda: any(is_random(message.data) for _, message in list(commands)))
            process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
        output = said.read_text()
        assert process.returncode == (130 if interrupt else 0), output
        return output, bags.read(tmp_path / "bag", tasks.load(file)), commands

    return run


@pytest.mark.alone
def test_it_records_what_others_send_and_sends_nothing_itself(recorded, elsewhere):
    elsewhere.create_publisher(Float64MultiArray, "command", 1)
    output, found, commands = recorded()
    assert "2 nodes publish on the command topic '/command': /elsewhere, /observer" in output
    assert "random" not in output
    assert {tuple(message.data) for _, message in commands} == {tuple(SENT)}
    # Of 800 and 200, some of which a busy machine may lose.
    assert len(found.states.times) > 200
    assert len(found.commands.times) > 50
    np.testing.assert_array_equal(found.commands.values, [SENT] * len(found.commands.times))
    assert found.states.times[-1] - found.states.times[0] == pytest.approx(4.0, abs=2.0)


@pytest.mark.alone
def test_random_commands_stay_within_bounds_and_end_with_the_safe_one(recorded, wait_until):
    output, found, commands = recorded("--random", "0.5")
    assert "WARNING: random commands go to 'command' for 50% of the time" in output
    values = found.commands.values
    own = values[(values != SENT).any(1)]
    assert len(np.unique(own, axis=0)) >= 3
    assert (np.abs(own) <= 2.0).all()
    # In force for half of the time: each of others is followed by one of these.
    until = np.append(found.commands.times[1:], found.commands.times[-1])
    held = (until - found.commands.times)[(values != SENT).any(1)].sum()
    assert held == pytest.approx(2.0, abs=1.5)
    wait_until(lambda: ended_safely(commands))


def test_an_interrupted_one_ends_with_the_safe_command_and_a_bag(recorded, wait_until):
    output, found, commands = recorded("--random", "1", "--seconds", "100", interrupt=True)
    assert "Traceback" not in output
    wait_until(lambda: ended_safely(commands))
    assert len(found.states.times) > 0


def test_random_commands_end_with_the_safe_one_when_no_state_comes_and_when_the_terminal_closes(
    observer, start, write_yaml, drive, tmp_path, wait_until
):
    file = write_yaml(drive)
    plant = start(
        *("simulator", "-p", "plant:=model", "-p", f"planner_file:={file}"),
        *("-p", "state_topic:=state", "-p", "command_topic:=command"),
    )
    commands = observer.listen(Float64MultiArray, "command")
    options = ["--config", file, "--out", tmp_path / "bag", "--seconds", "100", "--random", "1"]
    command = [sys.executable, "-m", "cem_planner_ros", "record", *map(str, options)]
    process = subprocess.Popen(command)

    def moves():
        return commands and is_random(commands[-1][1].data)

    try:
        wait_until(moves)
        plant.popen.send_signal(signal.SIGSTOP)
        wait_until(lambda: list(commands[-1][1].data) == SAFE)
        plant.popen.send_signal(signal.SIGCONT)
        wait_until(moves)
        process.send_signal(signal.SIGHUP)
        process.wait(timeout=120)
        wait_until(lambda: ended_safely(commands))
    finally:
        process.kill()
        process.wait()


def test_it_says_what_it_waits_for_and_leaves_no_empty_bag(
    observer, write_yaml, drive, tmp_path, wait_until
):
    observer.node.create_publisher(Float64MultiArray, "states", 1)
    file, said = write_yaml(drive), tmp_path / "output"
    options = ["--config", file, "--out", tmp_path / "bag"]
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cem_planner_ros", "record", *map(str, options)], stdout=output
        )
    try:
        wait_until(lambda: "waiting for the command: no message on '/command'" in said.read_text())
        assert "waiting for the state: no message on '/state' (expects" in said.read_text()
        assert "comes on '/states'" in said.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(120.0) == 130
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "bag").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--random", "2"], "--random is 2, allowed: from 0 to 1"),
        (["--seconds", "0"], "--seconds is 0, allowed: more than 0"),
        (["--out", "nowhere/bag"], "there is no folder nowhere"),
        (["--out", "."], "exists, allowed: a folder to be made"),
    ],
)
def test_wrong_arguments_are_refused(write_yaml, drive, capsys, tmp_path, arguments, text):
    given = ["--config", str(write_yaml(drive)), "--out", str(tmp_path / "bag"), *arguments]
    assert cli.main(["record", *given]) == 1
    assert text in capsys.readouterr().err


def test_messages_that_are_not_installed_leave_no_empty_bag(
    write_yaml, drive, capsys, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "std_msgs.msg", None)
    given = ["--config", str(write_yaml(drive)), "--out", str(tmp_path / "bag")]
    assert cli.main(["record", *given]) == 1
    assert "need the package std_msgs" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()


TWO = {
    "state.sources": ["places", "speeds"],
    "state.places.topic": "places",
    "state.places.type": "std_msgs/msg/Float64MultiArray",
    "state.places.fields.x": "data[0]",
    "state.places.fields.y": "data[1]",
    "state.speeds.topic": "speeds",
    "state.speeds.type": "std_msgs/msg/Float64MultiArray",
    "state.speeds.fields.x_dot": "data[0]",
    "state.speeds.fields.y_dot": "data[1]",
}


def test_a_state_of_two_topics_is_recorded_whole(observer, write_yaml, drive, tmp_path):
    file = write_yaml(drive | TWO)
    for topic, data in (("places", [1.0, 2.0]), ("speeds", [3.0, 4.0]), ("command", SENT)):
        publisher = observer.node.create_publisher(Float64MultiArray, topic, 1)
        message = Float64MultiArray(data=data)
        observer.node.create_timer(0.02, lambda p=publisher, m=message: p.publish(m))
    options = ["--config", file, "--out", tmp_path / "bag", "--seconds", "2"]
    command = [sys.executable, "-m", "cem_planner_ros", "record", *map(str, options)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    found = bags.read(tmp_path / "bag", tasks.load(file))
    values = found.states.values
    whole = values[np.isfinite(values).all(1)]  # On a busy machine one source may pause.
    assert {tuple(row) for row in whole} == {(1.0, 2.0, 3.0, 4.0)}
    assert re.search(r"wrote .*: \d+ and \d+ states and \d+ commands", done.stdout)
