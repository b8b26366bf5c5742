"""The JSON of car data and positions in any form, a message at a time.

Belongs here: what a message says that has not exactly the form of the feed, and what of it cannot
be used, counted by name. Does not belong here: the form of the feed (scanner.py), what the
numbers mean (ranges.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

from ngsim_assets.f1.reading.messages import Reason

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**30

Value = int | str | None
Row = tuple[int, int, int, tuple[Value, ...]]
"""Entry, microseconds since 1970, number of the car, values."""


@dataclass(slots=True)
class Understood:
    """What one message says.

    Attributes:
        reason: why nothing of it can be used, None if something can.
        entries: entries that have a time and cars.
        rows: one per car and entry.
        left: what of it could not be used, by name.
    """

    reason: Reason | None = None
    entries: int = 0
    rows: list[Row] = field(default_factory=list[Row])
    left: Counter[str] = field(default_factory=Counter[str])


def read_message(text: bytes, *, positions: bool) -> Understood:
    """Read one message of car data or positions."""
    try:
        message: object = json.loads(text)
    except (ValueError, RecursionError):
        return Understood(reason="damaged_json")
    entries = _member(message, "Position" if positions else "Entries")
    if not isinstance(entries, list):
        return Understood(reason="not_a_message")
    found = Understood()
    for entry in cast("list[object]", entries):
        _read_entry(entry, found, positions=positions)
    if not found.entries:
        found.reason = "not_a_message"
    return found


def _read_entry(entry: object, found: Understood, *, positions: bool) -> None:
    cars = _member(entry, "Entries" if positions else "Cars")
    instant = _instant(_member(entry, "Timestamp" if positions else "Utc"))
    if instant is None:
        found.left["entry_without_time"] += 1
        return
    if not isinstance(cars, dict):
        found.left["entry_without_cars"] += 1
        return
    for key, car in cast("dict[str, object]", cars).items():
        values = _place(car, found.left) if positions else _channels(car, found.left)
        if not (key.isascii() and key.isdigit() and len(key) < 6):
            found.left["car_without_number"] += 1
        elif values is None:
            found.left["car_without_values"] += 1
        else:
            found.rows.append((found.entries, instant, int(key), values))
    found.entries += 1


def _channels(car: object, left: Counter[str]) -> tuple[Value, ...] | None:
    from ngsim_assets.f1.telemetry.scanner import CHANNELS  # compiled: only who decodes needs it

    channels = _member(car, "Channels")
    if not isinstance(channels, dict) or not channels:
        return None
    by_name = cast("dict[str, object]", channels)
    known = [str(channel) for channel in CHANNELS]
    for name in by_name.keys() - set(known):
        left[f"channel_{name}_unknown"] += 1
    return tuple(_numbers(by_name, known, left))


def _place(car: object, left: Counter[str]) -> tuple[Value, ...] | None:
    if not isinstance(car, dict) or not car:
        return None
    by_name = cast("dict[str, object]", car)
    status = by_name.get("Status")
    return (
        status if isinstance(status, str) else None,
        *_numbers(by_name, ["X", "Y", "Z"], left),
    )


def _numbers(
    values: Mapping[str, object], names: list[str], left: Counter[str]
) -> Iterator[int | None]:
    for name in names:
        value = values.get(name)
        number = _whole(value)
        if number is None and value is not None:
            left[f"{name}_not_a_number"] += 1
        yield number


def _whole(value: object) -> int | None:
    """The whole number nearest to `value`, which may be a number written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = round(float(value))
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < _LARGEST else None


def _member(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


def _instant(value: object) -> int | None:
    """Microseconds since 1970 of an ISO time, which is UTC if it does not say."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // timedelta(microseconds=1)
