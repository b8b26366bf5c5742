"""Files that look delivered: raw rows printed the way NGSIM publishes them.

Belongs here: files, the order of their rows, the labels and the truth beside a simulated one. Does
not belong here: layouts (formats.py), the bytes of a row (row_printer.py), reading (source.py).
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
from numpy.typing import NDArray

from ngsim_assets.highway.formats import LAYOUTS, Layout
from ngsim_assets.highway.simulation.row_printer import RowPrinter
from ngsim_assets.storage.atomic import make_folder, sync_file, sync_folder

I64 = NDArray[np.int64]

LayoutName = Literal["text", "csv", "export", "api"]

_LAYOUT_OF: dict[str, str] = {
    "text": "freeway_text",
    "csv": "freeway_csv",
    "export": "export",
    "api": "api_csv",
}
_BATCH_ROWS = 100_000


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

    printer = RowPrinter(chosen)
    with _whole_file(path) as file:
        file.write(printer.header())
        for frame, rows in batches():
            file.write(printer.print(frame, None if spoiled is None else spoiled[rows]))
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
    printer = RowPrinter(chosen)
    rows = 0
    with _whole_file(path) as file:
        file.write(printer.header())
        for frame in frames:
            for batch in frame.iter_slices(_BATCH_ROWS):
                file.write(printer.print(batch))
            rows += frame.height
    return Written(path, rows)


@contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
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
