"""How often cars were told of, minute by minute.

Belongs here: this picture. Does not belong here: what is done about gaps (telemetry/resample.py).
"""

# pyright: reportUnknownMemberType=false
# matplotlib's keywords have no types

from __future__ import annotations

import numpy as np
import polars as pl

from ngsim_assets.f1.assessment.scans import SessionScans
from ngsim_assets.f1.telemetry.rates import rates
from ngsim_assets.quality import drawing
from ngsim_assets.quality.drawing import REPORT, Picture, Sheet

_BINS = 120
_SHORTEST = 10.0
"""s of a part: in shorter ones a row more or less is seen as a change of the rate."""


def telemetry_rate(scans: SessionScans, *, sheet: Sheet = REPORT) -> Picture | None:
    """Rows a second and car over time, and the longest gap of each car; None without telemetry."""
    tables = {"car data": scans.telemetry, "positions": scans.positions}
    told = {
        name: scan.select("driver_number", "timestamp").collect()
        for name, scan in tables.items()
        if scan is not None
    }
    told = {name: rows for name, rows in told.items() if rows.height}
    if not told:
        return None
    figure, (over_time, gaps) = sheet.stacked([2.0, 1.9], between=0.95)
    first = min(_epoch(rows).min() for rows in told.values())
    last = max(_epoch(rows).max() for rows in told.values())
    span = max(1.0, last - first)
    parts = int(np.clip(span / _SHORTEST, 1, _BINS))
    edges = np.linspace(0.0, span, parts + 1)
    worst: list[str] = []
    for place, (name, rows) in enumerate(told.items()):
        cars = rates(rows)
        counts = np.histogram(_epoch(rows) - first, edges)[0]
        colour = drawing.SERIES[place]
        over_time.stairs(
            counts / np.diff(edges) / cars.height,
            edges / 60,
            color=colour,
            linewidth=(2.6 - 1.4 * place) * sheet.unit,
            label=name,
        )
        longest = cars["longest_gap_ms"].fill_null(0.0).to_numpy() / 1000
        places = np.arange(cars.height) + 0.4 * (place - (len(told) - 1) / 2)
        gaps.bar(places, longest, width=0.38, color=colour, label=name)
        worst.append(f"{longest.max():.2g} s in {name}")
        gaps.set_xticks(np.arange(cars.height), [str(car) for car in cars["driver_number"]])
    gaps.tick_params(axis="x", labelsize=0.75 * sheet.small)
    gaps.grid(visible=False, axis="x")
    over_time.set_ylim(bottom=0)
    for axis in (over_time, gaps):
        axis.yaxis.set_major_locator(drawing.few(5))
    sheet.title(over_time, "Rate")
    sheet.title(gaps, "Longest gap of each car")
    sheet.legend(over_time, place="above")
    sheet.label(over_time, x="minutes from the first row", y="Hz per car")
    sheet.label(gaps, x="car", y="s")
    return Picture(
        name="telemetry-rate",
        title="Telemetry",
        alt=(
            "Above, rows of telemetry per second and car over time; below, bars of the longest "
            f"time without a row, per car: at most {' and '.join(worst)}."
        ),
        caption=(
            f"Rows in {parts} equal parts of the time from the first row to the last, over all "
            "cars told of. The feed has about four a second."
        ),
        figure=figure,
    )


def _epoch(rows: pl.DataFrame) -> np.ndarray:
    return rows["timestamp"].dt.epoch("us").to_numpy() / 1e6
