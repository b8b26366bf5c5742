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

from ngsim_assets.highway.formats import (
    BATCH_SCHEMA,
    LOCATIONS,
    RAW_PHYSICAL,
    canonical_locations,
    decimals_of,
    largest_of,
)
from ngsim_assets.highway.reading import decimal_text as kernel

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
        numbers = [name if name != "location" else None for name in columns]
        kinds = np.array([_kind(name) for name in columns], dtype=np.uint8)
        slots = np.zeros(len(columns), dtype=np.uint64)
        for kind in (kernel.NARROW, kernel.WIDE):
            slots[kinds == kind] = np.arange(np.count_nonzero(kinds == kind))
        self._known = kernel.Columns(
            kinds,
            slots,
            np.array([decimals_of(name) if name else 0 for name in numbers], dtype=np.uint64),
            np.array([largest_of(name) if name else 0 for name in numbers], dtype=np.uint64),
        )
        self._names = _known_locations()

    def parse(
        self, text: Bytes, size: int, *, lines: int, first_line: int, cut: bool = False
    ) -> Parsed:
        """Parse the first `size` bytes of `text`, which are `lines` lines with their ends.

        Args:
            first_line: number of the first of them.
            cut: the last line feed is not the file's; the file ends inside this line.
        """
        room = min(lines, size // len(self.columns) + 1)
        out = self._room(room)
        rows, read, bads, consumed = kernel.parse(
            np.uint64(text.ctypes.data),
            np.uint64(size),
            cut,
            first_line,
            self._separator,
            self._known,
            self._names,
            out,
        )
        return Parsed(self._frame(text, out, int(rows), int(bads)), int(read), int(consumed))

    def _room(self, rows: int) -> kernel.Rows:
        kinds = self._known.kinds
        return kernel.Rows(
            np.empty((np.count_nonzero(kinds == kernel.NARROW), rows), dtype=np.int32),
            np.empty((np.count_nonzero(kinds == kernel.WIDE), rows), dtype=np.int64),
            np.empty(rows, dtype=np.uint8),
            np.empty(rows, dtype=np.int64),
            np.zeros(len(kinds), dtype=np.int64),
            np.empty((rows, 3), dtype=np.int64),
        )

    def _frame(self, text: Bytes, out: kernel.Rows, rows: int, bads: int) -> pl.DataFrame:
        made = {"source_row": pl.Series("source_row", _over(out.line, rows, None))}
        if bads:
            made["source_text"] = _source_text(text, rows, out.bad[:bads])
        for column, kind, slot, nulls in zip(
            self.columns, self._known.kinds, self._known.slots, out.nulls, strict=True
        ):
            if column is None:
                continue
            if kind == kernel.NAME:
                codes = _over(out.name, rows, kernel.NO_NAME if nulls else None)
                made[column] = pl.Series(column, codes).cat.to(LOCATIONS)
            elif kind == kernel.NARROW:
                values = _over(out.narrow[slot], rows, kernel.NULL_NARROW if nulls else None)
                made[column] = pl.Series(column, values)
            else:
                values = _over(out.wide[slot], rows, kernel.NULL_WIDE if nulls else None)
                made[column] = pl.Series(column, values)
        return pl.DataFrame(list(made.values())).select(
            pl.col(column) if column in made else pl.lit(None, dtype=dtype).alias(column)
            for column, dtype in BATCH_SCHEMA.items()
        )


def _kind(column: str | None) -> int:
    if column is None:
        return kernel.IGNORED
    if column == "location":
        return kernel.NAME
    return kernel.NARROW if RAW_PHYSICAL[column] == pl.Int32() else kernel.WIDE


def _known_locations() -> kernel.Names:
    """Every spelling of a site, with its code in `LOCATIONS`."""
    spellings = {name.encode(): key for name, key in canonical_locations().items()}
    texts = np.zeros((len(spellings), max(map(len, spellings))), dtype=np.uint8)
    for row, spelling in enumerate(spellings):
        texts[row, : len(spelling)] = np.frombuffer(spelling, dtype=np.uint8)
    order = {key: code for code, key in enumerate(LOCATIONS.categories)}
    return kernel.Names(
        texts,
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
