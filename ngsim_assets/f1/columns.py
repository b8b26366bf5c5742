"""Columns that tables of the Formula 1 domain share.

Belongs here: which session a row is of, its time, where it came from, what flags it. Does not
belong here: tables and the columns of one alone (model.py, telemetry/model.py).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ngsim_assets.storage.schema import Column

Session = Annotated[
    str,
    Field(description="Session key, for example 2025-05-03_miami_sprint."),
    Column(pl.String()),
]
SessionDate = Annotated[date, Field(description="Local date of the session."), Column(pl.Date())]
SessionTime = Annotated[
    int | None,
    Field(description="Time since the start of the feed, null where it cannot be told."),
    Column(pl.Int64(), "ms"),
]
Timestamp = Annotated[
    datetime | None,
    Field(description="UTC, null where it cannot be told."),
    Column(pl.Datetime("us", "UTC")),
]
Instant = Annotated[datetime, Field(description="UTC."), Column(pl.Datetime("us", "UTC"))]
DriverNumber = Annotated[
    int, Field(ge=1, le=99, description="Number of the car."), Column(pl.Int32())
]
SourceFile = Annotated[
    str, Field(description="File or address the row came from."), Column(pl.String())
]
SourceRow = Annotated[
    int,
    Field(ge=1, description="Line of that file, or element of that response, from 1."),
    Column(pl.Int64()),
]
Flags = Annotated[
    list[str],
    Field(description="Rules that flag the row, empty where none does."),
    Column(pl.List(pl.String())),
]
SourceName = Annotated[
    Literal["livetiming", "signalr", "openf1", "fastf1", "open-meteo", "openweathermap"],
    Field(description="Where the row comes from."),
    Column(pl.String()),
]
Simulated = Annotated[bool, Field(description="Whether a generator made it."), Column(pl.Boolean())]


class Row(BaseModel):
    """A row of a table: these columns and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)
