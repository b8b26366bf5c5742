"""Which runs are alive: what a dead process left as "in progress" can be told from work.

A run holds an advisory lock on a file named for it for as long as its process lives. The kernel
lets go of it when the process dies, however it dies: a file that is there and not locked is of a
run that will never end by itself. Of a run without a file nothing can be told.

Belongs here: the locks. Does not belong here: what becomes of a dead run (sensors.py).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import make_folder

_SEPARATOR = "."


@contextmanager
def living(settings: Settings, run_id: str) -> Iterator[None]:
    """Be a process of `run_id` while the block runs.

    Where no file can be written the run goes on unwatched: what it does there says so itself.
    """
    folder = _folder(settings)
    path = folder / f"{run_id}{_SEPARATOR}{uuid4().hex[:8]}"
    descriptor = -1
    with suppress(OSError):
        make_folder(folder)
        # locked before it has its name: no file of that name is ever free while its run lives
        unnamed = folder / f".{path.name}"
        descriptor = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        unnamed.rename(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if descriptor >= 0:
            os.close(descriptor)


def dead_runs(settings: Settings) -> list[str]:
    """Runs whose processes have all ended without saying so, sorted."""
    alive: set[str] = set()
    dead: set[str] = set()
    for path in _folder(settings).glob(f"[!.]*{_SEPARATOR}*"):
        run_id = path.name.rpartition(_SEPARATOR)[0]
        with suppress(FileNotFoundError):
            (alive if _is_locked(path) else dead).add(run_id)
    return sorted(dead - alive)


def bury(settings: Settings, run_id: str) -> None:
    """Remove what tells of a dead run. Raises OSError where that cannot be."""
    for path in _folder(settings).glob(f"{run_id}{_SEPARATOR}*"):
        path.unlink(missing_ok=True)


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _folder(settings: Settings) -> Path:
    return settings.data / "runs"
