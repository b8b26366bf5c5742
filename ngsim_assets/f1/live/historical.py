"""What the store holds already of a session that is received: first laps that no feed tells.

Belongs here: looking it up. Does not belong here: asking any service (sources/historical.py).
"""

from __future__ import annotations

import polars as pl

from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.sources.historical_file import SOURCE, tables


def first_laps(store: DownloadStore, key: SessionKey) -> dict[int, int]:
    """Times of the first lap per car, ms, where FastF1 read the session before; mostly none."""
    held = store.held(SOURCE, f"{key}/fastf1")
    if held is None:
        return {}
    _, told = tables(held.artifacts)
    if "laps" not in told:
        return {}
    first = told["laps"].frame.filter(
        pl.col("lap_number") == 1, pl.col("lap_time_ms").is_not_null()
    )
    return dict(first.select("driver_number", "lap_time_ms").iter_rows())
