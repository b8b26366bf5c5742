"""Histograms: speed, acceleration, jerk, headways and residuals.

Belongs here: pictures that count values in bins. Does not belong here: how pictures look in
general (quality/drawing.py), counting (raster.py).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ngsim_assets.highway.assessment import track_measures
from ngsim_assets.highway.assessment.autocorrelation import autocorrelation
from ngsim_assets.highway.assessment.metrics import JERK_LIMIT, MINIMUM_POINTS
from ngsim_assets.highway.assessment.track_measures import Floats
from ngsim_assets.highway.pictures import raster
from ngsim_assets.highway.pictures.recording import Recording, Stage
from ngsim_assets.quality import drawing
from ngsim_assets.quality.drawing import REPORT, STYLES, Picture, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGES: tuple[Stage, Stage] = ("validated", "cleaned")
_MOST_LANES = 7
_LANE_SHARE = 0.005  # of all headways, and
_LEAST_POINTS = 100  # of them: lanes with less are not drawn
_LONGEST_HEADWAY = 8.0  # s: beyond it nobody follows (Highway Capacity Manual: 3 s and less)
_FARTHEST_LEADER = 80.0  # m: what 8 s are at 10 m/s


def distributions(recording: Recording, *, sheet: Sheet = REPORT) -> Picture:
    """Speed and acceleration, delivered and cleaned, in the same bins."""
    figure, (fast, hard) = sheet.stacked([2.1, 2.1], between=0.85)
    read = [recording.tracks(stage).read("speed", "acceleration") for stage in STAGES]
    top = max(raster.speed_scale_end(speed) for speed, _ in read) * 1.2
    for (speed, acceleration), style in zip(read, STYLES, strict=True):
        _steps(fast, speed, (0.0, top, 60), style, sheet)
        _steps(hard, acceleration, (-6.0, 6.0, 80), style, sheet)
    sheet.title(fast, "Speed")
    sheet.label(fast, x="speed, m/s", y="points, %")
    fast.set_ylim(bottom=0)
    sheet.legend(fast, place="above")
    sheet.title(hard, "Acceleration")
    sheet.label(hard, x="acceleration, m/s²", y="points, % (log)")
    _logarithmic(hard)
    sheet.legend(hard, place="above")
    return Picture(
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
        figure=figure,
    )


def jerk_distribution(recording: Recording, *, sheet: Sheet = REPORT) -> Picture:
    """Jerk by Punzo's definition, delivered and cleaned, in the same bins."""
    figure, [axis] = sheet.stacked([2.8])
    over: list[str] = []
    for stage, style in zip(STAGES, STYLES, strict=True):
        tracks = recording.tracks(stage)
        [acceleration] = tracks.read("acceleration")
        jerk = raster.differences(tracks.starts, tracks.frame, acceleration)
        lengths = np.diff(tracks.starts)
        jerk[np.repeat(lengths < MINIMUM_POINTS, lengths)] = np.nan
        _steps(axis, jerk, (-60.0, 60.0, 120), style, sheet)
        samples = int((~np.isnan(jerk)).sum())
        share = 100 * track_measures.exceeding(jerk, JERK_LIMIT) / samples if samples else 0.0
        over.append(f"{style.name} {share:.2g} %")
    for limit in (-JERK_LIMIT, JERK_LIMIT):
        axis.axvline(limit, color=drawing.LIMIT, linewidth=1.2 * sheet.unit, linestyle="--")
    sheet.title(axis, f"Over ±{JERK_LIMIT:g} m/s³: {', '.join(over)}")
    sheet.label(axis, x="jerk, m/s³", y="samples, % (log)")
    _logarithmic(axis)
    sheet.legend(axis)
    return Picture(
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
        figure=figure,
    )


def headways(
    recording: Recording, *, lanes: Collection[int] | None = None, sheet: Sheet = REPORT
) -> Picture:
    """Space and time headways, delivered and cleaned, and cleaned time headways per lane.

    Without `lanes`, all; the last panel shows at most seven.
    """
    figure, (space, time, each) = sheet.stacked([1.8, 1.8, 1.8], between=0.85)
    numbers = {"space": np.empty(0), "time": np.empty(0)}
    bins = {"space": (0.0, _FARTHEST_LEADER, 80), "time": (0.0, _LONGEST_HEADWAY, 80)}
    medians: dict[str, list[str]] = {"space": [], "time": []}
    lane = np.empty(0, np.int32)
    for stage, style in zip(STAGES, STYLES, strict=True):
        far, long, lane = recording.tracks(stage).read("space_headway", "time_headway", "lane")
        if lanes is not None:
            kept = np.isin(lane, list(lanes))
            far, long, lane = far[kept], long[kept], lane[kept]
        numbers = {"space": far, "time": long}
        for name, axis in (("space", space), ("time", time)):
            known = numbers[name][~np.isnan(numbers[name])]
            counted = replace(style, name=f"{style.name}, {len(known):,} points")
            _steps(axis, known, bins[name], counted, sheet, beyond=False)
            if len(known):
                medians[name].append(f"{np.median(known):.3g}")
    _per_lane(each, lane, numbers["time"], bins["time"], sheet)
    for name, axis, unit in (("space", space, "m"), ("time", time, "s")):
        found = medians[name]
        heading = f"{name.capitalize()} headway"
        told = f": median {' → '.join(found)} {unit}" if found else ": none known"
        sheet.title(axis, heading + told)
        sheet.label(axis, x=f"{name} headway, {unit}", y="points, %")
        axis.set_ylim(bottom=0)
        if found:
            sheet.legend(axis, columns=1)
        else:
            sheet.note(axis, "no vehicle has one")
    sheet.label(each, x="time headway, s", y="points, %")
    sheet.title(each, "Time headway per lane, cleaned")
    each.set_ylim(bottom=0)
    return Picture(
        name="headways",
        title="Headways before and after",
        alt=(
            "Three histograms: space headway and time headway, each with a grey area for "
            "delivered and a blue line for cleaned values, and cleaned time headway, one line "
            "per lane."
        ),
        caption=(
            "Front to front distance to the vehicle ahead, and that distance over the own speed; "
            f"share of points with a vehicle ahead. More than {_FARTHEST_LEADER:g} m or "
            f"{_LONGEST_HEADWAY:g} s are not drawn, but counted in the whole. Medians: delivered "
            "→ cleaned, which knows a headway only where the vehicle ahead was recorded."
        ),
        figure=figure,
    )


def residuals(recording: Recording, *, sheet: Sheet = REPORT) -> Picture:
    """What cleaning took away: distribution and autocorrelation of the residuals."""
    figure, (shares, memory) = sheet.stacked([2.1, 2.1], between=0.85)
    tracks = recording.tracks("cleaned")
    along, across = tracks.read("residual_along", "residual_across")
    known = np.abs(np.concatenate((along, across)))
    known = known[~np.isnan(known)]
    end = drawing.round_up(float(np.quantile(known, 0.998))) if len(known) else 1.0
    for values, name, colour, dash in (
        (along, "along", drawing.SERIES[0], "-"),
        (across, "lateral", drawing.SERIES[1], "--"),
    ):
        rms = np.sqrt(np.nanmean(values**2)) if (~np.isnan(values)).any() else np.nan
        text = f"{name}, RMS {rms:.2g} m" if np.isfinite(rms) else f"{name}, none"
        line = {"color": colour, "linestyle": dash, "linewidth": 1.6 * sheet.unit}
        counted = _shares(values, (-end, end, 81))
        shares.stairs(counted, np.linspace(-end, end, 82), label=text, **line)
        lags, coefficients = autocorrelation(tracks, values)
        memory.plot(lags, coefficients, label=name, **line)
    memory.axhline(0, color=drawing.INK, linewidth=0.8 * sheet.unit)
    sheet.title(shares, "Residual")
    sheet.label(shares, x="cleaned less delivered position, m", y="points, %")
    shares.set_xlim(-end, end)
    shares.set_ylim(bottom=0)
    shares.xaxis.set_major_locator(drawing.few(5))
    sheet.legend(shares, place="above")
    sheet.title(memory, "Autocorrelation of the residual")
    sheet.label(memory, x="lag, s", y="correlation")
    memory.set_xlim(0, 5)
    memory.set_ylim(-1, 1)
    sheet.legend(memory, place="above")
    return Picture(
        name="residuals",
        title="What cleaning took away",
        alt=(
            "Histogram of cleaned less delivered positions along the section and across it, and "
            "the autocorrelation of both over lags of 0 to 5 s."
        ),
        caption=(
            "Cleaned less delivered position of points kept as observed, all trajectories. "
            "An error without memory has an autocorrelation of 0 from the first lag on; one "
            "that lasts, as a camera's does, falls slowly."
        ),
        figure=figure,
    )


def _per_lane(
    axis: Axes, lane: Any, values: Floats, bins: tuple[float, float, int], sheet: Sheet
) -> None:
    known = ~np.isnan(values) & (lane >= 0)
    found, counts = np.unique(lane[known], return_counts=True)
    kept = sorted(
        int(name)
        for count, name in sorted(zip(-counts, found, strict=True))[:_MOST_LANES]
        if -count >= max(_LEAST_POINTS, _LANE_SHARE * known.sum())
    )
    edges = np.linspace(bins[0], bins[1], bins[2] // 2 + 1)
    for k, name in enumerate(kept):
        own = values[known & (lane == name)]
        share = _shares(own, (bins[0], bins[1], bins[2] // 2), beyond=False)
        axis.plot(
            (edges[1:] + edges[:-1]) / 2,
            share,
            color=drawing.SERIES[k % len(drawing.SERIES)],
            linestyle=("-", "--", "-.")[k % 3],
            linewidth=1.4 * sheet.unit,
            label=f"lane {name}",
        )
    axis.set_xlim(*bins[:2])
    if kept:
        sheet.legend(axis)
    else:
        sheet.note(axis, "too few headways with a lane")


def _shares(values: Floats, bins: tuple[float, float, int], *, beyond: bool = True) -> Floats:
    """Percent of the known values per bin; those beyond are in the outermost bins or in none."""
    low, high, number = bins
    known = int((~np.isnan(values)).sum())
    if not beyond:
        values = np.where((values >= low) & (values < high), values, np.nan)
    return 100 * raster.histogram(values, low, high, number) / max(1, known)


def _steps(
    axis: Axes,
    values: Floats,
    bins: tuple[float, float, int],
    style: drawing.Style,
    sheet: Sheet,
    *,
    beyond: bool = True,
) -> None:
    low, high, number = bins
    axis.stairs(
        _shares(values, bins, beyond=beyond),
        np.linspace(low, high, number + 1),
        fill=style.filled,
        color=style.colour,
        alpha=0.55 if style.filled else 1.0,
        linewidth=1.6 * sheet.unit,
        label=style.name,
    )
    axis.set_xlim(low, high)


def _logarithmic(axis: Axes) -> None:
    """A percent axis over decades, with room for the legend above 100."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_ylim(1e-4, 1e3)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(FixedLocator([1e-3, 1e-2, 0.1, 1, 10, 100]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
