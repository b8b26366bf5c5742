"""Measures of single trajectories: sums over each one's rows, from which metrics are pooled.

Belongs here: the reading of narrow columns as whole trajectories, and the compiled kernels that
pass over them. Does not belong here: names, limits and meanings of metrics (metrics.py), pairs
of vehicles (platoon.py).

Every kernel writes one row per trajectory. Sums are taken along each trajectory first and over
trajectories in order of vehicle number afterwards, so no figure depends on how the rows were
split into files or chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

FRAME = 0.1  # s between frames, every NGSIM site (FHWA data dictionary)

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Tracks:
    """The rows of one table as trajectories, each one's rows together and in order of time.

    Attributes:
        vehicle: vehicle number per trajectory. starts: its first row, and one past the last.
        frame: per row.
    """

    vehicle: Ints
    starts: Ints
    frame: Ints
    _points: pl.LazyFrame
    _columns: Mapping[str, pl.Expr]
    _order: Ints | None

    @classmethod
    def of(cls, points: pl.LazyFrame, columns: Mapping[str, pl.Expr]) -> Tracks:
        """Group one recording's `points`; `columns` says what `read` finds under which name.

        Files hold whole vehicles, but in any order, and a vehicle whose class changes lies in
        two of them: rows are put in order only where a trajectory is not together or not in
        order of time. `points` is collected again for every `read`, a few columns at a time,
        so it is a scan or a frame, not an expensive plan.
        """
        rows = points.select(
            pl.col("vehicle_id").cast(pl.Int32), pl.col("frame").cast(pl.Int32)
        ).collect(engine="streaming")
        vehicle, frame = _filled(rows["vehicle_id"]), _filled(rows["frame"])
        starts, order = _runs(vehicle), None
        numbers = vehicle[starts[:-1]]
        if len(np.unique(numbers)) < len(numbers) or not _in_order(starts, frame):
            order = np.lexsort((frame, vehicle))
            vehicle, frame = vehicle[order], _lent(frame[order])
            starts = _runs(vehicle)
            numbers = vehicle[starts[:-1]]
        return cls(numbers, starts, frame, points, columns, order)

    def read(self, *names: str) -> list[Any]:
        """The named columns as arrays in order of rows; null is NaN, -1 or False."""
        rows = self._points.select(**{name: self._columns[name] for name in names}).collect(
            engine="streaming"
        )
        arrays = [_filled(column) for column in rows.iter_columns()]
        if self._order is None:
            return arrays
        return [_lent(array[self._order]) for array in arrays]

    def __len__(self) -> int:
        return len(self.vehicle)


def _runs(vehicle: Ints) -> Ints:
    if not len(vehicle):
        return np.zeros(1, np.int64)
    changes = np.flatnonzero(vehicle[1:] != vehicle[:-1]) + 1
    return np.concatenate(([0], changes, [len(vehicle)])).astype(np.int64)


def _filled(column: pl.Series) -> Any:
    if column.dtype == pl.Boolean:
        return _lent(column.fill_null(value=False).to_numpy())
    return _lent(column.fill_null(float("nan") if column.dtype.is_float() else -1).to_numpy())


def _lent(array: Any) -> Any:
    """Read-only: Polars lends memory or copies it, as it likes; kernels are compiled for one."""
    array.setflags(write=False)
    return array


@njit(cache=True, nogil=True)
def _in_order(starts: Any, frame: Any) -> bool:
    for track in range(len(starts) - 1):
        for i in range(starts[track] + 1, starts[track + 1]):
            if frame[i] < frame[i - 1]:
                return False
    return True


def spans(tracks: Tracks, x: Floats, y: Floats) -> pl.DataFrame:
    """Where and when each trajectory was seen.

    `seen` distinct frames; `first`, `last` frame; `missing` frames between them in `gaps` runs,
    the `longest_gap` of them; `net` displacement along the section; `along` and `across`, the
    extents of its positions; `near` and `far`, the smallest and largest position along.
    """
    return _table(tracks, _spans(tracks.starts, tracks.frame, x, y), _SPANS)


_SPANS = (
    "seen",
    "first",
    "last",
    "missing",
    "gaps",
    "longest_gap",
    "net",
    "along",
    "across",
    "near",
    "far",
)


@njit(cache=True, nogil=True)
def _spans(starts: Any, frame: Any, x: Any, y: Any) -> Any:
    out = np.zeros((len(starts) - 1, 11))
    for track in range(len(starts) - 1):
        low, high = starts[track], starts[track + 1]
        seen, missing, gaps, longest = 1, 0, 0, 0
        left = right = x[low]
        near = far = y[low]
        for i in range(low + 1, high):
            step = frame[i] - frame[i - 1]
            if step > 0:
                seen += 1
            if step > 1:
                missing += step - 1
                gaps += 1
                longest = max(longest, step - 1)
            left, right = min(left, x[i]), max(right, x[i])
            near, far = min(near, y[i]), max(far, y[i])
        out[track, 0] = seen
        out[track, 1] = frame[low]
        out[track, 2] = frame[high - 1]
        out[track, 3] = missing
        out[track, 4] = gaps
        out[track, 5] = longest
        out[track, 6] = y[high - 1] - y[low]
        out[track, 7] = far - near
        out[track, 8] = right - left
        out[track, 9] = near
        out[track, 10] = far
    return out


def jerks(
    tracks: Tracks,
    acceleration: Floats,
    *,
    limit: float,
    minimum_points: int,
    quiet: float,
    window: int,
) -> pl.DataFrame:
    """Jerk after Punzo et al. (2011): difference of `acceleration` between consecutive frames.

    Only trajectories of `minimum_points` rows and more. `samples`; those `over` the limit in
    absolute value; their `total`, `squares` and `largest`; `windows` of that many consecutive
    samples, and those of them `inverted`, with more than one change of sign. A jerk not over
    `quiet` has no sign.
    """
    found = _jerks(tracks.starts, tracks.frame, acceleration, limit, minimum_points, quiet, window)
    return _table(tracks, found, _JERKS)


_JERKS = ("samples", "over", "total", "squares", "largest", "windows", "inverted")


@njit(cache=True, nogil=True)
def _jerks(
    starts: Any,
    frame: Any,
    acceleration: Any,
    limit: float,
    minimum_points: int,
    quiet: float,
    window: int,
) -> Any:
    out = np.zeros((len(starts) - 1, 7))
    for track in range(len(starts) - 1):
        low, high = starts[track], starts[track + 1]
        if high - low < minimum_points:
            continue
        # Samples since the last break; the last signed one; and for the last two changes of
        # sign, the signed sample before the change: a window holds a change if it holds both
        # its sides, so two changes if it reaches back to the earlier one's first side.
        run, sign, signed_at = 0, 0, -1
        earlier, latest = -1, -1
        for i in range(low + 1, high):
            jerk = (acceleration[i] - acceleration[i - 1]) / FRAME
            if frame[i] - frame[i - 1] != 1 or np.isnan(jerk):
                run, sign, earlier, latest = 0, 0, -1, -1
                continue
            run += 1
            size = abs(jerk)
            out[track, 0] += 1
            if size > limit:
                out[track, 1] += 1
            out[track, 2] += jerk
            out[track, 3] += jerk * jerk
            out[track, 4] = max(out[track, 4], size)
            if size > quiet:
                now = 1 if jerk > 0 else -1
                if sign not in (0, now):
                    earlier, latest = latest, signed_at
                sign, signed_at = now, i
            if run >= window:
                out[track, 5] += 1
                if earlier > i - window:
                    out[track, 6] += 1
    return out


def moments(tracks: Tracks, values: Floats) -> pl.DataFrame:
    """`samples`, `total`, `squares`, `absolute` sum, `largest` and `largest_absolute` value."""
    return _table(tracks, _moments(tracks.starts, values), _MOMENTS)


_MOMENTS = ("samples", "total", "squares", "absolute", "largest", "largest_absolute")


@njit(cache=True, nogil=True)
def _moments(starts: Any, values: Any) -> Any:
    out = np.zeros((len(starts) - 1, 6))
    for track in range(len(starts) - 1):
        samples, total, squares, absolute = 0, 0.0, 0.0, 0.0
        largest, largest_absolute = -np.inf, 0.0
        for i in range(starts[track], starts[track + 1]):
            value = np.float64(values[i])
            if np.isnan(value):
                continue
            samples += 1
            total += value
            squares += value * value
            size = abs(value)
            absolute += size
            largest = max(largest, value)
            largest_absolute = max(largest_absolute, size)
        out[track, 0] = samples
        out[track, 1] = total
        out[track, 2] = squares
        out[track, 3] = absolute
        out[track, 4] = largest
        out[track, 5] = largest_absolute
    return out


def spread(tracks: Tracks, values: Floats | Ints) -> pl.DataFrame:
    """`smallest` and `largest` value of each trajectory, NaN (or -1, if whole) left out.

    Both NaN where a trajectory has no value.
    """
    found = _spread(tracks.starts, values)
    return _table(tracks, found, ("smallest", "largest"))


@njit(cache=True, nogil=True)
def _spread(starts: Any, values: Any) -> Any:
    out = np.full((len(starts) - 1, 2), np.nan)
    for track in range(len(starts) - 1):
        for i in range(starts[track], starts[track + 1]):
            value = values[i]
            if np.isnan(value) or value == -1:
                continue
            if not out[track, 0] <= value:
                out[track, 0] = value
            if not out[track, 1] >= value:
                out[track, 1] = value
    return out


@njit(cache=True, nogil=True)
def exceeding(values: Any, limit: float) -> int:
    """Rows whose absolute value is over `limit`."""
    count = 0
    for value in values:
        if abs(value) > limit:
            count += 1
    return count


def backwards(tracks: Tracks, velocity: Floats, heading: Floats, tolerance: float) -> pl.DataFrame:
    """`samples` of velocity, and those pointing `back` against a trajectory's heading."""
    found = _backwards(tracks.starts, velocity, heading, tolerance)
    return _table(tracks, found, ("samples", "back"))


@njit(cache=True, nogil=True)
def _backwards(starts: Any, velocity: Any, heading: Any, tolerance: float) -> Any:
    out = np.zeros((len(starts) - 1, 2))
    for track in range(len(starts) - 1):
        if heading[track] == 0:
            continue
        for i in range(starts[track], starts[track + 1]):
            if np.isnan(velocity[i]):
                continue
            out[track, 0] += 1
            if velocity[i] * heading[track] < -tolerance:
                out[track, 1] += 1
    return out


def consistency(
    tracks: Tracks, value: Floats, rate: Floats, sign: Floats, taken: npt.NDArray[np.bool_]
) -> pl.DataFrame:
    """How far `value` strays from its own `rate` integrated (Punzo et al. 2011).

    Over each stretch of consecutive frames: value_k - value_0 - sign * sum of the trapezoids of
    the rate. Only trajectories with `taken`. `samples`, `squares`, `largest` deviation.
    """
    found = _consistency(tracks.starts, tracks.frame, value, rate, sign, taken)
    return _table(tracks, found, ("samples", "squares", "largest"))


@njit(cache=True, nogil=True)
def _consistency(starts: Any, frame: Any, value: Any, rate: Any, sign: Any, taken: Any) -> Any:
    out = np.zeros((len(starts) - 1, 3))
    for track in range(len(starts) - 1):
        if not taken[track]:
            continue
        low = starts[track]
        origin, integral, before = np.nan, 0.0, np.nan
        for i in range(low, starts[track + 1]):
            now = np.float64(rate[i])
            follows = i > low and frame[i] - frame[i - 1] == 1
            if not follows or np.isnan(before) or np.isnan(now) or np.isnan(value[i]):
                # A new stretch begins here, unless there is nothing to begin it with.
                origin, integral = np.float64(value[i]), 0.0
                before = np.nan if np.isnan(origin) else now
                continue
            integral += FRAME * 0.5 * (before + now)
            before = now
            error = abs(value[i] - origin - sign[track] * integral)
            out[track, 0] += 1
            out[track, 1] += error * error
            out[track, 2] = max(out[track, 2], error)
    return out


def lane_changes(
    tracks: Tracks, lane: Ints, counted: npt.NDArray[np.bool_], stable_frames: int
) -> pl.DataFrame:
    """`changes` of lane between rows, and `stable` ones.

    Only changes between lanes that are `counted` (indexed by lane number). Stable: stays of
    fewer than `stable_frames` frames are taken out first, then the changes left are counted.
    """
    found = _lane_changes(tracks.starts, tracks.frame, lane, counted, stable_frames)
    return _table(tracks, found, ("changes", "stable"))


@njit(cache=True, nogil=True)
def _lane_changes(starts: Any, frame: Any, lane: Any, counted: Any, stable_frames: int) -> Any:
    out = np.zeros((len(starts) - 1, 2))
    lanes = len(counted)
    for track in range(len(starts) - 1):
        current, since, held = -1, 0, -1
        for i in range(starts[track], starts[track + 1]):
            now = lane[i]
            if now < 0:
                continue
            if now != current:
                if current >= 0 and current < lanes and now < lanes:
                    out[track, 0] += counted[current] and counted[now]
                current, since = now, frame[i]
            # A stay counts from the frame at which it has lasted long enough.
            if frame[i] - since + 1 >= stable_frames and held != current:
                if held >= 0 and held < lanes and current < lanes:
                    out[track, 1] += counted[held] and counted[current]
                held = current
    return out


def _table(tracks: Tracks, measured: Floats, names: tuple[str, ...]) -> pl.DataFrame:
    """One row per trajectory in order of vehicle number, so that sums never depend on files."""
    frame = pl.DataFrame({name: measured[:, k] for k, name in enumerate(names)})
    return frame.insert_column(0, pl.Series("vehicle_id", tracks.vehicle)).sort("vehicle_id")
