"""Measures of pairs: a follower and the vehicle it says is ahead, at the same frame.

Belongs here: looking leaders up over a whole recording, and gaps and headways between the two.
Does not belong here: measures of one vehicle alone (track_measures.py), metrics' names and limits.
"""

# numpy's stubs leave the results of a few functions used here untyped
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from ngsim_assets.highway.assessment.track_measures import Floats, Ints, Tracks

_PAIRS = (
    "named",
    "absent",
    "gaps",
    "overlaps",
    "smallest_gap",
    "unreciprocated",
    "headways",
    "headway_squares",
    "headway_largest",
    "other_lane",
    "behind",
)


def pairs(
    tracks: Tracks,
    heading: Floats,
    taken: npt.NDArray[np.bool_],
    y: Floats,
    lane: Ints,
    length: Floats,
    preceding: Ints,
    following: Ints,
    headway: Floats,
) -> pl.DataFrame:
    """Every row of a follower against its leader's row of the same frame.

    Only followers with `taken`. Per follower: rows that have a leader `named`, and of those
    `absent` at that frame, in the `other_lane`, and `behind` this follower; of pairs in one lane,
    or where a lane is not known, net `gaps` (front to front distance less the leader's length),
    `overlaps` (gap < 0), the `smallest_gap`; leaders that do not name this follower
    (`unreciprocated`); `headways` delivered for the pair, and of their differences to the
    recomputed front to front distance the squares summed (`headway_squares`) and the largest in
    absolute value (`headway_largest`).
    """
    order = np.argsort(tracks.vehicle)
    found = _pairs(
        tracks.starts,
        tracks.frame,
        tracks.vehicle,
        (tracks.vehicle[order], order),
        (heading, taken),
        y,
        (lane, length),
        preceding,
        following,
        headway,
    )
    frame = pl.DataFrame({name: found[:, k] for k, name in enumerate(_PAIRS)})
    return frame.insert_column(0, pl.Series("vehicle_id", tracks.vehicle)).sort("vehicle_id")


def time_headways(
    tracks: Tracks, time_headway: Floats, speed: Floats, space_headway: Floats, moving: float
) -> pl.DataFrame:
    """Distance that time headway and own speed tell, less the space headway.

    Per follower: `samples`, rows that have all three and at least `moving` m/s, and `squares`.
    """
    found = _time_headways(tracks.starts, time_headway, speed, space_headway, moving)
    frame = pl.DataFrame({"samples": found[:, 0], "squares": found[:, 1]})
    return frame.insert_column(0, pl.Series("vehicle_id", tracks.vehicle)).sort("vehicle_id")


@njit(cache=True, nogil=True)
def _time_headways(
    starts: Any, time_headway: Any, speed: Any, space_headway: Any, moving: float
) -> Any:
    out = np.zeros((len(starts) - 1, 2))
    for track in range(len(starts) - 1):
        for i in range(starts[track], starts[track + 1]):
            told = np.float64(time_headway[i]) * speed[i] - space_headway[i]
            if speed[i] >= moving and not np.isnan(told):
                out[track, 0] += 1
                out[track, 1] += told * told
    return out


@njit(cache=True, nogil=True)
def _pairs(
    starts: Any,
    frame: Any,
    vehicle: Any,
    index: Any,
    followers: Any,
    y: Any,
    own: Any,
    preceding: Any,
    following: Any,
    headway: Any,
) -> Any:
    out = np.zeros((len(starts) - 1, 11))
    numbers, order = index
    heading, taken = followers
    lane, length = own
    for track in range(len(starts) - 1):
        out[track, 4] = np.inf
        if not taken[track]:
            continue
        named, at, end = -1, -1, -1
        for i in range(starts[track], starts[track + 1]):
            leader = preceding[i]
            if leader < 1:
                continue
            out[track, 0] += 1
            if leader != named:
                # A leader stays for many frames: search only when it changes, then walk along.
                named = leader
                k = np.searchsorted(numbers, leader)
                at, end = -1, -1
                if k < len(numbers) and numbers[k] == leader:
                    low, end = starts[order[k]], starts[order[k] + 1]
                    at = low + np.searchsorted(frame[low:end], frame[i])
            while at >= 0 and at < end and frame[at] < frame[i]:
                at += 1
            if at < 0 or at >= end or frame[at] != frame[i]:
                out[track, 1] += 1
                continue
            spacing = y[at] - y[i]
            spacing = abs(spacing) if heading[track] == 0 else spacing * heading[track]
            elsewhere = lane[at] != lane[i] and lane[at] >= 0 and lane[i] >= 0
            out[track, 9] += elsewhere
            out[track, 10] += spacing < 0
            gap = spacing - length[at]
            if not np.isnan(gap) and not elsewhere:
                out[track, 2] += 1
                if gap < 0:
                    out[track, 3] += 1
                out[track, 4] = min(out[track, 4], gap)
            if following[at] != vehicle[track]:
                out[track, 5] += 1
            if not np.isnan(headway[i]):
                difference = headway[i] - spacing
                out[track, 6] += 1
                out[track, 7] += difference * difference
                out[track, 8] = max(out[track, 8], abs(difference))
    return out
