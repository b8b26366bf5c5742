"""What a row says of the vehicles ahead and behind, against what their own rows say.

Belongs here: the narrow context of a whole recording that such rules need, and the look-up in
it. Does not belong here: thresholds (parameters.py).
"""

# numpy's stubs leave the results of a few functions used here untyped
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from ngsim_assets.highway.arrays import integers, singles
from ngsim_assets.highway.validation.continuity import NOBODY

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
        "preceding": pl.Int32(),
        "following": pl.Int32(),
        "total_frames": pl.Int32(),
    }
)
"""Context of a whole recording: sorted by vehicle and frame, one row per pair.

y_position [m], length [m], lane, leader and follower (0: there is none) are null where unknown,
on rows not believed, and where a row names somebody else for a moment only; length is the one
the vehicle usually has.
"""

_NOT_THEN: Final = -1
_NOT_HERE: Final = -2


class LeaderEvidence(NamedTuple):
    """Per row, NaN or 0 where there is no leader or nothing known of it.

    Attributes:
        gap: m from own front to the leader's rear, negative where they overlap; only of
            leaders in the same lane.
        spacing: m from own front to the leader's front.
        unreciprocated: whether the leader names somebody else as its follower, or a vehicle the
            row fails to name for a moment names it.
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
    leader: Integers
    follower: Integers
    total: Integers
    position: Singles
    length: Singles

    @classmethod
    def of(cls, neighbours: pl.DataFrame) -> Context:
        """To be made once and looked up in by every part of a recording."""
        vehicle = integers(neighbours["vehicle_id"], NOBODY)
        starts = np.flatnonzero(np.diff(vehicle, prepend=np.int32(NOBODY)))
        return cls(
            vehicle[starts],
            np.append(starts, vehicle.size),
            integers(neighbours["frame"], NOBODY),
            integers(neighbours["lane_id"], NOBODY),
            integers(neighbours["preceding"], NOBODY),
            integers(neighbours["following"], NOBODY),
            integers(neighbours["total_frames"], NOBODY),
            singles(neighbours["y_position"]),
            singles(neighbours["length"]),
        )


class Named(NamedTuple):
    """Per row whom it names ahead or behind, 0 nobody, NOBODY where it does not tell.

    Attributes: usual: whom the rows around it name, where it names another for a moment only
    (continuity.for_a_moment), else NOBODY.
    """

    vehicle: Integers
    usual: Integers


class Own(NamedTuple):
    """Rows as arrays, NOBODY (NaN) where not told; position is that along the road [m]."""

    vehicle: Integers
    frame: Integers
    lane: Integers
    position: Doubles


def leader_evidence(own: Own, leader: Named, context: Context, *, two_way: bool) -> LeaderEvidence:
    """Look every row's leader up in `context` at the row's own frame.

    Args:
        context: of the whole recording.
        two_way: whether a leader may stand at lower y (arterials).
    """
    at = _places(own, leader.vehicle, context)
    gap, spacing = _distances(own, at, context, two_way)
    unreciprocated = _contradicted(own, at, context.follower)
    unreciprocated |= _claimed(own, leader.usual, context, context.follower)
    return LeaderEvidence(gap, spacing, unreciprocated, _away(own, leader.vehicle, at, context))


def unreciprocated_followers(own: Own, follower: Named, context: Context) -> Mask:
    """Rows whose follower names another leader, or that fail to name one who names them.

    Also those whose follower had left the section or had not come by then, or for a moment is
    a vehicle of the recording without a row at that time.

    Args: as of `leader_evidence`.
    """
    at = _places(own, follower.vehicle, context)
    wrong = _contradicted(own, at, context.leader)
    wrong |= _claimed(own, follower.usual, context, context.leader)
    wrong |= (follower.usual != NOBODY) & (at == _NOT_THEN)
    wrong |= _away(own, follower.vehicle, at, context)
    return wrong


def _claimed(own: Own, usual: Integers, theirs: Context, back: Integers) -> Mask:
    """Rows that name another for a moment while the usual one still names them back."""
    wrong = np.zeros(usual.size, np.bool_)
    if (usual > 0).any():
        at = _places(own, usual, theirs)
        wrong[at >= 0] = back[at[at >= 0]] == own.vehicle[at >= 0]
    return wrong


@njit(cache=True, nogil=True)
def _places(own: Own, named: Integers, theirs: Context) -> Integers:
    """Row of the named vehicle in the row's frame.

    _NOT_THEN where it has rows and none of that frame, _NOT_HERE where it has none at all or
    nobody is named.
    """
    places = np.full(named.size, _NOT_HERE, np.int32)
    vehicle = NOBODY
    start = end = at = 0
    for row in range(named.size):
        if named[row] < 1:
            continue
        if named[row] != vehicle:
            vehicle = named[row]
            block = np.searchsorted(theirs.vehicles, vehicle)
            start = end = 0
            if block < theirs.vehicles.size and theirs.vehicles[block] == vehicle:
                start, end = theirs.starts[block], theirs.starts[block + 1]
            at = start
        if start == end:
            continue
        # The next row mostly wants the next frame of the same vehicle.
        if at < end and theirs.frame[at] != own.frame[row]:
            if at + 1 < end and theirs.frame[at + 1] == own.frame[row]:
                at += 1
            else:
                at = start + np.searchsorted(theirs.frame[start:end], own.frame[row])
        if at < end and theirs.frame[at] == own.frame[row]:
            places[row] = at
        else:
            places[row] = _NOT_THEN
            at = start
    return places


@njit(cache=True, nogil=True)
def _distances(own: Own, at: Integers, theirs: Context, two_way: bool) -> tuple[Doubles, Doubles]:
    gap = np.full(at.size, np.nan)
    spacing = np.full(at.size, np.nan)
    for row in range(at.size):
        if at[row] >= 0:
            ahead = theirs.position[at[row]] - own.position[row]
            if two_way:
                ahead = abs(ahead)
            spacing[row] = ahead
            if own.lane[row] == theirs.lane[at[row]]:
                gap[row] = ahead - theirs.length[at[row]]
    return gap, spacing


@njit(cache=True, nogil=True)
def _contradicted(own: Own, at: Integers, back: Integers) -> Mask:
    """Rows that name a vehicle whose own row names another one back."""
    wrong = np.zeros(at.size, np.bool_)
    for row in range(at.size):
        if at[row] >= 0:
            wrong[row] = back[at[row]] >= 0 and back[at[row]] != own.vehicle[row]
    return wrong


@njit(cache=True, nogil=True)
def _away(own: Own, named: Integers, at: Integers, theirs: Context) -> Mask:
    away = np.zeros(at.size, np.bool_)
    for row in range(at.size):
        if at[row] == _NOT_THEN:
            block = np.searchsorted(theirs.vehicles, named[row])
            first, last = theirs.starts[block], theirs.starts[block + 1] - 1
            came, left = theirs.frame[first], theirs.frame[last]
            whole = 0 < theirs.total[first] <= left - came + 1
            away[row] = whole and not came <= own.frame[row] <= left
    return away
