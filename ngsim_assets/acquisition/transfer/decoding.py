"""Small bodies, unpacked within bounds.

Belongs here: gzip and deflate of whole bodies. Does not belong here: files, which are asked for
as they are.
"""

from __future__ import annotations

import zlib

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
        BodyTooLong: more than `most` bytes, as sent or decoded; no more than that is ever held.
        UnreadableEncoding: another encoding than gzip and deflate, or not what it says it is.
        BodyCutShort: the encoded data ends before it is complete.
    """
    encoding = responses.content_encoding(reply.headers)
    if encoding not in {"", "gzip", "x-gzip", "deflate"}:
        raise UnreadableEncoding(reply.url, encoding)
    if (reply.length or 0) > most:
        raise BodyTooLong(reply.url, most, _SMALLER)
    body = bytearray()
    unpack = _Unpacker(reply, encoding, most) if encoding else None
    async for block in reply.blocks():
        if reply.received > most:
            raise BodyTooLong(reply.url, most, _SMALLER)
        if unpack is None:
            body += block
        else:
            unpack.feed(block, body)
    if unpack is not None and not unpack.complete:
        raise BodyCutShort(reply.url, reply.received, reply.length, f"its {encoding} has no end")
    return bytes(body)


class _Unpacker:
    """Unpacks as bytes come: gzip of one or more members, deflate with or without zlib's frame."""

    def __init__(self, reply: Reply, encoding: str, most: int) -> None:
        self._url = reply.url
        self._encoding = encoding
        self._most = most
        self._inner = zlib.decompressobj(31) if "gzip" in encoding else None
        self._begun = False

    @property
    def complete(self) -> bool:
        """Whether the data has come to an end; none at all is an empty body."""
        return not self._begun or (self._inner is not None and self._inner.eof)

    def feed(self, data: bytes, into: bytearray) -> None:
        """Append what `data` unpacks to."""
        while data:
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
                into += self._inner.decompress(data, min(_STEP, self._most - len(into) + 1))
            except zlib.error:
                raise UnreadableEncoding(self._url, self._encoding, "it is damaged") from None
            if len(into) > self._most:
                raise BodyTooLong(self._url, self._most, _SMALLER)
            data = self._inner.unconsumed_tail or self._inner.unused_data
