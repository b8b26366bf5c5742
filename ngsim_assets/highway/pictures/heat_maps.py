"""Maps of flow, density and speed over time and space.

Belongs here: these pictures, and which lanes they take together. Does not belong here: Edie's
definitions (traffic.py), waves (flow/waves.py), how pictures look in general (quality/drawing.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ngsim_assets.highway.flow.cells import FALLING, coarser, main_lanes
from ngsim_assets.highway.flow.waves import WaveSpeed
from ngsim_assets.highway.pictures.recording import (
    ALONG,
    CELL_METRES,
    CELL_SECONDS,
    DIRECTIONS,
    Recording,
    TimeAxis,
)
from ngsim_assets.quality import drawing
from ngsim_assets.quality.drawing import REPORT, Picture, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST_AREA = 0.2  # of a cell: with less of it observed, one vehicle more or less is everything

_MET = 0.8  # of a wave's way through the section: a line where nobody was shows no wave
_STREAM_SHARE = 0.005  # of all time spent: directions with less are not drawn


@dataclass(frozen=True)
class _Stream:
    """Lanes that are shown together."""

    title: str
    cells: pl.DataFrame
    together: bool = False  # flow and density of all of them, not their mean
    falls: bool = False  # traffic drives towards smaller y


def heat_maps(
    recording: Recording, *, lanes: Collection[int] | None = None, sheet: Sheet = REPORT
) -> Picture:
    """Edie's flow, density and speed of the cleaned points, three maps below each other.

    Without `lanes`, the mean over the mainline lanes of a freeway; of an arterial, all lanes of
    each direction along the street together. With `lanes`, the mean over those.
    """
    streams = _streams(recording, lanes)
    together = any(stream.together for stream in streams)
    per = "veh/h" if together else "veh/h per lane"
    maps = {
        "flow": (f"flow, {per}", drawing.colours("YlGnBu")),
        "density": (f"density, {per.replace('/h', '/km')}", drawing.colours("magma_r", 0.02, 0.9)),
        "speed": ("speed, m/s", drawing.speed_colours()),
    }
    shown = [(name, stream) for stream in streams for name in maps]
    height = 1.75 if len(streams) == 1 else 1.4
    figure, axes = sheet.stacked([height] * len(shown), between=0.4, right=1.3)
    ends = {name: _end([stream.cells for stream in streams], name) for name in maps}
    for (name, stream), axis in zip(shown, axes, strict=True):
        text, scale = maps[name]
        _draw(axis, stream.cells, name, recording, (scale, ends[name]))
        heading = f"{stream.title}: {name}" if len(streams) > 1 else f"{name.capitalize()}"
        sheet.title(axis, heading if len(streams) > 1 else f"{heading}, {stream.title}")
        if name == "speed":
            _draw_wave(axis, stream, recording, sheet)
        sheet.label(axis, y="y, m")
        axis.tick_params(labelbottom=axis is axes[-1])
        sheet.scale(
            [axis], scale, ends[name], text.replace(", ", ",\n") if len(text) > 20 else text
        )
    sheet.label(axes[-1], x=recording.time.label)
    return Picture(
        name="heat-maps",
        title="Flow, density and speed",
        alt=(
            f"{len(shown)} maps over time and position along the section: flow, density and "
            f"speed of {', '.join(stream.title for stream in streams)}. Flow and density are "
            "pale where low and dark where high; speed is dark where slow."
        ),
        caption=(
            f"Edie's flow, density and speed in cells of {CELL_SECONDS:g} s x {CELL_METRES:g} m, "
            + ("all lanes together. " if together else "mean over the lanes. ")
            + "Grey: nobody there."
            + _told(recording.waves)
        ),
        figure=figure,
    )


def _streams(recording: Recording, lanes: Collection[int] | None) -> list[_Stream]:
    site = recording.site
    cells = coarser(recording.traffic, CELL_SECONDS, CELL_METRES)
    if lanes is not None:
        cells = cells.filter(pl.col("lane_id").is_in(list(lanes)))
        named = f"lane{'s' if len(lanes) > 1 else ''} {', '.join(map(str, sorted(lanes)))}"
    else:
        named = "all lanes"
        main = cells.filter(pl.col("lane_id").is_in(main_lanes(site)))
        if main.height and not site.arterial:
            cells, named = main, "mainline lanes"
    spent = cells.group_by("direction").agg(pl.col("time_spent").sum())
    share = dict(spent.with_columns(pl.col("time_spent") / pl.col("time_spent").sum()).iter_rows())
    ways = [way for way in ALONG if share.get(way, 0.0) >= _STREAM_SHARE]
    if not ways:
        unknown = bool(cells["lane_id"].is_null().all())
        return [_Stream(named, _joined(cells, total=unknown), together=unknown)]
    return [
        _Stream(
            DIRECTIONS[way] if lanes is None else f"{DIRECTIONS[way]}, {named}",
            _joined(cells.filter(pl.col("direction") == way), total=lanes is None),
            together=lanes is None,
            falls=way == FALLING,
        )
        for way in ways
    ]


def _joined(cells: pl.DataFrame, *, total: bool = False) -> pl.DataFrame:
    """Cells of all lanes taken together: their mean, or their total."""
    area = pl.col("duration") * pl.col("cell_length") * pl.col("observed_share")
    distance, spent = pl.col("distance_travelled").sum(), pl.col("time_spent").sum()
    over = area.max() if total else area.sum()
    return (
        cells.group_by("time_start", "y_start")
        .agg(
            flow=distance / over * 3600.0,
            density=spent / over * 1000.0,
            speed=pl.when(spent > 0).then(distance / spent),
            observed=pl.col("observed_share").max(),
        )
        .filter(pl.col("observed") >= _LEAST_AREA)
        .sort("time_start", "y_start")
    )


def _end(parts: Sequence[pl.DataFrame], name: str) -> float:
    """End of a scale that 99.5 % of the cells keep to."""
    values = np.concatenate([part[name].drop_nulls().to_numpy() for part in parts])
    values = values[values > 0]
    return drawing.round_up(float(np.quantile(values, 0.995))) if len(values) else 1.0


def _draw(
    axis: Axes, cells: pl.DataFrame, name: str, recording: Recording, scale: tuple[Any, float]
) -> None:
    """Cells of one quantity in their place, cut at the ends of what was recorded."""
    time, (low, high) = recording.time, recording.place
    values, extent = grid_of(cells, name, time)
    axis.imshow(
        drawing.coloured(values, *scale),
        origin="lower",
        aspect="auto",
        interpolation="none",
        extent=extent,
    )
    axis.set_xlim(0.0, time.end)
    axis.set_ylim(low, high)
    axis.grid(visible=False)
    axis.set_facecolor(drawing.GROUND)
    axis.yaxis.set_major_locator(drawing.few(4))


def grid_of(
    cells: pl.DataFrame, name: str, time: TimeAxis
) -> tuple[Any, tuple[float, float, float, float]]:
    """Values of cells as rows of y and columns of time, and where they lie; NaN is no value.

    Cells where nobody was have no value either: their flow and density of 0 are no colour.
    """
    if cells.is_empty() or time.start is None:
        return np.full((1, 1), np.nan), (0.0, time.end, 0.0, 1.0)
    seconds = (cells["time_start"].dt.epoch("us") / 1e6 - time.start.timestamp()).to_numpy()
    column = np.round((seconds - seconds.min()) / CELL_SECONDS).astype(np.int64)
    y = cells["y_start"].to_numpy()
    row = np.round((y - y.min()) / CELL_METRES).astype(np.int64)
    values = np.full((row.max() + 1, column.max() + 1), np.nan)
    found = cells.select(pl.when(pl.col("speed").is_not_null()).then(pl.col(name)))
    values[row, column] = found.to_series().fill_null(float("nan")).to_numpy()
    unit = time.per_second
    left = float(seconds.min()) * unit
    return values, (
        left,
        left + values.shape[1] * CELL_SECONDS * unit,
        float(y.min()),
        float(y.min()) + values.shape[0] * CELL_METRES,
    )


def _draw_wave(axis: Axes, stream: _Stream, recording: Recording, sheet: Sheet) -> None:
    """A line of the waves' speed, where it meets the slowest traffic."""
    from matplotlib import patheffects
    from matplotlib.lines import Line2D

    waves, time = recording.waves, recording.time
    if waves.speed is None:
        return
    low, high = recording.place
    takes = (high - low) / abs(waves.speed) * time.per_second
    values, extent = grid_of(stream.cells, "speed", time)
    begins = _slowest_line(values, extent, takes, time.end, falls=stream.falls)
    from_y, to_y = (low, high) if stream.falls else (high, low)
    line = {"color": "white", "linewidth": 1.8 * sheet.unit, "linestyle": (0, (4, 2.5))}
    [drawn] = axis.plot([begins, begins + takes], [from_y, to_y], **line)
    dark = [patheffects.Stroke(linewidth=3.6 * sheet.unit, foreground=drawing.INK)]
    drawn.set_path_effects([*dark, patheffects.Normal()])
    text = f"waves, {_kmh(waves.speed)} km/h"
    key = {"color": drawing.INK, "linewidth": 1.8 * sheet.unit, "linestyle": (0, (3, 1.5))}
    sheet.keys(axis, [Line2D([], [], label=text, **key)], length=1.8)


def _slowest_line(
    values: Any,
    extent: tuple[float, float, float, float],
    takes: float,
    end: float,
    *,
    falls: bool,
) -> float:
    """Time at which a wave must begin to meet the lowest mean speed on its way."""
    rows, columns = values.shape
    left, right, _, _ = extent
    starts = np.linspace(0.0, max(0.0, end - takes), 121)
    part = (np.arange(rows) + 0.5) / rows
    at = starts[:, None] + takes * (part if falls else 1.0 - part)
    column = np.floor((at - left) / (right - left) * columns).astype(np.int64)
    met = values[np.arange(rows), np.clip(column, 0, columns - 1)]
    known = ~np.isnan(met)
    mean = np.where(known, met, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    mean[known.mean(axis=1) < _MET] = np.inf
    if not np.isfinite(mean).any():
        return (end - takes) / 2
    return float(starts[int(np.argmin(mean))])


def _told(waves: WaveSpeed) -> str:
    if waves.speed is None:
        return ""
    between = ""
    if waves.low is not None and waves.high is not None:
        between = f" (90 % interval {_kmh(waves.low)} to {_kmh(waves.high)} km/h)"
    return (
        f" Dashed: stop-and-go waves run at {_kmh(waves.speed)} km/h{between}, by correlation of "
        "the speeds at different places."
    )


def _kmh(speed: float) -> str:
    return f"{3.6 * speed:.1f}".replace("-", "−")
