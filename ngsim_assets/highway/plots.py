"""Pictures of a recording, before and after cleaning.

Belongs here: which pictures a report has, and those that are histograms. Does not belong here:
how pictures look (drawing.py), kernels (raster.py), metrics (assess.py).

Every function takes scans or frames of one recording in the columns of `validated_points` and
`cleaned_trajectories`, reads only the columns it shows, and returns a Figure of the report.
matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ngsim_assets.highway.assessment import track_measures
from ngsim_assets.highway.assessment.metrics import JERK_LIMIT, MINIMUM_POINTS
from ngsim_assets.highway.assessment.track_measures import Floats, Tracks
from ngsim_assets.highway.pictures import drawing, raster
from ngsim_assets.highway.pictures.time_space import time_space
from ngsim_assets.highway.pictures.vehicle_panel import one_vehicle
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality.report import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def recording_figures(
    validated: pl.LazyFrame, cleaned: pl.LazyFrame, site: Site
) -> tuple[Figure, ...]:
    """Every picture of a report, in its order."""
    return (
        time_space(cleaned, site),
        distributions(validated, cleaned),
        jerk_distribution(validated, cleaned),
        one_vehicle(validated, cleaned),
        completeness(validated, cleaned),
    )


def distributions(validated: pl.LazyFrame, cleaned: pl.LazyFrame) -> Figure:
    """Speed and acceleration, delivered and cleaned, in the same bins."""
    figure, (fast, hard) = drawing.stacked([2.1, 2.1], between=0.85)
    read = [
        Tracks.of(part, raster.COLUMNS).read("speed", "acceleration")
        for part in (validated, cleaned)
    ]
    top = max(raster.speed_scale_end(speed) for speed, _ in read) * 1.2
    for (speed, acceleration), style in zip(read, drawing.STYLES, strict=True):
        _steps(fast, speed, 0.0, top, 60, style)
        _steps(hard, acceleration, -6.0, 6.0, 80, style)
    drawing.title(fast, "Speed")
    drawing.label(fast, x="speed, m/s", y="points, %")
    fast.set_ylim(bottom=0)
    drawing.legend(fast, place="above")
    drawing.title(hard, "Acceleration")
    drawing.label(hard, x="acceleration, m/s²", y="points, % (log)")
    _logarithmic(hard)
    drawing.legend(hard, place="above")
    return Figure(
        name="distributions",
        title="Speed and acceleration before and after",
        alt=(
            "Two histograms, each with a grey area for delivered and a blue line for cleaned "
            "values: speed, and acceleration on a logarithmic scale."
        ),
        caption=(
            "Share of points per bin, the same bins before and after. Accelerations beyond "
            "±6 m/s² are counted in the outermost bins."
        ),
        media_type="image/png",
        data=drawing.png(figure),
    )


def jerk_distribution(validated: pl.LazyFrame, cleaned: pl.LazyFrame) -> Figure:
    """Jerk by Punzo's definition, delivered and cleaned, in the same bins."""
    figure, [axis] = drawing.stacked([2.8])
    over: list[str] = []
    for part, style in zip((validated, cleaned), drawing.STYLES, strict=True):
        tracks = Tracks.of(part, raster.COLUMNS)
        [acceleration] = tracks.read("acceleration")
        jerk = raster.differences(tracks.starts, tracks.frame, acceleration)
        lengths = np.diff(tracks.starts)
        jerk[np.repeat(lengths < MINIMUM_POINTS, lengths)] = np.nan
        _steps(axis, jerk, -60.0, 60.0, 120, style)
        samples = int((~np.isnan(jerk)).sum())
        share = 100 * track_measures.exceeding(jerk, JERK_LIMIT) / samples if samples else 0.0
        over.append(f"{style.name} {share:.2g} %")
    for limit in (-JERK_LIMIT, JERK_LIMIT):
        axis.axvline(limit, color=drawing.MARK, linewidth=1.2, linestyle="--")
    drawing.title(axis, f"Over ±{JERK_LIMIT:g} m/s³: {', '.join(over)}")
    drawing.label(axis, x="jerk, m/s³", y="samples, % (log)")
    _logarithmic(axis)
    drawing.legend(axis)
    return Figure(
        name="jerk",
        title="Jerk before and after",
        alt=(
            "Histogram of jerk on a logarithmic scale: a grey area for delivered, a blue line "
            f"for cleaned values; dashed lines at ±15 m/s³. Over it: {', '.join(over)}."
        ),
        caption=(
            "Change of acceleration between consecutive frames / 0.1 s, trajectories of at least "
            f"{MINIMUM_POINTS} points. Dashed: ±{JERK_LIMIT:g} m/s³ (Punzo et al. 2011). Values "
            "beyond ±60 m/s³ are counted in the outermost bins."
        ),
        media_type="image/png",
        data=drawing.png(figure),
    )


def completeness(validated: pl.LazyFrame, cleaned: pl.LazyFrame) -> Figure:
    """Trajectories by share of frames seen, and gaps by length, before and after."""
    figure, (shares, gaps) = drawing.stacked([1.9, 1.9], between=0.85)
    parts = [Tracks.of(part, raster.COLUMNS) for part in (validated, cleaned)]
    edges = np.array([0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0])
    ends = np.array([0, 1, 5, 10, 20, 50])
    for k, (tracks, style) in enumerate(zip(parts, drawing.STYLES, strict=True)):
        x, y = tracks.read("x", "y")
        spans = track_measures.spans(tracks, x, y)
        seen = spans["seen"].to_numpy() / (spans["seen"] + spans["missing"]).to_numpy()
        classes = np.searchsorted(edges, seen, side="right") - 1
        _bars(shares, np.bincount(classes, minlength=len(edges)), k, style)
        lengths = np.searchsorted(ends, raster.gap_lengths(tracks), side="left") - 1
        _bars(gaps, np.bincount(lengths, minlength=len(ends)), k, style)
    below = [f"{100 * a:g}–{100 * b:g}" for a, b in pairwise(edges)]
    shares.set_xticks(range(len(edges)), [*below, "100"])
    drawing.title(shares, "Trajectories by frames seen")
    drawing.label(shares, x="frames seen between first and last, %", y="trajectories")
    gaps.set_xticks(range(len(ends)), ["0.1", "0.2–0.5", "0.6–1", "1.1–2", "2.1–5", "over 5"])
    drawing.title(gaps, "Gaps by length")
    drawing.label(gaps, x="length of gap, s", y="gaps")
    for axis in (shares, gaps):
        axis.grid(visible=False, axis="x")
        axis.margins(y=0.18)
        axis.yaxis.set_major_locator(_whole_numbers())
    drawing.legend(shares, place="above")
    drawing.legend(gaps, place="above")
    return Figure(
        name="completeness",
        title="Completeness before and after",
        alt=(
            "Two bar charts, grey delivered and blue cleaned: trajectories by share of frames "
            "seen between first and last, and gaps inside trajectories by length."
        ),
        caption=(
            "Frames seen against frames between a vehicle's first and last one; the last class "
            "is complete. Gaps left after cleaning were longer than it fills."
        ),
        media_type="image/png",
        data=drawing.png(figure),
    )


def _steps(
    axis: Axes,
    values: Floats,
    low: float,
    high: float,
    bins: int,
    style: drawing.Style,
) -> None:
    counts = raster.histogram(values, low, high, bins)
    share = 100 * counts / max(1, counts.sum())
    edges = np.linspace(low, high, bins + 1)
    axis.stairs(
        share,
        edges,
        fill=style.filled,
        color=style.colour,
        alpha=0.55 if style.filled else 1.0,
        linewidth=1.6,
        label=style.name,
    )
    axis.set_xlim(low, high)


def _logarithmic(axis: Axes) -> None:
    """A percent axis over decades, with room for the legend above 100."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_ylim(1e-4, 1e3)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(FixedLocator([1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())


def _whole_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, integer=True)


def _bars(axis: Axes, counts: Any, k: int, style: drawing.Style) -> None:
    places = np.arange(len(counts)) + 0.4 * (k - 0.5)
    bars = axis.bar(places, counts, width=0.38, color=style.colour, label=style.name)
    axis.bar_label(bars, [f"{n:,}" if n else "" for n in counts], fontsize=drawing.SMALL - 1.5)
