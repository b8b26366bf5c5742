"""The time–space diagram: every trajectory of every lane, coloured by speed.

Belongs here: panels, colours and scale of this one picture. Does not belong here: how pictures
look in general (drawing.py), the painting itself (raster.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Tracks
from ngsim_assets.highway.pictures import drawing, raster
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality.report import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DIRECTIONS = {1: "eastbound", 2: "northbound", 3: "westbound", 4: "southbound"}
_ALONG = (2, 4)  # arterial directions that run along y
_PANEL_SHARE = 0.005  # of all points: lanes with fewer are not drawn
_MOST_PANELS = 10


def time_space(points: pl.LazyFrame, site: Site, lanes: Iterable[int] | None = None) -> Figure:
    """Time–space diagram per lane, coloured by speed on one scale, imputed points marked.

    `points` are validated or cleaned. Without `lanes`, all that hold half a percent of the
    points and more, at most ten. On arterials each direction along the street has its own panel.
    """
    tracks = Tracks.of(points, raster.COLUMNS | raster.STATE)
    y, speed, lane, direction = tracks.read("y", "speed", "lane", "direction")
    marked = np.zeros(len(tracks.frame), np.bool_)
    if "state" in points.collect_schema():
        [marked] = tracks.read("imputed")
    if not site.arterial:
        direction = np.full(len(lane), -1, np.int32)
    keys, panel = _panels(lane, direction, lanes, site)
    rows = max(1, len(keys))
    height = 1.75 if rows <= 4 else 1.3
    _, axes = drawing.stacked([height] * rows, between=0.36, right=1.05)

    shown = panel >= 0
    fastest = raster.speed_scale_end(speed[shown])
    low, high = _extent(y[shown], site)
    first, last = _frames(tracks.frame[shown])
    minutes = (last - first) * FRAME >= 180
    unit, per_frame = ("min", FRAME / 60) if minutes else ("s", FRAME)
    box = axes[0].get_window_extent()
    window = raster.Window(first, last, low, high, int(box.width), int(box.height))
    mean, filled = raster.paint(tracks, y, speed, marked, panel, rows, window)
    for k, axis in enumerate(axes):
        axis.imshow(
            _coloured(mean[k], filled[k], fastest),
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            extent=(0.0, (last - first) * per_frame, low, high),
        )
        axis.grid(visible=False)
        drawing.label(axis, y="y, m")
        if k < rows - 1:
            axis.tick_params(labelbottom=False)
        drawing.title(axis, _panel_title(keys[k], site) if keys else "no lane known")
    drawing.label(axes[-1], x=f"time since {_clock(points, first, site)}, {unit}")
    _speed_scale(axes, fastest)
    imputed = " Imputed points are magenta." if bool(filled.any()) else ""
    return Figure(
        name="time-space",
        title="Time–space diagram per lane",
        alt=(
            f"{rows} panel{'s, one per lane' if rows > 1 else ''}: position along the section "
            "over time, one line per vehicle, dark where slow, bright where fast, from 0 to "
            f"{fastest:g} m/s."
        ),
        caption=(
            "Position of every vehicle over time, coloured by speed; all lanes on one scale. "
            f"Stop-and-go waves are dark bands that run against the traffic.{imputed}"
        ),
        media_type="image/png",
        data=drawing.png(drawing.owner(axes[0])),
    )


def _panels(
    lane: Any, direction: Any, lanes: Iterable[int] | None, site: Site
) -> tuple[list[tuple[int, int]], Any]:
    """(direction, lane) of each panel, and each row's panel."""
    code = np.where(lane >= 0, (direction + 1) * 100_000 + np.minimum(lane, 99_999), -1)
    if site.arterial:
        code = np.where(np.isin(direction, _ALONG), code, -1)
    found, counts = np.unique(code, return_counts=True)
    kept = [
        int(key)
        for key, count in sorted(zip(found, counts, strict=True), key=lambda pair: -pair[1])
        if key >= 0
        and (
            count >= _PANEL_SHARE * len(lane) if lanes is None else int(key) % 100_000 in set(lanes)
        )
    ]
    kept = sorted(kept[:_MOST_PANELS])
    panel = np.full(len(lane), -1, np.int32)
    for k, key in enumerate(kept):
        panel[code == key] = k
    if not kept and not bool((lane >= 0).any()):
        panel[:] = 0
    return [(key // 100_000 - 1, key % 100_000) for key in kept], panel


def _panel_title(key: tuple[int, int], site: Site) -> str:
    direction, lane = key
    way = f"{_DIRECTIONS[direction]}, " if direction in _DIRECTIONS else ""
    kind = site.lanes.get(lane)
    return f"{way}lane {lane}" + (f", {kind}" if kind else "")


def _extent(y: Floats, site: Site) -> tuple[float, float]:
    if not len(y):
        return 0.0, site.length
    low, high = max(float(y.min()), site.y.low), min(float(y.max()), site.y.high)
    return (low, high) if high > low else (site.y.low, site.y.high)


def _frames(frame: Any) -> tuple[float, float]:
    """First and last frame shown: a stray number far off must not squeeze the rest."""
    if not len(frame):
        return 0.0, 1.0
    first, last = float(frame.min()), float(frame.max())
    early, late = np.quantile(frame, (0.001, 0.999))
    if last - first > 3 * (late - early) > 0:
        first, last = float(early), float(late)
    return first, max(last, first + 1)


def _clock(points: pl.LazyFrame, first: float, site: Site) -> str:
    """Local time of a frame."""
    row = points.select(pl.col("timestamp", "frame").first()).collect(engine="streaming")
    if row.is_empty() or row.item(0, "timestamp") is None:
        return "the first frame"
    seconds = (first - row.item(0, "frame")) * FRAME
    moment = row.select(
        (pl.col("timestamp") + pl.duration(milliseconds=round(seconds * 1000)))
        .dt.convert_time_zone(site.time_zone.key)
        .dt.strftime("%H:%M:%S")
    ).item()
    return f"{moment} local time"


_GROUND = (246, 247, 249)
_FILLED = (230, 0, 126)
_COLOURS = 16  # more are not told apart along a line, and make the file larger
_SPARSE = 0.1  # of a panel's pixels: with fewer, lines are drawn thicker


def _colours() -> Any:
    """viridis without its brightest end, which would vanish on the light ground."""
    from matplotlib import colormaps

    return (255 * colormaps["viridis"](np.linspace(0, 0.93, _COLOURS))[:, :3]).round()


def _coloured(mean: Floats, filled: Any, fastest: float) -> Any:
    """Pixels of one panel."""
    if np.mean(~np.isnan(mean)) < _SPARSE:
        mean, filled = _thicker(mean, filled)
    seen = ~np.isnan(mean)
    pixels = np.empty((*mean.shape, 3), np.uint8)
    pixels[:] = _GROUND
    index = np.clip(mean[seen] / fastest * _COLOURS, 0, _COLOURS - 1).astype(np.uint8)
    pixels[seen] = _colours().astype(np.uint8)[index]
    pixels[filled] = _FILLED
    return pixels


def _thicker(mean: Floats, filled: Any) -> tuple[Floats, Any]:
    """Every line one pixel wider, downwards and to the right."""
    for axis in (0, 1):
        neighbour, marked = np.roll(mean, 1, axis), np.roll(filled, 1, axis)
        edge = (0, slice(None)) if axis == 0 else (slice(None), 0)
        neighbour[edge], marked[edge] = np.nan, False
        filled = filled | (np.isnan(mean) & marked)
        mean = np.where(np.isnan(mean), neighbour, mean)
    return mean, filled


def _speed_scale(axes: list[Axes], fastest: float) -> None:
    figure = drawing.owner(axes[0])
    last, first = axes[-1].get_position(), axes[0].get_position()
    height = min(first.y1 - last.y0, 2.6 / figure.get_figheight())
    box = (first.x1 + 0.025, first.y1 - height, 0.022, height)
    scale = figure.add_axes(box)
    colours = _colours()[:, None, :] / 255
    scale.imshow(colours, origin="lower", aspect="auto", extent=(0, 1, 0, fastest))
    scale.set_xticks([])
    scale.set_yticks(np.arange(0, fastest + 1e-9, 5 if fastest > 10 else 2.5))
    scale.yaxis.tick_right()
    scale.tick_params(labelsize=drawing.SMALL, colors=drawing.INK, length=3)
    scale.yaxis.set_label_position("right")
    drawing.label(scale, y="speed, m/s")
