"""A reconstruction of one's own: what may be given, and what is said of what may not."""

from __future__ import annotations

import polars as pl
import pytest

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.scoring.given import (
    BadKeys,
    NothingInCommon,
    NotMotion,
    OtherUnits,
    at_frames,
    compared,
)
from ngsim_assets.highway.simulate import Scenario, simulate

TRUTH = simulate(Scenario(minutes=0.1, congestion="free")).truth


def test_the_simulated_truth_against_itself() -> None:
    row = compared(TRUTH, TRUTH).row(0, named=True)
    assert row["position_rmse"] == row["speed_rmse"] == row["acceleration_rmse"] == 0.0
    assert row["coverage"] == 1.0


def test_order_other_columns_and_number_types_do_not_matter() -> None:
    other = (
        TRUTH.sample(fraction=1.0, shuffle=True, seed=3)
        .rename({"frame_id": "frame"})
        .with_columns(pl.col("vehicle_id", "frame").cast(pl.Float64), pl.lit("mine").alias("note"))
        .drop("x_position")
    )
    row = compared(TRUTH, other).row(0, named=True)
    assert row["speed_rmse"] == 0.0
    assert row["lateral_points"] == 0


def test_motion_along_the_road_is_taken_where_both_are_there() -> None:
    cleaned = TRUTH.with_columns(
        pl.col("speed").alias("velocity_y"), pl.col("speed") + 1.0, pl.lit(0.0).alias("unused")
    )
    assert compared(TRUTH, cleaned).item(0, "speed_rmse") == 0.0


def test_simulated_acceleration_is_taken_at_the_frame() -> None:
    truth = TRUTH.rename({"frame_id": "frame"}).sort("vehicle_id", "frame")
    centred = at_frames(truth).with_columns(
        ((pl.col("speed").shift(-1) - pl.col("speed").shift()) / 0.2)
        .over("vehicle_id")
        .alias("around")
    )
    inside = centred.drop_nulls("around")
    assert (inside["around"] - inside["acceleration"]).abs().max() < 1e-9  # type: ignore[operator]
    # it has been done: a second time changes nothing
    assert at_frames(centred).equals(centred)


@pytest.mark.parametrize(
    ("broken", "error", "says"),
    [
        (TRUTH.drop("y_position"), NotMotion, "y_position is missing"),
        (TRUTH.drop("vehicle_id", "frame_id"), NotMotion, "vehicle_id, frame are missing"),
        (TRUTH.with_columns(pl.col("speed").cast(pl.String)), NotMotion, "speed is not numeric"),
        (TRUTH.clear(), NotMotion, "has no rows"),
        (pl.concat([TRUTH, TRUTH.head(2)]), BadKeys, "4 rows share their key"),
        (
            TRUTH.with_columns(pl.when(pl.col("frame_id") > 3).then("vehicle_id")),
            BadKeys,
            "without vehicle_id or frame",
        ),
        (TRUTH.with_columns(pl.col("frame_id") / 10.0), BadKeys, "no whole numbers"),
        (
            TRUTH.with_columns(pl.col("vehicle_id") + 10_000),
            NothingInCommon,
            "no vehicle_id and frame of the result is in the truth",
        ),
        (TRUTH.with_columns(pl.col("y_position") / 0.3048), OtherUnits, "as if in feet"),
        (TRUTH.with_columns(pl.col("speed") * 3.6), OtherUnits, "as if in km/h"),
        (TRUTH.with_columns(pl.col("speed") * 2.2369), OtherUnits, "as if in mph"),
    ],
)
def test_what_cannot_be_compared_says_why(
    broken: pl.DataFrame, error: type[NgsimAssetsError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        compared(TRUTH, broken, ("truth.parquet", "mine.csv"))
    assert "mine.csv" in str(raised.value) or error is NothingInCommon
    assert raised.value.exit_code == 2
