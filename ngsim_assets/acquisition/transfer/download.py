"""One file over HTTP, whole and checked, or a named failure with what came so far kept.

Belongs here: what is asked for, and whether an answer goes on with what is there. Does not belong
here: requests (client.py), the file on disk (partfile.py), more connections than one
(segments.py).
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
from ngsim_assets.acquisition.transfer.decoding import unpacked
from ngsim_assets.acquisition.transfer.errors import (
    BodyCutShort,
    BodyTooLong,
    ChangedMeanwhile,
    NotTheFile,
    NotWhatWasAsked,
    TransferError,
    UnexpectedStatus,
    UnreadableEncoding,
    WrongHash,
    WrongLength,
)
from ngsim_assets.acquisition.transfer.hashing import FollowingHash
from ngsim_assets.acquisition.transfer.partfile import Origin, PartFile
from ngsim_assets.acquisition.transfer.ranges import Work
from ngsim_assets.acquisition.transfer.segments import Segments, Trial
from ngsim_assets.acquisition.transfer.threads import ended
from ngsim_assets.storage.errors import StorageError

if TYPE_CHECKING:
    from ngsim_assets.acquisition.transfer.client import HttpClient
    from ngsim_assets.acquisition.transfer.limits import Deadline
    from ngsim_assets.acquisition.transfer.reply import Reply

_PAGES = {"text/html", "application/xhtml+xml"}
_MESSAGES = {"application/json", "application/xml", "application/problem+json", "text/xml"}
"""Kinds of answers that say something about a file, where a file of another kind was asked for."""

_HEAD = 512
"""Bytes that tell a page for people from a file."""

_TELL_SECONDS = 0.2
_LEAST_PROGRESS = 16 << 10
"""Bytes that an attempt has to bring for another one to be worth it however many there were."""

_DOUBTED = (NotTheFile, UnreadableEncoding, WrongHash, WrongLength)
_NOT_KEPT = {"set-cookie", "set-cookie2"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a file before it comes.

    Attributes:
        size: bytes, None if not known. sha256: hex, or the first digits of it; empty if not known.
        kinds: media types it may have, empty: any but a web page. A server that calls a file
            `application/octet-stream` or nothing is believed. max_bytes: over which a body counts
            as endless.
    """

    size: int | None = None
    sha256: str = ""
    kinds: tuple[str, ...] = ()
    max_bytes: int = 64 << 30


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
    tell: Callable[[Event], Awaitable[None]] = _nobody,
) -> Downloaded:
    """Bring `url` into `part`, going on with what an earlier process left there.

    `part` is held while this runs; a caller that wants to take the body away before anybody else
    may write to it holds it already. Cancelled or failed, it keeps what a later call can use.

    Args:
        name: of the file, for people. segments: connections at most; one is what it begins with.

    Raises:
        TransferError: the file could not be had. AlreadyUnderWay: somebody else is at it.
        DiskFull, ReadOnlyLake, PartDisturbed: the disk is in the way.
    """
    with nullcontext() if part.is_held else part:
        under_way = _Download(
            client,
            resource,
            url,
            part,
            name,
            expected or Expected(),
            segments,
            trial or Trial(),
            tell,
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
        resource: Resource,
        url: str,
        part: PartFile,
        name: str,
        expected: Expected,
        segments: int,
        trial: Trial,
        tell: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._client = client
        self._resource = resource
        self._url = url
        self._shown = responses.redacted(url)
        self._part = part
        self._name = name
        self._expected = expected
        self._most = segments
        self._trial = trial
        self._tell = tell
        self._hash = FollowingHash(part.body, part.descriptor)
        self._segments: Segments | None = None
        self._seen: set[type[TransferError]] = set()
        self._spoilt = False
        self._requests = 0
        self._arrived = 0
        self._resumed_from = part.done.bytes
        self._best = part.done.bytes
        self._told = 0.0

    # attempts --------------------------------------------------------------------------------

    async def attempt(self) -> Downloaded:
        """All that is missing, over as many connections as help; transient failures go on later."""
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
            if isinstance(error, TransferError):
                self._doubt(error)
            if self._spoilt:
                # servers of one name that differ in what they say are only found by asking twice
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

    def _useless(self, error: TransferError) -> TransferError:
        """What was written is not of this file, or no longer: `error`, and all is begun anew."""
        self._spoilt = True
        return error

    def _doubt(self, error: TransferError) -> None:
        """Bad luck on the way the first time; the second time the next one would be the same."""
        if isinstance(error, _DOUBTED):
            error.transient = type(error) not in self._seen
            self._seen.add(type(error))

    # requests --------------------------------------------------------------------------------

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
                self._require_complete(reply)
            else:
                stop = self._end_of_part(reply, work)
                if not self._part.is_complete:
                    await self._go_on(reply, work, stop)

    async def _bring(self, work: Work) -> None:
        """`work`, which the first connection or another one has no time for."""
        async with self._client.request(self._url, headers=self._headers(work)) as reply:
            self._requests += 1
            if reply.status == 200 and self._is_same(reply):
                raise NotWhatWasAsked(self._url, "all of it came where a part was asked for")
            stop = self._end_of_part(reply, work)
            await self._receive(reply.blocks(), work, stop)

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

    # answers ---------------------------------------------------------------------------------

    async def _begin_anew(self, reply: Reply) -> None:
        """A whole file comes, whatever was there before; what is none leaves that alone."""
        size, encoding = self._expected.size, responses.content_encoding(reply.headers)
        self._require_kind(reply)
        length = None if encoding else reply.length
        if length is not None:
            self._require_length(length)
        blocks = unpacked(reply) if encoding else reply.blocks()
        head = b""
        while len(head) < _HEAD and (block := await anext(blocks, None)) is not None:
            head += block
        if responses.looks_like_html(head) and not _PAGES & set(self._expected.kinds):
            raise NotTheFile(reply.url, "an HTML page")
        if not head and size != 0:
            raise NotTheFile(reply.url, "an empty body")
        await self._forget()
        headers = {name.lower(): value for name, value in reply.headers.items()}
        origin = Origin(
            url=self._shown,
            final_url=reply.shown_url,
            total=length,
            validator="" if encoding else responses.resumable_by(reply.headers) or "",
            headers={name: text for name, text in headers.items() if name not in _NOT_KEPT},
        )
        await self._part.begin(origin)
        self._part.require_room(length or size or 0)
        work = Work(0, length)
        if length and origin.validator and responses.accepts_ranges(reply.headers) is not False:
            self._share(work)
        async with aclosing(_after(head, blocks)) as body:
            await self._receive(body, work, length)

    async def _go_on(self, reply: Reply, work: Work, stop: int) -> None:
        total = self._total
        if total is None:
            work.stop = total = stop
            self._part.know(total)
        self._part.require_room(total)
        self._share(work)
        await self._receive(reply.blocks(), work, stop)

    def _share(self, work: Work) -> None:
        assert self._segments is not None  # noqa: S101
        assert self._total is not None  # noqa: S101
        self._segments.share(self._total, work)

    @property
    def _total(self) -> int | None:
        return None if self._part.origin is None else self._part.origin.total

    def _end_of_part(self, reply: Reply, work: Work) -> int:
        """One past the last byte that `reply` brings of `work`; raises unless it goes on there."""
        said = responses.content_range(reply.headers)
        if not self._is_same(reply):
            before = "" if self._part.origin is None else self._part.origin.validator
            now = reply.headers.get("ETag") or reply.headers.get("Last-Modified") or "nothing"
            raise self._useless(ChangedMeanwhile(self._url, before, now))
        if said is None or reply.status != 206 or responses.content_encoding(reply.headers):
            raise self._useless(NotWhatWasAsked(self._url, "no part came where one was asked for"))
        total = said.total if self._total is None else self._total
        last = said.last if work.stop is None else work.stop - 1
        if (
            said.first != work.at
            or said.last > last
            or said.total != total
            or (work.stop is None and said.last + 1 != total)
            or reply.length not in (None, said.length)
        ):
            asked = f"{work.at}-{'' if work.stop is None else work.stop - 1}/{self._total or '*'}"
            came = reply.headers.get("Content-Range", "")
            raise self._useless(
                NotWhatWasAsked(self._url, f"{came!r} came where {asked} was asked for")
            )
        return said.last + 1

    def _is_same(self, reply: Reply) -> bool:
        """Whether `reply` is of the content that the part began with."""
        origin = self._part.origin
        if origin is None:
            return False
        tag = reply.headers.get("ETag", "").strip()
        if origin.validator.startswith('"'):
            return tag == origin.validator
        date = reply.headers.get("Last-Modified", "").strip()
        # a server that has matched the date need not repeat it
        return tag in ("", origin.headers.get("etag", "")) and date in ("", origin.validator)

    def _require_complete(self, reply: Reply) -> None:
        """Nothing comes after what is there: that is all of it, or it is of another file."""
        total = responses.whole_length(reply.headers)
        done = self._part.done
        if total is None or total != done.bytes or total != done.prefix:
            raise self._useless(
                NotWhatWasAsked(self._url, "the file is shorter than what is there")
            )
        self._part.know(total)

    def _require_kind(self, reply: Reply) -> None:
        kind, kinds = responses.content_kind(reply.headers), self._expected.kinds
        if kind in kinds:
            return
        if kind in _PAGES or (kinds and kind in _MESSAGES):
            raise NotTheFile(reply.url, kind, " or ".join(kinds) or "a file")

    def _require_length(self, length: int) -> None:
        size, most = self._expected.size, self._expected.max_bytes
        if size is not None and length != size:
            raise WrongLength(self._url, length, size)
        if length > most:
            raise BodyTooLong(self._url, most)

    # bytes -----------------------------------------------------------------------------------

    async def _receive(self, blocks: AsyncIterator[bytes], work: Work, stop: int | None) -> None:
        """Write what comes, to `stop` or where another connection has taken over."""
        part = self._part
        writer = part.writer(work.at)
        try:
            async for block in blocks:
                end = work.at + len(block) if work.stop is None else work.stop
                wanted = block if work.at + len(block) <= end else block[: end - work.at]
                await writer.write(wanted)
                work.at += len(wanted)
                self._arrived += len(wanted)
                self._hash.reach(part.done.prefix)
                await self._tell_progress()
                if work.stop is None:
                    self._require_bounds(work.at)
                elif work.at >= work.stop:
                    break
        finally:
            await writer.close()
            self._hash.reach(part.done.prefix)
        if stop is None:
            self._require_length_at_end(work.at)
            part.know(work.at)
        elif work.at < min(stop, stop if work.stop is None else work.stop):
            raise BodyCutShort(self._url, work.at - work.start, stop - work.start)

    def _require_bounds(self, received: int) -> None:
        size, most = self._expected.size, self._expected.max_bytes
        if size is not None and received > size:
            raise self._useless(WrongLength(self._url, received, size))
        if received > most:
            raise self._useless(BodyTooLong(self._url, most))

    def _require_length_at_end(self, received: int) -> None:
        size = self._expected.size
        if size is not None and received != size:
            raise self._useless(WrongLength(self._url, received, size))

    async def _tell_progress(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self._told >= _TELL_SECONDS:
            self._told = now
            total = self._expected.size if self._total is None else self._total
            done = self._part.done.bytes
            await self._tell(BytesReceived(self._resource, self._name, done, total))

    async def _completed(self) -> Downloaded:
        """The file, if it is what it should be; on the disk."""
        part, origin = self._part, self._part.origin
        if origin is None or not part.is_complete:
            raise BodyCutShort(self._url, part.done.bytes, self._total)
        saving = asyncio.create_task(part.save())
        try:
            digest = await self._hash.hexdigest()
        finally:
            await ended(saving)
        if not digest.startswith(self._expected.sha256.lower()):
            raise self._useless(WrongHash(self._url, digest, self._expected.sha256))
        await self._tell_progress(last=True)
        return Downloaded(
            path=part.body,
            size=part.done.bytes,
            sha256=digest,
            url=origin.final_url,
            headers=dict(origin.headers),
            requests=self._requests,
            resumed_from=self._resumed_from,
        )


async def _after(head: bytes, blocks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """`head`, and what comes after it."""
    if head:
        yield head
    async for block in blocks:
        yield block
