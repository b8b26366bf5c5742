"""Cleaning as a whole: what comes out of points with spikes, gaps, noise and standstill."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.clean import (
    CleaningParameters,
    MovingAverage,
    RobustWhittaker,
    clean,
    complete,
    pipeline,
    reconstruct,
)
from ngsim_assets.highway.model import CLEANED_TRAJECTORIES
from ngsim_assets.highway.reconstruction.filters import Dedupe, Impute, Outliers, Pipeline, Smooth
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.sites import PEACHTREE, US_101
from ngsim_assets_tests.highway import driven

seeds = st.integers(0, 2**31)


def _noisy(vehicle: int, seed: int, frames: int = 500, **options: bool) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    truth = driven.stop_and_go(frames, seed, **options)
    error = driven.drifting(frames, seed, 0.1, 0.5) + 0.1 * random.standard_normal(frames)
    x = 3.0 + driven.drifting(frames, seed + 1, 0.1, 3.0)
    return driven.narrow(vehicle, truth + error, x=x, first=int(random.integers(0, 500)))


def _several(seed: int, vehicles: int = 4, frames: int = 150) -> pl.DataFrame:
    """Vehicles with spikes, gaps short and long, and one that is seen once."""
    random = np.random.default_rng(seed)
    parts = []
    for vehicle in range(1, vehicles + 1):
        rows = _noisy(vehicle, seed + vehicle, frames)
        spike = pl.Series(random.random(frames) < 0.01)
        lost = random.random(frames) < 0.03
        at = int(random.integers(10, frames - 50))
        lost[at : at + int(random.integers(2, 40))] = True
        parts.append(
            rows.with_columns(
                pl.when(spike).then(pl.col("y_position") + 4.0).otherwise(pl.col("y_position"))
            ).filter(~pl.Series(lost))
        )
    return pl.concat([*parts, driven.narrow(vehicles + 1, np.array([50.0]))])


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _collected(rows: pl.DataFrame, **parameters: object) -> pl.DataFrame:
    chosen = CleaningParameters(**parameters)  # type: ignore[arg-type]
    return reconstruct(rows.lazy(), US_101, chosen).collect()


# what a reconstruction is


def test_every_frame_of_a_stretch_is_there_and_long_gaps_stay_open() -> None:
    y = driven.stop_and_go(300, 1)
    seen = np.ones(300, dtype=bool)
    seen[40:52] = False  # 1.3 s between the points around: filled
    seen[100:119] = False  # 2.0 s: filled
    seen[200:220] = False  # 2.1 s: open
    out = _collected(driven.narrow(1, y).filter(pl.Series(seen)))

    frame = out["frame"].to_numpy()
    assert frame[0] == 100
    assert frame[-1] == 399
    assert [(int(a), int(b)) for a, b in pairwise(frame) if b != a + 1] == [(299, 320)]
    imputed = out.filter(pl.col("state") == "imputed")["frame"].to_list()
    assert imputed == [*range(140, 152), *range(200, 219)]
    by_state = out.with_columns(raw=pl.col("y_raw").is_null() | pl.col("x_raw").is_null())
    assert (by_state["raw"] == (by_state["state"] == "imputed")).all()
    truth = y[frame - 100]
    assert np.abs(out["y_position"].to_numpy() - truth).max() < 0.6


def test_another_gap_limit_fills_other_gaps() -> None:
    rows = driven.narrow(1, driven.stop_and_go(100, 2)).filter(
        ~pl.col("frame").is_between(140, 160)
    )
    assert _collected(rows, gap_limit=2.0).height == 79
    assert _collected(rows, gap_limit=3.0).height == 100


@pytest.mark.parametrize("seed", range(4))
def test_motion_integrates_to_the_positions(seed: int) -> None:
    out = _collected(_several(seed))
    for _, track in out.group_by("vehicle_id", pl.col("frame") - pl.int_range(pl.len())):
        y, v = track["y_position"].to_numpy(), track["velocity_y"].to_numpy()
        a, j = track["acceleration_y"].to_numpy(), track["jerk"].to_numpy()
        np.testing.assert_allclose(y[:-1] + 0.1 * v[:-1] + 0.005 * a[:-1], y[1:], atol=1e-9)
        np.testing.assert_allclose(a[:-1] + 0.1 * j[:-1], a[1:], atol=1e-9)
        if len(y) > 2:
            np.testing.assert_allclose(v[:-1] + 0.05 * (a[:-1] + a[1:]), v[1:], atol=1e-9)
        x, u, b = (track[k].to_numpy() for k in ("x_position", "velocity_x", "acceleration_x"))
        np.testing.assert_allclose(x[:-1] + 0.1 * u[:-1] + 0.005 * b[:-1], x[1:], atol=1e-9)
        np.testing.assert_allclose(np.hypot(u, v), track["speed"].to_numpy())


@pytest.mark.parametrize("seed", range(6))
def test_motion_is_what_a_vehicle_can_do(seed: int) -> None:
    out = _collected(pl.concat([_noisy(v, 10 * seed + v) for v in range(5)]))
    assert out["velocity_y"].min() >= 0.0  # type: ignore[operator]
    assert out.select((pl.col("acceleration_y").abs() <= 9.0).all()).item()
    assert out.select((pl.col("jerk").abs() <= 15.0).mean()).item() > 0.999


def test_what_stands_stands_still() -> None:
    random = np.random.default_rng(5)
    y = np.concatenate([driven.stop_and_go(250, 4, stops=False), np.zeros(200)])
    y[250:] = y[249]
    out = _collected(driven.narrow(1, y + 0.1 * random.standard_normal(450)))
    standing = out.filter(pl.col("frame").is_between(100 + 275, 100 + 440))
    assert (standing["velocity_y"] == 0.0).mean() > 0.95  # type: ignore[operator]
    for name in ("x_position", "y_position"):
        still = standing[name].value_counts()["count"].max()
        assert still > 0.95 * standing.height, "one place"  # type: ignore[operator]
        spread = standing[name].max() - standing[name].min()  # type: ignore[operator]
        assert spread < 0.005, "noise has 0.1 m"  # type: ignore[operator]


def test_spikes_bursts_and_the_points_beside_them() -> None:
    truth = driven.stop_and_go(600, 7, stops=False)
    y = truth + 0.05 * np.random.default_rng(1).standard_normal(600)
    bad = [60, 200, 201, 333, 400, 401, 402, 403, 404, 550]
    y[bad] += np.array([3.0, -2.0, -2.0, 30.0, 2.5, 2.5, 2.5, 2.5, 2.5, -1.5])
    out = _collected(driven.narrow(1, y))
    assert (out.filter(pl.col("state") == "repaired")["frame"] - 100).to_list() == bad
    assert np.abs(out["y_position"].to_numpy() - truth).max() < 0.25
    np.testing.assert_array_equal(out["y_raw"].to_numpy(), y)


def test_a_hard_brake_is_not_an_outlier() -> None:
    speed = np.concatenate([np.full(150, 20.0), np.linspace(20.0, 2.0, 26), np.full(150, 2.0)])
    truth = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2.0) * 0.1])
    y = truth + 0.05 * np.random.default_rng(2).standard_normal(len(truth))
    out = _collected(driven.narrow(1, y))
    assert (out["state"] == "observed").all()
    assert out["acceleration_y"].min() < -5.5  # type: ignore[operator]


def test_a_start_at_the_end_of_a_long_standstill_is_believed() -> None:
    start = 0.5 * 2.0 * (0.1 * np.arange(15)) ** 2
    y = np.concatenate([np.zeros(400), start])
    out = _collected(driven.narrow(1, y))
    assert (out["state"] == "observed").all()
    assert out["velocity_y"][-1] == pytest.approx(2.8, abs=1.2)


@pytest.mark.parametrize(
    "frames", [np.array([3]), np.array([3, 4]), np.array([3, 5]), np.arange(3), np.arange(7)]
)
def test_tracks_of_a_few_points(frames: np.ndarray) -> None:
    y = 1.2 * frames + 0.05 * np.random.default_rng(len(frames)).standard_normal(len(frames))
    rows = driven.narrow(1, y).with_columns(frame=pl.Series(frames, dtype=pl.Int32))
    out = _collected(rows)
    assert out["frame"].to_list() == list(range(int(frames[0]), int(frames[-1]) + 1))
    if len(frames) == 1:
        assert out["velocity_y"].to_list() == [0.0]
    else:
        assert np.abs(out["velocity_y"].to_numpy() - 12.0).max() < 1.5
        assert np.abs(out["acceleration_y"].to_numpy()).max() < 3.0


def test_one_point_a_second_becomes_ten() -> None:
    truth = driven.stop_and_go(600, 9, stops=False)
    rows = driven.narrow(1, truth).filter(pl.col("frame") % 10 == 0)
    out = _collected(rows)
    assert out.height == 591
    assert (out["state"] == "observed").sum() == 60
    inside = slice(20, -20)
    speed = driven.speed_of(truth)[:591]
    assert _rms((out["velocity_y"].to_numpy() - speed)[inside]) < 0.3


def test_all_standing_stays_where_it_is() -> None:
    out = _collected(driven.narrow(1, np.full(200, 12.5)))
    assert (out["y_position"] == 12.5).all()
    assert (out["speed"] == 0.0).all()
    assert (out["state"] == "observed").all()


def test_nothing_in_nothing_out() -> None:
    empty = driven.narrow(1, np.zeros(3)).clear()
    assert _collected(empty).height == 0
    assert clean(driven.points(empty).lazy(), US_101).collect().height == 0


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_whatever_comes_in_is_finite_and_in_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 80))
    frame = np.cumsum(random.choice([1, 1, 1, 2, 7, 20, 21, 300], n))
    y = np.cumsum(random.normal(1.0, random.choice([0.01, 1.0, 30.0]), n))
    y[random.random(n) < 0.1] += random.choice([-500.0, 3.0, 1e4])
    rows = pl.DataFrame(
        {
            "vehicle_id": random.integers(1, 4, n).astype(np.int32),
            "frame": frame.astype(np.int32),
            "x_position": random.normal(0.0, 1.0, n),
            "y_position": y,
        }
    )
    for method in (RobustWhittaker(), MovingAverage()):
        out = _collected(rows, method=method)
        motion = out.select(pl.selectors.float().exclude("x_raw", "y_raw"))
        assert motion.select(pl.all().is_finite().all()).row(0) == (True,) * motion.width
        assert out.filter(pl.col("state") != "imputed").height == n
        assert out.select("vehicle_id", "frame").is_unique().all()
        if method == RobustWhittaker():
            assert (out["velocity_y"] >= 0.0).all()


# where the road has two directions


def test_arterial_vehicles_keep_their_own_direction() -> None:
    random = np.random.default_rng(3)
    along = driven.stop_and_go(300, 5)
    back = 400.0 - driven.stop_and_go(300, 6)
    turning = 50.0 - 0.05 * (np.arange(300) - 150.0) ** 2 / 15.0
    rows = pl.concat(
        driven.narrow(i, y + 0.1 * random.standard_normal(300))
        for i, y in enumerate([along, back, turning], start=1)
    )
    out = reconstruct(rows.lazy(), PEACHTREE).collect()
    speeds = {
        vehicle: part["velocity_y"].to_numpy()
        for (vehicle,), part in out.group_by("vehicle_id", maintain_order=True)
    }
    assert speeds[1].min() >= 0.0
    assert speeds[2].max() <= 0.0
    np.testing.assert_allclose(speeds[2], -driven.speed_of(400.0 - back), atol=0.6)
    assert speeds[3].min() < -5.0
    assert speeds[3].max() > 5.0


# results depend on nothing but a vehicle's own points


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_row_order_does_not_matter(seed: int) -> None:
    rows = _several(seed % 20)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=seed)
    expected = _collected(rows)
    assert _collected(shuffled).equals(expected)
    # vehicles in one piece each, as laid out by type, are left where they are
    turned = pl.concat(reversed(rows.partition_by("vehicle_id", maintain_order=True)))
    assert _collected(turned).sort("vehicle_id", "frame").equals(expected)


@pytest.mark.parametrize("method", [RobustWhittaker(), MovingAverage()])
def test_chunks_and_threads_do_not_matter(method: RobustWhittaker | MovingAverage) -> None:
    rows = pl.concat([_several(s, 3).with_columns(pl.col("vehicle_id") + 10 * s) for s in range(4)])
    parameters = CleaningParameters(method=method)
    whole = reconstruct(rows.lazy(), US_101, parameters).collect()
    parts = [
        reconstruct(part.lazy(), US_101, parameters).collect()
        for part in rows.partition_by("vehicle_id", maintain_order=True)
    ]
    assert pl.concat(parts).equals(whole)
    filters = pipeline(US_101, parameters)
    for threads in (1, 2, 5):
        assert filters.apply(rows, threads).equals(whole)


# filters by themselves


def test_filters_join_and_can_be_looked_at() -> None:
    joined = Dedupe() | Outliers(sigmas=6.0) | (Impute() | Smooth(MovingAverage()))
    assert [step.name for step in joined.steps] == ["dedupe", "outliers", "impute", "smooth"]
    assert joined.describe()["steps"][1]["sigmas"] == 6.0
    assert joined.describe()["steps"][3]["method"]["label"] == "moving_average"
    rows = _several(3)
    by_hand = rows
    for step in joined.steps:
        by_hand = step.apply(by_hand)
    assert joined(rows.lazy()).collect().equals(by_hand)
    assert (
        Pipeline(joined.steps[:2])(rows.lazy()).collect_schema()["state"] == by_hand.schema["state"]
    )


@pytest.mark.parametrize("step", [Dedupe(), Outliers(), Impute(), Smooth()])
def test_each_filter_works_alone_and_says_what_it_returns(step: Dedupe) -> None:
    rows = _several(8).with_columns(lane_id=pl.lit(2))
    made = step(rows.lazy())
    out = made.collect()
    assert dict(made.collect_schema()) == dict(out.schema)
    assert set(rows.columns) <= set(out.columns)


def test_dedupe_leaves_one_point_per_frame() -> None:
    rows = driven.narrow(1, np.arange(5.0))
    twice = pl.concat([rows, rows.with_columns(pl.col("y_position") + 1.0)])
    out = Dedupe()(twice.sample(fraction=1.0, shuffle=True, seed=3).lazy()).collect()
    assert out.sort("frame").equals(rows)


def test_outliers_are_taken_out_and_marked() -> None:
    y = driven.stop_and_go(200, 1)
    y[77] += 5.0
    out = Outliers()(driven.narrow(1, y).lazy()).collect()
    assert out["y_position"].null_count() == 1
    assert out.row(77, named=True) | {"x_raw": 3.0} == {
        "vehicle_id": 1,
        "frame": 177,
        "x_position": None,
        "y_position": None,
        "x_raw": 3.0,
        "y_raw": y[77],
        "state": "repaired",
    }


def test_impute_draws_straight_lines() -> None:
    rows = driven.narrow(1, 2.0 * np.arange(30.0)).filter(~pl.col("frame").is_between(105, 110))
    out = Impute()(rows.with_columns(lane_id=pl.lit(4)).lazy()).collect()
    np.testing.assert_allclose(out["y_position"].to_numpy(), 2.0 * np.arange(30.0))
    assert out.filter(pl.col("state") == "imputed")["frame"].to_list() == list(range(105, 111))
    assert out["lane_id"].null_count() == 6


# accuracy


@pytest.mark.parametrize(
    ("white", "drift", "seconds"), [(0.2, 0.0, 1.0), (0.05, 0.15, 0.5), (0.02, 0.25, 1.5)]
)
def test_errors_shrink_whatever_their_colour(white: float, drift: float, seconds: float) -> None:
    """Against differences of the positions, and better than averaging with fixed widths."""
    random = np.random.default_rng(1)
    truth = [driven.stop_and_go(600, seed, stops=seed % 2 == 0) for seed in range(12)]
    rows = pl.concat(
        driven.narrow(
            i, y + white * random.standard_normal(600) + driven.drifting(600, i, drift, seconds)
        )
        for i, y in enumerate(truth)
    )
    speed = np.concatenate([driven.speed_of(y) for y in truth])
    acceleration = np.concatenate([driven.acceleration_of(y) for y in truth])
    y = np.split(rows["y_position"].to_numpy(), len(truth))
    raw_speed = _rms(np.concatenate([driven.speed_of(part) for part in y]) - speed)
    raw_rate = _rms(np.concatenate([driven.acceleration_of(part) for part in y]) - acceleration)

    def errors(out: pl.DataFrame) -> tuple[float, float]:
        return (
            _rms(out["velocity_y"].to_numpy() - speed),
            _rms(out["acceleration_y"].to_numpy() - acceleration),
        )

    cleaned = errors(_collected(rows))
    averaged = errors(_collected(rows, method=MovingAverage()))
    assert cleaned[0] < 0.4 * raw_speed
    assert cleaned[1] < 0.05 * raw_rate
    assert cleaned[0] < averaged[0]
    assert cleaned[1] < averaged[1]


def test_a_simulated_recording_meets_the_accuracy_wanted() -> None:
    """NGSIM's own kind of error: half the error of delivered speeds, 15 % of accelerations."""
    made = simulate(Scenario(minutes=1.0, congestion="congested", noise="ngsim", seed=4))
    delivered, truth = made.recording, made.truth
    foot = 0.3048
    rows = delivered.select(
        "vehicle_id",
        frame="frame_id",
        x_position=pl.col("local_x") * foot / 1000,
        y_position=pl.col("local_y") * foot / 1000,
        speed=pl.col("v_vel") * foot / 100,
        acceleration=pl.col("v_acc") * foot / 100,
    )
    jerk = rows.select(pl.col("acceleration").diff().over("vehicle_id") / 0.1).to_series()
    assert 0.1 < (jerk.drop_nulls().abs() > 15.0).mean() < 0.25  # type: ignore[operator]
    out = _collected(rows)
    for ours, theirs, share in (
        ("velocity_y", "speed", 0.5),
        ("acceleration_y", "acceleration", 0.15),
    ):
        actual = truth[theirs].to_numpy()
        raw = _rms(rows[theirs].to_numpy() - actual)
        assert _rms(out[ours].to_numpy() - actual) < share * raw
    assert (out["state"] == "repaired").mean() < 0.001  # type: ignore[operator]


# the rest of the columns


def test_cleaned_points_have_the_columns_of_the_table() -> None:
    rows = driven.points(_several(2))
    out = clean(rows.lazy(), US_101).collect()
    expected = dict(CLEANED_TRAJECTORIES.schema)
    assert list(out.columns) == list(expected)
    different = {k: v for k, v in out.schema.items() if v != expected[k]}
    assert list(different) == ["state"]  # an Enum: the storage takes it for a String
    again = complete(
        reconstruct(rows.lazy(), US_101),
        rows.sample(fraction=1.0, shuffle=True).lazy(),
        None,
        US_101,
    ).collect()
    assert again.equals(out)


def test_imputed_points_take_over_what_is_nearest() -> None:
    rows = driven.points(
        driven.narrow(1, np.arange(20.0)),
        lane_id=pl.when(pl.col("frame") < 110).then(2).otherwise(3),
        source_row=pl.col("frame"),
    ).filter(~pl.col("frame").is_between(108, 112))
    out = clean(rows.lazy(), US_101).collect()
    lost = out.filter(pl.col("frame").is_between(108, 112))
    assert lost["lane_id"].to_list() == [2, 2, 2, 3, 3]
    assert lost["source_row"].null_count() == lost["source_file"].null_count() == 5
    assert lost["x_raw"].null_count() == 5
    assert set(lost["trajectory_id"]) == {"id-1"}
    step = out["timestamp"].diff().drop_nulls().unique()
    assert step.dt.total_milliseconds().to_list() == [100]
    np.testing.assert_allclose(np.diff(out["longitude"].to_numpy()), 1e-5, atol=1e-12)
    seen = out.filter(pl.col("state") == "observed")
    assert seen["source_row"].to_list() == seen["frame"].to_list()


def test_headways_are_those_of_reconstructed_positions() -> None:
    ahead = driven.stop_and_go(200, 3) + 40.0
    behind = driven.stop_and_go(200, 3)
    rows = pl.concat(
        [
            driven.points(driven.narrow(7, ahead), space_headway=99.0),
            driven.points(driven.narrow(9, behind, first=150), preceding_id=7, space_headway=99.0),
            driven.points(driven.narrow(11, behind), preceding_id=12345),
        ]
    )
    out = clean(rows.lazy(), US_101).collect()
    assert out.filter(pl.col("vehicle_id") != 9)["space_headway"].null_count() == 400
    own = out.filter(pl.col("vehicle_id") == 9)
    other = out.filter(pl.col("vehicle_id") == 7)
    both = own.join(other, on="frame", how="left", suffix="_ahead")
    expected = both["y_position_ahead"] - both["y_position"]
    assert both["space_headway"].equals(expected, check_names=False, null_equal=True)
    assert own["space_headway"].null_count() == 50
    moving = own.filter(pl.col("speed") >= 0.1)
    assert (own.filter(pl.col("speed") < 0.1)["time_headway"].is_null()).all()
    ratio = moving["space_headway"] / moving["speed"]
    assert moving["time_headway"].equals(ratio, check_names=False, null_equal=True)

    # the same, the leader being in another chunk
    part = rows.filter(pl.col("vehicle_id") == 9).lazy()
    leaders = out.lazy().select("vehicle_id", "frame", "y_position")
    assert complete(reconstruct(part, US_101), part, leaders, US_101).collect().equals(own)


def test_against_the_axis_the_leader_is_at_smaller_y() -> None:
    y = 300.0 - driven.stop_and_go(100, 8, stops=False)
    rows = pl.concat(
        [
            driven.points(driven.narrow(1, y - 25.0), PEACHTREE),
            driven.points(driven.narrow(2, y), PEACHTREE, preceding_id=1),
        ]
    )
    out = clean(rows.lazy(), PEACHTREE).collect().filter(pl.col("vehicle_id") == 2)
    np.testing.assert_allclose(out["space_headway"].to_numpy(), 25.0, atol=1e-3)


def test_a_leader_that_is_behind_has_no_headway() -> None:
    y = driven.stop_and_go(100, 8, stops=False)
    rows = pl.concat(
        [
            driven.points(driven.narrow(1, y), US_101),
            driven.points(driven.narrow(2, y + 200.0), US_101, preceding_id=1),
        ]
    )
    out = clean(rows.lazy(), US_101).collect().filter(pl.col("vehicle_id") == 2)
    assert (out["preceding_id"] == 1).all(), "what was delivered is kept"
    assert out.select("space_headway", "time_headway").null_count().row(0) == (100, 100)


def test_points_without_their_vehicle_are_refused() -> None:
    rows = driven.points(driven.narrow(1, np.arange(9.0)))
    other = reconstruct(driven.narrow(2, np.arange(9.0)).lazy(), US_101)
    with pytest.raises(ValueError, match="missing among the points"):
        complete(other, rows.lazy(), None, US_101)


def test_a_vehicle_has_one_size() -> None:
    odd = pl.col("frame").is_between(110, 112)
    rows = driven.points(
        driven.narrow(1, np.arange(30.0)).filter(pl.col("frame") != 111),
        length=pl.when(odd).then(9.0).otherwise(4.5),
        width=pl.lit(None, pl.Float64),
    )
    out = clean(rows.lazy(), US_101).collect()
    assert out["length"].to_list() == [4.5] * 30
    assert out["width"].null_count() == 30


# real excerpts


def test_real_excerpts_become_plausible(real_data: object) -> None:
    """Figures of the independent re-extraction of I-80 (Coifman & Li 2017) as the yardstick:
    no jerk over 15 m/s³, acceleration over 3 m/s² in 0.05 % of samples, deviation 0.58 m/s²."""
    rows = pl.read_csv(f"{real_data}/ngsim/us101_i80_excerpt_feet.csv")
    foot = 0.3048
    for _, part in rows.group_by("Location", pl.col("Global_Time") - 100 * pl.col("Frame_ID")):
        points = part.select(
            vehicle_id=pl.col("Vehicle_ID").cast(pl.Int32),
            frame=pl.col("Frame_ID").cast(pl.Int32),
            x_position=pl.col("Local_X") * foot,
            y_position=pl.col("Local_Y") * foot,
        )
        out = _collected(points)
        assert out["velocity_y"].min() >= 0.0  # type: ignore[operator]
        assert out["jerk"].abs().max() < 15.0  # type: ignore[operator]
        assert (out["acceleration_y"].abs() > 3.0).mean() < 0.005  # type: ignore[operator]
        assert 0.3 < out["acceleration_y"].std() < 0.9  # type: ignore[operator]
        rest = (out["y_raw"] - out["y_position"]).drop_nulls().to_numpy()
        assert abs(rest.mean()) < 0.05
        assert math.sqrt(float((rest**2).mean())) < 0.5


def test_a_tracker_that_sways_where_a_vehicle_creeps_is_not_followed(real_data: object) -> None:
    """Vehicle 535 of peachtree: 0.1 m across once a second was 1.4 m/s² and 20 m/s³."""
    rows = pl.read_csv(
        f"{real_data}/ngsim/peachtree_socrata_export_10000_rows.csv", infer_schema=False
    ).with_columns(pl.col("Global_Time", "Frame_ID", "Vehicle_ID").cast(pl.Int64))
    recording = pl.col("Global_Time") - 100 * pl.col("Frame_ID")
    track = rows.filter(recording == 1163018600, pl.col("Vehicle_ID") == 535)
    points = track.select(
        vehicle_id=pl.col("Vehicle_ID").cast(pl.Int32),
        frame=pl.col("Frame_ID").cast(pl.Int32),
        x_position=pl.col("Local_X").cast(pl.Float64) * 0.3048,
        y_position=pl.col("Local_Y").cast(pl.Float64) * 0.3048,
    )
    out = reconstruct(points.lazy(), PEACHTREE).collect()
    assert out["acceleration_x"].abs().max() < 0.5  # type: ignore[operator]
    assert (out["acceleration"].diff().abs().max() or 0.0) / 0.1 < 5.0  # type: ignore[operator]
