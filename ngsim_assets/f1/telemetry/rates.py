"""How often cars are told of: the rate of a feed, and its gaps.

Belongs here: measures of rows in time. Does not belong here: what is done about gaps (resample.py).
"""

from __future__ import annotations

import polars as pl


def rates(rows: pl.DataFrame) -> pl.DataFrame:
    """Rate and gaps per car, of rows of f1_telemetry or f1_positions.

    driver_number, rows, rate_hz (rows a second from the first to the last), median_gap_ms,
    p99_gap_ms, longest_gap_ms; null where a car has one row.
    """
    gap = pl.col("timestamp").diff().dt.total_microseconds() / 1000
    between = (pl.col("timestamp").max() - pl.col("timestamp").min()).dt.total_microseconds()
    return (
        rows.sort("driver_number", "timestamp")
        .group_by("driver_number", maintain_order=True)
        .agg(
            pl.len().alias("rows"),
            pl.when(between > 0).then((pl.len() - 1) * 1e6 / between).alias("rate_hz"),
            gap.median().alias("median_gap_ms"),
            gap.quantile(0.99).alias("p99_gap_ms"),
            gap.max().alias("longest_gap_ms"),
        )
    )
