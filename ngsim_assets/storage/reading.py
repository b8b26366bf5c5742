"""Data files to frames: each column by the decoder that is quickest at it.

Belongs here: how one Parquet file becomes columns in memory. Does not belong here: which files
are live (delta.py), how they were written (encoding.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ngsim_assets.storage.errors import DamagedFile
from ngsim_assets.storage.evolution import Picked, View
from ngsim_assets.storage.manifest import DataFile

_NARROW_DIGITS = 9
"""Most digits of which every number fits 32 bits."""


def scan_files(view: View, folder: Path, files: Sequence[DataFile]) -> pl.LazyFrame:
    """Rows of `files` below `folder` lazily, in the columns of `view`."""
    if not files:
        return pl.LazyFrame(schema=view.schema)
    types = view.stored.schema
    hive = {name: types[name] for name in view.stored.partition_by}
    stored = {name: dtype for name, dtype in types.items() if name not in hive}
    # as of a file without it, and not as a literal, which alone has no length
    stored |= {column.name: column.dtype for column in view.columns if not column.source}
    rows = pl.scan_parquet(
        [folder / file.path for file in files],
        schema=stored,
        hive_partitioning=bool(hive),
        hive_schema=hive or None,
        missing_columns="insert",
        extra_columns="ignore",
    )
    return rows.select(_read_as(column, types) for column in view.columns)


def read_file(
    table: str, view: View, folder: Path, file: DataFile, columns: Sequence[str], *, physical: bool
) -> pl.DataFrame:
    """Some columns of one data file; decimals as unscaled integers if `physical`.

    DamagedFile if it cannot be read.
    """
    try:
        floats = _floats(view, folder / file.path, columns)
        rest = [name for name in columns if name not in floats]
        rows = scan_files(view, folder, (file,)).select(rest)
        if physical:
            types = {name: view.schema[name] for name in rest}
            rows = rows.with_columns(
                _unscaled(name, dtype)
                for name, dtype in types.items()
                if isinstance(dtype, pl.Decimal)
            )
        frame = rows.collect()
    except (pl.exceptions.ComputeError, OSError, pa.ArrowException) as error:
        path = folder / file.path
        raise DamagedFile(table, path, str(error).splitlines()[0]) from error
    return frame.with_columns(floats.values()).select(columns)


def _read_as(column: Picked, types: Mapping[str, pl.DataType]) -> pl.Expr:
    if not column.source:
        return pl.col(column.name)
    values = pl.col(column.source)
    if types[column.source] != column.dtype:
        values = values.cast(column.dtype)  # wider: every value fits unchanged
    return values.alias(column.name)


def _unscaled(name: str, decimal: pl.Decimal) -> pl.Expr:
    narrow = (decimal.precision or 38) <= _NARROW_DIGITS
    # every value fits: asking of each whether it does would double the cost
    return pl.col(name).to_physical().cast(pl.Int32 if narrow else pl.Int64, wrap_numerical=True)


def _floats(view: View, path: Path, columns: Sequence[str]) -> dict[str, pl.Series]:
    """The float columns that the file holds.

    Arrow puts the bytes of split streams together in half the time that Polars takes.
    """
    wanted = {
        column.name: column.source
        for column in view.columns
        if column.name in columns and column.dtype == pl.Float64() and column.source
    }
    if not wanted:
        return {}
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as opened:
        held = {
            name: source
            for name, source in wanted.items()
            if source in opened.schema_arrow.names
            and opened.schema_arrow.field(source).type == pa.float64()
        }
        read = opened.read(list(held.values()), use_threads=False)
    return {name: pl.Series(name, read[source]) for name, source in held.items()}
