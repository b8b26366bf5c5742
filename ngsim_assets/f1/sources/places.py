"""What every place that sessions come from has: a list of sessions, and parts of each.

Belongs here: the contract between an ingestor and a place, and what both know of a session. Does
not belong here: any place (archive.py, openf1.py, simulated.py, recorded.py), any ingestor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.f1.circuits import Circuit
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin, SourceKind
from ngsim_assets.f1.sessions import SessionInfo
from ngsim_assets.f1.simulation.scenario import SIMULATED

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions are asked for.

    Attributes:
        years: seasons. sessions: keys among them; empty: all.
        paths: of the archive, for sessions that no list of it names.
    """

    years: tuple[int, ...] = ()
    sessions: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key in self.sessions:
            SessionKey.parse(key)

    def includes(self, key: SessionKey) -> bool:
        """Whether a session of a list is wanted."""
        return not self.sessions or str(key) in self.sessions


@dataclass(frozen=True, slots=True)
class Found:
    """A session that a place has.

    Attributes:
        number: OpenF1's. path: of the archive, None if it has none. start, end: UTC, scheduled.
        part: names this delivery where a place may have several of one session; empty if not.
    """

    key: SessionKey
    start: datetime | None = None
    end: datetime | None = None
    circuit: Circuit | None = None
    path: str | None = None
    number: int | None = None
    part: str = ""

    @classmethod
    def of(cls, info: SessionInfo) -> Found:
        """A session as its feed describes it."""
        path = None if info.path is None else info.path.strip("/")
        return cls(info.key, info.start, info.end, info.circuit, path, info.session_number)

    @property
    def simulated(self) -> bool:
        """Whether a generator made it: its meeting is called so."""
        return self.key.meeting.startswith(SIMULATED.lower())


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a session an ingestor wants: topics of the live timing, endpoints of OpenF1."""

    topics: tuple[str, ...]
    endpoints: tuple[str, ...]


class Place(Protocol):
    """Where sessions come from."""

    @property
    def kind(self) -> SourceKind:
        """What rows of its files name as their source."""
        ...

    def sessions(self, session: Session) -> AsyncIterator[Found]:
        """The sessions that are wanted, those to come included; raises after the last one."""
        ...

    def url_of(self, found: Found) -> str:
        """Where it is."""
        ...

    def chosen(self, parts: Parts) -> tuple[str, ...]:
        """What of `parts` this place may have, in its own words."""
        ...

    async def look(
        self, session: Session, resource: Resource, found: Found, part: str
    ) -> Description | None:
        """What a part is now; None if there is none."""
        ...

    async def take(
        self,
        session: Session,
        resource: Resource,
        found: Found,
        part: str,
        description: Description,
    ) -> Sequence[Artifact]:
        """The files of a part; none where it turns out that there is nothing."""
        ...


def origin_of(place: Place, found: Found) -> Origin:
    """What rows of its files come from."""
    return Origin(found.key, place.kind, simulated=found.simulated)
