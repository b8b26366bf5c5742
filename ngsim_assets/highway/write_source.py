"""Files that look delivered: raw rows printed the way NGSIM publishes them.

Belongs here: printing and shuffling rows, the labels and the truth beside a simulated file. Does
not belong here: layouts (formats.py), reading (source.py).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal
from uuid import uuid4

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.formats import LAYOUTS, LOCATIONS, RAW_PHYSICAL, Layout, decimals_of
from ngsim_assets.storage.atomic import make_folder, sync_file, sync_folder

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

LayoutName = Literal["text", "csv", "export", "api"]

_LAYOUT_OF: dict[str, str] = {
    "text": "freeway_text",
    "csv": "freeway_csv",
    "export": "export",
    "api": "api_csv",
}
_BATCH_ROWS = 100_000
_LONGEST_CELL = 28  # bytes: sign, 19 digits, point, separators, quotes
_ABSENT = np.iinfo(np.int64).min
_UNREADABLE = _ABSENT + 1
_UNREADABLE_TEXT = np.frombuffer(b"***", np.uint8)  # what Fortran prints for a full field


class CannotWrite(NgsimAssetsError):
    """Rows that the layout has no way to write.

    Attributes: layout: its name. column: the canonical column to blame.
    """

    def __init__(self, layout: str, column: str, problem: str) -> None:
        self.layout = layout
        self.column = column
        super().__init__(
            f"{column} {problem} and cannot be written as {layout}", "write it as csv or export"
        )


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        path: the file. rows: without the header.
        source_row: line of each row of the recording, in its order, the header included,
            from 1; None where rows came as a stream.
    """

    path: Path
    rows: int
    source_row: pl.Series | None = None


def write_source(
    recording: pl.DataFrame,
    path: Path,
    layout: LayoutName = "text",
    *,
    shuffle: int | None = None,
    truth: pl.DataFrame | None = None,
    labels: pl.DataFrame | None = None,
) -> Written:
    """Write raw rows to one file, whole or not at all; a name ending in .gz is compressed.

    `recording` has the columns of formats.RAW_PHYSICAL (unscaled integers). Numbers are printed
    as published: text with fixed decimals in padded cells, the others as short as they can be, the
    export with a byte order mark and `"1,156"` in five columns. Null is an empty cell.

    `shuffle` is the seed of a random order of rows, as in the export; None keeps the order.
    `truth` is stored beside the file as `<name>.truth.parquet`. `labels` (see
    faults.inject_faults) get the line of every faulty row and go to `<name>.labels.parquet`;
    a label whose `fault` is unreadable_cell turns the cell of its `column` into `***`.

    Raises CannotWrite where a text file would need an empty cell.
    """
    chosen = LAYOUTS[_LAYOUT_OF[layout]]
    order = None
    if shuffle is not None:
        order = np.random.default_rng(shuffle).permutation(recording.height)
    spoiled = _unreadable_cells(labels, chosen, recording.height)

    def batches() -> Iterator[tuple[pl.DataFrame, I64]]:
        for first in range(0, recording.height, _BATCH_ROWS):
            if order is None:
                rows = np.arange(first, min(first + _BATCH_ROWS, recording.height))
                yield recording.slice(first, _BATCH_ROWS), rows
            else:
                rows = order[first : first + _BATCH_ROWS]
                yield recording[rows], rows

    with _whole_file(path) as file:
        _header(file, chosen)
        for frame, rows in batches():
            file.write(_print(frame, chosen, spoiled, rows))
    source_row = _lines(order, recording.height, header=chosen.has_header)
    if truth is not None:
        truth.write_parquet(path.with_name(f"{path.name}.truth.parquet"))
    if labels is not None:
        located = _located(labels, source_row)
        located.write_parquet(path.with_name(f"{path.name}.labels.parquet"))
    return Written(path, recording.height, source_row)


def write_rows(frames: Iterable[pl.DataFrame], path: Path, layout: LayoutName) -> Written:
    """Write a stream of frames of raw rows to one file in constant memory, in their order."""
    chosen = LAYOUTS[_LAYOUT_OF[layout]]
    rows = 0
    with _whole_file(path) as file:
        _header(file, chosen)
        for frame in frames:
            for batch in frame.iter_slices(_BATCH_ROWS):
                file.write(_print(batch, chosen))
            rows += frame.height
    return Written(path, rows)


@contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Write aside and rename, so that nobody who watches the folder takes half a file."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as raw:
            if path.suffix == ".gz":
                # no name and no time inside: equal rows give equal bytes
                with gzip.GzipFile("", "wb", 4, raw, mtime=0) as packed:
                    yield packed
            else:
                yield raw
        sync_file(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _header(file: IO[bytes], layout: Layout) -> None:
    if layout.bom:
        file.write(b"\xef\xbb\xbf")
    if layout.has_header:
        cells = (f'"{cell}"' if layout.quoted else cell for cell in layout.headers)
        file.write((layout.separator.join(cells) + layout.line_end).encode())


def _lines(order: I64 | None, rows: int, *, header: bool) -> pl.Series:
    """Line of each row of the recording in the file."""
    first = 2 if header else 1
    lines = np.arange(first, first + rows)
    if order is not None:
        placed = np.empty(rows, np.int64)
        placed[order] = lines
        lines = placed
    return pl.Series("source_row", lines)


def _located(labels: pl.DataFrame, source_row: pl.Series) -> pl.DataFrame:
    """Labels with the line of their row; rows that are missing on purpose have none."""
    lines = source_row.to_frame().with_row_index("row").cast({"row": labels.schema["row"]})
    return (
        labels.drop("source_row")
        .join(lines, on="row", how="left", maintain_order="left")
        .select(labels.columns)
    )


def _unreadable_cells(labels: pl.DataFrame | None, layout: Layout, rows: int) -> I64 | None:
    """Position in the layout of the cell to spoil per row, -1 for none; None if there is none."""
    if labels is None:
        return None
    places = {name: place for place, name in enumerate(layout.columns)}
    cells = labels.filter(
        pl.col("fault") == "unreadable_cell", pl.col("column").is_in(list(places))
    )
    if cells.is_empty():
        return None
    spoiled = np.full(rows, -1, np.int64)
    spoiled[cells["row"].to_numpy()] = [places[name] for name in cells["column"]]
    return spoiled


def _print(
    frame: pl.DataFrame, layout: Layout, spoiled: I64 | None = None, rows: I64 | None = None
) -> memoryview:
    """Bytes of the rows of one batch."""
    values = np.empty((len(layout.columns), frame.height), np.int64)
    for place, name in enumerate(layout.columns):
        column = frame[name]
        if column.dtype == pl.String:
            column = column.cast(LOCATIONS)
        values[place] = column.to_physical().cast(pl.Int64).fill_null(_ABSENT).to_numpy()
        if layout.separator == " " and column.null_count():
            raise CannotWrite(layout.name, name, "has null")
    if spoiled is not None and rows is not None:
        at = np.flatnonzero(spoiled[rows] >= 0)
        values[spoiled[rows[at]], at] = _UNREADABLE
    names = [np.frombuffer(name.encode(), np.uint8) for name in LOCATIONS.categories]
    widest = max(layout.widths.values(), default=0)
    out = np.empty(
        frame.height * (len(layout.columns) * max(_LONGEST_CELL, widest + 1) + 2), np.uint8
    )
    end = _print_rows(
        values,
        np.array([decimals_of(name) for name in layout.columns]),
        np.array([layout.decimals.get(name, -1) for name in layout.columns]),
        np.array([layout.widths.get(name, 0) for name in layout.columns]),
        np.array([name in layout.thousands for name in layout.columns]),
        layout.columns.index("location") if "location" in layout.columns else -1,
        np.concatenate(names),
        np.cumsum([0, *map(len, names)]),
        layout.quoted,
        ord(layout.separator),
        np.frombuffer(layout.line_end.encode(), np.uint8),
        out,
    )
    return memoryview(out[:end])


@njit(cache=True, nogil=True)
def _print_rows(
    values: I64,
    scales: I64,
    decimals: I64,
    widths: I64,
    thousands: NDArray[np.bool_],
    named: int,
    names: U8,
    name_bounds: I64,
    quoted: bool,
    separator: int,
    line_end: U8,
    out: U8,
) -> int:
    """Print `values` (columns × rows) into `out`; returns the end of what was written.

    Per column: `scales` decimals are stored, `decimals` are printed (-1: as many as needed),
    `widths` pads on the left, `thousands` groups and quotes numbers over 999; column `named`
    holds places in `names`.
    """
    end = 0
    columns, rows = values.shape
    for row in range(rows):
        for column in range(columns):
            if column > 0 and separator != 32:
                out[end] = separator
                end += 1
            if quoted:
                out[end] = 34
                end += 1
            value = values[column, row]
            if column == named and value >= 0:
                for k in range(name_bounds[value], name_bounds[value + 1]):
                    out[end] = names[k]
                    end += 1
            else:
                end = _print_number(
                    values[column, row],
                    scales[column],
                    decimals[column],
                    widths[column],
                    separator == 32 and column > 0,
                    thousands[column],
                    out,
                    end,
                )
            if quoted:
                out[end] = 34
                end += 1
        for byte in line_end:
            out[end] = byte
            end += 1
    return end


@njit(cache=True, nogil=True)
def _print_number(
    value: int,
    scale: int,
    decimals: int,
    width: int,
    apart: bool,
    thousands: bool,
    out: U8,
    end: int,
) -> int:
    """Print one number at `end`, padded to `width` or by one blank if `apart`; returns the end."""
    if value == _ABSENT:
        return end
    if value == _UNREADABLE:
        size = len(_UNREADABLE_TEXT)
        for _ in range(max(width - size, 1 if apart else 0)):
            out[end] = 32
            end += 1
        for byte in _UNREADABLE_TEXT:
            out[end] = byte
            end += 1
        return end
    # unsigned: division by a constant is then a multiplication
    ten = np.uint64(10)
    zero = np.uint64(48)
    rest = np.uint64(abs(value))
    shown = scale
    if decimals < 0:
        while shown > 0 and rest % ten == 0:
            rest //= ten
            shown -= 1
    else:
        while shown > decimals:
            # half away from zero: only lengths are stored finer than text files print them
            rest = (rest + np.uint64(5)) // ten
            shown -= 1
    negative = value < 0 and rest > 0
    digits = 1
    left = rest // ten
    while left > 0 or digits <= shown:
        left //= ten
        digits += 1
    whole = digits - shown
    grouped = thousands and whole > 3
    size = digits + (1 if shown > 0 else 0) + (1 if negative else 0)
    if grouped:
        size += 2 + (whole - 1) // 3
    for _ in range(max(width - size, 1 if apart else 0)):
        out[end] = 32
        end += 1
    end += size
    at = end - 1
    if grouped:
        out[at] = 34
        at -= 1
    for k in range(digits):
        if k == shown and shown > 0:
            out[at] = 46
            at -= 1
        if grouped and k > shown and (k - shown) % 3 == 0:
            out[at] = 44
            at -= 1
        out[at] = zero + rest % ten
        rest //= ten
        at -= 1
    if negative:
        out[at] = 45
        at -= 1
    if grouped:
        out[at] = 34
    return end
