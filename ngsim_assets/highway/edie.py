"""Distances travelled and times spent in cells of stream, time and place: the compiled part.

Belongs here: splitting the motion between two points at the borders of cells. Does not belong
here: tables and the quantities derived from the sums (traffic.py).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
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
    """Arrays over stream, time and place: distance and time in whole units, distinct vehicles.

    `latest` holds the vehicle last counted in a cell. A stream is a lane in one direction.
    """

    distance: Any
    spent: Any
    vehicles: Any
    latest: Any


class Places(NamedTuple):
    """Arrays over place, whatever the stream: when anybody was first and last seen, and how many.

    Attributes:
        first, last: microseconds from the start of the grid, of the pieces seen there.
        vehicles: distinct ones. latest: the vehicle last counted.
    """

    first: Any
    last: Any
    vehicles: Any
    latest: Any


class Window(NamedTuple):
    """Time and place that pieces reach over: microseconds since the epoch, m."""

    first_time: Any
    last_time: Any
    first_y: Any
    last_y: Any


@njit(cache=True, nogil=True)
def _add(sums: Sums, cell: Any, distance: int, spent: int, vehicle: int) -> None:
    """Add a share to a cell."""
    sums.spent[cell] += spent
    sums.distance[cell] += distance
    if sums.latest[cell] != vehicle:
        sums.latest[cell] = vehicle
        sums.vehicles[cell] += 1


@njit(cache=True, nogil=True)
def _see(places: Places, y_cell: int, start: int, end: int, vehicle: int) -> None:
    """Note a vehicle at a place."""
    places.first[y_cell] = min(places.first[y_cell], start)
    places.last[y_cell] = max(places.last[y_cell], end)
    if places.latest[y_cell] != vehicle:
        places.latest[y_cell] = vehicle
        places.vehicles[y_cell] += 1


@njit(cache=True, nogil=True)
def _split(
    sums: Sums,
    places: Places,
    grid: Grid,
    cell: Any,
    t0: int,
    y0: float,
    time: int,
    way: float,
    heading: int,
    vehicle: int,
) -> None:
    """Share a piece of `time` us and `way` m from (t0, y0) out among the cells it crosses.

    `cell` is that of the first point; t0 is relative to the grid. Shares are
    differences of rounded running totals, so they add up to the whole piece exactly.
    """
    at, time_cell, y_cell = cell
    sign = heading if way > 0.0 else -heading
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
            share = sign * (distance_now - distance_done), time_now - time_done
            _add(sums, (at, time_cell, y_cell), share[0], share[1], vehicle)
            _see(places, y_cell, t0, t0 + time, vehicle)
        time_done, distance_done = time_now, distance_now
        here = there
        time_cell = min(time_cell + time_next, sums.spent.shape[1] - 1)
        y_cell = min(max(y_cell + y_next, 0), sums.spent.shape[2] - 1)


@njit(cache=True, nogil=True)
def _index_of(code: int, codes: Any, guess: int) -> int:
    """Place of `code` among `codes`, where it is; points of a vehicle mostly have one code."""
    if codes[guess] == code:
        return guess
    at = 0
    while codes[at] != code:
        at += 1
    return at


@njit(cache=True, nogil=True)
def accumulate_pieces(
    vehicle: Any,
    stream: Any,
    time: Any,
    y: Any,
    streams: Any,
    directions: Any,
    gap: int,
    grid: Grid,
    sums: Sums,
    places: Places,
) -> Window:
    """Add every piece of every vehicle to `sums`, and note in `places` where it was when.

    Movement counts in the direction of travel: the way a vehicle goes on balance, over all its
    pieces of one direction; what it moves against that is taken off.

    Args:
        vehicle: in one piece each. stream: code. time: microseconds, ascending. y: m.
        streams: codes in the order of the first axis. directions: of each, numbered from 0.
        gap: microseconds over which two points are not joined.

    Returns:
        What the pieces reach over; its ends are turned round if there is none.
    """
    # places stay absolute: taking the grid's start off rounds, differently for every extent
    origin = grid.first_time * grid.duration
    count = len(vehicle)
    net = np.zeros(directions.max() + 1)
    first_time, last_time = np.int64(2**62), np.int64(-(2**62))
    first_y, last_y = np.inf, -np.inf
    at = 0
    first = 0
    while first < count:
        end = first + 1
        net[:] = 0.0
        while end < count and vehicle[end] == vehicle[first]:
            if 0 < time[end] - time[end - 1] <= gap:
                at = _index_of(stream[end - 1], streams, at)
                net[directions[at]] += y[end] - y[end - 1]
            end += 1
        t0, y0 = time[first] - origin, y[first]
        time_cell, y_cell = t0 // grid.duration, math.floor(y0 / grid.length)
        for i in range(first + 1, end):
            t1, y1 = time[i] - origin, y[i]
            next_time = time_cell
            if t1 < time_cell * grid.duration or t1 >= (time_cell + 1) * grid.duration:
                next_time = t1 // grid.duration
            next_y = math.floor(y1 / grid.length)
            if 0 < t1 - t0 <= gap:
                at = _index_of(stream[i - 1], streams, at)
                heading = -1 if net[directions[at]] < 0.0 else 1
                cell = (at, time_cell, y_cell - grid.first_y)
                if next_time == time_cell and next_y == y_cell:
                    whole = math.floor(abs(y1 - y0) * METRE + 0.5)
                    whole = whole * heading if y1 > y0 else -whole * heading
                    _add(sums, cell, whole, (t1 - t0) * 1000, vehicle[i])
                    _see(places, cell[2], t0, t1, vehicle[i])
                else:
                    way = y1 - y0
                    _split(sums, places, grid, cell, t0, y0, t1 - t0, way, heading, vehicle[i])
                first_time, last_time = min(first_time, t0), max(last_time, t1)
                first_y, last_y = min(first_y, y0, y1), max(last_y, y0, y1)
            t0, y0, time_cell, y_cell = t1, y1, next_time, next_y
        first = end
    return Window(first_time + origin, last_time + origin, first_y, last_y)
