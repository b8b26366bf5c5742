"""Messages of telemetry to rows of the tables: one call for a file or for a live batch.

A call costs some 3 ms whatever it is given, so live streams hand over what came in a quarter of a
second, and not every message by itself.

Belongs here: which messages are telemetry, and the account from messages to rows. Does not belong
here: reading of files and streams (reading/), the steps themselves (decode.py, ranges.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Message, SetAside
from ngsim_assets.f1.telemetry import openf1
from ngsim_assets.f1.telemetry.decode import Decoded, decode_cars, decode_positions
from ngsim_assets.f1.telemetry.moments import Moments
from ngsim_assets.f1.telemetry.ranges import Lines, Measured, car_rows, position_rows

CAR_DATA, POSITION = "CarData.z", "Position.z"
TOPICS = frozenset({CAR_DATA, POSITION, openf1.CAR_DATA, openf1.LOCATION})
"""Topics whose messages are telemetry."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What the messages of one topic say.

    Attributes:
        measured: rows kept, rejected and of other cars.
        messages: how many messages there were: those with entries + those set aside.
        entries: moments they tell of, each with all cars.
        decoded: rows they have: kept + rejected + of other cars.
        aside: messages that could not be read.
        left: what of messages could not be used, by name and count.
    """

    measured: Measured
    messages: int
    entries: int
    decoded: int
    aside: list[SetAside]
    left: Counter[str]


def car_data(
    messages: Iterable[Message],
    origin: Origin,
    *,
    drivers: Collection[int] = (),
    moments: Moments | None = None,
) -> Rows | None:
    """Rows of f1_telemetry of one session: CarData, or OpenF1's `car_data`.

    None if no message is of that topic.

    Args:
        drivers: numbers of DriverList; others are counted and left out. Without: 1 to 99.
        moments: of rows that other messages of the session had; these are added.
    """
    chosen = [m for m in messages if m.topic in (CAR_DATA, openf1.CAR_DATA)]
    return _rows(chosen, origin, drivers, moments)


def positions(
    messages: Iterable[Message],
    origin: Origin,
    *,
    drivers: Collection[int] = (),
    moments: Moments | None = None,
) -> Rows | None:
    """Rows of f1_positions, as `car_data`: Position, or OpenF1's `location`."""
    chosen = [m for m in messages if m.topic in (POSITION, openf1.LOCATION)]
    return _rows(chosen, origin, drivers, moments)


def _rows(
    messages: Sequence[Message],
    origin: Origin,
    drivers: Collection[int],
    moments: Moments | None,
) -> Rows | None:
    if not messages:
        return None
    first = messages[0]
    decoded = _decoded(messages, first.topic)
    of_cars = first.topic in (CAR_DATA, openf1.CAR_DATA)
    lines = Lines([m.file for m in messages], [m.line for m in messages])
    measure = car_rows if of_cars else position_rows
    aside = [
        SetAside(m.session, reason, "no telemetry in it", m.topic, m.content, m.file, m.line)
        for number, reason in decoded.set_aside.items()
        for m in [messages[number]]
    ]
    return Rows(
        measure(decoded.frame, origin, lines, drivers, moments),
        len(messages),
        decoded.entries,
        decoded.frame.height,
        aside,
        decoded.left,
    )


def _decoded(messages: Sequence[Message], topic: str) -> Decoded:
    if topic in (openf1.CAR_DATA, openf1.LOCATION):
        return openf1.decode_openf1(messages)
    texts = [str(message.payload).encode() for message in messages]
    return decode_cars(texts) if topic == CAR_DATA else decode_positions(texts)
