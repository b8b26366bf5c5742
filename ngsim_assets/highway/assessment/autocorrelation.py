"""How long an error is remembered: autocorrelation over all trajectories at once.

Belongs here: the pooled estimate and the time it tells. Does not belong here: what a residual is
(stage_metrics.py), pictures of it (plots.py).

Source: after Box, Jenkins (1970), Time series analysis: forecasting and control, section 2.1:
pooled over trajectories, and each lag held against the squares of its own pairs, so that gaps do
not lower it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Tracks

LONGEST = 5.0  # s, chosen here: beyond it what remains is traffic, not error
_ROUNDING = 1e-12  # of the sum of squares: less than this is a constant whose mean was rounded


def autocorrelation(
    tracks: Tracks, values: Floats, seconds: float = FRAME, longest: float = LONGEST
) -> tuple[Floats, Floats]:
    """Correlation of `values` (one per row of `tracks`) with themselves some time later.

    All pairs of values so many frames apart, in a stretch of consecutive frames of one
    trajectory, are pooled, after the mean of all values (not that of each trajectory) is taken
    off:

        r(k) = sum of e_i e_(i+k) / sqrt(sum of e_i² x sum of e_(i+k)²)

    Args:
        tracks, values: what to look at; NaN is in no pair.
        seconds: between frames. longest: s, longest lag.

    Returns:
        Lags in s from 0; coefficients from -1 to 1, NaN where no pair lies so far apart or
        nothing varies.
    """
    lags = round(longest / seconds) + 1
    order = np.argsort(tracks.vehicle)
    products, before, after, power = _sums(order, tracks.starts, tracks.frame, values, lags)
    scale = np.sqrt(before * after)
    known = scale > _ROUNDING * power
    coefficients = np.full(lags, np.nan)
    coefficients[known] = products[known] / scale[known]
    return np.arange(lags) * seconds, coefficients


def decorrelation_time(lags: Floats, coefficients: Floats) -> float | None:
    """First lag at which the correlation is below 1/e; null where none of `lags` is."""
    below = np.flatnonzero(coefficients < 1 / math.e)
    return float(lags[below[0]]) if len(below) else None


@njit(cache=True, nogil=True)
def _sums(order: Any, starts: Any, frame: Any, values: Any, lags: int) -> Any:
    products, before, after = np.zeros(lags), np.zeros(lags), np.zeros(lags)
    mean, power, longest = _moments(order, starts, values)
    # A stretch, nothing after it, and whether each place holds a value.
    errors, squares, there = (
        np.zeros(longest + lags),
        np.zeros(longest + lags),
        np.zeros(longest + lags),
    )
    for track in order:
        low = starts[track]
        for i in range(low, starts[track + 1]):
            known = not np.isnan(values[i])
            k = i - low
            errors[k] = values[i] - mean if known else 0.0
            squares[k] = errors[k] * errors[k]
            there[k] = 1.0 if known else 0.0
            last = i + 1 == starts[track + 1]
            if last or frame[i + 1] - frame[i] != 1:
                rows = k + 1
                errors[rows : rows + lags] = 0.0
                squares[rows : rows + lags] = 0.0
                there[rows : rows + lags] = 0.0
                for place in range(rows):
                    if there[place] == 0.0:
                        continue
                    error, square = errors[place], squares[place]
                    for lag in range(lags):
                        products[lag] += error * errors[place + lag]
                        before[lag] += square * there[place + lag]
                        after[lag] += squares[place + lag]
                low = i + 1
    return products, before, after, power


@njit(cache=True, nogil=True)
def _moments(order: Any, starts: Any, values: Any) -> Any:
    """Mean, sum of squares, and rows of the longest trajectory."""
    total, power, samples, longest = 0.0, 0.0, 0, 0
    for track in order:
        longest = max(longest, starts[track + 1] - starts[track])
        for i in range(starts[track], starts[track + 1]):
            if not np.isnan(values[i]):
                total += values[i]
                power += values[i] * values[i]
                samples += 1
    return total / max(1, samples), power, longest
