"""One large file over the loopback: this package against curl, in one run.

    python -m benchmarks.download                      1.5 GB three times each, then 3 GB for memory
    python -m benchmarks.download --megabytes 300 --rounds 5

A server in a process of its own sends the file by sendfile. curl writes it (`curl -o`); this
package writes it, hashes it, and has it on the disk when it is done, with the record that would let
it go on. Rounds are interleaved and the best of each counts, because the machine may be shared:
trust the ratio. Starting a process is not in the time of this package, and takes curl 10 ms; peak
memory is that of the process that downloads. What came is compared with what was sent before
anything is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

TARGET = 0.6
MEMORY = 150.0
"""What is to be reached: times curl's rate, and megabytes at most."""

_PIECE = 1 << 24


@dataclass(frozen=True)
class Run:
    """One download of this package: seconds, those of the processor, peak of memory, what came."""

    seconds: float
    processor: float
    megabytes: float
    sha256: str


def serve(path: Path, told: Connection) -> None:
    """Serve `path` on a free port, which is told, until killed."""
    from aiohttp import web

    async def main() -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.FileResponse(path, chunk_size=1 << 20)

        application = web.Application()
        application.router.add_get("/file.bin", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        told.send(f"http://127.0.0.1:{runner.addresses[0][1]}/file.bin")
        await asyncio.Event().wait()

    asyncio.run(main())


def fetch(url: str, folder: Path, told: Connection) -> None:
    """Download `url` as a source would, and tell how that went."""
    from ngsim_assets.acquisition.sources import Resource
    from ngsim_assets.acquisition.transfer.breaker import Breakers
    from ngsim_assets.acquisition.transfer.client import HttpClient
    from ngsim_assets.acquisition.transfer.download import download
    from ngsim_assets.acquisition.transfer.limits import Deadline, Limits
    from ngsim_assets.acquisition.transfer.partfile import PartFile

    async def main() -> Run:
        limits = Limits()
        async with HttpClient(limits, breakers=Breakers(None)) as client:
            began, used = time.monotonic(), processor_seconds(resource.RUSAGE_SELF)
            got = await download(
                client,
                Resource("benchmark", "file", url),
                url,
                PartFile(folder),
                name="file.bin",
                deadline=Deadline(600.0),
            )
            seconds = time.monotonic() - began
            used = processor_seconds(resource.RUSAGE_SELF) - used
        return Run(seconds, used, peak_megabytes(), got.sha256)

    told.send(asyncio.run(main()))


def processor_seconds(whose: int) -> float:
    """What all threads have used so far, in the kernel too."""
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def peak_megabytes() -> float:
    """The most memory that this process has had resident."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def ours(url: str, folder: Path) -> Run:
    """A download in a process of its own."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=fetch, args=(url, folder / "part", there))
    process.start()
    try:
        if not here.poll(600):
            raise TimeoutError("the download has not ended after 600 s")
        return here.recv()
    finally:
        process.join(5)
        process.kill()
        for path in (folder / "part").iterdir():
            path.unlink()


def curl(url: str, folder: Path) -> tuple[float, float, float]:
    """Seconds that curl takes, seconds until its file is on the disk, seconds of the processor."""
    path = folder / "curl.bin"
    began, used = time.monotonic(), processor_seconds(resource.RUSAGE_CHILDREN)
    subprocess.run(["curl", "-sS", "--fail", "-o", str(path), url], check=True)
    written = time.monotonic() - began
    used = processor_seconds(resource.RUSAGE_CHILDREN) - used
    with path.open("rb") as file:
        os.fsync(file.fileno())
    synced = time.monotonic() - began
    path.unlink()
    return written, synced, used


def make(path: Path, megabytes: int) -> str:
    """Write random bytes; their SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        left = megabytes * 1_000_000
        while left:
            piece = os.urandom(min(left, _PIECE))
            file.write(piece)
            digest.update(piece)
            left -= len(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def compare(folder: Path, megabytes: int, rounds: int, *, with_curl: bool) -> tuple[float, float]:
    """Measure and print; our rate over curl's, and our peak of memory."""
    path = folder / "served.bin"
    sha256 = make(path, megabytes)
    context = get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(path, there))
    server.start()
    try:
        url = here.recv()
        runs: list[Run] = []
        times: list[tuple[float, float, float]] = []
        for _ in range(rounds):
            if with_curl:
                times.append(curl(url, folder))
            runs.append(ours(url, folder))
            if runs[-1].sha256 != sha256:
                raise AssertionError("other bytes came than were sent")
    finally:
        server.kill()
        server.join()
        path.unlink()
    best = min(run.seconds for run in runs)
    used = min(run.processor for run in runs)
    memory = max(run.megabytes for run in runs)
    print(f"{megabytes:,} MB, best of {rounds}, load {os.getloadavg()[0]:.1f}:")
    print(f"  ngsim_assets, hashed and on the disk {_rate(megabytes, best, used)}, {memory:.0f} MB")
    ratio = 0.0
    if times:
        written, synced, theirs = (min(column) for column in zip(*times, strict=True))
        ratio = written / best
        print(f"  curl -o                              {_rate(megabytes, written, theirs)}")
        print(f"  curl -o, until it is on the disk     {_rate(megabytes, synced, theirs)}")
        print(f"  times curl's rate: {ratio:.2f} (to be reached: {TARGET})")
    return ratio, memory


def _rate(megabytes: int, seconds: float, processor: float) -> str:
    rate = megabytes / seconds
    return f"{seconds:6.2f} s, {rate:6.0f} MB/s, {processor:5.2f} s of processor"


def main() -> None:
    """Compare, and exit 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1_500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        ratio, memory = compare(folder, given.megabytes, given.rounds, with_curl=True)
        _, twice = compare(folder, 2 * given.megabytes, 1, with_curl=False)
    reached = ratio >= TARGET and max(memory, twice) < MEMORY
    print("reached" if reached else "MISSED")
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
