"""Flow, density and speed of traffic by Edie's generalised definitions, per lane.

In a cell of time and space of area A = duration x length,

    flow q = (sum of distances travelled in it) / A
    density k = (sum of times spent in it) / A
    speed v = q / k

Between two consecutive points of a vehicle its motion is taken as steady, and this piece is
split at every border of time and space it crosses, exactly. Its lane is that of its first point.

Distances and times are summed as whole numbers (of 2^-30 m and of nanoseconds), so sums do not
depend on the order of vehicles, on chunks, or on threads, and those over all cells are those
over all pieces, to the unit.

Belongs here: the table traffic_state. Does not belong here: the splitting (edie.py), comparing
stages (cells.py).

Source: Edie (1963), Discussion of traffic stream measurements and definitions, Proceedings of
the 2nd International Symposium on the Theory of Traffic Flow, 139-154.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import polars as pl

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.arrays import floats, integers
from ngsim_assets.highway.edie import METRE, SECOND, Grid, Sums, accumulate_pieces
from ngsim_assets.highway.model import TRAFFIC_STATE
from ngsim_assets.highway.reconstruction.stretches import order_of

_NO_LANE = -(2**31)
_NOBODY = -(2**62)
_KEYS = ("highway_id", "recording", "date")
_COLUMNS = (*_KEYS, "vehicle_id", "frame", "timestamp", "y_position", "lane_id")
_ADDED = ("distance_units", "nanoseconds", "vehicles")
_SUMS: dict[str, pl.DataType] = {
    "time_cell": pl.Int64(),
    "y_cell": pl.Int64(),
    "distance_units": pl.Int64(),
    "nanoseconds": pl.Int64(),
    "vehicles": pl.Int32(),
}
MOST_CELLS = 20_000_000
"""Cells a grid may have, half a gigabyte of sums; 15 min at 1 s x 1 m have 4.6 million."""


class GridTooFine(NgsimAssetsError):
    """A traffic state was asked for on more cells than fit into memory."""

    def __init__(self, cells: Sequence[int]) -> None:
        self.cells = tuple(cells)
        lanes, times, places = cells
        super().__init__(
            f"a grid of {lanes} lanes, {times} times and {places} places has more than "
            f"{MOST_CELLS} cells",
            "choose a longer duration or cell length",
        )


def traffic_state(
    points: pl.LazyFrame,
    *,
    duration: float = 30.0,
    cell_length: float = 50.0,
    gap: float = 2.0,
) -> pl.LazyFrame:
    """Edie's flow, density and speed of one or several recordings, on a grid.

    Cells start at multiples of `duration` since the epoch and of `cell_length` along the
    section. Every lane seen has every cell between the first and the last of its recording;
    where nobody was, flow and density are 0 and speed is null.

    Args:
        points: cleaned or validated points of whole vehicles; only eight columns are read.
        duration, cell_length: s (to the microsecond), m, of a cell; over 0.
        gap: s between two points of a vehicle up to which it is taken to have driven steadily.

    Returns:
        `TrafficState` columns, by recording, lane, time and place.

    Raises (on collection):
        GridTooFine: more than MOST_CELLS cells.
    """
    sums = accumulate(points, duration=duration, cell_length=cell_length, gap=gap)
    return merge([sums], duration=duration, cell_length=cell_length)


def accumulate(
    points: pl.LazyFrame,
    *,
    duration: float = 30.0,
    cell_length: float = 50.0,
    gap: float = 2.0,
) -> pl.LazyFrame:
    """Sums per occupied cell, of some vehicles: partial results for `merge`.

    Args:
        points: as for `traffic_state`; a vehicle must not be shared out among calls.

    Returns:
        highway_id, recording, date, lane_id, time_cell and y_cell (numbers of cells from the
        epoch and from the start of the section), distance_units (2^-30 m), nanoseconds,
        vehicles.
    """
    narrow = points.select(_COLUMNS)
    schema = narrow.collect_schema()
    keys = {name: schema[name] for name in (*_KEYS, "lane_id")}

    def summed(frame: pl.DataFrame) -> pl.DataFrame:
        parts = [_sums(part, duration, cell_length, gap) for part in _recordings(frame)]
        return pl.concat(parts) if parts else pl.DataFrame(schema={**keys, **_SUMS})

    return narrow.map_batches(summed, schema=pl.Schema({**keys, **_SUMS}), streamable=False)


def merge(
    partial: Sequence[pl.LazyFrame], *, duration: float = 30.0, cell_length: float = 50.0
) -> pl.LazyFrame:
    """The traffic state of all vehicles in `partial`, results of `accumulate` on one grid."""
    place = [*_KEYS, "lane_id", "time_cell", "y_cell"]
    occupied = pl.concat(partial).group_by(place).agg(pl.col(_ADDED).sum())
    lanes = occupied.select(*_KEYS, "lane_id").unique()
    extent = occupied.group_by(_KEYS).agg(
        pl.int_range(pl.col(name).min(), pl.col(name).max() + 1).alias(name)
        for name in ("time_cell", "y_cell")
    )
    grid = (
        lanes.join(extent, on=_KEYS, nulls_equal=True)
        .explode("time_cell")
        .explode("y_cell")
        .join(occupied, on=place, how="left", nulls_equal=True)
        .with_columns(pl.col(_ADDED).fill_null(0))
    )
    area = duration * cell_length
    distance = pl.col("distance_units") / METRE
    time = pl.col("nanoseconds") / SECOND
    step = round(duration * 1_000_000)
    return (
        grid.with_columns(
            pl.from_epoch(pl.col("time_cell") * step, time_unit="us")
            .dt.replace_time_zone("UTC")
            .alias("time_start"),
            pl.lit(float(duration)).alias("duration"),
            (pl.col("y_cell") * cell_length).alias("y_start"),
            pl.lit(float(cell_length)).alias("cell_length"),
            distance.alias("distance_travelled"),
            time.alias("time_spent"),
            (distance / area * 3600.0).alias("flow"),
            (time / area * 1000.0).alias("density"),
            pl.when(pl.col("nanoseconds") > 0).then(distance / time).alias("speed"),
        )
        .sort(*_KEYS, "lane_id", "time_cell", "y_cell")
        .select(list(TRAFFIC_STATE.columns))
    )


def _recordings(points: pl.DataFrame) -> list[pl.DataFrame]:
    """Points of each recording; looked at column by column, since there is one as a rule."""
    if points.height == 0:
        return []
    if all((points[name] == points[name][0]).all() for name in _KEYS):
        return [points]
    return points.partition_by(_KEYS, maintain_order=True)


def _sums(points: pl.DataFrame, duration: float, length: float, gap: float) -> pl.DataFrame:
    """Sums of one recording, as `accumulate` returns them."""
    vehicle = integers(points["vehicle_id"], 0)
    if order_of(vehicle, integers(points["frame"], 0)) == 2:
        points = points.sort("vehicle_id", "frame", "y_position")
        vehicle = integers(points["vehicle_id"], 0)
    lanes = points["lane_id"].unique().sort()
    time = points["timestamp"].cast(pl.Datetime("us", "UTC")).to_physical()
    step = round(duration * 1_000_000)
    low, high = (cast("int", bound) // step for bound in (time.min(), time.max()))
    y = points["y_position"].cast(pl.Float64)
    start, end = (math.floor(cast("float", bound) / length) for bound in (y.min(), y.max()))
    shape = (len(lanes), high - low + 1, end - start + 1)
    if math.prod(shape) > MOST_CELLS:
        raise GridTooFine(shape)
    sums = Sums(
        distance=np.zeros(shape, dtype=np.int64),
        spent=np.zeros(shape, dtype=np.int64),
        vehicles=np.zeros(shape, dtype=np.int32),
        latest=np.full(shape, _NOBODY, dtype=np.int64),
    )
    accumulate_pieces(
        vehicle,
        integers(points["lane_id"], _NO_LANE),
        time.to_numpy(),
        floats(y),
        integers(lanes, _NO_LANE),
        round(gap * 1_000_000),
        Grid(step, float(length), low, start),
        sums,
    )
    at = np.nonzero(sums.spent)
    return points.select(pl.col(name).first() for name in _KEYS).join(
        pl.DataFrame(
            {
                "lane_id": lanes.gather(pl.Series(at[0])),
                "time_cell": at[1] + low,
                "y_cell": at[2] + start,
                "distance_units": sums.distance[at],
                "nanoseconds": sums.spent[at],
                "vehicles": sums.vehicles[at],
            }
        ),
        how="cross",
    )
