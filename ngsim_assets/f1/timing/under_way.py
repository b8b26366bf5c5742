"""Where each car is in its laps: the lap under way, the one that is over, what was told last.

Belongs here: that state, saving and restoring it. Does not belong here: how it changes
(assembly.py), what a lap that is over looks like (closing.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from ngsim_assets.f1.formats import Json

SECTORS: Final = ("0", "1", "2")

Three = list[int | None]


@dataclass(slots=True)
class LapUnderWay:
    """What was told of one lap.

    Attributes:
        sectors: times of the three sectors, ms.
        told_at: session times at which they were told, ms.
        speeds: per trap, km/h.
        lap_time: ms. emptied: whether an empty lap time was told after it. best: the driver's
            best lap time, if it was told on this lap.
        gap: behind the leader, ms, as told nearest to the end of the lap; gap_at: when that was.
        pit_in, pit_out: session times, ms.
        over_at: session time at which the end of the lap was told, ms; None while under way.
        row: line that ended it. file: of that line.
    """

    sectors: Three = field(default_factory=lambda: [None, None, None])
    told_at: Three = field(default_factory=lambda: [None, None, None])
    speeds: dict[str, float] = field(default_factory=dict[str, float])
    lap_time: int | None = None
    emptied: bool = False
    best: int | None = None
    gap: int | None = None
    gap_at: int | None = None
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
            told last. position: as told last.
        in_past: whether the feed tells old changes again.
        late: changes that tell of laps that are closed, and were passed over.
        shown: speeds that stand at the traps, as told last and not emptied since, km/h.
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
    position: int | None = None
    in_past: bool = False
    late: int = 0
    shown: dict[str, float] = field(default_factory=dict[str, float])
    last_lap_time: int | None = None
    last_sectors: Three = field(default_factory=lambda: [None, None, None])
    last_end: int | None = None


def end_lap(driver: Driver, time: int, file: str, row: int) -> None:
    """The current lap is over."""
    lap = driver.current
    lap.over_at = time
    lap.file = file
    lap.row = row
    driver.ending = lap
    driver.current = LapUnderWay()


def saved(drivers: Mapping[int, Driver]) -> dict[str, Json]:
    """The state of all drivers as JSON."""
    return {str(car): asdict(driver) for car, driver in drivers.items()}


def restored(drivers: Mapping[str, Json]) -> dict[int, Driver]:
    """The drivers that `saved` told of; TypeError, KeyError or ValueError if it is not that."""
    return {int(car): _driver(told) for car, told in drivers.items()}


def _driver(told: Json) -> Driver:
    if not isinstance(told, dict):
        raise TypeError("a driver that is no object")
    values: dict[str, object] = dict(told)
    values["current"] = _lap(told["current"])
    values["ending"] = None if told["ending"] is None else _lap(told["ending"])
    return Driver(**values)  # pyright: ignore[reportArgumentType]


def _lap(told: Json) -> LapUnderWay:
    if not isinstance(told, dict):
        raise TypeError("a lap that is no object")
    return LapUnderWay(**told)  # pyright: ignore[reportArgumentType]
