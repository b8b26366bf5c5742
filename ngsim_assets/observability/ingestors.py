"""Ingestions under way in every process that lives, and in none that was killed.

A process that ingests has an entry in a folder: a file that says what is under way in it, and that
it holds an advisory lock on. The kernel lets go of the lock when the process dies, however it dies;
an entry that nobody holds counts for nothing and is removed by the next process.

Belongs here: the entries. Does not belong here: what is being ingested.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from ngsim_assets.storage.atomic import make_folder

Origin = tuple[str, str]
"""Highway and source."""

_FOLDER = "active"


class Announcement:
    """The entry of this process below `folder`; there is none while nothing is under way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER
        self._path = self._folder / f"{os.getpid()}.{uuid4().hex[:8]}"
        self._descriptor = -1
        self._told: dict[Origin, int] = {}

    def tell(self, under_way: Mapping[Origin, int]) -> None:
        """Say what is under way now. Raises OSError where that cannot be written."""
        now = {origin: count for origin, count in under_way.items() if count > 0}
        if now == self._told:
            return
        if now:
            self._replace(json.dumps([[*origin, count] for origin, count in now.items()]))
        else:
            self._path.unlink(missing_ok=True)
            self._let_go(-1)
        self._told = now

    def _replace(self, content: str) -> None:
        if not self._folder.is_dir():
            make_folder(self._folder)
        # locked before it has its name: no entry of a living process is ever free
        unnamed = self._folder / f".{self._path.name}"
        descriptor = os.open(unnamed, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, content.encode())
            unnamed.replace(self._path)
        except BaseException:
            os.close(descriptor)
            raise
        self._let_go(descriptor)

    def _let_go(self, next_one: int) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = next_one


def under_way(folder: Path) -> Counter[Origin]:
    """Ingestions under way in all living processes that announce themselves below `folder`."""
    found: Counter[Origin] = Counter()
    for path in (folder / _FOLDER).glob("[!.]*"):
        with suppress(OSError, ValueError, TypeError):
            if _is_alive(path):
                for highway, source, count in json.loads(path.read_bytes()):
                    found[str(highway), str(source)] += int(count)
    return found


def remove_dead(folder: Path) -> None:
    """Remove the entries of processes that were killed; best done by whoever ingests next."""
    for path in (folder / _FOLDER).glob("[!.]*"):
        with suppress(OSError):
            if not _is_alive(path):
                path.unlink(missing_ok=True)


def _is_alive(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # free, or just replaced by its process, which holds the new one before it lets go of this
        return os.fstat(descriptor).st_ino != path.stat().st_ino
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
