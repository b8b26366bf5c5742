"""The time–space diagram: every trajectory of every lane, coloured by speed.

Belongs here: panels, colours and marks of this one picture. Does not belong here: how pictures
look in general (quality/drawing.py), the painting itself (raster.py).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from ngsim_assets.highway.assessment.track_measures import Floats
from ngsim_assets.highway.pictures import raster
from ngsim_assets.highway.pictures.recording import ALONG, DIRECTIONS, Recording, Stage
from ngsim_assets.highway.sites import Site
from ngsim_assets.quality import drawing
from ngsim_assets.quality.drawing import REPORT, Picture, Sheet

_PANEL_SHARE = 0.005  # of all points: lanes with fewer are not drawn
_MOST_PANELS = 10
_SPARSE = 0.1  # of a panel's pixels: with fewer, lines are drawn thicker
_REPAIRED, _IMPUTED = 1, 2
_MOSTLY = 0.5  # share of the points under a pixel from which it is marked


def time_space(
    recording: Recording,
    *,
    stage: Stage = "cleaned",
    lanes: Collection[int] | None = None,
    sheet: Sheet = REPORT,
) -> Picture:
    """Time–space diagram per lane, coloured by speed on one scale, changed points marked.

    Without `lanes`, all that hold half a percent of the points and more, at most ten. On
    arterials each direction along the street has its own panels.
    """
    site, time = recording.site, recording.time
    tracks = recording.tracks(stage)
    y, speed, lane, direction = tracks.read("y", "speed", "lane", "direction")
    mark = np.zeros(len(tracks.frame), np.uint8)
    if stage == "cleaned":
        imputed, repaired = tracks.read("imputed", "repaired")
        mark = (_REPAIRED * repaired + _IMPUTED * imputed).astype(np.uint8)
    if not site.arterial:
        direction = np.full(len(lane), -1, np.int32)
    keys, panel = _panels(lane, direction, lanes, site)
    rows = max(1, len(keys))
    height = 1.75 if rows <= 4 else 1.4
    figure, axes = sheet.stacked([height] * rows, between=0.36, right=drawing.SCALE_RIGHT)

    low, high = recording.place
    fastest = raster.speed_scale_end(speed[panel >= 0])
    box = axes[0].get_window_extent()
    size = max(1, int(box.width)), max(1, int(box.height))
    window = raster.Window(time.first, time.last, low, high, *size)
    mean, marked = raster.paint(tracks, y, speed, mark, panel, rows, window)
    pen = max(1, round(sheet.dpi / drawing.REPORT.dpi * sheet.unit))
    for k, axis in enumerate(axes):
        axis.imshow(
            _pixels(mean[k], marked[:, k], fastest, pen),
            origin="lower",
            aspect="auto",
            interpolation="none",
            extent=(0.0, time.end, low, high),
        )
        axis.grid(visible=False)
        sheet.label(axis, y="y, m")
        axis.tick_params(labelbottom=k == rows - 1)
        axis.yaxis.set_major_locator(drawing.few(4))
        sheet.title(axis, panel_title(keys[k], site) if keys else "no lane known")
    sheet.label(axes[-1], x=time.label)
    sheet.scale(axes, drawing.speed_colours(), fastest, "speed, m/s")
    shown = [name for name, code in _MARKS.items() if bool((marked[code - 1] >= _MOSTLY).any())]
    _mark_legend(axes[0], shown, sheet)
    told = [f"{name} points are {_HUES[name]}" for name in shown]
    return Picture(
        name="time-space",
        title="Time–space diagram per lane",
        alt=(
            f"{rows} panel{'s, one per lane' if rows > 1 else ''}: position along the section "
            "over time, one line per vehicle, dark where slow, bright where fast, from 0 to "
            f"{fastest:g} m/s." + (f" {', '.join(told).capitalize()}." if told else "")
        ),
        caption=(
            "Position of every vehicle over time, coloured by speed; all lanes on one scale. "
            "Stop-and-go waves are dark bands that run against the traffic."
            + (f" {', '.join(told).capitalize()}, where they are most of a pixel." if told else "")
        ),
        figure=figure,
    )


_MARKS = {"imputed": _IMPUTED, "repaired": _REPAIRED}
_HUES = {"imputed": "orange", "repaired": "black"}
_INKS = {_IMPUTED: drawing.IMPUTED, _REPAIRED: drawing.REPAIRED}


def _panels(
    lane: Any, direction: Any, lanes: Collection[int] | None, site: Site
) -> tuple[list[tuple[int, int]], Any]:
    """(direction, lane) of each panel, and each row's panel."""
    code = np.where(lane >= 0, (direction + 1) * 100_000 + np.minimum(lane, 99_999), -1)
    if site.arterial and bool(np.isin(direction, ALONG).any()):
        code = np.where(np.isin(direction, ALONG), code, -1)
    found, counts = np.unique(code, return_counts=True)
    kept = [
        int(key)
        for key, count in sorted(zip(found, counts, strict=True), key=lambda pair: -pair[1])
        if key >= 0
        and (count >= _PANEL_SHARE * len(lane) if lanes is None else int(key) % 100_000 in lanes)
    ]
    kept = sorted(kept[:_MOST_PANELS])
    panel = np.full(len(lane), -1, np.int32)
    for k, key in enumerate(kept):
        panel[code == key] = k
    if not kept and lanes is None and not bool((lane >= 0).any()):
        panel[:] = 0
    return [(key // 100_000 - 1, key % 100_000) for key in kept], panel


def panel_title(key: tuple[int | None, int | None], site: Site) -> str:
    """A lane, on arterials with its direction, and what kind it is."""
    direction, lane = key
    way = f"{DIRECTIONS[direction]}, " if direction in DIRECTIONS else ""
    if lane is None or lane < 0:
        return f"{way}no lane known"
    kind = site.lanes.get(lane)
    return f"{way}lane {lane}" + (f", {kind}" if kind else "")


def _pixels(mean: Floats, marked: Any, fastest: float, pen: int) -> Any:
    """Pixels of one panel; marks are on top, imputed over repaired, and wider.

    Only stretches that fill most of a pixel are marked: a pixel of a quarter of an hour is a
    second and more wide, and a frame that fills a tenth of it must not colour all of it.
    """
    if np.mean(~np.isnan(mean)) < _SPARSE:
        for _ in range(pen):
            mean = _wider(mean, np.nan)
    pixels = drawing.coloured(mean, drawing.speed_colours(), fastest)
    for code in (_REPAIRED, _IMPUTED):
        ink = (marked[code - 1] >= _MOSTLY).astype(np.float32)
        for _ in range(2 * pen):
            ink = np.maximum(ink, _wider(np.where(ink > 0, ink, np.nan), 0.0))
        pixels[ink > 0] = drawing.rgb(_INKS[code])
    return pixels


def _wider(values: Floats, nothing: float) -> Floats:
    """Every line one pixel wider, downwards and to the right; NaN is where none is."""
    for axis in (0, 1):
        neighbour = np.roll(values, 1, axis)
        neighbour[(0, slice(None)) if axis == 0 else (slice(None), 0)] = np.nan
        values = np.where(np.isnan(values), neighbour, values)
    return np.nan_to_num(values, nan=nothing)


def _mark_legend(axis: Any, shown: list[str], sheet: Sheet) -> None:
    from matplotlib.patches import Patch

    if shown:
        sheet.keys(axis, [Patch(color=_INKS[_MARKS[name]], label=name) for name in shown])
