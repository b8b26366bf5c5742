"""Distances travelled and times spent in cells of lane, time and place: the compiled part.

Belongs here: splitting the motion between two points at the borders of cells. Does not belong
here: tables and the quantities derived from the sums (traffic.py).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numba import njit

METRE = 2.0**30
"""Distances are summed in whole units of 1 / METRE m: 0.9 nm, up to 8.6 million km."""

SECOND = 1_000_000_000
"""Times are summed in whole nanoseconds."""


class Grid(NamedTuple):
    """Cells by number, from the epoch and from the start of the section.

    Attributes:
        duration: of a cell, microseconds. length: of a cell, m.
        first_time, first_y: numbers of the first cells.
    """

    duration: int
    length: float
    first_time: int
    first_y: int


class Sums(NamedTuple):
    """Arrays over lane, time and place: distance and time in whole units, distinct vehicles.

    `latest` holds the vehicle last counted in a cell.
    """

    distance: Any
    spent: Any
    vehicles: Any
    latest: Any


@njit(cache=True, nogil=True)
def _add(sums: Sums, cell: Any, distance: int, spent: int, vehicle: int) -> None:
    """Add a share to a cell."""
    sums.spent[cell] += spent
    sums.distance[cell] += distance
    if sums.latest[cell] != vehicle:
        sums.latest[cell] = vehicle
        sums.vehicles[cell] += 1


@njit(cache=True, nogil=True)
def _split(
    sums: Sums,
    grid: Grid,
    cell: Any,
    t0: int,
    y0: float,
    time: int,
    way: float,
    vehicle: int,
) -> None:
    """Share a piece of `time` us and `way` m from (t0, y0) out among the cells it crosses.

    `cell` is that of the first point; t0 is relative to the grid. Shares are
    differences of rounded running totals, so they add up to the whole piece exactly.
    """
    at, time_cell, y_cell = cell
    here = 0.0
    time_done = distance_done = 0
    while here < 1.0:
        there = ((time_cell + 1) * grid.duration - t0) / time
        time_next, y_next = 1, 0
        if way != 0.0:
            step = 1 if way > 0.0 else -1
            border = (grid.first_y + (y_cell + 1 if way > 0.0 else y_cell)) * grid.length
            crossing = (border - y0) / way
            if crossing < there:
                there, time_next, y_next = crossing, 0, step
            elif crossing == there:
                y_next = step
        # rounding must turn no border back, and lead out of no grid
        there = min(max(there, here), 1.0)
        time_now = math.floor(time * there * 1000.0 + 0.5)
        distance_now = math.floor(abs(way) * there * METRE + 0.5)
        if time_now > time_done or distance_now > distance_done:
            share = distance_now - distance_done, time_now - time_done
            _add(sums, (at, time_cell, y_cell), share[0], share[1], vehicle)
        time_done, distance_done = time_now, distance_now
        here = there
        time_cell = min(time_cell + time_next, sums.spent.shape[1] - 1)
        y_cell = min(max(y_cell + y_next, 0), sums.spent.shape[2] - 1)


@njit(cache=True, nogil=True)
def accumulate_pieces(
    vehicle: Any, lane: Any, time: Any, y: Any, lanes: Any, gap: int, grid: Grid, sums: Sums
) -> None:
    """Add every piece of every vehicle to `sums`.

    Args:
        vehicle: in one piece each. lane: code. time: microseconds, ascending. y: m.
        lanes: codes in the order of the first axis.
        gap: microseconds over which two points are not joined.
    """
    # places stay absolute: taking the grid's start off rounds, differently for every extent
    origin = grid.first_time * grid.duration
    at = 0
    t0, y0 = time[0] - origin, y[0]
    time_cell, y_cell = t0 // grid.duration, math.floor(y0 / grid.length)
    for i in range(1, len(vehicle)):
        t1, y1 = time[i] - origin, y[i]
        next_time = time_cell
        if t1 < time_cell * grid.duration or t1 >= (time_cell + 1) * grid.duration:
            next_time = t1 // grid.duration
        next_y = math.floor(y1 / grid.length)
        if vehicle[i] == vehicle[i - 1] and 0 < t1 - t0 <= gap:
            if lanes[at] != lane[i - 1]:
                at = 0
                while lanes[at] != lane[i - 1]:
                    at += 1
            cell = (at, time_cell, y_cell - grid.first_y)
            if next_time == time_cell and next_y == y_cell:
                whole = math.floor(abs(y1 - y0) * METRE + 0.5)
                _add(sums, cell, whole, (t1 - t0) * 1000, vehicle[i])
            else:
                _split(sums, grid, cell, t0, y0, t1 - t0, y1 - y0, vehicle[i])
        t0, y0, time_cell, y_cell = t1, y1, next_time, next_y
