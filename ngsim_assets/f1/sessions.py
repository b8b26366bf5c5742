"""What a session is: meeting, kind, circuit and scheduled times, as any feed tells them.

Belongs here: the description of a session and how each feed writes it. Does not belong here: what
happens in it, facts about circuits (circuits.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from ngsim_assets.f1.circuits import Circuit, circuit_named
from ngsim_assets.f1.errors import BadSessionKey, SessionUnknown
from ngsim_assets.f1.formats import Json, text, whole
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.recordings import utc
from ngsim_assets.f1.timing.folding import at

Kind = Literal["race", "qualifying", "practice"]
_OFFSET = re.compile(r"(-)?(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session as its feed describes it.

    Attributes:
        key: of the session.
        kind: race and sprint race alike; qualifying and its sprint forms; practice and tests.
        name: as delivered, `Sprint Qualifying`. meeting: as delivered, `Miami Grand Prix`.
        location, country, circuit_name: as delivered.
        start, end: scheduled, UTC. offset: of the local clock.
        session_number, meeting_number: Formula 1's own, which OpenF1 has too.
        path: below the archive's root, None if it was not told.
    """

    key: SessionKey
    kind: Kind
    name: str
    meeting: str
    location: str | None
    country: str | None
    circuit_name: str | None
    start: datetime
    end: datetime | None
    offset: timedelta
    session_number: int | None
    meeting_number: int | None
    path: str | None

    @property
    def circuit(self) -> Circuit | None:
        """The circuit, None if circuits.py does not describe it."""
        return circuit_named(self.circuit_name, self.location)

    @property
    def date(self) -> date:
        """Local date of the session."""
        return self.key.date


def of_feed(payload: Json, source: str) -> SessionInfo:
    """A session as SessionInfo of the live timing describes it; SessionUnknown if it does not."""
    meeting = at(payload, "Meeting")
    return _session(
        source,
        meeting_name=text(at(meeting, "Name")),
        name=text(at(payload, "Name")),
        kind=text(at(payload, "Type")),
        start=text(at(payload, "StartDate")),
        end=text(at(payload, "EndDate")),
        offset=text(at(payload, "GmtOffset")),
        location=text(at(meeting, "Location")),
        country=text(at(meeting, "Country", "Name")),
        circuit=text(at(meeting, "Circuit", "ShortName")),
        numbers=(whole(at(payload, "Key")), whole(at(meeting, "Key"))),
        path=text(at(payload, "Path")),
    )


def of_openf1(row: Json, source: str, *, meeting: str | None = None) -> SessionInfo:
    """A session as a row of OpenF1's `sessions` describes it; SessionUnknown if it does not.

    Args:
        meeting: name of the meeting (of the endpoint `meetings`); by default the location, which
            is all that the row has.
    """
    return _session(
        source,
        meeting_name=meeting or text(at(row, "location")),
        name=text(at(row, "session_name")),
        kind=text(at(row, "session_type")),
        start=text(at(row, "date_start")),
        end=text(at(row, "date_end")),
        offset=text(at(row, "gmt_offset")),
        location=text(at(row, "location")),
        country=text(at(row, "country_name")),
        circuit=text(at(row, "circuit_short_name")),
        numbers=(whole(at(row, "session_key")), whole(at(row, "meeting_key"))),
        path=None,
    )


def of_index(index: Json, source: str) -> Iterator[SessionInfo]:
    """Every session that a season's `Index.json` describes; what it does not describe is left out.

    A session without a path has no feed in the archive and is told all the same.
    """
    meetings = at(index, "Meetings")
    for meeting in meetings if isinstance(meetings, list) else []:
        sessions = at(meeting, "Sessions")
        for session in sessions if isinstance(sessions, list) else []:
            if not isinstance(session, dict):
                continue
            described: dict[str, Json] = {**session, "Meeting": meeting}
            try:
                yield of_feed(described, source)
            except SessionUnknown:
                continue


def of_messages(messages: Iterable[Message]) -> SessionInfo | None:
    """The session that the first SessionInfo among `messages` describes; None without one.

    One that is damaged is passed over if another describes the session: SessionUnknown if none
    does.
    """
    damaged: SessionUnknown | None = None
    for message in messages:
        try:
            if message.topic == "SessionInfo":
                return of_feed(message.payload, f"{message.file}, line {message.line}")
            if message.topic == "openf1/sessions":
                return of_openf1(message.payload, f"{message.file}, row {message.line}")
        except SessionUnknown as error:
            damaged = damaged or error
    if damaged is not None:
        raise damaged
    return None


def _session(
    source: str,
    *,
    meeting_name: str | None,
    name: str | None,
    kind: str | None,
    start: str | None,
    end: str | None,
    offset: str | None,
    location: str | None,
    country: str | None,
    circuit: str | None,
    numbers: tuple[int | None, int | None],
    path: str | None,
) -> SessionInfo:
    told: Mapping[str, str | None] = {"meeting": meeting_name, "name": name, "start": start}
    missing = [what for what, value in told.items() if value is None]
    shift = _offset(offset)
    if missing or meeting_name is None or name is None or start is None:
        raise SessionUnknown(source, f"no {', '.join(missing)}")
    begins = _moment(start, shift)
    if begins is None:
        raise SessionUnknown(source, f"its start reads {start!r}")
    try:
        key = SessionKey.of((begins + shift).date(), meeting_name, name)
    except BadSessionKey as error:
        raise SessionUnknown(source, str(error)) from None
    return SessionInfo(
        key=key,
        kind=kind_of(kind or name),
        name=name,
        meeting=meeting_name,
        location=location,
        country=country,
        circuit_name=circuit,
        start=begins,
        end=_moment(end, shift) if end else None,
        offset=shift,
        session_number=numbers[0],
        meeting_number=numbers[1],
        path=path,
    )


def kind_of(told: str) -> Kind:
    """The kind of a session by its name or type, `Sprint Shootout` or `practice-1`."""
    lowered = told.lower()
    if "qualifying" in lowered or "shootout" in lowered:
        return "qualifying"
    return "race" if "race" in lowered or "sprint" in lowered else "practice"


def _offset(told: str | None) -> timedelta:
    """`-06:00:00` as a duration."""
    if told is None:
        return timedelta(0)
    found = _OFFSET.fullmatch(told)
    if found is None:
        return timedelta(0)
    hours, minutes, seconds = (int(part or 0) for part in found.group(2, 3, 4))
    shift = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return -shift if found[1] else shift


def _moment(told: str, shift: timedelta) -> datetime | None:
    """A scheduled time in UTC: the feeds write local clocks, OpenF1 says its zone."""
    moment = utc(told)
    if moment is None or datetime.fromisoformat(told).tzinfo is not None:
        return moment
    return moment - shift
