# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The cache of compiled code: libraries for the CPU, cubins for a GPU.

It is a folder of the user that nobody else may enter: `~/.cache/cem_planner_ros/kernels`, or below
`XDG_CACHE_HOME`. A file carries a checksum at its end. One that is cut short, changed or owned by
another user is removed and made again.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

ABANDONED = 600.0
"""s after which a folder of a compiler belongs to a process that was killed."""

_DIGEST = hashlib.sha256


def place(recipe: str, suffix: str) -> Path:
    """Return the file for what is made by a recipe: its source, the compiler, the flags."""
    return _directory() / f"{_DIGEST(recipe.encode()).hexdigest()[:32]}{suffix}"


def new_folder() -> Path:
    """Return a folder to write in what is kept afterwards; abandoned ones are removed."""
    directory = _directory()
    for folder in directory.glob("tmp*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=directory))


def keep(made: Path, at: Path) -> None:
    """
    Move a finished file to its place, its checksum at its end.

    A rename is atomic: another process sees no file or a whole one, and after a power failure,
    thanks to the fsync, too.
    """
    with made.open("r+b") as file:
        digest = _DIGEST(file.read()).digest()
        file.write(digest)
        file.flush()
        os.fsync(file.fileno())
    made.replace(at)


def read(file: Path) -> bytes | None:
    """Return what was kept in a file, None if there is none; what is not whole is removed."""
    try:
        status = file.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid():
            text = file.read_bytes()
            size = _DIGEST().digest_size
            if _DIGEST(text[:-size]).digest() == text[-size:]:
                return text[:-size]
    except FileNotFoundError:  # Not removed, for another process may just be putting it there.
        return None
    except OSError:
        pass
    remove(file)
    return None


def remove(file: Path) -> None:
    """Remove what is in the place of a file, if anything is."""
    try:
        if stat.S_ISDIR(file.lstat().st_mode):
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)
    except FileNotFoundError:
        pass


def _directory() -> Path:
    """Return where compiled code is kept: of the user, or of this process where that cannot be."""
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
