"""How many faults of each kind are found, and how many sound rows are blamed, on known truth."""

from __future__ import annotations

import polars as pl
import pytest

from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.faults import ROW_FAULTS, inject_faults
from ngsim_assets.highway.validate import accepted, judge, neighbours, rejected
from ngsim_assets_tests.highway.synthetic import as_logical

RATE = 0.03

# What a fault is called when it is found for what it is. Some have several faces: a lane of 9999
# says that it is not known, a displaced stretch may leave the site, a size may grow too large.
NAMES: dict[str, set[str]] = {
    "exact_duplicate": {"exact_duplicate"},
    "key_conflict": {"key_conflict", "x_position_below", "y_position_below"},
    "position_spike": {"position_spike", "y_position_below", "y_position_above"},
    "lateral_spike": {"position_spike", "x_position_below", "x_position_above"},
    "teleport": {"teleport", "position_spike", "y_position_below", "y_position_above"},
    "frozen_position": {"frozen"},
    "speed_out_of_range": {"speed_above"},
    "speed_contradicts_position": {"speed_contradicts_position"},
    "acceleration_out_of_range": {"acceleration_below", "acceleration_above"},
    "negative_speed": {"speed_below"},
    "negative_length": {"length_below"},
    "lane_out_of_range": {"lane_id_unknown", "lane_not_told"},
    "lane_flip": {"lane_blip", "lane_jump"},
    "class_change": {"class_changes"},
    "length_change": {"length_changes", "length_above"},
    "width_change": {"width_changes", "width_above"},
    "coordinates_off_site": {"coordinates_off_site"},
    "clock_off_grid": {"clock_off_frame_grid"},
    "overlap_with_leader": {"teleport", "position_spike", "overlap_with_leader"},
    "wrong_headway": {"headway_contradicts_positions"},
    "wrong_leader": {
        "headway_contradicts_positions",
        "leader_not_reciprocated",
        "leader_not_on_the_road",
        "overlap_with_leader",
    },
    "swapped_ids": {"teleport", "position_spike"},
}


@pytest.fixture(scope="module")
def judged() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every row with its verdict and its label (null: sound), and the rows after gaps."""
    scenario = Scenario(minutes=2, congestion="congested", seed=20)
    # The kind that needs most room first: two close vehicles, both with sound rows around.
    kinds = sorted(ROW_FAULTS, key="swapped_ids".__ne__)
    rows, labels = inject_faults(simulate(scenario).recording, RATE, seed=20, kinds=kinds)
    numbered = rows.with_row_index("source_row", offset=1)
    raw = as_logical(
        numbered,
        highway_id=scenario.highway_id,
        recording=scenario.recording,
        date=scenario.site.date,
        source_file="recording.txt",
        source_text=None,
    )
    context = neighbours(raw.lazy(), scenario.site)
    judged = judge(raw.lazy(), scenario.site, neighbours=context, t0=scenario.frame_origin)
    rows_out = accepted(judged).collect().height + rejected(judged).collect().height
    assert rows_out == raw.height
    verdicts = judged.select(
        "source_row", "vehicle_id", "frame", pl.concat_list("reasons", "flags").alias("found")
    ).collect()
    missing = labels.filter(pl.col("row").is_null()).select(
        "vehicle_id", (pl.col("frame_id") + 1).alias("frame")
    )
    gone = missing.join(
        missing.with_columns(pl.col("frame") - 1), on=["vehicle_id", "frame"], how="anti"
    )
    after_gaps = verdicts.join(gone, on=["vehicle_id", "frame"], how="semi")
    present = labels.filter(pl.col("row").is_not_null()).select("source_row", "fault")
    return verdicts.join(present, on="source_row", how="left"), after_gaps


def test_faults_are_found_for_what_they_are(
    judged: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    faulty = judged[0].filter(pl.col("fault").is_not_null())
    assert set(faulty["fault"]) == set(NAMES)
    hits = {
        str(kind): rows.select(
            pl.col("found").list.set_intersection(list(NAMES[str(kind)])).list.len() > 0
        ).to_series()
        for (kind,), rows in faulty.group_by("fault")
    }
    recall = {kind: hit.mean() for kind, hit in hits.items()}
    assert {kind: share for kind, share in recall.items() if float(str(share)) < 0.95} == {}
    assert sum(hit.sum() for hit in hits.values()) / faulty.height >= 0.99


def test_every_gap_is_told_on_the_row_after_it(
    judged: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    after_gaps = judged[1]
    assert after_gaps.height > 10
    assert after_gaps["found"].list.contains("gap").all()


def test_sound_rows_are_left_alone(judged: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    verdicts, after_gaps = judged
    # A vehicle that rows are missing of, or that another's rows were given to, has fewer frames
    # than it says; its first row tells so, and is right.
    told = ["gap", "fewer_frames_than_total"]
    sound = verdicts.filter(pl.col("fault").is_null())
    blamed = sound.filter(pl.col("found").list.set_difference(told).list.len() > 0)
    assert blamed.height / sound.height <= 0.001
    gaps = sound.filter(pl.col("found").list.contains("gap"))
    assert gaps.join(after_gaps, on="source_row", how="anti").is_empty()


@pytest.mark.parametrize("noise", ["ngsim", "severe", "hand-over"])
def test_noise_is_no_fault(noise: str) -> None:
    scenario = Scenario(minutes=0.5, congestion="congested", noise=noise, seed=5)
    raw = as_logical(
        simulate(scenario).recording.with_row_index("source_row", offset=1),
        highway_id=scenario.highway_id,
        recording=scenario.recording,
        date=scenario.site.date,
        source_file="recording.txt",
        source_text=None,
    )
    verdicts = judge(raw.lazy(), scenario.site).collect()
    assert verdicts["reasons"].list.len().sum() == 0
    blamed = verdicts.filter(pl.col("flags").list.len() > 0)
    assert blamed.height / verdicts.height <= 0.001
