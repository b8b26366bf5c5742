"""Bodies that come compressed, unpacked within bounds.

Belongs here: gzip and deflate. Does not belong here: who asks for them. Small bodies are asked for
compressed; files are not, but some servers and proxies compress them all the same.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

from ngsim_assets.acquisition.transfer import responses
from ngsim_assets.acquisition.transfer.errors import (
    BodyCutShort,
    BodyTooLong,
    UnreadableEncoding,
)
from ngsim_assets.acquisition.transfer.reply import Reply

_STEP = 2**20
_SMALLER = "ask for less at once, or allow more by the caller's `max_bytes`"


async def decoded(reply: Reply, most: int) -> bytes:
    """The body of `reply` without its encoding.

    Raises:
        BodyTooLong: more than `most` bytes, as sent or decoded; hardly more is ever held.
        UnreadableEncoding, BodyCutShort: see `unpacked`.
    """
    if (reply.length or 0) > most:
        raise BodyTooLong(reply.url, most, _SMALLER)
    body = bytearray()
    async for block in unpacked(reply):
        body += block
        if max(len(body), reply.received) > most:
            raise BodyTooLong(reply.url, most, _SMALLER)
    return bytes(body)


async def unpacked(reply: Reply) -> AsyncIterator[bytes]:
    """The body of `reply` as it comes, without its encoding, in blocks of a megabyte at most.

    Raises:
        UnreadableEncoding: another encoding than gzip and deflate, or not what it says it is.
        BodyCutShort: the encoded data ends before it is complete.
    """
    encoding = responses.content_encoding(reply.headers)
    if encoding not in {"", "gzip", "x-gzip", "deflate"}:
        raise UnreadableEncoding(reply.url, encoding)
    unpack = _Unpacker(reply.url, encoding) if encoding else None
    async for block in reply.blocks():
        if unpack is None:
            yield block
        else:
            for piece in unpack.pieces(block):
                yield piece
    if unpack is not None and not unpack.complete:
        raise BodyCutShort(reply.url, reply.received, reply.length, f"its {encoding} has no end")


class _Unpacker:
    """Unpacks as bytes come: gzip of one or more members, deflate with or without zlib's frame."""

    def __init__(self, url: str, encoding: str) -> None:
        self._url = url
        self._encoding = encoding
        self._inner = zlib.decompressobj(31) if "gzip" in encoding else None
        self._begun = False

    @property
    def complete(self) -> bool:
        """Whether the data has come to an end; none at all is an empty body."""
        return not self._begun or (self._inner is not None and self._inner.eof)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What `data` unpacks to."""
        more = False
        while data or more:
            if self._inner is None:
                # RFC 9110 means zlib's frame, some servers send the bare stream
                framed = data[0] & 15 == 8 and data[0] >> 4 < 8
                self._inner = zlib.decompressobj(15 if framed else -15)
            elif self._inner.eof:
                if "gzip" not in self._encoding or not data.strip(b"\0"):
                    return
                self._inner = zlib.decompressobj(31)
            self._begun = True
            try:
                piece = self._inner.decompress(data, _STEP)
            except zlib.error:
                raise UnreadableEncoding(self._url, self._encoding, "it is damaged") from None
            yield piece
            # a full piece may leave some of it inside, with all of the data taken
            more = len(piece) == _STEP and not self._inner.eof
            data = self._inner.unconsumed_tail or self._inner.unused_data
