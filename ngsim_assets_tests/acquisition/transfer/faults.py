"""What servers, proxies and networks do to a download, by name.

Belongs here: faults of one request. Does not belong here: the server they befall (misbehaving.py),
which of them follow one another (schedules.py).
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import MappingProxyType

from ngsim_assets_tests.acquisition.transfer.misbehaving import (
    BLOCK,
    LAST_MODIFIED,
    Answer,
    Closed,
    Ending,
    Request,
    Response,
)

HTML = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body>Sorry</body></html>"
_OF_RANGES = {"other range", "other total", "multipart", "out of range"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        kind: a name in `FAULTS`. after: the share of the body that arrives first, where the fault
            comes in the middle. status, retry_after: of a response without the file.
    """

    kind: str
    after: float = 0.5
    status: int = 500
    retry_after: str = ""

    def __str__(self) -> str:
        return f"status {self.status}" if self.kind == "status" else self.kind

    async def befall(self, answer: Answer) -> Ending:
        """Give `answer` with this fault; one of ranges first provokes a request for one."""
        if self.kind in _OF_RANGES and answer.request.range is None:
            return await _truncated(answer, self)
        return await FAULTS[self.kind](answer, self)


async def _status(answer: Answer, fault: Fault) -> Ending:
    headers = {"Content-Type": "text/plain"}
    if fault.retry_after:
        headers["Retry-After"] = fault.retry_after
    await answer.send(Response(fault.status, b"no", headers))
    return None


async def _silent(answer: Answer, fault: Fault) -> Ending:
    await answer.forever()
    return Closed


async def _refuse(answer: Answer, fault: Fault) -> Ending:
    return Closed


async def _garbage(answer: Answer, fault: Fault) -> Ending:
    answer.writer.write(b"\x00\x01this is not HTTP\r\n\r\n")
    return Closed


async def _stall(answer: Answer, fault: Fault) -> Ending:
    await answer.begin(fault.after)
    await answer.forever()
    return Closed


async def _reset(answer: Answer, fault: Fault) -> Ending:
    await answer.begin(fault.after)
    answer.reset()
    return Closed


async def _truncated(answer: Answer, fault: Fault) -> Ending:
    await answer.begin(fault.after)
    return Closed


async def _length_too_long(answer: Answer, fault: Fault) -> Ending:
    await answer.begin(1.0, more=1_000)
    return Closed


async def _length_too_short(answer: Answer, fault: Fault) -> Ending:
    await answer.begin(1.0, more=-min(1_000, len(answer.good.body) // 2))
    return Closed


async def _corrupted(answer: Answer, fault: Fault) -> Ending:
    good = answer.good
    at = int((len(good.body) - 1) * fault.after)
    spoilt = good.body[:at] + bytes([good.body[at] ^ 1]) + good.body[at + 1 :]
    await answer.send(Response(good.status, spoilt, good.headers))
    return None


async def _changed(answer: Answer, fault: Fault) -> Ending:
    answer.server.change()
    await answer.send(answer.good)
    return None


async def _changed_unnoticed(answer: Answer, fault: Fault) -> Ending:
    """As a server that does not know If-Range."""
    answer.server.change()
    headers = {name: value for name, value in answer.request.headers.items() if name != "if-range"}
    request = Request("GET", answer.request.path, headers, answer.request.connection)
    await answer.send(answer.server.respond(request))
    return None


async def _other_etag(answer: Answer, fault: Fault) -> Ending:
    """As one of several servers that name the same content differently."""
    good = answer.good
    await answer.send(Response(good.status, good.body, {**good.headers, "ETag": '"node-b"'}))
    return None


def _with_validators(
    validators: dict[str, str],
) -> Callable[[Answer, Fault], Coroutine[None, None, Ending]]:
    async def respond(answer: Answer, fault: Fault) -> Ending:
        good = answer.good
        kept = {name: value for name, value in good.headers.items() if name != "ETag"}
        headers = {**kept, **validators}
        await answer.head(good.status, headers, length=len(good.body))
        await answer.body(good.body[: int(len(good.body) * fault.after)])
        return Closed

    return respond


async def _ignores_range(answer: Answer, fault: Fault) -> Ending:
    request = Request("GET", answer.request.path, {}, answer.request.connection)
    await answer.send(answer.server.respond(request))
    return None


async def _other_range(answer: Answer, fault: Fault) -> Ending:
    """Sends bytes that were not asked for, and says so."""
    total = len(answer.server.content)
    first = total // 3
    headers = {**answer.good.headers, "Content-Range": f"bytes {first}-{total - 1}/{total}"}
    await answer.send(Response(206, answer.server.content[first:], headers))
    return None


async def _other_total(answer: Answer, fault: Fault) -> Ending:
    good = answer.good
    first, last = (answer.request.range or (0, None))[0], len(answer.server.content) - 1
    headers = {**good.headers, "Content-Range": f"bytes {first}-{last}/{last + 4_000}"}
    await answer.send(Response(206, answer.server.content[first:], headers))
    return None


async def _multipart(answer: Answer, fault: Fault) -> Ending:
    good = answer.good
    part = b"--x\r\nContent-Type: text/csv\r\n\r\n" + good.body + b"\r\n--x--\r\n"
    headers = {**good.headers, "Content-Type": "multipart/byteranges; boundary=x"}
    headers.pop("Content-Range", None)
    await answer.send(Response(206, part, headers))
    return None


async def _out_of_range(answer: Answer, fault: Fault) -> Ending:
    await answer.send(Response(416, b"", {"Content-Range": "bytes */12"}))
    return None


async def _redirect(answer: Answer, fault: Fault) -> Ending:
    await answer.send(Response(302, b"", {"Location": "/elsewhere.csv"}))
    return None


async def _redirect_loop(answer: Answer, fault: Fault) -> Ending:
    answer.server.faults[:0] = [Fault("redirect")] * 12
    return await _redirect(answer, fault)


async def _html(answer: Answer, fault: Fault) -> Ending:
    await answer.send(Response(200, HTML, {"Content-Type": "text/html; charset=utf-8"}))
    return None


async def _disguised_html(answer: Answer, fault: Fault) -> Ending:
    await answer.send(Response(200, HTML, {"Content-Type": answer.server.kind}))
    return None


async def _empty(answer: Answer, fault: Fault) -> Ending:
    await answer.send(Response(200, b"", answer.server.respond(answer.request).headers))
    return None


async def _endless(answer: Answer, fault: Fault) -> Ending:
    good = answer.good
    await answer.head(good.status, {**good.headers, "Transfer-Encoding": "chunked"})
    body = good.body
    while not answer.writer.transport.is_closing():
        await _chunk(answer, body[:BLOCK].ljust(BLOCK))
        body = body[BLOCK:]
    return Closed


async def _encoded(answer: Answer, encoding: str, body: bytes, share: float = 1.0) -> Ending:
    headers = {**answer.good.headers, "Content-Encoding": encoding}
    await answer.head(answer.good.status, headers, length=len(body))
    await answer.body(body[: int(len(body) * share)])
    return None if share == 1.0 else Closed


async def _gzip(answer: Answer, fault: Fault) -> Ending:
    return await _encoded(answer, "gzip", gzip.compress(answer.good.body, 1))


async def _gzip_cut(answer: Answer, fault: Fault) -> Ending:
    return await _encoded(answer, "gzip", gzip.compress(answer.good.body, 1), fault.after)


async def _gzip_spoilt(answer: Answer, fault: Fault) -> Ending:
    packed = gzip.compress(answer.good.body, 1)
    return await _encoded(answer, "gzip", packed[: len(packed) // 2])


async def _deflate(answer: Answer, fault: Fault) -> Ending:
    return await _encoded(answer, "deflate", zlib.compress(answer.good.body, 1))


async def _unknown_encoding(answer: Answer, fault: Fault) -> Ending:
    return await _encoded(answer, "br", answer.good.body)


async def _drip(answer: Answer, fault: Fault) -> Ending:
    """Never silent for long, and never done."""
    for byte in await answer.begin(fault.after):
        answer.writer.write(bytes([byte]))
        await answer.writer.drain()
        await asyncio.sleep(0.01)
    return None


async def _chunk(answer: Answer, block: bytes) -> None:
    answer.writer.write(b"%x\r\n%b\r\n" % (len(block), block))
    answer.server.sent += len(block)
    await answer.writer.drain()


async def _chunked(answer: Answer, fault: Fault) -> Ending:
    good = answer.good
    await answer.head(good.status, {**good.headers, "Transfer-Encoding": "chunked"})
    for start in range(0, len(good.body), BLOCK):
        await _chunk(answer, good.body[start : start + BLOCK])
    answer.writer.write(b"0\r\n\r\n")
    return None


async def _chunked_cut(answer: Answer, fault: Fault) -> Ending:
    good = answer.good
    await answer.head(good.status, {**good.headers, "Transfer-Encoding": "chunked"})
    await _chunk(answer, good.body[: max(1, int(len(good.body) * fault.after))])
    return Closed


async def _until_close(answer: Answer, fault: Fault) -> Ending:
    """No length at all: the end of the connection is the end of the file."""
    good = answer.good
    await answer.head(good.status, {**good.headers, "Connection": "close"})
    await answer.body(good.body)
    return Closed


async def _until_close_cut(answer: Answer, fault: Fault) -> Ending:
    """The same, cut: no client can tell without knowing the size or the hash."""
    good = answer.good
    await answer.head(good.status, {**good.headers, "Connection": "close"})
    await answer.body(good.body[: int(len(good.body) * fault.after)])
    return Closed


FAULTS = MappingProxyType(
    {
        "status": _status,
        "silent": _silent,
        "refuse": _refuse,
        "garbage": _garbage,
        "stall": _stall,
        "reset": _reset,
        "truncated": _truncated,
        "length too long": _length_too_long,
        "length too short": _length_too_short,
        "corrupted": _corrupted,
        "changed": _changed,
        "changed unnoticed": _changed_unnoticed,
        "other etag": _other_etag,
        "weak etag": _with_validators({"ETag": 'W/"v1"'}),
        "no etag": _with_validators({}),
        "date only": _with_validators({"Last-Modified": LAST_MODIFIED}),
        "ignores range": _ignores_range,
        "other range": _other_range,
        "other total": _other_total,
        "multipart": _multipart,
        "out of range": _out_of_range,
        "redirect": _redirect,
        "redirect loop": _redirect_loop,
        "html": _html,
        "disguised html": _disguised_html,
        "empty": _empty,
        "endless": _endless,
        "gzip": _gzip,
        "gzip cut": _gzip_cut,
        "gzip spoilt": _gzip_spoilt,
        "deflate": _deflate,
        "unknown encoding": _unknown_encoding,
        "drip": _drip,
        "chunked": _chunked,
        "chunked cut": _chunked_cut,
        "until close": _until_close,
        "until close cut": _until_close_cut,
    }
)
"""Every fault by its name."""
