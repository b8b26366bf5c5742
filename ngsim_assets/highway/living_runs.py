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

from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import make_folder


@contextmanager
def living(settings: Settings, run_id: str) -> Iterator[None]:
    """Be the process of `run_id` while the block runs.

    Where no file can be written the run goes on unwatched: what it does there says so itself.
    """
    path = _path(settings, run_id)
    descriptor = -1
    with suppress(OSError):
        make_folder(path.parent)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # shared: a run may open its places twice
    try:
        yield
    finally:
        if descriptor >= 0:
            if _only_holder(descriptor):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            os.close(descriptor)


def is_dead(settings: Settings, run_id: str) -> bool:
    """Whether the process of `run_id` has ended without saying so. False where none can tell."""
    try:
        descriptor = os.open(_path(settings, run_id), os.O_RDWR)
    except OSError:
        return False
    try:
        return _only_holder(descriptor)
    finally:
        os.close(descriptor)


def forget(settings: Settings, run_id: str) -> None:
    """Remove the file of a dead run."""
    with suppress(OSError):
        _path(settings, run_id).unlink(missing_ok=True)


def _only_holder(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _path(settings: Settings, run_id: str) -> Path:
    return settings.data / "runs" / run_id
