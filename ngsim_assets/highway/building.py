"""One writer of a recording at a time, whichever process it works in.

Belongs here: what is locked. Does not belong here: the lock (storage/locks.py), what is written
under it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.stages import Platform
from ngsim_assets.storage import locks


@contextmanager
def alone(platform: Platform, key: PartitionKey) -> Iterator[None]:
    """Wait until nobody else writes a table of the recording, and keep others waiting.

    Held by a stage from the moment it looks at its input until its output is live, and by a
    rollback from its first table to its last: otherwise a stage that began before its input was
    replaced could put its output in place of one that was made of the new input. Not reentrant.
    """
    with locks.alone(platform.lake.root, f"{key.highway_id}_{key.recording}"):
        yield
