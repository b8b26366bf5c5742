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
from typing import Final

from ngsim_assets.f1.errors import BadState
from ngsim_assets.f1.formats import Json, duration, number, truth, whole
from ngsim_assets.f1.timing.closing import ClosedLap, close, parked
from ngsim_assets.f1.timing.folding import at
from ngsim_assets.f1.timing.under_way import (
    SECTORS,
    Driver,
    LapUnderWay,
    end_lap,
    restored,
    saved,
)

GRACE: Final = 5_000
"""Milliseconds after the end of a lap in which its values may still come in."""

TRAPS: Final = ("I1", "I2", "FL", "ST")
MOST_LAPS: Final = 1_000
"""Laps of a driver in a session over which a count of them is none."""
_VERSION: Final = 1


class LapAssembler:
    """Turns changes of TimingData into laps, each once.

    Args:
        race: whether NumberOfLaps counts laps that are over, and not the one under way.
    """

    def __init__(self, *, race: bool) -> None:
        self._race = race
        self._drivers: dict[int, Driver] = {}
        self._due: int | None = None  # when the next lap is to be closed

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
                driver = self._drivers.get(car_number)
                if driver is None:
                    driver = self._drivers[car_number] = Driver()
                self._told(driver, told, time, file, row)
                if driver.ending is not None and self._due is None:
                    self._due = time + GRACE
        return closed

    def snapshot(self, payload: Json, time: int) -> list[ClosedLap]:
        """What laps a whole state closes: what it says of laps that were not seen is left out.

        A reader that joins late or was away goes on with the lap that is under way. Laps it
        missed are passed over in the numbering, and never made up.
        """
        closed = [lap for car, driver in self._drivers.items() for lap in close(car, driver)]
        lines = at(payload, "Lines")
        for car, told in lines.items() if isinstance(lines, dict) else ():
            car_number = whole(car)
            if car_number is None or not isinstance(told, dict):
                continue
            driver = self._drivers.setdefault(car_number, Driver())
            self._joined(driver, told, time)
        return closed

    def _joined(self, driver: Driver, told: Mapping[str, Json], time: int) -> None:
        count = _count(told) or 0
        over = count if self._race else max(count - 1, 0)
        if count != driver.count or over > driver.laps:
            driver.laps = max(over, driver.laps)
            driver.count = max(count, driver.count)
            driver.current = LapUnderWay()
            driver.owed = False
        driver.in_pits = truth(told.get("InPit"))
        driver.left_pits = driver.left_pits or count > 0 or driver.in_pits is False
        driver.position = whole(told.get("Position")) or driver.position
        values = [at(told.get("Sectors"), name, "Value") for name in SECTORS]
        if values[-1]:
            return  # the sectors are still those of the lap before
        for index, value in enumerate(values[:-1]):
            if isinstance(value, str) and value and driver.current.sectors[index] is None:
                driver.current.sectors[index] = duration(value)

    def pass_time(self, time: int) -> list[ClosedLap]:
        """What laps are closed because nothing of them can come in any more at `time` ms."""
        if self._due is None or time < self._due:
            return []
        closed: list[ClosedLap] = []
        self._due = None
        for car, driver in self._drivers.items():
            over_at = driver.ending.over_at if driver.ending else None
            if over_at is None:
                continue
            if time - over_at >= GRACE:
                closed += close(car, driver)
            elif self._due is None or over_at + GRACE < self._due:
                self._due = over_at + GRACE
        return closed

    def finish(self) -> list[ClosedLap]:
        """What laps are over at the end of the feed.

        A lap under way is none of them, unless it ended in the pits without a third sector.
        """
        return [
            lap
            for car, driver in self._drivers.items()
            for lap in [*close(car, driver), *parked(car, driver)]
        ]

    def state(self) -> dict[str, Json]:
        """What there is to save between two messages, as JSON."""
        return {"version": _VERSION, "race": self._race, "drivers": saved(self._drivers)}

    @classmethod
    def restored(cls, state: Json) -> LapAssembler:
        """An assembler that goes on from `state()`; BadState if it is none."""
        drivers = at(state, "drivers")
        if at(state, "version") != _VERSION or not isinstance(drivers, dict):
            raise BadState("laps", f"its version is {at(state, 'version')}, not {_VERSION}")
        assembler = cls(race=at(state, "race") is True)
        try:
            assembler._drivers = restored(drivers)
            assembler._due = 0
        except (KeyError, TypeError, ValueError) as error:
            raise BadState("laps", str(error)) from None
        return assembler

    def _told(
        self, driver: Driver, told: Mapping[str, Json], time: int, file: str, row: int
    ) -> None:
        count = _count(told)
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
        if pit is True and driver.left_pits and driver.in_pits is not True:
            ends_there = driver.ending is not None and driver.owed
            (driver.ending if ends_there and driver.ending else driver.current).pit_in = time
        if third and driver.ending is None:
            if more or any(sector is not None for sector in driver.current.sectors[:-1]):
                end_lap(driver, time, file, row)
                driver.owed = True
            else:
                # of a lap that is closed: the one under way cannot begin with its last sector
                driver.current.sectors[-1] = driver.current.told_at[-1] = None
                driver.late += 1
        if pit is False:
            driver.left_pits = True
        if count is not None and more:
            steps = count - driver.count
            # outside races the count is one ahead from the first time the car leaves the pits
            steps -= driver.count == 0 and not self._race
            driver.count = count
            self._counted(driver, steps, time, file, row)
        if pit is False and driver.in_pits is not False:
            # the first thing told of a car on the grid is that it is not in the pits
            driver.current.pit_out = time if driver.in_pits or truth(told.get("PitOut")) else None
        driver.in_pits = driver.in_pits if pit is None else pit
        driver.position = whole(told.get("Position")) or driver.position
        gap = told.get("GapToLeader")
        if isinstance(gap, str) and gap:
            _gap(driver, duration(gap), time)

    @staticmethod
    def _values(driver: Driver, told: Mapping[str, Json], time: int) -> bool:
        """Write down what was measured; whether a third sector was among it."""
        lap = driver.ending or driver.current
        third = False
        sectors = told.get("Sectors")
        if isinstance(sectors, dict):
            for index, name in enumerate(SECTORS):
                value = at(sectors, name, "Value")
                if isinstance(value, str) and value:
                    lap.sectors[index] = duration(value)
                    lap.told_at[index] = time
                    third |= index == len(SECTORS) - 1
        value = at(told.get("LastLapTime"), "Value")
        if isinstance(value, str):
            lap.lap_time = duration(value)
            lap.emptied = not value
        best = at(told.get("BestLapTime"), "Value")
        if isinstance(best, str) and best:
            lap.best = duration(best)
        speeds = told.get("Speeds")
        if isinstance(speeds, dict):
            for trap in TRAPS:
                value = at(speeds, trap, "Value")
                speed = number(value)
                if speed is not None:
                    (driver.current if trap == "ST" else lap).speeds[trap] = speed
                    driver.shown[trap] = speed
                elif value == "":
                    driver.shown.pop(trap, None)
        return third

    @staticmethod
    def _counted(driver: Driver, steps: int, time: int, file: str, row: int) -> None:
        """The count of laps that are over went up by `steps`; by some if changes were lost."""
        if not driver.left_pits:
            return
        if driver.owed:
            driver.owed = False
            steps -= 1
        if driver.ending is not None or steps < 1:
            driver.laps += max(steps, 0)
            return
        driver.laps += steps - 1
        out = driver.current.pit_out
        late_out = out is not None and time - out < GRACE
        if late_out:
            driver.current.pit_out = None
        end_lap(driver, time, file, row)
        if late_out:
            driver.current.pit_out = out


def _gap(driver: Driver, gap: int | None, time: int) -> None:
    """Write down the gap to the leader, for the lap whose end is nearest."""
    lap = driver.ending
    if lap is not None and lap.over_at is not None:
        if lap.gap_at is None or abs(time - lap.over_at) < abs(lap.gap_at - lap.over_at):
            lap.gap, lap.gap_at = gap, time
    else:
        driver.current.gap, driver.current.gap_at = gap, time


def _count(told: Mapping[str, Json]) -> int | None:
    """The count of laps that a change tells; None if there is none to be believed."""
    count = whole(told.get("NumberOfLaps"))
    return count if count is not None and 0 <= count <= MOST_LAPS else None


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
        for name in SECTORS[1:]
    ]
    return again == driver.last_sectors[1:]
