"""Sessions that never took place, in the files that the archive would have of them.

Belongs here: simulated sessions as a place of their own, and as a tree that a server can serve as
the archive. Does not belong here: what happens in them (simulate.py, simulation/).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ngsim_assets import __version__
from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.origin import SourceKind
from ngsim_assets.f1.reading.feed_lines import SUFFIX
from ngsim_assets.f1.sessions import of_feed
from ngsim_assets.f1.simulate import feed_files, simulate
from ngsim_assets.f1.simulation.scenario import SIMULATED, Scenario, introduction
from ngsim_assets.f1.sources.archive import lines_of
from ngsim_assets.f1.sources.places import Found, Parts
from ngsim_assets.f1.timing.folding import at
from ngsim_assets.storage.atomic import write_atomically

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

_SESSIONS = 5
"""Of a meeting, in a schedule; the last one is the race."""

Span = tuple[int, int]
"""Of telemetry: from and to, ms since the start of the feed."""


class Simulated:
    """Races by their scenarios.

    Args:
        telemetry: span of which cars tell their data and positions; None: none.
    """

    kind: SourceKind = "livetiming"

    def __init__(self, scenarios: Sequence[Scenario], *, telemetry: Span | None = None) -> None:
        self._scenarios = {str(scenario.session): scenario for scenario in scenarios}
        self._telemetry = telemetry

    async def sessions(self, session: Session) -> AsyncIterator[Found]:
        """One per scenario."""
        for scenario in self._scenarios.values():
            yield found_in(scenario)

    @property
    def scenarios(self) -> list[Scenario]:
        """All of them."""
        return list(self._scenarios.values())

    def scenario(self, found: Found) -> Scenario:
        """What a session was made of."""
        return self._scenarios[str(found.key)]

    def url_of(self, found: Found) -> str:
        """A name for people: nothing can be asked there."""
        return f"simulated://{found.key}"

    def chosen(self, parts: Parts) -> tuple[str, ...]:
        """The topics."""
        return parts.topics

    async def look(
        self, session: Session, resource: Resource, found: Found, part: str
    ) -> Description | None:
        """Equal scenarios have equal files; None for a topic that a simulation does not have."""
        files = await self._files(found)
        if f"{part}{SUFFIX}" not in files:
            return None
        return Description(version=version_of(self._scenarios[str(found.key)], self._telemetry))

    async def take(
        self,
        session: Session,
        resource: Resource,
        found: Found,
        part: str,
        description: Description,
    ) -> Sequence[Artifact]:
        """The file of a topic."""
        name = f"{part}{SUFFIX}"
        body = (await self._files(found))[name]
        url = f"{self.url_of(found)}/{name}"

        def write(target: Path) -> int:
            target.write_bytes(body)
            return lines_of(target, url)

        return [await session.keep(resource, name, write, url=url)]

    async def _files(self, found: Found) -> dict[str, bytes]:
        return await in_thread(_files, self._scenarios[str(found.key)], self._telemetry)


def found_in(scenario: Scenario) -> Found:
    """The session of a scenario."""
    return Found.of(of_feed(introduction(scenario)[0].content, f"simulated://{scenario.session}"))


def version_of(scenario: Scenario, telemetry: Span | None = None) -> str:
    """Differs wherever the files of a session differ."""
    told = f"{scenario!r} {telemetry} {__version__}"
    return f"simulated-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def path_of(scenario: Scenario) -> str:
    """Where an archive has the session, by the names and dates that FastF1 builds paths of."""
    key = scenario.session
    return f"{key.date.year}/{key.date}_{scenario.meeting}/{key.date}_Race".replace(" ", "_")


def schedule_of(scenarios: Sequence[Scenario]) -> dict[str, Json]:
    """The season of simulated sessions, as FastF1 reads it: each column a value per event."""
    events: list[dict[str, Json]] = []
    for number, scenario in enumerate(scenarios, start=1):
        told = introduction(scenario)[0].content
        start, offset = str(at(told, "StartDate")), str(at(told, "GmtOffset"))
        event: dict[str, Json] = {
            "round_number": number,
            "country": SIMULATED,
            "location": at(told, "Meeting", "Location"),
            "official_event_name": scenario.meeting,
            "event_date": start,
            "event_name": scenario.meeting,
            "gmt_offset": offset[:-3] if offset.startswith("-") else f"+{offset[:-3]}",
            "event_format": "conventional",
        }
        for place in range(1, 6):
            last = place == _SESSIONS
            event[f"session{place}"] = "Race" if last else None
            event[f"session{place}_date"] = start if last else None
        events.append({**event, "f1_api_support": True})
    columns = events[0] if events else {}
    return {name: {str(row): event[name] for row, event in enumerate(events)} for name in columns}


def write_archive(
    root: Path, scenarios: Sequence[Scenario], *, telemetry: Span | None = None
) -> None:
    """Write simulated sessions as the archive has its own: `Index.json` and a file per topic."""
    seasons: dict[int, list[Json]] = {}
    for scenario in scenarios:
        told = introduction(scenario)[0].content
        if not isinstance(told, dict):
            continue
        folder = root / path_of(scenario)
        for name, body in _files(scenario, telemetry).items():
            write_atomically(folder / name, body)
        meeting = told["Meeting"]
        session = {key: value for key, value in told.items() if key != "Meeting"}
        session["Path"] = f"{path_of(scenario)}/"
        listed: Json = {**meeting, "Sessions": [session]} if isinstance(meeting, dict) else {}
        seasons.setdefault(scenario.start.year, []).append(listed)
    for year, meetings in seasons.items():
        index = json.dumps({"Year": year, "Meetings": meetings})
        write_atomically(root / str(year) / "Index.json", f"\ufeff{index}")


@lru_cache(maxsize=2)
def _files(scenario: Scenario, telemetry: Span | None) -> dict[str, bytes]:
    """Topic files by name; a source asks for them one by one."""
    return feed_files(simulate(scenario, telemetry=telemetry).messages)
