"""Errors against a truth: what is compared with what, and what comes of it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ngsim_assets.highway.scoring.accuracy import QUANTITIES, error_sums, figures, pooled

COLUMNS = {"x_position": 3.0, "y_position": 100.0, "speed": 12.0, "acceleration": 0.5}


def motion(vehicles: int = 3, frames: int = 40, seed: int = 1) -> pl.DataFrame:
    """Vehicles on consecutive frames, with any values."""
    random = np.random.default_rng(seed)
    rows = vehicles * frames
    return pl.DataFrame(
        {
            "vehicle_id": np.repeat(np.arange(1, vehicles + 1), frames),
            "frame": np.tile(np.arange(7, 7 + frames), vehicles),
        }
        | {name: level + 0.2 * random.standard_normal(rows) for name, level in COLUMNS.items()}
    ).cast({"vehicle_id": pl.Int32, "frame": pl.Int32})


def told(truth: pl.DataFrame, found: pl.DataFrame) -> dict[str, float]:
    return figures(error_sums(truth, found)).row(0, named=True)


def test_truth_against_itself_is_without_error() -> None:
    row = told(motion(), motion())
    for quantity in QUANTITIES:
        assert row[f"{quantity}_points"] == 120
        assert row[f"{quantity}_rmse"] == row[f"{quantity}_bias"] == 0.0
        assert row[f"{quantity}_largest"] == 0.0
        assert row[f"{quantity}_imputed_rmse"] is None
    assert row["coverage"] == 1.0


@pytest.mark.parametrize(("quantity", "column"), [(q, c) for q, (c, _) in QUANTITIES.items()])
def test_a_known_offset_is_exactly_that_error(quantity: str, column: str) -> None:
    row = told(motion(), motion().with_columns(pl.col(column) - 0.25))
    assert row[f"{quantity}_rmse"] == pytest.approx(0.25, rel=1e-12)
    assert row[f"{quantity}_bias"] == pytest.approx(-0.25, rel=1e-12)
    assert row[f"{quantity}_largest"] == pytest.approx(0.25, rel=1e-12)
    for other in set(QUANTITIES) - {quantity}:
        assert row[f"{other}_rmse"] == 0.0


def test_only_frames_that_both_have_are_compared() -> None:
    truth = motion()
    found = truth.filter(pl.col("frame") < 27).with_columns(pl.col("y_position") + 1.0)
    strangers = found.with_columns(pl.col("vehicle_id") + 50, pl.col("y_position") + 1000.0)
    row = told(truth, pl.concat([found, strangers]))
    assert row["position_points"] == 60
    assert row["position_rmse"] == pytest.approx(1.0)
    assert row["coverage"] == 0.5
    nothing = told(truth, strangers)
    assert nothing["coverage"] == 0.0
    assert nothing["position_rmse"] is None
    assert told(truth.clear(), found)["coverage"] is None


def test_imputed_points_are_counted_apart() -> None:
    odd = pl.col("frame") % 4 == 0
    found = motion().with_columns(
        pl.col("speed") + pl.when(odd).then(3.0).otherwise(0.5),
        pl.when(odd).then(pl.lit("imputed")).otherwise(pl.lit("repaired")).alias("state"),
    )
    row = told(motion(), found)
    assert row["speed_rmse"] == pytest.approx(0.5)
    assert row["speed_imputed_rmse"] == pytest.approx(3.0)
    assert row["imputed_points"] == 30
    assert row["speed_points"] == 90
    assert row["coverage"] == 1.0


def test_what_is_missing_is_not_compared() -> None:
    truth = motion()
    found = truth.drop("acceleration", "x_position").with_columns(
        pl.when(pl.col("frame") > 10).then("speed").alias("speed")
    )
    row = told(truth, found)
    assert row["acceleration_rmse"] is None
    assert row["acceleration_points"] == row["lateral_points"] == 0
    assert row["jerk_share"] is None
    assert row["speed_points"] == 120 - 3 * 4


def test_jerk_is_the_difference_of_accelerations_on_consecutive_frames() -> None:
    track = pl.DataFrame(
        {
            "vehicle_id": [1, 1, 1, 1, 2],
            "frame": [1, 2, 3, 5, 6],
            "y_position": [0.0] * 5,
            # 10 and 20 m/s³, then a gap and another vehicle, which have none
            "acceleration": [0.0, 1.0, 3.0, 90.0, 0.0],
        }
    )
    sums = error_sums(track, track).row(0, named=True)
    assert (sums["jerk_samples"], sums["jerk_over"]) == (2, 1)


@given(st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    truth, found = motion(seed=1), motion(seed=2)
    shuffled = error_sums(
        truth.sample(fraction=1.0, shuffle=True, seed=seed),
        found.sample(fraction=1.0, shuffle=True, seed=seed + 1),
    )
    assert_frame_equal(shuffled, error_sums(truth, found), check_exact=True)


def test_pooled_recordings_are_as_one() -> None:
    truth, found = motion(4), motion(4, seed=2)
    first = pl.col("vehicle_id") <= 1
    parts = [error_sums(truth.filter(of), found.filter(of)) for of in (first, ~first)]
    together = pooled(
        pl.concat([part.with_columns(method=pl.lit("any")) for part in parts]), ("method",)
    )
    assert_frame_equal(
        figures(together).drop("method"), figures(error_sums(truth, found)), rel_tol=1e-12
    )
