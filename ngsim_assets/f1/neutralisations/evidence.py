"""What is known of a session's neutralisations, from tables or straight from messages.

Belongs here: which rows and messages speak of them. Does not belong here: what they say together
(table.py), reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from ngsim_assets.f1.formats import Json, text, whole
from ngsim_assets.f1.neutralisations.messages import Told
from ngsim_assets.f1.neutralisations.phases import Change, Moment
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.recordings import utc
from ngsim_assets.f1.timing.folding import at, elements

STARTED = "Started"
FINISHED = ("Finished", "Finalised", "Ends")
"""Statuses of a session; the last of the second kind ends what is still on."""


@dataclass(frozen=True, slots=True)
class LeaderLap:
    """A lap of the leader, since the start of the feed; `end_ms` None while it is on."""

    number: int
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known.

    Attributes:
        changes: of the status of the track.
        told: messages of race control, None if they are not known.
        end: end of the session.
        leader: laps of the leader.
        laps: rows of f1_laps, None if they are not known.
    """

    changes: Sequence[Change]
    told: Sequence[Told] | None = None
    end: Moment | None = None
    leader: Sequence[LeaderLap] = ()
    laps: pl.DataFrame | None = None


def of_tables(
    status: pl.DataFrame,
    race_control: pl.DataFrame | None = None,
    session_status: pl.DataFrame | None = None,
    laps: pl.DataFrame | None = None,
) -> Evidence:
    """What rows of f1_track_status, f1_race_control, f1_session_status and f1_laps tell."""
    changes = [
        Change(moment, code)
        for time, stamp, code in status.select("session_time_ms", "timestamp", "code").iter_rows()
        if (moment := _moment(time, stamp)) is not None
    ]
    columns = ("session_time_ms", "timestamp", "message", "flag", "scope", "status", "mode")
    told = None
    if race_control is not None:
        spoken = race_control.filter(pl.col("message").is_not_null())
        told = [
            Told(moment, *said)
            for time, stamp, *said in spoken.select(*columns).iter_rows()
            if (moment := _moment(time, stamp)) is not None
        ]
    ends: list[Moment] = []
    if session_status is not None:
        ended = session_status.filter(pl.col("status").is_in(FINISHED))
        for time, stamp in ended.select("session_time_ms", "timestamp").iter_rows():
            moment = _moment(time, stamp)
            ends += [] if moment is None else [moment]
    leader = [] if laps is None else leader_of(laps)
    return Evidence(changes, told, _last(ends), leader, laps)


def of_messages(messages: Iterable[Message], laps: pl.DataFrame | None = None) -> Evidence:
    """What messages of TrackStatus, RaceControlMessages, SessionStatus and LapCount tell.

    OpenF1's `race_control` counts as messages of race control. All messages are to have the same
    kind of time: session time, or UTC alone.
    """
    changes: list[Change] = []
    told: list[Told] = []
    ends: list[Moment] = []
    starts: list[Moment] = []
    counts: list[tuple[int, int]] = []
    for message in messages:
        moment = _moment(message.session_time, message.utc)
        if moment is None:
            continue
        delivered = at(message.payload, "Status")
        code = whole(delivered)
        status = text(delivered) if code is None else str(code)
        if message.topic == "TrackStatus" and status is not None:
            changes.append(Change(moment, status))
        elif message.topic == "RaceControlMessages":
            told += _told(message, moment)
        elif message.topic == "openf1/race_control":
            told += _told_by_openf1(message, moment)
        elif message.topic == "SessionStatus" and status in FINISHED:
            ends.append(moment)
        elif message.topic == "SessionStatus" and status == STARTED:
            starts.append(moment)
        elif message.topic == "LapCount" and message.session_time is not None:
            lap = whole(at(message.payload, "CurrentLap"))
            counts += [] if lap is None else [(message.session_time, lap)]
    leader = _counted(counts, starts, ends) if counts else []
    if not leader and laps is not None:
        leader = leader_of(laps)
    return Evidence(changes, told, _last(ends), leader, laps)


def leader_of(laps: pl.DataFrame) -> list[LeaderLap]:
    """Laps of whoever is first in each."""
    first = (
        laps.group_by("lap_number")
        .agg(pl.col("lap_start_ms").min().alias("start"), pl.col("lap_end_ms").min().alias("end"))
        .filter(pl.col("start").is_not_null())
        .sort("lap_number")
    )
    return [LeaderLap(number, start, end) for number, start, end in first.iter_rows()]


def laps_of(leader: Sequence[LeaderLap]) -> pl.DataFrame:
    """Laps of the leader as a table of one driver, for the detector: a field of one."""
    over = [lap for lap in leader if lap.end_ms is not None]
    nothing = pl.Series([None] * len(over), dtype=pl.Int64)
    return pl.DataFrame(
        {
            "driver_number": pl.Series([1] * len(over), dtype=pl.Int32),
            "lap_number": pl.Series([lap.number for lap in over], dtype=pl.Int32),
            "lap_time_ms": nothing,
            "lap_start_ms": pl.Series([lap.start_ms for lap in over], dtype=pl.Int64),
            "lap_end_ms": pl.Series([lap.end_ms for lap in over], dtype=pl.Int64),
            "pit_in_ms": nothing,
            "pit_out_ms": nothing,
        }
    )


def _counted(
    counts: Sequence[tuple[int, int]], starts: Sequence[Moment], ends: Sequence[Moment]
) -> list[LeaderLap]:
    """Laps from the moments at which LapCount rose, the first from the start of the race."""
    begun = min((moment.ms for moment in starts), default=None)
    over = min((moment.ms for moment in ends), default=None)
    rose: list[tuple[int, int]] = []
    for time, lap in sorted(counts):
        if not rose or lap > rose[-1][1]:
            rose.append((time if rose or begun is None else begun, lap))
    laps: list[LeaderLap] = []
    for place, (time, lap) in enumerate(rose):
        end = rose[place + 1][0] if place + 1 < len(rose) else over
        laps.append(LeaderLap(lap, time, end if end is not None and end > time else None))
    return laps


def _told(message: Message, moment: Moment) -> Iterator[Told]:
    for _, said in elements(at(message.payload, "Messages")):
        wording = text(at(said, "Message"))
        told_at = _before(message, at(said, "Utc")) if message.snapshot else moment
        if wording is not None and told_at is not None:
            fields = [text(at(said, name)) for name in ("Flag", "Scope", "Status", "Mode")]
            yield Told(told_at, wording, *fields)


def _before(message: Message, told: Json) -> Moment | None:
    """When a message that a snapshot repeats was told; None if that cannot be placed."""
    own = utc(told) if isinstance(told, str) else None
    if own is None or message.session_time is None:
        return None if own is None else Moment(None, own)
    if message.utc is None:
        return None
    ago = (message.utc - own) // timedelta(milliseconds=1)
    return Moment(message.session_time - ago, own)


def _told_by_openf1(message: Message, moment: Moment) -> Iterator[Told]:
    wording = text(at(message.payload, "message"))
    if wording is not None:
        flag, scope = (text(at(message.payload, name)) for name in ("flag", "scope"))
        yield Told(moment, wording, flag, scope)


def _moment(time: int | None, stamp: datetime | None) -> Moment | None:
    return None if time is None and stamp is None else Moment(time, stamp)


def _last(moments: Sequence[Moment]) -> Moment | None:
    return max(moments, key=lambda moment: moment.ms, default=None)
