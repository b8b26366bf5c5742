"""Who is writing: a killed writer's leftovers can be told from a living writer's work.

A write holds an advisory lock on `<table>/_writing/<write>` until its files are committed or
removed. The kernel lets go of the lock when the process dies, however it dies; whoever gets
the lock of another write then knows that its files will never be committed by anyone else.
Belongs here: locks and the removal of leftovers. Does not belong here: what a table holds.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ngsim_assets.storage.atomic import make_folder, sync_folder
from ngsim_assets.storage.errors import writing

_FOLDER = "_writing"
_STAGED_AGE = 3600.0
"""Seconds after which a half-written log entry of the Delta library is a leftover: it needs
milliseconds to complete one."""


@contextmanager
def claimed(table_folder: Path, write_id: str) -> Iterator[None]:
    """Hold the claim of a write while the block runs; the name is on the disk before it does."""
    path = table_folder / _FOLDER / write_id
    with writing(path):
        make_folder(path.parent)
        while True:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _names(path, descriptor):  # else a sweep took the name before the lock was ours
                break
            os.close(descriptor)
        sync_folder(path.parent)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def being_written(table_folder: Path) -> set[str]:
    """Names of the writes that are claimed, be it by the living or the dead."""
    return {path.name for path in (table_folder / _FOLDER).glob("*")}


def sweep_leftovers(table_folder: Path, is_committed: Callable[[str], bool]) -> list[Path]:
    """Remove what killed writers left below `table_folder`; returns the removed data files.

    `is_committed` tells whether a write reached the log before its process died: such files
    belong to the table. Files of living writers are not touched.
    """
    removed: list[Path] = []
    for path in sorted((table_folder / _FOLDER).glob("*")):
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not is_committed(path.name):
                    for leftover in table_folder.rglob(f"*-{path.name}.parquet"):
                        leftover.unlink(missing_ok=True)
                        removed.append(leftover)
                path.unlink(missing_ok=True)
            except BlockingIOError:
                pass  # a living writer's
            finally:
                os.close(descriptor)
    return removed


def sweep_staged(table_folder: Path) -> list[Path]:
    """Remove half-written files of the log and its index, an hour old; returns their paths."""
    removed: list[Path] = []
    staged = [*table_folder.rglob("*#[0-9]*"), *table_folder.glob("_*/*.tmp")]
    for path in staged:
        with suppress(FileNotFoundError):
            if path.is_file() and time.time() - path.stat().st_mtime > _STAGED_AGE:
                path.unlink()
                removed.append(path)
    return removed


def _names(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
