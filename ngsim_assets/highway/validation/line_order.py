"""Rows that stand in their file before rows of the same vehicle that are earlier.

Belongs here: telling a line out of place from a file in no order at all. Does not belong here:
rows with one key (key_faults.py).

Files sorted by vehicle and time are delivered, and files in any other order: in the unified
export lines of one vehicle lie hundreds apart, and its frames run both up and down (measured).
Only where the lines of a track follow each other is there an order that a few of them can break.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Integers = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@njit(cache=True, nogil=True)
def out_of_order(
    vehicle: Integers, line: Longs, elsewhere: Mask, listed: Mask, most: float
) -> Mask:
    """Rows whose lines do not rise with time, in a file sorted by vehicle and time.

    That it is, a track tells by more than half of its steps leading to the next line, or to the
    last one in a file that runs backwards. Blamed are the rows outside the longest chain of
    rising (falling) lines, if they are at most a share `most` of the track: without them the
    others are in order, and no fewer could be left out.

    Args:
        vehicle: rows sorted by vehicle and frame. line: in their files.
        elsewhere: rows of another file than the row before. Lines of two files do not compare,
            and a track in several files is not judged.
        listed: rows to look at.
    """
    wrong = np.zeros(vehicle.size, np.bool_)
    start = 0
    while start < vehicle.size:
        end = start
        before = -1
        rows = rises = falls = next_lines = 0
        single = True
        while end < vehicle.size and vehicle[end] == vehicle[start]:
            single = single and (end == start or not elsewhere[end])
            if listed[end]:
                if before >= 0:
                    rises += line[end] > line[before]
                    falls += line[end] < line[before]
                    next_lines += abs(line[end] - line[before]) == 1
                before = end
                rows += 1
            end += 1
        if single and min(rises, falls) > 0 and 2 * next_lines > rises + falls:
            track = np.flatnonzero(listed[start:end]) + start
            lines = line[track] if rises > falls else -line[track]
            kept = _longest_rise(lines)
            if rows - np.sum(kept) <= most * rows:
                wrong[track[~kept]] = True
        start = end
    return wrong


@njit(cache=True, nogil=True)
def _longest_rise(values: Longs) -> Mask:
    """Members of a longest strictly rising subsequence (patience sorting)."""
    ends = np.empty(values.size, np.int64)  # of the chain of each length, its lowest last member
    previous = np.empty(values.size, np.int64)
    length = 0
    for at in range(values.size):
        low, high = 0, length
        while low < high:
            middle = (low + high) // 2
            if values[ends[middle]] < values[at]:
                low = middle + 1
            else:
                high = middle
        previous[at] = ends[low - 1] if low > 0 else -1
        ends[low] = at
        length = max(length, low + 1)
    kept = np.zeros(values.size, np.bool_)
    at = ends[length - 1] if length > 0 else -1
    while at >= 0:
        kept[at] = True
        at = previous[at]
    return kept
