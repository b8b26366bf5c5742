"""The table of laps: what the timing feed told, seen with tyres, flags and deletions.

Belongs here: what a row of f1_laps is made of. Does not belong here: which value belongs to which
lap (assembly.py), whether a row is believed (validate.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from ngsim_assets.f1.clock import SessionClock
from ngsim_assets.f1.formats import Json, text, whole
from ngsim_assets.f1.model import F1_LAPS
from ngsim_assets.f1.origin import Origin, Row, frame
from ngsim_assets.f1.race_control import Deletion
from ngsim_assets.f1.timing.alignment import fitted, in_step
from ngsim_assets.f1.timing.closing import ClosedLap
from ngsim_assets.f1.timing.folding import at
from ngsim_assets.f1.timing.stints import Stint, Stints, Tyres, tyres_of_laps
from ngsim_assets.f1.track_status import GREEN, StatusAt, codes_between

KMH: Final = 1 / 3.6
TOLERANCE_MS: Final = 3
"""How far the sum of sectors, and the time between two ends, may be off in an accurate lap: the
timing system cuts each of the three to a millisecond."""

_SAFETY_CAR = "4"


@dataclass(frozen=True, slots=True)
class Named:
    """A driver as the feed names it."""

    driver: str | None
    team: str | None


@dataclass(frozen=True, slots=True)
class Around:
    """What laps of one session are seen with.

    Attributes:
        race: whether cars race each other: positions and the start of the first lap follow.
        started: session time in ms at which the session was started first.
        first_laps: times of the first lap of a race per car, ms, where a service has them.
        statuses: codes of the track, by time.
    """

    origin: Origin
    race: bool
    started: int | None = None
    clock: SessionClock | None = None
    first_laps: Mapping[int, int] = field(default_factory=dict[int, int])
    statuses: Sequence[StatusAt] = ()
    stints: Stints = field(default_factory=dict[int, Sequence[Stint]])
    drivers: Mapping[int, Named] = field(default_factory=dict[int, Named])
    deletions: Sequence[Deletion] = ()


def lap_table(closed: Iterable[ClosedLap], around: Around) -> pl.DataFrame:
    """Rows of f1_laps, by driver and lap."""
    by_car: dict[int, list[ClosedLap]] = defaultdict(list)
    for lap in closed:
        by_car[lap.driver_number].append(lap)
    cars = {
        car: fitted([_known(lap, around) for lap in sorted(laps, key=lambda lap: lap.lap_number)])
        for car, laps in sorted(by_car.items())
    }
    if around.race:
        cars = in_step(cars)
    cars = {car: _started(laps, around) for car, laps in cars.items()}
    positions = _positions(cars.values()) if around.race else {}
    rows = [row for laps in cars.values() for row in _rows(laps, around, positions)]
    return frame(F1_LAPS, rows)


def drivers_of_feed(state: Json) -> dict[int, Named]:
    """Names and teams as the state of DriverList tells them."""
    found: dict[int, Named] = {}
    for car, told in state.items() if isinstance(state, dict) else ():
        number = whole(car)
        if number is not None:
            found[number] = Named(text(at(told, "Tla")), text(at(told, "TeamName")))
    return found


def _known(lap: ClosedLap, around: Around) -> ClosedLap:
    """The lap with what is known from elsewhere."""
    return _with_first_lap_time(_without_the_way_to_the_grid(lap, around), around)


def _started(laps: Iterable[ClosedLap], around: Around) -> list[ClosedLap]:
    """The laps of one driver, by number, with their starts."""
    started: list[ClosedLap] = []
    for lap in laps:
        before = started[-1].end if started else None
        started.append(replace(lap, start=_start(lap, before, around)))
    return started


def _with_first_lap_time(lap: ClosedLap, around: Around) -> ClosedLap:
    told = around.first_laps.get(lap.driver_number)
    if not around.race or lap.lap_number > 1 or lap.lap_time is not None or told is None:
        return lap
    return replace(lap, lap_time=told, lap_time_from="results")


def _without_the_way_to_the_grid(lap: ClosedLap, around: Around) -> ClosedLap:
    """Before the start cars leave the pits for the grid, some more than once: no stops."""
    out, into = lap.pit_out, lap.pit_in
    if not around.race or lap.lap_number > 1:
        return lap
    if out is not None and into is not None and into < out:
        into = None
    if around.started is not None:
        out = None if out is not None and out < around.started else out
        into = None if into is not None and into < around.started else into
    return replace(lap, pit_out=out, pit_in=into)


def _start(lap: ClosedLap, before: int | None, around: Around) -> int | None:
    if lap.lap_time is not None and lap.end is not None:
        return lap.end - lap.lap_time
    if lap.pit_out is not None:
        return lap.pit_out
    if before is None and around.race and lap.lap_number == 1:
        return around.started
    return before


def _positions(cars: Iterable[Sequence[ClosedLap]]) -> dict[tuple[int, int], int]:
    """Position per car and lap number: the order in which cars ended that lap."""
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for laps in cars:
        for lap in laps:
            if lap.end is not None:
                ends[lap.lap_number].append((lap.end, lap.driver_number))
    return {
        (car, number): position
        for number, order in ends.items()
        for position, (_, car) in enumerate(sorted(order), start=1)
    }


def _rows(
    laps: Sequence[ClosedLap], around: Around, positions: Mapping[tuple[int, int], int]
) -> Iterable[Row]:
    if not laps:
        return
    car = laps[0].driver_number
    deleted = _deleted(laps, [item for item in around.deletions if item.car == car])
    tyres = tyres_of_laps(
        around.stints.get(car, ()),
        [lap.lap_number for lap in laps],
        [lap.pit_in is not None for lap in laps],
    )
    before: ClosedLap | None = None
    status_before = ""
    for lap, on in zip(laps, tyres, strict=True):
        status = ""
        if lap.end is not None and around.statuses:
            start = lap.end if lap.start is None else lap.start
            status = codes_between(around.statuses, start, lap.end)
        accurate = _is_accurate(lap, status, before, status_before)
        position = positions.get((car, lap.lap_number)) if around.race else lap.position
        yield _row(lap, around, on, status or None, position, accurate, deleted)
        before, status_before = lap, status


def _row(
    lap: ClosedLap,
    around: Around,
    tyres: Tyres,
    status: str | None,
    position: int | None,
    accurate: bool,
    deleted: Mapping[int, str | None],
) -> Row:
    named = around.drivers.get(lap.driver_number, Named(None, None))
    clock = around.clock
    is_deleted = lap.lap_number in deleted
    return {
        **around.origin.columns,
        "driver_number": lap.driver_number,
        "driver": named.driver,
        "team": named.team,
        "lap_number": lap.lap_number,
        "stint": tyres.stint,
        "lap_time_ms": lap.lap_time,
        "lap_time_from": lap.lap_time_from,
        "sector1_ms": lap.sectors[0],
        "sector2_ms": lap.sectors[1],
        "sector3_ms": lap.sectors[2],
        "lap_start_ms": lap.start,
        "lap_end_ms": lap.end,
        "sector1_end_ms": lap.sector_ends[0],
        "sector2_end_ms": lap.sector_ends[1],
        "sector3_end_ms": lap.sector_ends[2],
        "start_timestamp": clock.utc(lap.start) if clock and lap.start is not None else None,
        "timestamp": clock.utc(lap.end) if clock and lap.end is not None else None,
        "pit_in_ms": lap.pit_in,
        "pit_out_ms": lap.pit_out,
        **{f"speed_{trap.lower()}": speed * KMH for trap, speed in lap.speeds.items()},
        "compound": tyres.compound,
        "tyre_life": tyres.life,
        "fresh_tyre": tyres.fresh,
        "position": position,
        "track_status": status,
        "personal_best": lap.personal_best and not is_deleted,
        "deleted": is_deleted,
        "deleted_reason": deleted.get(lap.lap_number),
        "accurate": accurate,
        "source": around.origin.source,
        "simulated": around.origin.simulated,
        "source_file": lap.file,
        "source_row": lap.row,
        "flags": [],
    }


def _is_accurate(lap: ClosedLap, status: str, before: ClosedLap | None, status_before: str) -> bool:
    """Whether the lap tells of the car's pace, and its times agree with each other.

    The lap after the safety car is left out: its timing is often off, as it is behind the car.
    """
    if lap.pit_in is not None or lap.pit_out is not None or lap.lap_time is None:
        return False
    if not status or not set(status) <= GREEN or status_before == _SAFETY_CAR:
        return False
    known = [sector for sector in lap.sectors if sector is not None]
    if len(known) < len(lap.sectors) or abs(sum(known) - lap.lap_time) > TOLERANCE_MS:
        return False
    if before is None or before.end is None or lap.end is None:
        return True
    return abs(lap.end - before.end - lap.lap_time) <= TOLERANCE_MS


def _deleted(laps: Sequence[ClosedLap], told: Iterable[Deletion]) -> dict[int, str | None]:
    """Numbers of the deleted laps of one driver, with the reasons.

    A message names the lap by its time, since 2024 by its number too; of laps with the same time
    it means the last one before it, which is the last one there is when nothing tells better.
    """
    deleted: dict[int, str | None] = {}
    for message in told:
        meant = [
            lap.lap_number
            for lap in laps
            if (message.lap_time is not None and lap.lap_time == message.lap_time)
            or (message.lap_time is None and lap.lap_number == message.lap)
        ]
        if message.lap in meant:
            meant = [message.lap]
        for number in meant[-1:]:
            if message.action == "reinstated":
                deleted.pop(number, None)
            else:
                deleted[number] = message.reason
    return deleted
