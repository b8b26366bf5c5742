"""OpenF1's rows to the same tables: laps, weather, race control and status.

OpenF1 has the sectors of a lap and when it began, in UTC; the time in the pit lane with when it
ended; and messages of race control in place of the status of the track, which is told from them.

Belongs here: what OpenF1's endpoints say of laps. Does not belong here: reading responses
(reading/openf1.py), car data (telemetry/).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from ngsim_assets.f1.clock import SessionClock
from ngsim_assets.f1.formats import OPENF1, Json, number, text, whole
from ngsim_assets.f1.model import (
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.neutralisations.messages import Told, changes_of
from ngsim_assets.f1.neutralisations.phases import Moment
from ngsim_assets.f1.origin import Origin, Row, frame
from ngsim_assets.f1.race_control import deletions, openf1_message
from ngsim_assets.f1.reading.messages import Message, set_aside
from ngsim_assets.f1.reading.recordings import utc
from ngsim_assets.f1.sessions import kind_of
from ngsim_assets.f1.timing.closing import ClosedLap
from ngsim_assets.f1.timing.folding import at
from ngsim_assets.f1.timing.laps import Around, Named, lap_table
from ngsim_assets.f1.timing.session import Folded, SessionTables
from ngsim_assets.f1.timing.stints import stints_of_openf1
from ngsim_assets.f1.weather import openf1_observation

USED: Final = frozenset(
    {"drivers", "laps", "pit", "position", "race_control", "sessions", "stints", "weather"}
)
"""Endpoints whose rows become rows here; those of others are kept as messages."""

_LONGEST_S: Final = 86_400
_STATUS_NAMES: Final = {
    "1": "AllClear",
    "2": "Yellow",
    "4": "SCDeployed",
    "5": "Red",
    "6": "VSCDeployed",
    "7": "VSCEnding",
}
_SESSION_STATUSES: Final = {
    "SESSION STARTED": "Started",
    "SESSION RESUMED": "Started",
    "SESSION ABORTED": "Aborted",
    "SESSION STOPPED": "Aborted",
    "SESSION FINISHED": "Finished",
    "SESSION FINALISED": "Finalised",
    "SESSION ENDED": "Ends",
}


def tables_of_openf1(
    messages: Iterable[Message], origin: Origin, *, clock: SessionClock | None = None
) -> tuple[SessionTables, Folded]:
    """The rows of a session that OpenF1's responses tell, and the account.

    Args:
        clock: what session times count from; by default the first time any row tells.
    """
    taken = list(messages)
    account = Folded(messages=len(taken))
    rows: dict[str, list[Message]] = defaultdict(list)
    for message in taken:
        endpoint = message.topic.removeprefix(OPENF1)
        if not message.topic.startswith(OPENF1):
            account.aside.append(set_aside(message, "unknown_topic", "is no row of OpenF1"))
        elif endpoint not in USED:
            account.passed_on += 1
        elif endpoint == "laps" and _identity(message) is None:
            account.aside.append(set_aside(message, "not_a_message", "tells no driver or no lap"))
        else:
            account.folded[message.topic] += 1
            rows[endpoint].append(message)
    clock = clock or _first_time(taken)
    if clock is not None:
        rows = defaultdict(list, {name: [*map(clock.place, told)] for name, told in rows.items()})
    control = sorted(rows["race_control"], key=_time)
    changes = _track_changes(control)
    around = Around(
        origin=origin,
        race=kind_of(origin.session.session) == "race",
        clock=clock,
        statuses=[(_time(message), code) for message, code in changes],
        stints=stints_of_openf1([message.payload for message in rows["stints"]]),
        drivers=_drivers(rows["drivers"]),
        deletions=deletions(
            told for message in control if (told := text(at(message.payload, "message")))
        ),
    )
    closed = _laps(rows["laps"], rows["pit"], rows["position"], clock)
    tables = SessionTables(
        laps=lap_table(closed, around),
        weather=frame(F1_WEATHER, (openf1_observation(origin, told) for told in rows["weather"])),
        track_status=frame(F1_TRACK_STATUS, (_status(origin, *change) for change in changes)),
        race_control=frame(
            F1_RACE_CONTROL, (openf1_message(origin, told) for told in rows["race_control"])
        ),
        session_status=frame(F1_SESSION_STATUS, _session_statuses(origin, control)),
    )
    return tables, account


def _identity(message: Message) -> tuple[int, int] | None:
    car, lap = (whole(at(message.payload, name)) for name in ("driver_number", "lap_number"))
    return None if car is None or lap is None else (car, lap)


def _first_time(messages: Sequence[Message]) -> SessionClock | None:
    times = [message.utc for message in messages if message.utc is not None]
    return SessionClock(min(times), 1, "the first row") if times else None


def _time(message: Message) -> int:
    return 0 if message.session_time is None else message.session_time


def _drivers(rows: Iterable[Message]) -> dict[int, Named]:
    return {
        car: Named(text(at(row.payload, "name_acronym")), text(at(row.payload, "team_name")))
        for row in rows
        if (car := whole(at(row.payload, "driver_number"))) is not None
    }


def _laps(
    laps: Iterable[Message],
    pits: Iterable[Message],
    positions: Iterable[Message],
    clock: SessionClock | None,
) -> list[ClosedLap]:
    """The laps of all drivers that are over: of the last ones only those with a third sector."""
    told: dict[int, dict[int, Message]] = defaultdict(dict)
    for message in laps:
        identity = _identity(message)
        if identity is not None:
            # a lap that is told again is told better
            told[identity[0]][identity[1]] = message
    visits = _visits(pits)
    places = _places(positions)
    closed: list[ClosedLap] = []
    for car, by_number in sorted(told.items()):
        best: int | None = None
        for lap_number, message in sorted(by_number.items()):
            following = by_number.get(lap_number + 1)
            if following is None and at(message.payload, "duration_sector_3") is None:
                continue
            out_at, into = visits.get((car, lap_number)), visits.get((car, lap_number + 1))
            lap = _lap(car, lap_number, message, following, out_at, into, clock)
            faster = lap.lap_time is not None and (best is None or lap.lap_time < best)
            best = lap.lap_time if faster else best
            position = _place_at(places.get(car, ([], [])), lap.end)
            closed.append(replace(lap, personal_best=faster, position=position))
    return closed


_Visit = tuple[int, int | None]
"""Session times of leaving and of entering the pits, ms."""


def _visits(pits: Iterable[Message]) -> dict[tuple[int, int], _Visit]:
    """Visits to the pits by driver and by the lap that began with the way out."""
    found: dict[tuple[int, int], _Visit] = {}
    for message in pits:
        identity = _identity(message)
        if identity is None or message.session_time is None:
            continue
        lane = _ms(at(message.payload, "lane_duration")) or _ms(at(message.payload, "pit_duration"))
        entered = None if lane is None else message.session_time - lane
        found[identity] = (message.session_time, entered)
    return found


def _lap(
    car: int,
    lap_number: int,
    message: Message,
    following: Message | None,
    visit: _Visit | None,
    next_visit: _Visit | None,
    clock: SessionClock | None,
) -> ClosedLap:
    row = message.payload
    first, second, third = (_ms(at(row, f"duration_sector_{sector}")) for sector in (1, 2, 3))
    out = at(row, "is_pit_out_lap") is True
    lap_time = _ms(at(row, "lap_duration"))
    if out and first is None:
        lap_time = None  # it counts the stay in the garage
    start = _session_time(at(row, "date_start"), clock)
    end = None if start is None or lap_time is None else start + lap_time
    if end is None and following is not None and next_visit is None:
        end = _session_time(at(following.payload, "date_start"), clock)
    pit_in = next_visit[1] if next_visit else None
    if end is None:
        end = pit_in
    last = None if end is None or third is None else end - third
    return ClosedLap(
        driver_number=car,
        lap_number=lap_number,
        lap_time=lap_time,
        lap_time_from=None if lap_time is None else "delivered",
        sectors=(first, second, third),
        sector_ends=(
            None if last is None or second is None else last - second,
            last,
            end if third is not None else None,
        ),
        start=start,
        end=end,
        pit_in=pit_in,
        pit_out=None if not out else visit[0] if visit else start,
        speeds={
            trap: speed
            for trap, name in (("I1", "i1_speed"), ("I2", "i2_speed"), ("ST", "st_speed"))
            if (speed := number(at(row, name))) is not None
        },
        personal_best=False,
        position=None,
        gap=None,
        file=message.file,
        row=message.line,
    )


def _ms(seconds: Json) -> int | None:
    """Milliseconds of a time in seconds; None for one that is not above zero, or days long."""
    value = number(seconds)
    return round(value * 1000) if value is not None and 0 < value < _LONGEST_S else None


def _session_time(told: Json, clock: SessionClock | None) -> int | None:
    moment: datetime | None = utc(told) if isinstance(told, str) else None
    return None if moment is None or clock is None else clock.session_time(moment)


def _places(positions: Iterable[Message]) -> dict[int, tuple[list[int], list[int]]]:
    """Times and positions of every driver."""
    found: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for message in sorted(positions, key=_time):
        car = whole(at(message.payload, "driver_number"))
        position = whole(at(message.payload, "position"))
        if car is not None and position is not None:
            found[car][0].append(_time(message))
            found[car][1].append(position)
    return found


def _place_at(places: tuple[list[int], list[int]], time: int | None) -> int | None:
    times, positions = places
    known = bisect_right(times, time) if time is not None else 0
    return positions[known - 1] if known else None


def _track_changes(control: Sequence[Message]) -> list[tuple[Message, str]]:
    """Messages of race control that change the status of the track, with the code."""
    changes: list[tuple[Message, str]] = []
    yellow: set[Json] = set()
    for message in control:
        told = _told(message)
        code = changes[-1][1] if changes else "1"
        new: str | None = next((change.code for change in changes_of([told])), None)
        sector = at(message.payload, "sector")
        if told.flag in ("YELLOW", "DOUBLE YELLOW"):
            yellow.add(sector if isinstance(sector, int) else None)
            new = "2" if code == "1" else None
        elif told.flag == "CLEAR" and told.scope == "Sector":
            yellow.discard(sector if isinstance(sector, int) else None)
            new = "1" if code == "2" and not yellow else None
        elif told.flag == "GREEN":
            new = "1"
        if new == "1":
            yellow.clear()
        if new in _STATUS_NAMES and (new != code or not changes):
            changes.append((message, new))
    return changes


def _told(message: Message) -> Told:
    row = message.payload
    return Told(
        at=Moment(message.session_time, message.utc),
        text=text(at(row, "message")) or "",
        flag=text(at(row, "flag")),
        scope=text(at(row, "scope")),
    )


def _status(origin: Origin, message: Message, code: str) -> Row:
    return {
        **origin.of(message),
        "code": code,
        "message": _STATUS_NAMES[code],
        "simulated": origin.simulated,
        "flags": [],
    }


def _session_statuses(origin: Origin, control: Iterable[Message]) -> Iterable[Row]:
    for message in control:
        status = _SESSION_STATUSES.get(text(at(message.payload, "message")) or "")
        if status is not None:
            yield {**origin.of(message), "status": status}
