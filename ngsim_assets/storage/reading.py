"""Data files to frames: each column by the decoder that is quickest at it.

Belongs here: how one Parquet file becomes columns in memory. Does not belong here: which files
are live (delta.py), how they were written (encoding.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ngsim_assets.storage.errors import DamagedFile
from ngsim_assets.storage.manifest import DataFile
from ngsim_assets.storage.schema import Table

_NARROW_DIGITS = 9
"""Most digits of which every number fits 32 bits."""


def scan_files(table: Table, folder: Path, files: Sequence[DataFile]) -> pl.LazyFrame:
    """Rows of `files` below `folder` lazily, in the logical schema of `table`."""
    if not files:
        return pl.LazyFrame(schema=table.schema)
    hive = {name: table.schema[name] for name in table.partition_by}
    stored = {name: dtype for name, dtype in table.schema.items() if name not in hive}
    return pl.scan_parquet(
        [folder / file.path for file in files],
        schema=stored,
        hive_partitioning=bool(hive),
        hive_schema=hive or None,
        missing_columns="insert",
        extra_columns="ignore",
    ).select(table.schema.names())


def read_file(
    table: Table, folder: Path, file: DataFile, columns: Sequence[str], *, physical: bool
) -> pl.DataFrame:
    """Some columns of one data file; decimals as unscaled integers if `physical`.

    DamagedFile if it cannot be read.
    """
    try:
        floats = _floats(table, folder / file.path, columns)
        rest = [name for name in columns if name not in floats]
        rows = scan_files(table, folder, (file,)).select(rest)
        if physical:
            types = {name: table.schema[name] for name in rest}
            rows = rows.with_columns(
                _unscaled(name, dtype)
                for name, dtype in types.items()
                if isinstance(dtype, pl.Decimal)
            )
        frame = rows.collect()
    except (pl.exceptions.ComputeError, OSError, pa.ArrowException) as error:
        path = folder / file.path
        raise DamagedFile(table.name, path, str(error).splitlines()[0]) from error
    return frame.with_columns(floats.values()).select(columns)


def _unscaled(name: str, decimal: pl.Decimal) -> pl.Expr:
    narrow = (decimal.precision or 38) <= _NARROW_DIGITS
    # every value fits: asking of each whether it does would double the cost
    return pl.col(name).to_physical().cast(pl.Int32 if narrow else pl.Int64, wrap_numerical=True)


def _floats(table: Table, path: Path, columns: Sequence[str]) -> dict[str, pl.Series]:
    """The float columns that the file holds.

    Arrow puts the bytes of split streams together in half the time that Polars takes.
    """
    wanted = [name for name in columns if table.schema[name] == pl.Float64()]
    if not wanted:
        return {}
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as opened:
        held = [
            name
            for name in wanted
            if name in opened.schema_arrow.names
            and opened.schema_arrow.field(name).type == pa.float64()
        ]
        read = opened.read(held, use_threads=False)
    return {name: pl.Series(name, read[name]) for name in held}
