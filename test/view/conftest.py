# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import contextlib

import pytest

from cem_planner_ros.paths import share


@pytest.fixture
def open_browser(wait_until, tmp_path):
    """A function that starts a browser."""
    with contextlib.ExitStack() as ended:

        def start():
            from browsers import Browser  # Selenium is an extra.

            made = Browser(wait_until, tmp_path)
            ended.callback(made.close, tmp_path / "last.png")
            return made

        yield start


@pytest.fixture
def browser(open_browser):
    return open_browser()


@pytest.fixture
def begin(start, wait_until, browser):
    """A function that starts the nodes of a demo and the page, and opens it."""

    def begin(*nodes, **options):
        for function, file, *values in nodes:
            values += ["publish_statistics:=true"] if function == "planner" else []
            given = [word for value in values for word in ("-p", value)]
            start(function, "--params-file", share("config") / file, *given)
        parameters = [f"{name}:={value}" for name, value in ({"port": 0} | options).items()]
        view = start("viewer", *(word for p in parameters for word in ("-p", p)))
        wait_until(lambda: "is at http" in view.output())
        address = view.output().partition(" is at ")[2].split()[0]
        browser.driver.get(address)
        return view

    return begin
