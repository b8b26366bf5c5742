"""The SHA-256 of a file while it grows.

Belongs here: hashing what lies on disk, behind those who write it. Does not belong here: who
writes, what the hash should be.

Bytes are read back, from the memory of the operating system as a rule. So it does not matter in
which order they came, through how many connections, in which process; and the network does not
wait for the hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from ngsim_assets.acquisition.errors import PartDisturbed
from ngsim_assets.acquisition.transfer.threads import in_thread, settled

_BUFFER = 1 << 20
_TURN = 32 << 20
"""Bytes after which a thread is given back, so that others get their turn."""


class FollowingHash:
    """The hash of the first bytes of the file at `path`, open as `descriptor`: as far as told.

    Raises PartDisturbed from `hexdigest` where somebody else has made the file shorter.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self._at = 0
        self._reach = 0
        self._given_up = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_level(self) -> bool:
        """Whether all bytes that were reached are in the hash."""
        return self._at >= self._reach

    def reach(self, prefix: int) -> None:
        """The first `prefix` bytes are there now, and will not change."""
        self._reach = max(self._reach, prefix)
        if self._at < self._reach and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._follow())

    async def hexdigest(self) -> str:
        """The hash of all bytes that were reached."""
        while self._at < self._reach:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._follow())
            await asyncio.shield(self._task)
        return self._hash.hexdigest()

    async def close(self) -> None:
        """Let go of the file; to be awaited before it is closed."""
        self._given_up = True
        if self._task is not None:
            await settled([self._task])

    async def _follow(self) -> None:
        while self._at < self._reach and not self._given_up:
            await in_thread(self._read_on, min(self._reach, self._at + _TURN))

    def _read_on(self, stop: int) -> None:
        buffer = memoryview(bytearray(min(_BUFFER, stop - self._at)))
        while self._at < stop and not self._given_up:
            view = buffer[: stop - self._at]
            read = os.preadv(self._descriptor, [view], self._at)
            if read == 0:
                raise PartDisturbed(self._path, stop, self._at)
            self._hash.update(view[:read])
            self._at += read
