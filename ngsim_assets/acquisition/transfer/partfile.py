"""A file that is being downloaded: its bytes so far, and a record of which they are.

Belongs here: the folder of one download, who may write in it, what survives a kill and a power
cut. Does not belong here: requests, what the bytes should be.

    <folder>/body          bytes at their places, with holes
    <folder>/record.json   what they are of, and which of them are on the disk
    <folder>/lock          held by who writes

The record is written after the bytes that it speaks of are on the disk, and removed before other
bytes take their place: it may know less than the body holds, never more. One that cannot be read
is no record, and the download starts anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from ngsim_assets.acquisition.errors import AlreadyUnderWay
from ngsim_assets.acquisition.transfer.ranges import Ranges
from ngsim_assets.acquisition.transfer.threads import ended, in_thread, started
from ngsim_assets.storage.atomic import sync_folder, write_atomically
from ngsim_assets.storage.errors import DiskFull, writing
from ngsim_assets.storage.locks import held

FORMAT = 1

LASTING = 1 << 20
"""Bytes from which it is worth something that a part survives a kill when it is complete, and a
power cut before: what comes in a moment can come again."""

_LOCK = "lock"

_BATCH = 1 << 20
"""Bytes that are written at once: a thread costs as much as writing 50 kB."""

_BATCH_SECONDS = 1.0
_SAVE_BYTES = 64 << 20
_SAVE_SECONDS = 2.0
_BLOCKS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Origin:
    """What the bytes of a part are of, as the response said that began it.

    Attributes:
        url: that was asked for. final_url: that answered. total: bytes of the whole, None if not
            known. validator: strong ETag, or a date that tells contents apart; empty: none.
        headers: of the response, names in lower case.
    """

    url: str
    final_url: str
    total: int | None = None
    validator: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class PartFile:
    """The part in `folder`, for one writer at a time: a context manager.

    Entering raises AlreadyUnderWay where somebody else is writing, DiskFull or ReadOnlyLake where
    nobody can.

    Attributes:
        origin: what it is of, None if nothing has begun. done: bytes that are in the body.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.body = folder / "body"
        self.origin: Origin | None = None
        self.done = Ranges()
        self._record = folder / "record.json"
        self._lock: int | None = None
        self._descriptor: int | None = None
        self._recorded: tuple[Origin | None, Ranges] = (None, Ranges())
        self._saved_at = 0.0
        self._saving: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        with writing(self.folder):
            self._lock = _locked(self.folder)
            try:
                self._descriptor = os.open(self.body, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
                self.origin, self.done = self._read()
                # what came after the record was written is of no use, and not in the way
                os.ftruncate(self._descriptor, self.done.end)
            except BaseException:
                self.__exit__(None, None, None)
                raise
        self._recorded = (self.origin, self.done)
        self._saved_at = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for descriptor in (self._descriptor, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._lock = None

    @property
    def is_held(self) -> bool:
        """Whether this process writes it now."""
        return self._lock is not None

    @property
    def descriptor(self) -> int:
        """Of the body, while it is held."""
        assert self._descriptor is not None, "a part is written inside its context"  # noqa: S101
        return self._descriptor

    @property
    def is_complete(self) -> bool:
        """Whether every byte is there."""
        total = None if self.origin is None else self.origin.total
        return total is not None and self.done == Ranges.of([(0, total)])

    def require_room(self, total: int) -> None:
        """DiskFull unless the disk has room for what is missing of `total` bytes."""
        if shutil.disk_usage(self.folder).free < total - self.done.bytes:
            raise DiskFull(self.body)

    async def begin(self, origin: Origin) -> None:
        """Forget what is there, and have the bytes of `origin` from now on."""
        await self._settled()
        with writing(self.body):
            if self._record.exists():
                # on the disk before any byte of the body changes
                self._record.unlink()
                await in_thread(sync_folder, self.folder)
            # giving back a large file's blocks takes a while
            await in_thread(os.ftruncate, self.descriptor, 0)
        self.origin = origin
        self.done = Ranges()
        self._recorded = (None, Ranges())
        self._saved_at = time.monotonic()

    async def forget(self) -> None:
        """What is there is of no use: the next attempt starts anew."""
        if self.origin is not None:
            await self.begin(self.origin)
            self.origin = None

    def know(self, total: int) -> None:
        """The whole has `total` bytes, which nobody knew when it began."""
        assert self.origin is not None  # noqa: S101
        self.origin = replace(self.origin, total=total)

    def writer(self, at: int) -> Writer:
        """Writes from `at` on."""
        return Writer(self, at)

    def written(self, start: int, stop: int) -> None:
        """Bytes that a writer has put into the body; now and then the record is told of them."""
        self.done = self.done.joined(start, stop)
        if self._saving is not None:
            if not self._saving.done():
                return
            self._saving.result()
        new = self.done.bytes - self._recorded[1].bytes
        if new >= _SAVE_BYTES or (new and time.monotonic() - self._saved_at >= _SAVE_SECONDS):
            self._saving = asyncio.create_task(self._save())

    async def save(self) -> None:
        """Put what is there on the disk, and the record of it."""
        await self._settled()
        await self._save()

    async def finish(self) -> None:
        """Put the whole on the disk; of a small one that came at once there is no record.

        Whoever takes it away does so in a moment. Writing the record would take longer than
        having the file come again, should that moment be the last.
        """
        await self._settled()
        if self.done.bytes < LASTING and self._recorded == (None, Ranges()):
            await in_thread(self._sync_body)
        else:
            await self._save()

    async def _settled(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            await ended(saving)

    async def _save(self) -> None:
        state = (self.origin, self.done)
        self._saved_at = time.monotonic()
        if self.origin is not None and state != self._recorded:
            await in_thread(self._write_record, self.origin, self.done)
            self._recorded = state

    def _sync_body(self) -> None:
        with writing(self.body):
            os.fdatasync(self.descriptor)

    def _write_record(self, origin: Origin, done: Ranges) -> None:
        self._sync_body()
        with writing(self.body):
            if not self._record.exists():
                sync_folder(self.folder.parent)
        record = {"format": FORMAT, **asdict(origin), "done": done.intervals}
        write_atomically(self._record, json.dumps(record, indent=1))

    def _read(self) -> tuple[Origin | None, Ranges]:
        """What the record says, nothing where it cannot be true."""
        try:
            origin, done = _parsed(self._record.read_bytes())
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None, Ranges()
        size = os.fstat(self.descriptor).st_size
        end = size if origin.total is None else min(size, origin.total)
        return (origin, done) if done.end <= end else (None, Ranges())

    def remove(self) -> None:
        """Delete the folder; only what was moved out of it is kept."""
        with writing(self.folder):
            # the lock goes last, and the folder only while it is empty: whoever waits for the lock
            # finds that it has no name any more, and may have put another in its place
            for path in self.folder.iterdir():
                if path.name != _LOCK:
                    path.unlink(missing_ok=True)
            (self.folder / _LOCK).unlink(missing_ok=True)
            with suppress(OSError):
                self.folder.rmdir()


class Writer:
    """Puts blocks into the body of a part, one after another, while the next ones come.

    To be closed however writing ends: a thread may be at it.
    """

    def __init__(self, part: PartFile, at: int) -> None:
        self._part = part
        self._at = at
        self._blocks: list[bytes] = []
        self._size = 0
        self._since = 0.0
        self._pending: asyncio.Future[int] | None = None

    async def write(self, block: bytes) -> None:
        """Take `block`; waits only where the disk is slower than the network."""
        if not self._blocks:
            self._since = time.monotonic()
        self._blocks.append(block)
        self._size += len(block)
        if self._size >= _BATCH or time.monotonic() - self._since >= _BATCH_SECONDS:
            await self._hand_over()

    async def close(self) -> None:
        """Write what was taken."""
        await self._hand_over()
        await self._finish()

    async def _hand_over(self) -> None:
        await self._finish()
        if self._blocks:
            blocks, self._blocks, self._size = self._blocks, [], 0
            self._pending = started(self._write, blocks)

    async def _finish(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                size = await ended(pending)
            except asyncio.CancelledError:
                if not pending.cancelled() and pending.exception() is None:
                    self._note(pending.result())
                raise
            self._note(size)

    def _note(self, size: int) -> None:
        self._part.written(self._at, self._at + size)
        self._at += size

    def _write(self, blocks: Sequence[bytes]) -> int:
        with writing(self._part.body):
            return _write_at(self._part.descriptor, blocks, self._at)


def _write_at(descriptor: int, blocks: Sequence[bytes], at: int) -> int:
    """Write `blocks` at `at`; how many bytes they were."""
    if len(blocks) > _BLOCKS_AT_ONCE:
        blocks = [b"".join(blocks)]
    size = sum(len(block) for block in blocks)
    written = os.pwritev(descriptor, blocks, at)
    if written < size:  # a disk that is nearly full takes some
        rest = memoryview(b"".join(blocks))[written:]
        while rest:
            some = os.pwrite(descriptor, rest, at + size - len(rest))
            rest = rest[some:]
    return size


def _locked(folder: Path) -> int:
    """The lock of `folder`, held until it is closed; AlreadyUnderWay says by whom it is held."""
    path = folder / _LOCK
    lock = held(path)
    if lock is None:
        holder = ""
        with suppress(OSError):  # gone since
            holder = path.read_text(errors="replace")[:200]
        raise AlreadyUnderWay(folder, holder)
    os.ftruncate(lock, 0)
    since = datetime.now(UTC).isoformat(" ", "seconds")
    os.pwrite(lock, f"process {os.getpid()}, since {since}".encode(), 0)
    return lock


def _parsed(content: bytes) -> tuple[Origin, Ranges]:
    """A record; ValueError, TypeError, KeyError or AttributeError if it is none."""
    record = json.loads(content)
    if record["format"] != FORMAT:
        raise ValueError(record["format"])
    total = record["total"]
    origin = Origin(
        url=str(record["url"]),
        final_url=str(record["final_url"]),
        total=None if total is None else int(total),
        validator=str(record["validator"]),
        headers={str(name): str(value) for name, value in record["headers"].items()},
    )
    return origin, Ranges.of([(int(start), int(stop)) for start, stop in record["done"]])
