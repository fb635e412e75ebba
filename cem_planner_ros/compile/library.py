"""
Compiling C++ to libraries, and the cache in which they are kept.

The cache is a folder of the user that nobody else may enter: `~/.cache/cem_planner_ros/kernels`, or
below `XDG_CACHE_HOME`. Each library ends with a checksum. A library that is incomplete, changed,
owned by another user or not loadable is removed and compiled again.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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

ABANDONED = 600.0
"""Age, s, above which a folder of a compiler must be from a process that was killed."""

_DIGEST = hashlib.sha256

_running: dict[Path, subprocess.Popen | None] = {}
"""The running compilers, by the folder to which they write."""


def has_compiler() -> bool:
    """Return whether there is a C++ compiler."""
    return shutil.which(_compiler()[0]) is not None


def load(source: str, check: Callable[[ctypes.CDLL], None]) -> ctypes.CDLL:
    """
    Return the loaded library of `source`, from the cache if it was compiled here before.

    `check` looks at what was loaded, and raises ValueError or AttributeError if it is not what it
    should be. Raises UnsupportedError if there is no compiler, or it fails.
    """
    compiler = _compiler()
    if not has_compiler():
        raise UnsupportedError(f"no C++ compiler '{compiler[0]}' on the path")
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True).stdout
    recipe = "\n".join((source, *compiler[1:], *COMPILER_FLAGS, version, _processor()))
    library = _cache_directory() / f"{_DIGEST(recipe.encode()).hexdigest()[:32]}.so"
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


def _cache_directory() -> Path:
    """Return where libraries are kept: of the user, or of this process where that cannot be."""
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = root / "cem_planner_ros" / "kernels"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What others may write to, they may put their code into.
        if folder.stat().st_uid == os.getuid():
            folder.chmod(0o700)
            if os.access(folder, os.W_OK):
                return folder
    except (OSError, RuntimeError):  # RuntimeError: a user without a home.
        pass
    return _own_directory()


@functools.cache
def _own_directory() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="cem_planner_ros_")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _processor() -> str:
    """What decides on the code that -march=native makes."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))
    except OSError:
        return platform.processor()


def _compiler() -> list[str]:
    """Return the command in CXX, which may have arguments, as `ccache g++`."""
    return shlex.split(os.environ.get("CXX", "")) or ["g++"]


def _kept(library: Path, check: Callable[[ctypes.CDLL], None]) -> ctypes.CDLL | None:
    """Return a library of the cache; remove it, and return None, if it cannot be used."""
    try:
        status = library.lstat()
    except FileNotFoundError:
        return None
    # Loading a part of a library can end the process.
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and _is_whole(library):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = ctypes.CDLL(str(library))
            check(found)
            return found
    if stat.S_ISDIR(status.st_mode):
        shutil.rmtree(library)
    else:
        library.unlink(missing_ok=True)
    return None


def _is_whole(library: Path) -> bool:
    """Return whether a file ends in the checksum of what comes before."""
    try:
        text = library.read_bytes()
    except OSError:
        return False
    size = _DIGEST().digest_size
    return _DIGEST(text[:-size]).digest() == text[-size:]


def _build(compiler: list[str], source: str, library: Path) -> None:
    for folder in library.parent.glob("tmp*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=library.parent))
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
            raise UnsupportedError(f"{compiler[0]} failed: {said.strip()[-500:]}")
        # A rename is atomic: another process sees no library or a whole one, and after a power
        # failure, thanks to the fsync, too.
        with result.open("r+b") as file:
            digest = _DIGEST(file.read()).digest()
            file.write(digest)
            file.flush()
            os.fsync(file.fileno())
        result.replace(library)
    finally:
        _running.pop(folder, None)
        shutil.rmtree(folder, ignore_errors=True)
