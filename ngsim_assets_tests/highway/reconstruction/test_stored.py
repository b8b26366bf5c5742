"""Cleaning from lake to lake: the same as in one piece, with what was done recorded beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway import stages
from ngsim_assets.highway.clean import CleaningParameters, clean
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import (
    CLEANED_TRAJECTORIES,
    TRAJECTORY_SEGMENTS,
    VALIDATED_POINTS,
)
from ngsim_assets.highway.sites import US_101
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets_tests.highway import driven

KEY = PartitionKey("us-101", US_101.recordings[0].key)


def _squeezed() -> pl.DataFrame:
    """Vehicles 5 m apart, of which the second comes 1 m into the first, and blips of lanes."""
    y = driven.stop_and_go(200, 3, stops=False)
    bump = 1.6 * np.exp(-(((np.arange(200) - 100) / 15.0) ** 2))
    rows = pl.concat(
        driven.narrow(k, y + 5.0 * (6 - k) + (bump if k == 2 else 0.0)) for k in range(1, 6)
    )
    blip = pl.col("frame").is_between(150, 153) & (pl.col("vehicle_id") == 4)
    return driven.points(
        rows,
        length=4.5,
        lane_id=pl.when(blip).then(3).otherwise(2),
        preceding_id=pl.when(pl.col("vehicle_id") > 1).then(pl.col("vehicle_id") - 1),
    )


@pytest.mark.parametrize("chunk_rows", [200, 100_000])
def test_what_is_stored_is_what_cleaning_in_one_piece_gives(
    tmp_path: Path, chunk_rows: int
) -> None:
    platform = stages.Platform(
        lake=ParquetStorage(tmp_path / "lake"),
        landing=LandingZone(tmp_path / "landing"),
        reports=tmp_path,
        catalog=tmp_path / "catalog.duckdb",
        chunk_rows=chunk_rows,
        cleaning=CleaningParameters(gap_limit=1.5),
    )
    points = _squeezed()
    parts = [points] if chunk_rows > 1000 else points.partition_by("vehicle_id")
    platform.lake.replace(VALIDATED_POINTS, stages.identity(KEY), parts)
    commit = stages.store_cleaned(platform, KEY)

    order = ("vehicle_id", "frame")
    stored = platform.lake.scan(CLEANED_TRAJECTORIES, stages.identity(KEY)).sort(order).collect()
    validated = platform.lake.scan(VALIDATED_POINTS, stages.identity(KEY)).collect()
    whole = clean(validated.lazy(), US_101, platform.cleaning).sort(order).collect()
    for name in ("y_position", "x_position", "velocity_y", "acceleration_y", "space_headway"):
        np.testing.assert_allclose(stored[name], whole[name], atol=1e-3)
    assert stored["y_position"].equals(whole["y_position"])
    assert stored["state"].to_list() == whole["state"].cast(pl.String).to_list()
    assert stored["lane_id"].to_list() == [2] * 1000
    assert (stored["lane_id"] != stored["lane_raw"]).sum() == 4

    made = commit.provenance
    assert made.rows[VALIDATED_POINTS.name] == 1000
    assert made.rows[stages.MOVED_APART] == (stored["state"] == "repaired").sum() > 10
    assert made.rows[stages.OVERLAPPING] == 0
    assert made.parameters["gap_limit"] == 1.5
    steps = made.parameters["steps"]
    assert [step["filter"] for step in steps] == [
        "dedupe", "outliers", "impute", "smooth", "lanes", "separate",
    ]  # fmt: skip
    assert steps[-1]["limits"]["jerk"] == US_101.limits.jerk

    stages.store_segments(platform, KEY)
    summed = platform.lake.scan(TRAJECTORY_SEGMENTS, stages.identity(KEY)).collect()
    assert summed["lane_changes"].to_list() == [0] * 5
    recorded = json.loads(summed["metadata"][0])["parameters"]
    assert recorded["overlap_deepest"] == 2.0
    assert recorded["lane_shortest"] == 1.0
