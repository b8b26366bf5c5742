"""Stints: which tyres a car had on which lap.

Belongs here: what TimingAppData and OpenF1's `stints` say of tyres. Does not belong here: lap
times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ngsim_assets.f1.formats import Json, text, truth, whole
from ngsim_assets.f1.timing.folding import at, elements


@dataclass(frozen=True, slots=True)
class Stint:
    """Laps between two stops.

    Attributes:
        compound: as delivered, `SOFT`.
        new: whether the set was new when it was put on.
        start_laps: laps it had then.
        first_lap: of the driver, None where the feed does not tell it.
    """

    compound: str | None
    new: bool | None
    start_laps: int | None
    first_lap: int | None = None


Stints = Mapping[int, Sequence[Stint]]
"""Stints of every car, in their order."""


def stints_of_feed(state: Json) -> dict[int, list[Stint]]:
    """Stints as the state of TimingAppData tells them."""
    lines = at(state, "Lines")
    found: dict[int, list[Stint]] = {}
    for car, told in lines.items() if isinstance(lines, dict) else ():
        number = whole(car)
        stints = [
            Stint(
                compound=text(at(stint, "Compound")),
                new=truth(at(stint, "New")),
                start_laps=whole(at(stint, "StartLaps")),
            )
            for _, stint in elements(at(told, "Stints"))
        ]
        if number is not None and stints:
            found[number] = stints
    return found


def stints_of_openf1(rows: Sequence[Json]) -> dict[int, list[Stint]]:
    """Stints as rows of OpenF1's `stints` tell them."""
    told: dict[int, list[tuple[int, Stint]]] = {}
    for row in rows:
        car = whole(at(row, "driver_number"))
        number = whole(at(row, "stint_number"))
        if car is None or number is None:
            continue
        age = whole(at(row, "tyre_age_at_start"))
        stint = Stint(
            compound=text(at(row, "compound")),
            new=None if age is None else age == 0,
            start_laps=age,
            first_lap=whole(at(row, "lap_start")),
        )
        told.setdefault(car, []).append((number, stint))
    return {
        car: [stint for _, stint in sorted(stints, key=lambda entry: entry[0])]
        for car, stints in told.items()
    }


@dataclass(frozen=True, slots=True)
class Tyres:
    """The tyres of one lap: number of the stint from 1, laps on them at its end."""

    stint: int
    compound: str | None
    life: int | None
    fresh: bool | None


def tyres_of_laps(
    stints: Sequence[Stint], laps: Sequence[int], pitted: Sequence[bool]
) -> list[Tyres]:
    """The tyres of every lap of one driver.

    The feed begins a stint with every visit to the pits, whether tyres were changed or not, and
    tells it early at times and late at others: the visits count, not when it was told.

    Args:
        laps: lap numbers, rising.
        pitted: whether the lap ended in the pits.
    """
    tyres: list[Tyres] = []
    stops = 0
    on_set = 0
    before = -1
    for lap, pits in zip(laps, pitted, strict=True):
        position = _position(stints, lap, stops)
        on_set = on_set + 1 if position == before else 1
        before = position
        stint = stints[position] if 0 <= position < len(stints) else None
        start = stint.start_laps if stint else None
        tyres.append(
            Tyres(
                stint=position + 1,
                compound=stint.compound if stint else None,
                life=None if start is None else start + on_set,
                fresh=stint.new if stint else None,
            )
        )
        stops += pits
    return tyres


def _position(stints: Sequence[Stint], lap: int, stops: int) -> int:
    """Which stint a lap is of: as the source says, or else one for every stop before."""
    known = [
        position
        for position, stint in enumerate(stints)
        if stint.first_lap is not None and stint.first_lap <= lap
    ]
    if known:
        return known[-1]
    return min(stops, len(stints) - 1) if stints else stops
