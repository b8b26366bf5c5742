"""OpenF1's REST interface: sessions of a season, an array of rows per endpoint.

It allows 30 requests in 10 s: one at a time is made here, a third of a second after the one before
at the earliest, retries included. Endpoints with millions of rows are asked car by car. `[]` and
404 both say that there are no rows.

Belongs here: its addresses, its pace, and what its answers mean. Does not belong here: what rows
say (reading/openf1.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.acquisition.transfer.errors import NotFound
from ngsim_assets.f1.errors import NotAFeed, SessionUnknown
from ngsim_assets.f1.formats import Json, text, whole
from ngsim_assets.f1.origin import SourceKind
from ngsim_assets.f1.reading.content import Unusable, read_json
from ngsim_assets.f1.sessions import of_openf1
from ngsim_assets.f1.sources.errors import SeasonNotThere
from ngsim_assets.f1.sources.places import Found, Parts, Wanted
from ngsim_assets.f1.timing.folding import at
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

SECONDS_APART: Final = 10 / 30
BY_CAR: Final = frozenset({"car_data", "location"})
"""Endpoints that refuse to answer for all cars at once."""

_SETTLED = timedelta(days=2)
"""After the end of a session its rows do not change any more."""


class Pace:
    """One request at a time, none sooner than `seconds` after the one before began."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._next = 0.0

    async def __aenter__(self) -> None:
        await self._turn.acquire()
        try:
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
        except BaseException:
            self._turn.release()
            raise
        self._next = time.monotonic() + self._seconds

    async def __aexit__(self, *_: object) -> None:
        self._turn.release()


class OpenF1:
    """The OpenF1 that the settings name."""

    kind: SourceKind = "openf1"

    def __init__(
        self, settings: Settings, wanted: Wanted, *, seconds_apart: float = SECONDS_APART
    ) -> None:
        self._root = settings.openf1.rstrip("/")
        self._wanted = wanted
        self._pace = Pace(seconds_apart)

    async def sessions(self, session: Session) -> AsyncIterator[Found]:
        """The wanted sessions of every season."""
        missing: list[str] = []
        for year in self._wanted.years:
            resource = Resource(session.source, f"index/{year}", f"{self._root}/sessions")
            asked = {"year": str(year)}
            rows = await self._rows(session, resource, "sessions", asked)
            if not rows:
                missing.append(str(year))
                continue
            meetings = await self._rows(session, resource, "meetings", asked)
            names = {
                whole(at(row, "meeting_key")): text(at(row, "meeting_name")) for row in meetings
            }
            for row in rows:
                name = names.get(whole(at(row, "meeting_key")))
                try:
                    info = of_openf1(row, resource.url, meeting=name)
                except SessionUnknown as error:
                    await session.warn(resource, error.problem)
                    continue
                if self._wanted.includes(info.key):
                    yield Found.of(info)
        if missing:
            raise SeasonNotThere("OpenF1", missing)

    def url_of(self, found: Found) -> str:
        """Its row among the sessions."""
        return f"{self._root}/sessions?session_key={found.number}"

    def chosen(self, parts: Parts) -> tuple[str, ...]:
        """The endpoints."""
        return parts.endpoints

    async def look(
        self, session: Session, resource: Resource, found: Found, part: str
    ) -> Description | None:
        """Nothing is asked: rows of a session that is long over do not change."""
        if found.number is None:
            return None
        over = found.end is not None and found.end + _SETTLED < datetime.now(UTC)
        return Description(version=f"{part} of {found.number}, settled" if over else "")

    async def take(
        self,
        session: Session,
        resource: Resource,
        found: Found,
        part: str,
        description: Description,
    ) -> Sequence[Artifact]:
        """The rows of an endpoint as they came, in a file per car where they are asked so."""
        asked = {"session_key": str(found.number)}
        if part not in BY_CAR:
            return await self._file(session, resource, part, asked, f"{part}.json")
        files: list[Artifact] = []
        for car in await self._cars_of(session, resource, asked):
            by_car = {**asked, "driver_number": str(car)}
            files += await self._file(session, resource, part, by_car, f"{part}_{car}.json")
        return files

    async def _cars_of(
        self, session: Session, resource: Resource, asked: Mapping[str, str]
    ) -> list[int]:
        rows = await self._rows(session, resource, "drivers", asked)
        cars = {whole(at(row, "driver_number")) for row in rows}
        return sorted(car for car in cars if car is not None)

    async def _file(
        self,
        session: Session,
        resource: Resource,
        endpoint: str,
        asked: Mapping[str, str],
        name: str,
    ) -> list[Artifact]:
        body, rows = await self._asked(session, resource, endpoint, asked)
        if not rows:
            return []

        def write(target: Path) -> int:
            target.write_bytes(body)
            return len(rows)

        query = "&".join(f"{key}={value}" for key, value in asked.items())
        url = f"{self._root}/{endpoint}?{query}"
        return [await session.keep(resource, name, write, url=url)]

    async def _rows(
        self, session: Session, resource: Resource, endpoint: str, asked: Mapping[str, str]
    ) -> list[Json]:
        return (await self._asked(session, resource, endpoint, asked))[1]

    async def _asked(
        self, session: Session, resource: Resource, endpoint: str, asked: Mapping[str, str]
    ) -> tuple[bytes, list[Json]]:
        """The body of an answer and its rows; none where there are none."""
        url = f"{self._root}/{endpoint}"
        async with self._pace:
            try:
                page = await session.get(resource, url, params=asked)
            except NotFound:
                return b"", []
        try:
            rows = read_json(page.body)
        except Unusable as why:
            raise NotAFeed(url, f"no whole JSON: {why.detail}") from None
        if not isinstance(rows, list):
            raise NotAFeed(url, f"a {type(rows).__name__} instead of an array of rows")
        return page.body, rows
