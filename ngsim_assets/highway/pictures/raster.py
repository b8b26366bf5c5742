"""Points into pixels and bins: what pictures of a million points are drawn from.

Belongs here: the columns that pictures read, and compiled kernels that paint trajectories on a
grid and count values in bins. Does not belong here: colours, axes, any drawing library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numba import njit

from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Ints, Tracks

# What pictures read of a table, as narrow as a pixel is coarse.
_SINGLE = pl.Float32()
COLUMNS = {
    "x": pl.col("x_position").cast(_SINGLE),
    "y": pl.col("y_position").cast(_SINGLE),
    "speed": pl.col("speed").cast(_SINGLE),
    "acceleration": pl.col("acceleration").cast(_SINGLE),
    "lane": pl.col("lane_id").cast(pl.Int32()),
    "direction": pl.col("direction").cast(pl.Int32()),
}
STATE = {
    "imputed": pl.col("state").cast(pl.String) == "imputed",
    "repaired": pl.col("state").cast(pl.String) == "repaired",
}


@dataclass(frozen=True)
class Window:
    """The part of time and space that one panel shows, and its pixels."""

    first_frame: float
    last_frame: float
    y_low: float
    y_high: float
    width: int
    height: int


def paint(
    tracks: Tracks,
    y: Floats,
    speed: Floats,
    imputed: Any,
    panel: Ints,
    panels: int,
    window: Window,
) -> tuple[Floats, Any]:
    """Mean speed per pixel of each panel, NaN where nobody was, and where points are imputed.

    `panel` gives each row's panel, -1 for none. Rows one frame apart in the same panel are
    joined by a line, so a trajectory stays connected at any scale. Row 0 is at `y_low`.
    """
    total = np.zeros((panels, window.height, window.width), np.float32)
    count = np.zeros_like(total)
    filled = np.zeros(total.shape, np.bool_)
    scale = (
        window.width / max(window.last_frame - window.first_frame, 1.0),
        window.height / max(window.y_high - window.y_low, 1e-9),
    )
    origin = (window.first_frame, window.y_low)
    _paint(
        np.argsort(tracks.vehicle),
        tracks.starts,
        tracks.frame,
        (y, speed, imputed, panel),
        (origin, scale),
        total,
        count,
        filled,
    )
    with np.errstate(invalid="ignore"):
        return total / count, filled


@njit(cache=True, nogil=True)
def _paint(
    order: Any,
    starts: Any,
    frame: Any,
    columns: Any,
    placement: Any,
    total: Any,
    count: Any,
    filled: Any,
) -> None:
    y, speed, imputed, panel = columns
    (first, low), (per_frame, per_metre) = placement
    panels, height, width = total.shape
    for track in order:
        for i in range(starts[track], starts[track + 1]):
            where = panel[i]
            if where < 0 or where >= panels or np.isnan(speed[i]):
                continue
            u, v = (frame[i] - first) * per_frame, (y[i] - low) * per_metre
            steps, du, dv = 1, 0.0, 0.0
            if i > starts[track] and frame[i] - frame[i - 1] == 1 and panel[i - 1] == where:
                du, dv = per_frame, (y[i] - y[i - 1]) * per_metre
                # A jump across the picture is not a line anybody drove.
                steps = max(1, min(int(np.ceil(max(abs(du), abs(dv)))), height))
            for k in range(steps):
                part = k / steps
                column, row = int(np.floor(u - part * du)), int(np.floor(v - part * dv))
                if 0 <= column < width and 0 <= row < height:
                    total[where, row, column] += speed[i]
                    count[where, row, column] += 1
                    if imputed[i]:
                        filled[where, row, column] = True


@njit(cache=True, nogil=True)
def histogram(values: Any, low: float, high: float, bins: int) -> Any:
    """Values per bin of [low, high); those beyond are in the outermost bins, NaN nowhere."""
    counts = np.zeros(bins, np.int64)
    scale = bins / (high - low)
    for value in values:
        if not np.isnan(value):
            counts[min(max(int(np.floor((value - low) * scale)), 0), bins - 1)] += 1
    return counts


@njit(cache=True, nogil=True)
def differences(starts: Any, frame: Any, values: Any) -> Any:
    """Change per second from the row one frame before, NaN where there is none."""
    out = np.full(len(values), np.nan, np.float32)
    for track in range(len(starts) - 1):
        for i in range(starts[track] + 1, starts[track + 1]):
            if frame[i] - frame[i - 1] == 1:
                out[i] = (values[i] - values[i - 1]) / FRAME
    return out


def gap_lengths(tracks: Tracks) -> Ints:
    """Frames missing in each gap inside a trajectory."""
    steps = np.diff(tracks.frame)
    inside = np.ones(len(steps), np.bool_)
    inside[tracks.starts[1:-1] - 1] = False
    return steps[inside & (steps > 1)] - 1


def speed_scale_end(speed: Floats) -> float:
    """m/s: a round number that 99.5 % of the speeds stay below."""
    counts = histogram(speed, 0.0, 60.0, 120)
    if not counts.sum():
        return 5.0
    share = np.cumsum(counts) / counts.sum()
    return max(5.0, 2.5 * np.ceil((np.searchsorted(share, 0.995) + 1) * 0.5 / 2.5))
