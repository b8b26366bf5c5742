"""What to simulate, and how a session that never took place introduces itself.

Belongs here: the choices of a user, the cars, the messages that describe a session. Does not
belong here: what happens in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1.circuits import Circuit, circuit
from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.simulation.profiles import Profile, profile_of
from ngsim_assets.f1.simulation.wire import Emitted, utc

SIMULATED = "Simulated"
"""First word of the meeting's name, so that no key, table or reader takes it for a real one."""

LEAD_IN = 600_000
"""Milliseconds of feed before the race is started."""

_TEAMS = 10
_NUMBERS = (1, 4, 10, 11, 14, 16, 18, 20, 22, 23, 24, 27, 30, 31, 43, 44, 55, 63, 77, 81)


class CannotSimulateSession(NgsimAssetsError):
    """A scenario asks for something the generators do not know."""

    exit_code = 2

    def __init__(self, option: str, value: object, known: str) -> None:
        self.option = option
        self.value = value
        super().__init__(f"cannot simulate {option} {value!r}", f"known: {known}")


@dataclass(frozen=True, slots=True)
class Car:
    """One car and its driver."""

    number: int
    tla: str
    team: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """A race to simulate. Equal scenarios give equal messages on every machine.

    Attributes:
        circuit: key or any name of circuits.py.
        laps: None: as many as the race has there.
        cars: how many, at most 20.
        start: start of the race, UTC.
        seed: of everything that is drawn.

    Raises CannotSimulateSession, and UnknownCircuit for a circuit that is not known.
    """

    circuit: str = "spa"
    laps: int | None = None
    cars: int = 20
    start: datetime = datetime(2026, 7, 19, 13, 0, tzinfo=UTC)
    seed: int = 1

    def __post_init__(self) -> None:
        circuit(self.circuit)
        if not 1 <= self.cars <= len(_NUMBERS):
            raise CannotSimulateSession("cars", self.cars, f"1 to {len(_NUMBERS)}")
        if self.laps is not None and not 1 <= self.laps <= 200:
            raise CannotSimulateSession("laps", self.laps, "1 to 200")
        if self.start.tzinfo is None:
            raise CannotSimulateSession("start", self.start, "a time with a zone")
        if self.seed < 0:
            raise CannotSimulateSession("seed", self.seed, "0 and above")

    @property
    def place(self) -> Circuit:
        """Facts of the circuit."""
        return circuit(self.circuit)

    @property
    def profile(self) -> Profile:
        """Assumptions about the circuit."""
        return profile_of(self.circuit)

    @property
    def race_laps(self) -> int:
        """How many laps are raced."""
        return self.laps or self.profile.laps

    @property
    def feed_start(self) -> datetime:
        """UTC of session time 0."""
        return self.start - timedelta(milliseconds=LEAD_IN)

    @property
    def meeting(self) -> str:
        """Name of the meeting."""
        return f"{SIMULATED} {self.place.key.replace('-', ' ').title()} Grand Prix"

    @property
    def session(self) -> SessionKey:
        """Key of the session: `2026-07-19_simulated-spa_race`."""
        local = self.start.astimezone(ZoneInfo(self.place.time_zone))
        return SessionKey.of(local.date(), self.meeting, "Race")

    @property
    def grid(self) -> list[Car]:
        """The cars from first to last."""
        return [
            Car(number, f"S{number:02}", f"{SIMULATED} {place % _TEAMS + 1}")
            for place, number in enumerate(_NUMBERS[: self.cars])
        ]

    def random(self, stream: str) -> np.random.Generator:
        """A stream of random numbers of its own, so that no generator disturbs another."""
        return np.random.default_rng([self.seed, *stream.encode()])


def introduction(scenario: Scenario) -> list[Emitted]:
    """SessionInfo and DriverList, and the clock of the feed."""
    local = scenario.start.astimezone(ZoneInfo(scenario.place.time_zone))
    offset = local.utcoffset() or timedelta()
    hours, seconds = divmod(int(abs(offset).total_seconds()), 3600)
    written = f"{'-' if offset < timedelta() else ''}{hours:02}:{seconds // 60:02}:00"
    info: Json = {
        "Meeting": {
            "Key": 0,
            "Name": scenario.meeting,
            "Location": scenario.place.names[0],
            "Country": {"Key": 0, "Code": "SIM", "Name": SIMULATED},
            "Circuit": {"Key": 0, "ShortName": scenario.place.names[-1]},
        },
        "ArchiveStatus": {"Status": SIMULATED},
        "Key": 0,
        "Type": "Race",
        "Name": "Race",
        "StartDate": local.strftime("%Y-%m-%dT%H:%M:%S"),
        "EndDate": (local + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S"),
        "GmtOffset": written,
        "Path": f"simulated/{scenario.session}/",
    }
    drivers: dict[str, Json] = {
        str(car.number): {
            "RacingNumber": str(car.number),
            "BroadcastName": f"{SIMULATED} {car.number}",
            "FullName": f"{SIMULATED} {car.number}",
            "Tla": car.tla,
            "Line": place,
            "TeamName": car.team,
            "TeamColour": "808080",
        }
        for place, car in enumerate(scenario.grid, start=1)
    }
    return [Emitted(0, "SessionInfo", info), Emitted(1_000, "DriverList", drivers)]


def heartbeats(scenario: Scenario, until: int) -> list[Emitted]:
    """The sign of life that the feed sends every 15 s, with the time."""
    return [
        Emitted(time, "Heartbeat", {"Utc": utc(scenario.feed_start + timedelta(milliseconds=time))})
        for time in range(15_000, until, 15_000)
    ]
