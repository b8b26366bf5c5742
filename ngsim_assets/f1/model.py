"""The tables of the Formula 1 domain: one Pydantic model per table, every column once.

Belongs here: names, types, units, constraints and meanings of columns. Storage, rules, checks
and the column documentation are derived from it. Does not belong here: columns that tables share
(columns.py), any computation, any circuit's numbers (circuits.py).

Units: times of laps and sectors, and times since the start of the feed, are whole milliseconds,
as the timing system counts them. Speeds are m/s; `f1_messages` keeps what was delivered, in its
own units. Temperatures are degrees Celsius and pressures hectopascal, as meteorology has them.
Points in time are UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, Field

from ngsim_assets.f1.columns import (
    DriverNumber,
    Flags,
    Row,
    Session,
    SessionDate,
    SessionTime,
    Simulated,
    SourceFile,
    SourceName,
    SourceRow,
    Timestamp,
)
from ngsim_assets.storage.schema import Column, Table

_SPEED = Column(pl.Float64(), "m/s", 2.0**-12)  # 0.24 mm/s: finer than half of 1 km/h
_SINCE_START = Column(pl.Int64(), "ms")


class RawMessage(Row):
    """A message exactly as delivered, whatever becomes of it."""

    session: Session
    date: SessionDate
    topic: Annotated[
        str,
        Field(description="Topic as delivered; openf1/<endpoint> of a REST response."),
        Column(pl.String()),
    ]
    session_time_ms: SessionTime
    timestamp: Timestamp
    content: Annotated[
        str,
        Field(description="The message as delivered, compressed topics so."),
        Column(pl.String()),
    ]
    source_file: SourceFile
    source_row: SourceRow
    part: Annotated[
        int,
        Field(
            ge=0, description="Place in that line, from 0; only lines of recordings hold several."
        ),
        Column(pl.Int32()),
    ]


class Lap(Row):
    """A lap of one driver that is over."""

    session: Session
    date: SessionDate
    driver_number: DriverNumber
    driver: Annotated[str | None, Field(description="Three letters, VER."), Column(pl.String())]
    team: Annotated[str | None, Field(description="Team as delivered."), Column(pl.String())]
    lap_number: Annotated[
        int, Field(ge=1, description="Lap of that driver, from 1."), Column(pl.Int32())
    ]
    stint: Annotated[
        int | None, Field(ge=1, description="Stint of that driver, from 1."), Column(pl.Int32())
    ]
    lap_time_ms: Annotated[
        int | None,
        Field(gt=0, description="Lap time, null where none was given."),
        Column(pl.Int32(), "ms"),
    ]
    lap_time_from: Annotated[
        Literal["delivered", "sectors", "repeated", "results"] | None,
        Field(
            description="How the lap time is known: delivered; the sum of its sectors where an "
            "empty one was delivered; repeated where it is that of the lap before, which the "
            "feed does not send again; results where it is of the first lap of a race, which the "
            "feed does not tell and a service of results does."
        ),
        Column(pl.String()),
    ]
    sector1_ms: Annotated[
        int | None, Field(gt=0, description="Time of sector 1."), Column(pl.Int32(), "ms")
    ]
    sector2_ms: Annotated[
        int | None, Field(gt=0, description="Time of sector 2."), Column(pl.Int32(), "ms")
    ]
    sector3_ms: Annotated[
        int | None, Field(gt=0, description="Time of sector 3."), Column(pl.Int32(), "ms")
    ]
    lap_start_ms: Annotated[
        int | None, Field(description="Start of the lap since the start of the feed."), _SINCE_START
    ]
    lap_end_ms: Annotated[
        int | None, Field(description="End of the lap since the start of the feed."), _SINCE_START
    ]
    sector1_end_ms: Annotated[
        int | None, Field(description="End of sector 1 since the start of the feed."), _SINCE_START
    ]
    sector2_end_ms: Annotated[
        int | None, Field(description="End of sector 2 since the start of the feed."), _SINCE_START
    ]
    sector3_end_ms: Annotated[
        int | None, Field(description="End of sector 3 since the start of the feed."), _SINCE_START
    ]
    start_timestamp: Annotated[
        datetime | None,
        Field(description="Start of the lap, UTC."),
        Column(pl.Datetime("us", "UTC")),
    ]
    timestamp: Annotated[
        datetime | None,
        Field(description="End of the lap, UTC."),
        Column(pl.Datetime("us", "UTC")),
    ]
    pit_in_ms: Annotated[
        int | None,
        Field(description="Entry into the pits on this lap, since the start of the feed."),
        _SINCE_START,
    ]
    pit_out_ms: Annotated[
        int | None,
        Field(description="Exit from the pits on this lap, since the start of the feed."),
        _SINCE_START,
    ]
    speed_i1: Annotated[
        float | None, Field(ge=0, description="Speed at the first intermediate."), _SPEED
    ]
    speed_i2: Annotated[
        float | None, Field(ge=0, description="Speed at the second intermediate."), _SPEED
    ]
    speed_fl: Annotated[float | None, Field(ge=0, description="Speed at the finish line."), _SPEED]
    speed_st: Annotated[
        float | None, Field(ge=0, description="Speed at the trap on the longest straight."), _SPEED
    ]
    compound: Annotated[
        str | None, Field(description="Tyre compound as delivered, SOFT."), Column(pl.String())
    ]
    tyre_life: Annotated[
        int | None,
        Field(ge=0, description="Laps on this set of tyres at the end of the lap."),
        Column(pl.Int32()),
    ]
    fresh_tyre: Annotated[
        bool | None, Field(description="Whether the set was new."), Column(pl.Boolean())
    ]
    position: Annotated[
        int | None,
        Field(ge=1, le=30, description="Position at the end of the lap."),
        Column(pl.Int32()),
    ]
    track_status: Annotated[
        str | None,
        Field(description="Codes of f1_track_status in force during the lap, in order, 24."),
        Column(pl.String()),
    ]
    personal_best: Annotated[
        bool | None,
        Field(description="Whether it was the driver's best when it was set."),
        Column(pl.Boolean()),
    ]
    deleted: Annotated[
        bool, Field(description="Whether race control deleted its time."), Column(pl.Boolean())
    ]
    deleted_reason: Annotated[
        str | None, Field(description="Why, TRACK LIMITS AT TURN 12."), Column(pl.String())
    ]
    accurate: Annotated[
        bool,
        Field(
            description="Whether the lap tells of the car's pace: timed with all sectors, green "
            "throughout, neither out of nor into the pits."
        ),
        Column(pl.Boolean()),
    ]
    source: SourceName
    simulated: Simulated
    source_file: SourceFile
    source_row: Annotated[
        int, Field(ge=1, description="Line that closed the lap."), Column(pl.Int64())
    ]
    flags: Flags


class Weather(Row):
    """What the weather was at the circuit, or is said to become."""

    session: Session
    date: SessionDate
    kind: Annotated[
        Literal["observation", "forecast"],
        Field(description="Measured at the circuit, or foretold."),
        Column(pl.String()),
    ]
    source: SourceName
    simulated: Simulated
    issue_time: Annotated[
        datetime,
        Field(description="When it was said, UTC: of an observation when it was taken."),
        Column(pl.Datetime("us", "UTC")),
    ]
    valid_time: Annotated[
        datetime, Field(description="When it holds, UTC."), Column(pl.Datetime("us", "UTC"))
    ]
    session_time_ms: SessionTime
    air_temperature: Annotated[
        float | None,
        Field(ge=-20, le=60, description="Air."),
        Column(pl.Float64(), "°C"),
    ]
    track_temperature: Annotated[
        float | None,
        Field(ge=-20, le=80, description="Surface of the track, null in a forecast."),
        Column(pl.Float64(), "°C"),
    ]
    humidity: Annotated[
        float | None, Field(ge=0, le=100, description="Relative."), Column(pl.Float64(), "%")
    ]
    pressure: Annotated[
        float | None,
        Field(gt=0, description="At the height of the circuit, not reduced to sea level."),
        Column(pl.Float64(), "hPa"),
    ]
    wind_speed: Annotated[
        float | None, Field(ge=0, le=60, description="Wind."), Column(pl.Float64(), "m/s")
    ]
    wind_direction: Annotated[
        float | None,
        Field(ge=0, le=360, description="Where the wind comes from, 0 north, 90 east."),
        Column(pl.Float64(), "degree"),
    ]
    rainfall: Annotated[bool | None, Field(description="Whether it rains."), Column(pl.Boolean())]
    precipitation: Annotated[
        float | None,
        Field(ge=0, description="Rain of the hour, forecasts only."),
        Column(pl.Float64(), "mm/h"),
    ]
    precipitation_probability: Annotated[
        float | None,
        Field(ge=0, le=100, description="Probability of rain, forecasts only."),
        Column(pl.Float64(), "%"),
    ]
    source_file: SourceFile
    source_row: SourceRow
    flags: Flags


class TrackStatus(Row):
    """A change of the status of the whole track."""

    session: Session
    date: SessionDate
    session_time_ms: SessionTime
    timestamp: Timestamp
    code: Annotated[
        Literal["1", "2", "4", "5", "6", "7"],
        Field(
            description="1 clear, 2 yellow, 4 safety car, 5 red flag, 6 virtual safety car, 7 "
            "virtual safety car ending."
        ),
        Column(pl.String()),
    ]
    message: Annotated[str | None, Field(description="As delivered."), Column(pl.String())]
    simulated: Simulated
    source_file: SourceFile
    source_row: SourceRow
    flags: Flags


class RaceControlMessage(Row):
    """A message of race control."""

    session: Session
    date: SessionDate
    number: Annotated[
        int, Field(ge=0, description="Number of the message in its session."), Column(pl.Int32())
    ]
    session_time_ms: SessionTime
    timestamp: Timestamp
    lap: Annotated[int | None, Field(ge=0, description="Lap of the leader."), Column(pl.Int32())]
    category: Annotated[
        str | None, Field(description="Flag, SafetyCar, Drs, CarEvent, Other."), Column(pl.String())
    ]
    flag: Annotated[str | None, Field(description="GREEN, YELLOW, RED."), Column(pl.String())]
    scope: Annotated[str | None, Field(description="Track, Sector, Driver."), Column(pl.String())]
    sector: Annotated[
        int | None, Field(ge=0, description="Marshalling sector."), Column(pl.Int32())
    ]
    status: Annotated[
        str | None, Field(description="DEPLOYED, ENDING, DISABLED."), Column(pl.String())
    ]
    mode: Annotated[
        str | None, Field(description="SAFETY CAR, VIRTUAL SAFETY CAR."), Column(pl.String())
    ]
    driver_number: Annotated[
        int | None, Field(ge=1, le=99, description="Car it concerns."), Column(pl.Int32())
    ]
    message: Annotated[str, Field(min_length=1, description="Text."), Column(pl.String())]
    simulated: Simulated
    source_file: SourceFile
    source_row: SourceRow
    flags: Flags


class SessionStatus(Row):
    """A change of the status of the session."""

    session: Session
    date: SessionDate
    session_time_ms: SessionTime
    timestamp: Timestamp
    status: Annotated[
        str,
        Field(description="Inactive, Started, Aborted, Finished, Finalised, Ends."),
        Column(pl.String()),
    ]
    source_file: SourceFile
    source_row: SourceRow


class QuarantinedItem(Row):
    """A line that is no message or a row that is not believed, with the reasons."""

    session: Session
    date: SessionDate
    stage: Annotated[
        Literal["reading", "folding", "validated"],
        Field(description="Stage that set it aside."),
        Column(pl.String()),
    ]
    table: Annotated[
        str,
        Field(description="Table it was meant for, f1_messages of a line."),
        Column(pl.String()),
    ]
    reasons: Annotated[
        list[str],
        Field(min_length=1, description="Why, by name."),
        Column(pl.List(pl.String())),
    ]
    content: Annotated[
        str, Field(description="The line as delivered, or the row as JSON."), Column(pl.String())
    ]
    source_file: SourceFile
    source_row: SourceRow


def _table(name: str, model: type[BaseModel], *sort_by: str) -> Table:
    return Table(
        name=name,
        model=model,
        partition_by=("date", "session"),
        identity=("session",),
        sort_by=sort_by,
        rebuilt_by="ngsim f1 build {session} --force",
    )


F1_MESSAGES = _table("f1_messages", RawMessage, "source_file", "source_row", "part")
F1_LAPS = _table("f1_laps", Lap, "driver_number", "lap_number")
F1_WEATHER = _table("f1_weather", Weather, "valid_time", "issue_time", "source")
F1_TRACK_STATUS = _table("f1_track_status", TrackStatus, "session_time_ms", "source_row")
F1_RACE_CONTROL = _table("f1_race_control", RaceControlMessage, "number")
F1_SESSION_STATUS = _table("f1_session_status", SessionStatus, "session_time_ms", "source_row")
F1_QUARANTINE = _table("f1_quarantine", QuarantinedItem, "source_file", "source_row", "table")

TABLES: tuple[Table, ...] = (
    F1_MESSAGES,
    F1_LAPS,
    F1_WEATHER,
    F1_TRACK_STATUS,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_QUARANTINE,
)
