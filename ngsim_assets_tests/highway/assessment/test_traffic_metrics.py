"""Metrics of traffic have the values that were worked out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ngsim_assets.highway.sites import PEACHTREE, US_101, Site
from ngsim_assets_tests.highway.assessment.measured import measured, value
from ngsim_assets_tests.highway.driven import narrow, points
from ngsim_assets_tests.highway.sample_recordings import Sample, sample_recording


@pytest.fixture(scope="module")
def sample() -> Sample:
    return sample_recording(vehicles_per_lane=4, lanes=2, minutes=1.0)


def test_headways_in_space_and_time(sample: Sample) -> None:
    """Headways of 20 m at 10 m/s, told as 2 s but for every tenth, which is told as 0.4 s."""
    rows = sample.validated.height
    told = np.where(np.arange(rows) % 10 == 0, 0.4, 2.0)
    validated = sample.validated.with_columns(
        space_headway=pl.lit(20.0), speed=pl.lit(10.0), time_headway=pl.Series(told)
    )
    metrics = measured(sample, validated=validated)
    assert value(metrics, "space_headway_median", "validated") == 20
    assert value(metrics, "time_headway_median", "validated") == 2
    assert value(metrics, "time_headway_p5", "validated") == pytest.approx(0.4)
    assert value(metrics, "time_headway_under_0_5", "validated") == pytest.approx(10, abs=0.1)
    assert value(metrics, "time_headway_rmse", "validated") == pytest.approx(
        16 * np.sqrt(0.1), rel=1e-3
    )
    creeping = validated.with_columns(speed=pl.lit(0.9))
    again = measured(sample, validated=creeping)
    assert value(again, "time_headway_rmse", "validated") is None


def test_one_wrong_headway_is_the_largest(sample: Sample) -> None:
    first = sample.cleaned.filter(pl.col("space_headway").is_not_null())["source_row"][0]
    wrong = sample.cleaned.with_columns(
        space_headway=pl.col("space_headway") + pl.when(source_row=first).then(-7.5).otherwise(0)
    )
    metrics = measured(sample, cleaned=wrong)
    assert value(metrics, "headway_largest") == pytest.approx(7.5, abs=1e-3)


def test_a_wrong_leader_is_not_an_overlap(sample: Sample) -> None:
    """Vehicle 3 follows vehicle 2; told to follow 4 behind it, and with 2 in another lane."""
    cleaned = sample.cleaned.with_columns(length=pl.lit(4.0))
    told = cleaned.with_columns(
        preceding_id=pl.when(vehicle_id=3, preceding_id=2).then(4).otherwise("preceding_id")
    ).cast({"preceding_id": pl.Int32})
    metrics = measured(sample, cleaned=told)
    assert value(metrics, "leader_behind") > 0
    assert value(metrics, "leader_other_lane") == 0
    assert value(metrics, "overlaps") == value(metrics, "leader_behind")

    away = told.with_columns(
        lane_id=pl.when(vehicle_id=4).then(7).otherwise("lane_id").cast(pl.Int32)
    )
    metrics = measured(sample, cleaned=away)
    pairs = value(metrics, "leader_behind")
    assert value(metrics, "leader_other_lane") >= pairs > 0
    assert value(metrics, "overlaps") == 0
    assert value(metrics, "gap_smallest") > 0

    unknown = told.with_columns(lane_id=pl.lit(None, pl.Int32))
    metrics = measured(sample, cleaned=unknown)
    assert value(metrics, "leader_other_lane") is None
    assert value(metrics, "overlaps") == value(metrics, "leader_behind")


def _queue(site: Site, noise: float) -> pl.DataFrame:
    """Twenty vehicles that stand for a minute while their positions shake."""
    random = np.random.default_rng(2)
    rows = [narrow(k, 20.0 * k + random.normal(0, noise, 600)) for k in range(1, 21)]
    return points(pl.concat(rows), site)


@pytest.mark.parametrize("site", [PEACHTREE, US_101], ids=["peachtree", "us-101"])
def test_noise_of_a_queue_is_no_flow(sample: Sample, site: Site) -> None:
    """Absolute steps of 0.1 m of noise would be over 1 m/s."""
    metrics = measured(sample, validated=_queue(site, 0.1), site=site)
    assert value(metrics, "edie_speed", "validated") < 0.01
    cleaned = _queue(site, 0.0).select("vehicle_id", "frame", "y_position")
    still = sample.cleaned.head(0)
    still = pl.concat([still, cleaned], how="diagonal_relaxed").with_columns(
        pl.lit(3.0).alias("x_position"),
        pl.lit(0.0).alias("velocity_y"),
        pl.lit(0.0).alias("speed"),
        pl.lit(1, pl.Int32).alias("lane_id"),
        pl.lit("auto").alias("vehicle_type"),
    )
    metrics = measured(sample, validated=_queue(site, 0.1), cleaned=still, site=site)
    assert value(metrics, "edie_cell_speed_rms") < 0.02
    assert value(metrics, "edie_cell_flow_rms") < 3
    if site is US_101:  # where nobody stands on a border between cells
        assert value(metrics, "edie_cell_density_rms") == 0
    assert value(metrics, "distance_change_largest") < 0.6


def test_cells_that_changed_by_a_known_amount(sample: Sample) -> None:
    """Validated motion that is the cleaned one, once as it is and once a tenth slower."""
    seen = sample.cleaned.select("vehicle_id", "frame", "x_position", "y_position", "lane_id")
    validated = points(seen, lane_id=pl.col("lane_id"))
    same = measured(sample, validated=validated)
    for metric in (
        "edie_cell_speed_rms",
        "edie_cell_flow_rms",
        "edie_cell_density_rms",
        "distance_change_mean",
        "distance_change_largest",
    ):
        assert value(same, metric) == pytest.approx(0, abs=1e-9)
    slower = points(seen.with_columns(pl.col("y_position") * 0.9), lane_id=pl.col("lane_id"))
    metrics = measured(sample, validated=slower)
    own = seen.group_by("vehicle_id").agg(
        pl.col("y_position").last() - pl.col("y_position").first()
    )["y_position"]
    assert value(metrics, "distance_change_mean") == pytest.approx(own.mean() * 0.1)
    assert value(metrics, "distance_change_largest") == pytest.approx(own.max() * 0.1)
    mean = value(metrics, "edie_cell_speed_difference")
    assert value(metrics, "edie_cell_speed_rms") >= mean > 0.3


def test_waves_run_at_their_speed() -> None:
    """The sample's speed field has waves of 4.2 m/s (15 km/h) against the traffic."""
    dense = sample_recording(vehicles_per_lane=60, lanes=3, minutes=6.0, noise=0.1)
    metrics = measured(dense)
    for stage in ("validated", "cleaned"):
        assert value(metrics, "wave_speed", stage) == pytest.approx(-4.2, rel=0.05)
        low, high = (value(metrics, f"wave_speed_{end}", stage) for end in ("low", "high"))
        assert low <= value(metrics, "wave_speed", stage) <= high < 0
    assert abs(value(metrics, "wave_speed_change")) < 2
