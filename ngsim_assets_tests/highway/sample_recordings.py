"""Small recordings made for measuring: a known motion, seen with known errors.

Vehicles of a lane follow one speed field with waves that travel upstream, so they never cross
and every figure of the motion is known; what is "seen" is that motion plus noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from ngsim_assets.highway.model import CLEANED_TRAJECTORIES, VALIDATED_POINTS

RECORDING = "2005-06-15T0750"
_START = datetime(2005, 6, 15, 14, 49, 38, 900_000, tzinfo=UTC)


@dataclass(frozen=True)
class Sample:
    """What was seen, and the motion itself, in the columns of the two tables."""

    validated: pl.DataFrame
    cleaned: pl.DataFrame


def sample_recording(
    *,
    vehicles_per_lane: int = 12,
    lanes: int = 3,
    minutes: float = 2.0,
    noise: float = 0.03,
    gap_every: int = 0,
    seed: int = 1,
) -> Sample:
    """A recording of `minutes` on 640 m; `noise` metres of white position error.

    Of every `gap_every`-th vehicle the frames 20 to 27 after its first are not seen; cleaned
    rows fill them, marked imputed.
    """
    rng = np.random.default_rng(seed)
    frames = int(minutes * 600)
    per_lane = np.arange(vehicles_per_lane)
    lane = np.repeat(np.arange(1, lanes + 1), vehicles_per_lane)
    enters = np.tile(per_lane * frames // max(1, vehicles_per_lane), lanes) + lane
    y = np.zeros((frames, len(lane)))
    for t in range(1, frames):
        moving = t > enters
        y[t] = y[t - 1] + np.where(moving, 0.1 * _speed_field(t / 10, y[t - 1], lane), 0.0)
    t, k = np.nonzero((np.arange(frames)[:, None] >= enters) & (y <= 640))
    order = np.lexsort((t, k))
    t, k = t[order], k[order]
    leader = np.where(k % vehicles_per_lane > 0, k - 1, -1)
    follower = np.where((k + 1) % vehicles_per_lane > 0, k + 1, -1)
    here = np.zeros((frames, len(lane)), dtype=bool)
    here[t, k] = True
    has_leader = (leader >= 0) & here[t, leader]
    has_follower = (follower >= 0) & here[t, follower]

    along = y[t, k]
    speed = _speed_field(t / 10, along, lane[k])
    v, a = _rates(along, k)
    seen_y = along + rng.normal(0, noise, len(along)) if noise else along
    seen_v, seen_a = _rates(seen_y, k)
    lateral = 3.66 * (lane[k] - 0.5) + 0.3 * np.sin(t / 40)
    vx, ax = _rates(lateral, k)
    since = t - enters[k]
    chosen = k % gap_every == 0 if gap_every else np.zeros(len(k), bool)
    hidden = chosen & (since >= 20) & (since < 28)
    length = 4.0 + 0.25 * (k % 4)

    shared = {
        "highway_id": "us-101",
        "recording": RECORDING,
        "date": date(2005, 6, 15),
        "vehicle_type": "auto",
        "vehicle_id": k + 1,
        "frame": t + 20,
        "timestamp": pl.Series(t * 100_000).cast(pl.Duration("us")) + _START,
        "velocity_x": vx,
        "acceleration_x": ax,
        "lane_id": lane[k],
        "length": length,
        "width": 1.8,
        "preceding_id": pl.Series(np.where(has_leader, leader + 1, 0)).replace(0, None),
        "following_id": pl.Series(np.where(has_follower, follower + 1, 0)).replace(0, None),
        "source_file": "sample.txt",
        "source_row": np.arange(1, len(k) + 1),
    }
    spacing = y[t, np.maximum(leader, 0)] - along
    headway = pl.Series(np.where(has_leader, spacing, np.nan)).fill_nan(None)
    validated = _table(
        VALIDATED_POINTS.schema,
        shared,
        x_position=lateral,
        y_position=seen_y,
        velocity_y=seen_v,
        acceleration_y=seen_a,
        speed=np.maximum(0.0, _mean_of(seen_v, k)),
        acceleration=np.clip(seen_a, -3.41376, 3.41376),
        space_headway=headway,
        total_frames=np.bincount(k, minlength=len(lane))[k],
        flags=pl.repeat([], len(k), dtype=pl.List(pl.String()), eager=True),
    ).filter(~pl.Series(hidden))
    seen = pl.Series(~hidden)
    cleaned = _table(
        CLEANED_TRAJECTORIES.schema,
        shared,
        x_position=lateral,
        y_position=along,
        velocity_y=v,
        acceleration_y=a,
        speed=np.hypot(v, vx),
        acceleration=a,
        jerk=np.gradient(a, 0.1),
        state=pl.Series(np.where(hidden, "imputed", "observed")),
        x_raw=pl.select(pl.when(seen).then(pl.Series(lateral))).to_series(),
        y_raw=pl.select(pl.when(seen).then(pl.Series(seen_y))).to_series(),
        space_headway=headway,
    )
    assert (np.abs(speed) < 45).all()
    return Sample(validated, cleaned)


def _speed_field(t: float | np.ndarray, y: np.ndarray, lane: np.ndarray) -> np.ndarray:
    """m/s; waves of 15 km/h upstream, faster on the left."""
    phase = 2 * np.pi * (t / 90 + y / (90 * 4.2))
    return np.maximum(0.5, (13.0 - lane) * (0.6 + 0.5 * np.sin(phase)))


def _rates(position: np.ndarray, track: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central first and second differences within tracks, ends repeated."""
    ahead, behind = np.roll(position, -1), np.roll(position, 1)
    first = np.r_[True, track[1:] != track[:-1]]
    last = np.r_[track[1:] != track[:-1], True]
    velocity = np.where(first | last, np.nan, (ahead - behind) / 0.2)
    acceleration = np.where(first | last, np.nan, (ahead - 2 * position + behind) / 0.01)
    return _ends_repeated(velocity), _ends_repeated(acceleration)


def _ends_repeated(values: np.ndarray) -> np.ndarray:
    filled = pl.Series(values).fill_nan(None)
    return filled.fill_null(strategy="forward", limit=1).fill_null(strategy="backward").to_numpy()


def _mean_of(values: np.ndarray, track: np.ndarray) -> np.ndarray:
    """Mean over 0.9 s: delivered speeds are smoother than differences of positions."""
    frame = pl.DataFrame({"track": track, "value": values})
    smooth = pl.col("value").rolling_mean(9, center=True, min_samples=1).over("track")
    return frame.select(smooth).to_series().to_numpy()


def _table(schema: pl.Schema, shared: dict, **own: object) -> pl.DataFrame:
    """Columns of `schema` in order; what is not given is null."""
    given = shared | own
    rows = len(given["vehicle_id"])
    return (
        pl.DataFrame(
            [
                pl.Series(name, _column(given.get(name), rows)).cast(dtype)
                for name, dtype in schema.items()
            ]
        )
        .with_columns(
            trajectory_id=pl.format("trajectory-{}", "vehicle_id"),
        )
        .select(*schema)
    )


def _column(value: object, rows: int) -> pl.Series:
    if isinstance(value, pl.Series):
        return value
    if isinstance(value, np.ndarray):
        return pl.Series(value)
    return pl.repeat(value, rows, eager=True)
