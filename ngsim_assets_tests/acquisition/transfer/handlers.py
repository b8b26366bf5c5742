"""Answers of servers that tests are made of, and shorthands to ask for them.

Belongs here: handlers for `serving`, a server below HTTP, one with TLS. Does not belong here:
faults that are chosen at random (faults.py).
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trustme
from aiohttp import web

from ngsim_assets.acquisition.transfer.client import HttpClient
from ngsim_assets.acquisition.transfer.errors import (
    TransferError,
)
from ngsim_assets.acquisition.transfer.limits import Clock, Limits
from ngsim_assets_tests.acquisition.transfer.serving import (
    QUICK,
    Handler,
    Server,
    client_of,
    reset,
    serving,
)

SECRET = "s3cr3t-of-nobody"  # noqa: S105 - of nobody
IMPATIENT = replace(QUICK, stall_timeout=0.25, stall_bytes=1000, connect_timeout=0.3)


class Asleep:
    """Sleeping takes no time, and is written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.clock = Clock(sleep=self.sleep, chance=lambda: 0.0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def page(body: bytes = b"here", status: int = 200, **headers: str) -> Handler:
    """A handler that answers so."""

    async def answer(request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=status, headers=named)

    return answer


def one_after_another(*handlers: Handler) -> Handler:
    """A handler that answers by each of `handlers` once."""
    left = list(handlers)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await left.pop(0)(request)

    return answer


def unknown_name(*_: object, **__: object) -> list[tuple[object, ...]]:
    """In place of `socket.getaddrinfo`, so that no test asks anybody about a name."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def read(client: HttpClient, url: str, **options: dict[str, str]) -> bytes:
    async with client.request(url, **options) as reply:
        return b"".join([block async for block in reply.blocks()])


def failure_of(
    handler: Handler, *, path: str = "/", limits: Limits = QUICK, **options: dict[str, str]
) -> TransferError:
    """What one request to a server of this kind fails with."""

    async def main() -> TransferError:
        async with serving(handler) as server, client_of(limits) as client:
            with pytest.raises(TransferError) as caught:
                await read(client, server.url + path, **options)
            return caught.value

    return asyncio.run(main())


@asynccontextmanager
async def raw(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]],
) -> AsyncIterator[str]:
    """A server below HTTP: what it writes after the head of a request is up to `talk`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def body_of(length: int | None, *steps: bytes | float, end: str = "eof") -> Handler:
    """A handler that writes bytes, pauses for seconds, and ends the connection as told."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if length is not None:
            response.content_length = length
        await response.prepare(request)
        for step in steps:
            if isinstance(step, bytes):
                await response.write(step)
            else:
                await asyncio.sleep(step)
        if end == "reset":
            await reset(request)
        elif end == "close":
            assert request.transport is not None
            request.transport.close()
        return response

    return answer


def to(location: str, status: int = 302) -> Handler:
    return page(b"", status=status, Location=location)


@asynccontextmanager
async def with_tls(
    authority: trustme.CA, handler: Handler, name: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    async with serving(handler, context=context) as server:
        yield server
