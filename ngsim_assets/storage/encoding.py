"""Rows in memory to Parquet bytes: small, exact, the same bytes for the same rows.

Belongs here: what a table takes and the Parquet encodings. Does not belong here: the arrays
that are encoded (arrays.py), names of files, commits (parquet.py, delta.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ngsim_assets.storage.errors import SchemaMismatch, UnusableCompression
from ngsim_assets.storage.schema import Column, Table

UNIT = "unit"
RESOLUTION = "resolution"
"""Keys of a column's metadata in the log."""

Compression = Literal["zstd", "snappy", "gzip", "lz4", "none"]

_USUAL_LEVEL: Mapping[str, int] = {"zstd": 1, "gzip": 6}
_LEVELS: Mapping[str, range] = {"zstd": range(-7, 23), "gzip": range(10), "lz4": range(1, 13)}
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


_STEADY_SAMPLE = 4096
_STEADY_RUN = 16
"""Rows a value lasts on average for a dictionary to be smaller than packed differences."""


@dataclass(frozen=True)
class WriteOptions:
    """How Parquet is written.

    Attributes:
        compression: codec of the pages.
        level: its level (zstd -7 to 22, gzip 0 to 9, lz4 1 to 12, the others have none), None
            for the usual one (zstd 1, gzip 6).
        row_group_rows: rows of a row group, the smallest unit a reader can skip.
        file_rows: a Hive folder collects chunks until it has as many rows for one file.
        threads: files encoded and written at the same time.
    """

    compression: Compression = "zstd"
    level: int | None = None
    row_group_rows: int = 65_536
    file_rows: int = 131_072
    threads: int = 2

    def __post_init__(self) -> None:
        levels = _LEVELS.get(self.compression, range(0))
        if self.level is not None and self.level not in levels:
            raise UnusableCompression(self.compression, self.level, levels)

    @property
    def effective_level(self) -> int | None:
        """The level that is used, None if the codec decides."""
        return _USUAL_LEVEL.get(self.compression) if self.level is None else self.level


def fit(table: Table, chunk: pl.DataFrame, given: Collection[str] = ()) -> pl.DataFrame:
    """The chunk as the columns of `table`, in its order, without those in `given`.

    Decimals may come as integers in units of the last place, strings as Enum or Categorical,
    integers and floats in a narrower type, a column of nulls as Null. Anything else raises
    SchemaMismatch, nothing is cast; partition columns must have no nulls.
    """
    faults = [f"unknown column {name}" for name in chunk.columns if name not in table.columns]
    wanted = [name for name in table.columns if name not in given]
    for name in wanted:
        dtype = table.columns[name].dtype
        if name not in chunk.columns:
            faults.append(f"column {name} is missing")
        elif not _fits(chunk.schema[name], dtype):
            faults.append(f"column {name} is {chunk.schema[name]}, not {dtype}")
        elif name in table.partition_by and chunk[name].null_count():
            faults.append(f"partition column {name} has nulls")
    if faults:
        raise SchemaMismatch(table.name, faults)
    return chunk.select(
        pl.col(name).cast(_in_memory(chunk.schema[name], table.columns[name])) for name in wanted
    )


def _fits(have: pl.DataType, want: pl.DataType) -> bool:
    if have == pl.Null():
        return True
    if isinstance(want, pl.Decimal):
        if isinstance(have, pl.Decimal):
            return have.scale == want.scale
        return have in _INTEGERS[pl.Int64()]
    if want == pl.String():
        return have == pl.String() or isinstance(have, pl.Enum | pl.Categorical)
    if want == pl.Float64():
        return have in {pl.Float64(), pl.Float32()}
    return have in _INTEGERS.get(want, {want})


def _in_memory(have: pl.DataType, column: Column) -> pl.DataType:
    """Type of a fitting column on its way to the file: the least work for the encoder."""
    want = column.dtype
    if isinstance(want, pl.Decimal):
        return pl.Int32() if have == pl.Null() else have
    return have if isinstance(have, pl.Enum | pl.Categorical) else want


def stack(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Frames of `fit` below each other, also where they hold a column in different forms."""
    if len({tuple(frame.schema.items()) for frame in frames}) > 1:
        frames = [
            frame.with_columns(
                cs.enum().cast(pl.String),
                cs.categorical().cast(pl.String),
                cs.decimal().to_physical().cast(pl.Int64),
                cs.by_dtype(pl.Int8, pl.Int16, pl.UInt8, pl.UInt16, pl.UInt32, pl.Int32).cast(
                    pl.Int64
                ),
            )
            for frame in frames
        ]
    return pl.concat(frames)


def arrow_schema(table: Table) -> pa.Schema:
    """The logical schema of `table` in Arrow's types, partition columns included.

    Each field tells its unit and resolution (empty without one): the log keeps them, so that a
    model with other ones is noticed though the types agree.
    """
    return pa.schema(
        [
            pa.field(
                name,
                _arrow_type(column.dtype),
                metadata={
                    UNIT: column.unit or "",
                    RESOLUTION: repr(column.resolution) if column.resolution else "",
                },
            )
            for name, column in table.columns.items()
        ]
    )


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
    """Frames of one table to Parquet files in memory.

    Integers, times and decimals are stored as packed differences, floats as byte streams on
    their grid, strings and whatever stays the same for many rows as dictionaries: what each
    compresses to best among the encodings that the usual readers know.
    """

    def __init__(self, table: Table, options: WriteOptions) -> None:
        self._table = table
        self._options = options
        self._stored = {
            name: column for name, column in table.columns.items() if name not in table.partition_by
        }
        # by the path of the leaf in the file
        self._dictionary = {
            f"{name}.list.element" if isinstance(column.dtype, pl.List) else name
            for name, column in self._stored.items()
            if column.dtype == pl.String() or isinstance(column.dtype, pl.List)
        }
        packed = pl.Decimal | pl.Int32 | pl.Int64 | pl.Datetime | pl.Date
        self._encoding = {
            name: "DELTA_BINARY_PACKED" if isinstance(column.dtype, packed) else "BYTE_STREAM_SPLIT"
            for name, column in self._stored.items()
            if isinstance(column.dtype, packed | pl.Float64)
        }

    def encode(self, frame: pl.DataFrame) -> tuple[pa.Buffer, pq.FileMetaData]:
        """Bytes of the Parquet file that holds `frame` (of `fit`), and its footer.

        SchemaMismatch for values a reader would misread: NaN, infinity, decimals with more
        digits than their type.
        """
        from ngsim_assets.storage.arrays import room_for  # compiled: only who writes needs it

        sink = pa.BufferOutputStream()
        footers: list[pq.FileMetaData] = []
        rooms = {
            name: room_for(min(frame.height, self._options.row_group_rows))
            for name, column in self._stored.items()
            if column.dtype == pl.Float64()
        }
        groups = (
            self._arrow(rows, rooms) for rows in frame.iter_slices(self._options.row_group_rows)
        )
        first = next(groups)
        steady = self._steady(frame)
        with pq.ParquetWriter(
            sink,
            first.schema,
            compression=self._options.compression,
            compression_level=self._options.effective_level,
            use_dictionary=[*self._dictionary, *steady],  # pyright: ignore[reportArgumentType]  # stub knows bool only
            column_encoding={n: e for n, e in self._encoding.items() if n not in steady},
            store_decimal_as_integer=True,
            store_schema=False,
            write_batch_size=self._options.row_group_rows,
            metadata_collector=footers,
        ) as writer:
            writer.write_table(first)
            for group in groups:
                writer.write_table(group)
        return sink.getvalue(), footers[0]

    def _steady(self, frame: pl.DataFrame) -> list[str]:
        """Packed columns that seldom change from row to row, by their first rows: codes, ids."""
        packed = [n for n, encoding in self._encoding.items() if encoding == "DELTA_BINARY_PACKED"]
        if not packed:
            return []
        head = frame.select(packed).head(_STEADY_SAMPLE)
        changes = head.select(pl.all().ne_missing(pl.all().shift()).sum()).row(0, named=True)
        return [name for name, count in changes.items() if count * _STEADY_RUN <= head.height]

    def _arrow(self, rows: pl.DataFrame, rooms: Mapping[str, NDArray[np.float64]]) -> pa.Table:
        from ngsim_assets.storage.arrays import array_of

        arrays: dict[str, pa.Array] = {}
        for name, column in self._stored.items():
            try:
                arrays[name] = array_of(rows[name], column, rooms.get(name))
            except ValueError as error:
                raise SchemaMismatch(
                    self._table.name,
                    [f"column {name} {error}"],
                    "absent values are null; correct the rows",
                ) from error
        return pa.table(arrays)
