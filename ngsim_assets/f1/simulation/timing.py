"""A race as the timing feeds tell it.

Belongs here: TimingData, TimingAppData, LapCount and SessionStatus of a race that was run. Does
not belong here: the race itself (race.py), lines and files (wire.py).

Feeds tell changes only: a lap time equal to the one before is not sent again, and the third sector
of some laps arrives after the lap time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.simulation.race import Race, RacedLap, run
from ngsim_assets.f1.simulation.safety_car import MockSafetyCarGenerator
from ngsim_assets.f1.simulation.scenario import LEAD_IN, Scenario, heartbeats, introduction
from ngsim_assets.f1.simulation.wire import Emitted, duration, in_order

_SPLIT = 0.3  # share of laps whose third sector comes in a message of its own
_TRAPS = {"I1": (210, 240), "I2": (200, 230), "FL": (270, 290), "ST": (300, 325)}
_NOTHING: dict[str, Json] = {"Value": ""}


@dataclass(frozen=True, slots=True)
class _Told:
    """What was told of one car: to send changes only."""

    lap_time: int | None = None
    best: int | None = None


class MockTimingGenerator:
    """A race of a scenario, run when it is made; its messages and its truth.

    Args:
        incidents: what happens in it; by default what the scenario's seed makes of it. None of
            them may be of another scenario.
    """

    def __init__(
        self, scenario: Scenario, *, incidents: MockSafetyCarGenerator | None = None
    ) -> None:
        self.scenario = scenario
        self.incidents = incidents or MockSafetyCarGenerator(scenario)
        self.race: Race = run(scenario, self.incidents.planned)

    @property
    def end(self) -> int:
        """When the feed ends, ms since its start."""
        return max(lap.end for lap in self.race.laps) + 120_000

    def laps(self) -> pl.DataFrame:
        """The truth, in columns of f1_laps; `simulated` is always true."""
        positions = self._positions()
        rows = [
            {
                "driver_number": lap.car,
                "lap_number": lap.number,
                "stint": lap.stint,
                "lap_time_ms": lap.time,
                "sector1_ms": lap.sectors[0],
                "sector2_ms": lap.sectors[1],
                "sector3_ms": lap.sectors[2],
                "lap_start_ms": lap.start,
                "lap_end_ms": lap.end,
                "pit_in_ms": lap.pit_in,
                "pit_out_ms": lap.pit_out,
                "compound": lap.compound,
                "tyre_life": lap.tyre_life,
                "position": positions[lap.car, lap.number],
                "simulated": True,
            }
            for lap in self.race.laps
        ]
        return pl.DataFrame(rows, schema=_TRUTH, orient="row")

    def messages(self) -> list[Emitted]:
        """All messages of the race but weather and telemetry, in order of time."""
        incidents = self.incidents.messages(self.race.took, self.race.lap_starts)
        return in_order(
            introduction(self.scenario),
            heartbeats(self.scenario, self.end),
            self._session(),
            incidents,
            self._tyres(),
            self._timing(),
        )

    def _session(self) -> Iterator[Emitted]:
        starts = self.race.lap_starts
        yield Emitted(500, "SessionStatus", {"Status": "Inactive"})
        yield Emitted(600, "LapCount", {"CurrentLap": 1, "TotalLaps": self.scenario.race_laps})
        yield Emitted(LEAD_IN, "SessionStatus", {"Status": "Started"})
        for lap, start in enumerate(starts[1:-1], start=2):
            yield Emitted(start, "LapCount", {"CurrentLap": lap})
        yield Emitted(starts[-1], "SessionStatus", {"Status": "Finished"})
        yield Emitted(self.end - 1_000, "SessionStatus", {"Status": "Finalised"})
        yield Emitted(self.end, "SessionStatus", {"Status": "Ends"})

    def _tyres(self) -> Iterator[Emitted]:
        first: dict[str, Json] = {}
        fitted_at: dict[tuple[int, int], int] = {}
        for lap in self.race.laps:
            car = str(lap.car)
            index = lap.stint - 1
            age = fitted_at.setdefault((lap.car, lap.stint), lap.tyre_life - 1)
            if lap.number == 1:
                first[car] = {
                    "RacingNumber": car,
                    "Line": len(first) + 1,
                    "Stints": [_stint(lap.compound, age)],
                }
            elif lap.pit_out is not None:
                fitted: Json = {str(index): _stint(lap.compound, age)}
                yield _line(lap.pit_out - 4_000, "TimingAppData", car, {"Stints": fitted})
            grown: Json = {str(index): {"TotalLaps": lap.tyre_life}}
            yield _line(lap.end + 2_000, "TimingAppData", car, {"Stints": grown})
        yield Emitted(2_000, "TimingAppData", {"Lines": first})

    def _timing(self) -> Iterator[Emitted]:
        draw = self.scenario.random("timing")
        positions = self._positions()
        yield Emitted(1_500, "TimingData", {"Lines": self._grid()})
        by_car: defaultdict[int, list[RacedLap]] = defaultdict(list)
        for lap in self.race.laps:
            by_car[lap.car].append(lap)
        for car, laps in by_car.items():
            told = _Told()
            stops = 0
            for lap in laps:
                speeds = {
                    trap: str(int(draw.integers(low, high))) for trap, (low, high) in _TRAPS.items()
                }
                split = bool(draw.random() < _SPLIT)
                stops += lap.pit_in is not None
                position = positions[car, lap.number]
                yield from self._lap(lap, speeds, told, position, stops, split=split)
                best = lap.time if told.best is None else min(told.best, lap.time)
                told = _Told(lap.time, best)
        for car, moment in self.race.retired.items():
            gone: dict[str, Json] = {"Retired": True, "Stopped": True}
            yield _line(moment + 30_000, "TimingData", str(car), gone)

    def _lap(
        self,
        lap: RacedLap,
        speeds: Mapping[str, str],
        told: _Told,
        position: int,
        stops: int,
        *,
        split: bool,
    ) -> Iterator[Emitted]:
        car = str(lap.car)
        first, second = lap.start + lap.sectors[0], lap.end - lap.sectors[2]
        if lap.pit_out is not None:
            yield _line(lap.pit_out, "TimingData", car, {"InPit": False, "PitOut": True})
        begun: dict[str, Json] = {
            "Sectors": {
                "0": {"Value": duration(lap.sectors[0])},
                "1": _NOTHING,
                "2": _NOTHING,
            },
            "Speeds": {
                "I1": {"Value": speeds["I1"]},
                **dict.fromkeys(("I2", "FL", "ST"), _NOTHING),
            },
        }
        if lap.pit_out is not None:
            begun["PitOut"] = False
        yield _line(first, "TimingData", car, begun)
        middle: dict[str, Json] = {
            "Sectors": {"1": {"Value": duration(lap.sectors[1])}},
            "Speeds": {"I2": {"Value": speeds["I2"]}},
        }
        yield _line(second, "TimingData", car, middle)
        trap = second + lap.sectors[2] // 2
        yield _line(trap, "TimingData", car, {"Speeds": {"ST": {"Value": speeds["ST"]}}})
        if lap.pit_in is not None:
            yield _line(lap.pit_in, "TimingData", car, {"InPit": True, "NumberOfPitStops": stops})
        counted: dict[str, Json] = {"NumberOfLaps": lap.number, "Position": str(position)}
        if lap.time != told.lap_time:
            counted["LastLapTime"] = {"Value": duration(lap.time)}
        if told.best is None or lap.time < told.best:
            counted["BestLapTime"] = {"Value": duration(lap.time), "Lap": lap.number}
        third: dict[str, Json] = {
            "Sectors": {"2": {"Value": duration(lap.sectors[2])}},
            "Speeds": {"FL": {"Value": speeds["FL"]}},
        }
        if split:
            yield _line(lap.end, "TimingData", car, counted)
            yield _line(lap.end + 15, "TimingData", car, third)
        else:
            yield _line(lap.end, "TimingData", car, {**counted, **third})

    def _grid(self) -> dict[str, Json]:
        empty: dict[str, Json] = {"Stopped": False, "Value": ""}
        return {
            str(car.number): {
                "Line": place,
                "Position": str(place),
                "ShowPosition": True,
                "RacingNumber": str(car.number),
                "Retired": False,
                "InPit": False,
                "PitOut": False,
                "Stopped": False,
                "Sectors": [empty, empty, empty],
                "Speeds": dict.fromkeys(_TRAPS, _NOTHING),
                "BestLapTime": _NOTHING,
                "LastLapTime": _NOTHING,
            }
            for place, car in enumerate(self.scenario.grid, start=1)
        }

    def _positions(self) -> dict[tuple[int, int], int]:
        """Position of a car at the end of a lap: how many were there before."""
        found: dict[tuple[int, int], int] = {}
        by_lap: defaultdict[int, list[RacedLap]] = defaultdict(list)
        for lap in self.race.laps:
            by_lap[lap.number].append(lap)
        for number, laps in by_lap.items():
            for place, lap in enumerate(sorted(laps, key=lambda lap: lap.end), start=1):
                found[lap.car, number] = place
        return found


_TRUTH = pl.Schema(
    {
        **dict.fromkeys(("driver_number", "lap_number", "stint", "lap_time_ms"), pl.Int32),
        **dict.fromkeys(("sector1_ms", "sector2_ms", "sector3_ms"), pl.Int32),
        **dict.fromkeys(("lap_start_ms", "lap_end_ms", "pit_in_ms", "pit_out_ms"), pl.Int64),
        "compound": pl.String,
        "tyre_life": pl.Int32,
        "position": pl.Int32,
        "simulated": pl.Boolean,
    }
)


def _line(time: int, topic: str, car: str, told: dict[str, Json]) -> Emitted:
    return Emitted(time, topic, {"Lines": {car: told}})


def _stint(compound: str, age: int) -> dict[str, Json]:
    return {
        "LapFlags": 0,
        "Compound": compound,
        "New": "false" if age else "true",
        "TyresNotChanged": "0",
        "TotalLaps": age,
        "StartLaps": age,
    }
