"""Incidents of a race, and the neutralisations that follow from them.

Belongs here: what happens, when, how severe it is and what race control does. Does not belong
here: how laps slow down (timing.py).

Probabilities of a race having a safety car are the circuit's; how many it then has, and that 36 %
of them come on lap 1, is of the official statistics of 2014 to 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.neutralisations.model import Kind
from ngsim_assets.f1.simulation.scenario import Scenario
from ngsim_assets.f1.simulation.wire import Emitted, utc_second

ANNOUNCED = 0.65
"""Share of its last lap after which the end of a neutralisation is announced."""

SAFETY_CAR_LAPS = (2, 5)
VIRTUAL_LAPS = (1, 3)
SLOWDOWN: dict[Kind, tuple[float, float]] = {
    "safety_car": (1.45, 1.6),
    "virtual_safety_car": (1.28, 1.36),
}
"""Lap time over green lap time, from and to: real ones are 1.34 to 1.59 and 1.24 to 1.33 with
the laps in which they begin and end."""

_MORE_SAFETY_CARS = (0.758, 0.182, 0.060)  # one, two, three, if there is one
_ON_LAP_ONE = 0.36
_SEVERITIES = ("spin", "debris", "stopped_car", "collision", "barrier")
_SECTORS = 20
_YELLOWS = 2.0  # incidents a race that are over under yellow flags

Severity = Literal[1, 2, 3, 4, 5]


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happens.

    Attributes:
        lap: of the leader. place: share of it that is over by then.
        severity: 1 spin, 2 debris, 3 stopped car, 4 collision, 5 barrier damaged. Up to 2 a yellow
            flag does, from 2 a virtual safety car, from 3 a safety car.
        car: number of the car. sector: marshalling sector.
    """

    lap: int
    place: float
    severity: Severity
    car: int
    sector: int

    @property
    def retires(self) -> bool:
        """Whether the car is out of the race."""
        return self.severity >= 3

    @property
    def what(self) -> str:
        """The severity as a word."""
        return _SEVERITIES[self.severity - 1]


@dataclass(frozen=True, slots=True)
class Planned:
    """A neutralisation that is to come.

    Attributes:
        laps: laps of the leader it touches, that of the incident included.
        factor: lap time over green lap time while it lasts.
    """

    kind: Kind
    incident: Incident
    laps: int
    factor: float


@dataclass(frozen=True, slots=True)
class Took:
    """A neutralisation as it took place: milliseconds since the start of the feed.

    Attributes:
        announced: when its end was told to be near.
        first_lap, last_lap: laps of the leader it touches.
    """

    planned: Planned
    start: int
    announced: int
    end: int
    first_lap: int
    last_lap: int


class MockSafetyCarGenerator:
    """Plans the incidents of a race and tells them as race control does."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._random = scenario.random("safety car")
        self.planned: list[Planned] = self._plan()
        """Neutralisations to come, by lap."""
        self.yellows: list[Incident] = self._minor()
        """Incidents that are over under yellow flags."""

    def messages(self, took: Sequence[Took], lap_starts: Sequence[int]) -> Iterator[Emitted]:
        """TrackStatus and RaceControlMessages of a race whose leader began laps at `lap_starts`.

        `took` are the neutralisations as they fell out. The last of `lap_starts` is the end.
        """
        told = list(self._told(took, lap_starts))
        told.sort(key=lambda entry: entry[0])
        yield Emitted(0, "TrackStatus", {"Status": "1", "Message": "AllClear"})
        for time, status, _ in told:
            if status is not None:
                yield Emitted(time, "TrackStatus", {"Status": status, "Message": _NAMES[status]})
        number = 0
        for time, _, message in told:
            if message is None:
                continue
            lap = max(1, sum(start <= time for start in lap_starts[:-1]))
            moment = self._scenario.feed_start + timedelta(milliseconds=time)
            whole: dict[str, Json] = {"Utc": utc_second(moment), "Lap": lap, **message}
            messages: Json = [whole] if number == 0 else {str(number): whole}
            # what race control says arrives a moment before the status changes
            yield Emitted(time - 100, "RaceControlMessages", {"Messages": messages})
            number += 1

    def _told(
        self, took: Sequence[Took], lap_starts: Sequence[int]
    ) -> Iterator[tuple[int, str | None, dict[str, Json] | None]]:
        yield lap_starts[0] - 300_000, None, _flag("GREEN", "GREEN LIGHT - PIT EXIT OPEN")
        for phase in took:
            incident = phase.planned.incident
            # on the first lap everything is quicker
            before = min(12_000, (phase.start - lap_starts[0]) // 2)
            yield phase.start - before, "2", _yellow(incident)
            if incident.retires:
                yield phase.start - before // 2, None, _stopped(incident)
            virtual = phase.planned.kind == "virtual_safety_car"
            mode = "VIRTUAL SAFETY CAR" if virtual else "SAFETY CAR"
            yield phase.start, "6" if virtual else "4", _car(mode, "DEPLOYED")
            ending = _car(mode, "ENDING" if virtual else "IN THIS LAP")
            yield phase.announced, "7" if virtual else None, ending
            yield phase.end, "1", _flag("CLEAR", "TRACK CLEAR")
        for incident in self.yellows:
            start, end = lap_starts[incident.lap - 1], lap_starts[incident.lap]
            time = start + round((end - start) * incident.place)
            if any(p.start - 60_000 < time < p.end + 30_000 for p in took):
                continue
            over = time + 8_000 + 3_000 * incident.severity
            yield time, "2", _yellow(incident)
            yield over, "1", _sector_clear(incident)
        yield lap_starts[-1] + 150, None, _flag("CHEQUERED", "CHEQUERED FLAG")

    def _plan(self) -> list[Planned]:
        profile, draw = self._scenario.profile, self._random
        kinds: list[Kind] = []
        if draw.random() < profile.safety_car:
            count = int(draw.choice([1, 2, 3], p=_MORE_SAFETY_CARS))
            kinds.extend("safety_car" for _ in range(count))
        if draw.random() < profile.virtual_safety_car:
            kinds.append("virtual_safety_car")
        planned: list[Planned] = []
        last = self._scenario.race_laps - 1
        for kind in kinds:
            virtual = kind == "virtual_safety_car"
            low, high = VIRTUAL_LAPS if virtual else SAFETY_CAR_LAPS
            laps = int(draw.integers(low, high + 1))
            first = not virtual and draw.random() < _ON_LAP_ONE
            lap = 1 if first else int(draw.integers(2, max(3, last - laps)))
            severity = int(draw.integers(2, 4) if virtual else draw.integers(3, 6))
            factor = float(draw.uniform(*SLOWDOWN[kind]))
            incident = self._incident(lap, severity)
            if lap + laps > last or any(_near(lap, laps, other) for other in planned):
                continue  # the race has no room for it
            planned.append(Planned(kind, incident, laps, factor))
        return sorted(planned, key=lambda plan: plan.incident.lap)

    def _minor(self) -> list[Incident]:
        count = int(self._random.poisson(_YELLOWS))
        last = self._scenario.race_laps
        laps = sorted(int(lap) for lap in self._random.integers(1, last + 1, size=count))
        return [self._incident(lap, int(self._random.integers(1, 3))) for lap in laps]

    def _incident(self, lap: int, severity: int) -> Incident:
        draw = self._random
        place = float(draw.uniform(0.25, 0.4))
        # the first of the grid stays in the race: the others are timed by it
        grid = self._scenario.grid
        car = int(draw.choice([car.number for car in grid[1:] or grid]))
        levels: tuple[Severity, ...] = (1, 2, 3, 4, 5)
        return Incident(lap, place, levels[severity - 1], car, int(draw.integers(1, _SECTORS + 1)))


_NAMES = {
    "1": "AllClear",
    "2": "Yellow",
    "4": "SCDeployed",
    "6": "VSCDeployed",
    "7": "VSCEnding",
}


def _near(lap: int, laps: int, other: Planned) -> bool:
    """Whether two neutralisations would leave fewer than three green laps between them."""
    return lap <= other.incident.lap + other.laps + 3 and other.incident.lap <= lap + laps + 3


def _flag(flag: str, text: str) -> dict[str, Json]:
    return {"Category": "Flag", "Flag": flag, "Scope": "Track", "Message": text}


def _yellow(incident: Incident) -> dict[str, Json]:
    flag = "DOUBLE YELLOW" if incident.retires else "YELLOW"
    return {
        "Category": "Flag",
        "Flag": flag,
        "Scope": "Sector",
        "Sector": incident.sector,
        "Message": f"{flag} IN TRACK SECTOR {incident.sector}",
    }


def _sector_clear(incident: Incident) -> dict[str, Json]:
    return {
        "Category": "Flag",
        "Flag": "CLEAR",
        "Scope": "Sector",
        "Sector": incident.sector,
        "Message": f"CLEAR IN TRACK SECTOR {incident.sector}",
    }


def _stopped(incident: Incident) -> dict[str, Json]:
    return {
        "Category": "CarEvent",
        "RacingNumber": str(incident.car),
        "Message": f"CAR {incident.car} (S{incident.car:02}) STOPPED AT TURN {incident.sector}",
    }


def _car(mode: str, status: str) -> dict[str, Json]:
    return {
        "Category": "SafetyCar",
        "Status": status,
        "Mode": mode,
        "Message": f"{mode} {status}",
    }
