"""Which layout a file has, told from its first bytes and never from its name.

Belongs here: header, separator and columns of a delivered file, and the refusal of what is no
NGSIM trajectory file, with what it is instead. Does not belong here: reading on (source.py).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import polars as pl

from ngsim_assets.highway.errors import (
    EmptySource,
    MetricReconstruction,
    MissingColumns,
    MissingFrameId,
    NotNgsim,
    RepeatedColumn,
    RuinedClock,
    UnreadableColumn,
    WrongNumberOfColumns,
)
from ngsim_assets.highway.formats import (
    HEADERLESS,
    REQUIRED,
    canonical_column,
    decimals_of,
    is_metric_reconstruction,
    largest_of,
)
from ngsim_assets.highway.reading.line_parser import LineParser

HEAD_BYTES = 262_144
"""How much of a file is looked at; some 1,700 rows."""

_SAMPLE_ROWS = 200
_BOM = b"\xef\xbb\xbf"

# A file without header is taken for NGSIM only if its fourth column is a clock: milliseconds
# since 1970 (seconds plus frames at peachtree), 10 digits and more in every recording.
_EARLIEST_CLOCK = 1_000_000_000

_ROUNDED = re.compile(r"[+-]?\d(\.\d+)?E\+?\d{1,2}", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+(E[+-]?\d+)?", re.IGNORECASE)

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PAR1", "a Parquet file"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"FEA1", "a Feather file"),
    (0, b"PK\x03\x04", "a zip archive or Excel workbook"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (Excel workbook)"),
    (0, b"\x1f\x8b", "gzip-compressed data"),
    (0, b"BZh", "bzip2-compressed data"),
    (0, b"\xfd7zXZ", "xz-compressed data"),
    (0, b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a rar archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"%PDF", "a PDF document"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"MATLAB 5.0", "a MATLAB file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"\xff\xfe", "UTF-16 text"),
    (0, b"\xfe\xff", "UTF-16 text"),
)
_FIXES = {
    "UTF-16 text": "save it as UTF-8",
    "a tar archive": "unpack it and hand over the data files",
    "a JSON document": "query the API with .csv in place of .json",
    "text with the line ends of old Macintoshes": "convert its line ends to LF",
}


@dataclass(frozen=True, slots=True)
class Recognised:
    """What the first bytes of a file tell of the rest.

    Attributes:
        columns: canonical name per cell, None for cells of columns that are not NGSIM's.
        separator: `,` or `;`, or a blank for runs of blanks and tabs.
        header_line: line of the header, 0 without one; rows begin on the next.
        header_bytes: where the rows begin.
        unknown: header cells that name no NGSIM column; their content is not read.
    """

    columns: tuple[str | None, ...]
    separator: str
    header_line: int
    header_bytes: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    cells: tuple[str, ...]


def recognise(head: bytes, source: str, *, complete: bool) -> Recognised:
    """Recognise a file by its first bytes (`HEAD_BYTES`, or all: `complete`).

    Raises NotNgsim, EmptySource, MetricReconstruction, MissingFrameId, MissingColumns,
    RepeatedColumn, WrongNumberOfColumns, RuinedClock.
    """
    text = head.removeprefix(_BOM)
    if not text.strip() and complete:
        raise EmptySource(source)
    _refuse_other_kinds(head, source)
    bom = len(head) - len(text)
    raw_lines = text.split(b"\n")
    if not complete:
        raw_lines.pop()
    separator = _separator(raw_lines)
    sample = _cells(raw_lines, separator)
    if not sample:
        raise NotNgsim(source, "its first line does not end")
    header_line, columns, unknown = 0, (), ()
    if _is_header(sample):
        header = sample.pop(0)
        header_line = header.number
        columns = _named_columns(header, source)
        unknown = tuple(
            cell for cell, name in zip(header.cells, columns, strict=True) if name is None
        )
        if not sample:
            raise EmptySource(source, header=True)
        if not any(len(line.cells) == len(columns) for line in sample):
            raise WrongNumberOfColumns(
                source, sample[0].number, len(sample[0].cells), f"{len(columns)} (as in the header)"
            )
    else:
        columns = _published_columns(sample, source)
    found = Recognised(
        columns,
        separator,
        header_line,
        bom + sum(len(line) + 1 for line in raw_lines[:header_line]),
        unknown,
    )
    _refuse_ruined_clock(sample, columns, source)
    _refuse_without_rows(raw_lines[header_line : sample[-1].number], found, sample, source)
    return found


def _refuse_other_kinds(head: bytes, source: str) -> None:
    found = next((kind for at, magic, kind in _MAGIC if head.startswith(magic, at)), None)
    start = head.removeprefix(_BOM).lstrip()[:512].lower()
    if found is None and start.startswith((b"<!doctype html", b"<html")):
        found = "an HTML page"
    if found is None and start.startswith(b"<"):
        found = "an XML document"
    if found is None and re.match(rb"[\[{]\s*[\[{\"\]}]", start):
        found = "a JSON document"
    if found is None and head.count(0) > len(head) // 20:
        found = "UTF-16 text" if head[1::2].count(0) > len(head) // 4 else "binary data"
    if found is None and b"\n" not in head and b"\r" in head.strip():
        found = "text with the line ends of old Macintoshes"
    if found is not None:
        raise NotNgsim(source, found, _FIXES.get(found, ""))


def _separator(lines: Sequence[bytes]) -> str:
    """The separator of the header, or the one most lines use where there is none.

    A few commas may also stand inside cells, so a line needs as many as it has words.
    """
    written = [line for line in lines if line.strip()][:_SAMPLE_ROWS]
    for separator in (",", ";", " "):
        if _is_header(_cells(written[:1], separator)):
            return separator
    votes: Counter[str] = Counter()
    for line in written:
        separator, count = max((";", line.count(b";")), (",", line.count(b",")), key=itemgetter(1))
        votes[separator if count and count >= len(line.split()) - 1 else " "] += 1
    return votes.most_common(1)[0][0] if votes else " "


def _is_header(sample: Sequence[_Line]) -> bool:
    known = [canonical_column(cell) for cell in sample[0].cells] if sample else []
    return sum(name is not None for name in known) >= 2


def _cells(lines: Sequence[bytes], separator: str) -> list[_Line]:
    """Cells of the first lines that are not blank."""
    sample: list[_Line] = []
    for number, raw in enumerate(lines, start=1):
        line = raw.decode(errors="replace").strip()
        if not line:
            continue
        if separator == " ":
            cells = line.split()
        else:
            line = line.replace("\0", "\N{REPLACEMENT CHARACTER}")
            line = line.replace("\r", " ").replace("\t", " ")
            reader = csv.reader([line], delimiter=separator, skipinitialspace=True)
            cells = [cell.strip() for cell in next(reader)]
        sample.append(_Line(number, tuple(cells)))
        if len(sample) > _SAMPLE_ROWS:
            break
    return sample


def _named_columns(header: _Line, source: str) -> tuple[str | None, ...]:
    if is_metric_reconstruction(list(header.cells)):
        raise MetricReconstruction(source)
    columns = tuple(canonical_column(cell) for cell in header.cells)
    seen: dict[str, str] = {}
    for cell, name in zip(header.cells, columns, strict=True):
        if name is not None and name in seen:
            raise RepeatedColumn(source, seen[name], cell, name, header.number)
        if name is not None:
            seen[name] = cell
    missing = [name for name in REQUIRED if name not in seen]
    if missing == ["frame_id"]:
        raise MissingFrameId(source)
    if missing:
        unknown = [cell for cell, name in zip(header.cells, columns, strict=True) if name is None]
        raise MissingColumns(source, missing, header.number, unknown)
    return columns


def _published_columns(sample: Sequence[_Line], source: str) -> tuple[str | None, ...]:
    """Columns of a file without header, by how many cells most of its rows have."""
    counts = Counter(len(line.cells) for line in sample)
    published = [width for width, _ in counts.most_common() if width in HEADERLESS]
    if published:
        return HEADERLESS[published[0]]
    width = counts.most_common(1)[0][0]
    row = next(line for line in sample if len(line.cells) == width)
    numbers = sum(_NUMBER.fullmatch(cell) is not None for cell in row.cells)
    if numbers >= 5 and numbers >= width / 2:
        expected = " or ".join(str(width) for width in sorted(HEADERLESS))
        raise WrongNumberOfColumns(source, row.number, width, expected)
    raise NotNgsim(source, "text without columns of numbers or a header naming Vehicle_ID")


def _refuse_ruined_clock(
    sample: Sequence[_Line], columns: tuple[str | None, ...], source: str
) -> None:
    clock = columns.index("global_time")
    rows = [line for line in sample if len(line.cells) == len(columns)]
    ruined = [line for line in rows if _ROUNDED.fullmatch(line.cells[clock])]
    if 2 * len(ruined) > len(rows):
        raise RuinedClock(source, ruined[0].number, ruined[0].cells[clock], len(ruined), len(rows))


def _refuse_without_rows(
    lines: Sequence[bytes], found: Recognised, sample: Sequence[_Line], source: str
) -> None:
    text = np.frombuffer(bytearray(b"\n".join(lines) + b"\n"), dtype=np.uint8)
    parser = LineParser(found.columns, found.separator)
    rows = parser.parse(text, text.size, lines=len(lines), first_line=1).frame
    usable = pl.all_horizontal(pl.col(REQUIRED).is_not_null())
    if not found.header_line:
        usable &= pl.col("global_time") >= _EARLIEST_CLOCK
    if rows.filter(usable).is_empty():
        _refuse_unreadable_column(rows, found, sample, source)
        raise NotNgsim(
            source,
            f"none of its first {rows.height} rows has a vehicle, frame, time and position",
            row=found.header_line + 1,
        )


def _refuse_unreadable_column(
    rows: pl.DataFrame, found: Recognised, sample: Sequence[_Line], source: str
) -> None:
    """Name the one required column of which not a single number can be read."""
    unread = [name for name in REQUIRED if rows[name].null_count() == rows.height]
    whole = [line for line in sample if len(line.cells) == len(found.columns)]
    if len(unread) != 1 or not whole or not found.header_line:
        return
    column = unread[0]
    row = whole[0]
    cell = row.cells[found.columns.index(column)]
    if _NUMBER.fullmatch(cell):
        raise UnreadableColumn(
            source,
            column,
            cell,
            largest=largest_of(column),
            decimals=decimals_of(column),
            row=row.number,
            rows=rows.height,
        )
