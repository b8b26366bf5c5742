"""Which positions cannot be where the rest of their track says: frozen, spiked, teleported.

Belongs here: the judgement of positions along one vehicle's track, compiled. Does not belong
here: thresholds and their reasons (parameters.py), anything about other vehicles.

A track is cut at every step between consecutive rows that neither the delivered speeds nor the
neighbouring steps explain. A jump does not tell which of its two ends is wrong, so no row is
blamed for a jump: the pieces are joined again into the longest chain that a vehicle could have
driven, and the pieces left over are what is wrong. A spike is then a short piece both of whose
neighbours fit each other; a shift that lasts (a hand-over between cameras moves everything that
follows by a metre or two) costs one imperfect joint, far less than leaving out its rows, and
stays.
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

FROZEN: Final = 1
SPIKE: Final = 2
TELEPORT: Final = 3

FRAME: Final = 0.1  # s

# How far back a piece is tried as a joint's first half. Pieces are cut by faults, so more than
# this many in a row means nothing of that stretch is to be believed anyway.
_LOOK_BACK: Final = 64


class PositionLimits(NamedTuple):
    """What a believable track may look like; parameters.py gives the numbers and why.

    Attributes:
        along, lateral: m a step may differ from what explains it.
        largest: m it may differ where rows on both sides outweigh it; beyond, never.
        edge_frames: rows from either end of a track that are noisier; edge_factor: how much.
        top_speed, lateral_speed: m/s. acceleration: m/s², over frames not seen.
        blind: s without rows after which only the top speed bounds the way driven.
        joint_rows: rows that a joint strained once outweighs.
        spike_rows: pieces up to so many rows are spikes, longer ones teleports.
        frozen_frames, frozen_distance: a position held so long, while the delivered speed
            says so many metres were driven, is frozen.
        two_way: whether vehicles drive towards lower y as well.
    """

    along: float
    lateral: float
    largest: float
    edge_frames: int
    edge_factor: float
    top_speed: float
    lateral_speed: float
    acceleration: float
    blind: float
    joint_rows: float
    spike_rows: int
    frozen_frames: int
    frozen_distance: float
    two_way: bool


class _Rows(NamedTuple):
    frame: Integers
    x: Floats
    y: Floats
    speed: Floats


@njit(cache=True, nogil=True)
def position_faults(
    vehicle: Integers,
    frame: Integers,
    x: Floats,
    y: Floats,
    speed: Floats,
    usable: Mask,
    limits: PositionLimits,
) -> Codes:
    """FROZEN, SPIKE or TELEPORT per row, 0 where the position is believed.

    Args:
        vehicle, frame: sorted by both, one usable row per pair.
        x, y: m. speed: m/s as delivered, NaN where unknown.
        usable: rows to judge; others get 0 and are passed over.
    """
    delivered = _Rows(frame, x, y, speed)
    faults = np.zeros(vehicle.size, np.uint8)
    track = np.empty(vehicle.size, np.int64)
    start = 0
    while start < vehicle.size:
        end = start
        rows = 0
        while end < vehicle.size and vehicle[end] == vehicle[start]:
            if usable[end]:
                track[rows] = end
                rows += 1
            end += 1
        if rows > 1:
            kept = _thaw(delivered, track[:rows], limits, faults)
            if kept > 1:
                _judge_track(delivered, track[:kept], limits, faults)
        start = end
    return faults


@njit(cache=True, nogil=True)
def _thaw(rows: _Rows, track: Track, limits: PositionLimits, faults: Codes) -> int:
    """Mark frozen rows and move the others to the front of `track`; returns how many stay.

    The first row of a frozen stretch is where the vehicle was, and stays.
    """
    kept = 0
    first = 0
    while first < track.size:
        last = first
        driven = 0.0
        moving = 0
        while (
            last + 1 < track.size
            and rows.x[track[last + 1]] == rows.x[track[first]]
            and rows.y[track[last + 1]] == rows.y[track[first]]
        ):
            frames = rows.frame[track[last + 1]] - rows.frame[track[last]]
            step = FRAME * frames * rows.speed[track[last + 1]]
            if not np.isnan(step):
                driven += step
                moving += step * limits.frozen_frames >= frames * limits.frozen_distance
            last += 1
        frames = rows.frame[track[last]] - rows.frame[track[first]]
        frozen = frames >= limits.frozen_frames and driven >= limits.frozen_distance
        # A vehicle that goes on from where it was did stand, and its delivered speed is wrong;
        # of one that does not go on at all, most rows have to say that it moves.
        if frozen and last + 1 < track.size:
            i, j = track[first], track[last + 1]
            frozen = np.hypot(rows.x[j] - rows.x[i], rows.y[j] - rows.y[i]) >= 0.5 * driven
        elif frozen:
            frozen = 2 * moving > last - first
        for at in range(first, last + 1):
            if frozen and at > first:
                faults[track[at]] = FROZEN
            else:
                track[kept] = track[at]
                kept += 1
        first = last + 1
    return kept


@njit(cache=True, nogil=True)
def _judge_track(rows: _Rows, track: Track, limits: PositionLimits, faults: Codes) -> None:
    """Cut the track at its unexplained steps; what the longest chain leaves out is wrong."""
    frame, x, y, speed = rows
    first = np.empty(track.size, np.int64)
    first[0] = 0
    pieces = 1
    explained = False
    for at in range(1, track.size):
        before = at - 2 if explained else -1
        after = at + 1 if at + 1 < track.size else -1
        i, j = track[at - 1], track[at]
        seconds = FRAME * (frame[j] - frame[i])
        dy = y[j] - y[i]
        if limits.two_way:
            dy = abs(dy)
        # Nearly every step is as long as its delivered speed says and needs no second look.
        explained = (
            seconds <= limits.blind
            and abs(x[j] - x[i]) <= limits.lateral
            and abs(dy - speed[j] * seconds) <= limits.along
        ) or _strain(rows, track, before, at - 1, at, after, limits) <= 1.0
        if not explained:
            first[pieces] = at
            pieces += 1
    if pieces == 1:
        return
    last = np.empty(pieces, np.int64)
    last[:-1] = first[1:pieces] - 1
    last[-1] = track.size - 1
    kept = _longest_chain(rows, track, first[:pieces], last, limits)
    for piece in range(pieces):
        if not kept[piece]:
            short = last[piece] - first[piece] + 1 <= limits.spike_rows
            for at in range(first[piece], last[piece] + 1):
                faults[track[at]] = SPIKE if short else TELEPORT


@njit(cache=True, nogil=True)
def _longest_chain(
    rows: _Rows, track: Track, first: Track, last: Track, limits: PositionLimits
) -> Mask:
    """Which pieces belong to the chain that keeps most rows, a strained joint costing some."""
    pieces = first.size
    value = np.empty(pieces)
    previous = np.full(pieces, -1, np.int64)
    for piece in range(pieces):
        length = last[piece] - first[piece] + 1
        value[piece] = length
        after = first[piece] + 1 if length > 1 else -1
        for other in range(max(0, piece - _LOOK_BACK), piece):
            before = last[other] - 1 if last[other] > first[other] else -1
            strain = _strain(rows, track, before, last[other], first[piece], after, limits)
            joined = value[other] + length
            if strain > 1.0:
                joined -= limits.joint_rows * strain
            # Of two equal chains the one with the nearer joint.
            if joined >= value[piece]:
                value[piece] = joined
                previous[piece] = other
    kept = np.zeros(pieces, np.bool_)
    at = int(np.argmax(value))
    while at >= 0:
        kept[at] = True
        at = previous[at]
    return kept


@njit(cache=True, nogil=True)
def _strain(
    rows: _Rows,
    track: Track,
    before: int,
    here: int,
    there: int,
    after: int,
    limits: PositionLimits,
) -> float:
    """How hard the step from `here` to `there` is to believe: to 1 explained, inf impossible.

    Explained by whichever comes nearest of the delivered speeds of both ends, the step before
    and the step after (-1 where there is none); what is left is measured in tolerances.
    """
    i, j = track[here], track[there]
    seconds = FRAME * (rows.frame[j] - rows.frame[i])
    unseen = seconds - FRAME
    dy = rows.y[j] - rows.y[i]
    dx = rows.x[j] - rows.x[i]
    left_y = np.inf
    left_x = abs(dx)
    for at in (i, j):
        if not np.isnan(rows.speed[at]):
            driven = rows.speed[at] * seconds
            if limits.two_way:
                left_y = min(left_y, abs(abs(dy) - driven), abs(np.hypot(dx, dy) - driven))
            else:
                left_y = min(left_y, abs(dy - driven))
    for one, two in ((before, here), (there, after)):
        if one >= 0 and two >= 0:
            p, q = track[one], track[two]
            ratio = seconds / (FRAME * (rows.frame[q] - rows.frame[p]))
            left_y = min(left_y, abs(dy - (rows.y[q] - rows.y[p]) * ratio))
            left_x = min(left_x, abs(dx - (rows.x[q] - rows.x[p]) * ratio))
    if np.isinf(left_y) or unseen > limits.blind:
        # Anything between standing and the top speed explains it.
        forwards = max(0.0, dy - limits.top_speed * seconds)
        backwards = max(0.0, -dy - (limits.top_speed * seconds if limits.two_way else 0.0))
        left_y = max(forwards, backwards)
    left_y = max(0.0, left_y - 0.5 * limits.acceleration * unseen * unseen)
    left_x = max(0.0, left_x - limits.lateral_speed * unseen)
    at_edge = min(here, track.size - 1 - there) < limits.edge_frames
    factor = limits.edge_factor if at_edge else 1.0
    if max(left_x, left_y) > limits.largest * factor:
        return np.inf
    return float(max(left_y / limits.along, left_x / limits.lateral) / factor)
