"""From delivered codes to measured values: units, codes that mean nothing, rows not believed.

Belongs here: the bounds of every channel with where they come from, and what becomes of a value
beyond them. Does not belong here: rules across rows, any reading.

Bounds are from 148,492 rows of a 2024 session and the documentation of FastF1: speeds to 344 km/h
in car data and 359 at a trap, rpm to 12,964 with a limit of 15,000 in the regulations, throttle
and brake 104 where there is no reading, gears 10 to 49 only of standing cars, DRS codes 0 to 14.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import polars as pl

from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.telemetry.model import (
    F1_POSITIONS,
    F1_TELEMETRY,
    PLACE_STEP,
    SPEED_STEP,
)
from ngsim_assets.f1.telemetry.moments import Moments

SPEED_REJECTED = 400
"""km/h; no car of the formula has come near it."""

SPEED_WARNED = 370
"""km/h; the fastest trap of any session seen is 359."""

REPEATED = "repeated"
"""Reason of a row whose car was told of at the same moment before, the same or other values."""

NO_READING = 104
"""Code of throttle and brake where there is no reading."""

PLACE_LIMIT = 500_000
"""1/10 m; no circuit is 50 km from the origin of its axes."""

RACE_CARS = range(1, 100)
"""Numbers a car may have; 241 to 243 in Position are other vehicles."""


class _Code(NamedTuple):
    """A value of `column` that becomes null, and why."""

    column: str
    reason: str
    when: pl.Expr


def _outside(column: str, largest: int) -> _Code:
    value = pl.col(column)
    return _Code(column, f"{column}_out_of_range", (value < 0) | (value > largest))


def _missing(column: str) -> _Code:
    return _Code(column, f"{column}_missing", pl.col(column) == NO_READING)


def _pedal(column: str) -> tuple[_Code, _Code]:
    outside = _outside(column, 100)
    return _missing(column), outside._replace(when=outside.when & (pl.col(column) != NO_READING))


_CAR_CODES = (
    _outside("rpm", 15_000),
    _Code("speed_kmh", "speed_out_of_range", pl.col("speed_kmh") < 0),
    _outside("gear", 8),
    *_pedal("throttle"),
    *_pedal("brake"),
    _outside("drs", 14),
)
_NOWHERE = pl.all_horizontal(pl.col("x_dm", "y_dm", "z_dm") == 0)
_PLACE_CODES = (
    _Code("x_dm", "no_position", _NOWHERE),
    _Code("y_dm", "no_position", _NOWHERE),
    _Code("z_dm", "no_position", _NOWHERE),
    *(
        _Code(f"{axis}_dm", f"{axis}_out_of_range", pl.col(f"{axis}_dm").abs() > PLACE_LIMIT)
        for axis in "xyz"
    ),
)
CAR_NULLED = tuple(dict.fromkeys(code.reason for code in _CAR_CODES))
PLACE_NULLED = (*dict.fromkeys(code.reason for code in _PLACE_CODES), "status_unknown")
"""Why values of rows that are believed become null, by table."""
CAR_REJECTED = (f"speed_over_{SPEED_REJECTED}", REPEATED)
PLACE_REJECTED = (REPEATED,)
"""Why rows are not believed."""
SPEED_FLAG = f"speed_over_{SPEED_WARNED}"


@dataclass(frozen=True, slots=True)
class Lines:
    """Where the messages of rows stand, by number of message.

    Attributes:
        files: file of each.
        rows: line of each.
    """

    files: Sequence[str]
    rows: Sequence[int]


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of a table: rows given = rows + rejected + those of other cars.

    Attributes:
        frame: the table's columns in the table's order.
        rejected: rows not believed, as delivered, with `reasons` and source_row.
        other_cars: rows by number of cars that do not take part.
        nulled: values made null by reason.
        warned: rows flagged, by rule.
    """

    frame: pl.DataFrame
    rejected: pl.DataFrame
    other_cars: Counter[int]
    nulled: Counter[str]
    warned: Counter[str]


def car_rows(
    delivered: pl.DataFrame,
    origin: Origin,
    lines: Lines,
    drivers: Collection[int] = (),
    moments: Moments | None = None,
) -> Measured:
    """Rows of f1_telemetry of decoded car data.

    Args:
        drivers: numbers of DriverList. moments: that rows before these had, which are repeated.
    """
    taking_part, other_cars = _of_race(delivered, drivers)
    fast = (pl.col("speed_kmh") > SPEED_REJECTED).fill_null(False)
    believed, rejected = _believed(
        taking_part,
        dict(zip(CAR_REJECTED, (fast, _repeated(taking_part, moments)), strict=True)),
        lines,
    )
    warned = (pl.col("speed_kmh") > SPEED_WARNED).fill_null(False)
    metres = (pl.col("speed_kmh") / (3.6 * SPEED_STEP)).round() * SPEED_STEP
    cleared, nulled = _clear(believed, _CAR_CODES, CAR_NULLED)
    frame = cleared.select(
        *_of_origin(origin, lines),
        metres.alias("speed"),
        _listed(warned.cast(pl.UInt16), (SPEED_FLAG,)).alias("flags"),
        *(name for name in F1_TELEMETRY.columns if name in cleared.columns),
    ).select(*F1_TELEMETRY.columns)
    flags = Counter({SPEED_FLAG: believed.select(warned.sum()).item()})
    return Measured(frame, rejected, other_cars, nulled, +flags)


def position_rows(
    delivered: pl.DataFrame,
    origin: Origin,
    lines: Lines,
    drivers: Collection[int] = (),
    moments: Moments | None = None,
) -> Measured:
    """Rows of f1_positions of decoded positions; arguments as of `car_rows`."""
    taking_part, other_cars = _of_race(delivered, drivers)
    statuses = pl.col("status").is_in(["OnTrack", "OffTrack"])
    unknown = _Code("status", "status_unknown", pl.col("status").is_not_null() & ~statuses)
    believed, rejected = _believed(taking_part, {REPEATED: _repeated(taking_part, moments)}, lines)
    cleared, nulled = _clear(believed, (*_PLACE_CODES, unknown), PLACE_NULLED)
    frame = cleared.select(
        *_of_origin(origin, lines),
        *(
            ((pl.col(f"{axis}_dm") / (10 * PLACE_STEP)).round() * PLACE_STEP).alias(axis)
            for axis in "xyz"
        ),
        pl.lit([], dtype=pl.List(pl.String)).alias("flags"),
        *(name for name in F1_POSITIONS.columns if name in cleared.columns),
    ).select(*F1_POSITIONS.columns)
    return Measured(frame, rejected, other_cars, nulled, Counter())


def _of_race(
    delivered: pl.DataFrame, drivers: Collection[int]
) -> tuple[pl.DataFrame, Counter[int]]:
    numbers = sorted(drivers) if drivers else list(RACE_CARS)
    taking_part = pl.col("driver_number").is_in(numbers)
    others = delivered.filter(~taking_part)
    if others.is_empty():
        return delivered, Counter()
    counted = others.group_by("driver_number").len().sort("driver_number")
    return delivered.filter(taking_part), Counter(dict(counted.iter_rows()))


def _repeated(rows: pl.DataFrame, moments: Moments | None) -> pl.Expr:
    """Whether a car was told of at that moment before: a feed that reconnects repeats itself."""
    moment = pl.col("timestamp").dt.timestamp("us") * 1000 + pl.col("driver_number")
    return pl.lit((moments or Moments()).again(rows.select(moment).to_series()))


def _believed(
    rows: pl.DataFrame, reasons: Mapping[str, pl.Expr], lines: Lines
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows nothing speaks against, and the others with what does."""
    bits = pl.sum_horizontal(
        when.cast(pl.UInt16) * (1 << bit) for bit, when in enumerate(reasons.values())
    )
    judged = rows.with_columns(bits.cast(pl.UInt16).alias("reasons"))
    against = pl.col("reasons") > 0
    rejected = judged.filter(against).with_columns(
        _source_row(lines), _listed(pl.col("reasons"), tuple(reasons)).alias("reasons")
    )
    return judged.filter(~against).drop("reasons"), rejected


def _clear(
    rows: pl.DataFrame, codes: Sequence[_Code], reasons: Sequence[str]
) -> tuple[pl.DataFrame, Counter[str]]:
    """The rows with codes made null and `nulled` telling which, and how often each was."""
    found = {code.reason: code.when.fill_null(False) for code in codes}
    bits = pl.sum_horizontal(
        pl.when(found[reason]).then(pl.lit(1 << bit, pl.UInt16)).otherwise(pl.lit(0, pl.UInt16))
        for bit, reason in enumerate(reasons)
    )
    by_column: dict[str, pl.Expr] = {}
    for code in codes:
        when = code.when.fill_null(False)
        by_column[code.column] = by_column[code.column] | when if code.column in by_column else when
    cleared = rows.with_columns(
        bits.alias("nulled"),
        *(pl.when(~when).then(pl.col(column)).alias(column) for column, when in by_column.items()),
    )
    counts: Counter[str] = Counter()
    for mask, rows_so in cleared.get_column("nulled").value_counts().iter_rows():
        counts.update({reason: rows_so for bit, reason in enumerate(reasons) if mask >> bit & 1})
    return cleared.with_columns(_listed(pl.col("nulled"), reasons)), counts


def _listed(bits: pl.Expr, names: Sequence[str]) -> pl.Expr:
    """Lists of the names whose bits are set."""
    return bits.map_batches(_every(tuple(names)).gather, return_dtype=pl.List(pl.String))


@cache
def _every(names: tuple[str, ...]) -> pl.Series:
    """Every list of some of the names, by its bits."""
    lists = [
        [name for bit, name in enumerate(names) if mask >> bit & 1]
        for mask in range(1 << len(names))
    ]
    return pl.Series("lists", lists, dtype=pl.List(pl.String))


def _of_origin(origin: Origin, lines: Lines) -> list[pl.Expr]:
    return [
        pl.lit(str(origin.session)).alias("session"),
        pl.lit(origin.session.date).alias("date"),
        pl.lit(origin.source).alias("source"),
        pl.lit(origin.simulated).alias("simulated"),
        _source_file(lines),
        _source_row(lines),
    ]


def _source_row(lines: Lines) -> pl.Expr:
    rows = pl.Series("rows", lines.rows, dtype=pl.Int64)
    return pl.col("message").map_batches(rows.gather, return_dtype=pl.Int64).alias("source_row")


def _source_file(lines: Lines) -> pl.Expr:
    if len(set(lines.files)) == 1:
        return pl.lit(lines.files[0]).alias("source_file")
    files = pl.Series("files", lines.files, dtype=pl.String)
    return pl.col("message").map_batches(files.gather, return_dtype=pl.String).alias("source_file")
