"""Columns in memory to the Arrow arrays that a Parquet writer takes with the least work.

Belongs here: the physical form of a column's values. Does not belong here: how they are
encoded and compressed (encoding.py).
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.storage.schema import Column

_RUN = 4
"""Rows a text lasts on average for its runs to be worth looking up instead of the rows."""


def array_of(
    values: pl.Series, column: Column, room: NDArray[np.float64] | None = None
) -> pa.Array:
    """The values as they are stored: floats on their grid, texts as a dictionary.

    An array of floats lies in `room` if that is given, of `room_for(values.len())` at least:
    memory that was in use before costs less than new memory.

    ValueError for values a reader would misread: NaN, infinity, decimals with more digits than
    their type.
    """
    if isinstance(column.dtype, pl.Decimal):
        return _decimals(values, column.dtype)
    if column.dtype == pl.String():
        return _dictionary(values)
    if column.dtype == pl.Float64():
        return _floats(values, column.resolution, room)
    return _arrow_of(values.cast(column.dtype))


def room_for(rows: int) -> NDArray[np.float64]:
    """Memory for the floats of so many rows, see `array_of`."""
    return np.empty(rows + 7)


def _arrow_of(values: pl.Series) -> pa.Array:
    return values.to_arrow(compat_level=pl.CompatLevel.oldest())


def _floats(
    values: pl.Series, resolution: float | None, room: NDArray[np.float64] | None
) -> pa.Array:
    """Floats rounded, half to even, to multiples of `resolution` if there is one; no minus zero.

    ValueError for NaN and infinity.
    """
    floats = _arrow_of(values)
    validity, data = floats.buffers()
    stored = np.frombuffer(data, np.float64, len(floats), 8 * floats.offset)
    # a slice shares its bitmap with the whole column, from a bit in the middle of it on
    ahead = floats.offset % 8 if floats.null_count else 0
    written = room_for(stored.size) if room is None else room
    grid = written[ahead : ahead + stored.size]
    if resolution is None:
        np.add(stored, 0.0, out=grid)
        is_finite = bool(np.isfinite(grid).all())
    else:
        is_finite = _to_grid(stored, resolution, grid)
    if not is_finite:  # slots of nulls may hold anything
        if not values.is_finite().all():
            raise ValueError("has NaN or infinity")
        np.copyto(grid, stored, where=~np.isfinite(grid))  # far beyond where the grid matters
    return pa.Array.from_buffers(
        pa.float64(),
        len(floats),
        [
            validity.slice(floats.offset // 8) if floats.null_count else None,
            pa.py_buffer(written),
        ],
        floats.null_count,
        ahead,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _to_grid(values: NDArray[np.float64], resolution: float, grid: NDArray[np.float64]) -> bool:
    """Write the nearest multiples of `resolution` to `grid`; whether all of them are finite."""
    all_finite = True
    for place in range(values.size):
        nearest = np.rint(values[place] / resolution) * resolution + 0.0
        grid[place] = nearest
        all_finite &= np.isfinite(nearest)
    return all_finite


def _decimals(values: pl.Series, dtype: pl.Decimal) -> pa.Array:
    """Integers in units of the last place, or decimals, as the narrowest Arrow decimals.

    ValueError for more digits than the type has.
    """
    precision = dtype.precision or 18
    if isinstance(values.dtype, pl.Decimal):
        values = values.to_physical()
    largest = max(abs(int(bound)) for bound in (values.min() or 0, values.max() or 0))  # type: ignore[arg-type]
    if largest >= 10**precision:
        raise ValueError(f"has values of more than {precision} digits")
    narrow = precision <= 9
    integers = _arrow_of(values.cast(pl.Int32() if narrow else pl.Int64()))
    kind = pa.decimal32(precision, dtype.scale) if narrow else pa.decimal64(precision, dtype.scale)
    return pa.Array.from_buffers(
        kind, len(integers), integers.buffers(), integers.null_count, integers.offset
    )


def _dictionary(values: pl.Series) -> pa.Array:
    """Texts by their place among the distinct ones, which come in order of appearance.

    Names and ids repeat for thousands of rows, so runs are looked up, not rows.
    """
    starts = _run_starts(values)
    distinct = _arrow_of(values.gather(starts).cast(pl.String)).dictionary_encode()
    lengths = np.diff(starts, append=values.len())
    if distinct.indices.null_count:
        run_of_row = _arrow_integers(np.repeat(np.arange(starts.size), lengths))
        indices = distinct.indices.take(run_of_row)
    else:
        places = np.frombuffer(distinct.indices.buffers()[1], np.int32, starts.size)
        indices = _arrow_integers(np.repeat(places, lengths))
    return pa.DictionaryArray.from_arrays(indices, distinct.dictionary, safe=False)


def _arrow_integers(values: NDArray[np.int64] | NDArray[np.int32]) -> pa.Array:
    """The same values; `pa.array` and `to_numpy` load Pandas, 40 MB that nothing here needs."""
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, values.size, [None, pa.py_buffer(values)])


def _run_starts(values: pl.Series) -> NDArray[np.int64]:
    """Where texts begin that differ from the row before, or may differ from it."""
    if values.null_count() == values.len():
        return np.arange(min(values.len(), 1))
    if values.dtype == pl.String() and not values.null_count():
        views = values.to_arrow(compat_level=pl.CompatLevel.newest())
        if pa.types.is_string_view(views.type):
            words = np.frombuffer(views.buffers()[1], np.int64, 2 * len(views), 16 * views.offset)
            starts = _changes(words)
            if starts.size * _RUN <= values.len():
                return starts
    changes = values.ne_missing(values.shift())
    if values.len():
        changes[0] = True
    return changes.arg_true().to_numpy().astype(np.int64)


@njit(cache=True, nogil=True)
def _changes(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows whose pair of words differs from that of the row before.

    The pairs are Arrow's views of texts: the text itself, or its length and where it lies. Same
    pair, same text; the same text at another place is taken for another one.
    """
    starts = np.empty(words.size // 2, np.int64)
    found = 0
    for row in range(starts.size):
        if (
            row == 0
            or words[2 * row] != words[2 * row - 2]
            or words[2 * row + 1] != words[2 * row - 1]
        ):
            starts[found] = row
            found += 1
    return starts[:found].copy()
