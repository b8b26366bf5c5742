"""Which points belong to one run of a vehicle, and the frames missing in it.

Belongs here: kernels over vehicle and frame numbers. Does not belong here: motion.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

# Vehicle numbers are small; a table over a wider range than this is not worth its memory.
_WIDEST_RANGE = 10_000_000


@njit(cache=True, nogil=True)
def _ascending(vehicle: Any, frame: Any) -> int:
    """`order_of` for vehicles whose numbers must ascend too."""
    found = 0
    for i in range(1, len(vehicle)):
        if vehicle[i] < vehicle[i - 1]:
            return 2
        if vehicle[i] == vehicle[i - 1]:
            if frame[i] < frame[i - 1]:
                return 2
            if frame[i] == frame[i - 1]:
                found = 1
    return found


@njit(cache=True, nogil=True)
def order_of(vehicle: Any, frame: Any) -> int:
    """How points are arranged.

    0: every vehicle in one piece, its frames ascending (vehicles in any order, as in tables
    laid out by vehicle type); 1: so, with repeated frames; 2: otherwise.
    """
    n = len(vehicle)
    if n == 0:
        return 0
    low = high = vehicle[0]
    for i in range(n):
        low = min(low, vehicle[i])
        high = max(high, vehicle[i])
    if high - low > _WIDEST_RANGE:
        return _ascending(vehicle, frame)
    met = np.zeros(high - low + 1, dtype=np.uint8)
    found = 0
    for i in range(n):
        if i > 0 and vehicle[i] == vehicle[i - 1]:
            if frame[i] < frame[i - 1]:
                return 2
            if frame[i] == frame[i - 1]:
                found = 1
        elif met[vehicle[i] - low] == 1:
            return 2
        met[vehicle[i] - low] = 1
    return found


@njit(cache=True, nogil=True)
def stretch_starts(vehicle: Any, frame: Any, limit: int) -> Any:
    """First point of every run of a vehicle without a step over `limit` frames, then the end."""
    n = len(vehicle)
    count = 0
    for i in range(n):
        if i == 0 or vehicle[i] != vehicle[i - 1] or frame[i] - frame[i - 1] > limit:
            count += 1
    start = np.empty(count + 1, dtype=np.int64)
    count = 0
    for i in range(n):
        if i == 0 or vehicle[i] != vehicle[i - 1] or frame[i] - frame[i - 1] > limit:
            start[count] = i
            count += 1
    start[count] = n
    return start


@njit(cache=True, nogil=True)
def _interpolate(frame: Any, x: Any, first: int, last: int) -> None:
    """Fill NaN of `x` on straight lines, level before the first and after the last value."""
    known = -1
    for i in range(first, last):
        if math.isnan(x[i]):
            continue
        if known < 0:
            for k in range(first, i):
                x[k] = x[i]
        else:
            slope = (x[i] - x[known]) / (frame[i] - frame[known])
            for k in range(known + 1, i):
                x[k] = x[known] + slope * (frame[k] - frame[known])
        known = i
    if known >= 0:
        for k in range(known + 1, last):
            x[k] = x[known]


@njit(cache=True, nogil=True)
def filled(vehicle: Any, frame: Any, x: Any, y: Any, limit: int) -> Any:
    """Points on every frame of every run without a step over `limit` frames.

    Returns:
        source: row each point comes from, -1 where it is new.
        frame, x, y: of every point; positions that are NaN or new lie on straight lines.
    """
    start = stretch_starts(vehicle, frame, limit)
    total = 0
    for k in range(len(start) - 1):
        total += frame[start[k + 1] - 1] - frame[start[k]] + 1
    source = np.empty(total, dtype=np.int64)
    full_frame = np.empty(total, dtype=frame.dtype)
    full_x, full_y = np.empty(total), np.empty(total)
    first = 0
    for k in range(len(start) - 1):
        a, b = start[k], start[k + 1]
        size = frame[b - 1] - frame[a] + 1
        for i in range(size):
            full_frame[first + i] = frame[a] + i
            source[first + i] = -1
            full_x[first + i] = full_y[first + i] = math.nan
        for row in range(a, b):
            at = first + frame[row] - frame[a]
            source[at] = row
            full_x[at] = x[row]
            full_y[at] = y[row]
        _interpolate(full_frame, full_x, first, first + size)
        _interpolate(full_frame, full_y, first, first + size)
        first += size
    return source, full_frame, full_x, full_y
