"""Whether an answer is the file that was asked for, or goes on with what is there of it.

Belongs here: judging the head of an answer and its first bytes. Does not belong here: what is
done then (download.py), how headers are read (responses.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.transfer import responses
from ngsim_assets.acquisition.transfer.errors import (
    BodyTooLong,
    ChangedMeanwhile,
    NotTheFile,
    NotWhatWasAsked,
    WrongLength,
)
from ngsim_assets.acquisition.transfer.partfile import Origin
from ngsim_assets.acquisition.transfer.ranges import Work

if TYPE_CHECKING:
    from ngsim_assets.acquisition.transfer.reply import Reply

HEAD = 512
"""Bytes that tell a page for people from a file."""

_PAGES = {"text/html", "application/xhtml+xml"}
_MESSAGES = {"application/json", "application/problem+json", "application/xml", "text/xml"}
"""Kinds of answers that say something about a file, where a file of another kind was asked for."""

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

    def require_length(self, url: str, received: int, *, whole: bool) -> None:
        """WrongLength or BodyTooLong where a body of `received` bytes, or more, is not it."""
        if self.size is not None and (received > self.size or (whole and received < self.size)):
            raise WrongLength(url, received, self.size)
        if received > self.max_bytes:
            raise BodyTooLong(url, self.max_bytes)

    def require_head(self, reply: Reply) -> None:
        """Raise unless the head of `reply` may be that of the file."""
        kind = responses.content_kind(reply.headers)
        if kind not in self.kinds and (kind in _PAGES or (self.kinds and kind in _MESSAGES)):
            raise NotTheFile(reply.url, kind, " or ".join(self.kinds) or "a file")
        if reply.length is not None and not responses.content_encoding(reply.headers):
            self.require_length(reply.url, reply.length, whole=True)

    def require_start(self, reply: Reply, start: bytes) -> None:
        """NotTheFile where the body begins with `start`, all of it or `HEAD` bytes, and is none."""
        if responses.looks_like_html(start) and not _PAGES & set(self.kinds):
            raise NotTheFile(reply.url, "an HTML page")
        if not start and self.size != 0:
            raise NotTheFile(reply.url, "an empty body")


def origin_of(url: str, reply: Reply) -> Origin:
    """What a part is of that begins with `reply`, which came for `url`."""
    encoding = responses.content_encoding(reply.headers)
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return Origin(
        url=url,
        final_url=reply.shown_url,
        total=None if encoding else reply.length,
        # what was unpacked on the way has other offsets than what the server would go on with
        validator="" if encoding else responses.resumable_by(reply.headers) or "",
        headers={name: value for name, value in headers.items() if name not in _NOT_KEPT},
    )


def is_same(origin: Origin, reply: Reply) -> bool:
    """Whether `reply` is of the content that the part of `origin` began with."""
    tag = reply.headers.get("ETag", "").strip()
    if origin.validator.startswith('"'):
        return tag == origin.validator
    date = reply.headers.get("Last-Modified", "").strip()
    # a server that has matched the date need not repeat it
    return tag in ("", origin.headers.get("etag", "")) and date in ("", origin.validator)


def end_of_part(origin: Origin, reply: Reply, work: Work) -> int:
    """One past the last byte that `reply` brings of `work`.

    Raises:
        ChangedMeanwhile, NotWhatWasAsked: it does not go on with what is there.
    """
    if not is_same(origin, reply):
        now = reply.headers.get("ETag") or reply.headers.get("Last-Modified") or "no name at all"
        raise ChangedMeanwhile(reply.url, origin.validator, now)
    said = responses.content_range(reply.headers)
    if said is None or reply.status != 206 or responses.content_encoding(reply.headers):
        raise NotWhatWasAsked(reply.url, "no part came where one was asked for")
    total = said.total if origin.total is None else origin.total
    stop = total if work.stop is None else work.stop
    if (
        stop is None
        or said.total != total
        or said.first != work.at
        or said.last >= stop
        or (work.stop is None and said.last + 1 < stop)
        or reply.length not in (None, said.length)
    ):
        asked = f"bytes {work.at}-{'' if stop is None else stop - 1}/{total or '*'}"
        came = reply.headers.get("Content-Range", "")
        raise NotWhatWasAsked(reply.url, f"{came!r} came where {asked!r} was asked for")
    return said.last + 1
