"""What watches the platform from outside asks here: metrics, health, readiness, version, by HTTP.

`GET /metrics` is for Prometheus, `/health` says how everything is (503 only where something is
failing: what is degraded works), `/ready` whether there is any sense in asking for work, `/version`
what runs. Nothing can be changed here, nothing is asked of the client, and nothing secret is told;
still it listens on loopback unless another address is named.

Belongs here: the server. Does not belong here: what is checked (health.py, and a domain's health),
which metrics there are (metrics.py).
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.observability import logs
from ngsim_assets.observability.asking import Kept, NoAnswer
from ngsim_assets.observability.health import Examination, Health
from ngsim_assets.observability.redaction import Redactor

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware


EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of Prometheus' text format."""

_AT_ONCE = 64
"""Requests answered at the same time; further ones are told to come back."""

_GRACE = 5.0
"""Seconds that requests under way have left when the server stops."""

_log = logs.get_logger(logger="serve")


class CannotListen(NgsimAssetsError):
    """The address cannot be had."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        taken = error.errno == errno.EADDRINUSE
        reason = "another process listens there" if taken else error.strerror or str(error)
        super().__init__(
            f"cannot listen on {host} port {port}: {reason}",
            "name another port: --port PORT" if taken else "name another address: --host HOST",
        )


@dataclass(frozen=True)
class Served:
    """What is told.

    Attributes:
        health, ready: the checks behind `/health` and `/ready`.
        exposition: metrics in Prometheus' text format; gets what `/health` would say at that
            moment, for gauges of it.
        version: of everything that matters for what is computed, as JSON.
    """

    health: Examination
    ready: Examination
    exposition: Callable[[Health], bytes]
    version: Callable[[], Mapping[str, object]]
    redactor: Redactor


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@asynccontextmanager
async def serving(served: Served, host: str, port: int) -> AsyncIterator[str]:
    """Serve while the block runs; gives the URL. CannotListen where the address is not to be had.

    Port 0 is one that is free.
    """
    from aiohttp import web

    runner = web.AppRunner(_application(served), access_log=None, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise CannotListen(host, port, error) from error
        found = runner.addresses[0]
        shown = f"[{found[0]}]" if ":" in found[0] else found[0]
        yield f"http://{shown}:{found[1]}"
    finally:
        await runner.cleanup()


async def serve(served: Served, host: str, port: int, started: Callable[[str], object]) -> None:
    """Serve until SIGTERM or SIGINT; `started` is told the URL."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(served, host, port) as url:
        started(url)
        await stop.wait()


def _application(served: Served) -> web.Application:
    from aiohttp import web

    application = web.Application(middlewares=[_told_and_bounded()])
    answers = _Answers(served)
    for path, answer in (
        ("/metrics", answers.metrics),
        ("/health", answers.health),
        ("/ready", answers.ready),
        ("/version", answers.version),
    ):
        application.router.add_get(path, answer)  # and HEAD
    return application


class _Answers:
    def __init__(self, served: Served) -> None:
        self._served = served
        self._seen = Health(())
        self._metrics = Kept(self._expose, limit=10.0, fresh=1.0)
        self._version = Kept(served.version, limit=10.0, fresh=60.0)

    def _expose(self) -> bytes:
        return self._served.exposition(self._seen)

    async def metrics(self, request: web.Request) -> web.Response:
        from aiohttp import web

        self._seen = await self._served.health.health()
        try:
            body = await self._metrics.answer()
        except NoAnswer as error:
            return web.Response(status=503, text=f"metrics: {error}\n")
        return web.Response(body=body, headers={"Content-Type": EXPOSITION})

    async def health(self, request: web.Request) -> web.Response:
        found = await self._served.health.health()
        return self._json(found.summary(), 503 if found.status == "failing" else 200)

    async def ready(self, request: web.Request) -> web.Response:
        found = await self._served.ready.health()
        told = {"ready": found.status != "failing", **found.summary()}
        return self._json(told, 200 if told["ready"] else 503)

    async def version(self, request: web.Request) -> web.Response:
        return self._json(await self._version.answer(), 200)

    def _json(self, told: Mapping[str, object], status: int) -> web.Response:
        from aiohttp import web

        text = json.dumps(self._served.redactor.value(told), indent=1, ensure_ascii=False)
        return web.Response(
            status=status,
            text=text + "\n",
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


def _told_and_bounded() -> Middleware:
    """A line per request, and no more requests at once than can be answered."""
    from aiohttp import web

    going = 0

    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        if going > _AT_ONCE:
            text, headers = "too many requests at once\n", {"Retry-After": "1"}
            return web.Response(status=503, text=text, headers=headers)
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return web.Response(status=404, text="there is: /metrics /health /ready /version\n")
        except web.HTTPException as error:
            return web.Response(status=error.status, text=error.text, headers=error.headers)
        except Exception as error:
            _log.error("a request failed", path=request.path, error=error)
            return web.Response(status=500, text=f"{type(error).__name__}\n")

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal going
        began, status = time.monotonic(), 499  # as others have it: the client did not wait
        going += 1
        try:
            response = await answered(request, handler)
            status = response.status
        finally:
            going -= 1
            _log.info(
                "request",
                method=request.method,
                path=request.path,
                status=status,
                seconds=round(time.monotonic() - began, 4),
                client=request.remote,
            )
        return response

    return middleware
