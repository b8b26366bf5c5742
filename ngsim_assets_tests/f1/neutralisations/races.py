"""Laps of made-up races, for the detector."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl


def race(
    laps: int,
    drivers: int,
    slowdown: Callable[[int], float],
    *,
    stops: dict[int, int] | None = None,
    pits_known: bool = True,
) -> pl.DataFrame:
    """Laps of 90 s with a little of everyone's own, times `slowdown` of the lap's number.

    `stops` are the laps at whose end drivers (from 1) pit: 20 s, half on either side of the line.
    """
    rows: list[tuple[int | None, ...]] = []
    for driver in range(1, drivers + 1):
        time = 3_600_000 + 300 * driver
        stop = (stops or {}).get(driver)
        for lap in range(1, laps + 1):
            own = 90_000 + 150 * driver + (lap * 7919 + driver * 104_729) % 600
            into, out = lap == stop, stop is not None and lap == stop + 1
            took = round(own * slowdown(lap)) + 10_000 * (into + out)
            end = time + took
            known_in = end - 8_000 if into and pits_known else None
            known_out = time + 12_000 if out and pits_known else None
            rows.append((driver, lap, took, time, end, known_in, known_out))
            time = end
    columns = ("driver_number", "lap_number", "lap_time_ms", "lap_start_ms", "lap_end_ms")
    schema = dict.fromkeys((*columns, "pit_in_ms", "pit_out_ms"), pl.Int64)
    return pl.DataFrame(rows, schema=schema, orient="row")
