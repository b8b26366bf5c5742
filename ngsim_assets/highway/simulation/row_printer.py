"""Raw rows into the bytes of a published layout.

Belongs here: printing numbers, compiled. Does not belong here: layouts (formats.py), files
(write_source.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.formats import LOCATIONS, Layout, decimals_of

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

_LONGEST_CELL = 30  # bytes: sign, 19 digits, point, separators, quotes, blank
_ABSENT = np.iinfo(np.int64).min
_UNREADABLE = _ABSENT + 1
_STARS = np.frombuffer(b"***", np.uint8)  # what Fortran prints for a number too wide

_BLANK, _QUOTE, _COMMA, _MINUS, _POINT = b' ",-.'


class CannotWrite(NgsimAssetsError):
    """Rows that the layout has no way to write.

    Attributes: layout: its name. column: the canonical column to blame.
    """

    def __init__(self, layout: str, column: str) -> None:
        self.layout = layout
        self.column = column
        super().__init__(
            f"{column} has empty cells and {layout} cannot", "write it as csv or export"
        )


class _Form(NamedTuple):
    """A layout as arrays, one entry per column.

    Attributes:
        scales: decimals stored. decimals: decimals printed, -1: as many as needed.
        widths: cells are padded to it on the left. thousands: numbers over 999 are grouped
        and quoted. named: the column that holds places in `names`, -1 none.
        names, bounds: the names behind each other, and where each begins.
        quoted: every cell. separator, line_end: bytes.
    """

    scales: I64
    decimals: I64
    widths: I64
    thousands: NDArray[np.bool_]
    named: int
    names: U8
    bounds: I64
    quoted: bool
    separator: int
    line_end: U8


class RowPrinter:
    """Prints frames of formats.RAW_PHYSICAL in one layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        columns = layout.columns
        names = [name.encode() for name in LOCATIONS.categories]
        self._form = _Form(
            scales=np.array([decimals_of(name) for name in columns]),
            decimals=np.array([layout.decimals.get(name, -1) for name in columns]),
            widths=np.array([layout.widths.get(name, 0) for name in columns]),
            thousands=np.array([name in layout.thousands for name in columns]),
            named=columns.index("location") if "location" in columns else -1,
            names=np.frombuffer(b"".join(names), np.uint8),
            bounds=np.cumsum([0, *map(len, names)]),
            quoted=layout.quoted,
            separator=ord(layout.separator),
            line_end=np.frombuffer(layout.line_end.encode(), np.uint8),
        )
        self._longest = 2 + sum(
            max(_LONGEST_CELL, layout.widths.get(name, 0) + 1) for name in columns
        )

    def header(self) -> bytes:
        """What stands before the first row: byte order mark and column names, or nothing."""
        layout = self._layout
        mark = b"\xef\xbb\xbf" if layout.bom else b""
        if not layout.has_header:
            return mark
        cells = (f'"{cell}"' if layout.quoted else cell for cell in layout.headers)
        return mark + (layout.separator.join(cells) + layout.line_end).encode()

    def print(self, rows: pl.DataFrame, spoiled: I64 | None = None) -> bytes:
        """Bytes of all rows; null is an empty cell.

        `spoiled` is the place of a column per row that is printed as `***`, -1 for none.
        Raises CannotWrite where the cells are apart by blanks and one would be empty.
        """
        values = np.empty((len(self._layout.columns), rows.height), np.int64)
        for place, name in enumerate(self._layout.columns):
            column = rows[name]
            if column.null_count() and self._layout.separator == " ":
                raise CannotWrite(self._layout.name, name)
            if column.dtype == pl.String:
                column = column.cast(LOCATIONS)
            values[place] = column.to_physical().cast(pl.Int64).fill_null(_ABSENT).to_numpy()
        if spoiled is not None:
            at = np.flatnonzero(spoiled >= 0)
            values[spoiled[at], at] = _UNREADABLE
        out = np.empty(rows.height * self._longest, np.uint8)
        return out[: _print_rows(values, self._form, out)].tobytes()


@njit(cache=True, nogil=True)
def _print_rows(values: I64, form: _Form, out: U8) -> int:
    """Print `values` (columns × rows) into `out`; returns the end of what was written."""
    end = 0
    columns, rows = values.shape
    blanks = form.separator == _BLANK
    for row in range(rows):
        for column in range(columns):
            if column > 0 and not blanks:
                out[end] = form.separator
                end += 1
            if form.quoted:
                out[end] = _QUOTE
                end += 1
            value = values[column, row]
            if column == form.named and value >= 0:
                for k in range(form.bounds[value], form.bounds[value + 1]):
                    out[end] = form.names[k]
                    end += 1
            elif value == _UNREADABLE:
                end = _pad(len(_STARS), form.widths[column], blanks and column > 0, out, end)
                for byte in _STARS:
                    out[end] = byte
                    end += 1
            elif value != _ABSENT:
                end = _print_number(value, form, column, out, end)
            if form.quoted:
                out[end] = _QUOTE
                end += 1
        for byte in form.line_end:
            out[end] = byte
            end += 1
    return end


@njit(cache=True, nogil=True)
def _pad(size: int, width: int, apart: bool, out: U8, end: int) -> int:
    """Blanks before a cell of `size` bytes: up to `width`, and one at least if `apart`."""
    for _ in range(max(width - size, 1 if apart else 0)):
        out[end] = _BLANK
        end += 1
    return end


@njit(cache=True, nogil=True)
def _shown(value: int, scale: int, decimals: int) -> tuple[np.uint64, int]:
    """Magnitude to print and how many of its digits are decimals."""
    # unsigned: division by a constant is then a multiplication
    ten = np.uint64(10)
    rest: np.uint64 = np.uint64(abs(value))
    if decimals < 0:
        while scale > 0 and rest % ten == 0:
            rest //= ten
            scale -= 1
    else:
        while scale > decimals:
            # half away from zero: only lengths are stored finer than text files print them
            rest = (rest + np.uint64(5)) // ten
            scale -= 1
    return rest, scale


@njit(cache=True, nogil=True)
def _print_number(value: int, form: _Form, column: int, out: U8, end: int) -> int:
    """Print one number and the blanks before it at `end`; returns the new end."""
    ten = np.uint64(10)
    zero = np.uint64(48)
    rest, decimals = _shown(value, form.scales[column], form.decimals[column])
    negative = value < 0 and rest > 0
    digits = 1
    left = rest // ten
    while left > 0 or digits <= decimals:
        left //= ten
        digits += 1
    whole = digits - decimals
    grouped = form.thousands[column] and whole > 3
    size = digits + (1 if decimals > 0 else 0) + (1 if negative else 0)
    if grouped:
        size += 2 + (whole - 1) // 3
    apart = form.separator == _BLANK and column > 0
    end = _pad(size, form.widths[column], apart, out, end) + size
    at = end - 1
    if grouped:
        out[at] = _QUOTE
        at -= 1
    for k in range(digits):
        if k == decimals and k > 0:
            out[at] = _POINT
            at -= 1
        elif grouped and k > decimals and (k - decimals) % 3 == 0:
            out[at] = _COMMA
            at -= 1
        out[at] = zero + rest % ten
        rest //= ten
        at -= 1
    if negative:
        out[at] = _MINUS
        at -= 1
    if grouped:
        out[at] = _QUOTE
    return end
