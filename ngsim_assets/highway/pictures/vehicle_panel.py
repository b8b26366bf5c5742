"""One vehicle before and after cleaning: positions, speed, acceleration and jerk over time.

Belongs here: this one picture, and which vehicle it shows. Does not belong here: how pictures
look in general (quality/drawing.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ngsim_assets.highway.assessment.metrics import JERK_LIMIT, MINIMUM_POINTS
from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Tracks
from ngsim_assets.highway.pictures import raster
from ngsim_assets.highway.pictures.recording import Recording
from ngsim_assets.quality import drawing
from ngsim_assets.quality.drawing import REPORT, STYLES, Picture, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = ("y, m", "y moved, m", "x, m", "v, m/s", "a, m/s²", "jerk, m/s³")


def one_vehicle(
    recording: Recording, *, vehicle_id: int | None = None, sheet: Sheet = REPORT
) -> Picture:
    """Positions, speed, acceleration and jerk of one vehicle, delivered and cleaned.

    Without `vehicle_id`, the one of at least 100 points with most repaired and imputed points
    (then the largest residual, then the smallest number).
    """
    chosen = _most_changed(recording.cleaned) if vehicle_id is None else vehicle_id
    before, after = (recording.vehicle(stage, chosen) for stage in ("validated", "cleaned"))
    seen, made = _motion(before), _motion(after)
    first = min((int(tracks.frame[0]) for tracks in (before, after) if len(tracks)), default=0)

    figure, axes = sheet.stacked([1.15] * 6, between=0.16, top=0.5)
    moved_axis = axes[1]
    panels = {
        "y": axes[0],
        "x": axes[2],
        "speed": axes[3],
        "acceleration": axes[4],
        "jerk": axes[5],
    }
    for tracks, values, style in zip((before, after), (seen, made), STYLES, strict=True):
        time = _broken(tracks, (tracks.frame - first) * FRAME)
        # a single frame is no line
        mark = "." if len(time) < 2 else None
        for quantity, axis in panels.items():
            axis.plot(
                time,
                _broken(tracks, values[quantity]),
                color=style.colour,
                linewidth=style.line * sheet.unit,
                marker=mark,
                label=style.name,
            )
    _moved(moved_axis, (before, seen["y"]), (after, made["y"]), first, sheet)
    for axis, text in zip(axes, _LABELS, strict=True):
        _mark_points(axis, after, first, sheet)
        sheet.label(axis, y=text)
        axis.yaxis.set_label_coords(-0.105, 0.5)
        axis.margins(x=0.01)
        axis.tick_params(labelbottom=axis is axes[-1])
        axis.yaxis.set_major_locator(drawing.few(4))
        axis.ticklabel_format(axis="y", useOffset=False)
    axes[-1].axhspan(-JERK_LIMIT, JERK_LIMIT, color=drawing.FAINT, alpha=0.5, zorder=0)
    sheet.label(axes[-1], x="time since the vehicle's first frame, s")
    seen_at_all = len(before) + len(after) > 0
    shown = f"Vehicle {chosen}" if seen_at_all else "No vehicle"
    sheet.title(axes[0], shown)
    if seen_at_all:
        _legend(axes[0], after, sheet)
    return Picture(
        name="one-vehicle",
        title="One vehicle before and after",
        alt=(
            f"Six panels over time for {shown.lower()}: position along, cleaned less delivered "
            "position, lateral position, speed, acceleration, jerk; grey delivered, blue cleaned."
        ),
        caption=(
            shown
            + (", the one that cleaning changed most" if seen_at_all and vehicle_id is None else "")
            + ". 'y moved' is cleaned less delivered position. Orange: imputed stretches; black "
            f"ticks: repaired points. Grey band in the last panel: ±{JERK_LIMIT:g} m/s³."
        ),
        figure=figure,
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


def _moved(
    axis: Axes,
    before: tuple[Tracks, Floats],
    after: tuple[Tracks, Floats],
    first: int,
    sheet: Sheet,
) -> None:
    (delivered, seen), (cleaned, made) = before, after
    frames, here, there = np.intersect1d(delivered.frame, cleaned.frame, return_indices=True)
    time = (frames - first) * FRAME
    axis.axhline(0, color=drawing.BEFORE, linewidth=1.2 * sheet.unit)
    axis.plot(time, made[there] - seen[here], ".", color=drawing.AFTER, markersize=2.5 * sheet.unit)


def _mark_points(axis: Axes, after: Tracks, first: int, sheet: Sheet) -> None:
    """Imputed stretches as bands, repaired points as ticks at the bottom: one artist each."""
    imputed, repaired = after.read("imputed", "repaired")
    time = (after.frame - first) * FRAME
    edges = np.flatnonzero(np.diff(np.r_[False, imputed, False].astype(np.int8)))
    bands = [
        (float(time[start]) - FRAME / 2, (end - start) * FRAME)
        for start, end in edges.reshape(-1, 2)
    ]
    place = axis.get_xaxis_transform()
    axis.broken_barh(bands, (0, 1), transform=place, color=drawing.IMPUTED, alpha=0.3, linewidth=0)
    axis.vlines(
        time[repaired],
        0,
        0.09,
        transform=place,
        color=drawing.REPAIRED,
        linewidth=1.2 * sheet.unit,
    )


def _legend(axis: Axes, after: Tracks, sheet: Sheet) -> None:
    """The lines, and the marks that there are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    imputed, repaired = after.read("imputed", "repaired")
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=style.colour, linewidth=2 * sheet.unit, label=style.name)
        for style in STYLES
    ]
    if imputed.any():
        handles.append(Patch(color=drawing.IMPUTED, alpha=0.3, linewidth=0, label="imputed"))
    if repaired.any():
        handles.append(Patch(color=drawing.REPAIRED, label="repaired"))
    sheet.keys(axis, handles)
