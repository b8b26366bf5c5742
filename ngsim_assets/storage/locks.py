"""Locks that the kernel lets go of when their holder dies, however it dies.

Belongs here: waiting for one, and having one or not. Does not belong here: what is written under
it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ngsim_assets.storage.atomic import make_folder
from ngsim_assets.storage.errors import writing


@contextmanager
def alone(root: Path, name: str) -> Iterator[None]:
    """Wait until nobody else holds `name` in the lake at `root`, and keep others waiting.

    For one writer of a subject at a time, whichever process it works in. Not reentrant. Raises
    DiskFull or ReadOnlyLake where there can be no lock.
    """
    folder = root / ".locks"
    path = folder / f"{name}.lock"
    with writing(path):
        make_folder(folder)
        lock = path.open("wb")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def held(path: Path) -> int | None:
    """Descriptor of the file at `path`, locked for this process until it is closed.

    None where somebody else holds it. The file and its folder are made where they are missing, and
    may be removed by who holds them: what is held is what has that name now. Raises OSError.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # the folder was removed by who has just finished
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(lock)):
                return lock
        os.close(lock)
