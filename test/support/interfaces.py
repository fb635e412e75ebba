# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Builds a ROS interface package from definitions, with the generators of the rosidl wheels."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

DEPENDENCIES = (
    *("action_msgs", "builtin_interfaces", "geometry_msgs", "nav_msgs", "service_msgs"),
    *("std_msgs", "unique_identifier_msgs"),
)
RUNTIME = (
    *("rosidl_runtime_c", "rosidl_typesupport_c", "rosidl_typesupport_fastrtps_c"),
    *("rosidl_typesupport_fastrtps_cpp", "rosidl_typesupport_introspection_c"),
    *("rmw", "rcutils", "fastcdr"),
)
GENERATED = "generated"
"""Folder of the C and C++ files while they are compiled."""

TYPE_SUPPORTS = ("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c")
"""Type supports of a message; ROS loads the library of each by its name."""


def build(name: str, definitions: Path) -> Path:
    """
    Build an interface package, and return the folder to put on the Python path.

    The folder is kept in the environment; it is built again only when the definitions change.

    Args:
        name: the name of the package.
        definitions: folder with `.idl` files in subfolders `msg` and `action`.

    Raises ImportError or OSError where generators, headers or compilers are missing, and
    subprocess.CalledProcessError where a compiler fails.
    """
    files = sorted(str(file.relative_to(definitions)) for file in definitions.rglob("*.idl"))
    texts = [file.encode() + (definitions / file).read_bytes() for file in files]
    key = hashlib.sha256(b"".join(texts) + Path(__file__).read_bytes()).hexdigest()[:16]
    result = Path(sys.prefix) / "share" / "test_interfaces" / f"{name}_{key}"
    if not result.exists():
        work = result.with_name(f"{result.name}_{os.getpid()}")
        try:
            variables = patch.dict(os.environ, AMENT_PREFIX_PATH=sys.prefix)
            with variables, redirect_stdout(sys.stderr):
                _generate(name, definitions, files, work)
            _compile(name, work)
            # Another process may have been faster.
            if not result.exists():
                work.rename(result)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return result


def _generate(name: str, definitions: Path, files: list[str], work: Path) -> None:
    from rosidl_cli.command.helpers import legacy_generator_arguments_file
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.generate_py_impl import generate_py
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    share = Path(sys.prefix) / "share"
    if not (share / "nav_msgs" / "msg").is_dir():
        raise ImportError("the ROS wheels of this environment bring no definitions")
    package = work / name
    package.mkdir(parents=True)
    includes = [str(share / each) for each in DEPENDENCIES]
    idl = [f"{definitions}:{file}" for file in files]
    for generator in (
        GenerateC("c"),
        GenerateCTypesupport("c", typesupport_implementations=list(TYPE_SUPPORTS)),
        GenerateFastRTPSCTypesupport("fastrtps_c"),
        GenerateIntrospectionCTypesupport("introspection_c"),
    ):
        # Each has a folder of its own, because some of their files have the same name.
        output = work / GENERATED / type(generator).__name__ / name
        output.mkdir(parents=True)
        generator.generate(name, idl, includes, output)
    with legacy_generator_arguments_file(
        package_name=name,
        interface_files=idl,
        include_paths=includes,
        templates_path=share / "rosidl_generator_py" / "resource",
        output_path=package,
    ) as arguments:
        generate_py(arguments, ["rosidl_typesupport_c"])
    (package / "__init__.py").touch()


def _compile(name: str, work: Path) -> None:
    import numpy as np

    prefix = Path(sys.prefix)
    includes = [sysconfig.get_paths()["include"], np.get_include()]
    includes += (work / GENERATED).iterdir()
    headers = prefix / "include"
    # Most packages have a folder of their own in which another one has the package's name.
    includes += [headers, *(folder for folder in headers.iterdir() if folder.is_dir())]
    flags = ["-O0", "-fPIC", "-w", *(f"-I{folder}" for folder in includes)]
    sources = sorted([*work.rglob("*.c"), *work.rglob("*.cpp")])

    def compiled(source: Path) -> Path:
        compiler = os.environ.get("CC", "gcc")
        if source.suffix == ".cpp":
            compiler = os.environ.get("CXX", "g++")
        target = source.with_suffix(source.suffix + ".o")
        _run(compiler, *flags, "-c", source, "-o", target)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources))

    def link(library: Path, *inputs: object) -> None:
        flags = [
            "-shared",
            "-Wl,--no-as-needed",
            "-Wl,-rpath,$ORIGIN",
            f"-Wl,-soname,{library.name}",
        ]
        _run(os.environ.get("CXX", "g++"), *flags, "-o", library, *inputs)

    libraries = [f"-l{each}" for each in RUNTIME]
    for dependency in DEPENDENCIES:
        libraries += [
            f"-l{dependency}__{kind}"
            for kind in (
                *("rosidl_generator_c", "rosidl_typesupport_c"),
                *(*TYPE_SUPPORTS, "rosidl_generator_py"),
            )
        ]
    # One library has all of the code. ROS asks for others by name, which only refer to it.
    folder, search = work / name, [f"-L{prefix / 'lib'}", f"-L{work / name}"]
    extension = [file for file in objects if ".ep." in file.name]
    code = [file for file in objects if file not in extension]
    link(folder / f"lib{name}.so", *code, *search, *libraries)
    names = [f"{name}__{kind}" for kind in TYPE_SUPPORTS]
    for each in names:
        link(folder / f"lib{each}.so", *search, f"-l{name}")
    used = [f"-l{each}" for each in (name, *names)]
    link(folder / f"{name}_s__rosidl_typesupport_c.so", *extension, *search, *used, *libraries)
    for file in extension:
        file.unlink()
    shutil.rmtree(work / GENERATED)


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
