"""Models that are not what a lake was written with: one table with one thing changed each."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import polars as pl
from pydantic import create_model

from ngsim_assets.storage.schema import Column, Table
from ngsim_assets_tests.storage.tables import GRID, SAMPLES, Sample


def changed(
    *,
    partition_by: tuple[str, ...] = SAMPLES.partition_by,
    identity: tuple[str, ...] = SAMPLES.identity,
    without: tuple[str, ...] = (),
    renamed: dict[str, str] | None = None,
    **columns: Column,
) -> Table:
    """The samples with these columns added or in another form, and without some."""
    kept: dict[str, Any] = {
        name: (Annotated[info.annotation, *info.metadata], ...)
        for name, info in Sample.model_fields.items()
        if name not in without and name not in columns
    }
    new: dict[str, Any] = {
        name: (Annotated[object | None, column], None) for name, column in columns.items()
    }
    model = create_model("Changed", **kept, **new)
    return Table(SAMPLES.name, model, partition_by, identity, SAMPLES.sort_by, renamed or {})


def required(name: str) -> Table:
    """The samples, with no null allowed in a column of texts."""
    fields: dict[str, Any] = {
        column: (Annotated[info.annotation, *info.metadata], ...)
        for column, info in Sample.model_fields.items()
    }
    fields[name] = (Annotated[str, *Sample.model_fields[name].metadata], ...)
    return replace(SAMPLES, model=create_model("Required", **fields))


WEIGHED = changed(weight=Column(pl.Float64(), "kg", GRID))
"""A column more."""

RENAMED = changed(without=("name",), renamed={"title": "name"}, title=Column(pl.String()))
"""A column under another name."""

WIDENED = changed(
    thing=Column(pl.Int64()),
    feet=Column(pl.Decimal(12, 4), "ft"),
    lanes=Column(pl.List(pl.Int64())),
)
"""Columns of wider types: more digits before and after the point."""

NARROWED = changed(step=Column(pl.Int32()), east=Column(pl.Decimal(11, 2), "ft"))
"""Columns of narrower types."""

RETYPED = changed(name=Column(pl.Int32()), time=Column(pl.Datetime("us")))
"""Columns of other types, whose values have no one form there."""

UNITED = changed(feet=Column(pl.Decimal(9, 3), "m"))
"""A column of the same type in another unit."""

FINER = changed(place=Column(pl.Float64(), "m", GRID / 4))
COARSER = changed(place=Column(pl.Float64(), "m", GRID * 4))
"""The grid of a column is another one."""

SHORT = changed(without=("seen",))
"""A column less."""

FLAT = changed(partition_by=("site", "session"))
"""Other folders, the same partitions."""

BY_THING = changed(partition_by=("thing",), identity=("thing",), thing=Column(pl.Int32()))
"""Other partitions."""
