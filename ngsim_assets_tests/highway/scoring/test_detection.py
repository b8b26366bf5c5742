"""What counts as caught and what as a false alarm, on verdicts written by hand."""

from __future__ import annotations

import polars as pl
import pytest

from ngsim_assets.highway.scoring.detection import EXPECTED, detection, false_alarms, overall
from ngsim_assets.highway.simulation.fault_kinds import FAULTS
from ngsim_assets.highway.simulation.faults import LABELS
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.validate import validation_rules

NAMES = pl.List(pl.String())


def said(rows: list[dict[str, object]]) -> pl.LazyFrame:
    """Verdicts of vehicle 1 and its follower 2 over frames 1 to 20, changed as `rows` say."""
    sound = pl.DataFrame(
        {
            "vehicle_id": [1] * 20 + [2] * 20,
            "frame": list(range(1, 21)) * 2,
            "source_row": list(range(1, 41)),
            "preceding_id": [None] * 20 + [1] * 20,
            "following_id": [2] * 20 + [None] * 20,
        },
        schema={
            "vehicle_id": pl.Int32(),
            "frame": pl.Int32(),
            "source_row": pl.Int64(),
            "preceding_id": pl.Int32(),
            "following_id": pl.Int32(),
        },
    ).with_columns(pl.lit([], NAMES).alias("reasons"), pl.lit([], NAMES).alias("flags"))
    records = {int(str(row["source_row"])): row for row in sound.to_dicts()}
    for row in rows:
        records[int(str(row["source_row"]))].update(row)
    gone = {int(str(row["source_row"])) for row in rows if row.get("gone")}
    kept = [row for number, row in records.items() if number not in gone]
    return pl.DataFrame(kept, schema=sound.schema).lazy()


def labelled(*faults: tuple[int | None, int, int, str]) -> pl.DataFrame:
    """Labels: line (null: missing), vehicle, frame, kind."""
    return pl.DataFrame(
        [
            {
                "row": None if line is None else line - 1,
                "source_row": line,
                "vehicle_id": vehicle,
                "frame_id": frame,
                "fault": fault,
            }
            for line, vehicle, frame, fault in faults
        ],
        schema=LABELS,
    )


def test_every_kind_of_fault_has_a_rule_that_exists() -> None:
    assert set(EXPECTED) == set(FAULTS)
    known = {rule.name for site in SITES.values() for rule in validation_rules(site)}
    assert {name for names in EXPECTED.values() for name in names} <= known


def test_a_flag_by_chance_does_not_count_and_a_rejection_does() -> None:
    labels = labelled((5, 1, 5, "lane_flip"), (6, 1, 6, "lane_flip"), (7, 1, 7, "lane_flip"))
    judged = said(
        [
            {"source_row": 5, "flags": ["gap"]},
            {"source_row": 6, "flags": ["gap", "lane_blip"]},
            {"source_row": 7, "reasons": ["speed_below"]},
        ]
    )
    found = detection(labels, judged)
    assert found.rows() == [("lane_flip", 3, 2, pytest.approx(2 / 3))]
    assert overall(found) == pytest.approx(2 / 3)
    assert overall(detection(labelled(), judged)) == 1.0


def test_a_missing_row_is_told_on_the_first_row_after_its_gap() -> None:
    labels = labelled((None, 1, 5, "short_gap"), (None, 1, 6, "short_gap"))
    gone = [{"source_row": 5, "gone": True}, {"source_row": 6, "gone": True}]
    told = said([*gone, {"source_row": 7, "flags": ["gap"]}])
    assert detection(labels, told)["caught"].to_list() == [2]
    assert false_alarms(labels, told).blamed == 0
    late = said([*gone, {"source_row": 8, "flags": ["gap"]}])
    assert detection(labels, late)["caught"].to_list() == [0]
    alarms = false_alarms(labels, late)
    assert (alarms.sound, alarms.blamed) == (38, 1)
    assert alarms.share == pytest.approx(1 / 38)
    assert alarms.by_rule.rows() == [("gap", 1)]


def test_who_contradicts_a_faulty_neighbour_is_touched_and_not_blamed() -> None:
    labels = labelled((5, 1, 5, "position_spike"))
    judged = said(
        [
            {"source_row": 5, "reasons": ["position_spike"]},
            {"source_row": 25, "flags": ["overlap_with_leader"]},
            {"source_row": 26, "flags": ["overlap_with_leader"]},
        ]
    )
    alarms = false_alarms(labels, judged)
    assert (alarms.blamed, alarms.touched) == (1, 1)
    worse = said(
        [
            {"source_row": 5, "reasons": ["position_spike"]},
            {"source_row": 25, "reasons": ["position_spike"], "flags": ["overlap_with_leader"]},
        ]
    )
    assert false_alarms(labels, worse).by_rule.rows() == [("position_spike", 1)]


def test_a_vehicle_short_of_rows_may_say_so_and_no_other() -> None:
    labels = labelled((None, 1, 5, "short_gap"))
    judged = said(
        [
            {"source_row": 5, "gone": True},
            {"source_row": 1, "flags": ["fewer_frames_than_total"]},
            {"source_row": 21, "flags": ["fewer_frames_than_total"]},
        ]
    )
    assert false_alarms(labels, judged).blamed == 1
    nobody = false_alarms(labelled(), said([]).filter(pl.col("vehicle_id") > 2))
    assert nobody.share == 0.0
