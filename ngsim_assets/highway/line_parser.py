"""Bytes of whole lines into frames of raw rows, for one order of columns.

Belongs here: what the compiled kernel needs to know of a file, and the frame made of what it
returns, without copying. Does not belong here: where the bytes come from, which columns a file
has (recognition.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ngsim_assets.highway import decimal_text as kernel
from ngsim_assets.highway.formats import (
    BATCH_SCHEMA,
    LOCATIONS,
    RAW_PHYSICAL,
    canonical_locations,
    decimals_of,
    largest_of,
)

Bytes = NDArray[np.uint8]


def count_lines(text: Bytes) -> int:
    """How many line feeds there are in `text`."""
    return int(np.count_nonzero(text == ord("\n")))


SOURCE_TEXT_LIMIT = 1_000
"""Characters of an unreadable line that are kept."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows of a stretch of text.

    Attributes:
        frame: columns of `BATCH_SCHEMA`.
        lines: lines read, blank ones included.
        consumed: bytes read; less than given where a text has far more lines than rows of
            this width could make, so that memory stays in proportion to the text.
    """

    frame: pl.DataFrame
    lines: int
    consumed: int


class LineParser:
    """Parser for files with these columns, in this order.

    Args:
        columns: canonical name per cell, None where the cell is not NGSIM's and is skipped.
        separator: between cells; a blank stands for runs of blanks and tabs.
    """

    def __init__(self, columns: Sequence[str | None], separator: str) -> None:
        self.columns = tuple(columns)
        self._separator = np.uint64(ord(separator))
        self._kinds = np.array([_kind(name) for name in columns], dtype=np.uint8)
        numeric = [name if name != "location" else None for name in columns]
        self._decimals = np.array([decimals_of(n) if n else 0 for n in numeric], dtype=np.uint64)
        self._largest = np.array([largest_of(n) if n else 0 for n in numeric], dtype=np.uint64)
        self._slots = np.zeros(len(columns), dtype=np.uint64)
        for kind in (kernel.NARROW, kernel.WIDE):
            of_kind = self._kinds == kind
            self._slots[of_kind] = np.arange(of_kind.sum())
        self._names, self._name_sizes, self._name_codes = _known_locations()

    def parse(
        self, text: Bytes, size: int, *, lines: int, first_line: int, cut: bool = False
    ) -> Parsed:
        """Parse the first `size` bytes of `text`, which are `lines` lines with their ends.

        Args:
            first_line: number of the first of them.
            cut: the last line feed is not the file's; the file ends inside this line.
        """
        room = min(lines, size // len(self.columns) + 1)
        narrow = np.empty((int((self._kinds == kernel.NARROW).sum()), room), dtype=np.int32)
        wide = np.empty((int((self._kinds == kernel.WIDE).sum()), room), dtype=np.int64)
        name = np.empty(room, dtype=np.uint8)
        nulls = np.zeros(len(self.columns), dtype=np.int64)
        line = np.empty(room, dtype=np.int64)
        bad = np.empty((room, 3), dtype=np.int64)
        rows, read, bads, consumed = kernel.parse(
            np.uint64(text.ctypes.data),
            np.uint64(size),
            cut,
            first_line,
            self._separator,
            self._kinds,
            self._slots,
            self._decimals,
            self._largest,
            self._names,
            self._name_sizes,
            self._name_codes,
            narrow,
            wide,
            name,
            nulls,
            line,
            bad,
        )
        rows = int(rows)
        made = {"source_row": pl.Series("source_row", _over(line, rows, None))}
        if bads:
            made["source_text"] = _source_text(text, rows, bad[:bads])
        for column, kind, slot, absent in zip(
            self.columns, self._kinds, self._slots, nulls, strict=True
        ):
            if column is None:
                continue
            if kind == kernel.NAME:
                codes = pl.Series(column, _over(name, rows, kernel.NO_NAME if absent else None))
                made[column] = codes.cat.to(LOCATIONS)
            else:
                values, mark = (
                    (narrow, kernel.NULL_NARROW)
                    if kind == kernel.NARROW
                    else (wide, kernel.NULL_WIDE)
                )
                made[column] = pl.Series(
                    column, _over(values[slot], rows, mark if absent else None)
                )
        frame = pl.DataFrame(list(made.values())).select(
            pl.col(column) if column in made else pl.lit(None, dtype=dtype).alias(column)
            for column, dtype in BATCH_SCHEMA.items()
        )
        return Parsed(frame, int(read), int(consumed))


def _kind(column: str | None) -> int:
    if column is None:
        return kernel.IGNORED
    if column == "location":
        return kernel.NAME
    return kernel.NARROW if RAW_PHYSICAL[column] == pl.Int32() else kernel.WIDE


def _known_locations() -> tuple[Bytes, Bytes, Bytes]:
    """Every spelling of a site as bytes, padded; how long it is; its code in `LOCATIONS`."""
    spellings = {name.encode(): key for name, key in canonical_locations().items()}
    names = np.zeros((len(spellings), max(map(len, spellings))), dtype=np.uint8)
    for row, spelling in enumerate(spellings):
        names[row, : len(spelling)] = np.frombuffer(spelling, dtype=np.uint8)
    order = {key: code for code, key in enumerate(LOCATIONS.categories)}
    return (
        names,
        np.array([len(spelling) for spelling in spellings], dtype=np.uint8),
        np.array([order[key] for key in spellings.values()], dtype=np.uint8),
    )


def _over(values: NDArray[np.integer], rows: int, null: int | np.integer | None) -> pa.Array:
    """The first `rows` of a kernel's output as an Arrow array over the same memory."""
    validity = None
    if null is not None:
        validity = pa.py_buffer(np.packbits(values[:rows] != null, bitorder="little"))
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, rows, [validity, pa.py_buffer(values)])


def _source_text(text: Bytes, rows: int, bad: NDArray[np.int64]) -> pl.Series:
    # four bytes hold any character, so no more of a line is decoded than can be kept
    kept: list[str | None] = [None] * rows
    for row, begin, end in bad.tolist():
        line = text[begin : min(end, begin + 4 * SOURCE_TEXT_LIMIT)].tobytes()
        kept[row] = line.decode(errors="replace").rstrip("\r")[:SOURCE_TEXT_LIMIT]
    return pl.Series("source_text", kept, dtype=pl.String())
