"""Raw rows as points: metres, UTC and degrees, null where a row says that it does not know.

Belongs here: the order rows are judged in, conversion of each row by itself. Does not belong
here: any judgement of the converted values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.highway.arrays import integers
from ngsim_assets.highway.formats import as_delivered, si_columns
from ngsim_assets.highway.keys import trajectory_id
from ngsim_assets.highway.sites import Clock, Site
from ngsim_assets.highway.validation.geodesy import wgs84

VEHICLE_TYPES: dict[int, str] = {1: "motorcycle", 2: "auto", 3: "truck"}
"""Delivered v_class to vehicle_type (FHWA data dictionary)."""

VEHICLE_TYPE = pl.Enum(list(VEHICLE_TYPES.values()))
"""vehicle_type in memory: the class, from 0."""

ASSUMED_CLASS = 2
"""Class of a vehicle whose rows tell none: 96 to 98 % of the real excerpts' rows are autos."""

LANE_NOT_TOLD = (0, 9999)
"""Lane numbers that say that the lane is not known."""

_STANDING = 9999.0
_MICROSECONDS = 1000
_LOWEST = -(2**31)


def in_order(raw: pl.DataFrame, deliveries: Sequence[str] | None = None) -> pl.DataFrame:
    """`raw` sorted by vehicle and frame (nulls first), then order of delivery, then line.

    Rows of the lake come so, and are returned as they are.

    Args:
        deliveries: source files, earliest first. Without it the given order of rows with one
            key is taken for the order of delivery if vehicles, frames and the lines of each
            file are in order, else files count as delivered in order of their names.
    """
    key = row_key(raw)
    step = np.diff(key)
    if not (step < 0).any() and _ties_in_order(raw, step == 0, deliveries):
        return raw
    names = raw["source_file"].unique().sort().to_list() if deliveries is None else deliveries
    rank = {name: number for number, name in enumerate(names)}
    return (
        raw.with_columns(
            pl.Series("_key", key),
            pl.col("source_file")
            .replace_strict(rank, default=len(rank), return_dtype=pl.Int32)
            .alias("_delivery"),
        )
        .sort("_key", "_delivery", "source_file", "source_row")
        .drop("_key", "_delivery")
    )


def row_key(raw: pl.DataFrame) -> npt.NDArray[np.int64]:
    """One number per row that sorts as its vehicle and frame do, nulls first."""
    vehicle, frame = (integers(raw[name], _LOWEST) for name in ("vehicle_id", "frame_id"))
    return (vehicle.astype(np.int64) << 32) + frame


def _ties_in_order(raw: pl.DataFrame, tied: np.ndarray, deliveries: Sequence[str] | None) -> bool:
    later = np.flatnonzero(tied) + 1
    if later.size == 0:
        return True
    here = raw.select("source_file", "source_row")[later]
    before = raw.select("source_file", "source_row")[later - 1]
    same_file = here["source_file"] == before["source_file"]
    in_line = here["source_row"] > before["source_row"]
    if deliveries is None:
        return bool((in_line | ~same_file).all())
    rank = {name: number for number, name in enumerate(deliveries)}
    ranks = [
        rows["source_file"].replace_strict(rank, default=len(rank), return_dtype=pl.Int32)
        for rows in (before, here)
    ]
    return bool(((ranks[0] < ranks[1]) | ((ranks[0] == ranks[1]) & same_file & in_line)).all())


def frame_origin(raw: pl.DataFrame, clock: Clock) -> int | None:
    """The most frequent Global_Time - frame_ms * Frame_ID, the lowest of several, None of none."""
    origins = raw.select(_origin(clock).alias("t0")).drop_nulls().to_series()
    if origins.is_empty():
        return None
    first = origins.item(0)
    if (origins == first).mean() > 0.5:
        return int(first)
    return int(origins.mode().min())  # pyright: ignore[reportArgumentType]


def clock_error(clock: Clock, t0: int | None) -> pl.Expr:
    """How far a row's Global_Time is from where its frame puts it, in the unit of the file."""
    return (_origin(clock) - pl.lit(t0, dtype=pl.Int64)).alias("clock_error")


def _origin(clock: Clock) -> pl.Expr:
    return pl.col("global_time") - clock.frame_ms * pl.col("frame_id").cast(pl.Int64)


def to_points(rows: pl.DataFrame, site: Site, t0: int | None) -> pl.DataFrame:
    """The columns of TrajectoryPoint that a row gives by itself, in SI; same rows, same order.

    `vehicle_type` is that of the row's own class, ASSUMED_CLASS where it tells none, null where
    it is none of the three. Without a leader the headways are null, as are the time headway of
    a standing vehicle (9999.99 as delivered) and a headway of zero, which two vehicles one
    behind the other cannot have. Zone 0 and LANE_NOT_TOLD become null. Absent are velocities
    and accelerations by difference, which take several rows.

    Args:
        rows: physical raw rows, those of a vehicle together.
    """
    v_class, leader = pl.col("v_class"), pl.col("preceding")
    leads = leader.is_null() | (leader != 0)
    space, time = pl.col("space_headway"), pl.col("time_headway")
    known_class = v_class.is_null() | v_class.is_between(1, len(VEHICLE_TYPES))
    same = ("highway_id", "recording", "date", "vehicle_id", "int_id", "section_id", "direction",
            "movement", "total_frames", "source_file", "source_row")  # fmt: skip
    as_told = ("x_position", "y_position", "speed", "acceleration", "length", "width")
    feet = pl.DataFrame([as_delivered(rows[name]) for name in ("global_x", "global_y")])
    return rows.with_columns(**si_columns(rows, site)).select(
        *same,
        *as_told,
        trajectory_ids(rows),
        *wgs84(feet, site),
        _utc(site.clock, t0).alias("timestamp"),
        _where(known_class, v_class.fill_null(ASSUMED_CLASS) - 1)
        .cast(pl.UInt8)
        .cat.to(VEHICLE_TYPE)
        .alias("vehicle_type"),
        pl.col("frame_id").alias("frame"),
        _where(~pl.col("lane_id").is_in(LANE_NOT_TOLD), pl.col("lane_id")).alias("lane_id"),
        _where(leader != 0, leader).alias("preceding_id"),
        _where(pl.col("following") != 0, pl.col("following")).alias("following_id"),
        _where(leads & (space != 0), space).alias("space_headway"),
        _where(leads & (time != 0) & (time < _STANDING), time).alias("time_headway"),
        _where(pl.col("o_zone") != 0, pl.col("o_zone")).alias("o_zone"),
        _where(pl.col("d_zone") != 0, pl.col("d_zone")).alias("d_zone"),
    )


def _where(told: pl.Expr, value: pl.Expr) -> pl.Expr:
    return pl.when(told).then(value)


def _utc(clock: Clock, t0: int | None) -> pl.Expr:
    """The frame's time by the site's clock; null where the row tells no time or frame."""
    origin = pl.lit(None if t0 is None else t0 * clock.origin_scale, dtype=pl.Int64)
    milliseconds = origin + clock.frame_ms * pl.col("frame_id").cast(pl.Int64)
    return _where(pl.col("global_time").is_not_null(), milliseconds * _MICROSECONDS).cast(
        pl.Datetime("us", "UTC")
    )


def trajectory_ids(raw: pl.DataFrame) -> pl.Series:
    """One UUID per vehicle; rows of a vehicle stand together, so each is hashed once."""
    vehicles = raw["vehicle_id"].rle().struct.unnest()
    if raw.is_empty():
        return pl.Series("trajectory_id", [], dtype=pl.Categorical())
    highway_id, recording = raw.select("highway_id", "recording").row(0)
    names = pl.Series(
        "trajectory_id",
        [
            None if vehicle is None else trajectory_id(highway_id, recording, vehicle)
            for vehicle in vehicles["value"]
        ],
        dtype=pl.Categorical(),
    )
    number = np.arange(names.len(), dtype=np.uint32)
    return names.gather(pl.Series(np.repeat(number, vehicles["len"].to_numpy())))
