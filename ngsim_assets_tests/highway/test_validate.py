"""What comes out of validation: points in SI, quarantine as delivered, every row once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ngsim_assets.highway import source
from ngsim_assets.highway.formats import physical
from ngsim_assets.highway.keys import trajectory_id
from ngsim_assets.highway.model import QUARANTINE, RAW_TRAJECTORIES, VALIDATED_POINTS
from ngsim_assets.highway.sites import PEACHTREE, SITES, US_101
from ngsim_assets.highway.validate import (
    Judge,
    SeveralRecordings,
    accepted,
    flag_counts,
    judge,
    neighbours,
    neighbours_among,
    rejected,
    rules_table,
    validation_rules,
)
from ngsim_assets.highway.validation.point_model import point_model
from ngsim_assets_tests.highway.synthetic import (
    again,
    as_logical,
    recording,
    replaced,
    shifted,
    verdicts,
)

CLEAN = recording()
ROW = (pl.col("vehicle_id") == 3) & (pl.col("frame_id") == 60)
T0 = 1118846978900


def test_a_clean_recording_is_accepted_whole_and_without_a_flag() -> None:
    assert verdicts(CLEAN).is_empty()
    noisy = recording(vehicles=10, frames=200, noise=0.1, seed=4)
    assert verdicts(noisy).is_empty()


def test_points_have_the_schema_and_keep_the_model() -> None:
    judged = judge(CLEAN.lazy(), US_101)
    points = accepted(judged).collect()
    assert points.schema == VALIDATED_POINTS.schema
    assert points.height == CLEAN.height
    assert points["flags"].to_list() == [[]] * CLEAN.height
    flagged = accepted(judge(replaced(CLEAN, ROW, v_length=20.0).lazy(), US_101)).collect()
    assert flagged.filter(pl.col("flags").list.len() > 0).select("vehicle_id", "flags").rows() == [
        (3, ["length_changes"])
    ]
    model = point_model(US_101)
    for row in points.gather_every(37).iter_rows(named=True):
        model(**row)
    assert rejected(judged).collect().schema == QUARANTINE.schema


def test_values_are_si_utc_and_wgs84() -> None:
    point = accepted(judge(CLEAN.lazy(), US_101, t0=T0)).filter(
        (pl.col("vehicle_id") == 5) & (pl.col("frame") == 60)
    ).collect().row(0, named=True)  # fmt: skip
    raw = CLEAN.filter((pl.col("vehicle_id") == 5) & (pl.col("frame_id") == 60)).row(0, named=True)
    assert point["y_position"] == pytest.approx(float(raw["local_y"]) * 0.3048, abs=1e-12)
    assert point["speed"] == pytest.approx(float(raw["v_vel"]) * 0.3048, abs=1e-12)
    assert point["length"] == pytest.approx(30.0 * 0.3048)
    assert point["vehicle_type"] == "truck"
    assert point["timestamp"] == datetime.fromtimestamp((T0 + 6000) / 1000, UTC)
    assert point["trajectory_id"] == trajectory_id("us-101", "2005-06-15T0750", 5)
    assert US_101.longitude.low < point["longitude"] < US_101.longitude.high
    assert point["preceding_id"] == 3
    assert point["following_id"] is None
    assert point["space_headway"] == pytest.approx(30.0, abs=0.01)
    assert point["velocity_y"] == pytest.approx(point["speed"], abs=0.02)
    assert point["acceleration_y"] == pytest.approx(point["acceleration"], abs=0.1)


def test_who_has_no_leader_has_no_headway() -> None:
    standing = replaced(CLEAN, ROW, time_headway=9999.99)
    points = accepted(judge(standing.lazy(), US_101)).collect()
    first = points.filter(pl.col("vehicle_id") == 1)
    assert first["preceding_id"].null_count() == first.height
    assert first["space_headway"].null_count() == first.height
    assert first["time_headway"].null_count() == first.height
    stands = points.filter((pl.col("vehicle_id") == 3) & (pl.col("frame") == 60))
    assert stands["time_headway"].to_list() == [None]
    assert stands["space_headway"].null_count() == 0


def test_differences_are_null_at_ends_gaps_and_rejected_rows() -> None:
    raw = replaced(CLEAN, ROW, v_vel=-3.0)
    points = accepted(judge(raw.lazy(), US_101)).filter(pl.col("vehicle_id") == 3).collect()
    unknown = points.filter(pl.col("velocity_y").is_null())["frame"].to_list()
    assert unknown == [20, 59, 61, 139]
    assert points.filter(pl.col("acceleration_x").is_null())["frame"].to_list() == unknown


def test_peachtree_time_counts_seconds_and_frames() -> None:
    raw = recording(site=PEACHTREE)
    points = accepted(judge(raw.lazy(), PEACHTREE)).collect()
    assert points.height == raw.height
    first = points.row(0, named=True)
    origin = datetime.fromtimestamp(1163018600, UTC)
    assert first["timestamp"] == origin + timedelta(seconds=0.1 * first["frame"])


# One fault in one row, and the only reason that row may get.


def test_what_is_not_known_is_null_in_the_point_and_kept_in_quarantine() -> None:
    raw = replaced(CLEAN, ROW, lane_id=9999, global_x=0.0)
    point = accepted(judge(raw.lazy(), US_101)).filter(
        (pl.col("vehicle_id") == 3) & (pl.col("frame") == 60)
    )
    assert point.select("lane_id", "longitude", "latitude").collect().row(0) == (None, None, None)
    worse = replaced(raw, ROW, v_vel=-1.0)
    kept = rejected(judge(worse.lazy(), US_101)).collect()
    assert kept.select(list(RAW_TRAJECTORIES.columns)).equals(worse.filter(ROW))
    assert kept["stage"].to_list() == ["validated"]
    assert kept["reasons"].to_list() == [["speed_below"]]


def test_unreadable_lines_are_kept_with_their_text() -> None:
    line = "3 sixty 120 ..."
    raw = replaced(CLEAN, ROW, frame_id=None, source_text=line)
    judged = judge(raw.lazy(), US_101)
    bad = rejected(judged).collect()
    assert bad["source_text"].to_list() == [line]
    assert bad["reasons"].to_list() == [["frame_missing", "timestamp_missing", "unreadable_cell"]]


def test_columns_a_file_does_not_have_are_no_fault() -> None:
    absent = ["lane_id", "v_width", "following", "total_frames", "v_class", "v_acc", "v_vel"]
    raw = CLEAN.with_columns(
        pl.lit(None, RAW_TRAJECTORIES.schema[name]).alias(name) for name in absent
    )
    judged = judge(raw.lazy(), US_101)
    assert accepted(judged).collect().height == CLEAN.height
    assert flag_counts(judged).collect()["rule"].to_list() == ["class_unknown"]


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_rows(rows: int) -> None:
    raw = CLEAN.head(rows)
    judged = judge(raw.lazy(), US_101)
    assert accepted(judged).collect().height == rows
    assert rejected(judged).collect().is_empty()
    assert neighbours(raw.lazy(), US_101).collect().height == rows


def test_only_faults() -> None:
    raw = replaced(CLEAN, pl.lit(value=True), global_time=None, vehicle_id=None)
    judged = judge(raw.lazy(), US_101)
    assert accepted(judged).collect().is_empty()
    assert rejected(judged).collect().height == raw.height


def test_several_recordings_are_refused() -> None:
    other = CLEAN.with_columns(recording=pl.lit("2005-06-15T0805"))
    with pytest.raises(SeveralRecordings, match="2 recordings"):
        judge(pl.concat([CLEAN, other]).lazy(), US_101)


FAULTY: list[Callable[[pl.DataFrame], pl.DataFrame]] = [
    lambda raw: raw,
    lambda raw: replaced(raw, pl.col("source_row") % 17 == 0, local_y=shifted("local_y", 7.0)),
    lambda raw: replaced(raw, pl.col("source_row") % 23 == 0, v_vel=-1.0, lane_id=77),
    lambda raw: replaced(raw, pl.col("source_row") % 11 == 0, vehicle_id=None),
    lambda raw: replaced(raw, pl.col("source_row") % 13 == 0, frame_id=pl.col("frame_id") + 1),
    lambda raw: pl.concat([raw, again(raw.filter(pl.col("source_row") % 5 == 0))]),
    lambda raw: pl.concat(
        [raw, again(raw.gather_every(7), local_x=shifted("local_x", 0.3), v_length=18.0)]
    ),
    lambda raw: raw.filter(pl.col("source_row") % 9 != 0),
]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(FAULTY), max_size=4), st.integers(0, 2**16))
def test_every_row_comes_out_once_whatever_is_wrong_and_in_any_order(
    faults: list[Callable[[pl.DataFrame], pl.DataFrame]], seed: int
) -> None:
    raw = recording(vehicles=4, frames=60)
    for fault in faults:
        raw = fault(raw)
    raw = raw.with_columns(source_row=pl.int_range(1, raw.height + 1, dtype=pl.Int64))
    judged = judge(raw.lazy(), US_101, t0=T0).collect()
    good, bad = accepted(judged.lazy()).collect(), rejected(judged.lazy()).collect()
    rows = pl.concat([good["source_row"], bad["source_row"]]).sort()
    assert rows.equals(raw["source_row"].sort())
    assert good.select("vehicle_id", "frame").is_unique().all()
    assert (
        judge(raw.sample(fraction=1.0, shuffle=True, seed=seed).lazy(), US_101, t0=T0)
        .collect()
        .equals(judged)
    )


def test_the_result_does_not_depend_on_how_vehicles_are_split() -> None:
    raw = recording(vehicles=9, frames=100, noise=0.1)
    for fault in FAULTY[1:3]:
        raw = fault(raw)
    context = neighbours(raw.lazy(), US_101)
    whole = judge(raw.lazy(), US_101, neighbours=context, t0=T0).collect()
    halves = [raw.filter(pl.col("vehicle_id") <= 4), raw.filter(pl.col("vehicle_id") > 4)]
    parts = [judge(half.lazy(), US_101, neighbours=context, t0=T0).collect() for half in halves]
    assert pl.concat(parts).equals(whole)
    of_halves = [neighbours_among(physical(half), US_101) for half in halves]
    assert pl.concat(of_halves).equals(context.collect())


@pytest.mark.parametrize("fault", range(len(FAULTY)))
def test_rows_sorted_out_by_parts_are_those_of_the_single_verdicts(fault: int) -> None:
    raw = FAULTY[fault](recording(vehicles=9, frames=100, noise=0.1))
    judged = judge(raw.lazy(), US_101, t0=T0)
    result = Judge(US_101, neighbours=neighbours(raw.lazy(), US_101).collect(), t0=T0).sort_out(
        physical(raw)
    )
    points = accepted(judged).collect()
    assert result.accepted.cast({"vehicle_type": pl.String, "trajectory_id": pl.String}).equals(
        points
    )
    assert result.rejected.equals(physical(rejected(judged).collect()))
    assert result.flags == dict(flag_counts(judged).collect().rows())


# Delivered columns that a point has as they are. A class is not: a point's is its track's.
BOUNDED = (
    *("vehicle_id", "frame_id", "global_time", "local_x", "local_y", "v_vel", "v_acc"),
    *("v_length", "v_width", "lane_id", "preceding", "following", "space_headway"),
    *("time_headway", "o_zone", "d_zone", "direction", "movement"),
)


@settings(max_examples=90, deadline=None)
@given(st.data())
def test_accepted_rows_are_those_the_model_accepts(data: st.DataObject) -> None:
    """Ranges: whatever value a cell has, model and validation agree about the row."""
    site = data.draw(st.sampled_from(list(SITES.values())))
    column = data.draw(st.sampled_from(BOUNDED))
    value = data.draw(st.none() | st.integers(-200, 200))
    raw = replaced(
        recording(vehicles=1, frames=1, site=site), pl.lit(value=True), **{column: value}
    )
    judged = judge(raw.lazy(), site).collect()
    point = judged.select(list(VALIDATED_POINTS.columns)).row(0, named=True)
    try:
        point_model(site)(**point)
        sound = True
    except ValidationError:
        sound = False
    assert (judged["reasons"].list.len().item() == 0) == sound


def test_rules_are_listed_once_each_with_meaning_and_source() -> None:
    for site in SITES.values():
        rules = validation_rules(site)
        assert len({rule.name for rule in rules}) == len(rules)
        assert all(rule.description for rule in rules)
    assert "`position_spike`" in rules_table(US_101)
    slower = replace(US_101, limits=replace(US_101.limits, speed=30.0))
    assert "speed is above 30.0" in rules_table(slower)


def test_no_real_row_is_rejected_for_being_noisy(real_data: Path) -> None:
    for path in sorted((real_data / "ngsim").glob("*.csv")):
        for member in source.members(path):
            delivered = pl.concat(list(source.read_batches(member)))
            for (highway, _), rows in delivered.with_columns(
                t0=pl.col("global_time") - 100 * pl.col("frame_id")
            ).group_by("location", "t0"):
                site = SITES[str(highway)]
                logical = as_logical(
                    rows,
                    highway_id=site.highway_id,
                    recording=site.recordings[0].key,
                    date=site.date,
                    source_file=path.name,
                )
                judged = judge(logical.lazy(), site)
                assert rejected(judged).collect().is_empty()
