"""A web server that serves one file and misbehaves on command, request by request.

Belongs here: serving, and the steps of an answer that a fault may leave out or spoil. Does not
belong here: the faults (faults.py), what a client should make of them. It writes HTTP by hand,
since a library would not let it break the protocol.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Protocol

BLOCK = 64 << 10
LAST_MODIFIED = formatdate(1_600_000_000, usegmt=True)


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    connection: int

    @property
    def range(self) -> tuple[int, int | None] | None:
        """First and last byte it asks for."""
        value = self.headers.get("range", "")
        if not value.startswith("bytes="):
            return None
        first, _, last = value.removeprefix("bytes=").partition("-")
        return int(first), int(last) if last else None


@dataclass
class Response:
    """A response as a server would give it, before anything goes wrong."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass
class Pace:
    """Bytes per second of each connection, and of all of them together; 0: no limit.

    `block`: bytes that go at once.
    """

    each: float = 0.0
    together: float = 0.0
    block: int = BLOCK // 4
    _free: float = field(default=0.0, init=False)

    async def wait(self, size: int) -> None:
        """Return when `size` bytes may have gone."""
        if self.together:
            now = time.monotonic()
            self._free = max(self._free, now) + size / self.together
            await asyncio.sleep(self._free - now)
        if self.each:
            await asyncio.sleep(size / self.each)


class Closed:
    """The connection is not to be used any more."""


Ending = type[Closed] | None


class Misdeed(Protocol):
    """What goes wrong with one request; its text names it."""

    async def befall(self, answer: Answer) -> Ending:
        """Give `answer` in its own way."""
        ...


class Server:
    """Serves `content` under every path; `faults` befall the requests in order.

    Attributes:
        afterwards: what befalls the requests after those, None: nothing. requests: all that came.
        befell: their faults, empty for none. versions: every content that it has had.
        validators: ETag and date that it sends. pace: how fast it sends. sent: bytes of bodies.
    """

    def __init__(
        self,
        content: bytes,
        faults: Sequence[Misdeed] = (),
        *,
        afterwards: Misdeed | None = None,
        validators: dict[str, str] | None = None,
        kind: str = "text/csv",
        pace: Pace | None = None,
    ) -> None:
        self.content = content
        self.versions = [content]
        self.faults = list(faults)
        self.afterwards = afterwards
        self.validators = {"ETag": '"v1"'} if validators is None else validators
        self.kind = kind
        self.pace = pace or Pace()
        self.requests: list[Request] = []
        self.befell: list[str] = []
        self.sent = 0
        self.url = ""
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1") -> AsyncIterator[Server]:
        """Serve on a free port of `host` while the block runs."""
        server = await asyncio.start_server(self._connection, host, 0, backlog=64)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/file.csv"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def change(self) -> None:
        """The file is another one from now on, of the same size."""
        self.content = bytes(255 - byte for byte in self.content[:1000]) + self.content[1000:]
        self.versions.append(self.content)
        self.validators = {**self.validators, "ETag": f'"v{len(self.requests) + 2}"'}

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._requests(self._connections, reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _requests(
        self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ", 2)
            pairs = (line.split(":", 1) for line in head[1:] if line)
            headers = {name.strip().lower(): value.strip() for name, value in pairs}
            request = Request(method, path, headers, connection)
            self.requests.append(request)
            fault = self.faults.pop(0) if self.faults else self.afterwards
            self.befell.append("" if fault is None else str(fault))
            answer = Answer(self, request, writer)
            if fault is None:
                await answer.send(self.respond(request))
            elif await fault.befall(answer) is Closed:
                return

    def respond(self, request: Request) -> Response:
        """What a good server says to `request`."""
        headers = {
            "Content-Type": self.kind,
            "Accept-Ranges": "bytes",
            "Date": formatdate(usegmt=True),
            **self.validators,
        }
        total = len(self.content)
        asked = request.range
        condition = request.headers.get("if-range")
        if asked is None or condition not in (None, LAST_MODIFIED, self.validators.get("ETag")):
            return Response(200, self.content, headers)
        first, last = asked
        last = total - 1 if last is None else min(last, total - 1)
        if first >= total:
            return Response(416, b"", {**headers, "Content-Range": f"bytes */{total}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        return Response(206, self.content[first : last + 1], headers)


class Answer:
    """The answer to one request, in steps that a fault may leave out or spoil."""

    def __init__(self, server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.request = request
        self.writer = writer

    @property
    def good(self) -> Response:
        """What would be right."""
        return self.server.respond(self.request)

    async def send(self, response: Response) -> None:
        """All of it, as it should be."""
        await self.head(response.status, response.headers, length=len(response.body))
        await self.body(response.body)

    async def head(
        self, status: int, headers: dict[str, str], *, length: int | None = None
    ) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self.writer.drain()

    async def body(self, body: bytes) -> None:
        size = self.server.pace.block
        for start in range(0, len(body), size):
            block = body[start : start + size]
            await self.server.pace.wait(len(block))
            self.writer.write(block)
            self.server.sent += len(block)
            await self.writer.drain()

    async def begin(self, share: float, *, more: int = 0) -> bytes:
        """The head, which promises `more` than there is, and a share of the body; the rest."""
        good = self.good
        await self.head(good.status, good.headers, length=len(good.body) + more)
        some = int(len(good.body) * share)
        await self.body(good.body[:some])
        return good.body[some:]

    async def forever(self) -> None:
        """Wait until the client has gone."""
        while not self.writer.transport.is_closing():
            await asyncio.sleep(0.01)

    def reset(self) -> None:
        """RST: what the client has not read yet is lost too."""
        channel = self.writer.get_extra_info("socket")
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
