"""What a row says of the vehicle ahead, against what that vehicle's own rows say.

Belongs here: the narrow context of a whole recording that such rules need, and the look-up in
it. Does not belong here: thresholds (validation_rules.py).
"""

# numpy's stubs leave the results of a few functions used here untyped
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from ngsim_assets.highway.arrays import floats, integers, singles

Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NEIGHBOURS = pl.Schema(
    {
        "vehicle_id": pl.Int32(),
        "frame": pl.Int32(),
        "y_position": pl.Float32(),
        "length": pl.Float32(),
        "lane_id": pl.Int32(),
        "following_id": pl.Int32(),
        "total_frames": pl.Int32(),
    }
)
"""Context of a whole recording: sorted by vehicle and frame, one row per pair.

y_position [m], length [m], lane and follower are null where unknown and on rows not believed;
length is the one the vehicle usually has.
"""

_NONE = -1


class LeaderEvidence(NamedTuple):
    """Per row, NaN or 0 where there is no leader or nothing known of it.

    Attributes:
        gap: m from own front to the leader's rear, negative where they overlap; only of
            leaders in the same lane.
        spacing: m from own front to the leader's front.
        unreciprocated: whether the leader names somebody else as its follower.
        away: whether the leader is a vehicle of the recording with all its rows, but had left
            the section by then or had not come yet.
    """

    gap: Doubles
    spacing: Doubles
    unreciprocated: Mask
    away: Mask


class Context(NamedTuple):
    """NEIGHBOURS as arrays; block i of `starts` holds the rows of `vehicles[i]`."""

    vehicles: Integers
    starts: Longs
    frame: Integers
    lane: Integers
    follower: Integers
    total: Integers
    position: Singles
    length: Singles

    @classmethod
    def of(cls, neighbours: pl.DataFrame) -> Context:
        """To be made once and looked up in by every part of a recording."""
        vehicle = integers(neighbours["vehicle_id"], _NONE)
        starts = np.flatnonzero(np.diff(vehicle, prepend=np.int32(_NONE)))
        return cls(
            vehicle[starts],
            np.append(starts, vehicle.size),
            integers(neighbours["frame"], _NONE),
            integers(neighbours["lane_id"], _NONE),
            integers(neighbours["following_id"], _NONE),
            integers(neighbours["total_frames"], _NONE),
            singles(neighbours["y_position"]),
            singles(neighbours["length"]),
        )


def leader_evidence(points: pl.DataFrame, context: Context, *, two_way: bool) -> LeaderEvidence:
    """Look every row's `preceding_id` up in `context` at the row's own frame.

    Args:
        points: vehicle_id, frame, y_position [m], lane_id, preceding_id.
        context: of the whole recording.
        two_way: whether a leader may stand at lower y (arterials).
    """
    own = _Own(
        integers(points["vehicle_id"], _NONE),
        integers(points["frame"], _NONE),
        integers(points["preceding_id"], _NONE),
        integers(points["lane_id"], _NONE),
        floats(points["y_position"]),
    )
    return LeaderEvidence(*_look_up(own, context, two_way))


class _Own(NamedTuple):
    vehicle: Integers
    frame: Integers
    leader: Integers
    lane: Integers
    position: Doubles


@njit(cache=True, nogil=True)
def _look_up(own: _Own, theirs: Context, two_way: bool) -> tuple[Doubles, Doubles, Mask, Mask]:
    rows = own.vehicle.size
    gap = np.full(rows, np.nan)
    spacing = np.full(rows, np.nan)
    unreciprocated = np.zeros(rows, np.bool_)
    away = np.zeros(rows, np.bool_)
    named = _NONE
    start = end = at = 0
    for row in range(rows):
        if own.leader[row] < 1:
            continue
        if own.leader[row] != named:
            named = own.leader[row]
            block = np.searchsorted(theirs.vehicles, named)
            start = end = 0
            if block < theirs.vehicles.size and theirs.vehicles[block] == named:
                start, end = theirs.starts[block], theirs.starts[block + 1]
            at = start
        # The next row mostly wants the next frame of the same leader.
        if at < end and theirs.frame[at] != own.frame[row]:
            if at + 1 < end and theirs.frame[at + 1] == own.frame[row]:
                at += 1
            else:
                at = start + np.searchsorted(theirs.frame[start:end], own.frame[row])
        if at >= end or theirs.frame[at] != own.frame[row]:
            if start < end:
                came, left = theirs.frame[start], theirs.frame[end - 1]
                whole = 0 < theirs.total[start] <= left - came + 1
                away[row] = whole and not came <= own.frame[row] <= left
            at = start
            continue
        ahead = theirs.position[at] - own.position[row]
        if two_way:
            ahead = abs(ahead)
        spacing[row] = ahead
        if own.lane[row] == theirs.lane[at]:
            gap[row] = ahead - theirs.length[at]
        follower = theirs.follower[at]
        unreciprocated[row] = follower >= 0 and follower != own.vehicle[row]
    return gap, spacing, unreciprocated, away
