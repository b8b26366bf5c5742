"""Files that are either whole or absent, also after a power cut.

Belongs here: temporary names, fsync, rename. Does not belong here: any format.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from ngsim_assets.storage.errors import writing


def write_atomically(path: Path, content: bytes | str) -> None:
    """Put `content` (text as UTF-8) at `path`, replacing what was there, creating folders.

    A reader sees the old file or the new one, never a part; when the call returns, the new one
    survives a power cut. Raises DiskFull or ReadOnlyLake; the old file is then untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing(path):
        make_folder(path.parent)
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


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
