"""The fundamental diagram: flow and speed over density, lane by lane.

Belongs here: this one picture. Does not belong here: Edie's definitions (traffic.py), joined
cells and fits (flow/), how pictures look in general (quality/drawing.py).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import polars as pl

from ngsim_assets.highway.flow import diagram
from ngsim_assets.highway.flow.cells import coarser, main_lanes
from ngsim_assets.highway.flow.diagram import DIAGRAM_GRID, FundamentalDiagram
from ngsim_assets.highway.pictures.recording import ALONG, Recording
from ngsim_assets.highway.pictures.time_space import panel_title
from ngsim_assets.quality import drawing
from ngsim_assets.quality.drawing import REPORT, Picture, Sheet

_WHOLE = 0.999  # share of a cell that was observed: a cell cut by an end counts too few vehicles
_MOST_LANES = 8
_FEW = 100  # cells: fewer are drawn as larger dots
_LANE_SHARE = 0.005  # of all time spent: lanes with less are not drawn


def fundamental_diagram(
    recording: Recording, *, lanes: Collection[int] | None = None, sheet: Sheet = REPORT
) -> Picture:
    """Flow over density and speed over density of the cleaned points, a row per lane.

    Without `lanes`, all that hold half a percent of the time spent and more, at most eight.
    """
    cells = _cells(recording, lanes)
    keys: list[tuple[int | None, int | None]] = list(
        cells.select("direction", "lane_id").unique().sort("direction", "lane_id").iter_rows()
    )
    rows = max(1, len(keys))
    figure, panels = sheet.grid([1.45 if rows > 1 else 2.4] * rows, columns=2, between=0.4)
    fits = _fits(recording, keys)
    jams = [fit.jam_density.value or 0.0 for fit in fits.values()]
    density = max(_end(cells, "density"), drawing.round_up(max(jams, default=0.0)))
    flow, speed = _end(cells, "flow"), _end(cells, "speed")
    drawn = False
    for key, (left, right) in zip(keys or [(None, None)], panels, strict=True):
        own = cells.filter(
            pl.col("direction").eq_missing(pl.lit(key[0], pl.Int32())),
            pl.col("lane_id").eq_missing(pl.lit(key[1], pl.Int32())),
        )
        for axis, name, end in ((left, "flow", flow), (right, "speed", speed)):
            _points(axis, own, name, (density, end, speed), sheet)
        if keys:
            drawn |= _fit(left, right, fits.get(key), (density, flow, speed), sheet)
        sheet.label(left, y="flow, veh/h")
        sheet.label(right, y="speed, m/s")
        sheet.title(left, panel_title(key, recording.site) if keys else "no lane")
        if not keys:
            for axis in (left, right):
                sheet.note(axis, "no cell was\nseen in full")
        last = left is panels[-1][0]
        for axis in (left, right):
            axis.tick_params(labelbottom=last)
            if last:
                sheet.label(axis, x="density, veh/km")
    return Picture(
        name="fundamental-diagram",
        title="Fundamental diagram per lane",
        alt=(
            f"{rows} row{'s, one per lane' if rows > 1 else ''} of two scatter plots: flow over "
            "density and speed over density, a dot per cell of time and space, dark where slow, "
            "bright where fast."
        ),
        caption=(
            f"A dot per cell of {DIAGRAM_GRID['duration']:g} s x {DIAGRAM_GRID['cell_length']:g} m "
            "(Edie 1963), coloured by speed; cells that were not observed in full are left out. "
            "All lanes on one scale." + (_LINES if drawn else "")
        ),
        figure=figure,
    )


def _cells(recording: Recording, lanes: Collection[int] | None) -> pl.DataFrame:
    cells = coarser(recording.traffic, **DIAGRAM_GRID)
    if recording.site.arterial and cells["direction"].is_in(ALONG).any():
        cells = cells.filter(pl.col("direction").is_in(ALONG))
    own = pl.col("time_spent").sum().over("direction", "lane_id")
    if lanes is None:
        cells = cells.filter(own > 0, own >= _LANE_SHARE * pl.col("time_spent").sum())
        busiest = own.rank("dense", descending=True)
        cells = cells.filter(busiest <= _MOST_LANES)
    else:
        cells = cells.filter(pl.col("lane_id").is_in(list(lanes)))
    return cells.filter(pl.col("observed_share") >= _WHOLE, pl.col("speed").is_not_null())


_LINES = (
    " Lines: free speed, and the speed of the waves down to the jam density, where the cells show "
    "them; C, capacity: the flow that 1 in 20 cells exceeds; kj, jam density."
)


def _fits(
    recording: Recording, keys: Collection[tuple[int | None, int | None]]
) -> dict[tuple[int | None, int | None], FundamentalDiagram]:
    """The triangle of each main lane of a freeway, as far as its cells show one."""
    main = main_lanes(recording.site)
    return {
        (direction, lane): diagram.fundamental_diagram(
            recording.traffic.filter(pl.col("lane_id").eq_missing(pl.lit(lane, pl.Int32()))),
            recording.waves,
        )
        for direction, lane in keys
        if direction is None and lane in main
    }


def _fit(
    left: Any,
    right: Any,
    fit: FundamentalDiagram | None,
    ends: tuple[float, float, float],
    sheet: Sheet,
) -> bool:
    """Draw the sides of the triangle that are known; whether any is."""
    if fit is None:
        return False
    free, capacity, jam = fit.free_speed.value, fit.capacity.value, fit.jam_density.value
    told = [f"C {capacity:,.0f} veh/h"] if capacity else []
    told += [f"kj {jam:,.0f} veh/km"] if jam else []
    if told:
        # where a lane is dense nobody is fast: that corner is free
        right.text(
            0.98,
            0.97,
            "\n".join(told),
            transform=right.transAxes,
            ha="right",
            va="top",
            fontsize=sheet.small,
            color=drawing.INK,
        )
    density = np.linspace(ends[0] / 400, ends[0], 400)
    flows: list[Any] = []
    if free:
        flows.append(3.6 * free * density)
    if jam and fit.wave is not None and fit.wave.speed is not None:
        flows.append(-3.6 * fit.wave.speed * (jam - density))
    if not flows:
        return bool(told)
    flow = np.minimum.reduce(flows)
    top = capacity or ends[1]
    # a side alone is not drawn beyond the capacity, where the other one would begin
    shown = (flow >= 0) & (flow <= top * 1.02)
    line = {"color": drawing.INK, "linewidth": 1.2 * sheet.unit, "zorder": 3}
    left.plot(density[shown], flow[shown], **line)
    right.plot(density[shown], flow[shown] / density[shown] / 3.6, **line)
    return True


def _end(cells: pl.DataFrame, name: str) -> float:
    values = cells[name].to_numpy()
    return drawing.round_up(1.02 * float(np.quantile(values, 0.998))) if len(values) else 1.0


def _points(
    axis: Any, cells: pl.DataFrame, name: str, ends: tuple[float, float, float], sheet: Sheet
) -> None:
    density, end, fastest = ends
    scale = drawing.speed_colours() / 255
    steps = np.clip(cells["speed"].to_numpy() / fastest * len(scale), 0, len(scale) - 1)
    axis.scatter(
        cells["density"].to_numpy(),
        cells[name].to_numpy(),
        s=(7 if cells.height >= _FEW else 20) * sheet.unit**2,
        c=scale[steps.astype(np.int64)],
        linewidths=0,
    )
    axis.set_xlim(0, density)
    axis.set_ylim(0, end)
    axis.xaxis.set_major_locator(drawing.few(5))
    axis.yaxis.set_major_locator(drawing.few(4))
