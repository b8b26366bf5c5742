"""What lies in a folder, told by stats alone.

Belongs here: the walk, what tells cheaply whether a file is the one seen before, and what time
it is where the files lie. Does not belong here: what is known of any file, reading one.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

UNFINISHED = (".part", ".partial", ".crdownload", ".filepart", ".download", ".tmp")
"""Endings under which browsers and transfer programs write what they rename when complete."""


class FileState(NamedTuple):
    """What tells without reading whether a file is the one seen before.

    Attributes:
        size: in bytes. mtime_ns: when its content was said to have changed. ctime_ns: when the
            file system last changed anything of it, which nobody can set; 0 if not known.
        inode: which file it is, whatever its name; 0 if not known.
    """

    size: int
    mtime_ns: int
    ctime_ns: int = 0
    inode: int = 0

    @classmethod
    def of(cls, path: str | Path) -> FileState:
        """State of the file at `path`, of the file it leads to if it is a link. OSError."""
        return cls.said_by(os.stat(path))  # noqa: PTH116  # called for every file of a listing

    @classmethod
    def said_by(cls, found: os.stat_result) -> FileState:
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    @property
    def changed_ns(self) -> int:
        """When it changed last, in ns since 1970 by the clock of its file system."""
        return max(self.mtime_ns, self.ctime_ns)

    def agrees(self, other: FileState) -> bool:
        """Whether the two are the same in everything that both know."""
        return (
            self[:2] == other[:2]
            and (self.ctime_ns == other.ctime_ns or not (self.ctime_ns and other.ctime_ns))
            and (self.inode == other.inode or not (self.inode and other.inode))
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """The files below a folder at one moment.

    Attributes:
        files: state by path below the folder. unreadable: folders that could not be looked
            into, as paths below it; the folder itself is the empty path.
    """

    files: dict[str, FileState]
    unreadable: tuple[str, ...] = ()

    def tells_about(self, path: str) -> bool:
        """Whether `path` would be listed if it were there."""
        return not any(not folder or path.startswith(folder + os.sep) for folder in self.unreadable)


def listing(root: Path, ignored: Callable[[str], bool] = lambda name: False) -> Listing:
    """Regular files below `root` and their states.

    Hidden files and folders, names that transfer programs give to unfinished files, and names
    that `ignored` tells are left out. Links to files are followed, links to folders are not:
    they may lead in circles. What vanishes meanwhile is left out.
    """
    files: dict[str, FileState] = {}
    unreadable: list[str] = []
    top = os.fspath(root)
    skipped = len(os.path.join(top, ""))  # noqa: PTH118  # text all the way, for speed
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith(".") or name.endswith(UNFINISHED) or ignored(name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    try:
                        found = entry.stat()
                    except OSError:
                        continue  # it is gone, or a link that leads nowhere
                    if stat.S_ISREG(found.st_mode):
                        files[entry.path[skipped:]] = FileState.said_by(found)
        except FileNotFoundError:
            if folder == top:
                unreadable.append("")
        except OSError:
            unreadable.append(folder[skipped:])
    return Listing(files, tuple(sorted(unreadable)))


def time_at(folder: Path) -> int:
    """Now, in ns since 1970, by the clock that stamps files in `folder`.

    That of a server may differ from ours. Where no file can be made, ours has to do.
    """
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".ngsim-") as probe:
            return os.fstat(probe.fileno()).st_mtime_ns
    except OSError:
        return time.time_ns()
