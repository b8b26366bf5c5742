"""Waves and fundamental diagram of points, each read off the cells that show it best.

Belongs here: which points, which lanes and which grids. Does not belong here: the estimates
(waves.py, diagram.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ngsim_assets.highway.flow.diagram import (
    DIAGRAM_GRID,
    LEAST_OBSERVED,
    FundamentalDiagram,
    fundamental_diagram,
)
from ngsim_assets.highway.flow.waves import WAVE_GRID, WaveSpeed, wave_speed
from ngsim_assets.highway.traffic import traffic_state


@dataclass(frozen=True, slots=True)
class Characteristics:
    """What traffic on some lanes is like.

    Attributes: lanes: that were taken together, none where the source has no lanes.
    """

    lanes: tuple[int, ...]
    wave: WaveSpeed
    diagram: FundamentalDiagram


def characteristics(
    points: pl.LazyFrame, lanes: Sequence[int], *, gap: float = 2.0
) -> Characteristics:
    """Wave speed and fundamental diagram of the traffic on `lanes`.

    Args:
        points: as for `traffic_state`; vehicles whole, so that their lanes are chosen here.
        lanes: to take together, for example `main_lanes` of the site; none: what has no lane.
        gap: s, as for `traffic_state`.
    """

    def state(grid: dict[str, float]) -> pl.DataFrame:
        cells = traffic_state(points, **grid, gap=gap)
        lane = pl.col("lane_id")
        return cells.filter(lane.is_in(list(lanes)) if lanes else lane.is_null()).collect()

    wave = wave_speed(state(WAVE_GRID))
    return Characteristics(tuple(lanes), wave, fundamental_diagram(state(DIAGRAM_GRID), wave))


def by_lane(state: pl.DataFrame) -> pl.DataFrame:
    """Flow (veh/h), density (veh/km) and speed (m/s) of each lane and direction, cells joined.

    Over the places where anybody was ever seen in the lane, as ramps do not fill the section; and
    over cells observed by half and more, if there are any, as borders are uncertain.

    Args:
        state: `TrafficState` rows on one grid.
    """
    well = state.filter(pl.col("observed_share") >= LEAST_OBSERVED)
    state = state if well.is_empty() else well
    stream = ("lane_id", "direction")
    area = (pl.col("duration") * pl.col("cell_length") * pl.col("observed_share")).sum()
    distance, time = pl.col("distance_travelled").sum(), pl.col("time_spent").sum()
    return (
        state.group_by(*stream, "y_start")
        .agg(area.alias("area"), distance, time)
        .filter(pl.col("time_spent") > 0)
        .group_by(stream)
        .agg(pl.col("area").sum(), distance, time)
        .select(
            *stream,
            (pl.col("distance_travelled") / pl.col("area") * 3600.0).alias("flow"),
            (pl.col("time_spent") / pl.col("area") * 1000.0).alias("density"),
            (pl.col("distance_travelled") / pl.col("time_spent")).alias("speed"),
        )
        .sort(stream)
    )
