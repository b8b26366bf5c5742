"""The tables of telemetry: car data and positions at the feed's own rate, and resampled car data.

Belongs here: columns of these tables with their units and constraints. Does not belong here: any
computation, the tables of the other feeds (f1/model.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from ngsim_assets.f1.columns import (
    DriverNumber,
    Flags,
    Instant,
    Row,
    Session,
    SessionDate,
    Simulated,
    SourceFile,
    SourceName,
)
from ngsim_assets.storage.schema import Column, Table

SPEED_STEP = 2.0**-12  # 0.24 mm/s: finer than half of the delivered 1 km/h
PLACE_STEP = 2.0**-6  # 1.6 cm: finer than half of the delivered 1/10 m

SourceRow = Annotated[
    int,
    Field(ge=1, description="Line of that file, from 1; a line has many rows."),
    Column(pl.Int64()),
]
Nulled = Annotated[
    list[str],
    Field(description="Why values are null that were delivered, by name; empty if none is."),
    Column(pl.List(pl.String())),
]
Rpm = Annotated[
    int | None,
    Field(ge=0, le=15_000, description="Engine speed."),
    Column(pl.Int32(), "1/min"),
]
Speed = Annotated[
    float | None,
    Field(ge=0, le=400 / 3.6 + SPEED_STEP, description="Speed of the car."),
    Column(pl.Float64(), "m/s", SPEED_STEP),
]
Gear = Annotated[int | None, Field(ge=0, le=8, description="Gear, 0 neutral."), Column(pl.Int32())]
Throttle = Annotated[
    int | None, Field(ge=0, le=100, description="Throttle."), Column(pl.Int32(), "%")
]
Brake = Annotated[
    int | None,
    Field(ge=0, le=100, description="Brake; the feed knows only 0 and 100."),
    Column(pl.Int32(), "%"),
]
Drs = Annotated[
    int | None,
    Field(
        ge=0,
        le=14,
        description="Code of the drag reduction system: 0, 1 off, 8 eligible, 10, 12, 14 open; "
        "null since 2026, when it is not delivered.",
    ),
    Column(pl.Int32()),
]


class CarTelemetry(Row):
    """What a car reported, at the rate of the feed (about 4 a second)."""

    session: Session
    date: SessionDate
    driver_number: DriverNumber
    timestamp: Instant
    rpm: Rpm
    speed: Speed
    gear: Gear
    throttle: Throttle
    brake: Brake
    drs: Drs
    nulled: Nulled
    source: SourceName
    simulated: Simulated
    source_file: SourceFile
    source_row: SourceRow
    flags: Flags


class CarPosition(Row):
    """Where a car was, at the rate of the feed (about 4 a second), in the circuit's own axes."""

    session: Session
    date: SessionDate
    driver_number: DriverNumber
    timestamp: Instant
    status: Annotated[
        Literal["OnTrack", "OffTrack"] | None,
        Field(description="As delivered, null if it was neither."),
        Column(pl.String()),
    ]
    x: Annotated[float | None, Field(description="East."), Column(pl.Float64(), "m", PLACE_STEP)]
    y: Annotated[float | None, Field(description="North."), Column(pl.Float64(), "m", PLACE_STEP)]
    z: Annotated[float | None, Field(description="Height."), Column(pl.Float64(), "m", PLACE_STEP)]
    nulled: Nulled
    source: SourceName
    simulated: Simulated
    source_file: SourceFile
    source_row: SourceRow
    flags: Flags


class ResampledTelemetry(Row):
    """Car data at a steady rate, made from f1_telemetry and never measured so.

    rpm, speed and throttle are interpolated within gaps no longer than `gap_limit_ms`; gear,
    brake and DRS are the last value, no older than that. What is in a longer gap is null.
    """

    session: Session
    date: SessionDate
    driver_number: DriverNumber
    timestamp: Instant
    rpm: Annotated[
        float | None,
        Field(ge=0, le=15_000, description="Engine speed."),
        Column(pl.Float64(), "1/min", 2.0**-4),
    ]
    speed: Speed
    gear: Gear
    throttle: Annotated[
        float | None,
        Field(ge=0, le=100, description="Throttle."),
        Column(pl.Float64(), "%", 2.0**-8),
    ]
    brake: Brake
    drs: Drs
    simulated: Simulated
    resampled: Annotated[
        Literal[True],
        Field(description="Always true: no row of this table was measured."),
        Column(pl.Boolean()),
    ]
    rate_hz: Annotated[
        float, Field(ge=10, le=60, description="Rows a second."), Column(pl.Float64(), "Hz")
    ]
    gap_limit_ms: Annotated[
        int, Field(gt=0, description="Longest gap that is bridged."), Column(pl.Int32(), "ms")
    ]


def _table(name: str, model: type[Row]) -> Table:
    return Table(
        name=name,
        model=model,
        partition_by=("date", "session"),
        identity=("session",),
        sort_by=("driver_number", "timestamp"),
        rebuilt_by="ngsim f1 build {session} --force",
    )


F1_TELEMETRY = _table("f1_telemetry", CarTelemetry)
F1_POSITIONS = _table("f1_positions", CarPosition)
F1_TELEMETRY_RESAMPLED = _table("f1_telemetry_resampled", ResampledTelemetry)
