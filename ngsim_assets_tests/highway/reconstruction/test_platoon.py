"""Followers and leaders: who overlaps comes apart as a vehicle drives, who does not stays."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.clean import move, take_apart
from ngsim_assets.highway.reconstruction.filters import STATE, with_motion
from ngsim_assets.highway.reconstruction.platoon import Separate
from ngsim_assets.highway.reconstruction.smoothing import MotionLimits
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.error_model import Noise
from ngsim_assets.highway.sites import US_101
from ngsim_assets_tests.highway import driven

FOOT = 0.3048
LENGTH = 4.5
ONE_WAY = Separate(limits=MotionLimits(one_way=True))


def _column(offsets: list[float], y: np.ndarray, **columns: object) -> pl.DataFrame:
    """Vehicle k drives `y` + offsets[k], vehicle k + 1 is ahead of it; all on the stored grid."""
    grid = 2.0**-17
    rows = pl.concat(
        driven.narrow(k, np.round((y + offset) / grid) * grid)
        for k, offset in enumerate(offsets, start=1)
    )
    values: dict[str, object] = {
        "preceding_id": pl.when(pl.col("vehicle_id") < len(offsets)).then(pl.col("vehicle_id") + 1),
        "length": LENGTH,
        "width": 1.8,
        "lane_id": 2,
        "state": pl.lit("observed", STATE),
        "y_raw": pl.col("y_position"),
    }
    return rows.with_columns(
        (v if isinstance(v, pl.Expr) else pl.lit(v)).alias(k) for k, v in (values | columns).items()
    )


def _gaps(points: pl.DataFrame) -> np.ndarray:
    ahead = points.select("frame", preceding_id="vehicle_id", ahead="y_position")
    pairs = points.join(ahead, on=["preceding_id", "frame"], maintain_order="left")
    return (pairs["ahead"] - pairs["y_position"] - LENGTH).to_numpy()


def _bumped(depth: float, frames: int = 400) -> pl.DataFrame:
    """A follower two metres behind its leader but for three seconds, when it is into it."""
    y = driven.stop_and_go(frames, 3, stops=False)
    bump = (2.0 + depth) * np.exp(-(((np.arange(frames) - frames / 2) / 10.0) ** 2))
    rows = _column([0.0, LENGTH + 2.0], y)
    moved = pl.Series(np.concatenate([bump, np.zeros(frames)]))
    return rows.with_columns(
        pl.when(pl.col("vehicle_id") == 1)
        .then(((pl.col("y_position") + moved) / 2.0**-17).round() * 2.0**-17)
        .otherwise("y_position")
        .alias("y_position")
    )


def test_both_move_by_half_of_what_is_missing() -> None:
    rows = _bumped(0.5)
    assert _gaps(rows).min() == pytest.approx(-0.5, abs=0.01)
    (out,), moved, left = ONE_WAY.separated([rows])
    assert left == 0
    assert _gaps(out).min() > 0.0
    by = (out["y_position"] - rows["y_position"]).to_numpy()
    follower, leader = by[:400], by[400:]
    assert follower.min() == pytest.approx(-0.3, abs=0.02)
    assert leader.max() == pytest.approx(0.3, abs=0.02)
    # nothing but a little way around the overlap
    assert np.abs(by[[0, 100, 300, 399, 400, 500, 700, 799]]).max() < 0.01
    repaired = (out["state"] == "repaired").to_numpy()
    np.testing.assert_array_equal(repaired, np.abs(by) > 0.1)
    assert moved == repaired.sum()
    assert out["y_raw"].equals(rows["y_raw"])


def test_an_overlap_that_cannot_be_is_left_and_counted() -> None:
    rows = _bumped(3.0)
    (out,), moved, left = ONE_WAY.separated([rows])
    assert out.equals(rows)
    assert moved == 0
    assert left == (_gaps(rows) < 0.0).sum() > 0


def test_who_stands_in_a_queue_stands_somewhere_else() -> None:
    brake = np.concatenate([np.full(150, 8.0), np.linspace(8.0, 0.0, 50), np.zeros(150)])
    speed = np.concatenate([brake, np.linspace(0.0, 6.0, 60), np.full(150, 6.0)])
    y = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2.0) * 0.1])
    squeeze = np.minimum(1.0, y / y[250])  # comes too close while driving, stays so
    rows = _column([0.0, LENGTH + 2.0], y).with_columns(
        y_position=pl.col("y_position")
        + pl.Series(np.round(np.concatenate([2.5 * squeeze, np.zeros(len(y))]) / 2**-17) * 2**-17)
    )
    (out,), _, left = ONE_WAY.separated([rows])
    assert left == 0
    for before, after in zip(
        rows.partition_by("vehicle_id"), out.partition_by("vehicle_id"), strict=True
    ):
        still = np.diff(before["y_position"].to_numpy()) == 0.0
        steps = np.diff(after["y_position"].to_numpy())
        assert still.sum() > 100
        assert (steps[still] == 0.0).all()
        assert (steps >= 0.0).all()


def test_other_lanes_other_ways_and_vehicles_beside_are_no_overlap() -> None:
    beside = _bumped(0.5)
    ahead = pl.col("vehicle_id") == 2
    for change in (
        {"lane_id": pl.when(ahead).then(3).otherwise(2)},
        {"x_position": pl.when(ahead).then(5.0).otherwise(3.0)},
        {"length": pl.lit(None, pl.Float64)},
        {"preceding_id": pl.lit(None, pl.Int32)},
        {"preceding_id": pl.lit(77, pl.Int32)},
    ):
        rows = beside.with_columns(**change)
        assert ONE_WAY.apply(rows).equals(rows)
    # a lane nobody knows does not speak against the leader
    assert not ONE_WAY.apply(beside.with_columns(lane_id=None)).equals(
        beside.with_columns(lane_id=None)
    )
    facing = _column([0.0, 40.0], driven.stop_and_go(100, 3, stops=False)).with_columns(
        y_position=pl.when(ahead).then(60.0 - pl.col("y_position")).otherwise("y_position")
    )
    assert Separate().apply(facing).equals(facing)


def test_against_the_axis_it_is_the_same() -> None:
    rows = _bumped(0.5)
    there = Separate().apply(rows)
    back = Separate().apply(rows.with_columns(y_position=1000.0 - pl.col("y_position")))
    np.testing.assert_allclose(1000.0 - back["y_position"], there["y_position"], atol=1e-4)


def test_motion_beside_positions_is_theirs() -> None:
    rows = with_motion(_bumped(0.5), 0.1)
    out = ONE_WAY(rows.lazy()).collect()
    assert out.columns == rows.columns
    assert out.equals(with_motion(out.drop(set(rows.columns) - set(_bumped(0.5).columns)), 0.1))


def test_several_in_a_row_come_apart() -> None:
    y = driven.stop_and_go(600, 1)
    (out,), _, left = ONE_WAY.separated([_column([k * (LENGTH - 0.3) for k in range(5)], y)])
    assert left == 0
    assert _gaps(out).min() > 0.05


def test_what_is_moved_comes_nearer_to_the_truth() -> None:
    """Cameras that are off by a metre put vehicles into each other; halves are where they were."""
    noise = Noise(white=0.05, correlated=0.2, hand_over=1.0, lateral=0.1, smoothing=0.2)
    made = simulate(Scenario(minutes=1.5, congestion="congested", noise=noise, seed=5))
    seen = made.recording.select(
        "vehicle_id",
        "lane_id",
        frame="frame_id",
        x_position=pl.col("local_x") * FOOT / 1000,
        y_position=pl.col("local_y") * FOOT / 1000,
        preceding_id=pl.col("preceding").replace(0, None),
        length=pl.col("v_length") * FOOT / 100,
        width=pl.col("v_width") * FOOT / 100,
    )
    moved = move(seen, US_101)
    truth = made.truth.select(pl.col("y_position", "speed", "acceleration").name.suffix("_true"))
    (apart,), points, left = take_apart([moved], US_101)
    assert points > 100
    assert left == 0
    changed = apart["y_position"] != moved["y_position"]
    errors = []
    for rows in (moved, apart):
        both = pl.concat([with_motion(rows, 0.1), truth], how="horizontal").filter(changed)
        errors.append(
            [
                float(((both[ours] - both[f"{theirs}_true"]) ** 2).mean()) ** 0.5  # type: ignore[arg-type]
                for ours, theirs in (
                    ("y_position", "y_position"),
                    ("velocity_y", "speed"),
                    ("acceleration_y", "acceleration"),
                )
            ]
        )
    before, after = errors
    assert after[0] < 0.97 * before[0]
    assert after[1] < 1.05 * before[1]
    assert after[2] < 1.05 * before[2]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_whatever_comes_in(seed: int) -> None:
    """Motion stays within limits, nothing reverses, and order, parts and threads do not matter."""
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 7))
    offsets = np.cumsum(LENGTH + random.normal(0.4, 0.7, count))
    rows = _column(list(offsets), driven.stop_and_go(int(random.integers(1, 300)), seed % 50))
    lost = pl.Series(random.random(rows.height) < random.choice([0.0, 0.01, 0.3]))
    rows = rows.filter(~lost).with_columns(
        preceding_id=pl.when(pl.Series(random.random(rows.height) < 0.05).filter(~lost))
        .then(pl.lit(int(random.integers(1, count + 1)), pl.Int32))
        .otherwise("preceding_id")
    )
    (out,), moved, left = ONE_WAY.separated([rows])

    steps = with_motion(rows, 0.1).select("vehicle_id", "frame", y="y_position")
    after, before = with_motion(out, 0.1), with_motion(rows, 0.1)
    assert after["velocity_y"].min() >= 0.0  # type: ignore[operator]
    for column, limit in (("acceleration_y", 9.0), ("jerk", 15.0)):
        worst = max(limit, float(before[column].abs().max() or 0.0))  # type: ignore[arg-type]
        assert float(after[column].abs().max() or 0.0) <= worst + 1e-6  # type: ignore[arg-type]
    by = (out["y_position"] - steps["y"]).abs()
    assert by.max() is None or by.max() <= 2.0  # type: ignore[operator]
    assert moved == (by > 0.1).sum() == (out["state"] == "repaired").sum()
    assert left <= (_gaps(rows) < 0.0).sum()

    shuffled = ONE_WAY.apply(rows.sample(fraction=1.0, shuffle=True, seed=seed))
    assert shuffled.sort("vehicle_id", "frame").equals(out)
    parts = rows.partition_by("vehicle_id", maintain_order=True)
    for order in (parts, parts[::-1]):
        again = ONE_WAY.separated(order)
        assert pl.concat(again.parts).sort("vehicle_id", "frame").equals(out)
        assert (again.moved, again.left) == (moved, left)


def test_nothing_in_nothing_out() -> None:
    empty = _column([0.0], np.zeros(3)).clear()
    assert ONE_WAY.separated([empty, empty]).parts[0].equals(empty)
    assert ONE_WAY.apply(empty).equals(empty)
    assert ONE_WAY.separated([]).parts == []
