"""Rows of OpenF1's `car_data` and `location`, as decoded messages of the feed are.

Belongs here: which of its fields is which column. Does not belong here: reading of responses
(reading/openf1.py), what the numbers mean (ranges.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import polars as pl

from ngsim_assets.f1.formats import whole
from ngsim_assets.f1.reading.messages import Message, Reason
from ngsim_assets.f1.telemetry.decode import CAR_SCHEMA, PLACE_SCHEMA, Decoded
from ngsim_assets.f1.timing.folding import at

CAR_DATA, LOCATION = "openf1/car_data", "openf1/location"

_CAR_FIELDS = ("rpm", "speed", "n_gear", "throttle", "brake", "drs")
_PLACE_FIELDS = ("x", "y", "z")


def decode_openf1(messages: Sequence[Message]) -> Decoded:
    """Rows of messages that are all of `openf1/car_data`, or all of `openf1/location`.

    A message is one row. `location` does not tell a status.
    """
    places = bool(messages) and messages[0].topic == LOCATION
    fields = _PLACE_FIELDS if places else _CAR_FIELDS
    rows: list[tuple[object, ...]] = []
    aside: dict[int, Reason] = {}
    left: Counter[str] = Counter()
    for number, message in enumerate(messages):
        told = message.payload
        car = whole(at(told, "driver_number"))
        if car is None:
            aside[number] = "not_a_message"
            continue
        if message.utc is None:
            aside[number] = "no_time"
            continue
        values = [whole(at(told, field)) for field in fields]
        left.update(
            f"{field}_not_a_number"
            for field, value in zip(fields, values, strict=True)
            if value is None and at(told, field) is not None
        )
        status = [None] if places else []
        rows.append((number, 0, message.utc, car, *status, *values))
    frame = pl.DataFrame(rows, schema=PLACE_SCHEMA if places else CAR_SCHEMA, orient="row")
    return Decoded(frame, len(messages), frame.height, aside, left)
