"""Laps out of the changes of TimingData, as they come.

A lap is over when its third sector is in, or when its driver's count of laps goes up. What a feed
tells late (up to GRACE) still belongs to it, and after that it is closed: handed out once, and
never again, for laps are numbered per driver and the number only rises. The state between two
messages is a value that can be saved and restored, so a reader that starts anew goes on where it
was.

Belongs here: which value belongs to which lap. Does not belong here: tyres, flags and deletions
(laps.py), what a lap is worth (validate.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from ngsim_assets.f1.errors import BadState
from ngsim_assets.f1.formats import Json, duration, number, truth, whole
from ngsim_assets.f1.timing.folding import at

GRACE: Final = 5_000
"""Milliseconds after the end of a lap in which its values may still come in."""

TRAPS: Final = ("I1", "I2", "FL", "ST")
_SECTORS: Final = ("0", "1", "2")
_VERSION: Final = 1

Three = list[int | None]


@dataclass(slots=True)
class LapUnderWay:
    """What was told of one lap.

    Attributes:
        sectors: times of the three sectors, ms.
        told_at: session times at which they were told, ms.
        speeds: per trap, km/h.
        lap_time: ms. emptied: whether an empty lap time was told after it.
        pit_in, pit_out: session times, ms.
        over_at: session time at which the end of the lap was told, ms; None while under way.
        row: line that ended it. file: of that line.
    """

    sectors: Three = field(default_factory=lambda: [None, None, None])
    told_at: Three = field(default_factory=lambda: [None, None, None])
    speeds: dict[str, float] = field(default_factory=dict[str, float])
    lap_time: int | None = None
    emptied: bool = False
    pit_in: int | None = None
    pit_out: int | None = None
    over_at: int | None = None
    row: int = 0
    file: str = ""

    @property
    def timed(self) -> bool:
        """Whether anything was measured on it."""
        return (
            self.lap_time is not None
            or bool(self.speeds)
            or any(sector is not None for sector in self.sectors)
        )


@dataclass(slots=True)
class Driver:
    """Where one car is in its laps.

    Attributes:
        count: NumberOfLaps as told last.
        laps: laps closed so far.
        current: the lap under way. ending: the one that is over and not closed yet.
        owed: whether a lap ended by its third sector that the count does not have yet.
        left_pits: whether the car was ever on the track. in_pits: whether it is in the pits, as
            told last.
        in_past: whether the feed tells old changes again.
        late: changes that tell of laps that are closed, and were passed over.
        last_lap_time, last_sectors: of the lap closed last, to tell repeated values.
        last_end: session time at which that lap ended.
    """

    count: int = 0
    laps: int = 0
    current: LapUnderWay = field(default_factory=LapUnderWay)
    ending: LapUnderWay | None = None
    owed: bool = False
    left_pits: bool = False
    in_pits: bool | None = None
    in_past: bool = False
    late: int = 0
    last_lap_time: int | None = None
    last_sectors: Three = field(default_factory=lambda: [None, None, None])
    last_end: int | None = None


@dataclass(frozen=True, slots=True)
class ClosedLap:
    """A lap that is over, as the timing feed tells it. Times in ms, speeds in km/h."""

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
    file: str
    row: int


class LapAssembler:
    """Turns changes of TimingData into laps, each once."""

    def __init__(self) -> None:
        self._drivers: dict[int, Driver] = {}

    @property
    def late(self) -> int:
        """Changes of one driver each that were passed over because they told the past again."""
        return sum(driver.late for driver in self._drivers.values())

    def change(self, payload: Json, time: int, file: str, row: int) -> list[ClosedLap]:
        """What laps a change, told at session time `time` ms, closes."""
        lines = at(payload, "Lines")
        closed = self.pass_time(time)
        if isinstance(lines, dict):
            for car, told in lines.items():
                car_number = whole(car)
                if car_number is None or not isinstance(told, dict):
                    continue
                driver = self._drivers.setdefault(car_number, Driver())
                self._told(driver, told, time, file, row)
        return closed

    def pass_time(self, time: int) -> list[ClosedLap]:
        """What laps are closed because nothing of them can come in any more at `time` ms."""
        return [
            lap
            for car, driver in self._drivers.items()
            if driver.ending is not None
            and driver.ending.over_at is not None
            and time - driver.ending.over_at >= GRACE
            for lap in _close(car, driver)
        ]

    def finish(self) -> list[ClosedLap]:
        """What laps are over at the end of the feed.

        A lap under way is none of them, unless it ended in the pits without a third sector.
        """
        return [
            lap
            for car, driver in self._drivers.items()
            for lap in [*_close(car, driver), *_parked(car, driver)]
        ]

    def state(self) -> dict[str, Json]:
        """What there is to save between two messages, as JSON."""
        drivers: dict[str, Json] = {
            str(car): asdict(driver) for car, driver in self._drivers.items()
        }
        return {"version": _VERSION, "drivers": drivers}

    @classmethod
    def restored(cls, state: Mapping[str, Json]) -> LapAssembler:
        """An assembler that goes on from `state()`; BadState if it is none."""
        drivers = state.get("drivers")
        if state.get("version") != _VERSION or not isinstance(drivers, dict):
            raise BadState("laps", f"its version is {state.get('version')}, not {_VERSION}")
        assembler = cls()
        try:
            for car, saved in drivers.items():
                assembler._drivers[int(car)] = _driver(saved)
        except (TypeError, ValueError) as error:
            raise BadState("laps", str(error)) from None
        return assembler

    def _told(
        self, driver: Driver, told: Mapping[str, Json], time: int, file: str, row: int
    ) -> None:
        count = whole(told.get("NumberOfLaps"))
        if _of_the_past(driver, count):
            driver.late += 1
            return
        if driver.ending is None and _tells_last_lap_again(driver, told):
            driver.late += 1
            return
        driver.current.file = file
        driver.current.row = row
        more = count is not None and count > driver.count
        third = self._values(driver, told, time)
        pit = truth(told.get("InPit"))
        if pit is True:
            ends_there = driver.ending is not None and driver.owed
            (driver.ending if ends_there and driver.ending else driver.current).pit_in = time
        if third and driver.ending is None and (more or driver.current.timed):
            _end(driver, time, file, row)
            driver.owed = True
        if pit is False:
            driver.left_pits = True
        if count is not None and more:
            driver.count = count
            self._counted(driver, time, file, row)
        if pit is False and driver.in_pits is not False:
            # the first thing told of a car on the grid is that it is not in the pits
            driver.current.pit_out = time if driver.in_pits or truth(told.get("PitOut")) else None
        driver.in_pits = driver.in_pits if pit is None else pit

    @staticmethod
    def _values(driver: Driver, told: Mapping[str, Json], time: int) -> bool:
        """Write down what was measured; whether a third sector was among it."""
        lap = driver.ending or driver.current
        third = False
        sectors = told.get("Sectors")
        if isinstance(sectors, dict):
            for index, name in enumerate(_SECTORS):
                value = at(sectors, name, "Value")
                if isinstance(value, str) and value:
                    lap.sectors[index] = duration(value)
                    lap.told_at[index] = time
                    third |= index == len(_SECTORS) - 1
        value = at(told.get("LastLapTime"), "Value")
        if isinstance(value, str):
            lap.lap_time = duration(value)
            lap.emptied = not value
        speeds = told.get("Speeds")
        if isinstance(speeds, dict):
            for trap in TRAPS:
                speed = number(at(speeds, trap, "Value"))
                if speed is not None:
                    (driver.current if trap == "ST" else lap).speeds[trap] = speed
        return third

    @staticmethod
    def _counted(driver: Driver, time: int, file: str, row: int) -> None:
        """The count of laps went up."""
        if not driver.left_pits:
            return
        if driver.owed:
            driver.owed = False
            return
        if driver.ending is not None:
            return
        out = driver.current.pit_out
        late_out = out is not None and time - out < GRACE
        if late_out:
            driver.current.pit_out = None
        _end(driver, time, file, row)
        if late_out:
            driver.current.pit_out = out


def _of_the_past(driver: Driver, count: int | None) -> bool:
    """Whether a change tells of laps that were counted already."""
    if count is not None:
        driver.in_past = count < driver.count
    return driver.in_past


def _tells_last_lap_again(driver: Driver, told: Mapping[str, Json]) -> bool:
    """Whether the sectors of the lap closed last are told once more, as if it had just ended.

    Feeds jump back for a moment and forth again; a third sector comes with the second in one
    change at no other time.
    """
    sectors = told.get("Sectors")
    if not isinstance(sectors, dict) or driver.last_sectors[2] is None:
        return False
    again = [
        duration(value) if isinstance(value := at(sectors, name, "Value"), str) else None
        for name in _SECTORS[1:]
    ]
    return again == driver.last_sectors[1:]


def _end(driver: Driver, time: int, file: str, row: int) -> None:
    """The current lap is over."""
    lap = driver.current
    lap.over_at = time
    lap.file = file
    lap.row = row
    driver.ending = lap
    driver.current = LapUnderWay()


def _close(car: int, driver: Driver) -> list[ClosedLap]:
    """The lap that is over, with what can be told of its times; nothing if it was none."""
    lap = driver.ending
    driver.ending = None
    if lap is None or (driver.laps == 0 and not lap.timed):
        return []
    origin = _lap_time(lap, driver)
    _repeated_sector(lap, driver)
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
        file=lap.file,
        row=lap.row,
    )
    driver.last_lap_time = lap.lap_time
    driver.last_sectors = lap.sectors
    driver.last_end = end
    return [closed]


def _parked(car: int, driver: Driver) -> list[ClosedLap]:
    """The lap that ended in the pits and has no third sector, when nothing comes after it."""
    lap = driver.current
    if lap.pit_in is None or not lap.timed:
        return []
    _end(driver, lap.pit_in, lap.file, lap.row)
    return _close(car, driver)


def _sum(sectors: Three) -> int | None:
    known = [sector for sector in sectors if sector is not None]
    return sum(known) if len(known) == len(_SECTORS) else None


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


def _driver(saved: Json) -> Driver:
    if not isinstance(saved, dict):
        raise TypeError("a driver that is no object")
    values: dict[str, object] = dict(saved)
    values["current"] = _lap(saved["current"])
    values["ending"] = None if saved["ending"] is None else _lap(saved["ending"])
    return Driver(**values)  # pyright: ignore[reportArgumentType]


def _lap(saved: Json) -> LapUnderWay:
    if not isinstance(saved, dict):
        raise TypeError("a lap that is no object")
    return LapUnderWay(**saved)  # pyright: ignore[reportArgumentType]
