"""The weather of sessions: as it was, of the place they come from; as it is foretold, of services.

Of a session that has begun there are observations. Of one that is under way or comes within the
reach of a service there is its forecast, asked for once an hour at most.

Belongs here: which files weather is made of, and their rows. Does not belong here: forms of the
services (forecasts.py), places, judging values.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.acquisition.transfer.errors import AccessRefused
from ngsim_assets.f1.errors import FeedUnreadable
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin, Row
from ngsim_assets.f1.simulation.weather import MockWeatherGenerator
from ngsim_assets.f1.sources import forecasts
from ngsim_assets.f1.sources.errors import KeyRefused, NotAForecast
from ngsim_assets.f1.sources.feed_source import FeedSource, has_begun
from ngsim_assets.f1.sources.forecasts import OPEN_METEO, OPENWEATHERMAP, SERVICES, Service
from ngsim_assets.f1.sources.places import Found, Parts, Place
from ngsim_assets.f1.sources.simulated import Simulated
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

WEATHER: Final = Parts(
    topics=("SessionInfo", "SessionStatus", "RaceControlMessages", "WeatherData"),
    endpoints=("sessions", "weather"),
)

_LONGEST = timedelta(hours=4)
"""Of a session whose end is not told."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Asked:
    service: Service
    found: Found


class WeatherIngestor(FeedSource):
    """Observations and forecasts of the sessions of a place.

    Args:
        services: that are asked for forecasts; by default Open-Meteo, and OpenWeatherMap if there
            is a key. A simulated place tells its own, in the form of Open-Meteo.
        now: the time.
    """

    name = "f1-weather"
    parts = WEATHER

    def __init__(
        self,
        settings: Settings,
        place: Place,
        *,
        services: Iterable[Service] | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(settings, place)
        self._settings = settings
        key = settings.openweathermap_key
        self._key = "" if key is None else key.get_secret_value()
        known = (OPEN_METEO, OPENWEATHERMAP) if self._key else (OPEN_METEO,)
        self._services = known if services is None else tuple(services)
        self._now = now
        self._asked: dict[str, _Asked] = {}

    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        """A resource per session that has begun, and per service and session that it foretells."""
        async for found in self.place.sessions(session):
            if has_begun(found):
                yield self._offer(found)
            for service in self._of(found):
                key = f"{found.key}/{service.name}"
                self._asked[key] = _Asked(service, found)
                url = f"{self._address(service)}{service.path}"
                yield Resource(self.name, key, url, {"session": str(found.key)})

    async def describe(self, session: Session, resource: Resource) -> Description:
        """As of any session; a forecast is another one every hour."""
        if resource.key not in self._asked:
            return await super().describe(session, resource)
        hour = self._issued(self._asked[resource.key].found).strftime("%Y-%m-%dT%H")
        return Description(version=f"asked in the hour {hour} UTC")

    async def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        """As of any session; a forecast as its service told it."""
        asked = self._asked.get(resource.key)
        if asked is None:
            async for artifact in super().fetch(session, resource, description):
                yield artifact
            return
        body, headers = await self._forecast(session, resource, asked)
        issued = self._issued(asked.found)
        found = forecasts.read(body, asked.service, issued, resource.url)

        def write(target: Path) -> int:
            target.write_bytes(body)
            return len(found)

        name = f"{asked.service.name}.{issued:%Y%m%dT%H%M%SZ}.json"
        yield await session.keep(resource, name, write, url=resource.url, headers=headers)

    def _of(self, found: Found) -> Iterable[Service]:
        """Services that foretell a session now."""
        if isinstance(self.place, Simulated):
            return (OPEN_METEO,)
        if found.circuit is None or found.start is None:
            return ()
        now = self._now()
        if (found.end or found.start + _LONGEST) < now:
            return ()
        return [one for one in self._services if found.start - now < timedelta(days=one.reach)]

    def _issued(self, found: Found) -> datetime:
        """When a forecast is asked for; a simulated one when its feed begins."""
        if isinstance(self.place, Simulated):
            return self.place.scenario(found).feed_start
        return self._now()

    def _address(self, service: Service) -> str:
        root = self._settings.open_meteo if service is OPEN_METEO else self._settings.openweathermap
        return root.rstrip("/")

    async def _forecast(
        self, session: Session, resource: Resource, asked: _Asked
    ) -> tuple[bytes, Mapping[str, str]]:
        found, service = asked.found, asked.service
        if isinstance(self.place, Simulated):
            scenario = self.place.scenario(found)
            told = MockWeatherGenerator(scenario).forecast(scenario.feed_start)
            return json.dumps(told).encode(), {}
        if found.circuit is None:
            raise RuntimeError("forecasts are offered for known circuits only")
        question = dict(service.asked(found.circuit))
        if service is OPENWEATHERMAP:
            question["appid"] = self._key
        try:
            page = await session.get(resource, resource.url, params=question)
        except AccessRefused as error:
            if service is OPENWEATHERMAP:
                raise KeyRefused(error.problem) from None
            raise
        return page.body, page.headers


def forecast_rows(artifact: Artifact) -> list[Row]:
    """Rows of f1_weather of a file of forecasts that the ingestor kept.

    It was issued when it was asked, which its name tells: the same forecast twice is one file.
    """
    key, _, name = artifact.resource.key.partition("/")
    if name not in SERVICES:
        raise NotAForecast(artifact.url, f"{name!r} is no weather service")
    service, found = SERVICES[name], Found(SessionKey.parse(key))
    origin = Origin(found.key, service.name, simulated=found.simulated)
    try:
        body = artifact.path.read_bytes()
    except OSError as error:
        raise FeedUnreadable(str(artifact.path), error.strerror or str(error)) from None
    stamp = artifact.name.split(".")[-2]
    issued = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return forecasts.rows(body, service, origin, issued, artifact.url)
