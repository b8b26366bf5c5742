"""Seasons of the past, read by FastF1: laps, weather, status and messages as its tables.

A resource is a session. Before FastF1 is started the archive is asked whether it has the timing of
the session at all: if not, that is what is written down, asked again after a week. Sessions of a
year are read one after the other by one process, which ends with the last of them. A session that
was read is complete and not asked for again, so an interrupted season goes on where it was.

Belongs here: which sessions, in which order, and what came of each. Does not belong here: FastF1
itself (fastf1_worker.py), schedules (seasons.py), what its columns mean (fastf1_tables.py).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ngsim_assets.acquisition.errors import DamagedRecord
from ngsim_assets.acquisition.sources import Artifact, AsyncDataSource, Description, Resource
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.acquisition.transfer.errors import AccessRefused, NotFound
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.f1.clock import SessionClock, clock_of
from ngsim_assets.f1.reading.feed_lines import read_lines
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.sessions import of_messages
from ngsim_assets.f1.simulation.scenario import Scenario
from ngsim_assets.f1.sources.errors import (
    ArchiveNotForFastF1,
    FastF1Failed,
    FastF1Limited,
    FastF1Missing,
    SeasonNotThere,
)
from ngsim_assets.f1.sources.fastf1_process import FastF1Process
from ngsim_assets.f1.sources.historical_file import SESSION_FILE, SOURCE, HistoricalFile
from ngsim_assets.f1.sources.places import Wanted
from ngsim_assets.f1.sources.seasons import Scheduled, of_schedule
from ngsim_assets.f1.sources.simulated import (
    path_of,
    schedule_of,
    version_of,
    write_archive,
)
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import write_atomically

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

_BELOW: Final = "/static"
_CLOCKS: Final = ("SessionInfo", "SessionStatus", "RaceControlMessages")
_OFFICIAL = "https://livetiming.formula1.com"
_MIRROR = "https://livetiming-mirror.fastf1.dev"
_OVER = timedelta(days=1)
_ASKED_AGAIN = timedelta(days=7)


def _now() -> datetime:
    return datetime.now(UTC)


class HistoricalIngestor(AsyncDataSource):
    """Sessions of whole seasons by FastF1.

    Args:
        wanted: seasons, and keys of sessions among them. now: the time.
        simulated: races that are read instead: FastF1 reads the files that the archive would
            have of them, off a server of its own process, and nothing else is asked.

    Raises FastF1Missing where the extra `f1` is not installed, ArchiveNotForFastF1.
    """

    name = SOURCE

    def __init__(
        self,
        settings: Settings,
        wanted: Wanted | None = None,
        *,
        simulated: Sequence[Scenario] = (),
        now: Callable[[], datetime] = _now,
    ) -> None:
        try:
            self._version = f"fastf1-{metadata.version('fastf1')}"
        except metadata.PackageNotFoundError:
            raise FastF1Missing from None
        self._archive = settings.f1_archive.rstrip("/")
        if not self._archive.endswith(_BELOW):
            raise ArchiveNotForFastF1(self._archive)
        base = self._archive.removesuffix(_BELOW)
        self._schedules = settings.f1_schedule.rstrip("/")
        self._places = {
            "cache": str(settings.downloads / "fastf1"),
            "archive": base,
            "mirror": _MIRROR if base == _OFFICIAL else base,
            "schedule": f"{self._schedules}/",
            "results": settings.f1_results.rstrip("/"),
        }
        self._wanted = wanted or Wanted()
        self._simulated = {str(scenario.session): scenario for scenario in simulated}
        self._now = now
        self._store = DownloadStore(settings.downloads)
        self._scheduled: dict[str, Scheduled] = {}
        self._there: dict[str, bool] = {}
        self._processes: dict[int, FastF1Process] = {}
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: Counter[int] = Counter()

    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        """Every wanted session that is over, season by season."""
        for scenario in self._simulated.values():
            yield self._offer(scheduled_in(scenario), f"simulated://{scenario.session}")
        if self._simulated:
            return
        missing: list[str] = []
        for year in self._wanted.years:
            url = f"{self._schedules}/schedule_{year}.json"
            try:
                page = await session.get(Resource(self.name, f"schedule/{year}", url), url)
            except NotFound:
                missing.append(str(year))
                continue
            for scheduled in of_schedule(page.body, year, url):
                over = scheduled.start + _OVER < self._now()
                if over and self._wanted.includes(scheduled.key):
                    yield self._offer(scheduled, f"{self._archive}/{scheduled.path}")
        if missing:
            raise SeasonNotThere("the schedule of FastF1", missing)

    def _offer(self, scheduled: Scheduled, url: str) -> Resource:
        key = f"{scheduled.key}/fastf1"
        self._scheduled[key] = scheduled
        return Resource(self.name, key, url, {"session": str(scheduled.key)})

    async def describe(self, session: Session, resource: Resource) -> Description:
        """What is read once is complete; what was not there is looked for again after a week."""
        scheduled = self._scheduled[resource.key]
        if (scenario := self._simulated.get(str(scheduled.key))) is not None:
            return Description(version=f"{self._version}, {version_of(scenario)}")
        complete, absent = self._version, f"not there, by {self._version}"
        held = await in_thread(self._held, resource)
        if held is not None and held[0] == complete:
            return Description(version=complete)
        if held is not None and held[0] == absent and self._now() - held[1] < _ASKED_AGAIN:
            await session.warn(resource, "the archive did not have its timing when last asked")
            self._there[resource.key] = False
            return Description(version=absent)
        self._there[resource.key] = scheduled.supported and await self._has_timing(
            session, resource
        )
        if not self._there[resource.key]:
            await session.warn(resource, "the archive does not have its timing")
        return Description(version=complete if self._there[resource.key] else absent)

    async def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        """A Parquet file per table, then what came of the session."""
        scheduled = self._scheduled[resource.key]
        told = HistoricalFile(scheduled.key, self._version)
        if self._there.get(resource.key, True):
            folder = session.workplace(resource)
            clock = await self._clock(session, resource, scheduled)
            said = await self._read(scheduled, folder)
            told = HistoricalFile.of(scheduled.key, self._version, said, clock)
            for table, rows in told.tables.items():
                path = folder / f"{table}.parquet"
                yield await session.keep(resource, path.name, path, url=resource.url, rows=rows)
        yield await session.keep(resource, SESSION_FILE, told.write, url=resource.url)

    def _held(self, resource: Resource) -> tuple[str, datetime] | None:
        """Version of what there is, and when it was fetched."""
        with suppress(DamagedRecord):  # the pipeline tells of it
            held = self._store.held(self.name, resource.key)
            return None if held is None else (held.version, held.fetched_at)
        return None

    async def _has_timing(self, session: Session, resource: Resource) -> bool:
        try:
            await session.look(resource, f"{resource.url}/TimingData.jsonStream")
        except (NotFound, AccessRefused):
            return False
        return True

    async def _clock(
        self, session: Session, resource: Resource, scheduled: Scheduled
    ) -> SessionClock | None:
        """What messages of the archive tell of the clock."""
        scenario = self._simulated.get(str(scheduled.key))
        if scenario is not None:
            return SessionClock(scenario.feed_start, 1, "the scenario")
        messages: list[Message] = []
        for topic in _CLOCKS:
            url = f"{resource.url}/{topic}.jsonStream"
            with suppress(NotFound, AccessRefused):
                page = await session.get(resource, url)
                lines = page.body.splitlines(keepends=True)
                messages += read_lines(lines, str(scheduled.key), topic, url).messages
        return clock_of(messages, of_messages(messages))

    def _process(self, folder: Path, scheduled: Scheduled) -> FastF1Process:
        """A process that reads the archive, or the files of a simulated session below `folder`."""
        scenario = self._simulated.get(str(scheduled.key))
        if scenario is None:
            return FastF1Process(self._places)
        tree = folder / "archive"
        write_archive(tree / "static", [scenario])
        schedule = json.dumps(schedule_of([scenario]))
        write_atomically(tree / "schedule" / f"schedule_{scheduled.year}.json", schedule)
        return FastF1Process({"cache": str(folder / "cache"), "folder": str(tree)})

    async def _read(self, scheduled: Scheduled, folder: Path) -> dict[str, object]:
        """What the process of the year says of a session, when it is its turn."""
        year, key = scheduled.year, str(scheduled.key)
        self._waiting[year] += 1
        try:
            async with self._turns[year]:
                process = self._processes.get(year)
                if process is None:
                    process = await in_thread(self._process, folder, scheduled)
                    self._processes[year] = process
                asked = {
                    "year": year,
                    "meeting": scheduled.meeting,
                    "session": scheduled.name,
                    "folder": str(folder),
                }
                said = await process.ask(asked, key)
        except BaseException:
            await self._end(year)
            raise
        finally:
            self._waiting[year] -= 1
            if not self._waiting[year] or self._simulated:
                await self._end(year)
        match said.get("status"):
            case "read":
                tables = said.get("tables")
                if not isinstance(tables, dict) or "laps" not in tables:
                    raise FastF1Failed(key, "no laps, although the archive has its timing")
                return said
            case "limited":
                raise FastF1Limited(key, str(said.get("said")))
            case _:
                raise FastF1Failed(key, str(said.get("said")))

    async def _end(self, year: int) -> None:
        process = self._processes.pop(year, None)
        if process is not None:
            await process.end()


def scheduled_in(scenario: Scenario) -> Scheduled:
    """A simulated session as its schedule has it."""
    key = scenario.session
    return Scheduled(
        key, key.date.year, scenario.meeting, "Race", scenario.start, path_of(scenario)
    )
