"""Clean recordings made of formulas, for tests that break one thing at a time.

Belongs here: rows as the lake holds them (feet, logical types), ways to change some of them,
verdicts on them. Does not belong here: any fault; tests inject their own and know where.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ngsim_assets.highway.formats import FOOT
from ngsim_assets.highway.model import RAW_TRAJECTORIES
from ngsim_assets.highway.sites import US_101, Site
from ngsim_assets.highway.validate import judge

LANE_WIDTH = 3.6
SPACING = 30.0


def recording(
    vehicles: int = 6,
    frames: int = 120,
    *,
    site: Site = US_101,
    lanes: int = 2,
    speed: float = 12.0,
    source_file: str = "recording.txt",
    first_frame: int = 20,
    noise: float = 0.0,
    seed: int = 0,
) -> pl.DataFrame:
    """Columns of raw_trajectories: platoons that speed up and slow down by a sine.

    Vehicle 1 leads lane 1, 2 leads lane 2, and so on; every vehicle follows the one `lanes`
    before it at SPACING m. Positions carry white noise of `noise` m, headways are those of the
    noisy positions, speeds are exact.
    """
    random = np.random.default_rng(seed)
    official = site.recordings[0]
    t0 = sum(official.t0) // 2
    number = np.repeat(np.arange(vehicles), frames)
    step = np.tile(np.arange(frames), vehicles)
    seconds = 0.1 * step
    swing, period = 0.2 * speed, 20.0
    angle = 2 * np.pi * seconds / period
    driven = speed * seconds + swing * period / (2 * np.pi) * (1 - np.cos(angle))
    rank = number // lanes
    start = SPACING * (rank.max() - rank) + 5.0
    y = (start + driven + noise * random.standard_normal(step.size)) / FOOT
    lane = number % lanes + 1
    x = (LANE_WIDTH * (lane - 0.5) + noise * random.standard_normal(step.size)) / FOOT
    v = (speed + swing * np.sin(angle)) / FOOT
    a = swing * 2 * np.pi / period * np.cos(angle) / FOOT
    leader = np.where(rank > 0, number + 1 - lanes, 0)
    follower = np.where(number + lanes < vehicles, number + 1 + lanes, 0)
    y = np.round(y, 3)
    ahead = np.roll(y, lanes * frames) - y
    headway = np.where(leader > 0, ahead, 0.0)
    frame = first_frame + step
    easting, northing = _middle(site)
    columns = {
        "vehicle_id": number + 1,
        "frame_id": frame,
        "total_frames": np.full(step.size, frames),
        "global_time": t0 + site.clock.frame_ms * frame,
        "local_x": x,
        "local_y": y,
        "global_x": easting + x,
        "global_y": northing + y,
        "v_length": np.where(number % 5 == 4, 30.0, 14.5),
        "v_width": np.full(step.size, 6.5),
        "v_class": np.where(number % 5 == 4, 3, 2),
        "v_vel": v,
        "v_acc": a,
        "lane_id": lane,
        "preceding": leader,
        "following": follower,
        "space_headway": headway,
        "time_headway": np.where(leader > 0, headway / v, 0.0),
        "source_row": np.arange(step.size) + 2,
    }
    return pl.DataFrame(
        {
            name: _as(columns[name], dtype).alias(name)
            if name in columns
            else pl.Series([None] * step.size, dtype=dtype)
            for name, dtype in RAW_TRAJECTORIES.schema.items()
        }
    ).with_columns(
        highway_id=pl.lit(site.highway_id),
        recording=pl.lit(official.key),
        date=pl.lit(official.start.date()),
        source_file=pl.lit(source_file),
        location=pl.lit(site.highway_id),
    )


def _as(values: np.ndarray, dtype: pl.DataType) -> pl.Series:
    if not isinstance(dtype, pl.Decimal):
        return pl.Series(values).cast(dtype)
    return _logical(pl.Series(np.round(values * 10**dtype.scale).astype(np.int64)), dtype)


def as_logical(physical: pl.DataFrame, **constants: object) -> pl.DataFrame:
    """Unscaled integers, as readers yield them, as the lake gives them back; constants beside."""
    return physical.select(
        pl.lit(constants[name], dtype).alias(name)
        if name in constants
        else _logical(physical[name], dtype)
        for name, dtype in RAW_TRAJECTORIES.schema.items()
    )


def _logical(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if not isinstance(dtype, pl.Decimal):
        return column.cast(dtype)
    scale = pl.lit(10**dtype.scale).cast(pl.Decimal(38, dtype.scale))
    return (
        column.to_frame().select(pl.first().cast(pl.Decimal(38, 0)) / scale).to_series().cast(dtype)
    )


def _middle(site: Site) -> tuple[float, float]:
    from pyproj import Transformer

    degrees = (
        (site.longitude.low + site.longitude.high) / 2,
        (site.latitude.low + site.latitude.high) / 2,
    )
    return Transformer.from_crs(4326, site.epsg, always_xy=True).transform(*degrees)


def replaced(
    raw: pl.DataFrame, where: pl.Expr, **values: pl.Expr | float | str | None
) -> pl.DataFrame:
    """`raw` with these columns changed on the rows where `where` holds, types kept."""
    return raw.with_columns(
        pl.when(where)
        .then((value if isinstance(value, pl.Expr) else pl.lit(value)).cast(raw.schema[name]))
        .otherwise(pl.col(name))
        .alias(name)
        for name, value in values.items()
    )


def feet(metres: float) -> float:
    return metres / FOOT


def shifted(column: str, by: float) -> pl.Expr:
    """A position so many metres from where it was."""
    return pl.col(column).cast(pl.Float64) + feet(by)


def verdicts(raw: pl.DataFrame, site: Site = US_101, **options: object) -> pl.DataFrame:
    """Key, reasons and flags of every row that has any."""
    judged = judge(raw.lazy(), site, **options).collect()  # pyright: ignore[reportArgumentType]
    assert judged.height == raw.height
    return judged.filter(
        (pl.col("reasons").list.len() > 0) | (pl.col("flags").list.len() > 0)
    ).select("vehicle_id", "frame", "source_row", "reasons", "flags")


def reasons_by_frame(found: pl.DataFrame) -> dict[int, list[str]]:
    return dict(found.select("frame", "reasons").rows())


def again(rows: pl.DataFrame, **values: pl.Expr | float | str | None) -> pl.DataFrame:
    """The rows once more, further down in their file."""
    return replaced(rows.with_columns(pl.col("source_row") + 100_000), pl.lit(value=True), **values)
