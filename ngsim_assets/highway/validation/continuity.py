"""What a row says of others that its own track contradicts: leader, follower, headways.

Belongs here: whom a row names and how far away, against the row itself and those before and
after, which agree with each other and not with it; compiled. Does not belong here: the named
vehicles' own rows (leaders.py), how much is too much (parameters.py).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

MOMENT: Final = 15
"""Frames up to which a stretch is a moment: nobody changes lane and is back in 1.5 s (crossing
one lane takes 5 to 6 s on average, Toledo & Zohar 2007)."""

NOBODY: Final = -1
"""In place of a vehicle: the row does not tell. 0 tells that there is none."""


@njit(cache=True, nogil=True)
def for_a_moment(vehicle: Integers, frame: Integers, named: Integers) -> Integers:
    """Whom the rows before and after name, where a row names another for a moment; else NOBODY.

    Args:
        vehicle, frame: sorted by both.
        named: leader or follower, NOBODY where not told or not believed.
    """
    usual = np.full(vehicle.size, NOBODY, np.int32)
    first = -1  # of the stretch that names somebody else
    last = -1  # row before it
    before = -1
    for row in range(vehicle.size):
        if named[row] == NOBODY:
            continue
        if before < 0 or vehicle[row] != vehicle[before]:
            first = last = -1
        elif named[row] != named[before]:
            if (
                last >= 0
                and named[row] == named[last]
                and frame[before] - frame[first] < MOMENT
                and frame[row] - frame[last] <= 2 * MOMENT
            ):
                for odd in range(first, before + 1):
                    if named[odd] != NOBODY:
                        usual[odd] = named[row]
                first = last = -1
            else:
                first, last = row, before
        before = row
    return usual


# m/s by which a vehicle drives faster or slower than its leader at most: from walking pace to the
# speed limit of an urban road.
_APART: Final = 12.0

# m and m/s: what half a last digit of time headway (0.01 s, at 45 m/s), space headway and speed
# (0.01 ft/s) is worth, and half as much again.
_HEADWAY_ROUNDING: Final = 0.4
_SPEED_ROUNDING: Final = 0.0023


@njit(cache=True, nogil=True)
def headways_differ(space: Floats, time: Floats, speed: Floats, believed: Mask) -> Mask:
    """Rows whose space headway [m] is not speed [m/s] times time headway [s], but for rounding."""
    differ = np.zeros(space.size, np.bool_)
    for row in range(space.size):
        rounding = _HEADWAY_ROUNDING + _SPEED_ROUNDING * time[row]
        # NaN, not told, is no difference
        differ[row] = believed[row] and abs(time[row] * speed[row] - space[row]) > rounding
    return differ


@njit(cache=True, nogil=True)
def headway_jumps(
    vehicle: Integers,
    frame: Integers,
    leader: Integers,
    headway: Floats,
    believed: Mask,
    largest: float,
) -> Mask:
    """Rows whose headway lies apart for a moment from those before and after, which agree.

    All with one leader. A headway jumps where it changes by more than `largest` [m] between two
    rows, and as much again for every second between them. A stretch lies apart if it is jumped
    into one way and out of the other, and what remains between before and after is what two
    vehicles can have driven apart.
    """
    apart = np.zeros(vehicle.size, np.bool_)
    first = -1
    last = -1
    before = -1
    for row in range(vehicle.size):
        if not believed[row] or np.isnan(headway[row]):
            continue
        if before < 0 or vehicle[row] != vehicle[before] or leader[row] != leader[before]:
            first = last = -1
        elif _jumps(before, row, frame, headway, largest):
            if (
                last >= 0
                and (headway[first] > headway[last]) == (headway[row] < headway[before])
                and abs(headway[row] - headway[last])
                <= largest + _APART * 0.1 * (frame[row] - frame[last])
                and frame[before] - frame[first] < MOMENT
                and frame[row] - frame[last] <= 2 * MOMENT
            ):
                for odd in range(first, before + 1):
                    apart[odd] = believed[odd] and not np.isnan(headway[odd])
                first = last = -1
            else:
                first, last = row, before
        before = row
    return apart


@njit(cache=True, nogil=True)
def goes_on(
    vehicle: Integers,
    frame: Integers,
    headway: Floats,
    odd: Mask,
    believed: Mask,
    largest: float,
) -> Mask:
    """Of rows `odd` those whose headway follows on, row by row, from the last that is not odd."""
    steady = np.zeros(vehicle.size, np.bool_)
    before = -1
    for row in range(vehicle.size):
        if not believed[row] or np.isnan(headway[row]):
            continue
        if odd[row] and before >= 0 and vehicle[before] == vehicle[row]:
            from_before = steady[before] or not odd[before]
            steady[row] = from_before and not _jumps(before, row, frame, headway, largest)
        before = row
    return steady


@njit(cache=True, nogil=True)
def _jumps(one: int, two: int, frame: Integers, headway: Floats, largest: float) -> bool:
    unseen = 0.1 * (frame[two] - frame[one] - 1)
    return bool(abs(headway[two] - headway[one]) > largest * (1.0 + unseen))
