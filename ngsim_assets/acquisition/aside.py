"""Moving files that cannot be used out of the way, with the reason beside them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from ngsim_assets.acquisition.listing import FileState
from ngsim_assets.storage.atomic import make_folder, sync_file, sync_folder, write_atomically
from ngsim_assets.storage.errors import writing

REASON = ".reason.txt"

# File systems end names at 255 bytes; this leaves room for the number, the ending of the reason
# and what a file is called until it is complete.
_LONGEST_NAME = 190
_LONGEST_SUFFIX = 20


def move_aside(path: Path, folder: Path, name: str, reason: str) -> Path | None:
    """Move the file at `path` to `folder`/`name`, numbered if taken; where it lies now.

    `reason` goes beside it, under the same name with `.reason.txt` behind. None if it cannot be
    moved: a link stays, and so does what may not be removed from where it is. What is already
    in `folder` is never replaced. Raises DiskFull or ReadOnlyLake where `folder` is to blame.
    """
    if path.is_symlink():
        return None
    state = FileState.of(path)
    said = reason.encode(errors="backslashreplace")
    with writing(folder):
        target = _free(folder, name, said)
        make_folder(target.parent)
    beside = _beside(target)
    write_atomically(beside, said)
    if not _moved(path, target, state):
        beside.unlink(missing_ok=True)
        return None
    sync_folder(target.parent)
    return target


def _free(folder: Path, name: str, said: bytes) -> Path:
    """`folder`/`name`, each part of it cut if too long and numbered if another file is there.

    A reason alone, with these very words, is one that was killed before it could move the file.
    """

    def is_ours(beside: Path) -> bool:
        return beside.is_file() and not beside.is_symlink() and beside.read_bytes() == said

    *parents, last = Path(name).parts
    for part in parents:
        folder = _first(folder / part, lambda path: path.is_dir() or not os.path.lexists(path))
    return _first(
        folder / last,
        lambda path: (
            not os.path.lexists(path)
            and (not os.path.lexists(_beside(path)) or is_ours(_beside(path)))
        ),
    )


def _first(wanted: Path, is_free: Callable[[Path], bool]) -> Path:
    """`wanted`, cut if it is too long, or the first of its numbered names that will do."""
    stem, suffix = wanted.stem, wanted.suffix
    if len(os.fsencode(suffix)) > _LONGEST_SUFFIX:
        stem, suffix = wanted.name, ""
    while len(os.fsencode(stem + suffix)) > _LONGEST_NAME:
        stem = stem[:-1]
    target, number = wanted.with_name(stem + suffix), 1
    while not is_free(target):
        number += 1
        target = wanted.with_name(f"{stem} ({number}){suffix}")
    return target


def _beside(target: Path) -> Path:
    """Where the reason for `target` goes."""
    return target.with_name(target.name + REASON)


def _moved(path: Path, target: Path, state: FileState) -> bool:
    with writing(target):
        try:
            path.rename(target)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return _copied(path, target, state)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            return False
    moved = FileState.of(target)
    if moved._replace(ctime_ns=state.ctime_ns) != state and not path.exists():
        target.rename(path)  # another file had been put there in the very moment
        return False
    return True


def _copied(path: Path, target: Path, state: FileState) -> bool:
    """Move to another file system: the original goes when the copy is complete."""
    if not os.access(path.parent, os.W_OK):
        return False
    copy = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    try:
        shutil.copy2(path, copy)
        sync_file(copy)
        if FileState.of(path) != state:
            return False
        copy.rename(target)
        try:
            path.unlink()
        except OSError:
            target.unlink()
            return False
    finally:
        copy.unlink(missing_ok=True)
    return True
