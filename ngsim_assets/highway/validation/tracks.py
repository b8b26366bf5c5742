"""What a track as a whole says of its rows: its pace, its lanes, its usual class and size.

Belongs here: evidence drawn from several believed rows of one vehicle, compiled. Does not
belong here: positions that cannot be (position_faults.py), other vehicles (leaders.py),
thresholds (parameters.py).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Track = npt.NDArray[np.int64]

FRAME: Final = 0.1  # s

BLIP: Final = 1
JUMP: Final = 2

# Delivered speeds are smoother than differences of single frames: positions are differentiated
# over the chord from 3 frames before to 3 frames after.
_REACH: Final = 3

# m/s by which a delivered speed lies outside the paces around it before it is worth a second look.
_NOTABLE: Final = 1.0

# A vehicle that skips a lane and is back this soon has not been there: crossing one lane takes
# 5 to 6 s on average (Toledo & Zohar 2007), two there and two back could not take 1.5 s.
_BLIP_FRAMES: Final = 15

UNKNOWN: Final = -1


class Differences(NamedTuple):
    """Per row, NaN (excesses: -inf) at the ends of a track, at gaps, and for rows not believed.

    Attributes:
        velocity_x, velocity_y: m/s, central differences. acceleration_x, acceleration_y: m/s²,
            second differences.
        speed_excess: m/s by which the delivered speed lies outside the range of speeds along
            the path around the row; negative inside.
        speed_bias: m/s, median over the rows around of the delivered speed less the speed along
            the path; absolute; 0 where the row's own is not notable.
        acceleration_excess: m/s² by which the delivered acceleration lies outside the range of
            changes of the delivered speed around the row; 0 inside.
    """

    velocity_x: Floats
    velocity_y: Floats
    acceleration_x: Floats
    acceleration_y: Floats
    speed_excess: Floats
    speed_bias: Floats
    acceleration_excess: Floats


class Motion(NamedTuple):
    """As delivered, NaN where not told: x, y [m], speed [m/s], acceleration [m/s²]."""

    x: Floats
    y: Floats
    speed: Floats
    acceleration: Floats


@njit(cache=True, nogil=True)
def differences(
    vehicle: Integers, frame: Integers, motion: Motion, clip: float, believed: Mask
) -> Differences:
    """Differentiate believed rows over consecutive frames.

    Args:
        clip: m/s² at which delivered accelerations saturate; changes of speed count so far.
    """
    x, y, speed, acceleration = motion
    rows = vehicle.size
    at = np.flatnonzero(believed)
    result = Differences(
        np.full(rows, np.nan),
        np.full(rows, np.nan),
        np.full(rows, np.nan),
        np.full(rows, np.nan),
        np.full(rows, -np.inf),
        np.zeros(rows),
        np.full(rows, -np.inf),
    )
    chord = 2 * _REACH
    pace = np.full(at.size, np.nan)
    slope = np.full(at.size, np.nan)  # since the row before
    for k in range(1, at.size):
        slope[k] = (speed[at[k]] - speed[at[k - 1]]) / FRAME
    for k in range(1, at.size - 1):
        before, here, after = at[k - 1], at[k], at[k + 1]
        if vehicle[before] != vehicle[after] or frame[after] - frame[before] != 2:
            continue
        result.velocity_x[here] = (x[after] - x[before]) / (2 * FRAME)
        result.velocity_y[here] = (y[after] - y[before]) / (2 * FRAME)
        result.acceleration_x[here] = (x[after] - 2 * x[here] + x[before]) / FRAME**2
        result.acceleration_y[here] = (y[after] - 2 * y[here] + y[before]) / FRAME**2
        if k >= _REACH and k + _REACH < at.size:
            first, last = at[k - _REACH], at[k + _REACH]
            if vehicle[first] == vehicle[last] and frame[last] - frame[first] == chord:
                dx, dy = x[last] - x[first], y[last] - y[first]
                pace[k] = np.sqrt(dx * dx + dy * dy) / (chord * FRAME)
                # the nearest slopes first, and no further than it takes to know the row inside
                low, high, value = clip, -clip, acceleration[here]
                step = 0
                while step < _REACH and not low <= value <= high:
                    one, two = slope[k - step], slope[k + step + 1]
                    low, high = min(low, one, two), max(high, one, two)
                    step += 1
                outside = max(value - min(high, clip), max(low, -clip) - value, 0.0)
                if not np.isnan(value + low + high):
                    result.acceleration_excess[here] = outside
    for k in range(_REACH, at.size - _REACH):
        earlier, now, later = pace[k - _REACH], pace[k], pace[k + _REACH]
        # all three, or the row is too near an end or a gap for its pace to be known
        if not np.isnan(earlier + now + later + speed[at[k]]):
            excess = max(
                speed[at[k]] - max(earlier, now, later), min(earlier, now, later) - speed[at[k]]
            )
            result.speed_excess[at[k]] = excess
            if excess > _NOTABLE:
                around = slice(k - _REACH, k + _REACH + 1)
                result.speed_bias[at[k]] = abs(np.median(speed[at[around]] - pace[around]))
    return result


@njit(cache=True, nogil=True)
def lane_faults(
    vehicle: Integers, frame: Integers, lane: Integers, through: Mask, believed: Mask
) -> Codes:
    """BLIP where a track leaves its lane and is back at once, JUMP where it skips a lane.

    One row between two in another lane is a BLIP. Where the lane changes by more than one, both
    sides are looked at: the rows to leave out so that the track goes on in its lane or, of
    lanes side by side, in the next one are BLIPs, if they are few; the fewer, of before and
    after. If they are not, the first row in the new lane is a JUMP.

    Args:
        lane: UNKNOWN where not told.
        through: by lane number, whether neighbouring numbers lie side by side.
    """
    faults = np.zeros(vehicle.size, np.uint8)
    at = np.flatnonzero(believed & (lane != UNKNOWN))
    start = 0
    last = -1  # where the stretch before this one begins, if the track goes on from it
    while start < at.size:
        end = start + 1
        while end < at.size and lane[at[end]] == lane[at[start]]:
            if not _goes_on(at, end, vehicle, frame):
                break
            end += 1
        entered = start > 0 and _goes_on(at, start, vehicle, frame)
        if entered and faults[at[start - 1]] != BLIP:
            if abs(lane[at[start]] - lane[at[start - 1]]) <= 1:
                follows = end < at.size and _goes_on(at, end, vehicle, frame)
                if end - start == 1 and follows and lane[at[end]] == lane[at[start - 1]]:
                    faults[at[start]] = BLIP
            else:
                ahead = _until_back(at, start, vehicle, frame, lane, through)
                behind = _since_left(at, last, start, vehicle, frame, lane, through)
                if behind < ahead:
                    faults[at[last:start]] = BLIP
                elif ahead <= _BLIP_FRAMES:
                    end = start + ahead
                    faults[at[start:end]] = BLIP
                elif _counted(lane, at[start - 1], through) and _counted(lane, at[start], through):
                    faults[at[start]] = JUMP
        last = start if entered else -1
        start = end
    return faults


@njit(cache=True, nogil=True)
def _until_back(
    at: Track,
    start: int,
    vehicle: Integers,
    frame: Integers,
    lane: Integers,
    through: Mask,
) -> int:
    """Rows from `start` to where the track goes on from the row before; else too many."""
    for after in range(start + 1, min(start + _BLIP_FRAMES + 1, at.size)):
        if not _goes_on(at, after, vehicle, frame):
            break
        if _suits(lane, at[start - 1], at[after], at[start], through):
            return after - start
    return _BLIP_FRAMES + 1


@njit(cache=True, nogil=True)
def _since_left(
    at: Track,
    last: int,
    start: int,
    vehicle: Integers,
    frame: Integers,
    lane: Integers,
    through: Mask,
) -> int:
    """Rows from `last` to `start` if the track goes on without them; else too many."""
    few = last > 0 and start - last <= _BLIP_FRAMES and _goes_on(at, last, vehicle, frame)
    if few and _suits(lane, at[last - 1], at[start], at[last], through):
        return start - last
    return _BLIP_FRAMES + 1


@njit(cache=True, nogil=True)
def _suits(lane: Integers, one: int, two: int, between: int, through: Mask) -> bool:
    """Whether two rows are in one lane or, as the one between, in lanes side by side."""
    apart = abs(lane[one] - lane[two])
    if apart == 1:
        for row in (one, two, between):
            if not _counted(lane, row, through):
                return False
    return bool(apart <= 1)


@njit(cache=True, nogil=True)
def _goes_on(at: Track, here: int, vehicle: Integers, frame: Integers) -> bool:
    """Whether row `here` follows the one before in the same track without a gap."""
    one, two = at[here - 1], at[here]
    return bool(vehicle[one] == vehicle[two] and frame[two] - frame[one] == 1)


@njit(cache=True, nogil=True)
def _counted(lane: Integers, row: int, through: Mask) -> bool:
    """Whether the row's lane is one of those that are counted from the left."""
    return bool(0 <= lane[row] < through.size and through[lane[row]])


@njit(cache=True, nogil=True)
def usual(vehicle: Integers, value: Integers, believed: Mask) -> Integers:
    """Per row, the value that believed rows of its vehicle usually have, UNKNOWN if none has one.

    Of values equally frequent the smallest.
    """
    result = np.full(vehicle.size, UNKNOWN, np.int32)
    start = 0
    while start < vehicle.size:
        end = start
        same = True
        first = UNKNOWN
        while end < vehicle.size and vehicle[end] == vehicle[start]:
            if believed[end] and value[end] != UNKNOWN:
                if first == UNKNOWN:
                    first = value[end]
                elif value[end] != first:
                    same = False
            end += 1
        result[start:end] = first if same else _usual(value[start:end], believed[start:end])
        start = end
    return result


@njit(cache=True, nogil=True)
def _usual(value: Integers, believed: Mask) -> int:
    """The value of both ends of a track if a quarter of its rows have it, else the commonest.

    A fault in the middle of a short track may cover most of it; what holds before and after
    is the vehicle's.
    """
    told = value[believed & (value != UNKNOWN)]
    if told[0] == told[-1] and 4 * np.sum(told == told[0]) >= told.size:
        return told[0]
    ordered = np.sort(told)
    best, most, run = ordered[0], 0, 0
    for row in range(ordered.size):
        run = run + 1 if row > 0 and ordered[row] == ordered[row - 1] else 1
        if run > most:
            best, most = ordered[row], run
    return best


@njit(cache=True, nogil=True)
def coverage(vehicle: Integers, frame: Integers, keyed: Mask) -> tuple[Integers, Integers]:
    """Frames missing before each row, and on a vehicle's first row how many it has at all.

    Args:
        keyed: rows that tell vehicle and frame; only they count. Frames seen are UNKNOWN on
            every row but the first keyed one of a vehicle.
    """
    missing = np.zeros(vehicle.size, np.int32)
    seen = np.full(vehicle.size, UNKNOWN, np.int32)
    first = before = -1
    for row in range(vehicle.size):
        if not keyed[row]:
            continue
        if before < 0 or vehicle[row] != vehicle[before]:
            first = row
            seen[row] = 1
        elif frame[row] > frame[before]:
            missing[row] = frame[row] - frame[before] - 1
            seen[first] += 1
        before = row
    return missing, seen
