"""Trajectories summed up."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from ngsim_assets.highway.clean import CleaningParameters, MovingAverage, clean, segments
from ngsim_assets.highway.model import TRAJECTORY_SEGMENTS
from ngsim_assets.highway.sites import US_101
from ngsim_assets_tests.highway import driven


def _summed(rows: pl.DataFrame, **parameters: object) -> pl.DataFrame:
    chosen = CleaningParameters(**parameters)  # type: ignore[arg-type]
    cleaned = clean(rows.lazy(), US_101, chosen)
    return segments(cleaned, chosen, rows.lazy()).collect()


def test_a_trajectory_is_summed_up() -> None:
    y = 10.0 + driven.stop_and_go(200, 1, stops=False)
    y[50] += 6.0
    rows = driven.points(
        driven.narrow(5, y),
        lane_id=pl.when(pl.col("frame") < 150)
        .then(2)
        .when(pl.col("frame") < 230)
        .then(3)
        .otherwise(2),
        total_frames=300,
    ).filter(~pl.col("frame").is_between(180, 184) & ~pl.col("frame").is_between(240, 279))
    out = _summed(rows)

    assert dict(out.schema) == dict(TRAJECTORY_SEGMENTS.schema)
    row = out.row(0, named=True)
    assert row["lanes"] == [2, 3, 2]
    assert row["lane_changes"] == 2
    assert (row["points"], row["points_observed"]) == (160, 154)
    assert (row["points_repaired"], row["points_imputed"]) == (1, 5)
    assert row["gaps_open"] == 1
    assert row["completeness"] == pytest.approx(155 / 200)
    assert row["total_frames"] == 300
    assert row["end_time"] - row["start_time"] == timedelta(seconds=19.9)
    assert row["distance"] == pytest.approx(y[-1] - y[0], abs=0.2)
    assert row["speed_mean"] == pytest.approx(np.mean(driven.speed_of(np.delete(y, 50))), abs=1.0)
    assert row["speed_max"] >= row["speed_mean"]
    assert (row["length"], row["width"]) == (4.5, 1.8)


def test_metadata_says_how_it_was_made_and_what_is_left() -> None:
    random = np.random.default_rng(1)
    y = driven.stop_and_go(600, 2, stops=False) + 0.2 * random.standard_normal(600)
    out = _summed(driven.points(driven.narrow(1, y)), gap_limit=1.5)
    record = json.loads(out["metadata"][0])
    assert record["method"] == "robust_whittaker"
    assert record["parameters"]["gap_limit"] == 1.5
    assert record["residual_rms_y"] == pytest.approx(0.2, abs=0.03)
    assert record["residual_rms_x"] == pytest.approx(0.0, abs=0.01)

    averaged = _summed(driven.points(driven.narrow(1, y)), method=MovingAverage(velocity=2.0))
    record = json.loads(averaged["metadata"][0])
    assert record["method"] == "moving_average"
    assert record["parameters"]["method"]["velocity"] == 2.0


def test_one_row_per_trajectory_whatever_the_chunks() -> None:
    rows = pl.concat(
        driven.points(driven.narrow(v, driven.stop_and_go(50 + v, v))) for v in (4, 2, 9)
    )
    together = _summed(rows)
    apart = [_summed(part) for part in rows.partition_by("vehicle_id", maintain_order=True)]
    assert together.equals(pl.concat(apart))
    assert together["vehicle_id"].to_list() == [4, 2, 9]


def test_lanes_nobody_knows_are_none() -> None:
    rows = driven.points(driven.narrow(1, np.arange(5.0)), lane_id=pl.lit(None, pl.Int32))
    row = _summed(rows).row(0, named=True)
    assert row["lanes"] == []
    assert row["lane_changes"] == 0
    without = segments(clean(rows.lazy(), US_101), CleaningParameters()).collect()
    assert without["total_frames"].to_list() == [None]
