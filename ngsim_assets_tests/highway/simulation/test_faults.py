"""Faults are where their labels say, are what they are called, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.fault_kinds import FAULTS, ROW_FAULTS
from ngsim_assets.highway.simulation.faults import LABELS, BadFaultRate, UnknownFault, inject_faults

KEY = ["vehicle_id", "frame_id"]
ADDED = {"exact_duplicate", "key_conflict"}
MISSING = {"short_gap", "long_gap"}


@pytest.fixture(scope="module")
def sound() -> pl.DataFrame:
    return simulate(Scenario(minutes=1.5, congestion="congested", seed=4)).recording


@pytest.fixture(scope="module")
def spoiled(sound: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return inject_faults(sound, 0.05, seed=9)


def labelled(spoiled: tuple[pl.DataFrame, pl.DataFrame], fault: str) -> pl.DataFrame:
    rows, labels = spoiled
    numbered = rows.with_row_index("row").cast({"row": pl.Int64})
    return numbered.join(labels.filter(fault=fault).select("row"), on="row")


def beside_truth(found: pl.DataFrame, sound: pl.DataFrame) -> pl.DataFrame:
    return found.join(sound, on=KEY, suffix="_true")


def test_every_kind_gets_about_its_share(
    sound: pl.DataFrame, spoiled: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    _, labels = spoiled
    assert labels.schema == LABELS
    per_kind = labels.group_by("fault").len()
    assert set(per_kind["fault"]) == set(ROW_FAULTS)
    share = 0.05 * sound.height / len(ROW_FAULTS)
    assert per_kind["len"].is_between(0.4 * share, 1.8 * share).all()
    assert 0.04 < labels.height / sound.height < 0.06
    assert labels.select("row", *KEY, "fault").is_duplicated().sum() == 0
    assert labels["row"].drop_nulls().is_duplicated().sum() == 0


def test_only_labelled_rows_differ(
    sound: pl.DataFrame, spoiled: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    rows, labels = spoiled
    numbered = rows.with_row_index("row").cast({"row": pl.Int64})
    untouched = numbered.join(labels, on="row", how="anti")
    known = untouched.join(sound, on=sound.columns, how="semi", nulls_equal=True)
    assert known.height == untouched.height
    same = ["exact_duplicate", "late_line"]
    faulty = numbered.join(labels.filter(~pl.col("fault").is_in(same)).select("row"), on="row")
    assert faulty.join(sound, on=sound.columns, how="semi", nulls_equal=True).is_empty()
    missing = labels.filter(pl.col("row").is_null())
    assert set(missing["fault"]) == MISSING
    assert missing.join(sound, on=KEY).height == missing.height
    gone = rows.join(missing, on=KEY, how="semi")
    # a swapped neighbour may stand in for a missing row only if margins were broken
    assert gone.is_empty()
    added = labels.filter(pl.col("fault").is_in(list(ADDED))).height
    assert rows.height == sound.height + added - missing.height


def test_labels_tell_the_row_as_delivered(spoiled: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    rows, labels = spoiled
    present = labels.filter(pl.col("row").is_not_null())
    found = rows[present["row"].to_list()]
    assert found.select(KEY).equals(present.select(KEY))
    assert (present["source_row"] == present["row"] + 1).all()
    in_place = rows.with_row_index("row").join(
        labels.filter(fault="late_line").select(pl.col("row").cast(pl.UInt32)), on="row", how="anti"
    )
    assert in_place.select(KEY).equals(in_place.select(KEY).sort(KEY))


def test_faults_are_what_they_are_called(
    sound: pl.DataFrame, spoiled: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    rows, _ = spoiled

    def of(fault: str) -> pl.DataFrame:
        return beside_truth(labelled(spoiled, fault), sound)

    twins = labelled(spoiled, "exact_duplicate")
    copies = twins.join(rows, on=rows.columns, how="inner", nulls_equal=True)
    assert copies.height == 2 * twins.height
    conflicts = of("key_conflict")
    assert (conflicts["local_y"] != conflicts["local_y_true"]).all()
    spikes = of("position_spike")
    assert ((spikes["local_y"] - spikes["local_y_true"]).abs() > 16_000).all()
    # local and global move together
    moved = (spikes["local_y"] - spikes["local_y_true"]).abs()
    on_map = (
        (spikes["global_x"] - spikes["global_x_true"]) ** 2
        + (spikes["global_y"] - spikes["global_y_true"]) ** 2
    ).sqrt()
    assert ((on_map - moved).abs() < 10).all()
    frozen = labelled(spoiled, "frozen_position").sort(KEY)
    assert frozen["local_y"].n_unique() < frozen.height / 7
    assert (of("speed_out_of_range")["v_vel"] > 14_700).all()
    assert (of("negative_speed")["v_vel"] < 0).all()
    assert (of("negative_length")["v_length"] < 0).all()
    assert (of("acceleration_out_of_range")["v_acc"].abs() > 2_953).all()
    contradiction = of("speed_contradicts_position")
    assert ((contradiction["v_vel"] - contradiction["v_vel_true"]).abs() > 1_900).all()
    assert (contradiction["v_vel"] >= 0).all()
    assert not of("lane_out_of_range")["lane_id"].is_between(1, 8).any()
    for column, rest in (("v_width", "width"), ("space_headway", "headway")):
        assert (of(f"negative_{rest}")[column] < 0).all()
    assert not of("class_out_of_range")["v_class"].is_between(1, 3).any()
    assert (of("length_out_of_range")["v_length"] > 9_843).all()
    assert (of("width_out_of_range")["v_width"] > 1_313).all()
    hard = of("acceleration_contradicts_speed")
    assert hard["v_acc"].abs().is_between(2_360, 2_890).all()
    assert (hard["v_acc"] * hard["v_acc_true"] <= 0).all()
    off_map = of("displaced_on_map")
    assert (off_map["local_y"] == off_map["local_y_true"]).all()
    away = off_map.select(
        pl.col(name).cast(pl.Float64) - pl.col(f"{name}_true") for name in ("global_x", "global_y")
    )
    assert (np.hypot(away["global_x"], away["global_y"]) > 11_000).all()
    times = of("wrong_headway").filter(pl.col("v_vel") > 0)
    assert ((times["space_headway"] / times["v_vel"] * 100 - times["time_headway"]).abs() < 1).all()
    assert (
        of("wrong_time_headway")["time_headway"] != of("wrong_time_headway")["time_headway_true"]
    ).all()
    assert (of("wrong_follower")["following"] != of("wrong_follower")["following_true"]).all()
    flips = of("lane_flip")
    assert ((flips["lane_id"] - flips["lane_id_true"]).abs() == 2).all()
    assert flips["lane_id"].is_between(1, 8).all()
    clock = of("clock_off_grid")
    assert ((clock["global_time"] - clock["global_time_true"]) % 100 != 0).all()
    stretched = of("length_change")
    assert (stretched["v_length"] > stretched["v_length_true"]).all()


def test_late_lines_stand_behind_rows_of_their_track_that_are_later(
    spoiled: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    rows, labels = spoiled
    late = labels.filter(fault="late_line").select(pl.col("row") - 1, "vehicle_id", "frame_id")
    before = rows.with_row_index("row").cast({"row": pl.Int64}).select("row", *KEY)
    first = late.join(
        late.with_columns(pl.col("row") + 1, pl.col("frame_id") + 1), on=["row", *KEY], how="anti"
    ).join(before, on="row", suffix="_before")
    assert first.height > 20
    assert (first["vehicle_id"] == first["vehicle_id_before"]).all()
    assert (first["frame_id"] < first["frame_id_before"]).all()


def test_overlapping_vehicles_overlap(spoiled: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    rows, _ = spoiled
    found = labelled(spoiled, "overlap_with_leader")
    leaders = rows.select(
        pl.col("vehicle_id").alias("preceding"),
        "frame_id",
        pl.col("local_y").alias("ahead"),
        (pl.col("local_y") - 10 * pl.col("v_length")).alias("rear"),
    )
    pairs = found.join(leaders, on=["preceding", "frame_id"])
    assert pairs.height > 0.9 * found.height  # the leader itself may be missing
    assert (pairs["local_y"] > pairs["rear"]).mean() > 0.9


def test_swapped_vehicles_have_each_others_rows(
    sound: pl.DataFrame, spoiled: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    swapped = labelled(spoiled, "swapped_ids")
    places = sound.select(
        pl.col("vehicle_id").alias("true_id"), "frame_id", "local_x", "local_y", "v_vel"
    )
    whose = swapped.join(places, on=["frame_id", "local_x", "local_y", "v_vel"])
    assert whose.height == swapped.height
    assert (whose["true_id"] != whose["vehicle_id"]).all()
    back = whose.select("frame_id", pl.col("vehicle_id").alias("true_id")).join(
        whose.select("frame_id", "true_id"), on=["frame_id", "true_id"]
    )
    assert back.height == swapped.height


def test_nothing_asked_nothing_done(sound: pl.DataFrame) -> None:
    rows, labels = inject_faults(sound, 0.0, seed=1)
    assert rows.equals(sound)
    assert labels.is_empty()
    empty, none = inject_faults(sound.clear(), 0.1, seed=1)
    assert empty.is_empty()
    assert none.schema == LABELS


@settings(max_examples=12, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(list(FAULTS)), min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 1_000),
    shuffle=st.integers(0, 1_000),
)
def test_results_do_not_depend_on_the_order_of_rows(
    sound: pl.DataFrame, kinds: list[str], seed: int, shuffle: int
) -> None:
    part = sound.filter(pl.col("vehicle_id") < 60)
    in_order = inject_faults(part, 0.02, seed, kinds=kinds)
    shuffled = inject_faults(
        part.sample(fraction=1.0, shuffle=True, seed=shuffle), 0.02, seed, kinds=kinds
    )
    assert in_order[0].equals(shuffled[0])
    assert in_order[1].equals(shuffled[1])
    assert set(in_order[1]["fault"]) <= set(kinds)


def test_a_recording_too_small_for_any_fault_stays_sound(sound: pl.DataFrame) -> None:
    few = sound.filter(vehicle_id=1).head(10)
    rows, labels = inject_faults(few, 0.1, seed=1)
    assert rows.equals(few)
    assert labels.is_empty()


def test_nonsense_is_refused(sound: pl.DataFrame) -> None:
    with pytest.raises(UnknownFault, match="gremlin"):
        inject_faults(sound, 0.1, 1, kinds=["gremlin"])
    with pytest.raises(BadFaultRate):
        inject_faults(sound, 0.9, 1)
