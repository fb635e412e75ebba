# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Compiling C++ to libraries, which are kept in the cache."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from cem_planner_ros.compile import cache
from cem_planner_ros.compile.writer import UnsupportedError

COMPILER_FLAGS = (
    "-std=c++14 -O3 -march=native -fopenmp -fPIC -shared "
    "-fno-math-errno -fno-trapping-math -ffp-contract=fast -freciprocal-math -fno-tree-pre"
).split()
"""
No -ffast-math: a NaN must stay a NaN, or an invalid candidate would not be seen. With
-freciprocal-math a division by a parameter of the model is a product in the loop.
"""
if platform.machine() in ("x86_64", "AMD64"):
    # Where there is AVX-512, g++ would take half of it.
    COMPILER_FLAGS.append("-mprefer-vector-width=512")

_running: dict[Path, subprocess.Popen | None] = {}
"""The running compilers, by the folder to which they write."""


def has_compiler() -> bool:
    """Return whether there is a C++ compiler."""
    try:
        return bool(_compiler())
    except UnsupportedError:
        return False


def _compiler() -> list[str]:
    """
    Return the command in CXX, which may have arguments, as `ccache g++`, or g++.

    Raises UnsupportedError if there is no such program.
    """
    try:
        command = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    except ValueError as error:
        raise UnsupportedError(f"no C++ compiler{_origin()}: {error}") from error
    if shutil.which(command[0]) is None:
        raise UnsupportedError(f"no C++ compiler '{command[0]}' on the path{_origin()}")
    return command


def _origin() -> str:
    """Say what chose the compiler, where that is not this module."""
    given = os.environ.get("CXX", "")
    return f" (the environment variable CXX is {given!r})" if given.strip() else ""


def load(source: str, check: Callable[[ctypes.CDLL], None]) -> ctypes.CDLL:
    """
    Return the loaded library of `source`, from the cache if it was compiled here before.

    `check` looks at what was loaded, and raises ValueError or AttributeError if it is not what it
    should be. Raises UnsupportedError if there is no compiler, or it fails.
    """
    compiler = _compiler()
    try:
        version = subprocess.run([*compiler, "--version"], capture_output=True, text=True).stdout
    except OSError as error:
        raise UnsupportedError(f"{compiler[0]} does not run{_origin()}: {error}") from error
    recipe = "\n".join((source, *compiler[1:], *COMPILER_FLAGS, version, _processor()))
    library = cache.place(recipe, ".so")
    try:
        found = _kept(library, check)
        if found is None:
            _build(compiler, source, library)
            found = ctypes.CDLL(str(library))
            check(found)
        return found
    except (OSError, ValueError, AttributeError) as error:
        raise UnsupportedError(f"the kernel cannot be written or loaded: {error}") from error


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """
    End compilers, and remove their files, if this process is ended meanwhile.

    Ctrl-C does this as an exception. SIGTERM does it if no other handler is set.
    """
    is_free = threading.current_thread() is threading.main_thread() and _is_unhandled()
    if is_free:
        signal.signal(signal.SIGTERM, _end)
    try:
        yield
    except BaseException:
        _stop_compilers()
        raise
    finally:
        if is_free:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_unhandled() -> bool:
    """Return whether SIGTERM ends this process; of handlers in C, Python knows nothing."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return not int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1
    return False


def _end(number: int, frame: object) -> None:
    _stop_compilers()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _stop_compilers() -> None:
    for folder, process in list(_running.items()):
        if process is not None:  # None: about to start.
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _stop(process: subprocess.Popen) -> None:
    """End a compiler and the processes that it started, which remove their own files."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def _processor() -> str:
    """What decides on the code that -march=native makes."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))
    except OSError:
        return platform.processor()


def _kept(library: Path, check: Callable[[ctypes.CDLL], None]) -> ctypes.CDLL | None:
    """Return a library of the cache; remove it, and return None, if it cannot be used."""
    # Loading a part of a library can end the process.
    if cache.read(library) is not None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = ctypes.CDLL(str(library))
            check(found)
            return found
        cache.remove(library)
    return None


def _build(compiler: list[str], source: str, library: Path) -> None:
    folder = cache.new_folder()
    _running[folder] = None
    try:
        code, result = folder / "kernel.cpp", folder / "kernel.so"
        code.write_text(source)
        process = subprocess.Popen(
            [*compiler, *COMPILER_FLAGS, "-o", str(result), str(code)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=os.environ | {"TMPDIR": str(folder)},
            # Ctrl-C is for this process, which ends the compiler itself.
            start_new_session=True,
        )
        _running[folder] = process
        try:
            _, said = process.communicate()
        except BaseException:
            _stop(process)
            process.wait()
            raise
        if process.returncode != 0:
            raise UnsupportedError(
                f"{compiler[0]} failed{_origin()}: "
                f"{said.strip()[-500:] or f'its exit status is {process.returncode}'}"
            )
        cache.keep(result, library)
    finally:
        _running.pop(folder, None)
        shutil.rmtree(folder, ignore_errors=True)
