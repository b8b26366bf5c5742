"""Points into pixels and bins: what pictures of a million points are drawn from.

Belongs here: compiled kernels that paint trajectories on a grid and count values in bins. Does
not belong here: colours, axes, any drawing library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Ints, Tracks

MARKS = 2
"""Kinds of marks that a point can have."""


@dataclass(frozen=True)
class Window:
    """The part of time and space that one panel shows, and its pixels or cells."""

    first_frame: float
    last_frame: float
    y_low: float
    y_high: float
    width: int
    height: int

    @property
    def placement(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Origin, and cells per frame and per metre."""
        per_frame = self.width / max(self.last_frame - self.first_frame, 1.0)
        per_metre = self.height / max(self.y_high - self.y_low, 1e-9)
        return (self.first_frame, self.y_low), (per_frame, per_metre)


def paint(
    tracks: Tracks, y: Floats, speed: Floats, mark: Any, panel: Ints, panels: int, window: Window
) -> tuple[Floats, Any]:
    """Mean speed per pixel of each panel, NaN where nobody was, and the share of each mark.

    `panel` gives each row's panel, -1 for none; `mark` is 0 for none, else the number of a mark
    from 1. Rows one frame apart in the same panel are joined by a line, so a trajectory stays
    connected at any scale. Row 0 is at `y_low`. Shares are by mark, panel, row, column.
    """
    total = np.zeros((panels, window.height, window.width), np.float32)
    count = np.zeros_like(total)
    marked = np.zeros((MARKS, *total.shape), np.float32)
    _paint(
        np.argsort(tracks.vehicle),
        tracks.starts,
        tracks.frame,
        (y, speed, mark, panel),
        window.placement,
        total,
        count,
        marked,
    )
    with np.errstate(invalid="ignore"):
        return total / count, marked / np.maximum(count, 1)


@njit(cache=True, nogil=True)
def _paint(
    order: Any,
    starts: Any,
    frame: Any,
    columns: Any,
    placement: Any,
    total: Any,
    count: Any,
    marked: Any,
) -> None:
    y, speed, mark, panel = columns
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
                    if mark[i] > 0:
                        marked[mark[i] - 1, where, row, column] += 1


def presence(tracks: Tracks, y: Floats, chosen: Any, window: Window) -> tuple[Ints, Ints, Ints]:
    """Frames of vehicles per cell of `window`: seen, those of them `chosen`, and not seen.

    A frame that is missing between two of a trajectory counts where the straight line between
    their positions puts it.
    """
    shape = (window.height, window.width)
    seen, picked, missing = (np.zeros(shape, np.int64) for _ in range(3))
    _count(tracks.starts, tracks.frame, y, chosen, window.placement, seen, picked, missing)
    return seen, picked, missing


@njit(cache=True, nogil=True)
def _count(
    starts: Any,
    frame: Any,
    y: Any,
    chosen: Any,
    placement: Any,
    seen: Any,
    picked: Any,
    missing: Any,
) -> None:
    (first, low), (per_frame, per_metre) = placement
    height, width = seen.shape
    for track in range(len(starts) - 1):
        for i in range(starts[track], starts[track + 1]):
            row = int(np.floor((y[i] - low) * per_metre))
            column = int(np.floor((frame[i] - first) * per_frame))
            if 0 <= row < height and 0 <= column < width:
                seen[row, column] += 1
                picked[row, column] += chosen[i]
            if i == starts[track] or frame[i] - frame[i - 1] < 2:
                continue
            slope = (y[i] - y[i - 1]) / (frame[i] - frame[i - 1])
            # a stray frame must not be walked to from outside the window
            start = max(frame[i - 1] + 1, int(np.floor(first)))
            end = min(frame[i], int(np.ceil(first + width / per_frame)) + 1)
            for lost in range(start, end):
                column = int(np.floor((lost - first) * per_frame))
                along = y[i - 1] + slope * (lost - frame[i - 1])
                row = int(np.floor((along - low) * per_metre))
                if 0 <= row < height and 0 <= column < width:
                    missing[row, column] += 1


@njit(cache=True, nogil=True)
def histogram(values: Any, low: float, high: float, bins: int) -> Any:
    """Values per bin of [low, high); those beyond are in the outermost bins, NaN nowhere."""
    counts = np.zeros(bins, np.int64)
    scale = bins / (high - low)
    for value in values:
        if not np.isnan(value):
            # held to the bins as a float: infinity has no whole number
            at = min(max(np.floor((value - low) * scale), 0.0), bins - 1.0)
            counts[int(at)] += 1
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
