"""Car data at a steady rate: made, never measured, and marked so.

Belongs here: interpolation within gaps, last values, and the limit of both. Does not belong here:
the rows it is made of (ranges.py), which are never replaced by it.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.f1.telemetry.errors import RateOutOfRange
from ngsim_assets.f1.telemetry.model import F1_TELEMETRY_RESAMPLED

RATES = (10.0, 60.0)
"""Lowest and highest rate, Hz."""

GAP_LIMIT_MS = 600
"""Longest gap that is bridged. In a real session the median gap is 240 ms, the 99th percentile
480 and the longest 1.2 s."""

INTERPOLATED = ("rpm", "speed", "throttle")
"""Channels that have values in between."""

HELD = ("gear", "brake", "drs")
"""Channels that have not: their last value holds."""

_STEPS = {name: column.resolution or 1.0 for name, column in F1_TELEMETRY_RESAMPLED.columns.items()}
_Micros = NDArray[np.int64]


def resample(rows: pl.DataFrame, rate: float, *, gap_limit_ms: int = GAP_LIMIT_MS) -> pl.DataFrame:
    """Rows of f1_telemetry_resampled: per car one every 1/rate s, from its first to its last.

    Instants are whole multiples of 1/rate since 1970, so cars share them. A value is null where
    the measured ones around it are further apart than `gap_limit_ms`; instants at which no channel
    has a value are left out.

    Raises RateOutOfRange for a rate beyond RATES.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise RateOutOfRange(rate, RATES)
    parts = [
        _resampled(car, rate, gap_limit_ms)
        for car in rows.sort("driver_number", "timestamp").partition_by(
            "session", "driver_number", maintain_order=True
        )
    ]
    empty = pl.DataFrame(schema=F1_TELEMETRY_RESAMPLED.schema)
    return pl.concat([empty, *parts])


def _resampled(car: pl.DataFrame, rate: float, gap_limit_ms: int) -> pl.DataFrame:
    car = car.unique("timestamp", keep="last", maintain_order=True)
    times = car.get_column("timestamp").dt.timestamp("us").to_numpy()
    first = int(np.ceil(times[0] * 1e-6 * rate))
    last = int(np.floor(times[-1] * 1e-6 * rate))
    instants = np.round(np.arange(first, last + 1) * (1e6 / rate)).astype(np.int64)
    limit = gap_limit_ms * 1000
    columns: dict[str, pl.Series] = {}
    for name in (*INTERPOLATED, *HELD):
        values = car.get_column(name)
        known = values.is_not_null().to_numpy()
        way = _interpolated if name in INTERPOLATED else _held
        made = way(times[known], values.drop_nulls().to_numpy().astype(float), instants, limit)
        step = _STEPS[name]
        columns[name] = pl.Series(name, np.round(made / step) * step, nan_to_null=True).cast(
            F1_TELEMETRY_RESAMPLED.schema[name]
        )
    frame = pl.DataFrame({"timestamp": instants, **columns})
    return (
        frame.filter(pl.any_horizontal(pl.col(*INTERPOLATED, *HELD).is_not_null()))
        .with_columns(
            pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            *(
                pl.lit(car.item(0, name), F1_TELEMETRY_RESAMPLED.schema[name]).alias(name)
                for name in ("session", "date", "driver_number", "simulated")
            ),
            pl.lit(value=True).alias("resampled"),
            pl.lit(float(rate)).alias("rate_hz"),
            pl.lit(gap_limit_ms, pl.Int32).alias("gap_limit_ms"),
        )
        .select(*F1_TELEMETRY_RESAMPLED.columns)
    )


def _interpolated(
    times: _Micros, values: NDArray[np.float64], instants: _Micros, limit: int
) -> NDArray[np.float64]:
    """Straight lines between neighbours no further apart than `limit`; elsewhere NaN."""
    if not len(times):
        return np.full(len(instants), np.nan)
    right = np.searchsorted(times, instants, side="left")
    inside = right < len(times)
    right = np.minimum(right, len(times) - 1)
    exact = times[right] == instants
    left = np.where(exact, right, right - 1)
    bridged = (left >= 0) & inside & (times[right] - times[left] <= limit)
    share = (instants - times[left]) / np.maximum(times[right] - times[left], 1)
    made = values[left] + share * (values[right] - values[left])
    return np.where(bridged, made, np.nan)


def _held(
    times: _Micros, values: NDArray[np.float64], instants: _Micros, limit: int
) -> NDArray[np.float64]:
    """The last value, if it is no older than `limit`; elsewhere NaN."""
    if not len(times):
        return np.full(len(instants), np.nan)
    last = np.searchsorted(times, instants, side="right") - 1
    fresh = (last >= 0) & (instants - times[last] <= limit)
    return np.where(fresh, values[last], np.nan)
