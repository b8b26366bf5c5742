"""Metrics of rows have the values that were worked out by hand."""

from __future__ import annotations

import polars as pl
import pytest

from ngsim_assets.highway.assess import RowCounts, assess
from ngsim_assets.highway.sites import US_101
from ngsim_assets.quality.rules import Rule
from ngsim_assets_tests.highway.assessment.measured import measured, value
from ngsim_assets_tests.highway.sample_recordings import RECORDING, Sample, sample_recording


@pytest.fixture(scope="module")
def sample() -> Sample:
    return sample_recording(vehicles_per_lane=4, lanes=2, minutes=1.0)


def test_duplicates_are_told_apart(sample: Sample) -> None:
    reasons = {"exact_duplicate": 30, "duplicate_across_files": 4, "superseded": 5, "frozen": 6}
    metrics = measured(sample, RowCounts(200, 155, 45, reasons))
    assert value(metrics, "rows_exact_duplicate", "raw") == 30
    assert value(metrics, "rows_exact_duplicate_share", "raw") == 15
    assert value(metrics, "rows_duplicate_across_files_share", "raw") == 2
    assert value(metrics, "rows_superseded", "raw") == 5
    assert value(metrics, "rows_key_conflict", "raw") == 0


def test_rules_that_broke_nothing_are_listed_with_their_source(sample: Sample) -> None:
    rules = [
        Rule("never", "reject", pl.lit(value=False), "says nothing", "nobody"),
        Rule("sometimes", "flag", pl.lit(value=False), "says little", "somebody"),
    ]
    counts = RowCounts(9, 9, 0, {}, {"sometimes": 3, "unheard_of": 1})
    tables = sample.validated.lazy(), sample.cleaned.lazy()
    metrics = assess(*tables, counts, US_101, RECORDING, rules)
    assert metrics.filter(metric="rejected:never").select("value", "source").row(0) == (0, "nobody")
    found = metrics.filter(metric="flagged:sometimes").row(0, named=True)
    assert (found["value"], found["source"]) == (3, "somebody")
    assert "says little" in found["definition"]
    assert value(metrics, "flagged:unheard_of", "raw") == 1


def test_flagged_rows_are_counted_once(sample: Sample) -> None:
    flags = pl.when(pl.col("vehicle_id") == 2).then(["gap", "lane_jump"]).otherwise([])
    validated = sample.validated.with_columns(flags=pl.Series(sample.validated.select(flags)))
    metrics = measured(sample, validated=validated)
    rows = validated.filter(vehicle_id=2).height
    assert value(metrics, "rows_flagged", "validated") == rows
    share = 100 * rows / validated.height
    assert value(metrics, "rows_flagged_share", "validated") == pytest.approx(share)


def test_gaps_by_length(sample: Sample) -> None:
    """Frames 100 to 102 of every vehicle, and 200 to 260 of one."""
    frame = pl.col("frame")
    short, long = frame.is_between(300, 302), frame.is_between(400, 460)
    validated = sample.validated.filter(~(short | (long & (pl.col("vehicle_id") == 1))))
    there = sample.validated.filter(frame.is_in([299, 303])).group_by("vehicle_id").len()
    metrics = measured(sample, validated=validated)
    crossed = there.filter(len=2).height
    assert value(metrics, "gaps_of_2_to_5_frames", "validated") == crossed > 1
    assert value(metrics, "gaps_of_over_50_frames", "validated") == 1
    assert value(metrics, "gaps", "validated") == crossed + 1
    for metric in ("gaps_of_1_frame", "gaps_of_6_to_10_frames", "gaps_of_11_to_20_frames"):
        assert value(metrics, metric, "validated") == 0


def test_total_frames_against_frames_seen(sample: Sample) -> None:
    """Of 8 vehicles one has fewer frames than said, two have more."""
    seen = pl.len().over("vehicle_id")
    total = pl.when(vehicle_id=1).then(seen + 5).when(pl.col("vehicle_id") < 4).then(seen - 1)
    validated = sample.validated.with_columns(total_frames=total.otherwise(seen).cast(pl.Int32))
    metrics = measured(sample, validated=validated)
    assert value(metrics, "trajectories_declared_complete", "validated") == 87.5
    assert value(metrics, "trajectories_beyond_declared", "validated") == 25


def test_coverage_of_time_space_and_lanes(sample: Sample) -> None:
    """Vehicle 1 alone, but for 20 s in the middle; half of the section; one lane of eight."""
    frame, y = pl.col("frame"), pl.col("y_position")
    one = sample.validated.filter((pl.col("vehicle_id") == 1) & (y > 0))
    first, last = one["frame"].min(), one["frame"].max()
    half = one.filter(y < 320)
    metrics = measured(sample, validated=half, cleaned=sample.cleaned.head(0))
    assert value(metrics, "coverage_space", "validated") == pytest.approx(50, abs=0.5)
    assert value(metrics, "coverage_time", "validated") == 100
    lane = half["lane_id"][0]
    share = value(metrics, f"coverage_lane_{lane}", "validated")
    assert 0 < share < 60
    assert value(metrics, "coverage_cells", "validated") == share
    assert value(metrics, "coverage_lane_7", "validated") == 0
    assert value(metrics, "coverage_cells") is None

    ends = one.filter((frame < first + 100) | (frame >= last - 99))
    torn = pl.concat(
        [
            ends.filter(frame < first + 100),
            ends.filter(frame >= last - 99).with_columns(vehicle_id=9),
        ]
    ).cast({"vehicle_id": pl.Int32})
    metrics = measured(sample, validated=torn)
    assert value(metrics, "coverage_time", "validated") == pytest.approx(
        100 * 200 / (last - first + 1)
    )


def test_what_a_vehicle_cannot_change(sample: Sample) -> None:
    """Of 8 vehicles one changes its class, two their length, by 0.5 m at most."""
    late = pl.col("frame") > 300
    first, second = pl.col("vehicle_id") == 1, pl.col("vehicle_id") == 2
    length = pl.col("length") + pl.when(first & late).then(0.5).when(second & late).then(0.1)
    validated = sample.validated.with_columns(
        vehicle_type=pl.when(first & late).then(pl.lit("truck")).otherwise("vehicle_type"),
        length=pl.when((first | second) & late).then(length).otherwise("length"),
        width=None,
    ).cast({"width": pl.Float64})
    metrics = measured(sample, validated=validated)
    assert value(metrics, "trajectories_class_changes", "validated") == 12.5
    assert value(metrics, "trajectories_length_changes", "validated") == 25
    assert value(metrics, "length_spread_largest", "validated") == pytest.approx(0.5, abs=1e-5)
    assert value(metrics, "trajectories_width_changes", "validated") is None
    assert value(metrics, "trajectories_class_changes") == 0


def test_states_and_lanes_that_cleaning_changed(sample: Sample) -> None:
    own = pl.int_range(pl.len()).over("vehicle_id")
    cleaned = sample.cleaned.with_columns(
        state=pl.when(own.is_between(50, 61)).then(pl.lit("imputed")).otherwise("state"),
        lane_raw=pl.when(own < 10)
        .then(pl.col("lane_id") + 1)
        .when(own.is_between(50, 61))
        .then(None)
        .otherwise("lane_id"),
    )
    metrics = measured(sample, RowCounts(9, 9, 0, moved_apart=17), cleaned=cleaned)
    vehicles, points = cleaned["vehicle_id"].n_unique(), cleaned.height
    known = points - 12 * vehicles
    assert value(metrics, "imputed_longest") == pytest.approx(1.2)
    assert value(metrics, "points_imputed") == pytest.approx(100 * 12 * vehicles / points)
    assert value(metrics, "lane_corrected") == pytest.approx(100 * 10 * vehicles / known)
    assert value(metrics, "points_moved_apart") == 17
    assert value(measured(sample), "points_moved_apart") is None
