# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A GPU in place of which a C++ compiler and a loop compute, for tests where there is none."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

LAUNCH = """
static const Arguments* given;
{bodies}
extern "C" void launch(const char* name, int blocks, int rows, int threads, int shared,
                       int last_first, const Arguments* arguments) {{
    given = arguments;
    backwards = last_first;
    blockDim = {{threads, 1, 1}};
    std::vector<float> room(shared / 4 + 1, NAN);
    block_shares = room.data();
    emulation::entry = nullptr;
{choices}
    if (!emulation::entry) abort();
    for (int y = 0; y < rows; ++y) {{
        for (int x = 0; x < blocks; ++x) {{
            blockIdx = {{last_first ? blocks - 1 - x : x, y, 0}};
            emulation::run_block(threads);
        }}
    }}
}}
"""

FOLDER = tempfile.TemporaryDirectory(prefix="emulated_gpu_")


class EmulatedGpu:
    """Does what `driver.Gpu` does, on the CPU; with `backwards` threads and blocks in reverse."""

    def __init__(self, most_shared: int = 48 * 1024, backwards: bool = False):
        self.device = torch.device("cpu")
        self.most_shared = most_shared
        self.backwards = backwards
        self.launched: list[str] = []
        """Names of the kernels that were launched."""

    def module(self, text: str) -> Module:
        return Module(self, _library(text))

    def graph(self, enqueue: Callable[[], None], through_pytorch: bool = False):
        return enqueue

    def copy(self, to: int, source: int, size: int) -> None:
        ctypes.memmove(to, source, size)

    def wait(self) -> None:
        """Everything is done at once."""


class Module:
    def __init__(self, gpu: EmulatedGpu, library: ctypes.CDLL):
        self._gpu, self._library = gpu, library

    def function(self, name: str, shared: int = 0):
        def run(blocks, threads, arguments):
            self._gpu.launched.append(name)
            self._library.launch(
                name.encode(),
                *blocks,
                threads,
                shared,
                int(self._gpu.backwards),
                ctypes.byref(arguments),
            )

        return run

    def address(self, name: str) -> int:
        return ctypes.addressof(ctypes.c_float.in_dll(self._library, name))


@functools.cache
def _library(text: str) -> ctypes.CDLL:
    names = re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(', text)
    bodies = "\n".join(f"static void run_{name}() {{ {name}(*given); }}" for name in names)
    choices = "\n".join(
        f'    if (!strcmp(name, "{name}")) emulation::entry = run_{name};' for name in names
    )
    header = Path(__file__).with_name("emulation.h").read_text()
    source = header + text + LAUNCH.format(bodies=bodies, choices=choices)
    stem = Path(FOLDER.name) / hashlib.sha256(source.encode()).hexdigest()[:16]
    code, result = stem.with_suffix(".cpp"), stem.with_suffix(".so")
    code.write_text(source)
    command = [
        "g++",
        "-std=c++17",
        "-O1",
        "-fno-strict-aliasing",
        "-shared",
        "-fPIC",
        "-w",
        "-o",
        result,
        code,
    ]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(result))
