# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The journal of a study: Optuna's storage in a file, written by one process at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cem_planner_ros.errors import ConfigurationError, first_line
from cem_planner_ros.paths import lock_folder

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import JournalStorage

JOURNAL = "study.journal"

NAME = "study"
"""Of the study in the journal."""

IDENTITY = "identity"
"""Attribute of the study in the journal."""

LOCK = f"{JOURNAL}.lock"
"""Optuna's lock of a write: a symbolic link."""


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """
    Make the folder of a study, and keep other processes from it meanwhile.

    The lock of a process that was killed while it wrote is removed, because Optuna might wait for
    it for ever. A new folder in which nothing was written is removed again at the end.

    Raises ConfigurationError if another process runs a study there, or the folder cannot be made.
    """
    is_new = not folder.exists()
    try:
        lock = lock_folder(folder)
    except BlockingIOError as error:
        raise ConfigurationError(
            f"{folder} has a study that another process is running: wait until it has ended, or "
            "give another --out"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error}") from error
    try:
        with lock:
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)
            yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # It is not empty.
                folder.rmdir()


def check(folder: Path, resume: bool) -> None:
    """Raise ConfigurationError if there is no study to be continued, or one already."""
    if resume != (folder / JOURNAL).exists():
        raise ConfigurationError(
            f"{folder} has no study to be continued: leave --resume out"
            if resume
            else f"{folder} has a study already: continue it with --resume, or give another --out"
        )


def open_study(
    folder: Path, directions: Mapping[str, str], identity: Mapping[str, str]
) -> tuple[JournalStorage, Study]:
    """
    Return the study of a folder, new or as its journal has it, and the storage.

    Args:
        folder: made if it is not there.
        directions: Optuna's direction of each objective, by name.
        identity: what has to be equal when the study is continued, by name.

    Raises ConfigurationError if the folder cannot be written, or has another study.
    """
    import optuna

    try:
        folder.mkdir(parents=True, exist_ok=True)
        storage = _storage(folder)
        names = optuna.get_all_study_names(storage)
        if names == [NAME]:
            study = optuna.load_study(study_name=NAME, storage=storage)
        elif not names:
            study = optuna.create_study(
                study_name=NAME, storage=storage, directions=[*directions.values()]
            )
            study.set_metric_names([*directions])
            study.set_user_attr(IDENTITY, dict(identity))
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error}") from error
    except Exception as error:  # Whatever the file is, Optuna may raise any error.
        file = folder / JOURNAL
        raise ConfigurationError(
            f"{file} is no journal of Optuna that is whole: {first_line(error)}; give another --out"
        ) from error
    known = study.user_attrs.get(IDENTITY) if names in ([], [NAME]) else None
    if known is None:
        raise ConfigurationError(
            f"{folder} has a journal that this command has not made: give another --out"
        )
    for name in {**known, **identity}:
        if known.get(name) != identity.get(name):
            raise ConfigurationError(
                f"{folder} has the storage of another study: '{name}' differs, it was "
                f"{_short(known.get(name))} and is {_short(identity.get(name))}; give another --out"
            )
    return storage, study


def _storage(folder: Path) -> JournalStorage:
    """Return the storage of a study; the file is made if there is none."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    # The lock is a link to this path. Optuna looks at the age of a lock only if it leads there.
    file = (folder / JOURNAL).absolute()
    _cut_torn_line(file)
    return JournalStorage(JournalFileBackend(str(file)))


def _short(text: str | None) -> str:
    if text is None:
        return "not given"
    return text if len(text) <= 120 else text[:117] + "..."


def _cut_torn_line(file: Path) -> None:
    """Cut off what a full disk or a loss of power has left of the last line; nobody has read it."""
    if not file.exists():
        return
    with file.open("r+b") as journal:
        content = journal.read()
        journal.truncate(content.rfind(b"\n") + 1)
