# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The command line of a node: what would be ignored is refused with what was meant."""

import pytest

from cem_planner_ros.ros.command_line import correction, params_files, without_params_files


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("my.yaml", "--params-file my.yaml"),
        ("--params-file my.yaml", "--params-file my.yaml"),
        ("plant:=model rate:=50.0", "-p plant:=model -p rate:=50.0"),
        ("-p plant:=model", "-p plant:=model"),
        ("__ns:=/robot1 my.yaml", "-r __ns:=/robot1 --params-file my.yaml"),
        ("my.yaml --ros-args -p a:=1", "--params-file my.yaml -p a:=1"),
        ("--ros-args -p a:=1 -- my.yaml", "--params-file my.yaml -p a:=1"),
    ],
)
def test_what_would_be_ignored_is_refused_with_the_right_line(given, expected):
    assert correction("planner_node", given.split()).endswith(
        f"expected: planner_node --ros-args {expected}"
    )


@pytest.mark.parametrize("given", ["", "--ros-args", "--ros-args --params-file a.yaml -p b:=1 --"])
def test_a_right_line_is_left_alone(given):
    assert correction("planner_node", given.split()) == ""


def test_files_are_found_and_left_out():
    line = "--ros-args --params-file a.yaml -p b:=1 --params-file c.yaml".split()
    assert params_files(line) == ["a.yaml", "c.yaml"]
    assert without_params_files(line) == ["--ros-args", "-p", "b:=1"]
