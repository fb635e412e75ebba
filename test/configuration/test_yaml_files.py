# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Parameter files: what rcl's own parser makes of them is what `load_yaml` makes of them."""

import math

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cem_planner_ros.cli import main
from cem_planner_ros.configuration import MissingSectionError, load_yaml, split_name
from cem_planner_ros.errors import ConfigurationError

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")

NODE, NAMESPACE = "cem_planner", "/robot1/left"


@pytest.fixture(scope="module")
def read_by_rcl():
    """A function that returns what rclpy gives a node of these files; None if it refuses them."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context)

    def read(files, name=NODE, namespace=NAMESPACE):
        arguments = [a for file in files for a in ("--params-file", str(file))]
        try:
            node = rclpy.create_node(
                name,
                namespace=namespace,
                context=context,
                cli_args=["--ros-args", *arguments],
                use_global_arguments=False,
                enable_rosout=False,
                start_parameter_services=False,
                allow_undeclared_parameters=True,
                automatically_declare_parameters_from_overrides=True,
            )
        except Exception as error:
            # What rcl reads, rclpy cannot always declare: names without a value are left over
            # where a parameter and a namespace have the same name.
            assume("rcl" in type(error).__name__.lower())
            return None
        values = {name: p.value for name, p in node.get_parameters_by_prefix("").items()}
        node.destroy_node()
        values.pop("use_sim_time", None)
        values.pop("start_type_description_service", None)
        return {name: as_plain(value) for name, value in values.items()}

    yield read
    rclpy.try_shutdown(context=context)


def as_plain(value):
    """Return what rclpy gives as an array as a list."""
    return value if isinstance(value, (bool, int, float, str)) else list(value)


def same(a, b):
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and a == b


NAMES = st.sampled_from(["robot1", "left", "cem_planner", "other", "*", "**"])
SPACES = st.sampled_from(
    ["", "*", "**", "robot1", "robot1/*", "robot1/left", "*/left", "robot1/**"]
)
FITTING = st.tuples(SPACES, st.sampled_from(["cem_planner", "*", "**"])).map("/".join)
SECTIONS = st.one_of(FITTING, FITTING, st.lists(NAMES, min_size=1, max_size=3).map("/".join))
SCALARS = st.one_of(
    st.sampled_from(
        "1 0 -3 +4 010 0x1F 09 1_000 1.5 .5 5. 1e3 1E-3 -2.5e+4 1e400 1e-320 0e0 inf -.inf .nan "
        "nan 99999999999999999999 true True TRUE tRUE yes no on Off y N null ~ 2026-11-28 "
        "text 'quoted' '1' \"y\" !!str|5 0x1p3 0x.8p1 Infinity 1e 1.2.3 0b1 0o7 +.inf".split()
    ).map(lambda text: text.replace("|", " ")),
    st.integers(-(10**6), 10**6).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
LISTS = st.sampled_from(["[1]", "[1, 2]", "[a, b]", "[1.0, 2.0]", "[true]", "[a, '1']", "[1, a]"])
KEYS = st.sampled_from(["a", "b", "y", "planner", "planner.samples", "a.b.c", "samples", "1"])
VALUES = st.recursive(
    st.one_of(SCALARS, LISTS),
    lambda inner: st.lists(st.tuples(KEYS, inner), min_size=1, max_size=3),
    max_leaves=5,
)
PARAMETERS = st.lists(st.tuples(KEYS, VALUES), max_size=4)


def flow(value):
    if isinstance(value, str):
        return value
    return "{" + ", ".join(f"{key}: {flow(inner)}" for key, inner in value) + "}"


@st.composite
def files(draw):
    """Return the text of a file: sections under names in one piece or nested, in any order."""
    lines = []
    for _ in range(draw(st.integers(1, 4))):
        name = draw(SECTIONS)
        depth = 0
        for part in draw(st.sampled_from([[name], name.strip("/").split("/")])):
            lines.append(f"{'  ' * depth}'{part}':")
            depth += 1
        for _ in range(draw(st.integers(0, 2))):  # Others in the same namespace.
            lines.append(f"{'  ' * depth}'{draw(NAMES)}': {{ros__parameters: {{other: 1}}}}")
        lines.append(f"{'  ' * depth}ros__parameters: {flow(draw(PARAMETERS))}")
    return "\n".join(lines)


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(texts=st.lists(files(), min_size=1, max_size=2))
def test_random_files_are_read_as_rcl_reads_them(texts, read_by_rcl, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"{index}.yaml" for index in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    expected = read_by_rcl(paths)
    try:
        values = load_yaml(paths, NODE, NAMESPACE)
    except MissingSectionError:
        values = {}
    except ConfigurationError:
        values = None
    if expected is None or values is None:
        assert values is expected
    else:
        assert values.keys() == expected.keys()
        for name, value in values.items():
            assert same(value, expected[name]), name


@pytest.fixture
def write(tmp_path):
    """A function that writes a file and returns its path."""

    def write_file(text, name="p.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write_file


@pytest.mark.parametrize(
    "text",
    [
        "robot1: {left: {cem_planner: {ros__parameters: {a: 1}}}}",
        "/robot1/left/cem_planner: {ros__parameters: {a: 1}}",
        "robot1/left: {cem_planner: {ros__parameters: {a: 1}}}",
        "/robot1/**: {ros__parameters: {a: 1}}",
        "/*/left/cem_planner: {ros__parameters: {a: 1}}",
        "/**/cem_planner: {ros__parameters: {a: 1}}",
        "'**': {cem_planner: {ros__parameters: {a: 1}}}",
        "/robot1: {'*': {'*': {ros__parameters: {a: 1}}}}",
    ],
)
def test_a_node_in_a_namespace_is_found_however_its_section_is_written(text, write):
    assert load_yaml(write(text), NODE, NAMESPACE) == {"a": 1}
    with pytest.raises(MissingSectionError, match="no section for the node 'robot2/x'"):
        load_yaml(write(text), "x", "/robot2")


def test_sections_override_one_another_in_the_order_of_their_names_first_appearance(
    write, read_by_rcl
):
    files = [
        write("cem_planner: {ros__parameters: {a: 1, b: 1}}\n/**: {ros__parameters: {a: 2}}"),
        write("cem_planner: {ros__parameters: {a: 3, b: 3}}", "q.yaml"),
    ]
    assert load_yaml(files, NODE) == read_by_rcl(files, NODE, "/") == {"a": 2, "b": 3}


def test_an_empty_list_is_one(write):
    assert load_yaml(write("/**: {ros__parameters: {costs: []}}")) == {"costs": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/**:\n  ros_parameters:\n    a: 1", "(is 'ros_parameters' meant to be it?)"),
        ("/**:\n  a: 1", "line 2: 'a' is a value outside ros__parameters"),
        ("/**:\n  ros__parameters:\n    a:", "line 3: 'a' has no value"),
        ("/**:\n  ros__parameters:\n    a: {}", "line 3: 'a' is empty"),
        ("/**:\n  ros__parameters:\n    a: [1, b]", "line 3: 'a' is a list of several types"),
        ("/**:\n  ros__parameters:\n    a: [x, y]", "expected one; quote words such as y"),
        ("/**:\n  ros__parameters:\n    a: &x 1\n    b: *x", "line 4: rcl knows no aliases"),
        ("a-b:\n  ros__parameters:\n    a: 1", "line 3: 'a-b' cannot be the name of a node"),
        ("ros__parameters: {a: 1}", "expected the name of a node above"),
        ("a: {ros__parameters: {b: 1}, c: {}}", "'c' follows ros__parameters in 'a'"),
        ("cem_planer: {ros__parameters: {a: 1}}", "(is 'cem_planer' meant to be 'cem_planner'?)"),
    ],
)
def test_what_rcl_would_refuse_or_misread_is_refused_with_the_line(text, message, write):
    with pytest.raises(ConfigurationError) as caught:
        load_yaml(write(text))
    assert message in str(caught.value)
    assert "p.yaml" in str(caught.value)


def test_a_node_is_named_with_its_namespace():
    assert split_name("cem_planner") == ("cem_planner", "/")
    assert split_name("robot1/left/x") == split_name("/robot1/left/x") == ("x", "/robot1/left")
    for wrong in ("", "/", "robot1/", "/**/x", "a b"):
        with pytest.raises(ConfigurationError, match="NAMESPACE/NAME"):
            split_name(wrong)


@pytest.mark.parametrize("command", ["check", "parameters"])
def test_commands_read_the_section_of_a_node_in_a_namespace(command, write, capsys):
    file = write("robot1:\n  x:\n    ros__parameters:\n      planner: {sampels: 5}")
    assert main([command, str(file), "--node", "robot1/x"]) == 1
    assert "did you mean 'planner.samples'" in capsys.readouterr().err
    assert main([command, str(file)]) == 1
    assert "found: robot1/x" in capsys.readouterr().err
