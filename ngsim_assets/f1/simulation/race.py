"""How a race runs: every car's laps in milliseconds, without any message.

Belongs here: pace, tyres, fuel, the track, stops, what neutralisations do to laps. Does not belong
here: how feeds tell it (timing.py).

The lap of a car is its own pace, plus 0.03 s for every lap its tyres are old, plus 0.035 s for
every lap of fuel still on board, minus 0.02 s for every lap the track has been driven in. Cars do
not get in each other's way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ngsim_assets.f1.simulation.safety_car import ANNOUNCED, Planned, Took
from ngsim_assets.f1.simulation.scenario import LEAD_IN, Car, Scenario

DEGRADATION = 30.0
"""ms a lap of age of the tyres."""

FUEL = 35.0
"""ms a lap of fuel on board."""

EVOLUTION = -20.0
"""ms a lap raced."""

COMPOUNDS = {"SOFT": -600.0, "MEDIUM": 0.0, "HARD": 450.0}
"""ms against medium tyres."""

_STANDING_START = 5_000.0
_NOISE = 120.0
_SPREAD = 90.0  # ms a lap between cars next to each other on the grid
_GRID_GAP = 180.0  # ms behind the car ahead at the start
BEFORE_LINE = 0.3
"""Share of a stop's cost that is lost before the line."""


@dataclass(frozen=True, slots=True)
class RacedLap:
    """A lap as it was driven; times in ms, moments since the start of the feed.

    Attributes:
        green: what the lap would have taken by pace alone, stops included.
        tyre_life: laps on the tyres at its end.
        stint: from 1.
    """

    car: int
    number: int
    start: int
    sectors: tuple[int, int, int]
    green: float
    compound: str
    stint: int
    tyre_life: int
    pit_in: int | None
    pit_out: int | None

    @property
    def time(self) -> int:
        """Lap time."""
        return sum(self.sectors)

    @property
    def end(self) -> int:
        """When it was over."""
        return self.start + self.time


@dataclass(frozen=True, slots=True)
class Race:
    """A race that is over.

    Attributes:
        laps: of all cars, by car and number.
        took: neutralisations as they fell out.
        lap_starts: when the leader began each lap, and when it finished the last.
        retired: car and the moment it stopped.
    """

    laps: list[RacedLap]
    took: list[Took]
    lap_starts: list[int]
    retired: dict[int, int]


@dataclass(frozen=True, slots=True)
class _Slow:
    start: float
    end: float
    factor: float


@dataclass(frozen=True, slots=True)
class _Stint:
    compound: str
    last_lap: int
    age: int


def run(scenario: Scenario, planned: Sequence[Planned]) -> Race:
    """Drive a race with these neutralisations."""
    draw = scenario.random("race")
    first, *others = scenario.grid
    pace = {
        car.number: _SPREAD * place + draw.normal(0, 60.0)
        for place, car in enumerate(scenario.grid)
    }
    stints = {car.number: _stints(scenario, draw) for car in scenario.grid}
    noise = {car.number: draw.normal(0, _NOISE, scenario.race_laps + 1) for car in scenario.grid}
    took, slow, leader = _led(scenario, first, planned, pace, stints, noise)
    out = {
        plan.incident.car: plan.incident
        for plan in reversed(planned)
        if plan.incident.retires and plan.incident.car != first.number
    }
    laps = [*leader]
    retired: dict[int, int] = {}
    over = leader[-1].end
    for place, car in enumerate(others, start=1):
        number = car.number
        moment = LEAD_IN + round(_GRID_GAP * place)
        for lap in range(1, scenario.race_laps + 1):
            if moment >= over and lap > 1:
                break
            incident = out.get(number)
            driven = _lap(scenario, number, lap, moment, pace, stints, noise, slow)
            if incident is not None and lap == incident.lap:
                retired[number] = moment + round(driven.time * incident.place)
                break
            laps.append(driven)
            moment = driven.end
    starts = _leader_starts(laps, scenario.race_laps)
    placed = [
        replace(
            phase,
            first_lap=_lap_at(starts, phase.start),
            last_lap=_lap_at(starts, phase.end - 1),
        )
        for phase in took
    ]
    laps.sort(key=lambda lap: (lap.car, lap.number))
    return Race(laps, placed, starts, retired)


def _led(
    scenario: Scenario,
    car: Car,
    planned: Sequence[Planned],
    pace: dict[int, float],
    stints: dict[int, list[_Stint]],
    noise: dict[int, np.ndarray],
) -> tuple[list[Took], list[_Slow], list[RacedLap]]:
    """Laps of the first of the grid, and the neutralisations, which begin and end by them."""
    by_lap = {plan.incident.lap: plan for plan in planned}
    took: list[Took] = []
    slow: list[_Slow] = []
    laps: list[RacedLap] = []
    moment = LEAD_IN
    current: tuple[Planned, int] | None = None
    for lap in range(1, scenario.race_laps + 1):
        plan = by_lap.get(lap)
        if plan is not None and current is None:
            free = _lap(scenario, car.number, lap, moment, pace, stints, noise, slow)
            start = moment + round(free.time * plan.incident.place)
            current = (plan, start)
            slow.append(_Slow(start, math.inf, plan.factor))
        driven = _lap(scenario, car.number, lap, moment, pace, stints, noise, slow)
        if current is not None:
            plan, start = current
            if lap == plan.incident.lap + plan.laps - 1 or lap == scenario.race_laps:
                announced = max(start + 1, moment + round(driven.time * ANNOUNCED))
                took.append(Took(plan, start, announced, driven.end, 0, 0))
                slow[-1] = _Slow(start, driven.end, plan.factor)
                current = None
        laps.append(driven)
        moment = driven.end
    return took, slow, laps


def _lap(
    scenario: Scenario,
    car: int,
    lap: int,
    start: int,
    pace: dict[int, float],
    stints: dict[int, list[_Stint]],
    noise: dict[int, np.ndarray],
    slow: Sequence[_Slow],
) -> RacedLap:
    number, stint, age = _tyres(stints[car], lap)
    profile = scenario.profile
    own = (
        1000 * profile.lap_time
        + pace[car]
        + COMPOUNDS[stint.compound]
        + DEGRADATION * age
        + FUEL * (scenario.race_laps - lap)
        + EVOLUTION * lap
        + float(noise[car][lap])
        + (_STANDING_START if lap == 1 else 0.0)
    )
    parts = [own * share for share in profile.sectors]
    loss = 1000 * profile.pit_loss
    stops = lap == stint.last_lap and lap < scenario.race_laps
    comes_out = number > 1 and lap == stints[car][number - 2].last_lap + 1
    parts[2] += loss * BEFORE_LINE if stops else 0.0
    parts[0] += loss * (1 - BEFORE_LINE) if comes_out else 0.0
    ends: list[int] = []
    moment = float(start)
    for part in parts:
        moment = round(_advance(moment, part, slow))
        ends.append(int(moment))
    sectors = (ends[0] - start, ends[1] - ends[0], ends[2] - ends[1])
    return RacedLap(
        car=car,
        number=lap,
        start=start,
        sectors=sectors,
        green=sum(parts),
        compound=stint.compound,
        stint=number,
        tyre_life=age,
        pit_in=ends[2] - round(loss * BEFORE_LINE) - 2_000 if stops else None,
        pit_out=start + round(loss * (1 - BEFORE_LINE)) + 2_000 if comes_out else None,
    )


def _advance(start: float, green: float, slow: Sequence[_Slow]) -> float:
    """When what takes `green` ms by pace alone is over, begun at `start`."""
    moment, left = start, green
    for phase in slow:
        if phase.end <= moment:
            continue
        free = max(0.0, phase.start - moment)
        if free >= left:
            return moment + left
        moment, left = moment + free, left - free
        done = (phase.end - moment) / phase.factor
        if done >= left:
            return moment + left * phase.factor
        moment, left = phase.end, left - done
    return moment + left


def _tyres(stints: Sequence[_Stint], lap: int) -> tuple[int, _Stint, int]:
    """Number of the stint, the stint, and the age of its tyres at the end of `lap`."""
    before = 0
    for number, stint in enumerate(stints, start=1):
        if lap <= stint.last_lap:
            return number, stint, stint.age + lap - before
        before = stint.last_lap
    raise ValueError(f"no tyres for lap {lap}")


def _stints(scenario: Scenario, draw: np.random.Generator) -> list[_Stint]:
    laps = scenario.race_laps
    stops = 0 if laps < 6 else int(draw.integers(1, 3))
    shares = np.cumsum(draw.dirichlet(np.full(stops + 1, 25.0)))
    lasts = [max(2, min(laps - 2, round(float(share) * laps))) for share in shares[:-1]]
    lasts = sorted(set(lasts))
    compounds = draw.permutation(list(COMPOUNDS))
    return [
        _Stint(str(compounds[k % len(compounds)]), last, int(draw.integers(0, 4)))
        for k, last in enumerate([*lasts, laps])
    ]


def _leader_starts(laps: Sequence[RacedLap], count: int) -> list[int]:
    ends = [math.inf] * count
    for lap in laps:
        ends[lap.number - 1] = min(ends[lap.number - 1], lap.end)
    return [LEAD_IN, *(int(end) for end in ends)]


def _lap_at(starts: Sequence[int], moment: int) -> int:
    return max(1, min(len(starts) - 1, sum(start <= moment for start in starts)))
