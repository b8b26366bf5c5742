"""A small table with a column of every kind, and rows for it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import BaseModel, Field

from ngsim_assets.storage.schema import Column, Table

GRID = 2.0**-10


class Sample(BaseModel):
    """One sample of one thing."""

    site: Annotated[str, Field(description="Where."), Column(pl.String())]
    session: Annotated[str, Field(description="When."), Column(pl.String())]
    day: Annotated[date, Field(description="Day of the session."), Column(pl.Date())]
    kind: Annotated[str, Field(description="Kind of thing."), Column(pl.String())]
    thing: Annotated[int, Field(description="Number."), Column(pl.Int32())]
    step: Annotated[int, Field(description="Step."), Column(pl.Int64())]
    time: Annotated[datetime, Field(description="Time."), Column(pl.Datetime("us", "UTC"))]
    place: Annotated[float | None, Field(description="On a grid."), Column(pl.Float64(), "m", GRID)]
    exact: Annotated[float | None, Field(description="As it is."), Column(pl.Float64())]
    feet: Annotated[float | None, Field(description="Narrow."), Column(pl.Decimal(9, 3), "ft")]
    east: Annotated[float | None, Field(description="Wide."), Column(pl.Decimal(12, 3), "ft")]
    name: Annotated[str | None, Field(description="Text."), Column(pl.String())]
    seen: Annotated[bool | None, Field(description="Yes or no."), Column(pl.Boolean())]
    rules: Annotated[list[str] | None, Field(description="Names."), Column(pl.List(pl.String()))]
    lanes: Annotated[list[int] | None, Field(description="Codes."), Column(pl.List(pl.Int32()))]
    since: Annotated[date | None, Field(description="A day."), Column(pl.Date())]


SAMPLES = Table(
    "samples",
    Sample,
    ("day", "site", "kind", "session"),
    ("site", "session"),
    ("thing", "step"),
)

PHYSICAL = {
    **SAMPLES.schema,
    "feet": pl.Int32(),
    "east": pl.Int64(),
}
"""Types of a chunk that holds decimals as integers in units of the last place."""

START = datetime(2005, 6, 15, 14, 50, tzinfo=UTC)
HERE = {"site": "here", "session": "first"}
THERE = {"site": "there", "session": "first"}


def samples(
    things: int = 3, steps: int = 4, *, shift: int = 0, site: str = "here", session: str = "first"
) -> pl.DataFrame:
    """Rows of `things` things of alternating kind, whole and in order."""
    rows = things * steps
    thing = np.repeat(np.arange(1, things + 1), steps)
    step = np.tile(np.arange(steps), things)
    return pl.DataFrame(
        {
            "site": [site] * rows,
            "session": [session] * rows,
            "day": [date(2005, 6, 15)] * rows,
            "kind": ["truck" if number % 3 == 0 else "auto" for number in thing],
            "thing": thing,
            "step": step + shift,
            "time": [START + timedelta(milliseconds=100 * int(at)) for at in step],
            "place": thing * 3.25 + step * 0.1,
            "exact": step / 3,
            "feet": thing * 1000 + step * 37 + shift,
            "east": thing * 10_000_000 + step * 371,
            "name": [None if number % 2 else f"thing {number}" for number in thing],
            "seen": [None if number % 5 == 0 else bool(number % 2) for number in thing],
            "rules": [["late", "fast"][: number % 3] for number in thing],
            "lanes": [[1, 2, 3][: number % 4] for number in thing],
            "since": [None if number % 2 else date(2005, 1, 1) for number in thing],
        },
        schema=PHYSICAL,
    )


def logical(rows: pl.DataFrame) -> pl.DataFrame:
    """What a reader sees of `rows` after they were stored."""
    return rows.with_columns(
        (pl.col("place") / GRID).round(0, mode="half_to_even") * GRID,
        *(
            (pl.col(name).cast(pl.Decimal(38, 3)) / 1000).cast(SAMPLES.schema[name])
            for name in ("feet", "east")
        ),
    ).select(SAMPLES.schema.names())
