"""Every fault is found for what it is, and its neighbours are not blamed."""

from __future__ import annotations

import polars as pl
import pytest

from ngsim_assets.highway.clean import CleaningParameters
from ngsim_assets.highway.sites import US_101
from ngsim_assets.highway.validate import (
    accepted,
    flag_counts,
    judge,
    neighbours,
    reason_counts,
)
from ngsim_assets.highway.validation.parameters import ValidationParameters
from ngsim_assets_tests.highway.synthetic import (
    feet,
    reasons_by_frame,
    recording,
    replaced,
    shifted,
    verdicts,
)

CLEAN = recording()
ROW = (pl.col("vehicle_id") == 3) & (pl.col("frame_id") == 60)

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
        ({"v_acc": feet(-8.0)}, "acceleration_contradicts_speed"),
        ({"space_headway": 60.0}, "headway_contradicts_positions"),
        ({"time_headway": 9.0}, "headways_contradict_each_other"),
        ({"global_x": 0.0}, "coordinates_off_site"),
        ({"global_y": shifted("global_y", 3.0)}, "map_contradicts_position"),
        ({"global_x": shifted("global_x", -3.0)}, "map_contradicts_position"),
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


def test_a_wrong_speed_does_not_freeze_a_standing_vehicle() -> None:
    waits = replaced(
        CLEAN,
        (pl.col("vehicle_id") == 6) & (pl.col("frame_id") > 40),
        v_vel=0.0,
        local_y=CLEAN.filter((pl.col("vehicle_id") == 6) & (pl.col("frame_id") == 40))[
            "local_y"
        ].item(),
    )
    stretch = (pl.col("vehicle_id") == 6) & pl.col("frame_id").is_between(80, 99)
    judged = judge(replaced(waits, stretch, v_vel=feet(8.0)).lazy(), US_101)
    assert reason_counts(judged).collect().is_empty()
    flagged = judged.filter(pl.col("flags").list.contains("speed_contradicts_position")).collect()
    assert flagged["frame"].to_list() == list(range(80, 100))


def test_wrong_speeds_are_flagged_and_do_not_discredit_positions() -> None:
    stretch = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(60, 90)
    raw = replaced(CLEAN, stretch, v_vel=feet(30.0))
    found = verdicts(raw)
    assert found["frame"].to_list() == list(range(60, 91))
    assert found["reasons"].list.len().sum() == 0
    assert found["flags"].to_list() == [["speed_contradicts_position"]] * 31


def test_speeds_that_lie_off_together_are_told_though_each_is_as_noisy_as_others() -> None:
    noisy = recording(noise=0.15, seed=8)
    ahead = pl.col("local_y").cast(pl.Float64).shift(-1) - pl.col("local_y").shift(1)
    inside = pl.col("frame_id").is_between(21, 138)
    noisy = replaced(noisy, inside, v_vel=ahead / 0.2)
    # of the positions themselves: half of them would be found too slow one by one
    assert verdicts(replaced(noisy, inside, time_headway=None)).is_empty()
    stretch = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(60, 90)
    slow = pl.col("v_vel").cast(pl.Float64) - feet(5.0)
    found = verdicts(
        replaced(noisy, pl.lit(value=True), time_headway=None).pipe(replaced, stretch, v_vel=slow)
    )
    told = found.filter(pl.col("flags").list.contains("speed_contradicts_position"))
    assert set(told["frame"]) <= set(range(60, 91))
    assert told.height >= 29


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
    changes = replaced(CLEAN, rest, lane_id=2, preceding=0, space_headway=0.0)
    for stretch, lane in ((pl.col("frame_id").is_between(77, 79), 3), (rest, 4)):
        odd = (pl.col("vehicle_id") == 3) & stretch & (pl.col("frame_id") < 83)
        found = verdicts(replaced(changes, odd, lane_id=lane, preceding=0, space_headway=0.0))
        told = found.filter(pl.col("flags").list.contains("lane_blip"))
        assert told["frame"].to_list() == ([77, 78, 79] if lane == 3 else [80, 81, 82])
        assert "lane_jump" not in found["flags"].explode().to_list()
    onto_next = replaced(CLEAN, rest, lane_id=2, preceding=0, space_headway=0.0)
    assert "lane" not in str(flag_counts(judge(onto_next.lazy(), US_101)).collect()["rule"])


def test_gaps_are_flagged_once_each_and_missing_frames_once_per_vehicle() -> None:
    gone = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(50, 60)
    found = verdicts(CLEAN.filter(~gone))
    assert found.drop("source_row").rows() == [
        (3, 20, [], ["fewer_frames_than_total"]),
        (3, 61, [], ["gap"]),
    ]


def test_a_gap_that_cleaning_leaves_open_is_told_from_one_it_fills() -> None:
    frames = pl.col("frame_id")
    flags = [
        verdicts(CLEAN.filter((pl.col("vehicle_id") != 3) | (frames < 50) | (frames >= end)))
        for end in (68, 69, 70, 71)
    ]
    assert [found["flags"].to_list()[-1] for found in flags] == [
        ["gap"], ["gap"], ["long_gap"], ["long_gap"],
    ]  # fmt: skip
    assert ValidationParameters().long_gap == CleaningParameters().gap_limit


def test_a_headway_apart_from_those_around_is_flagged_though_its_leader_is_not_there() -> None:
    gone = CLEAN.filter((pl.col("vehicle_id") != 1) | ~pl.col("frame_id").is_between(50, 80))
    stretch = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(60, 64)
    found = verdicts(replaced(gone, stretch, space_headway=120.0)).filter(pl.col("vehicle_id") == 3)
    assert found["frame"].to_list() == list(range(60, 65))
    assert found["flags"].to_list() == [["headway_jumps"]] * 5
    found = verdicts(replaced(gone, stretch, preceding=9)).filter(pl.col("vehicle_id") == 3)
    assert found["frame"].to_list() == list(range(60, 65))
    assert found["flags"].to_list() == [["leader_changes_alone"]] * 5


def test_a_leader_that_comes_between_for_a_moment_is_believed() -> None:
    # vehicle 2 cuts in before vehicle 3 and goes: nearer by as much as the headway says
    stretch = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(60, 64)
    raw = CLEAN.filter((pl.col("vehicle_id") != 1) | ~pl.col("frame_id").is_between(50, 80))
    raw = replaced(raw, stretch, preceding=9, space_headway=40.0, time_headway=0.0)
    assert verdicts(raw).filter(pl.col("vehicle_id") == 3).is_empty()


@pytest.mark.parametrize("length", [1, 4, 12])
def test_coordinates_that_leave_the_local_position_are_flagged_in_whatever_direction(
    length: int,
) -> None:
    stretch = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(60, 59 + length)
    for aside, along in ((3.0, 0.0), (0.0, 3.0), (0.0, -3.0), (-2.5, 2.5), (200.0, 50.0)):
        raw = replaced(
            CLEAN, stretch, global_x=shifted("global_x", aside), global_y=shifted("global_y", along)
        )
        found = verdicts(raw)
        assert found["frame"].to_list() == list(range(60, 60 + length))
        assert found["flags"].to_list() == [["map_contradicts_position"]] * length


def test_lines_out_of_order_are_told_only_of_a_file_that_has_an_order() -> None:
    late = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(60, 61)
    moved = CLEAN.with_columns(pl.col("source_row") * 2)
    moved = replaced(moved, late, source_row=pl.col("source_row") + 2 * 7 + 1)
    moved = moved.sort("source_row").with_columns(source_row=pl.int_range(2, pl.len() + 2))
    expected = [(3, 60, ["line_out_of_order"]), (3, 61, ["line_out_of_order"])]
    columns = ["vehicle_id", "frame", "flags"]
    assert verdicts(moved).select(columns).rows() == expected
    backwards = moved.with_columns(source_row=10_000 - pl.col("source_row"))
    assert verdicts(backwards).select(columns).rows() == expected
    shuffled = moved.with_columns(pl.col("source_row").shuffle(seed=3))
    assert verdicts(shuffled).is_empty()
    by_time = CLEAN.sort("frame_id", "vehicle_id").with_columns(
        source_row=pl.int_range(2, pl.len() + 2)
    )
    assert verdicts(by_time).is_empty()


def test_a_rejected_row_leaves_no_gap_behind() -> None:
    found = verdicts(replaced(CLEAN, ROW, v_vel=-1.0))
    assert "gap" not in found["flags"].explode().to_list()


def test_what_holds_before_and_after_is_usual_even_if_most_rows_differ() -> None:
    short = CLEAN.filter((pl.col("vehicle_id") != 3) | (pl.col("frame_id") < 65))
    middle = (pl.col("vehicle_id") == 3) & pl.col("frame_id").is_between(30, 55)
    found = verdicts(replaced(short, middle, v_width=8.0))
    changed = found.filter(pl.col("flags").list.contains("width_changes"))
    assert changed["frame"].to_list() == list(range(30, 56))


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
    # for a moment: the row between two that agree is wrong, and not who says what they say
    for stranger in (0, 1, 7):
        found = verdicts(replaced(CLEAN, ROW, following=stranger))
        assert found.drop("source_row").rows() == [(3, 60, [], ["follower_not_reciprocated"])]
    for stranger in (5, 7):
        found = verdicts(replaced(CLEAN, ROW, preceding=stranger))
        assert found.select("vehicle_id", "frame", "reasons").rows() == [(3, 60, [])]
        assert "leader_not_reciprocated" in found["flags"].item().to_list()
    # for good: two vehicles say otherwise, and both are named
    found = verdicts(replaced(CLEAN, pl.col("vehicle_id") == 3, following=6))
    flags = found.explode("flags").select("vehicle_id", "flags").unique().sort("vehicle_id")
    assert flags.rows() == [(3, "follower_not_reciprocated"), (5, "leader_not_reciprocated")]


def test_a_leader_that_has_left() -> None:
    gone = CLEAN.filter((pl.col("vehicle_id") != 1) | (pl.col("frame_id") < 60))
    left = replaced(gone, pl.col("vehicle_id") == 1, total_frames=40)
    flags = flag_counts(judge(left.lazy(), US_101)).collect()
    assert flags.rows() == [("leader_not_on_the_road", 80)]
    # of a track that is not whole nobody knows when it ended
    assert flag_counts(judge(gone.lazy(), US_101)).collect().rows() == [
        ("fewer_frames_than_total", 1)
    ]


def test_a_follower_is_not_blamed_for_its_leader() -> None:
    leader = (pl.col("vehicle_id") == 1) & (pl.col("frame_id") == 60)
    raw = replaced(CLEAN, leader, local_y=shifted("local_y", -28.0))
    for context in (None, neighbours(raw.lazy(), US_101)):
        found = verdicts(raw, neighbours=context)
        assert found.drop("source_row").rows() == [(1, 60, ["position_spike"], [])]
