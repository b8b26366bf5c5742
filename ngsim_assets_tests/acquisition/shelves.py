"""A web server of files with an index, a source that reads it, and who watches a pipeline.

The server counts what it is asked and what it sends, and can be slow, down or gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from ngsim_assets.acquisition.events import Event
from ngsim_assets.acquisition.session import Session
from ngsim_assets.acquisition.sources import Artifact, AsyncDataSource, Description, Resource
from ngsim_assets.acquisition.transfer.limits import Clock
from ngsim_assets.settings import Settings, load_settings

BLOCK = 64 << 10


@dataclass
class Shelf:
    """Files by name, served under `/files/`; `/index.json` names them.

    Attributes:
        status: that every request gets, if not 200. pause: seconds before each block of a body.
        stop_after: bytes of a body after which nothing more comes until `going_on` is set.
        asked: method, path and range of every request. sent: bytes of bodies.
        most: requests at once that there were. times: when they came.
    """

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    status: int = 200
    pause: float = 0.0
    stop_after: int | None = None
    heads: bool = True
    asked: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    times: list[float] = field(default_factory=list[float])
    sent: int = 0
    most: int = 0
    url: str = ""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    going_on: asyncio.Event = field(default_factory=asyncio.Event)
    _now: int = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shelf]:
        """Serve on a free port of this machine while the block runs."""
        app = web.Application(middlewares=[self._counted])
        app.router.add_get("/index.json", self._index)
        app.router.add_get("/files/{name}", self._file)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.going_on.set()
            await runner.cleanup()

    @property
    def gets(self) -> list[str]:
        """Paths of files that were asked for."""
        return [path for method, path, _ in self.asked if method == "GET" and "files" in path]

    @web.middleware
    async def _counted(self, request: web.Request, handler: web.Handler) -> web.StreamResponse:
        self.asked.append((request.method, request.path, request.headers.get("Range", "")))
        self.times.append(time.monotonic())
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            if self.status != 200 or (request.method == "HEAD" and not self.heads):
                return web.Response(status=405 if self.status == 200 else self.status)
            return await handler(request)
        finally:
            self._now -= 1

    async def _index(self, request: web.Request) -> web.Response:
        return web.json_response(sorted(self.files))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        content = self.files.get(request.match_info["name"])
        if content is None:
            return web.Response(status=404)
        tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        first = 0
        headers = {"ETag": tag, "Content-Type": "text/csv", "Accept-Ranges": "bytes"}
        status = 200
        if "Range" in request.headers and request.headers.get("If-Range", tag) == tag:
            low, _, high = request.headers["Range"].removeprefix("bytes=").partition("-")
            first, last = int(low), int(high) if high else len(content) - 1
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            status, content = 206, content[: last + 1]
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(content) - first
        await response.prepare(request)
        if request.method == "GET":
            for start in range(first, len(content), BLOCK):
                await asyncio.sleep(self.pause)
                if self.stop_after is not None and start >= self.stop_after:
                    self.stopped.set()
                    await self.going_on.wait()
                block = content[start : start + BLOCK]
                await response.write(block)
                self.sent += len(block)
        return response


class ShelfSource(AsyncDataSource):
    """The files of a shelf, a resource each."""

    def __init__(self, shelf_url: str, name: str = "shelf", highway: str = "us-101") -> None:
        self.name = name
        self.url = shelf_url
        self.highway = highway

    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        index = Resource(self.name, "index", f"{self.url}/index.json")
        names = await session.get_json(index, index.url)
        assert isinstance(names, list)
        for name in names:
            url = f"{self.url}/files/{name}"
            yield Resource(self.name, name, url, {"highway": self.highway})

    async def describe(self, session: Session, resource: Resource) -> Description:
        return await session.look(resource)

    async def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        yield await session.download(
            resource, resource.url, name=resource.key, description=description, kinds=["text/csv"]
        )


class Watcher:
    """Remembers every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def notice(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


class FastClock:
    """A clock on which waiting takes no time: it is moved on by as much."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self.slept: list[float] = []

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._ahead += seconds
        await asyncio.sleep(0)

    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: time.monotonic() + self._ahead,
            wall=lambda: time.time() + self._ahead,
            sleep=self._sleep,
            chance=lambda: 0.0,
        )


def quick(data: Path, **overrides: object) -> Settings:
    """Settings for servers on this machine, which may be asked as often as one likes."""
    return load_settings(**{"data": data, "host_requests": 10_000.0, "retries": 1, **overrides})


def rows(number: int, size: int = 40) -> bytes:
    """A file of `size` bytes that differs for every `number`."""
    line = b"%08d,1,2\n" % number
    return (line * (size // len(line) + 1))[:size]
