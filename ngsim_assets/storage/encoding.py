"""Rows in memory to Parquet bytes: small, exact, the same bytes for the same rows.

Belongs here: the physical form of every column and the Parquet encodings. Does not belong
here: names of files, commits (parquet.py, delta.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ngsim_assets.storage.errors import SchemaMismatch
from ngsim_assets.storage.schema import Column, Table, round_to_resolution

Compression = Literal["zstd", "snappy", "gzip", "lz4", "none"]

_LEVELS: Mapping[str, int | None] = {
    "zstd": 1,
    "gzip": 6,
    "snappy": None,
    "lz4": None,
    "none": None,
}
_INTEGERS = {
    pl.Int32(): {pl.Int8(), pl.Int16(), pl.Int32(), pl.UInt8(), pl.UInt16()},
    pl.Int64(): {
        pl.Int8(),
        pl.Int16(),
        pl.Int32(),
        pl.Int64(),
        pl.UInt8(),
        pl.UInt16(),
        pl.UInt32(),
    },
}


@dataclass(frozen=True)
class WriteOptions:
    """How Parquet is written.

    Attributes:
        compression: codec of the pages.
        level: its level, None for the codec's usual one (zstd 1, gzip 6).
        row_group_rows: rows of a row group, the smallest unit a reader can skip.
        file_rows: a Hive folder collects chunks until it has as many rows for one file.
        threads: files encoded and written at the same time.
    """

    compression: Compression = "zstd"
    level: int | None = None
    row_group_rows: int = 65_536
    file_rows: int = 131_072
    threads: int = 2


def fit(table: Table, chunk: pl.DataFrame, given: Iterable[str] = ()) -> pl.DataFrame:
    """The chunk as columns of `table`, in its order, floats on their grid.

    Decimals may come as integers in units of the last place, strings as Enum or Categorical,
    integers in a narrower type, a column of nulls as Null; partition columns named in `given`
    may be absent and are left out. Anything else raises SchemaMismatch, nothing is cast.
    """
    faults = [f"unknown column {name}" for name in chunk.columns if name not in table.columns]
    given = set(given)
    casts: list[pl.Expr] = []
    for name, column in table.columns.items():
        if name in given:
            continue
        if name not in chunk.columns:
            faults.append(f"column {name} is missing")
            continue
        have = chunk.schema[name]
        if have == pl.Null():
            casts.append(pl.col(name).cast(_physical(column)))
        elif not _fits(have, column.dtype):
            faults.append(f"column {name} is {have}, not {column.dtype}")
        elif have in _INTEGERS.get(column.dtype, ()) or have == pl.Float32():
            casts.append(pl.col(name).cast(column.dtype))
        else:
            casts.append(pl.col(name))
    if faults:
        raise SchemaMismatch(table.name, faults)
    present = {name: column for name, column in table.columns.items() if name not in given}
    frame = chunk.select(casts).with_columns(round_to_resolution(present))
    _refuse_values(table, frame)
    return frame


def _fits(have: pl.DataType, want: pl.DataType) -> bool:
    if isinstance(want, pl.Decimal):
        if isinstance(have, pl.Decimal):
            return have.scale == want.scale
        return have in _INTEGERS[pl.Int64()]
    if want == pl.String():
        return have == pl.String() or isinstance(have, pl.Enum | pl.Categorical)
    if want in _INTEGERS:
        return have in _INTEGERS[want]
    if want == pl.Float64():
        return have in {pl.Float64(), pl.Float32()}
    return have == want


def _physical(column: Column) -> pl.DataType:
    return pl.Int64() if isinstance(column.dtype, pl.Decimal) else column.dtype


def _refuse_values(table: Table, frame: pl.DataFrame) -> None:
    """Refuse what a reader would misread: NaN and infinity, nulls in partition columns."""
    faults = [
        f"partition column {name} has nulls"
        for name in table.partition_by
        if name in frame.columns and frame[name].null_count()
    ]
    floats = [name for name, dtype in frame.schema.items() if dtype == pl.Float64()]
    if floats:
        finite = frame.select(pl.col(floats).is_finite().all())
        faults += [f"column {name} has NaN or infinity" for name in floats if not finite[name][0]]
    if faults:
        raise SchemaMismatch(table.name, faults, "absent values are null; correct the rows")


def arrow_schema(table: Table) -> pa.Schema:
    """The logical schema of `table` in Arrow's types, partition columns included."""
    return pa.schema([(name, _arrow_type(dtype)) for name, dtype in table.schema.items()])


def _arrow_type(dtype: pl.DataType) -> pa.DataType:
    if isinstance(dtype, pl.Decimal):
        return pa.decimal128(dtype.precision or 38, dtype.scale)
    if isinstance(dtype, pl.List):
        return pa.list_(_arrow_type(pl.Series(dtype=dtype).list.explode().dtype))
    if isinstance(dtype, pl.Datetime):
        return pa.timestamp("us", dtype.time_zone)
    simple: dict[pl.DataType, pa.DataType] = {
        pl.Int32(): pa.int32(),
        pl.Int64(): pa.int64(),
        pl.Float64(): pa.float64(),
        pl.Boolean(): pa.bool_(),
        pl.Date(): pa.date32(),
        pl.String(): pa.string(),
    }
    return simple[dtype]


class ParquetEncoder:
    """Frames of one table to Parquet files in memory."""

    def __init__(self, table: Table, options: WriteOptions) -> None:
        self._table = table
        self._options = options
        self._level = options.level or _LEVELS[options.compression]
        stored = {n: c.dtype for n, c in table.columns.items() if n not in table.partition_by}
        self._names = list(stored)
        self._dictionary = [
            f"{name}.list.element" if isinstance(dtype, pl.List) else name
            for name, dtype in stored.items()
            if dtype == pl.String() or isinstance(dtype, pl.List)
        ]
        delta = pl.Decimal | pl.Int32 | pl.Int64 | pl.Datetime | pl.Date
        self._encoding = {
            name: "BYTE_STREAM_SPLIT" if dtype == pl.Float64() else "DELTA_BINARY_PACKED"
            for name, dtype in stored.items()
            if isinstance(dtype, delta) or dtype == pl.Float64()
        }

    def encode(self, frame: pl.DataFrame) -> tuple[pa.Buffer, pq.FileMetaData]:
        """Bytes of the Parquet file that holds `frame` (of `fit`), and its footer."""
        columns = pa.table({name: self._column(frame[name]) for name in self._names})
        sink = pa.BufferOutputStream()
        footers: list[pq.FileMetaData] = []
        with pq.ParquetWriter(
            sink,
            columns.schema,
            compression=self._options.compression,
            compression_level=self._level,
            use_dictionary=self._dictionary,  # pyright: ignore[reportArgumentType]  # stub knows bool only
            column_encoding=self._encoding,
            store_decimal_as_integer=True,
            store_schema=False,
            metadata_collector=footers,
        ) as writer:
            writer.write_table(columns, row_group_size=self._options.row_group_rows)
        return sink.getvalue(), footers[0]

    def _column(self, values: pl.Series) -> pa.Array:
        dtype = self._table.columns[values.name].dtype
        if isinstance(dtype, pl.Decimal) and values.dtype.is_integer():
            return _decimals(values, dtype)
        return values.to_arrow(compat_level=pl.CompatLevel.oldest())


def _decimals(unscaled: pl.Series, dtype: pl.Decimal) -> pa.Array:
    """Integers in units of the last place as Arrow decimals over the same memory."""
    precision = dtype.precision or 18
    narrow = precision <= 9
    integers = unscaled.cast(pl.Int32() if narrow else pl.Int64()).rechunk().to_arrow()
    kind = pa.decimal32(precision, dtype.scale) if narrow else pa.decimal64(precision, dtype.scale)
    return pa.Array.from_buffers(
        kind, len(integers), integers.buffers(), integers.null_count, integers.offset
    )
