"""Disks that end and folders that refuse, as the operating system makes them.

Belongs here: mounting, and why it cannot be done. Does not belong here: what is expected.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ngsim_assets.highway.simulation.write_source import LayoutName, write_source
from ngsim_assets_tests.highway.odd_files import driven

PAGE = 4096
"""Bytes a file on a tmpfs grows by."""


def deliver(
    path: Path, *, frames: int = 30, vehicles: int = 3, layout: LayoutName = "export", **how: int
) -> Path:
    """A file with a few vehicles of us-101's first recording; `how` goes to `driven`."""
    write_source(driven(vehicles, frames, **how), path, layout)
    return path


class SmallDisk:
    """A file system of its own with little space."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / ".filler"

    def leave(self, pages: int) -> None:
        """Fill it up to so many free pages."""
        self.free()
        found = os.statvfs(self.folder)
        with self._filler.open("wb") as file:
            file.write(bytes((found.f_bavail * found.f_frsize) - pages * PAGE))

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int = 8) -> Iterator[SmallDisk]:
    """A tmpfs at `folder`; skips where this user may not mount one."""
    folder.mkdir(parents=True)
    with _mounted("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", at=folder):
        yield SmallDisk(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """`folder` read-only for everybody, root too; skips where this user may not mount."""
    with _mounted("--bind", str(folder), at=folder):
        _mount("-o", "remount,bind,ro", str(folder))
        yield


@contextmanager
def _mounted(*options: str, at: Path) -> Iterator[None]:
    _mount(*options, str(at))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(
            ["mount", *arguments], capture_output=True, text=True, check=False, timeout=20
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command: a full or read-only disk cannot be made")
    if done.returncode:
        pytest.skip(f"a full or read-only disk cannot be made here: {done.stderr.strip()}")
