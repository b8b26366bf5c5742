"""Messages of CarData and Position to rows of the tables: one call for a file or for a live batch.

Belongs here: which messages are telemetry, and the account from messages to rows. Does not belong
here: reading of files and streams (reading/), the steps themselves (decode.py, ranges.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Message, SetAside
from ngsim_assets.f1.telemetry.decode import decode_cars, decode_positions
from ngsim_assets.f1.telemetry.ranges import Lines, Measured, car_rows, position_rows

CAR_DATA, POSITION = "CarData.z", "Position.z"


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
) -> Rows | None:
    """Rows of f1_telemetry of the CarData messages of one session and file; None if none is.

    Args:
        drivers: numbers of DriverList; others are counted and left out. Without: 1 to 99.
    """
    chosen = [message for message in messages if message.topic == CAR_DATA]
    return _rows(chosen, origin, drivers)


def positions(
    messages: Iterable[Message],
    origin: Origin,
    *,
    drivers: Collection[int] = (),
) -> Rows | None:
    """Rows of f1_positions of the Position messages of one session and file, as `car_data`."""
    chosen = [message for message in messages if message.topic == POSITION]
    return _rows(chosen, origin, drivers)


def _rows(messages: Sequence[Message], origin: Origin, drivers: Collection[int]) -> Rows | None:
    if not messages:
        return None
    first = messages[0]
    texts = [str(message.payload).encode() for message in messages]
    of_cars = first.topic == CAR_DATA
    decoded = decode_cars(texts) if of_cars else decode_positions(texts)
    lines = Lines(first.file, [message.line for message in messages])
    measure = car_rows if of_cars else position_rows
    aside = [
        SetAside(m.session, reason, "no telemetry in it", m.topic, m.content, m.file, m.line)
        for number, reason in decoded.set_aside.items()
        for m in [messages[number]]
    ]
    return Rows(
        measure(decoded.frame, origin, lines, drivers),
        len(messages),
        decoded.entries,
        decoded.frame.height,
        aside,
        decoded.left,
    )
