# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The cache of compiled libraries."""

import os
import signal
import subprocess
import sys

import pytest

from cem_planner_ros.compile.arguments import Arguments, check_layout
from cem_planner_ros.compile.library import load
from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.errors import first_line

SOURCE = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "cem_planner_ros" / "kernels"


def test_nobody_else_may_enter_the_folder(cache):
    cache.mkdir(parents=True, mode=0o777)
    assert load(SOURCE, lambda library: library.answer).answer() == 42
    assert cache.stat().st_mode & 0o777 == 0o700
    assert [file.suffix for file in cache.iterdir()] == [".so"]


@pytest.mark.parametrize("spoil", ["text", "changed", "folder", "link"])
def test_what_cannot_be_loaded_is_removed_and_made_again(cache, spoil, tmp_path):
    source = f"// {spoil}\n{SOURCE}"
    load(source, lambda library: None)
    (library,) = cache.iterdir()
    whole = library.read_bytes()
    library.unlink()  # A new file, for the loader may still use the old one.
    if spoil == "folder":
        (library / "in").mkdir(parents=True)
    elif spoil == "link":
        (tmp_path / "elsewhere").write_bytes(whole)
        library.symlink_to(tmp_path / "elsewhere")
    else:
        library.write_bytes(b"no library" if spoil == "text" else whole[:99] + b"?" + whole[100:])
    assert load(source, lambda library: library.answer).answer() == 42
    assert library.is_file()
    assert not library.is_symlink()
    assert len(library.read_bytes()) == len(whole)


def test_a_library_that_lacks_what_is_looked_for_is_an_error_with_its_name(cache):
    with pytest.raises(UnsupportedError, match="question"):
        load(SOURCE, lambda library: library.question)


def test_another_layout_of_the_arguments_is_noticed(cache):
    places = ", ".join(str(8 * i) for i in range(len(Arguments._fields_) + 1))
    with pytest.raises(UnsupportedError, match="laid out"):
        load(f'extern "C" const long arguments_layout[] = {{{places}}};', check_layout)


COMPILING = """
from cem_planner_ros.compile.library import interruptible, load
with interruptible():
    load('extern "C" int answer() { return 42; }', lambda library: None)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_compiler_leaves_nothing_behind(cache, number, tmp_path):
    # It says that it has begun, and does not end by itself.
    compiler, began = tmp_path / "compiler", tmp_path / "began"
    os.mkfifo(began)
    compiler.write_text(
        f'#!/bin/sh\ncase "$1" in --version) exit;; esac\necho began > {began}\nexec sleep 600\n'
    )
    compiler.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", COMPILING],
        env=os.environ | {"CXX": str(compiler)},
        stderr=subprocess.DEVNULL,
    )
    assert began.read_text() == "began\n"  # Waits for it.
    process.send_signal(number)
    assert process.wait(120) != 0
    assert list(cache.glob("*")) == []


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("no-such-compiler -m64", "no C++ compiler 'no-such-compiler' on the path"),
        ("g++ 'unclosed", "no C++ compiler"),
        ("{folder}/empty", "{folder}/empty does not run"),
        ("env no-such-compiler", "env failed"),
        ("false", "false failed"),
    ],
)
def test_a_command_in_cxx_that_is_no_compiler_is_named(cache, monkeypatch, tmp_path, command, why):
    (tmp_path / "empty").touch(mode=0o755)
    command, why = (text.format(folder=tmp_path) for text in (command, why))
    monkeypatch.setenv("CXX", command)
    with pytest.raises(UnsupportedError) as caught:
        load(SOURCE, lambda library: None)
    first = first_line(caught.value)  # The part that the node logs.
    assert first.startswith(why)
    assert f"the environment variable CXX is {command!r}" in first
