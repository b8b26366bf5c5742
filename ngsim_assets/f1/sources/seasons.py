"""Schedules of seasons as FastF1 reads them, and where the archive has each session.

Belongs here: `schedule_2018.json`. Does not belong here: asking for it, the archive's own lists
(sessions.of_index).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ngsim_assets.f1.errors import BadSessionKey
from ngsim_assets.f1.formats import Json, text
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.reading.content import Unusable, read_json
from ngsim_assets.f1.sources.errors import NotASeason
from ngsim_assets.f1.timing.folding import at

_SESSIONS = range(1, 6)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A session of a season.

    Attributes:
        meeting, name: as the schedule calls them, by which FastF1 is asked. start: UTC.
        path: below the archive's root. supported: whether the archive is said to have it.
    """

    key: SessionKey
    year: int
    meeting: str
    name: str
    start: datetime
    path: str
    supported: bool = True


def of_schedule(body: bytes, year: int, url: str) -> Iterator[Scheduled]:
    """Every session with a date; NotASeason for a body of another form."""
    try:
        told = read_json(body)
    except Unusable as why:
        raise NotASeason(url, why.detail) from None
    events = at(told, "event_name")
    if not isinstance(events, dict):
        raise NotASeason(url, "no event_name in it")
    for row in events:
        meeting, last = text(at(told, "event_name", row)), _local(at(told, "event_date", row))
        if meeting is None or last is None:
            continue
        for number in _SESSIONS:
            name = text(at(told, f"session{number}", row))
            begins = _local(at(told, f"session{number}_date", row))
            if name is None or begins is None:
                continue
            try:
                key = SessionKey.of(begins.date(), meeting, name)
            except BadSessionKey as error:
                raise NotASeason(url, error.problem) from None
            yield Scheduled(
                key,
                year,
                meeting,
                name,
                (begins - _offset(text(at(told, "gmt_offset", row)))).replace(tzinfo=UTC),
                _path(meeting, last.date(), name, begins.date()),
                at(told, "f1_api_support", row) is True,
            )


def _path(meeting: str, last: date, name: str, day: date) -> str:
    """Where the archive has a session: by the last day of the meeting and its own."""
    return f"{last.year}/{last} {meeting}/{day} {name}".replace(" ", "_")


def _local(told: Json) -> datetime | None:
    try:
        return datetime.fromisoformat(str(told)).replace(tzinfo=None)
    except ValueError:
        return None


def _offset(told: str | None) -> timedelta:
    """`+02:00` as a duration; nothing where it is not told."""
    moment = _aware(f"2000-01-01T00:00{told}") if told else None
    return (moment.utcoffset() if moment else None) or timedelta()


def _aware(told: str) -> datetime | None:
    try:
        return datetime.fromisoformat(told)
    except ValueError:
        return None
