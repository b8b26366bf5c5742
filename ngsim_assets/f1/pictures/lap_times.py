"""Lap times of every driver over the session, neutralisations shaded.

Belongs here: this picture. Does not belong here: which laps are outliers (assessment/).
"""

# pyright: reportUnknownMemberType=false
# matplotlib's keywords have no types

from __future__ import annotations

import polars as pl

from ngsim_assets.f1.assessment.scans import SessionScans
from ngsim_assets.f1.pictures import shading
from ngsim_assets.quality import drawing
from ngsim_assets.quality.drawing import REPORT, Picture, Sheet

_MARKED = 3
"""Drivers with a colour of their own: more are not told apart."""
_SLOWEST = 1.9
"""Laps over so many medians are standing in the pits or under a red flag, and not drawn."""


def lap_times(scans: SessionScans, *, sheet: Sheet = REPORT) -> Picture | None:
    """Every timed lap at the time it ended: the three fastest drivers marked, all others grey.

    None where no lap has a time.
    """
    axis_of_time = shading.timeline(scans)
    end = shading.end_of_lap(axis_of_time.ran)
    laps = (
        scans.laps.select(
            ((end - axis_of_time.zero) / 60_000).alias("minutes"),
            "driver_number",
            "lap_number",
            pl.coalesce("driver", pl.col("driver_number").cast(pl.String)).alias("driver"),
            (pl.col("lap_time_ms") / 1000).alias("seconds"),
        )
        .drop_nulls("minutes")
        .sort("driver_number", "lap_number")
        .collect()
    )
    slow = pl.col("seconds") > _SLOWEST * pl.col("seconds").median()
    left_out = laps.filter(slow).height
    # a lap that is not drawn interrupts its driver's line
    laps = laps.with_columns(pl.when(~slow).then("seconds").alias("seconds"))
    shown = laps.drop_nulls("seconds")
    if shown.is_empty():
        return None
    figure, [axis] = sheet.stacked([3.4])
    spans = shading.phases(scans, axis_of_time)
    shading.shade(axis, spans)
    best = shown.group_by("driver").agg(pl.min("seconds")).sort("seconds", "driver")["driver"]
    marked = best.head(_MARKED).to_list()
    for [driver], rows in laps.group_by("driver", maintain_order=True):
        place = marked.index(driver) if driver in marked else None
        axis.plot(
            rows["minutes"].to_numpy(),
            rows["seconds"].to_numpy(),
            "o-",
            color=drawing.BEFORE if place is None else drawing.SERIES[place],
            linewidth=(0.4 if place is None else 1.1) * sheet.unit,
            markersize=(1.3 if place is None else 2.2) * sheet.unit,
            alpha=0.6 if place is None else 1.0,
            zorder=2 if place is None else 3,
            label=None if place is None else str(driver),
        )
    axis.set_xlim(*axis_of_time.limits)
    axis.yaxis.set_major_locator(drawing.few(6))
    handles = [*axis.get_legend_handles_labels()[0], *shading.keys_of(code for *_, code in spans)]
    sheet.keys(axis, handles, length=0.9)
    sheet.label(axis, x=axis_of_time.label, y="lap time, s")
    kinds = sorted({shading.STATUSES[code][0] for *_, code in spans})
    return Picture(
        name="lap-times",
        title="Lap times",
        alt=(
            f"{shown.height} lap times in seconds over the minutes of the session, a line per "
            f"driver, with the three fastest coloured; shaded: {', '.join(kinds) or 'nothing'}."
        ),
        caption=(
            f"At the time each lap ended. Coloured: {', '.join(marked)}, with the "
            f"fastest laps; all others grey. {left_out} laps of over {_SLOWEST:g} times the median "
            "are left out: standing in the pits or under a red flag."
        ),
        figure=figure,
    )
