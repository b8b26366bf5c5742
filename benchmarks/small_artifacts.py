"""Many small files from one host: how fast they come, and whether limits hold.

    python -m benchmarks.small_artifacts [--files 1000] [--connections 8] [--rounds 3]

The server is a process of its own on this machine and counts what it is asked at once. Each file is
a resource: described by the index, downloaded, hashed, synced to the disk, named by a manifest. The
best round counts, because the machine may be shared. What log (JSON lines into a file) and metrics
cost is processor time spent in them, as a share of the same run's: the difference of two runs says
more about the machine. Exits 1 where a file is not what it should be, a limit was exceeded, or
connections were not made use of.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

from ngsim_assets.acquisition.events import Event, Observer
from ngsim_assets.acquisition.observers.log import LogObserver
from ngsim_assets.acquisition.observers.metrics import MetricsObserver
from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets.acquisition.session import Session
from ngsim_assets.acquisition.sources import Artifact, AsyncDataSource, Description, Resource
from ngsim_assets.observability import logs
from ngsim_assets.observability.metrics import IngestionMetrics
from ngsim_assets.settings import load_settings

PAUSE = 0.005
"""Seconds that the server takes for a file, so that connections are open at the same time."""


def content(number: int, size: int) -> bytes:
    """The file of that number."""
    return (b"%08d,1,2\n" % number * (size // 13 + 1))[:size]


def serve(files: int, size: int, told: Connection) -> None:
    """Serve until this process is ended; `told` gets the port, then the counts when asked."""
    now, most, requests = 0, 0, 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal now, most, requests
        now, requests = now + 1, requests + 1
        most = max(most, now)
        try:
            await asyncio.sleep(PAUSE)
            name = request.path.removeprefix("/")
            if name == "index.json":
                return web.json_response(files)
            return web.Response(body=content(int(name), size), headers={"ETag": f'"{name}"'})
        finally:
            now -= 1

    async def main() -> None:
        nonlocal most, requests
        app = web.Application()
        app.router.add_get("/{name}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        told.send(runner.addresses[0][1])
        while True:
            await asyncio.sleep(0.02)
            if told.poll():
                told.recv()
                told.send((most, requests))
                most = requests = 0

    asyncio.run(main())


class Numbered(AsyncDataSource):
    """The files of the server, a resource each."""

    name = "numbered"

    def __init__(self, url: str, size: int) -> None:
        self.url = url
        self.size = size

    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        index = Resource(self.name, "index", f"{self.url}/index.json")
        files = await session.get_json(index, index.url)
        assert isinstance(files, int)
        for number in range(files):
            yield Resource(self.name, f"{number}", f"{self.url}/{number}", {"highway": "all"})

    async def describe(self, session: Session, resource: Resource) -> Description:
        return Description(version="1", size=self.size)

    async def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        yield await session.download(
            resource, resource.url, name=f"{resource.key}.csv", description=description
        )


class Timed:
    """An observer, and the processor time that is spent in it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.spent = 0.0

    async def notice(self, event: Event) -> None:
        """Pass `event` on."""
        began = time.thread_time()
        await self._observer.notice(event)
        self.spent += time.thread_time() - began


@dataclass(frozen=True)
class Round:
    """What one run took, in seconds and shares of `processor`.

    Attributes:
        most: requests at once that the server saw.
    """

    seconds: float
    processor: float
    log_share: float
    metrics_share: float
    most: int
    faults: tuple[str, ...]


def run(url: str, told: Connection, options: argparse.Namespace) -> Round:
    """All files into a new folder, checked."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        settings = load_settings(
            data=Path(folder),
            host_connections=options.connections,
            requests_at_once=2 * options.connections,
            host_requests=1e6,
        )
        with (Path(folder) / "log.jsonl").open("w") as lines:
            logs.configure(settings, mode="json", stream=lines)
            log, metrics = Timed(LogObserver()), Timed(MetricsObserver(IngestionMetrics()))
            pipeline = AsyncETLPipeline(settings, observers=[log, metrics])
            began, processor = time.perf_counter(), time.process_time()
            (result,) = asyncio.run(pipeline.run([Numbered(url, options.bytes)]))
            took, used = time.perf_counter() - began, time.process_time() - processor
        told.send("counts")
        most, requests = told.recv()
        faults: list[str] = []
        if result.status != "fetched" or len(result.artifacts) != options.files:
            faults.append(result.sentence())
        if not all(_is_right(artifact, options.bytes) for artifact in result.artifacts):
            faults.append("a file is not what it should be")
        if most > options.connections or requests != options.files + 1:
            faults.append(f"{requests:,} requests, {most} at once")
    return Round(took, used, log.spent / used, metrics.spent / used, most, tuple(faults))


def _is_right(artifact: Artifact, size: int) -> bool:
    should = hashlib.sha256(content(int(artifact.resource.key), size)).hexdigest()
    return artifact.sha256 == should == hashlib.sha256(artifact.path.read_bytes()).hexdigest()


def _told(one: Round, files: int) -> str:
    return (
        f"{one.seconds:.2f} s, {files / one.seconds:.0f} files/s,"
        f" {1000 * one.processor / files:.2f} ms of processor each, {one.most} at once;"
        f" log {100 * one.log_share:.1f} %, metrics {100 * one.metrics_share:.1f} %"
    )


def main() -> int:
    """Measure and print; 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--bytes", type=int, default=2_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where; default: as TMPDIR says")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(options.files, options.bytes, theirs))
    server.start()
    rounds: list[Round] = []
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        for _ in range(options.rounds):
            rounds.append(run(url, ours, options))
            print(_told(rounds[-1], options.files))
    finally:
        server.terminate()
        server.join()
    print("best:", _told(min(rounds, key=lambda one: one.seconds), options.files))
    faults = sorted({fault for one in rounds for fault in one.faults})
    most = max(one.most for one in rounds)
    if most < options.connections:
        faults.append(f"only {most} requests at once, {options.connections} may be")
    print(json.dumps({"files": options.files, "faults": faults}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
