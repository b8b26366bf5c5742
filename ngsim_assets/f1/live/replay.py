"""Sessions of the past as if they went on now, at any speed: recordings, folders of the archive.

A recording is told line by line as it is. Of a folder, the files of all topics are merged by
session time, and each line is written as the live hub would have told it: topic, the content as
delivered, and UTC by the clock of the session. A line that is no message is told as it is, after
the line that stands before it in its file.

Belongs here: what comes when. Does not belong here: what lines mean (reading/).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.f1.clock import SessionClock, clock_of
from ngsim_assets.f1.errors import SessionUnknown
from ngsim_assets.f1.formats import session_time
from ngsim_assets.f1.live.errors import CannotReplay
from ngsim_assets.f1.reading.feed_lines import SUFFIX, bounded, read_file, topic_of
from ngsim_assets.f1.reading.messages import Item, Message
from ngsim_assets.f1.reading.recordings import RecordingReader, utc
from ngsim_assets.f1.sessions import of_messages
from ngsim_assets.f1.simulate import Scenario, recording_lines, simulate

Timed = tuple[datetime | None, bytes]
"""When a line came, None if it does not tell, and the line."""

_BOM = b"\xef\xbb\xbf"
_TIME = re.compile(rb"\s*(\d{1,3}:\d\d:\d\d(?:\.\d+)?)")
_STAMP = re.compile(rb"""['"](\d{4}-\d\d-\d\dT[0-9:.]{8,16}Z?)['"]\s*\]\s*\}?\s*$""")
_CLOCKS = ("CarData.z", "Position.z", "Heartbeat", "ExtrapolatedClock")
_ROUGHLY = ("SessionInfo", "SessionStatus", "RaceControlMessages")
_BREATH: Final = 50
"""Lines after which others get their turn, where nothing is waited for."""


class Replay:
    """A session of the past as a stream.

    Args:
        speed: how many times as fast as it was; None: as fast as it is taken.
    """

    def __init__(self, path: Path, *, speed: float | None = None) -> None:
        if speed is not None and speed <= 0:
            raise CannotReplay(str(path), f"a speed of {speed} is none")
        if not (path.is_file() or path.is_dir()):  # a pipe that nobody writes to is never read
            raise CannotReplay(str(path), "there is no such file or folder")
        whole = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
        self.name = f"replay-{whole}"
        self.notes: list[str] = []
        self.pace = Pace(speed)
        self._path = path

    async def lines(self, after: int = 0) -> AsyncGenerator[bytes]:
        """Its lines after the first `after`, when it is time for them."""
        timed = await in_thread(self._timed)
        async for line in self.pace.lines(timed, after):
            yield line

    async def close(self) -> None:
        """Nothing works for it."""

    def _timed(self) -> Iterator[Timed]:
        return of_folder(self._path) if self._path.is_dir() else of_recording(self._path)


class SimulatedStream:
    """A session that never took place, as a stream; nothing of it is written to files before."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        speed: float | None = None,
        telemetry: tuple[int, int] | None = None,
    ) -> None:
        whole = hashlib.sha256(repr((scenario, telemetry)).encode()).hexdigest()[:12]
        self.name = f"simulated-{whole}"
        self.notes: list[str] = []
        self._scenario = scenario
        self.pace = Pace(speed)
        self._telemetry = telemetry

    async def lines(self, after: int = 0) -> AsyncGenerator[bytes]:
        """Its lines after the first `after`, when it is time for them."""
        made = await in_thread(self._made)
        timed = ((_moment_of(line), line) for line in made)
        async for line in self.pace.lines(timed, after):
            yield line

    async def close(self) -> None:
        """Nothing works for it."""

    def _made(self) -> list[bytes]:
        session = simulate(self._scenario, telemetry=self._telemetry)
        return list(recording_lines(session.messages, self._scenario.feed_start))


def replay(path: Path, speed: float | None = None) -> Replay:
    """The session of a recording, or of a folder of `.jsonStream` files, as a stream."""
    return Replay(path, speed=speed)


async def items(
    lines: AsyncGenerator[bytes], session: str, file: str, *, first: int = 1
) -> AsyncGenerator[Item]:
    """What the lines of a stream become, counted from `first`."""
    reader, row = RecordingReader(session, file), first
    async for line in lines:
        for item in reader.read(line, row):
            yield item
        row += 1


class Pace:
    """When which line is due.

    Args:
        speed: how many times as fast as it was; None: every line is due at once.

    Attributes:
        late: seconds that a line was told too late at most, since others had work to do.
    """

    def __init__(self, speed: float | None) -> None:
        self.late = 0.0
        self._speed = speed

    async def lines(self, timed: Iterator[Timed], after: int = 0) -> AsyncGenerator[bytes]:
        """Lines after the first `after`, each when its time has come."""
        loop = asyncio.get_running_loop()
        began, first, speed = loop.time(), None, self._speed
        for number, (moment, line) in enumerate(timed):
            if number < after:
                continue
            if speed is not None and moment is not None:
                first = first or moment
                due = began + (moment - first).total_seconds() / speed
                if (left := due - loop.time()) > 0:
                    await asyncio.sleep(left)
                self.late = max(self.late, loop.time() - due)
            if number % _BREATH == 0:
                await asyncio.sleep(0)
            yield line


def of_recording(path: Path) -> Iterator[Timed]:
    """Lines of a recording as they are."""
    with path.open("rb") as file:
        for line in bounded(file):
            yield _moment_of(line), line


def of_folder(folder: Path) -> Iterator[Timed]:
    """Lines of all topics of a session as its recording would have them, in order of time."""
    files = sorted(path for path in folder.rglob(f"*{SUFFIX}") if path.is_file())
    places = {file.parent for file in files}
    if len(places) != 1:
        what = "holds several sessions" if places else f"has no {SUFFIX} files"
        raise CannotReplay(str(folder), f"it {what}")
    clock = _clock(files, str(folder))
    told: list[tuple[int, int, bytes]] = []
    for file in files:
        told += _lines_of(file, clock)
    told.sort(key=lambda line: line[0])
    return ((clock.utc(time), line) for time, _, line in told)


def _lines_of(path: Path, clock: SessionClock) -> Iterator[tuple[int, int, bytes]]:
    """Time, number and text of every line of a topic."""
    topic, latest = topic_of(path.name).encode(), 0
    with path.open("rb") as file:
        for number, line in enumerate(bounded(file)):
            body = line.removeprefix(_BOM).rstrip(b"\r\n")
            found = _TIME.match(body)
            time = session_time(found[1].decode()) if found else None
            if found is None or time is None:
                if body.strip():
                    yield latest, number, body + b"\n"
                continue
            latest = max(latest, time)
            stamp = clock.utc(time).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
            told = b'["%s",%s,"%s"]\n' % (topic, body[found.end() :], stamp.encode())
            yield time, number, told


def _clock(files: list[Path], folder: str) -> SessionClock:
    """The clock of a session; without one it begins when it is said to begin."""
    messages: list[Message] = []
    for file in files:
        if topic_of(file.name) in (*_CLOCKS, *_ROUGHLY):
            messages += read_file(file, folder).messages
    try:
        info = of_messages(messages)
    except SessionUnknown:
        info = None
    clock = clock_of(messages, info)
    if clock is None and info is not None:
        clock = SessionClock(info.start - timedelta(hours=1), 3_600_000, "an hour before it begins")
    if clock is None:
        raise CannotReplay(folder, "nothing in it tells the time of day")
    return clock


def _moment_of(line: bytes) -> datetime | None:
    found = _STAMP.search(line[-80:])
    return utc(found[1].decode()) if found else None
