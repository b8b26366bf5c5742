"""Simulated traffic obeys physics, shows waves, and is delivered with NGSIM's own errors."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ngsim_assets.highway.formats import FOOT, RAW_PHYSICAL
from ngsim_assets.highway.simulate import (
    CannotSimulate,
    Scenario,
    Simulation,
    simulate,
    simulate_export,
    simulate_to,
)
from ngsim_assets.highway.simulation.error_model import Noise
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.source import members, read_batches
from ngsim_assets.highway.validation.geodesy import projection

KEY = ["vehicle_id", "frame_id"]


@pytest.fixture(scope="module", params=["us-101", "i-80"])
def simulation(request: pytest.FixtureRequest) -> Simulation:
    return simulate(Scenario(request.param, minutes=2.0, congestion="congested", seed=5))


def test_truth_integrates_to_itself(simulation: Simulation) -> None:
    step = simulation.truth.with_columns(
        (pl.col("speed").diff() - 0.1 * pl.col("acceleration").shift()).abs().alias("speed_error"),
        (pl.col("y_position").diff() - 0.05 * (pl.col("speed") + pl.col("speed").shift()))
        .abs()
        .alias("position_error"),
        pl.col("frame_id").diff().alias("frames"),
        pl.col("vehicle_id").diff().alias("vehicles"),
    ).filter(vehicles=0)
    assert step["frames"].unique().to_list() == [1]
    assert step["speed_error"].max() < 1e-9
    assert step["position_error"].max() < 1e-9


def test_vehicles_are_where_vehicles_can_be(simulation: Simulation) -> None:
    truth, site = simulation.truth, simulation.scenario.site
    assert truth["speed"].is_between(0.0, 36.0).all()
    assert truth["acceleration"].is_between(-8.0, 3.0).all()
    assert truth["y_position"].is_between(0.0, 1.02 * site.length).all()
    assert truth["x_position"].is_between(site.x.low, site.x.high).all()
    assert set(truth["lane_id"].unique()) <= set(site.lanes)
    jerk = truth.select(pl.col("acceleration").diff().over("vehicle_id").abs() / 0.1)
    assert (jerk.to_series() > site.limits.jerk).mean() < 1e-4


def test_no_two_bodies_overlap(simulation: Simulation) -> None:
    """Every vehicle against the next three ahead of it in any lane, in every frame."""
    bodies = simulation.truth.sort("frame_id", "y_position")
    for ahead in (1, 2, 3):
        pairs = bodies.with_columns(
            pl.col("frame_id").shift(-ahead).alias("other_frame"),
            (pl.col("y_position").shift(-ahead) - pl.col("length").shift(-ahead)).alias("rear"),
            (pl.col("x_position") - pl.col("x_position").shift(-ahead)).abs().alias("aside"),
            ((pl.col("width") + pl.col("width").shift(-ahead)) / 2).alias("widths"),
        ).filter(pl.col("frame_id") == pl.col("other_frame"))
        touching = pairs.filter(
            pl.col("rear") < pl.col("y_position"), pl.col("aside") < pl.col("widths")
        )
        assert touching.is_empty()


def test_leader_and_follower_agree_with_positions(simulation: Simulation) -> None:
    truth = simulation.truth
    followed = truth.join(
        truth.select(
            pl.col("vehicle_id").alias("preceding_id"),
            "frame_id",
            "lane_id",
            pl.col("y_position").alias("leader_y"),
            pl.col("following_id").alias("back"),
        ),
        on=["preceding_id", "frame_id", "lane_id"],
    )
    assert followed.height == truth["preceding_id"].count()
    assert (followed["back"] == followed["vehicle_id"]).all()
    error = followed["leader_y"] - followed["y_position"] - followed["space_headway"]
    assert error.abs().max() < 1e-9
    assert (followed["space_headway"] > 0).all()


def test_population_is_that_of_the_freeway(simulation: Simulation) -> None:
    vehicles = simulation.truth.unique("vehicle_id")
    share = dict(vehicles["v_class"].value_counts(normalize=True).iter_rows())
    assert share[2] > 0.93
    trucks, motorcycles = (vehicles.filter(v_class=c)["length"].to_list() for c in (3, 1))
    assert min(trucks) > max(motorcycles, default=2.0)
    lanes = simulation.truth.group_by("vehicle_id").agg(pl.col("lane_id").n_unique())
    assert (lanes["lane_id"] > 1).any(), "nobody changes lanes"


def test_stop_and_go_waves_run_upstream_at_about_15_km_per_hour() -> None:
    truth = simulate(Scenario(minutes=6.0, congestion="congested", seed=2)).truth
    field = (
        truth.filter(pl.col("lane_id").is_in([1, 2, 3]))
        .group_by("lane_id", pl.col("frame_id") // 20, (pl.col("y_position") // 20).cast(pl.Int32))
        .agg(pl.col("speed").mean())
    )
    lags: list[float] = []
    for lane in (1, 2, 3):
        at = {
            place: field.filter(lane_id=lane, y_position=place).sort("frame_id")["speed"].to_numpy()
            for place in (5, 27)
        }
        count = min(map(len, at.values()))
        upstream, downstream = at[5][:count], at[27][:count]
        # the wave is at 540 m first, at 100 m some lags of 2 s later
        fits = [
            np.corrcoef(downstream[: count - lag], upstream[lag:])[0, 1] for lag in range(30, 90)
        ]
        lags.append(2.0 * (30 + int(np.argmax(fits))))
    wave = -440.0 / np.median(lags) * 3.6
    assert -25.0 < wave < -10.0
    assert truth["speed"].std() > 2.0


def punzo_share(recording: pl.DataFrame) -> float:
    """Share of jerks over 15 m/s³ of delivered accelerations, tracks of at least 100 frames."""
    jerk = (
        recording.filter(pl.len().over("vehicle_id") >= 100)
        .select((pl.col("v_acc").diff() / 100 / 0.1).over("vehicle_id").abs())
        .drop_nulls()
        .to_series()
    )
    share = (jerk > 15.0 / FOOT).mean()
    assert isinstance(share, float)
    return share


def test_delivered_rows_have_the_published_errors(simulation: Simulation) -> None:
    recording, truth = simulation.recording, simulation.truth
    assert recording.schema == RAW_PHYSICAL
    assert recording.select(KEY).equals(truth.select(KEY))
    assert 0.10 <= punzo_share(recording) <= 0.25
    # delivered speeds stand on multiples of 5 ft/s far more often than traffic does
    on_pixel = (recording["v_vel"] % 500 == 0).mean()
    true_on_pixel = ((truth["speed"] / FOOT * 100).round() % 500 == 0).mean()
    assert on_pixel > 0.1 > 5 * true_on_pixel
    assert recording["v_acc"].abs().max() == 1120
    off = (recording["local_y"] / 1000 * FOOT - truth["y_position"]).to_numpy()
    assert 0.1 < off.std() < 1.0


def test_delivered_headways_are_those_of_delivered_positions(simulation: Simulation) -> None:
    rows = simulation.recording
    leaders = rows.select(
        pl.col("vehicle_id").alias("preceding"), "frame_id", pl.col("local_y").alias("ahead")
    )
    joined = rows.join(leaders, on=["preceding", "frame_id"], how="left")
    none = joined.filter(preceding=0)
    assert (
        none.select((pl.col("space_headway") == 0) & (pl.col("time_headway") == 0))
        .to_series()
        .all()
    )
    some = joined.filter(pl.col("preceding") > 0)
    assert some["ahead"].null_count() == 0
    space = (some["ahead"] - some["local_y"]) / 10
    assert (space - some["space_headway"]).abs().max() <= 0.5
    standing = some.filter(v_vel=0)
    assert standing.height > 0
    assert standing["time_headway"].unique().to_list() == [999_999]


def test_recording_lies_on_its_site(simulation: Simulation) -> None:
    site, rows = simulation.scenario.site, simulation.recording.gather_every(97)
    longitude, latitude = projection(site).degrees(
        rows["global_x"].to_numpy() / 1000, rows["global_y"].to_numpy() / 1000
    )
    # the boxes the real excerpt fills
    boxes = {
        "us-101": (-118.3653, -118.3601, 34.1355, 34.1395),
        "i-80": (-122.2976, -122.2967, 37.8395, 37.8439),
    }
    west, east, south, north = boxes[site.highway_id]
    assert longitude.min() > west - 3e-4
    assert longitude.max() < east + 3e-4
    assert latitude.min() > south - 3e-4
    assert latitude.max() < north + 3e-4


def test_equal_scenarios_give_equal_recordings() -> None:
    scenario = Scenario(minutes=0.3, seed=3)
    first, again = simulate(scenario), simulate(scenario)
    assert first.truth.equals(again.truth)
    assert first.recording.equals(again.recording)
    other = simulate(Scenario(minutes=0.3, seed=4))
    assert not first.recording.equals(other.recording)


def test_noise_leaves_the_traffic_alone() -> None:
    exact = simulate(Scenario(minutes=0.3, seed=3, noise="none"))
    noisy = simulate(Scenario(minutes=0.3, seed=3, noise=Noise(white=0.3)))
    assert exact.truth.equals(noisy.truth)
    error = exact.recording["local_y"] / 1000 * FOOT - exact.truth["y_position"]
    assert error.abs().max() < 0.001
    difference = (noisy.recording["local_y"] - exact.recording["local_y"]) / 1000 * FOOT
    assert 0.29 < difference.std() < 0.31
    assert punzo_share(noisy.recording) > punzo_share(exact.recording) == 0.0


@pytest.mark.parametrize("highway_id", ["us-101", "i-80"])
def test_official_starts_have_official_origins(highway_id: str) -> None:
    for official in SITES[highway_id].recordings:
        scenario = Scenario(highway_id, official.start)
        assert official.t0[0] <= scenario.frame_origin <= official.t0[1]
        assert scenario.recording == official.key


def test_other_starts_count_from_themselves() -> None:
    scenario = Scenario("us-101", datetime(2005, 6, 15, 9, 30))  # noqa: DTZ001 (local label)
    assert scenario.frame_origin == 1118853000000  # 16:30 UTC
    assert scenario.recording == "2005-06-15T0930"


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("highway", {"highway_id": "peachtree"}),
        ("congestion", {"congestion": "gridlock"}),
        ("noise", {"noise": "loud"}),
        ("minutes", {"minutes": 0.0}),
        ("seed", {"seed": -1}),
    ],
)
def test_unknown_scenarios_are_refused_with_what_there_is(
    option: str, values: dict[str, object]
) -> None:
    with pytest.raises(CannotSimulate) as refused:
        Scenario(**values)
    assert refused.value.option == option
    assert refused.value.known in str(refused.value)


def test_simulate_to_puts_truth_and_labels_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "us101.txt"
    written = simulate_to(path, Scenario(minutes=0.5, seed=8), faults=0.03)
    truth = pl.read_parquet(tmp_path / "us101.txt.truth.parquet")
    labels = pl.read_parquet(tmp_path / "us101.txt.labels.parquet")
    rows = pl.concat(read_batches(members(path)[0]))
    assert rows.height == written.rows
    assert set(truth["vehicle_id"].unique()) >= set(rows["vehicle_id"].drop_nulls().unique())
    spoiled = labels.filter(fault="unreadable_cell")
    assert spoiled.height > 0
    kept = rows.filter(pl.col("source_text").is_not_null())
    assert set(kept["source_row"]) == set(spoiled["source_row"])
    assert kept["source_text"].str.contains("***", literal=True).all()


def test_export_holds_several_recordings_in_no_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    written = simulate_export(path, rows=60_001, seed=2, recordings=7)
    assert written.rows == 60_001
    assert os.listdir(tmp_path) == ["rows.csv"]  # noqa: PTH208 (names only)
    rows = pl.concat(read_batches(members(path)[0]))
    keys = rows.with_columns((pl.col("global_time") - 100 * pl.col("frame_id")).alias("t0"))
    recordings = keys.group_by("location", "t0").agg(
        pl.len(), pl.struct(KEY).n_unique().alias("keys"), pl.col("local_x").sum()
    )
    assert recordings.height == 7
    assert recordings["len"].is_between(8_571, 8_572).all()
    assert (recordings["len"] == recordings["keys"]).all()
    assert recordings["local_x"].n_unique() == 7
    official = {t0 for site in SITES.values() for r in site.recordings for t0 in range(*r.t0)}
    assert recordings.filter(pl.col("t0").is_in(list(official))).height == 6
    first = rows.head(2_000)
    assert first["location"].n_unique() == 2
    assert not first["frame_id"].is_sorted()


def test_export_needs_a_row_per_recording(tmp_path: Path) -> None:
    with pytest.raises(CannotSimulate):
        simulate_export(tmp_path / "rows.csv", rows=3, recordings=4)
