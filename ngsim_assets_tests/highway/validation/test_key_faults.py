"""Of rows with one key one is believed, and it is said what the others are."""

from __future__ import annotations

import polars as pl
import pytest

from ngsim_assets.highway.formats import FOOT
from ngsim_assets.highway.sites import US_101
from ngsim_assets.highway.validate import (
    accepted,
    judge,
    reason_counts,
)
from ngsim_assets_tests.highway.synthetic import (
    again,
    recording,
    replaced,
    shifted,
    verdicts,
)

CLEAN = recording()
ROW = (pl.col("vehicle_id") == 3) & (pl.col("frame_id") == 60)


def test_copies_in_one_file_keep_the_first() -> None:
    raw = pl.concat([CLEAN, again(CLEAN.filter(pl.col("vehicle_id") == 3))])
    found = verdicts(raw)
    assert found.height == 120
    assert found["source_row"].min() > 100_000  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
    assert reason_counts(judge(raw.lazy(), US_101)).collect().rows() == [("exact_duplicate", 120)]


def test_many_copies_are_all_found() -> None:
    raw = recording(vehicles=40, frames=500, lanes=5, speed=8.0)
    twice = pl.concat([raw, again(raw)])
    judged = judge(twice.lazy(), US_101)
    assert reason_counts(judged).collect().rows() == [("exact_duplicate", raw.height)]
    assert accepted(judged).collect()["source_row"].to_list() == raw["source_row"].to_list()


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
