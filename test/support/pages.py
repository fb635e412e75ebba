# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What README and pages show: their blocks of code, and the commands in them."""

import re
import shlex
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/robots/*.md"),
        *ROOT.glob("examples/**/*.md"),
    ]
)

NODES = ("planner_node", "simulator_node", "costmap_node", "view_node")
"""The executables of the package."""


class Block(NamedTuple):
    """
    A block of code.

    Attributes:
        page: path of the page below the folder of the project.
        heading: the last heading above.
        language: of a fenced block; an indented one has none.
        marker: what a comment right above says, which a reader does not see; "" without one.
        text: the code, without the indentation of the block.
    """

    page: Path
    heading: str
    language: str
    marker: str
    text: str


def blocks(page):
    """Return the blocks of a page, fenced or indented; in a list, six spaces indent a block."""
    found, code = [], []
    heading = marker = ""
    fenced, indent, is_free = None, "    ", True

    def goes_on(line):
        return not line or line.startswith("    ")

    def close(language):
        if code:
            found.append(Block(page.relative_to(ROOT), heading, language, marker, dedent(code)))
            code.clear()

    for line in page.read_text().splitlines():
        fence = re.fullmatch(r" *```(\w*)", line)
        if fenced is not None:
            if fence:
                close(fenced)
                fenced, marker = None, ""
            else:
                code.append(line)
        elif fence:
            fenced = fence[1]
        elif goes_on(line) if code else is_free and line.startswith(indent):
            code.append(line)
        else:
            close("")
            comment = re.fullmatch(r" *<!-- (.*) -->", line)
            marker = comment[1] if comment else ""
            if line.startswith("#"):
                heading = line.lstrip("# ")
            if line[:1].strip():
                indent = "      " if re.match(r"([*-]|\d+\.) ", line) else "    "
        is_free = not line
    close("")
    return found


def dedent(lines):
    return textwrap.dedent("\n".join(lines)).strip("\n") + "\n"


def commands(text):
    """Return the commands of a block as they stand there, without comments, one a line."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#\s.*", "", line).strip()
        found += filter(None, map(str.strip, line.split("&&")))
    return found


def inline(page):
    """Return what stands as code in the sentences of a page, such as `make test`."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.S | re.M)
    return re.findall(r"`([^`\n]+)`", text)


def words(command):
    """Return the words of a command, without its pipe and its files."""
    command = re.sub(r"\s[<>|].*|\s*\[.*?\]|\.\.\.", "", command).strip()
    return tuple(shlex.split(command))


def is_placeholder(name):
    """Whether a name stands for one of the reader's own, such as FILE.yaml and robot.xml."""
    return bool(re.search(r"[A-Z<$]", name)) or Path(name).stem in ("robot", "mine", "my_robot")
