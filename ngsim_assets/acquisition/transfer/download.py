"""One file over HTTP, whole and checked, or a named failure with what came so far kept.

Belongs here: what is asked for, and what becomes of the answers. Does not belong here: requests
(client.py), whether an answer is right (answers.py), the file on disk (partfile.py), more
connections than one (segments.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.events import BytesReceived, Event
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.acquisition.transfer import responses
from ngsim_assets.acquisition.transfer.answers import (
    HEAD,
    Expected,
    end_of_part,
    is_same,
    origin_of,
)
from ngsim_assets.acquisition.transfer.decoding import unpacked
from ngsim_assets.acquisition.transfer.errors import (
    BodyCutShort,
    NotTheFile,
    NotWhatWasAsked,
    TransferError,
    UnexpectedStatus,
    UnreadableEncoding,
    WrongHash,
    WrongLength,
)
from ngsim_assets.acquisition.transfer.hashing import FollowingHash
from ngsim_assets.acquisition.transfer.partfile import PartFile
from ngsim_assets.acquisition.transfer.ranges import Work
from ngsim_assets.acquisition.transfer.segments import Segments, Trial
from ngsim_assets.acquisition.transfer.threads import ended
from ngsim_assets.storage.errors import StorageError

if TYPE_CHECKING:
    from ngsim_assets.acquisition.transfer.client import HttpClient
    from ngsim_assets.acquisition.transfer.limits import Deadline
    from ngsim_assets.acquisition.transfer.reply import Reply

Tell = Callable[[Event], Awaitable[None]]

_TELL_SECONDS = 0.2
_LEAST_PROGRESS = 16 << 10
"""Bytes that an attempt has to bring for another one to be worth it however many there were."""

_DOUBTED = (NotTheFile, UnreadableEncoding, WrongHash, WrongLength)
"""Failures that are bad luck on the way once; the second time another attempt ends the same."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that came whole and is on the disk.

    Attributes:
        path: of the body of the part. size, sha256: of it. url: it came from, after redirects,
            without secrets. headers: names in lower case, without cookies. requests: that it took.
        resumed_from: bytes that were there before the first of them.
    """

    path: Path
    size: int
    sha256: str
    url: str
    headers: dict[str, str]
    requests: int
    resumed_from: int


async def _nobody(event: Event) -> None:
    """Tell nobody."""


async def download(
    client: HttpClient,
    resource: Resource,
    url: str,
    part: PartFile,
    *,
    name: str,
    deadline: Deadline,
    expected: Expected | None = None,
    segments: int = 4,
    trial: Trial | None = None,
    tell: Tell = _nobody,
) -> Downloaded:
    """Bring `url` into `part`, going on with what an earlier process left there.

    `part` is held while this runs; a caller that wants to take the body away before anybody else
    may write to it holds it already. Cancelled or failed, it keeps what a later call can use.

    Args:
        name: of the file, for people. segments: connections at most; it begins with one.
        tell: is told of BytesReceived, a few times a second at most, and when all are there.

    Raises:
        TransferError: the file could not be had. AlreadyUnderWay: somebody else is at it.
        DiskFull, ReadOnlyLake, PartDisturbed: the disk is in the way.
    """

    async def told(done: int, total: int | None) -> None:
        await tell(BytesReceived(resource, name, done, total))

    with nullcontext() if part.is_held else part:
        under_way = _Download(
            client, url, part, expected or Expected(), segments, trial or Trial(), told
        )
        try:
            return await client.retrying(
                resource, deadline, under_way.attempt, progressed=under_way.has_progressed
            )
        finally:
            await under_way.close()


class _Download:
    def __init__(
        self,
        client: HttpClient,
        url: str,
        part: PartFile,
        expected: Expected,
        most: int,
        trial: Trial,
        told: Callable[[int, int | None], Awaitable[None]],
    ) -> None:
        self._client = client
        self._url = url
        self._shown = responses.redacted(url)
        self._part = part
        self._expected = expected
        self._most = most
        self._trial = trial
        self._tell = told
        self._hash = FollowingHash(part.body, part.descriptor)
        self._segments: Segments | None = None
        self._seen: set[type[TransferError]] = set()
        self._spoilt = False
        self._requests = 0
        self._arrived = 0
        self._resumed_from = part.done.bytes
        self._best = part.done.bytes
        self._told_at = 0.0

    # attempts --------------------------------------------------------------------------------

    async def attempt(self) -> Downloaded:
        """All that is missing, over as many connections as help."""
        self._spoilt = False
        self._arrived = 0
        segments = self._segments = Segments(
            self._bring,
            done=lambda: self._part.done,
            arrived=lambda: self._arrived,
            is_spoilt=lambda: self._spoilt,
            most=self._most,
            trial=self._trial,
        )
        try:
            if not self._is_ours():
                await self._forget()
            self._hash.reach(self._part.done.prefix)
            await segments.run(self._begin)
            return await self._completed()
        except BaseException as error:
            if isinstance(error, _DOUBTED):
                error.transient = type(error) not in self._seen
                self._seen.add(type(error))
            if self._spoilt:
                # servers behind one name may name one content differently: one of them is enough
                self._most = 1
            # what fails here must not hide why it ended
            with suppress(StorageError):
                await (self._forget() if self._spoilt else self._part.save())
            raise

    def has_progressed(self) -> bool:
        """Whether more is there than ever before; what was lost and came again is no progress."""
        done = self._part.done.bytes
        if done < self._best + _LEAST_PROGRESS:
            return False
        self._best = done
        return True

    async def close(self) -> None:
        """Let go of the part."""
        await self._hash.close()

    def _is_ours(self) -> bool:
        """Whether what is there may be of what is asked for."""
        origin = self._part.origin
        if origin is None or origin.url != self._shown or not origin.validator:
            return False
        return self._expected.size is None or origin.total in (None, self._expected.size)

    async def _forget(self) -> None:
        await self._hash.close()
        await self._part.forget()
        self._hash = FollowingHash(self._part.body, self._part.descriptor)
        self._resumed_from = 0

    # requests and answers --------------------------------------------------------------------

    async def _begin(self) -> None:
        """The first connection: goes on with what is there, or begins."""
        work = self._rest()
        async with self._client.request(self._url, headers=self._headers(work)) as reply:
            self._requests += 1
            if reply.status == 200:
                await self._begin_anew(reply)
            elif work is None:
                raise UnexpectedStatus(self._url, reply.status)
            elif reply.status == 416:
                self._require_nothing_left(reply)
            else:
                await self._go_on(reply, work)

    async def _bring(self, work: Work) -> None:
        """`work`, which no connection that is busy has time for."""
        asked = Work(work.at, work.stop)  # of which another one may take the end meanwhile
        async with self._client.request(self._url, headers=self._headers(work)) as reply:
            self._requests += 1
            origin = self._part.origin
            if reply.status == 200 and origin is not None and is_same(origin, reply):
                raise NotWhatWasAsked(self._url, "all of it came where a part was asked for")
            await self._receive(reply.blocks(), work, self._end_of_part(reply, asked))

    def _rest(self) -> Work | None:
        """What is asked for first; None: all of it."""
        part, origin = self._part, self._part.origin
        if origin is None or not part.done.bytes:
            return None
        if origin.total is None:
            return Work(part.done.end)
        gaps = part.done.missing(origin.total).intervals
        # a file that is there asks for its last byte: that tells whether it is still the server's
        return Work(*gaps[0]) if gaps else Work(origin.total - 1, origin.total)

    def _headers(self, work: Work | None) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if work is not None and self._part.origin is not None:
            last = "" if work.stop is None else work.stop - 1
            headers["Range"] = f"bytes={work.at}-{last}"
            headers["If-Range"] = self._part.origin.validator
        return headers

    async def _begin_anew(self, reply: Reply) -> None:
        """A whole file comes, whatever was there before; what is none leaves that alone."""
        self._expected.require_head(reply)
        origin = origin_of(self._shown, reply)
        is_packed = bool(responses.content_encoding(reply.headers))
        blocks = unpacked(reply) if is_packed else reply.blocks()
        start = b""
        while len(start) < HEAD and (block := await anext(blocks, None)) is not None:
            start += block
        self._expected.require_start(reply, start)
        await self._forget()
        await self._part.begin(origin)
        self._part.require_room(origin.total or self._expected.size or 0)
        work = Work(0, origin.total)
        if origin.validator and responses.accepts_ranges(reply.headers) is not False:
            self._share(work)
        async with aclosing(_after(start, blocks)) as body:
            await self._receive(body, work, origin.total)

    async def _go_on(self, reply: Reply, work: Work) -> None:
        stop = self._end_of_part(reply, work)
        if self._part.is_complete:
            return
        if self._total is None:
            work.stop = stop
            self._part.know(stop)
        self._part.require_room(self._total or stop)
        self._share(work)
        await self._receive(reply.blocks(), work, stop)

    def _end_of_part(self, reply: Reply, work: Work) -> int:
        assert self._part.origin is not None  # noqa: S101
        try:
            return end_of_part(self._part.origin, reply, work)
        except TransferError:
            self._spoilt = True
            raise

    def _require_nothing_left(self, reply: Reply) -> None:
        """Nothing comes after what is there: that is all of it, or it is of another file."""
        total, done = responses.whole_length(reply.headers), self._part.done
        if total is None or not total == done.bytes == done.prefix:
            self._spoilt = True
            raise NotWhatWasAsked(self._url, "the file is shorter than what is there of it")
        self._part.know(total)

    def _share(self, work: Work) -> None:
        if self._segments is not None and self._total is not None:
            self._segments.share(self._total, work)

    @property
    def _total(self) -> int | None:
        return None if self._part.origin is None else self._part.origin.total

    # bytes -----------------------------------------------------------------------------------

    async def _receive(self, blocks: AsyncIterator[bytes], work: Work, stop: int | None) -> None:
        """Write what comes up to `stop`, or to where another connection has taken over."""
        part = self._part
        writer = part.writer(work.at)
        try:
            async for block in blocks:
                some = block if work.stop is None else block[: work.stop - work.at]
                await writer.write(some)
                work.at += len(some)
                self._arrived += len(some)
                self._hash.reach(part.done.prefix)
                await self._tell_now_and_then()
                if work.stop is None:
                    self._require_length(work.at, whole=False)
                elif work.at >= work.stop:
                    break
        finally:
            await writer.close()
            self._hash.reach(part.done.prefix)
        if stop is None:
            self._require_length(work.at, whole=True)
            part.know(work.at)
        elif work.at < stop and not (work.stop is not None and work.at >= work.stop):
            raise BodyCutShort(self._url, work.at - work.start, stop - work.start)

    def _require_length(self, received: int, *, whole: bool) -> None:
        try:
            self._expected.require_length(self._url, received, whole=whole)
        except TransferError:
            self._spoilt = True
            raise

    async def _tell_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            total = self._expected.size if self._total is None else self._total
            await self._tell(self._part.done.bytes, total)

    async def _completed(self) -> Downloaded:
        """The file, if it is what it should be; on the disk."""
        part, origin = self._part, self._part.origin
        if origin is None or not part.is_complete:
            raise BodyCutShort(self._url, part.done.bytes, self._total)
        saving = asyncio.create_task(part.finish())
        try:
            digest = await self._hash.hexdigest()
        finally:
            await ended(saving)
        if not digest.startswith(self._expected.sha256.lower()):
            self._spoilt = True
            raise WrongHash(self._url, digest, self._expected.sha256)
        await self._tell(part.done.bytes, part.done.bytes)
        return Downloaded(
            path=part.body,
            size=part.done.bytes,
            sha256=digest,
            url=origin.final_url,
            headers=dict(origin.headers),
            requests=self._requests,
            resumed_from=self._resumed_from,
        )


async def _after(start: bytes, blocks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """`start`, and what comes after it."""
    if start:
        yield start
    async for block in blocks:
        yield block
