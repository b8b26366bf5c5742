"""Anyone's own reconstruction against anyone's truth: two tables of motion, checked and compared.

Belongs here: what such tables have to look like, and what is said of those that do not. Does not
belong here: files (scores.py), the comparison (accuracy.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.arrays import floats
from ngsim_assets.highway.scoring.accuracy import KEY, QUANTITIES, error_sums, figures, matches

SECONDS = 0.1
"""Per frame, at every NGSIM site."""

COLUMNS = (
    "vehicle_id, frame (or frame_id), y_position in m; x_position in m, speed in m/s, "
    "acceleration in m/s² are compared where both files have them"
)

# cleaned_trajectories holds both; the truth is motion along the road
_ALSO = {"frame_id": "frame", "velocity_y": "speed", "acceleration_y": "acceleration"}

READ = frozenset({*KEY, *_ALSO, *(column for column, _ in QUANTITIES.values()), "state"})
"""Columns that are looked at."""

# A table in another unit is off by its factor as a whole; nothing else is within 2 % of one.
_UNITS = {
    "x_position": {"feet": 1 / 0.3048},
    "y_position": {"feet": 1 / 0.3048, "kilometres": 0.001},
    "speed": {"ft/s": 1 / 0.3048, "km/h": 3.6, "mph": 3600 / 1609.344},
    "acceleration": {"ft/s²": 1 / 0.3048},
}
_LIKE = 0.02


class NotMotion(NgsimAssetsError):
    """A table that cannot be compared: columns are missing, or are not numbers."""

    exit_code = 2

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}", f"columns: {COLUMNS}")


class BadKeys(NgsimAssetsError):
    """Rows that cannot be told apart, or of no vehicle or frame."""

    exit_code = 2

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}", "one row per vehicle_id and frame")


class NothingInCommon(NgsimAssetsError):
    """No vehicle and frame is in both tables."""

    exit_code = 2

    def __init__(self, truth: str, result: str) -> None:
        super().__init__(
            f"no vehicle_id and frame of the result is in the truth: {result} against {truth}",
            "score the reconstruction of the recording that the truth belongs to",
        )


class OtherUnits(NgsimAssetsError):
    """A column that is the truth's in another unit."""

    exit_code = 2

    def __init__(self, name: str, column: str, factor: float, unit: str) -> None:
        self.column = column
        super().__init__(
            f"{name}: {column} is {factor:.3g} times the truth's, as if in {unit}",
            "positions in m, speeds in m/s, accelerations in m/s²",
        )


def compared(
    truth: pl.DataFrame, result: pl.DataFrame, names: tuple[str, str] = ("truth", "result")
) -> pl.DataFrame:
    """One row of `accuracy.figures`: how far `result` lies from `truth`.

    Args:
        truth, result: vehicle_id, frame or frame_id, y_position (m), and what there is of
            x_position (m), speed (m/s), acceleration (m/s²); in place of the last two
            velocity_y and acceleration_y, and rather these where a table has both. `result`
            may have `state`; its imputed points are counted apart. Other columns are ignored.
        names: what the tables are called in errors.

    Raises NotMotion, BadKeys, NothingInCommon, OtherUnits.
    """
    known, found = (
        at_frames(_motion(table, name).sort(KEY))
        for table, name in zip((truth, result), names, strict=True)
    )
    place, rows = matches(known, found)
    if not len(rows):
        raise NothingInCommon(_extent(known), _extent(found))
    _refuse_other_units(known[place], found[rows], names[1])
    return figures(error_sums(known, found, SECONDS))


def at_frames(motion: pl.DataFrame) -> pl.DataFrame:
    """Motion, sorted by vehicle and frame, with the acceleration at its frames.

    A simulated acceleration is constant from one frame to the next: each row has that of the
    step after it, and the speeds follow from it exactly. At a frame it is the mean of the two
    around, which is the difference of the speeds around, as in other tables of motion. What
    does not integrate so is returned as it is.
    """
    if not {"speed", "acceleration"} <= set(motion.columns):
        return motion
    vehicle, frame = KEY
    follows = (pl.col(vehicle).diff() == 0) & (pl.col(frame).diff() == 1)
    speed, acceleration = pl.col("speed"), pl.col("acceleration")
    drift = (speed.diff() - SECONDS * acceleration.shift()).abs() <= 1e-6
    if not motion.select(drift.filter(follows).all()).item():
        return motion
    centred = (acceleration.shift() + acceleration) / 2.0
    return motion.with_columns(
        pl.when(follows).then(centred).otherwise(acceleration).alias("acceleration")
    )


def _motion(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """The columns that are compared, under their names, as numbers, with sound keys."""
    for other, wanted in _ALSO.items():
        if other in table.columns and not (wanted == "frame" and wanted in table.columns):
            table = table.drop(wanted, strict=False).rename({other: wanted})
    held = [column for column, _ in QUANTITIES.values() if column in table.columns]
    missing = [column for column in (*KEY, "y_position") if column not in table.columns]
    if missing:
        raise NotMotion(name, f"{_listed(missing)} missing")
    words = [column for column in (*KEY, *held) if not table.schema[column].is_numeric()]
    if words:
        raise NotMotion(name, f"{_listed(words)} not numeric")
    if table.is_empty():
        raise NotMotion(name, "has no rows")
    keys = table.select(KEY)
    if keys.null_count().sum_horizontal().item():
        raise BadKeys(name, "rows without vehicle_id or frame")
    whole = keys.cast(pl.Int32, strict=False)
    if not whole.equals(keys.cast(pl.Float64).cast(pl.Int32, strict=False)) or any(
        (keys[column] != whole[column]).any() or whole[column].null_count() for column in KEY
    ):
        raise BadKeys(name, "vehicle_id or frame that are no whole numbers")
    again = whole.is_duplicated()
    if again.any():
        vehicle, frame = whole.filter(again).row(0)
        raise BadKeys(
            name, f"{again.sum():,} rows share their key, as vehicle_id {vehicle}, frame {frame}"
        )
    state = ["state"] if "state" in table.columns else []
    return whole.hstack(table.select(held).cast(pl.Float64)).hstack(
        table.select(state).cast(pl.String)
    )


def _refuse_other_units(truth: pl.DataFrame, result: pl.DataFrame, name: str) -> None:
    """Rows that belong together; OtherUnits if a column is the truth's times a known factor."""
    for column, units in _UNITS.items():
        if column not in truth.columns or column not in result.columns:
            continue
        known, found = floats(truth[column]), floats(result[column])
        both = np.isfinite(known) & np.isfinite(found)
        square = float(np.dot(known[both], known[both]))
        if not square:
            continue
        factor = float(np.dot(known[both], found[both])) / square
        for unit, wrong in units.items():
            if abs(factor / wrong - 1.0) < _LIKE:
                raise OtherUnits(name, column, factor, unit)


def _extent(table: pl.DataFrame) -> str:
    vehicle, frame = (f"{table[name].min()} to {table[name].max()}" for name in KEY)
    return f"vehicles {vehicle}, frames {frame}"


def _listed(columns: Sequence[str]) -> str:
    return f"{', '.join(columns)} {'is' if len(columns) == 1 else 'are'}"
