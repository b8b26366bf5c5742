"""One vehicle before and after cleaning: positions, speed, acceleration and jerk over time.

Belongs here: this one picture, and which vehicle it shows. Does not belong here: how pictures
look in general (drawing.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ngsim_assets.highway.assessment.metrics import JERK_LIMIT, MINIMUM_POINTS
from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Tracks
from ngsim_assets.highway.pictures import drawing, raster
from ngsim_assets.quality.report import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = ("y, m", "y off, m", "x, m", "v, m/s", "a, m/s²", "jerk, m/s³")


def one_vehicle(
    validated: pl.LazyFrame, cleaned: pl.LazyFrame, vehicle_id: int | None = None
) -> Figure:
    """Positions, speed, acceleration and jerk of one vehicle, delivered and cleaned.

    Without `vehicle_id`, the one of at least 100 points with most repaired and imputed points
    (then the largest residual, then the smallest number).
    """
    chosen = _most_changed(cleaned) if vehicle_id is None else vehicle_id
    own = pl.col("vehicle_id") == chosen
    before = Tracks.of(validated.filter(own), raster.COLUMNS)
    after = Tracks.of(cleaned.filter(own), raster.COLUMNS | raster.STATE)
    seen, made = _motion(before), _motion(after)
    first = min((int(tracks.frame[0]) for tracks in (before, after) if len(tracks)), default=0)

    figure, axes = drawing.stacked([1.15] * 6, between=0.16, top=0.5)
    residual_axis = axes[1]
    panels = {
        "y": axes[0],
        "x": axes[2],
        "speed": axes[3],
        "acceleration": axes[4],
        "jerk": axes[5],
    }
    for tracks, values, style in zip((before, after), (seen, made), drawing.STYLES, strict=True):
        time = _broken(tracks, (tracks.frame - first) * FRAME)
        for quantity, axis in panels.items():
            shown = _broken(tracks, values[quantity])
            axis.plot(time, shown, color=style.colour, linewidth=style.line, label=style.name)
    _residual(residual_axis, before, after, seen["y"], made["y"], first)
    for axis, text in zip(axes, _LABELS, strict=True):
        _mark_points(axis, after, first)
        drawing.label(axis, y=text)
        axis.yaxis.set_label_coords(-0.105, 0.5)
        axis.margins(x=0.01)
        axis.tick_params(labelbottom=axis is axes[-1])
    axes[-1].axhspan(-JERK_LIMIT, JERK_LIMIT, color=drawing.FAINT, alpha=0.5, zorder=0)
    drawing.label(axes[-1], x="time since the vehicle's first frame, s")
    drawing.title(axes[0], f"Vehicle {chosen}" if len(after) else "No vehicle")
    drawing.legend(axes[0], place="above")
    return Figure(
        name="one-vehicle",
        title="One vehicle before and after",
        alt=(
            f"Six panels over time for vehicle {chosen}: position along, delivered less cleaned "
            "position, lateral position, speed, acceleration, jerk; grey delivered, blue cleaned."
        ),
        caption=(
            f"Vehicle {chosen}"
            + ("" if vehicle_id is not None else ", the one that cleaning changed most")
            + ". 'y off' is delivered less cleaned position. Orange: imputed stretches; orange "
            f"ticks: repaired points. Grey band in the last panel: ±{JERK_LIMIT:g} m/s³."
        ),
        media_type="image/png",
        data=drawing.png(figure),
    )


def _most_changed(cleaned: pl.LazyFrame) -> int:
    changed = (pl.col("state").cast(pl.String) != "observed").sum()
    residual = (pl.col("y_position") - pl.col("y_raw")).pow(2).sum()
    ranked = (
        cleaned.group_by("vehicle_id")
        .agg(points=pl.len(), changed=changed, residual=residual)
        .sort(
            pl.col("points") >= MINIMUM_POINTS,
            "changed",
            pl.col("residual").round(6),
            -pl.col("vehicle_id"),
            descending=True,
        )
        .select("vehicle_id")
        .head(1)
        .collect(engine="streaming")
    )
    return int(ranked.item()) if ranked.height else 0


def _motion(tracks: Tracks) -> dict[str, Floats]:
    names = ("x", "y", "speed", "acceleration")
    values: dict[str, Floats] = dict(zip(names, tracks.read(*names), strict=True))
    values["jerk"] = raster.differences(tracks.starts, tracks.frame, values["acceleration"])
    return values


def _broken(tracks: Tracks, values: Floats) -> Floats:
    """Values with NaN put in where frames are missing, so that no line crosses a gap."""
    gaps = np.flatnonzero(np.diff(tracks.frame) > 1) + 1
    return np.insert(np.asarray(values, np.float64), gaps, np.nan)


def _residual(
    axis: Axes, before: Tracks, after: Tracks, seen: Floats, made: Floats, first: int
) -> None:
    frames, here, there = np.intersect1d(before.frame, after.frame, return_indices=True)
    colour = drawing.BEFORE
    time = (frames - first) * FRAME
    axis.plot(time, seen[here] - made[there], ".", color=colour, markersize=2.5)
    axis.axhline(0, color=drawing.AFTER, linewidth=1.5)


def _mark_points(axis: Axes, after: Tracks, first: int) -> None:
    """Imputed stretches as bands, repaired points as ticks at the bottom: one artist each."""
    imputed, repaired = after.read("imputed", "repaired")
    time = (after.frame - first) * FRAME
    edges = np.flatnonzero(np.diff(np.r_[False, imputed, False].astype(np.int8)))
    bands = [
        (float(time[start]) - FRAME / 2, (end - start) * FRAME)
        for start, end in edges.reshape(-1, 2)
    ]
    place = axis.get_xaxis_transform()
    axis.broken_barh(bands, (0, 1), transform=place, color=drawing.MARK, alpha=0.25, linewidth=0)
    axis.vlines(time[repaired], 0, 0.08, transform=place, color=drawing.MARK, linewidth=1.0)
