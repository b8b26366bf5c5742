"""A lap that is over, with all that can be told of its times.

Belongs here: what follows from the values of one lap and of the one before it. Does not belong
here: which value belongs to which lap (assembly.py), what lies outside the timing feed (laps.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ngsim_assets.f1.timing.under_way import SECTORS, Driver, LapUnderWay, Three, end_lap

_TRAP_SECTORS = {"I1": 0, "I2": 1, "FL": 2}
"""The sector that ends at a trap."""


@dataclass(frozen=True, slots=True)
class ClosedLap:
    """A lap that is over, as the timing feed tells it. Times in ms, speeds in km/h.

    gap: behind the leader at the end of the lap; None of the leader, and of who is a lap behind.
    """

    driver_number: int
    lap_number: int
    lap_time: int | None
    lap_time_from: str | None
    sectors: tuple[int | None, int | None, int | None]
    sector_ends: tuple[int | None, int | None, int | None]
    start: int | None
    end: int | None
    pit_in: int | None
    pit_out: int | None
    speeds: Mapping[str, float]
    personal_best: bool
    position: int | None
    gap: int | None
    file: str
    row: int


def close(car: int, driver: Driver) -> list[ClosedLap]:
    """The lap that is over, with what can be told of its times; nothing if it was none."""
    lap = driver.ending
    driver.ending = None
    if lap is None or (driver.laps == 0 and not lap.timed):
        return []
    origin = _lap_time(lap, driver)
    _repeated_sector(lap, driver)
    _repeated_speeds(lap, driver)
    end = _end_of(lap, driver)
    driver.laps += 1
    closed = ClosedLap(
        driver_number=car,
        lap_number=driver.laps,
        lap_time=lap.lap_time,
        lap_time_from=origin,
        sectors=(lap.sectors[0], lap.sectors[1], lap.sectors[2]),
        sector_ends=_sector_ends(lap, end),
        start=_start_of(lap, driver, end),
        end=end,
        pit_in=lap.pit_in,
        pit_out=lap.pit_out,
        speeds=lap.speeds,
        personal_best=lap.lap_time is not None and lap.best == lap.lap_time,
        position=driver.position,
        gap=lap.gap,
        file=lap.file,
        row=lap.row,
    )
    driver.last_lap_time = lap.lap_time
    driver.last_sectors = lap.sectors
    driver.last_end = end
    return [closed]


def parked(car: int, driver: Driver) -> list[ClosedLap]:
    """The lap that ended in the pits and has no third sector, when nothing comes after it."""
    lap = driver.current
    if lap.pit_in is None or not lap.timed:
        return []
    end_lap(driver, lap.pit_in, lap.file, lap.row)
    return close(car, driver)


def _sum(sectors: Three) -> int | None:
    known = [sector for sector in sectors if sector is not None]
    return sum(known) if len(known) == len(SECTORS) else None


def _lap_time(lap: LapUnderWay, driver: Driver) -> str | None:
    """Settle the lap time, and say how it is known.

    The feed sends what changes: a lap as long as the one before has no time of its own, and an
    empty time stands for one that the timing system did not make up though the sectors are there.
    """
    if lap.lap_time is not None and lap.pit_out is not None and lap.sectors[0] is None:
        # time since the line was crossed last, the stay in the garage included: no lap time
        lap.lap_time = None
        return None
    if lap.lap_time is not None:
        return "delivered"
    total = _sum(lap.sectors)
    if total is not None and (lap.emptied or total == driver.last_lap_time):
        lap.lap_time = total
        return "sectors" if lap.emptied else "repeated"
    return None


def _repeated_sector(lap: LapUnderWay, driver: Driver) -> None:
    """A sector as long as the one before is not sent: it is what the other two leave."""
    missing = [index for index, sector in enumerate(lap.sectors) if sector is None]
    if len(missing) != 1 or lap.lap_time is None:
        return
    rest = lap.lap_time - sum(sector for sector in lap.sectors if sector is not None)
    if rest == driver.last_sectors[missing[0]]:
        lap.sectors[missing[0]] = rest


def _repeated_speeds(lap: LapUnderWay, driver: Driver) -> None:
    """A speed as high as the one before is not sent again, if it was not emptied in between."""
    for trap, sector in _TRAP_SECTORS.items():
        if trap not in lap.speeds and trap in driver.shown and lap.sectors[sector] is not None:
            lap.speeds[trap] = driver.shown[trap]


def _end_of(lap: LapUnderWay, driver: Driver) -> int | None:
    """When the lap ended: nothing is told too early, so the earliest account is the best."""
    first, second, third = lap.told_at
    _, middle, last = lap.sectors
    if third is None:
        return lap.pit_in if lap.pit_in is not None else lap.over_at
    accounts = [third]
    if second is not None and last is not None:
        accounts.append(second + last)
        if first is not None and middle is not None:
            accounts.append(first + middle + last)
    earliest = min(accounts)
    if driver.last_end is not None and earliest < driver.last_end:
        return third
    return earliest


def _start_of(lap: LapUnderWay, driver: Driver, end: int | None) -> int | None:
    if lap.lap_time is not None and end is not None:
        return end - lap.lap_time
    return lap.pit_out if lap.pit_out is not None else driver.last_end


def _sector_ends(lap: LapUnderWay, end: int | None) -> tuple[int | None, int | None, int | None]:
    """Ends of the sectors, no later than told and so that they fit the end of the lap."""
    _, middle, last = lap.sectors
    first_end, second_end, third_end = lap.told_at
    if end is not None and third_end is not None:
        third_end = end
        if last is not None and second_end is not None:
            second_end = min(second_end, end - last)
            if middle is not None and first_end is not None:
                first_end = min(first_end, end - last - middle)
    return first_end, second_end, third_end
