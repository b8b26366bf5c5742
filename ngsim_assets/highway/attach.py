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


@njit(cache=True, nogil=True)
def _pieces(vehicle: Any) -> Any:
    """First row and end of every vehicle as a table by number, and the lowest number.

    The table has two columns; 0, 0 where there is no such vehicle.
    """
    n = len(vehicle)
    low = high = vehicle[0] if n > 0 else 0
    for i in range(n):
        low = min(low, vehicle[i])
        high = max(high, vehicle[i])
    table = np.empty((high - low + 1, 2), dtype=np.int64)
    for k in range(len(table)):
        table[k, 0] = table[k, 1] = 0
    for i in range(n):
        k = vehicle[i] - low
        if i == 0 or vehicle[i - 1] != vehicle[i]:
            table[k, 0] = i
        table[k, 1] = i + 1
    return table, low


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
    table, low = _pieces(source_vehicle)
    at = 0
    for i in range(n):
        k = vehicle[i] - low
        if k < 0 or k >= len(table) or table[k, 1] == 0:
            before[i] = after[i] = -1
            continue
        first, last = table[k, 0], table[k, 1]
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
def positions_ahead(
    vehicle: Any, frame: Any, ahead: Any, other_vehicle: Any, other_frame: Any, other_y: Any
) -> Any:
    """Position of vehicle `ahead` (0: none) at the point's own frame; NaN where it is not seen."""
    n = len(vehicle)
    found = np.empty(n)
    if len(other_vehicle) == 0:
        for i in range(n):
            found[i] = math.nan
        return found
    table, low = _pieces(other_vehicle)
    at = 0
    for i in range(n):
        found[i] = math.nan
        k = ahead[i] - low
        if ahead[i] <= 0 or k < 0 or k >= len(table) or table[k, 1] == 0:
            continue
        first, last = table[k, 0], table[k, 1]
        at += 1
        if not (first <= at < last and other_frame[at] == frame[i]):
            at = _search(other_frame, first, last, frame[i])
        if at < last and other_frame[at] == frame[i]:
            found[i] = other_y[at]
    return found


@njit(cache=True, nogil=True)
def directions(vehicle: Any, y: Any) -> Any:
    """1 or -1 for every point: the way its vehicle, in one piece, comes along the axis."""
    n = len(vehicle)
    sign = np.empty(n)
    first = 0
    for i in range(n):
        if i + 1 == n or vehicle[i + 1] != vehicle[i]:
            way = -1.0 if y[i] < y[first] else 1.0
            for k in range(first, i + 1):
                sign[k] = way
            first = i + 1
    return sign
