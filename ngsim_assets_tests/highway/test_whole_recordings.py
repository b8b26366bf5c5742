"""Odd recordings from file to figures: a sensible answer, and every row accounted for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import pytest

from ngsim_assets.highway import checks, model, stages
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets_tests.highway.odd_files import ODD, Odd
from ngsim_assets_tests.highway.whole_path import TABLES, build, table, taken_in

KEY = ("vehicle_id", "frame")


@dataclass
class Built:
    """An odd recording and the platform that holds it."""

    name: str
    odd: Odd
    platform: stages.Platform

    def __getitem__(self, name: str) -> pl.DataFrame:
        return table(self.platform, name, self.odd.key)

    def metric(self, name: str, stage: str) -> float | None:
        return self["quality_metrics"].filter(metric=name, stage=stage)["value"].item()


@pytest.fixture(scope="module")
def build_odd(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """Builds an odd recording once; each in one of the layouts that can hold it."""
    made: dict[str, Built] = {}

    def of(name: str) -> Built:
        if name not in made:
            odd = ODD[name]()
            folder = tmp_path_factory.mktemp("odd")
            layout = odd.layouts[list(ODD).index(name) % len(odd.layouts)]
            write_source(odd.rows, folder / "delivered", layout)
            platform, keys = taken_in(folder / "data", folder / "delivered")
            assert keys == [odd.key]
            made[name] = Built(name, odd, build(platform, odd.key))
        return made[name]

    return of


@pytest.fixture(params=list(ODD))
def built(request: pytest.FixtureRequest, build_odd: Callable[[str], Built]) -> Built:
    return build_odd(request.param)


def test_every_row_is_accounted_for(built: Built) -> None:
    raw, valid, refused = (
        built[name] for name in ("raw_trajectories", "validated_points", "quarantine")
    )
    assert raw.height == built.odd.rows.height == valid.height + refused.height
    assert valid.height == built.odd.sound
    assert valid.select(KEY).is_unique().all()
    lines = pl.concat([valid["source_row"], refused["source_row"]])
    assert sorted(lines) == sorted(raw["source_row"])
    assert (refused["reasons"].list.len() > 0).all()


def test_every_validated_point_is_cleaned_once_and_all_else_is_imputed(built: Built) -> None:
    valid, cleaned = built["validated_points"], built["cleaned_trajectories"]
    assert cleaned.select(KEY).is_unique().all()
    seen = cleaned.filter(pl.col("state") != "imputed")
    assert seen.select(KEY).equals(valid.select(KEY))
    kept = ("x_raw", "y_raw", "lane_raw", "source_file", "source_row")
    delivered = valid.select("x_position", "y_position", "lane_id", "source_file", "source_row")
    assert seen.select(kept).equals(
        delivered.rename(dict(zip(delivered.columns, kept, strict=True)))
    )
    imputed = cleaned.filter(state="imputed")
    assert imputed.select(kept).null_count().row(0) == (imputed.height,) * len(kept)
    segments = built["trajectory_segments"]
    assert segments["points"].sum() == cleaned.height
    assert segments["points_imputed"].sum() == imputed.height
    assert segments.height == valid["vehicle_id"].n_unique()


def test_tables_keep_the_contract_and_checks_do_not_block(built: Built) -> None:
    platform, key = built.platform, built.odd.key
    findings = [
        check(platform, key)
        for check in (
            checks.raw_rows_as_delivered,
            checks.every_row_accounted_for,
            checks.one_row_per_vehicle_and_frame,
            checks.no_short_gap,
            checks.velocity_integrates_to_position,
            checks.acceleration_within_limits,
        )
    ]
    findings += [
        checks.keeps_contract(wanted, platform, key)
        for wanted in TABLES
        if wanted is not model.QUARANTINE
    ]
    assert [finding for finding in findings if not finding.passed] == []
    for wanted in TABLES:
        assert built[wanted.name].schema == wanted.schema
        for column in built[wanted.name].select(pl.selectors.float()):
            assert column.is_finite().all(ignore_nulls=True), (wanted.name, column.name)


def test_metrics_are_measured_as_far_as_there_is_something(built: Built) -> None:
    metrics = built["quality_metrics"]
    assert built.metric("rows_unaccounted", "raw") == 0
    failed = metrics.filter(passed=False)["metric"].to_list()
    # a vehicle seen for six seconds twice has a dozen windows of 1 s in all
    assert failed == (["jerk_sign_inversions"] if built.name == "seen again" else [])
    little = {"one row", "two rows", "single frame", "only faults"}
    score = built.metric("quality_score", "cleaned")
    assert score is None or (built.name not in little and 80 <= score <= 100)
    assert metrics.filter(metric="quality_score").height == 2
    summary = built.platform.lake.scan(model.CORPUS_SUMMARY).collect()
    assert summary.select("rows_raw", "rows_validated", "points_cleaned").row(0) == (
        built.odd.rows.height,
        built.odd.sound,
        built["cleaned_trajectories"].height,
    )


def steps(points: pl.DataFrame, of: pl.Expr) -> list[int]:
    """All differences between a vehicle's points."""
    return points.select(of.diff().over("vehicle_id").drop_nulls().unique()).to_series().to_list()


def test_what_stands_stays_where_it_is(build_odd: Callable[[str], Built]) -> None:
    one = build_odd("all standing")
    cleaned = one["cleaned_trajectories"]
    assert cleaned.select("speed", "acceleration", "jerk").max().row(0) == (0.0, 0.0, 0.0)
    assert (cleaned["y_position"] - cleaned["y_raw"]).abs().max() <= 2.0**-13
    assert cleaned["time_headway"].null_count() == cleaned.height
    assert (cleaned["state"] == "observed").all()


def test_ten_frames_a_second_are_made_of_one(build_odd: Callable[[str], Built]) -> None:
    one = build_odd("once a second")
    valid, cleaned = one["validated_points"], one["cleaned_trajectories"]
    counts = cleaned["state"].value_counts().sort("state").rows()
    assert dict(counts)["imputed"] == cleaned.height - valid.height
    assert steps(cleaned, pl.col("frame")) == [1]
    assert (cleaned["y_position"] - cleaned["y_raw"]).abs().max() < 0.3
    flags = valid["flags"].explode().drop_nulls().unique().sort().to_list()
    assert flags == ["fewer_frames_than_total", "gap"]


def test_one_position_says_nothing_of_motion(build_odd: Callable[[str], Built]) -> None:
    """Whoever is seen once does not stand for that."""
    one = build_odd("one row")
    cleaned, segments = one["cleaned_trajectories"], one["trajectory_segments"]
    motion = ("velocity_x", "velocity_y", "speed", "acceleration", "acceleration_y", "jerk")
    assert cleaned.select(motion).null_count().row(0) == (1,) * len(motion)
    assert segments.select("points", "distance", "speed_mean", "speed_max").row(0) == (
        *(1, 0.0),
        *(None, None),
    )
    assert one.metric("speed_mean", "cleaned") is None
    assert build_odd("two rows")["cleaned_trajectories"]["speed"].is_between(10, 14).all()


def test_a_minute_without_a_vehicle_stays_open(build_odd: Callable[[str], Built]) -> None:
    one = build_odd("seen again")
    cleaned = one["cleaned_trajectories"]
    assert (cleaned["state"] != "imputed").all()
    assert one["trajectory_segments"].height == 1
    assert cleaned["frame"].diff().drop_nulls().max() == 601


def test_a_recording_over_midnight_is_of_the_day_it_began(
    build_odd: Callable[[str], Built],
) -> None:
    one = build_odd("past midnight")
    cleaned = one["cleaned_trajectories"]
    assert cleaned["timestamp"].dt.date().n_unique() == 2
    assert cleaned["date"].unique().to_list() == [one.odd.key.date]
    assert steps(cleaned, pl.col("timestamp").dt.epoch("ms")) == [100]


def test_the_clock_of_peachtree_is_told_in_seconds_and_meant_in_frames(
    build_odd: Callable[[str], Built],
) -> None:
    one = build_odd("clock in seconds")
    assert steps(one["cleaned_trajectories"], pl.col("timestamp").dt.epoch("ms")) == [100]


def test_without_lanes_traffic_is_of_no_lane(build_odd: Callable[[str], Built]) -> None:
    one = build_odd("no lanes")
    assert one["cleaned_trajectories"]["lane_id"].null_count() == one.odd.rows.height
    state = one["traffic_state"]
    assert state["lane_id"].null_count() == state.height > 0
