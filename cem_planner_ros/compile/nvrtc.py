# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Compiling CUDA text by NVRTC, NVIDIA's compiler library, through its C interface.

The library comes with PyTorch's packages, with the package `nvidia-cuda-nvrtc`, or with a CUDA
toolkit (JetPack's). It needs no GPU, so a test compiles for any. What was compiled is kept.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import os
import shutil
from pathlib import Path

import torch

from cem_planner_ros.compile import cache
from cem_planner_ros.compile.writer import UnsupportedError

FLAGS = ("--std=c++17", "--prec-div=false", "--prec-sqrt=false")
"""
Quotients and roots may be wrong in the last two bits, for which they take half of the time. No
--use_fast_math: a NaN must stay a NaN, or an invalid candidate would not be seen.
"""


def compiled(text: str, capability: tuple[int, int]) -> bytes:
    """
    Return the cubin of a text for GPUs of a compute capability, from the cache if it is there.

    For a GPU newer than the compiler it is PTX, which the driver compiles. Raises UnsupportedError,
    the compiler's reason in it, if there is no compiler or it refuses the text.
    """
    compiler = library()
    version, known = _version(compiler), _architectures(compiler)
    wanted = 10 * capability[0] + capability[1]
    usable = [number for number in known if number <= wanted]
    if not usable:
        raise UnsupportedError(f"NVRTC {version} does not compile for compute capability {wanted}")
    kind = "sm" if wanted in known else "compute"
    architecture = f"--gpu-architecture={kind}_{max(usable)}"
    file = cache.place("\n".join((text, *FLAGS, architecture, version)), ".cubin")
    try:
        kept = cache.read(file)
        if kept is not None:
            return kept
        result = _compile(compiler, text, (*FLAGS, architecture), is_binary=kind == "sm")
        folder = cache.new_folder()
        try:
            made = folder / "kernel.cubin"
            made.write_bytes(result)
            cache.keep(made, file)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return result
    except OSError as error:
        raise UnsupportedError(f"the kernel cannot be written or read: {error}") from error


def _compile(compiler: ctypes.CDLL, text: str, options: tuple[str, ...], is_binary: bool) -> bytes:
    program = ctypes.c_void_p()
    created = compiler.nvrtcCreateProgram(
        ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None
    )
    _check(compiler, created)
    try:
        array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if compiler.nvrtcCompileProgram(program, len(options), array):
            log = _read(compiler, program, "ProgramLog").decode(errors="replace").strip("\0\n ")
            errors = [line for line in log.splitlines() if "error" in line] or [log]
            raise UnsupportedError(f"NVRTC: {'; '.join(errors[:3])}")
        return _read(compiler, program, "CUBIN" if is_binary else "PTX")
    finally:
        compiler.nvrtcDestroyProgram(ctypes.byref(program))


def _read(compiler: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(compiler, getattr(compiler, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(compiler, getattr(compiler, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _check(compiler: ctypes.CDLL, code: int) -> None:
    if code:
        compiler.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise UnsupportedError(f"NVRTC: {compiler.nvrtcGetErrorString(code).decode()}")


def _version(compiler: ctypes.CDLL) -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(compiler, compiler.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


def _architectures(compiler: ctypes.CDLL) -> list[int]:
    """Return the compute capabilities that it compiles for, such as 90."""
    count = ctypes.c_int()
    _check(compiler, compiler.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    known = (ctypes.c_int * count.value)()
    _check(compiler, compiler.nvrtcGetSupportedArchs(known))
    return list(known)


@functools.cache
def library() -> ctypes.CDLL:
    """Return NVRTC, that of PyTorch's own CUDA if it is there."""
    tried = []
    for name in _places():
        try:
            for part in sorted(Path(name).parent.glob("libnvrtc-builtins.so*")):
                ctypes.CDLL(str(part))  # Which it would look for in other folders.
            return ctypes.CDLL(name)
        except OSError as error:
            tried.append(str(error))
    raise UnsupportedError(
        "NVRTC was not found: install nvidia-cuda-nvrtc, or CUDA's toolkit "
        f"({tried[0] if tried else 'no library of that name'})"
    )


def _places() -> list[str]:
    major = (torch.version.cuda or "").partition(".")[0]
    folders = []
    found = importlib.util.find_spec("nvidia")
    for root in map(Path, (found and found.submodule_search_locations) or ()):
        folders += [root / "cuda_nvrtc" / "lib", *sorted(root.glob("cu[0-9]*/lib"), reverse=True)]
    roots = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    folders += [Path(root) / "lib64" for root in roots if root]
    files = [str(file) for folder in folders for file in sorted(folder.glob("libnvrtc.so*"))]
    # One of another CUDA than PyTorch's would make code that its driver may not take.
    files.sort(key=lambda file: not (major and f".so.{major}" in file))
    by_name = ctypes.util.find_library("nvrtc")
    names = [f"libnvrtc.so.{major}"] if major else []
    return [*names, *files, *([by_name] if by_name else [])]
