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
    aside, ahead, still = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    doubted = np.zeros(rows, np.bool_)
    track = np.empty(rows, np.int64)
    doubts = start = 0
    while start < rows:
        end = start
        size = 0
        while end < rows and vehicle[end] == vehicle[start]:
            if usable[end] and not np.isnan(longitude[end]):
                track[size] = end
                size += 1
            end += 1
        if size > 1 and _differs(track[:size], x, y, longitude, latitude, limits.along):
            _offsets(track[:size], x, y, longitude, latitude, limits.along, aside, ahead)
            doubts += 1
            for at in range(size):
                doubted[track[at]] = True
        start = end
    if doubts == 0:
        return doubted
    return position_faults(vehicle, frame, aside, ahead, still, doubted, limits) > 0


@njit(cache=True, nogil=True)
def _differs(
    track: Track, x: Floats, y: Floats, longitude: Floats, latitude: Floats, tolerance: float
) -> bool:
    """Whether any step of the track is longer or shorter on the map by a quarter tolerance.

    A row displaced by D between steps of d has one that differs by sqrt(d² + 2 D²) - d or more,
    which is over a quarter of D for all that a vehicle drives in a frame.
    """
    north = PER_DEGREE
    east = PER_DEGREE * np.cos(np.radians(latitude[track[0]]))
    for at in range(1, track.size):
        i, j = track[at - 1], track[at]
        dx, dy = x[j] - x[i], y[j] - y[i]
        de = (longitude[j] - longitude[i]) * east
        dn = (latitude[j] - latitude[i]) * north
        if abs(np.sqrt(dx * dx + dy * dy) - np.sqrt(de * de + dn * dn)) > 0.25 * tolerance:
            return True
    return False


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
