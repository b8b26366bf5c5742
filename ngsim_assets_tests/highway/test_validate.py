"""Every fault is found, its neighbours are not blamed, and no row gets lost."""

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
from ngsim_assets.highway.formats import FOOT
from ngsim_assets.highway.keys import trajectory_id
from ngsim_assets.highway.model import QUARANTINE, RAW_TRAJECTORIES, VALIDATED_POINTS
from ngsim_assets.highway.point_model import point_model
from ngsim_assets.highway.sites import PEACHTREE, SITES, US_101, Site
from ngsim_assets.highway.validate import (
    SeveralRecordings,
    accepted,
    flag_counts,
    judge,
    neighbours,
    reason_counts,
    rejected,
    rules_table,
    validation_rules,
)
from ngsim_assets_tests.highway.synthetic import as_logical, recording, replaced

ROW = (pl.col("vehicle_id") == 3) & (pl.col("frame_id") == 60)
T0 = 1118846978900


def feet(metres: float) -> float:
    return metres / FOOT


def shifted(column: str, by: float) -> pl.Expr:
    """A position so many metres from where it was."""
    return pl.col(column).cast(pl.Float64) + feet(by)


def verdicts(raw: pl.DataFrame, site: Site = US_101, **options: object) -> pl.DataFrame:
    """Key, reasons and flags of every row that has any."""
    judged = judge(raw.lazy(), site, **options).collect()  # pyright: ignore[reportArgumentType]
    assert judged.height == raw.height
    return judged.filter(
        (pl.col("reasons").list.len() > 0) | (pl.col("flags").list.len() > 0)
    ).select("vehicle_id", "frame", "source_row", "reasons", "flags")


def reasons_by_frame(found: pl.DataFrame) -> dict[int, list[str]]:
    return dict(found.select("frame", "reasons").rows())


CLEAN = recording()


def test_a_clean_recording_is_accepted_whole_and_without_a_flag() -> None:
    assert verdicts(CLEAN).is_empty()
    noisy = recording(vehicles=10, frames=200, noise=0.1, seed=4)
    assert verdicts(noisy).is_empty()


def test_points_have_the_schema_and_keep_the_model() -> None:
    judged = judge(CLEAN.lazy(), US_101)
    points = accepted(judged).collect()
    assert points.schema == VALIDATED_POINTS.schema
    assert points.height == CLEAN.height
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
SINGLE: dict[str, tuple[dict[str, pl.Expr | float | str | None], str]] = {
    "a spike along the road": ({"local_y": shifted("local_y", 5.0)}, "position_spike"),
    "a spike backwards": ({"local_y": shifted("local_y", -4.0)}, "position_spike"),
    "a lateral spike": ({"local_x": shifted("local_x", 2.5)}, "position_spike"),
    "a far point": ({"local_y": shifted("local_y", 300.0)}, "position_spike"),
    "a point off the section": ({"local_y": 9000.0}, "y_position_above"),
    "a point off the road": ({"local_x": -50.0}, "x_position_below"),
    "too fast": ({"v_vel": feet(46.0)}, "speed_above"),
    "negative speed": ({"v_vel": -0.5}, "speed_below"),
    "acceleration": ({"v_acc": feet(9.5)}, "acceleration_above"),
    "braking": ({"v_acc": feet(-9.5)}, "acceleration_below"),
    "lane": ({"lane_id": 42}, "lane_id_unknown"),
    "class": ({"v_class": 9}, "vehicle_type_missing"),
    "length": ({"v_length": 200.0}, "length_above"),
    "no length": ({"v_length": 0.0}, "length_below"),
    "width": ({"v_width": -1.0}, "width_below"),
    "leader": ({"preceding": -4}, "preceding_id_below"),
    "headway": ({"space_headway": -10.0}, "space_headway_below"),
    "time headway": ({"time_headway": -1.0}, "time_headway_below"),
    "clock": ({"global_time": pl.col("global_time") + 50}, "clock_off_frame_grid"),
    "no position": ({"local_x": None}, "x_position_missing"),
    "no time": ({"global_time": None}, "timestamp_missing"),
}


@pytest.mark.parametrize("fault", SINGLE, ids=str)
def test_one_faulty_row_is_rejected_for_its_fault_and_nobody_else(fault: str) -> None:
    values, reason = SINGLE[fault]
    found = verdicts(replaced(CLEAN, ROW, **values))
    assert found.select("vehicle_id", "frame").rows() == [(3, 60)]
    assert found["reasons"].to_list() == [[reason]]


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"v_class": 3}, "class_changes"),
        ({"v_class": None}, "class_unknown"),
        ({"v_length": 20.0}, "length_changes"),
        ({"v_width": 7.0}, "width_changes"),
        ({"lane_id": 2}, "lane_blip"),
        ({"lane_id": 9999}, "lane_not_told"),
        ({"v_vel": feet(25.0)}, "speed_contradicts_position"),
        ({"space_headway": 60.0}, "headway_contradicts_positions"),
        ({"global_x": 0.0}, "coordinates_off_site"),
        ({"source_text": "3 60 x"}, "optional_cell_unreadable"),
    ],
)
def test_one_odd_row_is_kept_and_flagged_for_it(
    values: dict[str, pl.Expr | float | str | None], flag: str
) -> None:
    raw = replaced(CLEAN, ROW, **values)
    found = verdicts(raw)
    assert found.select("vehicle_id", "frame", "reasons", "flags").rows() == [(3, 60, [], [flag])]
    judged = judge(raw.lazy(), US_101)
    assert flag_counts(judged).collect().rows() == [(flag, 1)]
    assert reason_counts(judged).collect().is_empty()


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


@pytest.mark.parametrize("length", [2, 3, 5, 12, 30])
@pytest.mark.parametrize("end", ["start", "middle", "end"])
def test_a_displaced_stretch_is_rejected_and_its_clean_neighbours_are_not(
    length: int, end: str
) -> None:
    first = {"start": 20, "middle": 60, "end": 140 - length}[end]
    stretch = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(first, first + length - 1)
    raw = replaced(CLEAN, stretch, local_y=shifted("local_y", 25.0))
    found = verdicts(raw).filter(pl.col("reasons").list.len() > 0)
    assert found["frame"].to_list() == list(range(first, first + length))
    name = "position_spike" if length <= 5 else "teleport"
    assert found["reasons"].to_list() == [[name]] * length


def test_two_spikes_in_a_row_that_disagree() -> None:
    raw = replaced(CLEAN, ROW, local_y=shifted("local_y", 6.0))
    after = (pl.col("vehicle_id") == 3) & (pl.col("frame_id") == 61)
    raw = replaced(raw, after, local_y=shifted("local_y", -6.0))
    assert reasons_by_frame(verdicts(raw)) == {60: ["position_spike"], 61: ["position_spike"]}


def test_a_shift_that_lasts_is_a_hand_over_and_stays() -> None:
    rest = (pl.col("vehicle_id") == 3) & (pl.col("frame_id") >= 80)
    raw = replaced(CLEAN, rest, local_y=shifted("local_y", 1.8))
    assert reason_counts(judge(raw.lazy(), US_101)).collect().is_empty()


def test_a_frozen_position_is_rejected_from_its_second_row_on() -> None:
    held = CLEAN.filter(ROW).select("local_x", "local_y").row(0)
    stretch = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(61, 70)
    raw = replaced(CLEAN, stretch, local_x=pl.lit(held[0]), local_y=pl.lit(held[1]))
    found = verdicts(raw).filter(pl.col("reasons").list.len() > 0)
    assert reasons_by_frame(found) == {frame: ["frozen"] for frame in range(61, 71)}


def test_a_vehicle_that_stands_is_not_frozen() -> None:
    stands = replaced(
        CLEAN, pl.lit(value=True), v_vel=0.0, local_y=pl.col("local_y").first().over("vehicle_id")
    )
    assert reason_counts(judge(stands.lazy(), US_101)).collect().is_empty()


def test_wrong_speeds_are_flagged_and_do_not_discredit_positions() -> None:
    stretch = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(60, 90)
    raw = replaced(CLEAN, stretch, v_vel=feet(30.0))
    found = verdicts(raw)
    assert found["frame"].to_list() == list(range(60, 91))
    assert found["reasons"].list.len().sum() == 0
    assert found["flags"].to_list() == [["speed_contradicts_position"]] * 31


def test_swapped_vehicles_are_teleports_on_both_tracks() -> None:
    swap = pl.col("frame_id").is_between(100, 139) & pl.col("vehicle_id").is_in([3, 5])
    raw = replaced(CLEAN, swap, vehicle_id=8 - pl.col("vehicle_id"))
    found = verdicts(raw).filter(pl.col("reasons").list.contains("teleport"))
    assert found.group_by("vehicle_id").len().sort("vehicle_id").rows() == [(3, 40), (5, 40)]
    assert found["frame"].min() == 100


def test_lanes_that_jump() -> None:
    rest = (pl.col("vehicle_id") == 3) & (pl.col("frame_id") >= 80)
    found = verdicts(replaced(CLEAN, rest, lane_id=4, preceding=0, space_headway=0.0))
    assert (3, 80, [], ["lane_jump"]) in found.drop("source_row").rows()
    assert found.filter(pl.col("flags").list.contains("lane_jump")).height == 1
    short = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(80, 85)
    found = verdicts(replaced(CLEAN, short, lane_id=5, preceding=0, space_headway=0.0))
    assert found.filter(pl.col("flags").list.contains("lane_blip"))["frame"].to_list() == [
        80, 81, 82, 83, 84, 85,
    ]  # fmt: skip
    onto_next = replaced(CLEAN, rest, lane_id=2, preceding=0, space_headway=0.0)
    assert "lane" not in str(flag_counts(judge(onto_next.lazy(), US_101)).collect()["rule"])


def test_gaps_are_flagged_once_each_and_missing_frames_once_per_vehicle() -> None:
    gone = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(50, 60)
    found = verdicts(CLEAN.filter(~gone))
    assert found.drop("source_row").rows() == [
        (3, 20, [], ["fewer_frames_than_total"]),
        (3, 61, [], ["gap"]),
    ]


def test_a_rejected_row_leaves_no_gap_behind() -> None:
    found = verdicts(replaced(CLEAN, ROW, v_vel=-1.0))
    assert "gap" not in found["flags"].explode().to_list()


def test_the_usual_class_decides_for_the_whole_track() -> None:
    some = (pl.col("vehicle_id") == 3) & (pl.col("frame_id") < 40)
    raw = replaced(CLEAN, some, v_class=1)
    points = accepted(judge(raw.lazy(), US_101)).collect()
    assert points.filter(pl.col("vehicle_id") == 3)["vehicle_type"].unique().to_list() == ["auto"]
    nobody = replaced(CLEAN, pl.col("vehicle_id") == 3, v_class=None)
    judged = judge(nobody.lazy(), US_101)
    assert flag_counts(judged).collect().rows() == [("class_unknown", 120)]
    types = accepted(judged).filter(pl.col("vehicle_id") == 3).collect()["vehicle_type"]
    assert types.unique().to_list() == ["auto"]


def test_overlap_with_the_leader_and_who_follows_whom() -> None:
    raw = replaced(CLEAN, pl.col("vehicle_id") == 1, v_length=95.0)
    found = verdicts(raw)
    assert set(found["vehicle_id"]) == set()
    longer = replaced(CLEAN, pl.col("vehicle_id") == 1, local_y=shifted("local_y", -27.0))
    flags = verdicts(longer).filter(pl.col("vehicle_id") == 3)["flags"].to_list()
    assert flags == [["overlap_with_leader", "headway_contradicts_positions"]] * 120
    other = replaced(CLEAN, ROW, following=7)
    found = verdicts(other)
    assert found.drop("source_row").rows() == [(5, 60, [], ["leader_not_reciprocated"])]


def test_a_follower_is_not_blamed_for_its_leader() -> None:
    leader = (pl.col("vehicle_id") == 1) & (pl.col("frame_id") == 60)
    raw = replaced(CLEAN, leader, local_y=shifted("local_y", -28.0))
    for context in (None, neighbours(raw.lazy(), US_101)):
        found = verdicts(raw, neighbours=context)
        assert found.drop("source_row").rows() == [(1, 60, ["position_spike"], [])]


def again(rows: pl.DataFrame, **values: pl.Expr | float | str | None) -> pl.DataFrame:
    """The rows once more, further down in their file."""
    return replaced(rows.with_columns(pl.col("source_row") + 100_000), pl.lit(value=True), **values)


def test_copies_in_one_file_keep_the_first() -> None:
    raw = pl.concat([CLEAN, again(CLEAN.filter(pl.col("vehicle_id") == 3))])
    found = verdicts(raw)
    assert found.height == 120
    assert found["source_row"].min() > 100_000  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
    assert reason_counts(judge(raw.lazy(), US_101)).collect().rows() == [("exact_duplicate", 120)]


def test_a_conflict_is_won_by_the_row_its_neighbours_agree_with() -> None:
    lies = again(CLEAN.filter(ROW), local_y=shifted("local_y", 15.0))
    for raw in (
        pl.concat([CLEAN, lies]),
        pl.concat([lies.with_columns(source_row=pl.lit(1, pl.Int64)), CLEAN]),
    ):
        found = verdicts(raw)
        assert found["reasons"].to_list() == [["key_conflict"]]
        assert found.item(0, "source_row") in (1, lies.item(0, "source_row"))


def test_conflicts_in_a_row_are_won_by_the_track() -> None:
    stretch = pl.col("frame_id").is_between(60, 75) & (pl.col("vehicle_id") == 3)
    lies = again(CLEAN.filter(stretch), local_y=shifted("local_y", 40.0))
    found = verdicts(pl.concat([CLEAN, lies]))
    assert found.height == 16
    assert found["source_row"].to_list() == lies["source_row"].to_list()


def test_what_another_file_delivered_is_not_taken_twice() -> None:
    fewer = CLEAN.with_columns(
        source_file=pl.lit("z.csv"),
        lane_id=pl.lit(None, pl.Int32),
        total_frames=pl.lit(None, pl.Int32),
    )
    for raw in (pl.concat([CLEAN, fewer]), pl.concat([fewer, CLEAN])):
        judged = judge(
            raw.lazy(), US_101, deliveries=raw["source_file"].unique(maintain_order=True).to_list()
        )
        assert reason_counts(judged).collect().rows() == [("duplicate_across_files", CLEAN.height)]
        # the fuller row is kept, whichever came first
        assert set(accepted(judged).collect()["source_file"]) == {"recording.txt"}


def test_a_later_delivery_wins_where_it_differs() -> None:
    corrected = replaced(
        CLEAN.with_columns(source_file=pl.lit("a.txt")),
        pl.col("vehicle_id") == 3,
        v_length=15.5,
    )
    raw = pl.concat([CLEAN, corrected])
    judged = judge(raw.lazy(), US_101, deliveries=["recording.txt", "a.txt"])
    assert reason_counts(judged).collect().rows() == [
        ("duplicate_across_files", 600),
        ("superseded", 120),
    ]
    points = accepted(judged).collect()
    assert points.height == CLEAN.height
    kept = points.filter(pl.col("vehicle_id") == 3)
    assert set(kept["source_file"]) == {"a.txt"}
    assert kept["length"].unique().to_list() == pytest.approx([15.5 * FOOT])


def test_a_broken_correction_does_not_supersede_a_sound_row() -> None:
    broken = replaced(CLEAN.filter(ROW).with_columns(source_file=pl.lit("z")), ROW, v_vel=-5.0)
    judged = judge(pl.concat([CLEAN, broken]).lazy(), US_101)
    assert reason_counts(judged).collect().rows() == [("speed_below", 1)]
    assert accepted(judged).collect().height == CLEAN.height


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
    parts = [
        judge(part.lazy(), US_101, neighbours=context, t0=T0).collect()
        for part in (raw.filter(pl.col("vehicle_id") <= 4), raw.filter(pl.col("vehicle_id") > 4))
    ]
    assert pl.concat(parts).equals(whole)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_accepted_rows_are_those_the_model_accepts(data: st.DataObject) -> None:
    """Ranges: whatever value a cell has, model and validation agree about the row."""
    site = data.draw(st.sampled_from(list(SITES.values())))
    column = data.draw(
        st.sampled_from(["v_vel", "v_acc", "v_length", "v_width", "lane_id", "local_x"])
    )
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
