"""Cleaned points summed up: one row per trajectory.

Belongs here: the columns of `TrajectorySegment`. Does not belong here: reconstruction, quality
metrics of a whole recording (assess.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import polars as pl
import polars.selectors as cs

from ngsim_assets.highway.model import TRAJECTORY_SEGMENTS

if TYPE_CHECKING:
    from ngsim_assets.highway.clean import CleaningParameters


_STATES = ("observed", "repaired", "imputed")
_OF_A_VEHICLE = ("highway_id", "recording", "date", "vehicle_type", "trajectory_id")
SUMMED = (
    *_OF_A_VEHICLE,
    "vehicle_id",
    "frame",
    "timestamp",
    "x_position",
    "y_position",
    "speed",
    "lane_id",
    "length",
    "width",
    "state",
    "x_raw",
    "y_raw",
)
"""Columns of cleaned points that are summed up."""


def segments(
    cleaned: pl.LazyFrame,
    parameters: CleaningParameters,
    points: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """One row per trajectory.

    - completeness: points observed or repaired over frames from first to last, open gaps
      included.
    - lanes: one entry per stay, in order; points without a lane are passed over.
    - distance: along the section, from first to last point (m), positive either way.
    - speed_mean: over all points, speed_max: of all points (m/s), of those whose motion is known.
    - metadata: JSON with `method` and `parameters` of the reconstruction, `residual_rms_x`
      and `residual_rms_y` (m) of the points observed and not repaired.

    Args:
        cleaned: SUMMED columns of whole vehicles, frames ascending within each; columns that
            name the recording may be absent, and are from the result then.
        parameters: those the points were cleaned with.
        points: vehicle_id and total_frames as validated, None where total_frames is not wanted.
    """
    lane = pl.col("lane_id").drop_nulls()
    stays = lane.filter((lane != lane.shift()).fill_null(value=True))
    seen = pl.len() - pl.col("points_imputed").sum()
    span = pl.col("frame").last() - pl.col("frame").first() + 1
    # these are made for all rows at once, since within groups that costs ten times as much
    measured = cleaned.with_columns(
        *(_squared_residual(axis) for axis in ("x", "y")),
        *((pl.col("state") == name).alias(f"points_{name}") for name in _STATES),
    )
    summed = measured.group_by("vehicle_id", maintain_order=True).agg(
        cs.by_name(*_OF_A_VEHICLE, require_all=False).first(),
        pl.col("timestamp").first().alias("start_time"),
        pl.col("timestamp").last().alias("end_time"),
        pl.len().cast(pl.Int32).alias("points"),
        *(pl.col(f"points_{name}").sum().cast(pl.Int32) for name in _STATES),
        (pl.col("frame").diff() > 1).sum().cast(pl.Int32).alias("gaps_open"),
        (seen / span).alias("completeness"),
        stays.alias("lanes"),
        (pl.col("y_position").last() - pl.col("y_position").first()).abs().alias("distance"),
        pl.col("speed").mean().alias("speed_mean"),
        pl.col("speed").max().alias("speed_max"),
        pl.col("length").median(),
        pl.col("width").median(),
        *(pl.col(f"residual_rms_{axis}").mean().sqrt() for axis in ("x", "y")),
    )
    if points is None:
        totals = summed.with_columns(pl.lit(None, pl.Int32).alias("total_frames"))
    else:
        said = points.group_by("vehicle_id").agg(pl.col("total_frames").max())
        totals = summed.join(said, on="vehicle_id", how="left", maintain_order="left")
    return totals.with_columns(
        (pl.col("lanes").list.len().cast(pl.Int32) - 1).clip(lower_bound=0).alias("lane_changes"),
        _metadata(parameters).alias("metadata"),
    ).select(cs.by_name(*TRAJECTORY_SEGMENTS.columns, require_all=False))


def _squared_residual(axis: str) -> pl.Expr:
    rest = pl.col(f"{axis}_raw") - pl.col(f"{axis}_position")
    squared = pl.when(pl.col("state") == "observed").then(rest * rest)
    return squared.alias(f"residual_rms_{axis}")


def _metadata(parameters: CleaningParameters) -> pl.Expr:
    record: dict[str, Any] = {
        "method": parameters.method.label,
        "parameters": asdict(parameters),
    }
    head = json.dumps(record, sort_keys=True).removesuffix("}")
    # a tenth of a millimetre says all there is to say, and keeps equal runs byte-identical
    x, y = (
        pl.col(f"residual_rms_{axis}").round(4).cast(pl.String).fill_null("null")
        for axis in ("x", "y")
    )
    return pl.concat_str(
        pl.lit(f'{head}, "residual_rms_x": '), x, pl.lit(', "residual_rms_y": '), y, pl.lit("}")
    )
