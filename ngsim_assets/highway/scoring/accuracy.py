"""How far motion lies from the truth: sums that can be pooled, and the figures made of them.

Belongs here: the comparison of one table of motion with one table of truth. Does not belong here:
simulated recordings (trial.py), limits (targets.py), files.

Motion is compared frame by frame where both tables have the vehicle. A point that was imputed
(`state`) is nothing the source delivered: it counts in `imputed_…` and in the jerks, not in the
errors that stand beside those of the delivered rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.highway.arrays import floats, integers

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

KEY = ("vehicle_id", "frame")

QUANTITIES: Mapping[str, tuple[str, str]] = {
    "lateral": ("x_position", "m"),
    "position": ("y_position", "m"),
    "speed": ("speed", "m/s"),
    "acceleration": ("acceleration", "m/s²"),
}
"""What is compared: column and unit. Speed and acceleration are those along the road."""

JERK_LIMIT = 15.0
"""m/s³, Punzo et al. (2011)."""

_SUMS = ("points", "total", "squares", "imputed_points", "imputed_squares")
_LARGEST = "largest"
_OTHER = ("truth_points", "covered_points", "jerk_samples", "jerk_over")
_SCHEMA = pl.Schema(
    {
        f"{quantity}_{name}": pl.Int64() if name.endswith("points") else pl.Float64()
        for quantity in QUANTITIES
        for name in (*_SUMS, _LARGEST)
    }
    | dict.fromkeys(_OTHER[:2], pl.Int64())
)


def error_sums(truth: pl.DataFrame, motion: pl.DataFrame, seconds: float = 0.1) -> pl.DataFrame:
    """One row of sums over the points of a recording that both tables have.

    Args:
        truth, motion: vehicle_id, frame, one row per pair of them, and the columns of
            QUANTITIES; a column that either lacks, and a null, is not compared. `motion` may
            have `state`.
        seconds: per frame.

    Returns:
        per quantity `<quantity>_points`, `_total` and `_squares` of the errors (motion less
        truth) of points that are not imputed, `_largest` absolute one, `_imputed_points`,
        `_imputed_squares`; `truth_points`, those of them `covered_points`; `jerk_samples`, those
        of them `jerk_over` JERK_LIMIT: differences of acceleration between consecutive frames.
        Does not depend on the order of rows.
    """
    known, ordered = truth.sort(KEY), motion.sort(KEY)
    place, found = matches(known, ordered)
    filled = np.zeros(len(found), bool)
    if "state" in motion.columns:
        filled = (ordered["state"] == "imputed").fill_null(value=False).to_numpy()[found]
    sums: dict[str, float | None] = {}
    for quantity, (column, _) in QUANTITIES.items():
        error = np.full(len(found), np.nan)
        if column in known.columns and column in ordered.columns:
            error = floats(ordered[column])[found] - floats(known[column])[place]
        sums |= {f"{quantity}_{name}": value for name, value in _sums(error, filled).items()}
    sums |= {"truth_points": truth.height, "covered_points": len(found)}
    return pl.DataFrame([sums], schema=_SCHEMA).hstack(_jerks(ordered, seconds))


def matches(truth: pl.DataFrame, motion: pl.DataFrame) -> tuple[Index, Index]:
    """Rows of sorted `truth` and of `motion` that belong together."""
    known, asked = _keys(truth), _keys(motion)
    if not len(known):
        return known, known
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    found = np.flatnonzero(known[place] == asked)
    return place[found], found


def _keys(rows: pl.DataFrame) -> Index:
    """One number per row that sorts as its vehicle and frame do."""
    vehicle, frame = (integers(rows[name], 0).astype(np.int64) for name in KEY)
    return (vehicle << 32) + frame


def _sums(error: Floats, filled: NDArray[np.bool_]) -> dict[str, float | None]:
    compared = ~np.isnan(error)
    seen, holes = error[compared & ~filled], error[compared & filled]
    return {
        "points": len(seen),
        "total": float(seen.sum()),
        "squares": float((seen**2).sum()),
        "largest": float(np.abs(seen).max()) if len(seen) else None,
        "imputed_points": len(holes),
        "imputed_squares": float((holes**2).sum()),
    }


def _jerks(motion: pl.DataFrame, seconds: float) -> pl.DataFrame:
    if "acceleration" not in motion.columns:
        return pl.DataFrame({"jerk_samples": [0], "jerk_over": [0]})
    vehicle, frame = KEY
    follows = (pl.col(vehicle).diff() == 0) & (pl.col(frame).diff() == 1)
    jerk = pl.when(follows).then(pl.col("acceleration").diff() / seconds).fill_nan(None)
    return motion.select(
        jerk.count().cast(pl.Int64).alias("jerk_samples"),
        (jerk.abs() > JERK_LIMIT).sum().cast(pl.Int64).alias("jerk_over"),
    )


def pooled(sums: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Rows of `error_sums` with equal values in the columns `by` as one, in order of first row."""
    added = [f"{quantity}_{name}" for quantity in QUANTITIES for name in _SUMS]
    return sums.group_by(by, maintain_order=True).agg(
        pl.col(*added, *_OTHER).sum(),
        pl.col(*(f"{quantity}_{_LARGEST}" for quantity in QUANTITIES)).max(),
    )


def figures(sums: pl.DataFrame) -> pl.DataFrame:
    """What rows of `error_sums` come to, beside whatever else they hold.

    Returns:
        `<quantity>_points`, `_rmse`, `_bias`, `_largest`, `_imputed_rmse` (null without points)
        in the quantity's unit, `imputed_points`, `coverage` (share of truth points that the
        motion has) and `jerk_share` (of samples).
    """
    own = {f"{q}_{name}" for q in QUANTITIES for name in (*_SUMS, _LARGEST)} | set(_OTHER)
    made: list[pl.Expr] = []
    for quantity in QUANTITIES:
        points, filled = (pl.col(f"{quantity}_{name}") for name in ("points", "imputed_points"))
        squares, holes = (pl.col(f"{quantity}_{name}") for name in ("squares", "imputed_squares"))
        made += [
            points,
            pl.when(points > 0).then((squares / points).sqrt()).alias(f"{quantity}_rmse"),
            pl.when(points > 0)
            .then(pl.col(f"{quantity}_total") / points)
            .alias(f"{quantity}_bias"),
            pl.col(f"{quantity}_{_LARGEST}"),
            pl.when(filled > 0).then((holes / filled).sqrt()).alias(f"{quantity}_imputed_rmse"),
        ]
    total, samples = pl.col("truth_points"), pl.col("jerk_samples")
    return sums.select(
        *(name for name in sums.columns if name not in own),
        *made,
        pl.col("position_imputed_points").alias("imputed_points"),
        pl.when(total > 0).then(pl.col("covered_points") / total).alias("coverage"),
        pl.when(samples > 0).then(pl.col("jerk_over") / samples).alias("jerk_share"),
    )
