"""Messages of telemetry as the feed writes them, from plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

CHANNELS = ("0", "2", "3", "4", "5", "45")

CarEntry = tuple[str, Mapping[str, Sequence[int]]]


def car_message(*entries: CarEntry) -> bytes:
    """A CarData message: per entry a time and the six channels of each car."""
    told = [
        {
            "Utc": utc,
            "Cars": {
                number: {"Channels": dict(zip(CHANNELS, values, strict=False))}
                for number, values in cars.items()
            },
        }
        for utc, cars in entries
    ]
    return json.dumps({"Entries": told}, separators=(",", ":")).encode()


def place_message(*entries: tuple[str, Mapping[str, tuple[str, int, int, int]]]) -> bytes:
    """A Position message: per entry a time, and status and coordinates of each car."""
    told = [
        {
            "Timestamp": utc,
            "Entries": {
                number: dict(zip(("Status", "X", "Y", "Z"), values, strict=True))
                for number, values in cars.items()
            },
        }
        for utc, cars in entries
    ]
    return json.dumps({"Position": told}, separators=(",", ":")).encode()
