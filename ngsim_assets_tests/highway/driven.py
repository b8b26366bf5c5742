"""Driven tracks made of formulas, with the errors cameras make, as validated points.

Belongs here: truth in SI units and TrajectoryPoint rows of it, for tests of what comes after
validation. Does not belong here: rows as delivered (synthetic.py), traffic with car following
(the package's own simulator).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.highway.model import VALIDATED_POINTS
from ngsim_assets.highway.sites import US_101, Site

Floats = NDArray[np.float64]
STEP = 0.1
START = datetime(2005, 6, 15, 14, 50, tzinfo=UTC)


def stop_and_go(frames: int, seed: int = 0, *, stops: bool = True) -> Floats:
    """Positions (m) of a vehicle that meets waves of about 30 s, standing in them or not."""
    random = np.random.default_rng(seed)
    t = STEP * np.arange(frames + 60)
    period, phase = random.uniform(25.0, 40.0), random.uniform(0.0, 2 * np.pi)
    speed = (5.0 if stops else 9.0) + 7.0 * np.sin(2 * np.pi * t / period + phase)
    speed += random.uniform(0.5, 1.5) * np.sin(2 * np.pi * t / random.uniform(9.0, 14.0))
    kernel = np.hanning(23)
    smooth = np.convolve(np.maximum(speed, 0.0), kernel / kernel.sum(), mode="same")[30:-30]
    return np.concatenate([[0.0], np.cumsum((smooth[1:] + smooth[:-1]) / 2.0) * STEP])


def speed_of(y: Floats) -> Floats:
    """Central differences (m/s), one-sided at the ends."""
    return np.gradient(y, STEP)


def acceleration_of(y: Floats) -> Floats:
    """Second differences (m/s²), the ends as their neighbours."""
    inner = np.diff(y, 2) / STEP**2
    return np.concatenate([inner[:1], inner, inner[-1:]])


def drifting(frames: int, seed: int, size: float, seconds: float) -> Floats:
    """Error with standard deviation `size` (m) that is forgotten within `seconds`."""
    random = np.random.default_rng(seed)
    keep = np.exp(-STEP / seconds)
    fresh = random.standard_normal(frames) * size * np.sqrt(1.0 - keep * keep)
    error = np.empty(frames)
    error[0] = random.standard_normal() * size
    for i in range(1, frames):
        error[i] = keep * error[i - 1] + fresh[i]
    return error


def narrow(vehicle: int, y: Floats, *, x: Floats | float = 3.0, first: int = 100) -> pl.DataFrame:
    """vehicle_id, frame, x_position and y_position of consecutive frames."""
    return pl.DataFrame(
        {
            "vehicle_id": np.full(len(y), vehicle, dtype=np.int32),
            "frame": np.arange(first, first + len(y), dtype=np.int32),
            "x_position": np.broadcast_to(np.asarray(x, dtype=np.float64), y.shape),
            "y_position": y,
        }
    )


def points(rows: pl.DataFrame, site: Site = US_101, **columns: object) -> pl.DataFrame:
    """TrajectoryPoint rows of `rows` (see `narrow`); `columns` replace the defaults."""
    values: dict[str, object] = {
        "highway_id": site.highway_id,
        "recording": site.recordings[0].key,
        "date": site.date,
        "vehicle_type": "auto",
        "trajectory_id": pl.format("id-{}", "vehicle_id"),
        "timestamp": pl.lit(START) + pl.col("frame").cast(pl.Int64) * timedelta(milliseconds=100),
        "longitude": pl.col("y_position") * 1e-5 - 118.36,
        "latitude": pl.col("y_position") * 1e-5 + 34.1,
        "lane_id": 1,
        "length": 4.5,
        "width": 1.8,
        "total_frames": pl.len().over("vehicle_id"),
        "source_file": "trajectories.txt",
        "source_row": pl.int_range(1, pl.len() + 1),
        "flags": pl.lit([], VALIDATED_POINTS.schema["flags"]),
        **columns,
    }
    made = rows.with_columns(
        (value if isinstance(value, pl.Expr) else pl.lit(value)).alias(name)
        for name, value in values.items()
    )
    return made.select(
        (pl.col(name) if name in made.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in VALIDATED_POINTS.schema.items()
    )
