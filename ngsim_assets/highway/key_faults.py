"""Rows that speak of the same vehicle at the same time: copies, corrections, contradictions.

Belongs here: which of several rows with one key (vehicle, frame) is believed, and what is wrong
with the others. Does not belong here: rows whose key nobody else has.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from ngsim_assets.highway.formats import DELIVERED

EXACT_DUPLICATE: Final = 1
DUPLICATE_ACROSS_FILES: Final = 2
SUPERSEDED: Final = 3
KEY_CONFLICT: Final = 4

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_NULL: Final = np.int64(-(2**63))
_REACH: Final = 50  # frames: who is further away says nothing about where a vehicle is


class _Rows(NamedTuple):
    vehicle: Integers
    frame: Integers
    x: Floats
    y: Floats
    sound: Mask
    faults: Codes


class _Shared(NamedTuple):
    """Rows that share their key: their place among all rows, delivered values, file."""

    at: Longs
    values: npt.NDArray[np.int64]
    file: Integers


def key_faults(
    rows: pl.DataFrame,
    vehicle: Integers,
    frame: Integers,
    x: Floats,
    y: Floats,
    sound: Mask,
) -> Codes:
    """What is wrong with rows that share their key, 0 for the one believed and for all others.

    Of rows with one key, copies inside one file keep the first (EXACT_DUPLICATE). Then the
    latest delivery has the say: an earlier row that agrees with it wherever both have a value
    is the same observation, of which the fuller row is kept, or the earlier if they tell as
    much (DUPLICATE_ACROSS_FILES); one that disagrees is SUPERSEDED. Rows of that delivery that
    disagree among themselves are settled by the positions before and after: the one nearest to
    the line between them is kept, the others are KEY_CONFLICT.

    A row that is not sound on its own decides nothing, and is only ever called a copy.

    Args:
        rows: delivered columns and `source_file`, sorted by vehicle and frame, then in the
            order of delivery and of lines.
        vehicle, frame, x [m], y [m]: of the same rows; sound rows have all four.
        sound: rows that keep all rules of their own.
    """
    faults = np.zeros(rows.height, np.uint8)
    same = np.zeros(rows.height + 1, np.bool_)
    same[1:-1] = (vehicle[1:] == vehicle[:-1]) & (frame[1:] == frame[:-1])
    tied = same[:-1] | same[1:]
    if not tied.any():
        return faults
    at = np.flatnonzero(tied)
    shared = rows.select(*DELIVERED, "source_file")[at]
    values = np.stack([_as_integers(shared[name]) for name in DELIVERED], axis=1)
    # Rank, not order of appearance: only equality counts, and it must not depend on the chunk.
    file = shared["source_file"].rank("dense").to_numpy().astype(np.int32)
    first = np.flatnonzero(~same[:-1][at])
    everybody = _Rows(vehicle, frame, x, y, sound, faults)
    _settle(first, _Shared(at, values, file), everybody)
    return faults


def _as_integers(column: pl.Series) -> Longs:
    """The column's values as integers that are equal exactly where the values are."""
    if isinstance(column.dtype, pl.Decimal):
        whole = column.to_physical().cast(pl.Int64)
    elif column.dtype.is_integer():
        whole = column.cast(pl.Int64)
    else:
        whole = column.cast(pl.String).rank("dense").cast(pl.Int64)
    return whole.fill_null(int(_NULL)).to_numpy()


# Where a row came from is no observation: a file that names the site tells no more than another.
_OBSERVED: Final = DELIVERED.index("location")


@njit(cache=True, nogil=True)
def _settle(first: Longs, shared: _Shared, rows: _Rows) -> None:
    """Judge every group of rows with one key, in order of time."""
    for group in range(first.size):
        start = first[group]
        end = first[group + 1] if group + 1 < first.size else shared.at.size
        _mark_copies(shared, start, end, rows.faults)
        believed = _believed(shared, start, end, rows)
        if believed >= 0:
            _mark_others(shared, start, end, believed, rows)


@njit(cache=True, nogil=True)
def _open(shared: _Shared, row: int, rows: _Rows) -> bool:
    """Whether a row is still a candidate."""
    return bool(rows.sound[shared.at[row]] and rows.faults[shared.at[row]] == 0)


@njit(cache=True, nogil=True)
def _believed(shared: _Shared, start: int, end: int, rows: _Rows) -> int:
    """The row of the latest delivery that lies nearest to its neighbours in time, -1 for none."""
    latest = -1
    for row in range(start, end):
        if _open(shared, row, rows):
            latest = row
    believed = latest
    nearest = np.inf
    for row in range(start, end):
        if _open(shared, row, rows) and shared.file[row] == shared.file[latest]:
            off = _off_the_line(shared.at[row], rows)
            # of two that fit alike, the later line
            if off <= nearest:
                nearest = off
                believed = row
    return believed


@njit(cache=True, nogil=True)
def _mark_others(shared: _Shared, start: int, end: int, believed: int, rows: _Rows) -> None:
    kept = believed
    for row in range(start, end):
        if row == believed or not _open(shared, row, rows):
            continue
        if shared.file[row] == shared.file[believed]:
            rows.faults[shared.at[row]] = KEY_CONFLICT
        elif not _agree(shared.values, row, believed):
            rows.faults[shared.at[row]] = SUPERSEDED
        else:
            fuller = _told(shared.values, row) - _told(shared.values, kept)
            if fuller > 0 or (fuller == 0 and row < kept):
                rows.faults[shared.at[kept]] = DUPLICATE_ACROSS_FILES
                kept = row
            else:
                rows.faults[shared.at[row]] = DUPLICATE_ACROSS_FILES


@njit(cache=True, nogil=True)
def _mark_copies(shared: _Shared, start: int, end: int, faults: Codes) -> None:
    for row in range(start + 1, end):
        for earlier in range(start, row):
            if shared.file[earlier] != shared.file[row]:
                continue
            same = True
            for column in range(shared.values.shape[1]):
                if shared.values[row, column] != shared.values[earlier, column]:
                    same = False
                    break
            if same:
                faults[shared.at[row]] = EXACT_DUPLICATE
                break


@njit(cache=True, nogil=True)
def _agree(values: npt.NDArray[np.int64], one: int, other: int) -> bool:
    """Whether two rows tell the same wherever both tell something."""
    for column in range(_OBSERVED):
        told = values[one, column] != _NULL and values[other, column] != _NULL
        if told and values[one, column] != values[other, column]:
            return False
    return True


@njit(cache=True, nogil=True)
def _told(values: npt.NDArray[np.int64], row: int) -> int:
    told = 0
    for column in range(_OBSERVED):
        if values[row, column] != _NULL:
            told += 1
    return told


@njit(cache=True, nogil=True)
def _off_the_line(row: int, rows: _Rows) -> float:
    """Metres between a row and the line from the believed row before to the nearest one after.

    The row after may itself be one of several with its key: the one that suits best counts.
    With a row on one side only, the distance to that one; with none, 0.
    """
    vehicle, frame = rows.vehicle[row], rows.frame[row]
    before = row - 1
    while _within_reach(before, vehicle, frame, rows) and (
        rows.frame[before] == frame or not rows.sound[before] or rows.faults[before] != 0
    ):
        before -= 1
    after = row + 1
    while _within_reach(after, vehicle, frame, rows) and (
        rows.frame[after] == frame or not rows.sound[after]
    ):
        after += 1
    has_before = _within_reach(before, vehicle, frame, rows)
    if not _within_reach(after, vehicle, frame, rows):
        if not has_before:
            return 0.0
        return float(np.hypot(rows.x[row] - rows.x[before], rows.y[row] - rows.y[before]))
    nearest = np.inf
    then = rows.frame[after]
    while _within_reach(after, vehicle, frame, rows) and rows.frame[after] == then:
        if rows.sound[after]:
            share, from_x, from_y = 0.0, rows.x[after], rows.y[after]
            if has_before:
                share = (frame - rows.frame[before]) / (then - rows.frame[before])
                from_x, from_y = rows.x[before], rows.y[before]
            off = np.hypot(
                rows.x[row] - (from_x + share * (rows.x[after] - from_x)),
                rows.y[row] - (from_y + share * (rows.y[after] - from_y)),
            )
            nearest = min(nearest, float(off))
        after += 1
    return nearest


@njit(cache=True, nogil=True)
def _within_reach(at: int, vehicle: int, frame: int, rows: _Rows) -> bool:
    return bool(
        0 <= at < rows.vehicle.size
        and rows.vehicle[at] == vehicle
        and abs(rows.frame[at] - frame) <= _REACH
    )
