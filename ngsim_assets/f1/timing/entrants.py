"""Which cars take part, as DriverList and OpenF1's drivers tell it.

Belongs here: when such a list is a whole one. Does not belong here: names and teams (laps.py), what
is done with rows of other cars (telemetry/).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ngsim_assets.f1.formats import Json, whole
from ngsim_assets.f1.telemetry.ranges import RACE_CARS
from ngsim_assets.f1.timing.folding import at


@dataclass(slots=True)
class Entrants:
    """Cars of one session.

    Who joins late hears of changes of a list that was told before: of the places of most cars, and
    nothing of a car that keeps its own. A list is whole if every car it names is described in it.

    Attributes:
        named: cars that were spoken of. described: those of which it was told who drives them.
    """

    named: set[int] = field(default_factory=set[int])
    described: set[int] = field(default_factory=set[int])

    def take(self, told: Json) -> None:
        """Note what a message of DriverList tells."""
        for key, car in told.items() if isinstance(told, dict) else ():
            number = whole(key)
            if number is not None and number in RACE_CARS:
                self.named.add(number)
                if at(car, "RacingNumber") is not None or at(car, "Tla") is not None:
                    self.described.add(number)

    def add(self, number: int | None) -> None:
        """Note a car that a row of its own describes."""
        if number is not None and number in RACE_CARS:
            self.named.add(number)
            self.described.add(number)

    @property
    def numbers(self) -> frozenset[int]:
        """Those that take part; none where that is not known of all."""
        return frozenset(self.described if self.named == self.described else ())
