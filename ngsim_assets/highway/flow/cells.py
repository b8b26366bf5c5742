"""Cells of traffic state taken together: larger cells, and cells laid out as a field.

Belongs here: what the estimates of this folder need of the table before they estimate. Does not
belong here: the sums themselves (traffic.py, edie.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.highway.sites import Site

Floats = npt.NDArray[np.float64]

RISING = 2
FALLING = 4
"""Directions along the section: north, in which positions rise at both arterials, and south, in
which they fall (measured on delivered rows). 1 and 3 cross it. Null, on freeways, rises."""

_RECORDING = ("highway_id", "recording", "date")
_STREAM = (*_RECORDING, "lane_id", "direction")


@dataclass(frozen=True, slots=True)
class Field:
    """Speeds of cells of one size as an array.

    Attributes:
        speed: m/s, by stream (lane and direction of a recording), time, and place in the
            direction of travel; NaN where nobody was.
        duration: s. cell_length: m, of a cell.
    """

    speed: Floats
    duration: float
    cell_length: float


def coarser(state: pl.DataFrame, duration: float, cell_length: float) -> pl.DataFrame:
    """Cells joined, in whole numbers of them, to come as near to a size as they can from below.

    Sums and observed areas add up, so the result is what a grid of that size would have given;
    cells already larger stay as they are. Distinct vehicles do not add up and are left out.

    Args:
        state: `TrafficState` rows on one grid. duration, cell_length: s and m wanted.

    Returns:
        The rows without `vehicles`, with `time_cell` and `y_cell`, numbers of cells of the new
        size from the epoch and from the start of the section, and `area`, the observed s·m.
    """
    if state.is_empty():
        extra = {"time_cell": pl.Int64(), "y_cell": pl.Int64(), "area": pl.Float64()}
        return state.drop("vehicles").with_columns(
            pl.lit(None, dtype=dtype).alias(name) for name, dtype in extra.items()
        )
    old_duration, old_length = _size(state)
    times = max(1, int(duration / old_duration + 1e-9))
    places = max(1, int(cell_length / old_length + 1e-9))
    step, length = times * round(old_duration * 1e6), places * old_length
    distance, time, area = pl.col("distance_travelled"), pl.col("time_spent"), pl.col("area")
    return (
        state.with_columns(
            (pl.col("time_start").dt.epoch("us") // step).alias("time_cell"),
            ((pl.col("y_start") / old_length).round().cast(pl.Int64) // places).alias("y_cell"),
            (pl.col("duration") * pl.col("cell_length") * pl.col("observed_share")).alias("area"),
        )
        .group_by(*_STREAM, "time_cell", "y_cell")
        .agg(distance.sum(), time.sum(), area.sum())
        .with_columns(
            pl.from_epoch(pl.col("time_cell") * step, time_unit="us")
            .dt.replace_time_zone("UTC")
            .alias("time_start"),
            pl.lit(step / 1e6).alias("duration"),
            (pl.col("y_cell") * length).alias("y_start"),
            pl.lit(length).alias("cell_length"),
            (area / (step / 1e6 * length)).alias("observed_share"),
            (distance / area * 3600.0).alias("flow"),
            (time / area * 1000.0).alias("density"),
            pl.when(time > 0).then(distance / time).alias("speed"),
        )
        .sort(*_STREAM, "time_cell", "y_cell")
    )


def field_of(state: pl.DataFrame, duration: float, cell_length: float) -> Field:
    """Speeds along the section of every lane and direction, on cells of about the size wanted.

    Traffic that crosses the section (directions 1 and 3) is left out.
    """
    along = pl.col("direction").is_null() | pl.col("direction").is_in([RISING, FALLING])
    cells = coarser(state.filter(along), duration, cell_length)
    if cells.is_empty():
        return Field(np.empty((0, 0, 0)), duration, cell_length)
    falls = (pl.col("direction") == FALLING).fill_null(value=False)
    first = {name: pl.col(name).min().over(_RECORDING) for name in ("time_cell", "y_cell")}
    streams = cells.select(_STREAM).unique().sort(_STREAM).with_row_index("stream")
    at = (
        cells.with_columns(
            pl.col("time_cell") - first["time_cell"],
            pl.when(falls)
            .then(pl.col("y_cell").max().over(_RECORDING) - pl.col("y_cell"))
            .otherwise(pl.col("y_cell") - first["y_cell"])
            .alias("place"),
        )
        .join(streams, on=_STREAM, nulls_equal=True, how="left", maintain_order="left")
        .select(pl.col("stream", "time_cell", "place").cast(pl.Int64))
    )
    index = tuple(at[name].to_numpy() for name in at.columns)
    speed = np.full([int(along.max()) + 1 for along in index], np.nan)
    speed[index] = cells["speed"].fill_null(float("nan")).to_numpy()
    return Field(speed, *_size(cells))


def _size(state: pl.DataFrame) -> tuple[float, float]:
    return state.item(0, "duration"), state.item(0, "cell_length")


def main_lanes(site: Site) -> list[int]:
    """Lanes that lead through the section: no ramps, auxiliary lanes, bays or shoulders."""
    return [lane for lane, kind in site.lanes.items() if kind.startswith(("mainline", "through"))]
