"""More connections than one are used where they help, and only there."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ngsim_assets.acquisition.transfer.download import Downloaded, download
from ngsim_assets.acquisition.transfer.errors import BodyCutShort, HostLeftAlone
from ngsim_assets.acquisition.transfer.partfile import Origin, PartFile
from ngsim_assets.acquisition.transfer.ranges import Ranges, Work
from ngsim_assets.acquisition.transfer.segments import Segments, Trial
from ngsim_assets_tests.acquisition.transfer import schedules
from ngsim_assets_tests.acquisition.transfer.faults import Fault
from ngsim_assets_tests.acquisition.transfer.misbehaving import (
    Answer,
    Ending,
    Misdeed,
    Pace,
    Server,
)
from ngsim_assets_tests.acquisition.transfer.schedules import quick_client, resource

pytestmark = pytest.mark.usefixtures("plain_http")

CONTENT = random.Random(6).randbytes(3_000_000)  # noqa: S311
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TRIAL = Trial(seconds=0.12, least=100_000)
LIMITS = replace(schedules.LIMITS, stall_timeout=0.8)


async def _get(
    server: Server, folder: Path, *, segments: int = 4, trial: Trial = TRIAL
) -> Downloaded:
    async with quick_client(LIMITS) as (client, deadline):
        return await download(
            client,
            resource(server.url),
            server.url,
            PartFile(folder),
            name="file.csv",
            deadline=deadline,
            segments=segments,
            trial=trial,
        )


def run(server: Server, folder: Path, *, segments: int = 4) -> Downloaded:
    """What a download brings, which is what the server has."""

    async def main() -> Downloaded:
        async with server.running():
            return await _get(server, folder, segments=segments)

    downloaded = asyncio.run(main())
    assert downloaded.sha256 == SHA256
    assert downloaded.path.read_bytes() == CONTENT
    return downloaded


def test_it_is_faster_where_each_connection_is_throttled(tmp_path: Path):
    server = Server(CONTENT[:1_000_000], pace=Pace(each=400_000, block=4_000))

    async def main() -> tuple[Downloaded, float]:
        async with server.running():
            began = time.monotonic()
            trial = Trial(seconds=0.4, least=50_000)
            got = await _get(server, tmp_path / "part", trial=trial)
            return got, time.monotonic() - began

    downloaded, seconds = asyncio.run(main())
    assert downloaded.path.read_bytes() == server.content
    # 2.5 s through one; a machine that is busy notices less of what the others bring
    assert seconds < 2.3
    assert len({one.connection for one in server.requests}) >= 2
    # hardly anything came twice: a connection that gives the rest away is closed
    assert server.sent < len(server.content) * 1.4
    ranges = [one.range for one in server.requests[1:]]
    assert all(range_ is not None and range_[1] is not None for range_ in ranges)
    assert {one.headers["if-range"] for one in server.requests[1:]} == {'"v1"'}


@pytest.mark.parametrize(
    ("validators", "segments"), [({}, 4), ({"ETag": 'W/"v1"'}, 4), ({"ETag": '"v1"'}, 1)]
)
def test_it_is_not_tried_where_it_cannot_be_trusted_or_is_not_wanted(
    tmp_path: Path, validators: dict[str, str], segments: int
):
    server = Server(CONTENT, validators=validators, pace=Pace(each=8_000_000))
    run(server, tmp_path / "part", segments=segments)
    assert len(server.requests) == 1


def test_it_is_not_tried_for_what_will_be_there_soon(tmp_path: Path):
    server = Server(CONTENT)
    run(server, tmp_path / "part")
    assert len(server.requests) == 1


class OnHelpers:
    """A fault that befalls every connection but the first, `times` times."""

    def __init__(self, fault: Fault, times: int) -> None:
        self._fault = fault
        self._times = times

    def __str__(self) -> str:
        return str(self._fault)

    async def befall(self, answer: Answer) -> Ending:
        if answer.request.connection == 1 or self._times == 0:
            await answer.send(answer.good)
            return None
        self._times -= 1
        return await self._fault.befall(answer)


@pytest.mark.parametrize(
    "kind", ["truncated", "reset", "stall", "refuse", "status", "ignores range"]
)
def test_a_connection_that_fails_only_gives_its_work_back(tmp_path: Path, kind: str):
    misdeed: Misdeed = OnHelpers(Fault(kind, after=0.2, status=429), times=2)
    server = Server(CONTENT, afterwards=misdeed, pace=Pace(each=4_000_000))
    run(server, tmp_path / "part")
    # the first went on: nobody began anew
    assert [one.range for one in server.requests].count(None) == 1
    assert server.sent < len(CONTENT) * 1.6 or kind == "ignores range"


class SlowToBegin:
    """Good answers; to the second request only when there is a third, or after a while."""

    def __init__(self) -> None:
        self._requests = 0
        self._third = asyncio.Event()

    async def befall(self, answer: Answer) -> Ending:
        self._requests += 1
        if self._requests > 2:
            self._third.set()
        elif self._requests == 2:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._third.wait(), 10)
        await answer.send(answer.good)


def test_work_may_be_taken_over_before_it_has_begun(tmp_path: Path):
    """The first is done while the second still waits for its answer, and takes the end of it."""
    server = Server(CONTENT, afterwards=SlowToBegin(), pace=Pace(each=4_000_000))
    folder = tmp_path / "part"

    async def main() -> Downloaded:
        async with server.running():
            # a trial that lasts: the second is not let go before
            return await _get(server, folder, segments=2, trial=Trial(0.2, gain=0.0, least=400_000))

    downloaded = asyncio.run(main())
    assert downloaded.path.read_bytes() == CONTENT
    ranges = [one.range for one in server.requests]
    assert ranges.count(None) == 1
    assert len(ranges) >= 3


@pytest.mark.parametrize("kind", ["other etag", "other range", "changed unnoticed"])
def test_a_connection_that_contradicts_stops_all_and_it_is_begun_anew(tmp_path: Path, kind: str):
    server = Server(CONTENT, afterwards=OnHelpers(Fault(kind), times=1), pace=Pace(each=6_000_000))

    async def main() -> Downloaded:
        async with server.running():
            return await _get(server, tmp_path / "part")

    downloaded = asyncio.run(main())
    assert downloaded.path.read_bytes() == server.content
    assert downloaded.sha256 == hashlib.sha256(server.content).hexdigest()
    # and then through one connection only
    assert [one.range is None for one in server.requests] == [True, False, True]


@pytest.mark.parametrize("segments", [1, 4])
def test_a_part_with_holes_is_filled(tmp_path: Path, segments: int):
    """As several connections leave it that were cancelled together."""
    pieces = [(0, 400_000), (1_000_000, 1_700_000), (2_200_000, 2_300_000)]
    holes = [(400_000, 1_000_000), (1_700_000, 2_200_000), (2_300_000, 3_000_000)]
    server = Server(CONTENT, pace=Pace(each=0 if segments == 1 else 2_000_000))

    async def main() -> Downloaded:
        async with server.running():
            with PartFile(tmp_path / "part") as part:
                await part.begin(Origin(server.url, server.url, len(CONTENT), '"v1"'))
                for start, stop in pieces:
                    writer = part.writer(start)
                    await writer.write(CONTENT[start:stop])
                    await writer.close()
                await part.save()
            return await _get(server, tmp_path / "part", segments=segments)

    downloaded = asyncio.run(main())
    assert downloaded.sha256 == SHA256
    assert downloaded.path.read_bytes() == CONTENT
    assert downloaded.resumed_from == 1_200_000
    asked = [one.range for one in server.requests]
    if segments == 1:
        assert asked == [(start, stop - 1) for start, stop in holes]
    for range_ in asked:
        assert range_ is not None
        first, last = range_
        assert last is not None
        assert any(start <= first <= last < stop for start, stop in holes)


def test_where_every_connection_fails_it_ends_with_a_name(tmp_path: Path):
    server = Server(CONTENT, afterwards=Fault("truncated", after=0.0), pace=Pace(each=9_000_000))
    server.faults = [Fault("truncated", after=0.6)]
    with pytest.raises((BodyCutShort, HostLeftAlone)):
        run(server, tmp_path / "part")
    with PartFile(tmp_path / "part") as part:
        assert 0 < part.done.prefix <= 1_800_000


class Skipping(asyncio.SelectorEventLoop):
    """An event loop on which nothing is waited for: its clock goes to where something happens."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self._now = max(self._now, self._scheduled[0]._when)
        super()._run_once()


class Line:
    """Connections that bring `each` bytes a second at most, and `together` all of them."""

    def __init__(self, each: float, together: float, *, most: int) -> None:
        self.total = 1_000_000_000
        self.each = each
        self.together = together
        self.now = 0
        self.most = 0
        self.done = Ranges()
        self.arrived = 0
        self.segments = Segments(
            self.fetch,
            done=lambda: self.done,
            arrived=lambda: self.arrived,
            is_spoilt=lambda: False,
            most=most,
            trial=Trial(),
        )

    async def first(self) -> None:
        work = Work(0, self.total)
        self.segments.share(self.total, work)
        await self.fetch(work)

    async def fetch(self, work: Work) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            while work.left:
                await asyncio.sleep(0.25)
                some = int(min(self.each, self.together / self.now) / 4)
                some = min(some, work.left)
                self.done = self.done.joined(work.at, work.at + some)
                work.at += some
                self.arrived += some
        finally:
            self.now -= 1

    def seconds(self) -> float:
        """How long the file takes."""

        async def main() -> float:
            await self.segments.run(self.first)
            return asyncio.get_running_loop().time()

        with asyncio.Runner(loop_factory=Skipping) as runner:
            seconds = runner.run(main())
        assert self.done == Ranges.of([(0, self.total)])
        return seconds


@pytest.mark.parametrize(
    ("each", "together", "most", "used", "at_least", "at_most"),
    [
        # throttled each: 500 s through one, 125 s through four and some seconds of trying
        (2e6, 1e9, 4, 4, 125, 140),
        (2e6, 1e9, 8, 8, 62, 85),
        (2e6, 1e9, 1, 1, 500, 501),
        # throttled together: a second is tried, and let go
        (1e9, 2e6, 4, 2, 500, 502),
        # a line that two connections fill: a third is tried, and let go
        (2e6, 4e6, 4, 3, 250, 256),
        # over before a trial would be
        (400e6, 1e12, 4, 1, 2, 3),
    ],
)
def test_as_many_connections_are_kept_as_help(each, together, most, used, at_least, at_most):
    line = Line(each, together, most=most)
    assert at_least <= line.seconds() <= at_most
    assert line.most == used


def test_the_gain_that_is_asked_for_is_one_that_n_connections_can_bring():
    trial = Trial()
    assert trial.is_gain(10.0, 12.5, 1)
    assert not trial.is_gain(10.0, 12.4, 1)
    for before in range(1, 16):
        assert trial.is_gain(1.0 * before, 1.0 * before + 1, before)
        assert not trial.is_gain(1.0 * before, 1.0 * before, before)
    assert Counter(trial.is_worth(left << 20, 1e6) for left in (31, 32)) == {True: 1, False: 1}
    assert not trial.is_worth(32 << 20, 100e6)
