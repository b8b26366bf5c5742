"""Tables of a session as CSV and JSON files, and back.

Both are written some rows at a time, so a table may be larger than memory; a file is there when it
is whole.

- JSON: an array of objects, a row a line.
- CSV: a null is an empty field and an empty text is `""`; lists are JSON in a text.
- Both have times in ISO 8601, UTC, to the microsecond.

Belongs here: how columns are written in files that people open. Does not belong here: which rows
a table has.
"""

from __future__ import annotations

import csv
import json
from io import BytesIO
from pathlib import Path
from typing import IO, Final, Literal, cast

import polars as pl

from ngsim_assets.f1.errors import ExportUnreadable
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import identity
from ngsim_assets.storage.atomic import writing_atomically
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table

Form = Literal["csv", "json"]

_MOMENT: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"


def export(lake: ParquetStorage, table: Table, session: SessionKey, path: Path, form: Form) -> int:
    """Write what `table` holds of a session to `path`, whole or not at all; rows written.

    Raises DiskFull or ReadOnlyLake; what was at `path` is then still there.
    """
    rows = 0
    with writing_atomically(path) as file:
        file.write(_head(table, form))
        for chunk in lake.frames(table, identity(session)):
            _write(chunk, file, form, first=rows == 0)
            rows += chunk.height
        file.write(b"\n]\n" if form == "json" else b"")
    return rows


def read_back(path: Path, table: Table, form: Form) -> pl.DataFrame:
    """Rows of an exported file, with the columns of `table`; ExportUnreadable for any other."""
    written = pl.Schema({name: _written_as(dtype, form) for name, dtype in table.schema.items()})
    try:
        names = _names(path, form)
        if names is not None and names != list(table.columns):
            raise ExportUnreadable(path, f"its columns are not those of {table.name}")
        read = pl.read_csv if form == "csv" else pl.read_json
        rows = read(path, schema=written)
        return rows.select(_as_stored(name, dtype, form) for name, dtype in table.schema.items())
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise ExportUnreadable(path, str(error)) from None


def _head(table: Table, form: Form) -> bytes:
    if form == "json":
        return b"["
    return pl.DataFrame(schema=dict.fromkeys(table.columns, pl.String())).write_csv().encode()


def _write(rows: pl.DataFrame, file: IO[bytes], form: Form, *, first: bool) -> None:
    told = rows.select(_as_written(name, dtype, form) for name, dtype in rows.schema.items())
    if form == "csv":
        told.write_csv(file, include_header=False)
        return
    lines = BytesIO()
    told.write_ndjson(lines)
    text = lines.getvalue().rstrip(b"\n").replace(b"\n", b",\n")  # within a row none is bare
    file.write((b"\n" if first else b",\n") + text)


def _as_written(name: str, dtype: pl.DataType, form: Form) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.dt.strftime(_MOMENT)
    if isinstance(dtype, pl.List) and form == "csv":
        as_json = pl.struct(column.alias("l")).struct.json_encode()
        inside = as_json.str.strip_prefix('{"l":').str.strip_suffix("}")
        return pl.when(column.is_not_null()).then(inside).alias(name)
    return column


def _written_as(dtype: pl.DataType, form: Form) -> pl.DataType:
    is_list = form == "csv" and isinstance(dtype, pl.List)
    return pl.String() if is_list or isinstance(dtype, pl.Datetime) else dtype


def _as_stored(name: str, dtype: pl.DataType, form: Form) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.str.to_datetime(_MOMENT, time_unit="us", time_zone="UTC")
    if isinstance(dtype, pl.List) and form == "csv":
        return column.str.json_decode(dtype)
    return column


def _names(path: Path, form: Form) -> list[str] | None:
    """Columns of an exported file by its first lines; None of JSON without a row."""
    with path.open(encoding="utf-8", newline="") as file:
        first = file.readline()
        if form == "csv":
            return next(csv.reader([first]), list[str]())
        row = file.readline().strip().removesuffix(",")
    if first.strip() != "[" or row == "]":
        return None
    told: object = json.loads(row) if row else None
    return list(cast("dict[str, object]", told)) if isinstance(told, dict) else []
