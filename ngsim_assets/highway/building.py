"""One writer of a recording at a time, whichever process it works in.

Belongs here: the lock. Does not belong here: what is written under it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.stages import Platform
from ngsim_assets.storage.atomic import make_folder
from ngsim_assets.storage.errors import writing


@contextmanager
def alone(platform: Platform, key: PartitionKey) -> Iterator[None]:
    """Wait until nobody else writes a table of the recording, and keep others waiting.

    Held by a stage from the moment it looks at its input until its output is live, and by a
    rollback from its first table to its last: otherwise a stage that began before its input was
    replaced could put its output in place of one that was made of the new input. Not reentrant.
    """
    folder = platform.lake.root / ".locks"
    path = folder / f"{key.highway_id}_{key.recording}.lock"
    with writing(path):
        make_folder(folder)
        lock = path.open("wb")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
