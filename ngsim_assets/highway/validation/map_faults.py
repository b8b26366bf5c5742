"""Coordinates on the map that leave where the local position goes.

Belongs here: both positions of a track compared, compiled. Does not belong here: whether the
local position is believed (position_faults.py), whether coordinates lie at the site at all
(geodesy.py).

Along one track the two positions differ by a turn and a shift that change slowly with the road.
The turn is the one that brings the steps of both nearest to each other; what is left over is an
offset that hardly moves, and a row whose coordinates were displaced stands out of it. Offsets are
judged as positions are: cut at every jump, joined into the longest chain, both neighbours heard.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from ngsim_assets.highway.validation.position_faults import PositionLimits, position_faults

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Track = npt.NDArray[np.int64]


# m per degree of latitude, of a sphere as large as the earth: steps are compared to a percent.
PER_DEGREE: Final = 111_195.0


@njit(cache=True, nogil=True)
def map_faults(
    vehicle: Integers,
    frame: Integers,
    x: Floats,
    y: Floats,
    longitude: Floats,
    latitude: Floats,
    usable: Mask,
    limits: PositionLimits,
) -> Mask:
    """Rows whose map position is displaced against their local one.

    Args:
        vehicle, frame: sorted by both, one usable row per pair.
        x, y: m, local. longitude, latitude: degrees, NaN where unknown.
        usable: rows to judge, their local positions believed.
        limits: `along` and `lateral` are how far [m] the offset may jump between two rows.
    """
    rows = vehicle.size
    doubted = _doubted(vehicle, x, y, longitude, latitude, usable, 0.25 * limits.along)
    if not doubted.any():
        return doubted
    aside, ahead, still = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    at = np.flatnonzero(doubted)
    start = 0
    while start < at.size:
        end = start + 1
        while end < at.size and vehicle[at[end]] == vehicle[at[start]]:
            end += 1
        _offsets(at[start:end], x, y, longitude, latitude, limits.along, aside, ahead)
        start = end
    return position_faults(vehicle, frame, aside, ahead, still, doubted, limits) > 0


@njit(cache=True, nogil=True)
def _doubted(
    vehicle: Integers,
    x: Floats,
    y: Floats,
    longitude: Floats,
    latitude: Floats,
    usable: Mask,
    tolerance: float,
) -> Mask:
    """Usable rows with coordinates, of tracks with a step of another length on the map.

    A row displaced by D between steps of d has one that differs by sqrt(d² + 2 D²) - d or more,
    which is over a quarter of D for all that a vehicle drives in a frame. Lengths that differ by
    t have squares that differ by t times their sum, and that is more than the root of the sum
    of their squares: no root needs to be drawn.
    """
    doubted = np.zeros(vehicle.size, np.bool_)
    least = tolerance * tolerance
    start = 0
    while start < vehicle.size:
        end = start
        before = -1
        east = odd = 0.0
        while end < vehicle.size and vehicle[end] == vehicle[start]:
            if usable[end] and not np.isnan(longitude[end]):
                if before < 0:
                    east = PER_DEGREE * np.cos(np.radians(latitude[end]))
                else:
                    dx, dy = x[end] - x[before], y[end] - y[before]
                    de = (longitude[end] - longitude[before]) * east
                    dn = (latitude[end] - latitude[before]) * PER_DEGREE
                    local, mapped = dx * dx + dy * dy, de * de + dn * dn
                    odd += (local - mapped) ** 2 > least * (local + mapped)
                before = end
            end += 1
        if odd > 0:
            for row in range(start, end):
                doubted[row] = usable[row] and not np.isnan(longitude[row])
        start = end
    return doubted


@njit(cache=True, nogil=True)
def _offsets(
    track: Track,
    x: Floats,
    y: Floats,
    longitude: Floats,
    latitude: Floats,
    tolerance: float,
    aside: Floats,
    ahead: Floats,
) -> None:
    """What is left of the map positions [m] of one track after the turn, into `aside`, `ahead`.

    The turn is by least squares over the steps. Those that are not about as long on the map as
    locally are displaced, and have no say; a vehicle that does not move needs no turn.
    """
    north = PER_DEGREE
    east = PER_DEGREE * np.cos(np.radians(latitude[track[0]]))
    along = across = 0.0
    for at in range(1, track.size):
        i, j = track[at - 1], track[at]
        dx, dy = x[j] - x[i], y[j] - y[i]
        de = (longitude[j] - longitude[i]) * east
        dn = (latitude[j] - latitude[i]) * north
        if abs(np.sqrt(dx * dx + dy * dy) - np.sqrt(de * de + dn * dn)) < tolerance:
            along += dx * de + dy * dn
            across += dx * dn - dy * de
    length = np.sqrt(along * along + across * across)
    cosine, sine = (along / length, across / length) if length > 0.0 else (1.0, 0.0)
    for at in range(track.size):
        row = track[at]
        aside[row] = (longitude[row] - longitude[track[0]]) * east - cosine * x[row] + sine * y[row]
        ahead[row] = (latitude[row] - latitude[track[0]]) * north - sine * x[row] - cosine * y[row]
