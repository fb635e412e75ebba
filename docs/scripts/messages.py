# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Writes docs/reference/messages.md: every refusal and warning of the package, made from the code.

A refusal is a `raise` of one of the errors in KINDS, or a text that a function collects and that is
raised with others. A warning is a text of a function whose name ends in `warnings`. A text says
what was found, then what was expected, allowed or is to be done. The page shows the two parts in
two columns.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cem_planner_ros.control import tick

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "reference" / "messages.md"

HEAD = """# Error messages

Every refusal and warning of the package: the cause, as the message says it, and what to do. Search
this page for words of the message. Words in capitals stand for a name, a value or a reason that the
message gives. `make reference` writes this page from the code.
"""

WARNING = "warning"
ALERT = "Alert"

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
    WARNING: (
        "Warnings",
        "`check` and `init` print them, and the node logs them when it is configured. Nothing is "
        "refused: correct the file, or leave it if this is what you want.",
    ),
    ALERT: (
        "While the node is active",
        "The log and `/diagnostics` say them within a second, the log again every 5 s while they "
        "last.",
    ),
}

CAUSES = {
    "no_state": ("no state has come, or not all of it", "Look which topic the log names."),
    "stale_state": (
        "the newest state is older than `max_state_age`",
        "Publish states more often, or set the clocks of the machines alike.",
    ),
    "over_budget": (
        "plans take longer than planning may take",
        "Lower `planner.samples`, `planner.horizon` or `control_rate`; `check` says what fits.",
    ),
    "no_valid_plan": (
        "the cost of each candidate is NaN or infinite",
        "Look at the model and the costs in this state.",
    ),
    "plan_failed": ("planning raised an error", "Correct what the log says of it."),
    "device_failed": (
        "the GPU is lost or its memory is full",
        "Start the node again; `allow_cpu_fallback` lets it go on on the CPU.",
    ),
    "recovering": (
        "plans are good again, but not yet `recover_periods` in a row",
        "Nothing: it ends by itself.",
    ),
    "paused": ("the service `~/pause` was called", "Call it with `data: false`."),
    "emergency_stop": (
        "the emergency stop is pressed",
        "Release it, then deactivate and activate the node.",
    ),
    "no_goal": ("no goal and no path is known", "Send one."),
    "goal_reached": ("the robot has reached the goal", "Nothing: send the next goal."),
    "stale_costmap": (
        "there is no costmap, or it is older than `drive.max_costmap_age`",
        "Publish costmaps more often, or set the clocks of the machines alike.",
    ),
    "outside_costmap": ("the robot is outside the costmap", "Publish a costmap around the robot."),
    "slowed": ("the stop guard brakes before an obstacle", "Nothing, if there is an obstacle."),
    "collision_imminent": (
        "no command leaves the robot room to brake",
        "Take the obstacle away, or move the robot by hand.",
    ),
    "stale_moving_obstacles": (
        "there are no moving obstacles, or they are older than `drive.max_moving_obstacles_age`",
        "Publish them for every observation, also if nobody is there.",
    ),
}
"""What each cause of a status means, and what to do."""

REMEDY = re.compile(
    r",? (?=(?:expected|allowed|needed)\b)"
    r"|; (?=[a-z])(?!or give)"
    r"|[:,] (?=(?:choose|continue|deactivate|give|if the bounds|install|is the|it has|leave|let"
    r"|look|make|name|raise|record|release|rename|send|set|source|use|write|does a|there are"
    r"|the model has|only|wait|change|loosen)\b)"
)
"""Where the text of an error turns from what was found to what to do."""

OF_KIND = {"UnsupportedError": "Write the step without it, or accept the slower execution."}
"""What to do about a kind of error, where the text says only what was found."""

OF_ROOM = {"studies": "Correct the study file."}
"""What to do about an error from a room, where nothing else is known."""

OF_PATTERN = {
    r"MuJoCo says": "Correct the file, if the remark matters.",
    r"(pip|apt) install": "Run the command that the message names.",
    r"C\+\+ compiler|^COMPILER": "Install g++, or name a compiler in the environment variable CXX.",
    r"^CUDA's driver": "Install NVIDIA's driver, or set planner.device to cpu.",
    r"^NVRTC VERSION": "Install an NVRTC that knows this GPU: pip install nvidia-cuda-nvrtc.",
    r"^the model has members": "Nothing: such a model runs in PyTorch.",
    r"run through members as": "Set planner.propagation to all, or accept the slower execution.",
    r"lives on DEVICE": "Make the tensor on the device of the state.",
    r"not valid YAML": "Correct the line of the file that the message gives.",
    r"cannot be written|^--report": "Name a folder into which this user may write.",
    r"cannot be read": "Is the file there, whole, and readable by this user?",
    r"raised ERROR|plugin 'NAME' cannot be loaded: ERROR": "Correct the plugin where the message "
    "says.",
    r"does not name 'SOURCE'": "Name the source in state.sources, or leave its parameters out.",
    r"does not name 'NAME'": "Name the cost in costs, or leave its parameters out.",
    r"before ':'|ros__parameters|'NAME' has no value|name of a node": "Correct the line of the "
    "file that the message gives.",
    r"(?i)^unknown|no KIND is called|^no node|has no 'ATTRIBUTE'": "Correct the name: the message "
    "gives the nearest one, or those that are known.",
    r": (ERROR|REASON|TEXT)( in FILE)?$|say ERROR": "Correct what the message gives at its end.",
    r"needs? (the parameter|to include|<numeric)|is missing": "Add it.",
    r"is not finite": "Find out why the publisher sends NaN or infinity.",
    r"there is no file": "Correct the path.",
    r"there is no folder": "Make the folder, or name another one.",
    r"of the past, or|is in the future": "Set the clocks of the two machines alike. After the "
    "reset of a simulation it ends by itself.",
    r"of a point is": "Correct the point.",
    r"orientation is not a rotation": "Send a quaternion of length 1.",
    r"has no number|declares a parameter|in place$|must be a subclass": "Correct the plugin.",
    r"no segment": "Record longer, with motion.",
    r"^training failed|return of every episode": "Look for huge values in the data or the rewards.",
    r"^action\.std(_min)?\.NAME is": "Lower it.",
    r"every randomisation.spread is 0|^randomisation.spread": "Set both, or neither.",
    r"random states|LOW is VALUE, above HIGH": "Correct the parameters of the cost.",
    r"no effect, as": "Leave it out, or give the signal to follow.",
    r"meshes": "Install the package that has the meshes, or correct their paths in the file.",
    r"is now called": "Write the new name.",
    r"a topic has one type|measured state, so|its own commands|same messages|one topic|are both": (
        "Give one of the two parameters another topic."
    ),
    r"forces add up|works against the equality": "Take one of the actuators out of the file.",
    "are no actions": "Nothing, if this is what you want.",
    r"are derived from the limits": "Set action.low and action.high if they are not right.",
}
"""What to do about texts that contain a pattern; the first one counts."""

OF_TEXT = {
    "command.integrate.ACTION is STATE, so what is sent is SENT, but command.fields.ACTION is "
    "FIELD, which is WANTED": "Name a field of the unit that is sent.",
    "planner.risk is VALUE, but the model is one: it has no members (randomisation.samples, or an "
    "ensemble)": "Set planner.risk to mean, or plan with several members.",
    "action.safe.NAME is SAFE, one place whatever 'STATE' is: when there is no plan the command "
    "goes there at RATE/s; MEASURED keeps it where it is": "Set action.safe.NAME to measured.",
    "action.safe is no standstill: from rest, with ACTIONS, the model moves 'STATE_NAMES' by DRIFT "
    "in 1.0 s; that is what the plant does when there is no plan": (
        "Set action.safe to what holds the robot, where there is such an action."
    ),
    "state.NAME is VALUES, but state.sources is given: it is not used, only state.NAME.NAME of a "
    "source": "Write it for each source, as state.SOURCE.NAME.",
    "planner.samples was not set within 4.0 s": "Measure on a less busy machine.",
    "--device cuda: PyTorch finds no CUDA device here": "Leave --device out, or install a PyTorch "
    "with CUDA.",
    "--priority PRIORITY: the system refuses it": "Allow real-time priorities: `ulimit -r`.",
    "--task, --keyframe, --tip and --allow-missing-meshes are for --mujoco and --urdf": (
        "Leave them out."
    ),
    "--tip is for --task reach, but the task is TASK": "Leave --tip out.",
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
    "the episode EPISODE of WHO failed: TEXT_OF": "Look at the error that the message gives.",
    "--ray ADDRESS: no Ray cluster answers (ERROR):": "Start one as the message says.",
    "give either a FILE.yaml or --markdown": "Give one of the two.",
    "the NAME ended HOW; its last lines: LAST_LINES": (
        "Look at its last lines, which the message gives."
    ),
    "no planned command in ELAPSED s; the last lines of the planner: SAID": (
        "Look at the last lines of the planner, which the message gives."
    ),
    "the recording 'RECORDING' lasts TIMES s: it has VALUE control periods from BEGIN s on, "
    "expected at least 2": "Choose 'begin' and 'duration' within the recording.",
    "the plant 'robot' has the states HAS and the actions HAS, the model has OTHER and OTHER": (
        "Use a model with the states and actions of the plant."
    ),
    "the states of TOPICS have no time in common": (
        "Record all topics of the state over the same time."
    ),
    "bag 'FOLDER': topic 'TOPIC' has no message of the joints of the state": (
        "Name joints of the messages in state.fields, or record while they are published."
    ),
    "bag 'FOLDER': no message of 'TOPIC' can be used: NEXT": (
        "Correct what the message gives at its end: the publisher, or the fields of the file."
    ),
    "randomisation.spread.NAME is SPREAD, but randomisation.samples is 1: there are no variants": (
        "Set both, or neither."
    ),
    "COMPILER failed: SAID": "Correct what the compiler says, or name another one in CXX.",
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
    "'NAME' is WORDS, not TEXT ALLOWED": "Give a value of this type.",
    "'FULL_NAME' did not answer within 10.0 s: it is busy, or gone": (
        "Look at the log of the node."
    ),
    "world 'FILE' has no room for its obstacles, with seed SEED": (
        "Take another seed, or fewer obstacles."
    ),
    "a part of the state is older than 0.2 s": ("Record all topics of the state without gaps."),
    "no FIELD in the message": "Name a field of the message in the parameter file.",
    "its poses are in several frames: FRAMES": "Send all poses in one frame.",
    "joint 'REPEATED' is named more than once": "Name each joint once.",
    "NAME[0] is -1, so the sensor does not measure it": (
        "Take this state from another topic (state.sources)."
    ),
    "an update came before the whole costmap": "Publish the costmap latched.",
    "an update does not fit into the costmap": "Nothing, if the costmap was resized just now.",
    "where the robot was at its stamp is not known": "Publish the pose of the robot more often.",
    "no stamp": "Fill header.stamp.",
    "its times do not ascend: point VALUE is at OFFSETS s, point VALUE at OFFSETS s": (
        "Sort the points by time, and give each its own."
    ),
    "it names no joint": "Fill joint_names.",
    "it has no poses": "Send a path with at least one pose.",
    "action.GROUP.NAME is BOUND, in UNIT: a value in OTHER has to be converted": (
        "Convert the bound: 1 degree is 0.01745 rad, 1 mm is 0.001 m."
    ),
    "the footprint of the cost 'NAME' reaches REACH m from the robot's origin: its corners and its "
    "radius are in m": "Give corners and radius in m.",
    "the node is not active: send it again when it is": (
        "Send the message again when the node is active, or publish it latched."
    ),
    "the clock stands still: only the safe command is sent (use_sim_time is set; publishers on "
    "'/clock': COUNT)": "Start the simulation, or set use_sim_time to false.",
    "no subscriber of the commands on 'TOPIC' (sends ENDPOINTS; COUNTS)": (
        "Start what drives the robot, or correct command.topic and command.type."
    ),
    "states on WHERE are in the frame 'FRAME', frame_id is 'EXPECTED': what is published is in the "
    "frame frame_id": "Set frame_id to the frame of the states.",
    "other nodes publish WHAT on 'TOPIC': OTHERS": "End or remap the others.",
    "others publish on the command topic 'TOPIC' too, so the robot gets the commands of all: end "
    "or remap OTHERS": "End or remap the others.",
    "no message on 'TOPIC' (expects SHORT; PUBLISHERS); SHORT comes on LIST": (
        "Start the publisher, or name its topic and type in the parameter file."
    ),
    "no message on 'TOPIC' for SILENCE s (COUNTS) (source NAME)": (
        "Look at the publisher: is it alive, and does it publish?"
    ),
    "no state on 'TOPIC' can be used (source NAME): PROBLEM": (
        "Correct what the message gives at its end."
    ),
    "states come at RATE Hz, LIMIT MAX_AGE s needs more than VALUE": (
        "Publish states more often, or raise the age that the message names."
    ),
    "the set-point waits for NAMES, which is farther behind than command.max_lead VALUES s "
    "allows: it is blocked, hangs under a load, or has a servo that is slower than action.lag": (
        "Free the joint; give the lag that its servo has; or raise command.max_lead."
    ),
    "VALUE % of the candidates have a NaN or infinite cost": (
        "Look at the model and the costs, or make the bounds of the actions narrower."
    ),
}
"""What to do about single texts."""


COLLECTED = re.compile(
    r"problems?$|^cross_check$|^plugin$|^_costs$|^of_no_source$|^read$"
    r"|^_missing$|^_broken$"
)
"""Functions that return texts of refusals, or collect them."""

ROOMS_OF_COLLECTED = ("configuration", "planning", "plugins", "studies")

ALERTS = ("nothing_on", "several", "too_rare", "_silence")
"""Functions of ros/ that return texts of alerts."""

WARNS = re.compile(r"warnings$|^too_slow$")
"""Functions that return texts of warnings."""

BUILTIN = ("describe", "dict", "first_line", "list", "map", "max", "min", "sorted", "str", "tuple")
"""Functions whose result is called as their last argument is."""

OMITTED = ("did_you_mean", "hint", "origin")
"""What some messages add, such as the name that was probably meant."""

Names = dict[str, ast.expr]
"""The texts that names stand for."""


class Refusal(NamedTuple):
    """A refusal or warning: class of the error, room, what was found, and what to do."""

    kind: str
    room: str
    found: str
    remedy: str


def is_text(node: ast.expr | None) -> bool:
    """Whether an expression is a text in which there is a word."""
    match node:
        case ast.Constant(value=str(value)):
            return " " in value
        case ast.JoinedStr(values=values):
            return any(map(is_text, values))
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return is_text(left) or is_text(right)
        case ast.IfExp(body=body, orelse=other):
            return is_text(body) or is_text(other)
        case _:
            return False


def text_of(node: ast.expr, names: Names) -> str:
    """Return the text of an expression, with what it inserts in capitals."""

    def of(part: ast.expr) -> str:
        return text_of(part, names)

    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.JoinedStr(values=values):
            return _joined([(of(part), isinstance(part, ast.FormattedValue)) for part in values])
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return of(left) + of(right) if is_text(left) or is_text(right) else of(left)
        case ast.IfExp(body=body):
            return of(body)
        case ast.FormattedValue(value=ast.Constant() | ast.BinOp() as value) if not is_text(value):
            return "VALUE"
        case ast.FormattedValue(value=value):
            return of(value)
        case ast.Tuple(elts=elements) if all(isinstance(e, ast.Constant) for e in elements):
            return ", ".join(map(of, elements))
        case ast.Call(func=ast.Attribute(attr="join"), args=[joined]):
            return of(joined)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="loading"), attr="unknown"), args=args):
            return f"unknown {of(args[0])} 'NAME'"
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(), *_]):
            return "VALUE"
        case ast.Call(func=ast.Name(id="len")):
            return "NUMBER"
        case ast.Call(func=ast.Name(id=name), args=[*_, of_what]) if name in BUILTIN:
            return of(of_what)
        case ast.Call(func=ast.Name(id="missing")):
            return "no FIELD in the message"
        case ast.Name(id=name) if name in names:
            return of(names[name])
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name)):
            plain = name.strip("_")
            return "" if plain in OMITTED else plain.upper()
        case ast.Call(func=ast.Attribute(attr=name)) if name in OMITTED:
            return ""
        case ast.Subscript(value=value) | ast.Starred(value=value):
            return of(value)
        case ast.BoolOp(values=[value, *_]) | ast.Call(func=ast.Attribute(value=value)):
            return of(value)
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return of(element)
        case _:
            return "VALUE"


def _joined(parts: list[tuple[str, bool]]) -> str:
    """Join texts and what is inserted; between two that are inserted there is a space."""
    said, is_after_inserted = "", False
    for text, is_inserted in parts:
        said += " " + text if text and is_inserted and is_after_inserted else text
        is_after_inserted = is_inserted if text else is_after_inserted
    return said


def constants(body: list[ast.stmt]) -> Names:
    """Return what names stand for that are assigned once, to a text or a constant."""
    given: dict[str, list[ast.expr]] = {}
    for node in itertools.chain.from_iterable(map(ast.walk, body)):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                given.setdefault(name, []).append(value)
    return {
        name: value
        for name, (value, *others) in given.items()
        if not others
        and (is_text(value) or (isinstance(value, ast.Constant | ast.Tuple) and name.isupper()))
    }


def texts(file: Path) -> Iterator[tuple[str, ast.expr, Names]]:
    """Yield kind, text and names of every refusal and warning of a file."""
    tree = ast.parse(file.read_text())
    room = file.relative_to(ROOT / "cem_planner_ros").parts[0]
    of_module = constants([n for n in tree.body if isinstance(n, ast.Assign)])
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        names = of_module | constants(function.body)
        warns = room != "ros" and (WARNS.search(function.name) or file.stem == "topic_checks")
        collects = COLLECTED.search(function.name) and room in ROOMS_OF_COLLECTED
        for node in ast.walk(function):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id=kind), args=[text, *_])) if (
                    kind in KINDS
                ):
                    found = [text]
                case ast.Raise(exc=ast.Call(func=ast.Name(id="_at"), args=[_, text])):
                    kind, found = "ConfigurationError", [text]
                case ast.Call(func=ast.Name(id="Alert"), args=[_, text, *_]):
                    kind, found = ALERT, [text] if is_text(text) else []
                case _ if room == "ros" and function.name in ALERTS:
                    kind, found = ALERT, collected(node)
                case _ if warns or collects:
                    kind, found = WARNING if warns else "ConfigurationError", collected(node)
                case _:
                    continue
            for text in found:
                is_choice = isinstance(text, ast.IfExp)
                for one in (text.body, text.orelse) if is_choice else (text,):
                    yield kind, one, names


def collected(node: ast.AST) -> list[ast.expr]:
    """Return the texts that a statement adds to a list, yields or returns."""
    match node:
        case ast.Call(func=ast.Attribute(attr="append"), args=[text]):
            found = [text]
        case ast.Call(func=ast.Attribute(attr="setdefault"), args=[_, text]):
            found = [text]
        case (
            ast.Return(value=ast.List(elts=texts) | ast.Tuple(elts=texts))
            | ast.AugAssign(value=ast.List(elts=texts))
            | ast.Assign(value=ast.List(elts=texts))
        ):
            found = texts
        case (
            ast.Return(value=ast.ListComp(elt=text))
            | ast.AugAssign(value=ast.ListComp(elt=text))
            | ast.Assign(value=ast.ListComp(elt=text))
            | ast.Assign(targets=[ast.Subscript()], value=text)
            | ast.Return(value=text)
            | ast.Expr(value=ast.Yield(value=text))
        ):
            found = [text]
        case _:
            found = []
    return list(filter(is_text, found))


def refusals() -> list[Refusal]:
    """Return every refusal and warning of the package, in the order of rooms and files."""
    found, said = [], set()
    for file in sorted((ROOT / "cem_planner_ros").rglob("*.py")):
        parts = file.relative_to(ROOT / "cem_planner_ros").parts
        for kind, node, names in texts(file):
            text = re.sub(r"\s+", " ", text_of(node, names)).strip()
            said.add(text)
            refusal = _refusal(kind, parts[0] if len(parts) > 1 else "", text)
            # Some errors only pass on a text that stands elsewhere.
            if re.search("[a-z]{2}", refusal.found):
                found.append(refusal)
    unused = OF_TEXT.keys() - said
    assert not unused, f"correct these keys of OF_TEXT, which no message has: {unused}"
    return list(dict.fromkeys(found))


def _refusal(kind: str, room: str, said: str) -> Refusal:
    found, *rest = REMEDY.split(said, maxsplit=1)
    patterns = (remedy for pattern, remedy in OF_PATTERN.items() if re.search(pattern, said))
    remedy = (
        OF_TEXT.get(said)
        or (rest[0] if rest else "")
        or next(patterns, OF_ROOM.get(room) or OF_KIND.get(kind, ""))
    )
    return Refusal(kind, room, found.rstrip(":, "), remedy[:1].upper() + remedy[1:])


def page() -> str:
    """Return the page."""
    lines = [HEAD]
    found = refusals()
    for kind, (title, consequence) in KINDS.items():
        lines.append(f"\n## {title}\n\n{consequence}\n")
        rooms = dict.fromkeys(refusal.room for refusal in found if refusal.kind == kind)
        for room in rooms:
            lines.append(f"\n### From `{room or 'cem_planner_ros'}/`\n")
            lines.append("\n| message, which says the cause | what to do |\n|---|---|\n")
            for refusal in found:
                if (refusal.kind, refusal.room) == (kind, room):
                    cells = (part.replace("|", "\\|") for part in refusal[2:])
                    lines.append(f"| {' | '.join(cells)} |\n")
    lines.append("\n### Why a command does not come from a fresh plan\n")
    lines.append("\n| cause | what it means | what to do |\n|---|---|---|\n")
    assert [*CAUSES] == [*filter(None, tick.CAUSES)], "correct CAUSES"
    lines += [f"| `{cause}` | {meaning} | {todo} |\n" for cause, (meaning, todo) in CAUSES.items()]
    return "".join(lines)


if __name__ == "__main__":
    TARGET.write_text(page())
