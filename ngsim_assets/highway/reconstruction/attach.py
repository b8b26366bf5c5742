"""Rows of one table beside rows of another, by vehicle and frame: the compiled look-ups.

Both tables hold every vehicle in one piece with ascending frames, so a look-up is a step ahead
or a short search, never a hash join.

Belongs here: numerical kernels. Does not belong here: which columns are carried over (clean.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from ngsim_assets.highway.reconstruction.robust import median


@njit(cache=True, nogil=True)
def pieces_of(vehicle: Any) -> Any:
    """Numbers of the vehicles, ascending, with first row and end of each."""
    n = len(vehicle)
    count = 0
    for i in range(n):
        if i == 0 or vehicle[i - 1] != vehicle[i]:
            count += 1
    number = np.empty(count, dtype=np.int64)
    first = np.empty(count + 1, dtype=np.int64)
    count = 0
    for i in range(n):
        if i == 0 or vehicle[i - 1] != vehicle[i]:
            number[count] = vehicle[i]
            first[count] = i
            count += 1
    first[count] = n
    rank = np.argsort(number)
    table = np.empty((count, 3), dtype=np.int64)
    for k in range(count):
        table[k, 0] = number[rank[k]]
        table[k, 1] = first[rank[k]]
        table[k, 2] = first[rank[k] + 1]
    return table


@njit(cache=True, nogil=True)
def _piece(table: Any, vehicle: int, guess: int) -> int:
    """Row of `table` (from `pieces_of`) of a vehicle, tried at `guess` first; -1 where absent."""
    if 0 <= guess < len(table) and table[guess, 0] == vehicle:
        return guess
    low, high = 0, len(table)
    while low < high:
        middle = (low + high) // 2
        if table[middle, 0] < vehicle:
            low = middle + 1
        else:
            high = middle
    return low if low < len(table) and table[low, 0] == vehicle else -1


@njit(cache=True, nogil=True)
def _search(frame: Any, first: int, last: int, wanted: int) -> int:
    """First row of first to last - 1 with a frame of at least `wanted`, else last."""
    while first < last:
        middle = (first + last) // 2
        if frame[middle] < wanted:
            first = middle + 1
        else:
            last = middle
    return first


@njit(cache=True, nogil=True)
def nearest_rows(vehicle: Any, frame: Any, source_vehicle: Any, source_frame: Any) -> Any:
    """For every point the source rows around it in time.

    Returns:
        before: last row not after the point (the first row, if there is none).
        after: first row not before it (the last row, if there is none).
        Both -1 where the vehicle does not occur in the source.
    """
    n = len(vehicle)
    before, after = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    table = pieces_of(source_vehicle)
    at = k = 0
    for i in range(n):
        k = _piece(table, vehicle[i], k)
        if k < 0:
            before[i] = after[i] = -1
            continue
        first, last = table[k, 1], table[k, 2]
        if not (first <= at < last):
            at = first
        if source_frame[at] < frame[i]:
            at += 1
        if (
            at == last
            or source_frame[at] < frame[i]
            or (at > first and source_frame[at - 1] >= frame[i])
        ):
            at = _search(source_frame, first, last, frame[i])
        if at < last and source_frame[at] == frame[i]:
            before[i] = after[i] = at
        else:
            before[i] = max(first, at - 1)
            after[i] = min(last - 1, at)
        at = min(at, last - 1)
    return before, after


@njit(cache=True, nogil=True)
def rows_ahead(frame: Any, ahead: Any, table: Any, other_frame: Any) -> Any:
    """Row of vehicle `ahead` (0: none) at each `frame`; -1 where it is not seen.

    `table` (from `pieces_of`) says which rows of the others belong to which vehicle.
    """
    n = len(frame)
    found = np.full(n, -1)
    at = k = 0
    for i in range(n):
        if ahead[i] <= 0:
            continue
        k = _piece(table, ahead[i], k)
        if k < 0:
            continue
        first, last = table[k, 1], table[k, 2]
        at += 1
        if not (first <= at < last and other_frame[at] == frame[i]):
            at = _search(other_frame, first, last, frame[i])
        if at < last and other_frame[at] == frame[i]:
            found[i] = at
    return found


@njit(cache=True, nogil=True)
def usual_values(table: Any, values: Any) -> Any:
    """For every row the median of its vehicle's values that are known, NaN if none is.

    `table` (from `pieces_of`) says which rows belong to which vehicle.
    """
    found = np.empty_like(values)
    longest = 0
    for k in range(len(table)):
        longest = max(longest, table[k, 2] - table[k, 1])
    work = np.empty(longest)
    for k in range(len(table)):
        known = 0
        same = True
        for i in range(table[k, 1], table[k, 2]):
            if not math.isnan(values[i]):
                work[known] = values[i]
                same = same and work[known] == work[0]
                known += 1
        usual = math.nan
        if known > 0:
            usual = work[0] if same else median(work, known)
        for i in range(table[k, 1], table[k, 2]):
            found[i] = usual
    return found


@njit(cache=True, nogil=True)
def directions(vehicle: Any, y: Any) -> Any:
    """1 or -1 for every point: the way its vehicle, in one piece, comes along the axis."""
    n = len(vehicle)
    sign = np.empty(n, dtype=np.int8)
    first = 0
    for i in range(n):
        if i + 1 == n or vehicle[i + 1] != vehicle[i]:
            way = -1 if y[i] < y[first] else 1
            for k in range(first, i + 1):
                sign[k] = way
            first = i + 1
    return sign
