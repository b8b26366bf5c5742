"""Downloads under random sequences of faults, and what must hold however they end.

Belongs here: drawing a schedule, playing it, judging its end. Does not belong here: the faults
themselves (faults.py), how many schedules are played and what is told of them
(test_fault_schedules.py, benchmarks/faults.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ngsim_assets.acquisition.errors import AcquisitionError
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.acquisition.transfer.breaker import Breakers
from ngsim_assets.acquisition.transfer.client import HttpClient
from ngsim_assets.acquisition.transfer.download import Downloaded, Expected, download
from ngsim_assets.acquisition.transfer.limits import Clock, Deadline, Limits
from ngsim_assets.acquisition.transfer.partfile import LASTING, PartFile
from ngsim_assets.acquisition.transfer.segments import Trial
from ngsim_assets_tests.acquisition.transfer.faults import FAULTS, Fault
from ngsim_assets_tests.acquisition.transfer.misbehaving import LAST_MODIFIED, Pace, Server

PATIENCE = 60.0
"""Seconds after which a schedule hangs; waits between attempts take none."""

LIMITS = Limits(
    host_requests=100_000.0, connect_timeout=3.0, stall_timeout=0.15, stall_bytes=64, retries=3
)
TRIAL = Trial(seconds=0.02, gain=1.25, least=32 << 10)

_NEEDS_SIZE = {"length too short", "until close cut"}
_NEEDS_HASH = {"corrupted"}
"""Faults that no client can notice by itself: every source of this project knows one or the other
of files whose server may do this."""

_SLOW = {"stall", "silent", "drip"}


def quick_clock() -> Clock:
    """A clock on which waiting takes no time, though time passes."""
    skipped = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal skipped
        skipped += seconds
        await asyncio.sleep(0)

    return Clock(
        monotonic=lambda: time.monotonic() + skipped,
        wall=lambda: time.time() + skipped,
        sleep=sleep,
        chance=lambda: 0.5,
    )


@asynccontextmanager
async def quick_client(limits: Limits = LIMITS) -> AsyncIterator[tuple[HttpClient, Deadline]]:
    """A client that does not wait between attempts, and an hour to use it."""
    clock = quick_clock()
    async with HttpClient(limits, breakers=Breakers(None, clock=clock), clock=clock) as client:
        yield client, Deadline(3_600.0, clock)


def resource(url: str) -> Resource:
    """The resource that tests download."""
    return Resource("tests", "file", url)


@dataclass(frozen=True)
class Schedule:
    """What happens to one download.

    Attributes:
        faults: of the first requests. afterwards: of all later ones, None: they go well.
        interruptions: shares of the file after which it is cancelled, to go on with a new client.
    """

    seed: int
    size: int
    faults: tuple[Fault, ...]
    afterwards: Fault | None
    knows_size: bool
    knows_hash: bool
    validators: dict[str, str]
    interruptions: tuple[float, ...] = ()
    segments: int = 1
    pace: float = 0.0

    @classmethod
    def drawn(cls, seed: int) -> Schedule:
        """The schedule of `seed`."""
        chance = random.Random(seed)  # noqa: S311
        slow = chance.random() < 0.15
        kinds = [kind for kind in FAULTS if slow or kind not in _SLOW]
        faults = tuple(_fault(chance, kinds) for _ in range(chance.randint(1, 5)))
        afterwards = _fault(chance, kinds) if chance.random() < 0.2 else None
        befall = {fault.kind for fault in (*faults, *([afterwards] if afterwards else []))}
        segmented = chance.random() < 0.2
        interrupted = chance.random() < 0.35
        sizes = [1, 1_000, 60_000, 200_000, 400_000, 1_500_000]
        validators = [
            {"ETag": '"v1"'},
            {"ETag": '"v1"', "Last-Modified": LAST_MODIFIED},
            {"Last-Modified": LAST_MODIFIED},
            {"ETag": 'W/"v1"'},
            {},
        ]
        return cls(
            seed=seed,
            size=600_000 if segmented or interrupted else chance.choice(sizes),
            faults=faults,
            afterwards=afterwards,
            knows_size=bool(_NEEDS_SIZE & befall) or chance.random() < 0.3,
            knows_hash=bool(_NEEDS_HASH & befall) or chance.random() < 0.3,
            validators=chance.choices(validators, [6, 1, 1, 1, 1])[0],
            interruptions=tuple(
                chance.uniform(0.2, 0.8) for _ in range(chance.choice([1, 2]) * interrupted)
            ),
            segments=4 if segmented else 1,
            pace=4e6 if segmented or interrupted or chance.random() < 0.1 else 0.0,
        )


def _fault(chance: random.Random, kinds: list[str]) -> Fault:
    kind = chance.choice(kinds)
    if kind == "status":
        status = chance.choices([500, 502, 503, 429, 404], [4, 4, 4, 4, 1])[0]
        wait = chance.choice(["", "2"]) if status in {429, 503} else ""
        return Fault(kind, status=status, retry_after=wait)
    return Fault(kind, after=chance.choice([0.0, 0.1, 0.5, 0.9, 0.999]))


@dataclass
class Outcome:
    """How a schedule ended.

    Attributes:
        ended: `whole`, or the name of the failure. broken: what did not hold, empty if all did.
        befell: faults that requests met. resumed: went on with bytes of an earlier client.
    """

    ended: str
    broken: list[str] = field(default_factory=list[str])
    befell: list[str] = field(default_factory=list[str])
    requests: int = 0
    resumed: bool = False


async def play_all(
    seeds: Iterable[int], folder: Path, *, at_once: int = 24
) -> list[tuple[Schedule, Outcome]]:
    """Play the schedules of `seeds`, some at a time, each in a folder of its own."""
    slots = asyncio.Semaphore(at_once)

    async def one(seed: int) -> tuple[Schedule, Outcome]:
        schedule = Schedule.drawn(seed)
        async with slots:
            outcome = await play(schedule, folder / str(seed))
            await asyncio.to_thread(shutil.rmtree, folder / str(seed), ignore_errors=True)
        return schedule, outcome

    return list(await asyncio.gather(*(one(seed) for seed in seeds)))


async def play(schedule: Schedule, folder: Path) -> Outcome:
    """Download under `schedule` into a part at `folder`, and judge how that ends."""
    content = random.Random(schedule.seed).randbytes(schedule.size)  # noqa: S311
    server = Server(
        content,
        schedule.faults,
        afterwards=schedule.afterwards,
        validators=schedule.validators,
        pace=Pace(each=schedule.pace),
    )
    expected = Expected(
        size=schedule.size if schedule.knows_size else None,
        sha256=hashlib.sha256(content).hexdigest()[:16] if schedule.knows_hash else "",
        kinds=("text/csv",),
        max_bytes=4 * schedule.size + 1_000_000,
    )
    outcome = Outcome("")
    downloaded: Downloaded | None = None
    async with server.running():
        try:
            async with asyncio.timeout(PATIENCE):
                downloaded = await _bring(schedule, server, expected, folder)
            outcome.ended = "whole"
        except AcquisitionError as error:
            outcome.ended = type(error).__name__
        except TimeoutError:
            outcome.ended = "hangs"
            outcome.broken.append(f"not over after {PATIENCE:g} s")
        except Exception as error:  # to be told with the seed
            outcome.ended = "fault"
            outcome.broken.append(f"{type(error).__name__}: {error}")
    outcome.befell = [kind for kind in server.befell if kind]
    outcome.requests = len(server.requests)
    if downloaded is not None:
        outcome.resumed = downloaded.resumed_from > 0
        outcome.broken += _of_whole(downloaded, server, content, schedule, folder)
    elif "corrupted" not in outcome.befell:
        outcome.broken += _of_part(server, folder)
    return outcome


async def _bring(
    schedule: Schedule, server: Server, expected: Expected, folder: Path
) -> Downloaded:
    for share in (*schedule.interruptions, None):
        async with quick_client() as (client, deadline):
            under_way = asyncio.create_task(
                download(
                    client,
                    resource(server.url),
                    server.url,
                    PartFile(folder),
                    name="file.csv",
                    deadline=deadline,
                    expected=expected,
                    segments=schedule.segments,
                    trial=TRIAL,
                )
            )
            if share is not None:
                await _interrupted(under_way, server, server.sent + share * schedule.size)
            try:
                return await under_way
            except asyncio.CancelledError:
                if share is None or not under_way.cancelled():
                    raise
            finally:
                under_way.cancel()
                await asyncio.wait([under_way])
    raise AssertionError("the last round is not interrupted")


async def _interrupted(under_way: asyncio.Task[Downloaded], server: Server, sent: float) -> None:
    """Cancel `under_way` when `server` has sent so many bytes, if it is not over before."""
    while not under_way.done():
        if server.sent >= sent:
            under_way.cancel()
            await asyncio.wait([under_way])
        await asyncio.sleep(0.002)


def _of_whole(
    downloaded: Downloaded, server: Server, content: bytes, schedule: Schedule, folder: Path
) -> list[str]:
    """What does not hold of a file that is said to be whole."""
    broken: list[str] = []
    found = downloaded.path.read_bytes()
    wanted = [content] if schedule.knows_hash else server.versions
    if found not in wanted:
        broken.append(f"other bytes than the server's, {len(found):,} of {len(content):,}")
    if hashlib.sha256(found).hexdigest() != downloaded.sha256:
        broken.append("another hash than that of its bytes")
    with PartFile(folder) as part:
        unrecorded = part.origin is None and downloaded.size < LASTING
        if not (unrecorded or (part.is_complete and part.done.bytes == downloaded.size)):
            broken.append("its record does not say that it is complete")
    return broken


def _of_part(server: Server, folder: Path) -> list[str]:
    """What does not hold of a part that a failed download left: its record may not lie."""
    with PartFile(folder) as part:
        body = part.body.read_bytes()
        for start, stop in part.done:
            if not any(body[start:stop] == content[start:stop] for content in server.versions):
                return [f"its record claims bytes {start:,} to {stop:,}, which are not there"]
    return []
