"""Feeds made up for tests: a car's laps as the live timing tells them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from ngsim_assets.f1.clock import SessionClock
from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Message

RACE = SessionKey.parse("2025-05-04_miami_race")
QUALIFYING = SessionKey.parse("2025-05-03_miami_qualifying")
CLOCK = SessionClock(datetime(2025, 5, 4, 19, 0, tzinfo=UTC), 1, "made up")
RACE_ORIGIN = Origin(RACE, "livetiming", simulated=True)


def message(topic: str, time: int, payload: Json, line: int = 1) -> Message:
    """A message of the archive at session time `time` ms, with both times."""
    return CLOCK.place(
        Message(
            str(RACE), topic, time, None, payload, json.dumps(payload), f"{topic}.jsonStream", line
        )
    )


def car(number: int, **told: Json) -> Json:
    """A change of TimingData of one car."""
    return {"Lines": {str(number): told}}


def written(time_ms: int) -> str:
    """A time as the feed writes it, `1:30.000` or `30.000`."""
    minutes, rest = divmod(time_ms, 60_000)
    seconds = f"{rest // 1000:02d}.{rest % 1000:03d}"
    return f"{minutes}:{seconds}" if minutes else seconds


def race_laps(
    number: int, laps: list[tuple[int, int, int]], start: int = 100_000
) -> Iterator[tuple[int, Json]]:
    """Times and changes of a car that drives `laps` (three sectors each, ms) from `start` on.

    The lap time comes a moment before the third sector, as it does in real feeds.
    """
    yield 1_000, car(number, InPit=False, NumberOfLaps=0, Sectors=[{"Value": ""}] * 3)
    time = start
    for lap, (first, second, third) in enumerate(laps, start=1):
        clear: Json = {"Value": ""}
        sectors: dict[str, Json] = {"0": {"Value": written(first)}, "1": clear, "2": clear}
        yield time + first, car(number, Sectors=sectors, Speeds={"I1": {"Value": "280"}})
        yield time + first + second, car(number, Sectors={"1": {"Value": written(second)}})
        time += first + second + third
        yield time, car(number, LastLapTime={"Value": written(first + second + third)})
        yield (
            time + 20,
            car(
                number,
                NumberOfLaps=lap,
                Sectors={"2": {"Value": written(third)}},
                Speeds={"FL": {"Value": "300"}},
            ),
        )
