"""Payloads of CarData and Position to frames, as delivered: the feed's own rate, units and codes.

Belongs here: many messages at a time into columns, and the account of what became of them. Does
not belong here: base64 and deflate (reading/), what the numbers mean (ranges.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.f1.reading.messages import Reason
from ngsim_assets.f1.telemetry.tolerant import Value, read_message

CAR_COLUMNS = ("rpm", "speed_kmh", "gear", "throttle", "brake", "drs")
"""Columns of car data, in the order of scanner.CHANNELS."""

PLACE_COLUMNS = ("x_dm", "y_dm", "z_dm")
"""Columns of a position: 1/10 m."""

_SHORTEST_ROW = 24  # bytes of `"1":{"Channels":{"0":0}},`
_INSTANT = pl.Datetime("us", "UTC")
_KEYS = {"message": pl.Int32, "entry": pl.Int32, "timestamp": _INSTANT, "driver_number": pl.Int32}
CAR_SCHEMA = pl.Schema({**_KEYS, **dict.fromkeys(CAR_COLUMNS, pl.Int32)})
PLACE_SCHEMA = pl.Schema({**_KEYS, "status": pl.String, **dict.fromkeys(PLACE_COLUMNS, pl.Int32)})


@dataclass(frozen=True, slots=True)
class Decoded:
    """What many messages say: messages = those with rows or entries + those set aside.

    Attributes:
        frame: message (number of it among those given, from 0), entry (in its message),
            timestamp (UTC, cut to a microsecond), driver_number, and the values as delivered:
            CAR_COLUMNS, or status and PLACE_COLUMNS. A channel that is not there is null.
        messages: how many were given.
        entries: how many entries they have.
        set_aside: reason by number of message: damaged_json, or not_a_message without entries.
        left: how often something inside a message could not be used, by name.
    """

    frame: pl.DataFrame
    messages: int
    entries: int
    set_aside: dict[int, Reason]
    left: Counter[str]


def decode_cars(messages: Sequence[bytes]) -> Decoded:
    """Rows of inflated CarData messages."""
    return _decode(messages, positions=False)


def decode_positions(messages: Sequence[bytes]) -> Decoded:
    """Rows of inflated Position messages."""
    return _decode(messages, positions=True)


def _decode(messages: Sequence[bytes], *, positions: bool) -> Decoded:
    from ngsim_assets.f1.telemetry import scanner  # compiled: only who decodes needs it

    text = np.frombuffer(b"".join(messages), dtype=np.uint8)
    ends = np.cumsum(np.fromiter(map(len, messages), dtype=np.int64, count=len(messages)))
    room = len(text) // _SHORTEST_ROW + 1
    rows, entries = (np.zeros(len(messages), dtype=np.int32) for _ in range(2))
    message, entry, car = (np.empty(room, dtype=np.int32) for _ in range(3))
    utc = np.empty(room, dtype=np.int64)
    values = np.empty((room, 4 if positions else len(CAR_COLUMNS)), dtype=np.int32)
    read = int(scanner.scan(text, ends, positions, rows, entries, message, entry, utc, car, values))
    keys = (message[:read], entry[:read], utc[:read], car[:read])
    frame = _scanned(keys, values[:read], positions=positions)
    left_alone = np.flatnonzero(rows == scanner.UNFORESEEN).tolist()
    counted = int(entries.sum())
    set_aside: dict[int, Reason] = {}
    left: Counter[str] = Counter()
    if left_alone:
        others: list[tuple[Value, ...]] = []
        for number in left_alone:
            found = read_message(messages[number], positions=positions)
            if found.reason is not None:
                set_aside[number] = found.reason
            counted += found.entries
            left.update(found.left)
            others += [(number, e, utc, car, *values) for e, utc, car, values in found.rows]
        schema = PLACE_SCHEMA if positions else CAR_SCHEMA
        tolerated = pl.DataFrame(others, schema={**schema, "timestamp": pl.Int64}, orient="row")
        tolerated = tolerated.with_columns(_as_instant())
        frame = pl.concat([frame, tolerated]).sort("message", maintain_order=True)
    return Decoded(frame, len(messages), counted, set_aside, left)


def _scanned(
    keys: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]],
    values: NDArray[np.int32],
    *,
    positions: bool,
) -> pl.DataFrame:
    from ngsim_assets.f1.telemetry import scanner

    columns = dict(zip(_KEYS, keys, strict=True))
    names = ("status", *PLACE_COLUMNS) if positions else CAR_COLUMNS
    columns |= {name: values[:, k] for k, name in enumerate(names)}
    frame = pl.DataFrame(columns).with_columns(_as_instant())
    if positions:
        names = dict(enumerate(scanner.STATUSES))
        return frame.with_columns(pl.col("status").replace_strict(names, return_dtype=pl.String))
    absent = int(scanner.ABSENT)
    return frame.with_columns(
        pl.when(pl.col(name) != absent).then(pl.col(name)).alias(name) for name in CAR_COLUMNS
    )


def _as_instant() -> pl.Expr:
    return pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
