"""Times of laps that fit each other: of one driver lap by lap, and of all drivers of a race.

When something is told is when it happened and a bit. Lap times tell how far two ends of a driver
are apart, and the gap to the leader how far the ends of two drivers are: both to the millisecond.

Belongs here: moving ends of laps. Does not belong here: lap and sector times, which are never
changed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from ngsim_assets.f1.timing.closing import ClosedLap

AGREEING_MS: Final = 20
"""How far gaps of two cars may scatter around their median; real ones agree to the millisecond."""


def fitted(laps: Sequence[ClosedLap]) -> list[ClosedLap]:
    """The laps of one driver, by number, with ends that fit the lap times.

    Ends are told late by a varying bit and never early, so where a lap time says that the lap
    before ended earlier, or this one, it is right.
    """
    ends = [lap.end for lap in laps]
    for position in range(len(laps) - 1, 0, -1):
        took, end, before = laps[position].lap_time, ends[position], ends[position - 1]
        if took is None or end is None or before is None or end - took >= before:
            continue
        earlier = ends[position - 2] if position > 1 else None
        if earlier is None or end - took >= earlier:
            ends[position - 1] = end - took
    for position in range(1, len(laps)):
        took, end, before = laps[position].lap_time, ends[position], ends[position - 1]
        if took is not None and end is not None and before is not None:
            ends[position] = min(end, before + took)
    return [
        lap if end is None or lap.end is None else moved(lap, end - lap.end)
        for lap, end in zip(laps, ends, strict=True)
    ]


def in_step(cars: Mapping[int, Sequence[ClosedLap]]) -> dict[int, list[ClosedLap]]:
    """The laps of all drivers of a race, with ends that fit the gaps to the leader.

    What a car's ends are off is the same on every lap; the car that is told earliest is not moved.
    """
    offsets = _offsets(_differences(cars))
    latest = max(offsets.values(), default=0)
    return {
        car: [moved(lap, offsets[car] - latest) for lap in laps] if car in offsets else [*laps]
        for car, laps in cars.items()
    }


def moved(lap: ClosedLap, by: int) -> ClosedLap:
    """The lap with its end and those of its sectors moved by some milliseconds."""
    if by == 0 or lap.end is None:
        return lap
    first, second, third = lap.sector_ends
    ends = (
        None if first is None else first + by,
        None if second is None else second + by,
        None if third is None else third + by,
    )
    return replace(lap, end=lap.end + by, sector_ends=ends)


def _differences(cars: Mapping[int, Sequence[ClosedLap]]) -> dict[tuple[int, int], int]:
    """By how much more the first of two cars is to be moved than the second, ms."""
    by_number: dict[int, list[ClosedLap]] = defaultdict(list)
    for laps in cars.values():
        for lap in laps:
            if lap.end is not None and lap.pit_in is None and lap.pit_out is None:
                by_number[lap.lap_number].append(lap)
    told: dict[tuple[int, int], list[int]] = defaultdict(list)
    for laps in by_number.values():
        leader = min(laps, key=lambda lap: lap.end or 0)
        for lap in laps:
            if lap is not leader and lap.gap is not None and lap.end and leader.end:
                pair = (lap.driver_number, leader.driver_number)
                told[pair].append(lap.gap - (lap.end - leader.end))
    middles = {pair: median(found) for pair, found in told.items()}
    return {
        pair: round(middle)
        for pair, middle in middles.items()
        if median(abs(one - middle) for one in told[pair]) <= AGREEING_MS
    }


def _offsets(differences: Mapping[tuple[int, int], int]) -> dict[int, int]:
    """How far every car is to be moved, from one car on over all that gaps connect it with."""
    neighbours: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (car, leader), difference in differences.items():
        neighbours[leader].append((car, difference))
        neighbours[car].append((leader, -difference))
    offsets: dict[int, int] = {}
    if not neighbours:
        return offsets
    start = max(neighbours, key=lambda car: (len(neighbours[car]), -car))
    offsets[start] = 0
    waiting = deque([start])
    while waiting:
        car = waiting.popleft()
        for other, difference in sorted(neighbours[car]):
            if other not in offsets:
                offsets[other] = offsets[car] + difference
                waiting.append(other)
    return offsets
