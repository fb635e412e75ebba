# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Writes docs/reference/messages.md: every refusal of the package, made from the code.

A refusal is a `raise` of one of the errors in KINDS. Its text says what was found, then what was
expected, allowed or is to be done. The page shows the two parts in two columns.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "reference" / "messages.md"

HEAD = """# Messages of errors

Every refusal of the package, with its cause and what to do. `make reference` writes this page from
the code. Words in capitals stand for a name, a value or a reason that the message gives.
"""

KINDS = {
    "ConfigurationError": (
        "Parameters, files and plugins",
        "A command ends with this message and status 1. A node stays unconfigured, or refuses the "
        "value of the parameter and keeps the one before. The message names the file or parameter.",
    ),
    "MessageError": (
        "Messages that are received",
        "The message is dropped and counted. The log and `/diagnostics` give this reason. Correct "
        "the publisher, or the parameters that say how the message is read.",
    ),
    "UnsupportedError": (
        "Plugins that are not compiled",
        "The planner runs slower: with `torch.compile`, or in eager PyTorch. The log, `check` and "
        "`/diagnostics` give this reason. With `planner.backend: compile` it is an error.",
    ),
}

REMEDY = re.compile(
    r",? (?=(?:expected|allowed|needed)\b)"
    r"|; (?=[a-z])"
    r"|[:,] (?=(?:choose|deactivate|give|install|is the|it has|let|look|make|name|record|release"
    r"|rename|send|source|write|does a|there are|the model has|only)\b)"
)
"""Where the text of an error turns from what was found to what to do."""

OF_KIND = {"UnsupportedError": "Write the step without it, or accept the slower execution."}
"""What to do about a kind of error, where the text says only what was found."""

OF_ROOM = {"studies": "Correct the study file."}
"""What to do about an error from a room, where nothing else is known."""

OF_PATTERN = {
    r"(pip|apt) install": "Run the command that the message names.",
    r": (ERROR|REASON)( in FILE)?$|(raised|say) ERROR": "Correct what stands at its end.",
    r"needs? (the parameter|to include|<numeric)|is missing": "Add it.",
    r"is not finite": "Find out why the publisher sends NaN or infinity.",
    r"there is no f": "Make the folder, or name another one.",
    r"of the past, or|is in the future": "Set the clocks of the two machines alike.",
    r"orientation is not a rotation": "Send a quaternion of length 1.",
    r"DID_YOU_MEAN$|^LOADING|^no node": "Choose one of those that the message lists.",
    r"has no number|declares a parameter|in place$|must be a subclass": "Correct the plugin.",
    r"can be used|has TIMES|no segment|no time in common|has WHAT": "Record longer, with motion.",
    r"^training failed|return of every episode": "Look for huge values in the data or the rewards.",
}
"""What to do about texts that contain a pattern."""

OF_TEXT = {
    "planner.samples was not set within REBUILD_INTERVAL s": "Measure on a less busy machine.",
    "--device cuda: PyTorch finds no CUDA device here": "Leave --device out, or install a PyTorch "
    "with CUDA.",
    "--priority PRIORITY: the system refuses it": "Allow real-time priorities: `ulimit -r`.",
    "--task and --keyframe are for --mujoco and --urdf, --allow-missing-meshes too": (
        "Leave them out."
    ),
    "--task is move, but nothing in the file has a free joint": "Choose another task.",
    "the page needs the package PACKAGE: HOW": "Install it as the message says.",
    "a gait needs actions that are positions of joints, which OTHERS are not": (
        "Use position actuators, or no gait."
    ),
    "the plant 'mujoco' has KNOWN, but the parameter state.fields.NAME is FIELD": (
        "Name a joint of the file."
    ),
    "the plant 'mujoco' takes PLACES, but the parameter command.fields.NAME is FIELD": (
        "Name an actuator of the file."
    ),
    "the episode MAP of WHO failed: TEXT_OF": "Look at the error that the message gives.",
    "--ray ADDRESS: no Ray cluster answers (ERROR): HINT": "Start one as the message says.",
    "give either a FILE.yaml or --markdown": "Leave one out.",
    "FILE: parameters 'action.low' and 'action.high' have to bound each of ACTIONS with a number": (
        "Set both for each action."
    ),
    "PATH was recorded with NAME VALUE, this planner has PRESENT": (
        "Make the planner with the parameters of the recording."
    ),
    "the policy's WHAT are NAMES, those of the model are KNOWN": (
        "Use a policy that was trained for this model."
    ),
    "file 'FILE' has a state besides positions, speeds and activations, as of plugins or delays, "
    "which is not supported": "Remove the plugin or the delay from the file.",
    "parameter 'NAME' is read-only": "Set it in the parameter file and start the node again.",
    "one iteration takes VALUE ms, of a period planning may take VALUE ms": (
        "Choose fewer candidates or a shorter horizon."
    ),
    "interrupted while configuring": "Configure the node again.",
    "'NAME' is WORDS, not TEXTALLOWED": "Give a value of this type.",
    "'FULL_NAME' did not answer within ANSWER s: it is busy, or gone": (
        "Look at the log of the node."
    ),
    "world 'FILE' has no room for its obstacles, with seed SEED": (
        "Take another seed, or fewer obstacles."
    ),
    "a part of the state is older than MAX_PART_AGE s": (
        "Record all topics of the state without gaps."
    ),
    "no FIELD in the message": "Name a field of the message in the parameter file.",
    "its poses are in several frames: SORTED": "Send all poses in one frame.",
    "joint 'REPEATED' is named more than once": "Name each joint once.",
    "NAME[0] is -1, so the sensor does not measure it": (
        "Take this state from another topic (state.sources)."
    ),
    "an update came before the whole costmap": "Publish the costmap latched.",
    "an update does not fit into the costmap": "Nothing, if the costmap was resized just now.",
    "where the robot was at its stamp is not known": "Publish the pose of the robot more often.",
    "no stamp": "Fill header.stamp.",
    "the NAME of a point is not a number from LOW to LARGEST": "Correct the point.",
    "its times do not ascend: point KVALUE is at OFFSETS s, point KVALUE at OFFSETS s": (
        "Sort the points by time, and give each its own."
    ),
    "it names no joint": "Fill joint_names.",
    "it has no poses": "Send a path with at least one pose.",
    "the node is not active": "Activate the node, then send the message again.",
}
"""What to do about single texts."""


class Refusal(NamedTuple):
    """A `raise`: class of the error, room, what was found, and what to do."""

    kind: str
    room: str
    found: str
    remedy: str


def text_of(node: ast.expr) -> str:
    """Return the text of an expression, with what it inserts in capitals."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(text_of(value) for value in values)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return text_of(left) + text_of(right)
        case ast.IfExp(body=body):
            return text_of(body)
        case ast.FormattedValue(value=value):
            return text_of(value)
        case ast.Call(func=ast.Attribute(attr="join"), args=[joined]):
            return text_of(joined)
        case ast.Call(func=ast.Name(id="first_line" | "str" | "describe" | "len"), args=[of, *_]):
            return text_of(of)
        case ast.Call(func=ast.Name(id="missing")):
            return "no FIELD in the message"
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name)):
            return name.strip("_").upper()
        case ast.Subscript(value=value) | ast.Starred(value=value):
            return text_of(value)
        case ast.BoolOp(values=[value, *_]) | ast.Call(func=ast.Attribute(value=value)):
            return text_of(value)
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return text_of(element)
        case _:
            return "VALUE"


def refusals() -> list[Refusal]:
    """Return every refusal of the package, in the order of rooms and files."""
    found = []
    for file in sorted((ROOT / "cem_planner_ros").rglob("*.py")):
        parts = file.relative_to(ROOT / "cem_planner_ros").parts
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id=kind), args=[text, *_])):
                    refusal = _refusal(kind, parts[0] if len(parts) > 1 else "", text)
                    # Some errors only pass on a text that stands elsewhere.
                    if kind in KINDS and re.search("[a-z]", refusal.found):
                        found.append(refusal)
    return list(dict.fromkeys(found))


def _refusal(kind: str, room: str, text: ast.expr) -> Refusal:
    said = re.sub(r"\s+", " ", text_of(text)).strip()
    found, *rest = REMEDY.split(said, maxsplit=1)
    patterns = (remedy for pattern, remedy in OF_PATTERN.items() if re.search(pattern, said))
    remedy = (
        rest[0]
        if rest
        else OF_TEXT.get(said) or next(patterns, OF_ROOM.get(room) or OF_KIND.get(kind, ""))
    )
    return Refusal(kind, room, found, remedy[:1].upper() + remedy[1:])


def page() -> str:
    """Return the page."""
    lines = [HEAD]
    found = refusals()
    for kind, (title, consequence) in KINDS.items():
        lines.append(f"\n## {title}\n\n{consequence}\n")
        rooms = dict.fromkeys(refusal.room for refusal in found if refusal.kind == kind)
        for room in rooms:
            lines.append(f"\n### From `{room or 'cem_planner_ros'}/`\n")
            lines.append("\n| message | what to do |\n|---|---|\n")
            for refusal in found:
                if (refusal.kind, refusal.room) == (kind, room):
                    cells = (part.replace("|", "\\|") for part in refusal[2:])
                    lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


if __name__ == "__main__":
    TARGET.write_text(page())
