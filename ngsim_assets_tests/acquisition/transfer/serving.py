"""A real server in the test's own event loop, whose answers a test writes.

Belongs here: starting it, ending it, what it saw. Does not belong here: ways to misbehave
(misbehaving.py has them on command).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import SecretStr

from ngsim_assets.acquisition.events import Event
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.acquisition.transfer.breaker import Breakers
from ngsim_assets.acquisition.transfer.client import HttpClient
from ngsim_assets.acquisition.transfer.limits import Clock, Limits

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

QUICK = Limits(host_requests=10_000.0, connect_timeout=5.0, stall_timeout=5.0)
"""Limits of a test that is not about limits."""


@dataclass
class Server:
    """A server that runs.

    Attributes:
        url: of its root, without a slash at the end. host: as breakers and secrets name it.
        requests: that came, in order. times: when, monotonic. ends: of their answers. now:
            requests under way. most: of them at the same time.
    """

    url: str
    host: str
    requests: list[web.Request] = field(default_factory=list[web.Request])
    times: list[float] = field(default_factory=list[float])
    ends: list[float] = field(default_factory=list[float])
    now: int = 0
    most: int = 0

    def resource(self, path: str = "/") -> Resource:
        """What is at `path`, as a source would name it."""
        return Resource("test", "thing", self.url + path)


@asynccontextmanager
async def serving(
    handler: Handler, *, address: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """A server on a free port of `address` that answers every request by `handler`."""
    scheme = "http" if context is None else "https"
    name = f"[{address}]" if ":" in address else address
    server = Server("", "")

    async def counted(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.Request)
        server.requests.append(request)
        server.times.append(time.monotonic())
        server.now += 1
        server.most = max(server.most, server.now)
        try:
            return await handler(request)
        finally:
            server.now -= 1
            server.ends.append(time.monotonic())

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", counted)
    runner = web.AppRunner(application, shutdown_timeout=0.05, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        server.host = f"{name}:{port}"
        server.url = f"{scheme}://{server.host}"
        yield server
    finally:
        await runner.cleanup()


async def reset(request: web.Request) -> None:
    """End the connection of `request` so that the client sees a reset."""
    transport = request.transport
    assert transport is not None
    transport.abort()


@dataclass
class Told:
    """Everything that a client told."""

    events: list[Event] = field(default_factory=list[Event])

    async def __call__(self, event: Event) -> None:
        self.events.append(event)


def client_of(
    limits: Limits = QUICK,
    *,
    breakers: Breakers | None = None,
    tell: Told | None = None,
    clock: Clock | None = None,
    secrets: Mapping[str, Mapping[str, SecretStr]] | None = None,
) -> HttpClient:
    """A client whose breakers remember nothing."""
    return HttpClient(
        limits,
        breakers=breakers or Breakers(None, failures=limits.breaker_failures),
        tell=tell or Told(),
        clock=clock,
        secrets=secrets,
    )
