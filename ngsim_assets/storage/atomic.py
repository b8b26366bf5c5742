"""Files that are either whole or absent, also after a power cut.

Belongs here: temporary names, fsync, rename. Does not belong here: any format.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

from ngsim_assets.storage.errors import writing

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Put `content` (text as UTF-8) at `path`, replacing what was there, creating folders.

    A reader sees the old file or the new one, never a part; when the call returns, the new one
    survives a power cut. Raises DiskFull or ReadOnlyLake; the old file is then untouched.
    """
    with writing_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing_atomically(path: Path) -> Generator[IO[bytes], None, None]:
    """As `write_atomically`, for what is written a part at a time: it is at `path` at the end.

    Nothing is where the block raises.
    """
    with writing(path):
        make_folder(path.parent)
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def sweep_temporaries(folder: Path, *, older_than: float) -> list[Path]:
    """Remove what killed writers of `write_atomically` left below `folder`; their paths.

    Args:
        older_than: seconds since they were last written to, in either direction of the clock;
            0 only where a lock keeps every writer out.
    """
    removed: list[Path] = []
    now = time.time()
    for path in folder.rglob(".*.tmp"):
        try:
            if _TEMPORARY.fullmatch(path.name) and abs(now - path.stat().st_mtime) >= older_than:
                path.unlink()
                removed.append(path)
        except FileNotFoundError:
            continue  # its writer was not dead
    return removed


def make_folder(folder: Path) -> None:
    """Create `folder` and its missing parents, their names safe against a power cut."""
    missing = []
    parent = folder
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        for created in missing:
            sync_folder(created.parent)


def sync_file(path: Path) -> None:
    """Have the operating system put the content of `path` on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the operating system put the names in `folder` on the disk."""
    sync_file(folder)
