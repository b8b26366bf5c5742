"""Rows that speak of the same vehicle at the same time: copies, corrections, contradictions.

Belongs here: which of several rows with one key (vehicle, frame) is believed, and what is wrong
with the others. Does not belong here: rows whose key nobody else has.
"""

from __future__ import annotations

import itertools
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
_BLOCK: Final = 16_384
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
    compared = rows.select(*DELIVERED, "source_file")
    everybody = _Rows(vehicle, frame, x, y, sound, faults)
    at = np.flatnonzero(tied)
    begins = np.flatnonzero(~same[:-1][at])
    for start, end in _blocks(begins, at.size):
        here = at[start:end]
        shared = compared[here]
        values = np.stack([_as_integers(shared[name]) for name in DELIVERED], axis=1)
        file = _as_integers(shared["source_file"]).astype(np.int32)
        groups = begins[np.searchsorted(begins, start) : np.searchsorted(begins, end)] - start
        _settle(groups, _Shared(here, values, file), everybody)
    return faults


def _blocks(begins: Longs, size: int) -> list[tuple[int, int]]:
    """Parts of about _BLOCK rows that split no group, so that their values stay in the cache."""
    after = np.searchsorted(begins, np.arange(_BLOCK, size, _BLOCK))
    edges = np.unique(begins[after[after < begins.size]])
    return list(itertools.pairwise([0, *edges.tolist(), size]))


def _as_integers(column: pl.Series) -> Longs:
    """The column's values as integers that are equal exactly where the values are."""
    if isinstance(column.dtype, pl.Decimal):
        whole = column.to_physical().cast(pl.Int64)
    elif column.dtype.is_integer():
        whole = column.cast(pl.Int64)
    else:
        # Rank, not order of appearance: only equality counts.
        whole = column.cast(pl.String).rank("dense").cast(pl.Int64)
    return whole.fill_null(int(_NULL)).to_numpy()


# Where a row came from is no observation: a file that names the site tells no more than another.
_OBSERVED: Final = DELIVERED.index("location")
_OTHER: Final = -1000  # below any difference in numbers of columns


@njit(cache=True, nogil=True)
def _settle(first: Longs, shared: _Shared, rows: _Rows) -> None:
    """Judge every group of rows with one key, in order of time."""
    _mark_copies(first, shared, rows.faults)
    at, values, file = shared
    faults, sound = rows.faults, rows.sound
    for group in range(first.size):
        start = first[group]
        end = first[group + 1] if group + 1 < first.size else at.size
        latest = -1
        for row in range(start, end):
            if sound[at[row]] and faults[at[row]] == 0:
                latest = row
        rivals = 0
        for row in range(start, latest):
            if sound[at[row]] and faults[at[row]] == 0 and file[row] == file[latest]:
                rivals += 1
        believed = _nearest(shared, start, latest, rows) if rivals > 0 else latest
        kept = believed
        for row in range(start, latest + 1):
            if row == believed or not sound[at[row]] or faults[at[row]] != 0:
                continue
            if file[row] == file[believed]:
                faults[at[row]] = KEY_CONFLICT
                continue
            fuller = _fuller(values, row, believed, kept)
            if fuller == _OTHER:
                faults[at[row]] = SUPERSEDED
            elif fuller > 0 or (fuller == 0 and row < kept):
                faults[at[kept]] = DUPLICATE_ACROSS_FILES
                kept = row
            else:
                faults[at[row]] = DUPLICATE_ACROSS_FILES


@njit(cache=True, nogil=True)
def _mark_copies(first: Longs, shared: _Shared, faults: Codes) -> None:
    at, values, file = shared
    for group in range(first.size):
        start = first[group]
        end = first[group + 1] if group + 1 < first.size else at.size
        for row in range(start + 1, end):
            for earlier in range(start, row):
                same = file[earlier] == file[row]
                column = 0
                while same and column < values.shape[1]:
                    same = values[row, column] == values[earlier, column]
                    column += 1
                if same:
                    faults[at[row]] = EXACT_DUPLICATE
                    break


@njit(cache=True, nogil=True)
def _fuller(values: npt.NDArray[np.int64], row: int, believed: int, kept: int) -> int:
    """How many more values `row` tells than `kept`; _OTHER if it contradicts `believed`."""
    more = 0
    for column in range(_OBSERVED):
        value = values[row, column]
        if value != _NULL:
            more += 1
            if value != values[believed, column] and values[believed, column] != _NULL:
                return _OTHER
        if values[kept, column] != _NULL:
            more -= 1
    return more


@njit(cache=True, nogil=True)
def _nearest(shared: _Shared, start: int, latest: int, rows: _Rows) -> int:
    """Of the open rows of the latest file the one nearest to its neighbours in time."""
    believed = latest
    nearest = np.inf
    for row in range(start, latest + 1):
        is_open = rows.sound[shared.at[row]] and rows.faults[shared.at[row]] == 0
        if is_open and shared.file[row] == shared.file[latest]:
            off = _off_the_line(shared.at[row], rows)
            # of two that fit alike, the later line
            if off <= nearest:
                nearest = off
                believed = row
    return believed


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
