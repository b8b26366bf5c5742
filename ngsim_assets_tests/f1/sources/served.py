"""A web server of this machine in the place of every service of Formula 1."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from ngsim_assets.acquisition.events import Observer
from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets.acquisition.results import IngestionResult
from ngsim_assets.acquisition.sources import AsyncDataSource
from ngsim_assets.settings import Settings, load_settings

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Served:
    """What a server holds, and what it was asked.

    Attributes:
        folder: of files, below /static. schedule: of files, below /schedule.
        answers: by path, before any file. seen: method and path of every request.
    """

    folder: Path | None = None
    schedule: Path | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def bodies(self) -> list[str]:
        """Paths of which a body was asked for, without lists of sessions."""
        return [path for method, path in self.seen if method == "GET" and ".jsonStream" in path]

    def count(self, path: str) -> int:
        return Counter(path for _, path in self.seen)[path]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        if request.path in self.answers:
            return await self.answers[request.path](request)
        for prefix, folder in (("/static/", self.folder), ("/schedule/", self.schedule)):
            if folder is not None and request.path.startswith(prefix):
                path = folder / request.path.removeprefix(prefix)
                if path.is_file():
                    return web.FileResponse(path)
        return web.Response(status=404, text=f"nothing at {request.path_qs}")

    def settings(self, data: Path, **more: object) -> Settings:
        """Settings that name this server for everything."""
        return load_settings(
            **{
                "data": data,
                "host_requests": 1000.0,
                "f1_archive": f"{self.url}/static",
                "f1_schedule": f"{self.url}/schedule",
                "f1_results": f"{self.url}/ergast",
                "openf1": f"{self.url}/v1",
                "open_meteo": f"{self.url}/meteo",
                "openweathermap": f"{self.url}/owm",
                **more,
            }
        )


def json_answer(body: bytes, status: int = 200) -> Answer:
    """The same JSON every time."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type="application/json")

    return answer


def run(
    served: Served,
    data: Path,
    make: Callable[[Settings], Sequence[AsyncDataSource]],
    settings: Mapping[str, object] | None = None,
    *,
    times: int = 1,
    observers: Sequence[Observer] = (),
) -> list[list[IngestionResult]]:
    """Results of the sources, of each time they are run against a server that is up meanwhile."""

    async def scene() -> list[list[IngestionResult]]:
        async with served.serving():
            loaded = served.settings(data, **(settings or {}))
            results: list[list[IngestionResult]] = []
            for _ in range(times):
                results.append(
                    await AsyncETLPipeline(loaded, observers=observers).run(make(loaded))
                )
                served.seen.append(("", "end"))
            return results

    return asyncio.run(scene())


def everything_written(folder: Path) -> bytes:
    """All bytes of all files below `folder`, and their names."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return b"".join(str(path).encode() + path.read_bytes() for path in files)
