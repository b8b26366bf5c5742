"""A table with a column of every kind that PostgreSQL has a form for, and rows of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, Field, create_model

from ngsim_assets.storage.schema import Column, Table

PARTITION = {"session": "one"}

_KINDS: dict[str, tuple[type, pl.DataType, str | None]] = {
    "flag": (bool, pl.Boolean(), None),
    "tiny": (int, pl.Int8(), None),
    "short": (int, pl.UInt16(), None),
    "small": (int, pl.Int32(), None),
    "large": (int, pl.Int64(), None),
    "huge": (int, pl.UInt64(), None),
    "narrow": (float, pl.Float32(), "m"),
    "wide": (float, pl.Float64(), "m/s"),
    "exact": (Decimal, pl.Decimal(12, 3), "ft"),
    "name": (str, pl.String(), None),
    "body": (bytes, pl.Binary(), None),
    "day": (date, pl.Date(), None),
    "moment": (datetime, pl.Datetime("us", "UTC"), None),
    "there": (datetime, pl.Datetime("us", "America/New_York"), None),
    "clock": (datetime, pl.Datetime("ms"), None),
    "span": (timedelta, pl.Duration("us"), None),
    "names": (list, pl.List(pl.String()), None),
    "codes": (list, pl.List(pl.Int32()), None),
    "sizes": (list, pl.List(pl.Float64()), None),
    "flags": (list, pl.List(pl.Boolean()), None),
}

Everything = create_model(
    "Everything",
    __doc__="A row with everything.",
    session=(Annotated[str, Field(description="Which."), Column(pl.String())], ...),
    number=(Annotated[int, Field(description="Row."), Column(pl.Int32())], ...),
    **{
        name: (Annotated[kind | None, Field(description=f"A {name}."), Column(dtype, unit)], None)
        for name, (kind, dtype, unit) in _KINDS.items()
    },  # pyright: ignore[reportCallIssue, reportArgumentType]
)
EVERYTHING = Table("everything", Everything, ("session",), ("session",), ("number",))
KINDS = {name: dtype for name, (_, dtype, _) in _KINDS.items()}


class Lap(BaseModel):
    """A lap."""

    session: Annotated[str, Field(description="Which."), Column(pl.String())]
    number: Annotated[int, Field(description="Lap."), Column(pl.Int32())]
    time: Annotated[float | None, Field(description="How long."), Column(pl.Float64(), "s")]
    note: Annotated[str | None, Field(description="Of it."), Column(pl.String())]


def changed(name: str, annotation: Any, **others: Any) -> Table:
    """The table of laps with one column declared otherwise, or one more."""
    model = create_model("Lap", __base__=Lap, __doc__="A lap.", **{name: (annotation, ...)})
    return Table("laps", model, ("session",), ("session",), **others)


LAPS = Table("laps", Lap, ("session",), ("session",), ("number",))
KEY = ("number",)


def laps(count: int, *, session: str = "one", time: float = 90.0) -> pl.DataFrame:
    """So many laps, all of one time."""
    return pl.DataFrame(
        {
            "session": pl.Series([session] * count, dtype=pl.String),
            "number": pl.Series(range(count), dtype=pl.Int32),
            "time": pl.Series([time] * count, dtype=pl.Float64),
            "note": pl.Series([None] * count, dtype=pl.String),
        },
        schema=LAPS.schema,
    )


def everything(**values: list[object]) -> pl.DataFrame:
    """Rows of the table of everything; columns that are not given are null."""
    count = len(next(iter(values.values())))
    return pl.DataFrame(
        {
            "session": ["one"] * count,
            "number": list(range(count)),
            **{name: values.get(name, [None] * count) for name in KINDS},
        },
        schema=EVERYTHING.schema,
        strict=True,
    )


NOON = datetime(2025, 5, 3, 12, 0, 0, 123456, tzinfo=UTC)
