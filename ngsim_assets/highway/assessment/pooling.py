"""From sums of trajectories to one figure: null, never NaN, where there is nothing to pool.

Belongs here: means, shares, deviations and quantiles of pooled samples. Does not belong here: what
is sampled (track_measures.py), which figure is which metric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

Figures = dict[str, float | None]


def summed(measured: pl.DataFrame, column: str) -> float:
    """Sum over all trajectories."""
    return float(measured[column].to_numpy().sum())


def largest(measured: pl.DataFrame, column: str, samples: float) -> float | None:
    """Largest over all trajectories, null of no samples."""
    return float(measured[column].to_numpy().max()) if samples else None


def percent(part: float, whole: float) -> float | None:
    """100 × part / whole, null of nothing."""
    return 100 * part / whole if whole else None


def ratio(part: float, whole: float) -> float | None:
    """part / whole, null of nothing."""
    return part / whole if whole else None


def rms(samples: float, squares: float) -> float | None:
    """Root of the mean square, null of no samples."""
    return math.sqrt(squares / samples) if samples else None


def deviation(samples: float, total: float, squares: float) -> float | None:
    """Standard deviation from sums, null of no samples."""
    if not samples:
        return None
    return math.sqrt(max(0.0, squares / samples - (total / samples) ** 2))


def known(value: float) -> float | None:
    """A number, null where it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def mean_share(measured: pl.DataFrame, part: str, whole: str) -> float | None:
    """Mean of the trajectories' own 100 × part / whole, each the same weight; null of none."""
    parts, wholes = measured[part].to_numpy(), measured[whole].to_numpy()
    some = wholes > 0
    return float(100 * (parts[some] / wholes[some]).mean()) if some.any() else None


def quantiles(values: Any, shares: Sequence[float]) -> list[float | None]:
    """Values that these shares of all known ones do not exceed, linear between; null of none."""
    there = values[~np.isnan(values)]
    if not len(there):
        return [None] * len(shares)
    places = [share * (len(there) - 1) for share in shares]
    there.partition(sorted({k for at in places for k in (math.floor(at), math.ceil(at))}))
    return [
        float(there[math.floor(at)])
        + (at % 1) * (float(there[math.ceil(at)]) - float(there[math.floor(at)]))
        for at in places
    ]
