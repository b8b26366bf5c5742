"""Edie's definitions: known traffic gives known figures, and nothing is lost at borders."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.clean import clean
from ngsim_assets.highway.model import TRAFFIC_STATE
from ngsim_assets.highway.observed import LEAST_LENGTH, LEAST_SHARE
from ngsim_assets.highway.sites import US_101
from ngsim_assets.highway.traffic import (
    GridTooFine,
    NoSuchCell,
    accumulate,
    merge,
    traffic_state,
)
from ngsim_assets_tests.highway import driven

seeds = st.integers(0, 2**31)


def _platoon(vehicles: int, spacing: float, speed: float, frames: int) -> pl.DataFrame:
    """Vehicles `spacing` m apart at constant speed, in lane 2."""
    travelled = speed * 0.1 * np.arange(frames)
    return driven.points(
        pl.concat(driven.narrow(i + 1, travelled - spacing * i, first=0) for i in range(vehicles)),
        lane_id=2,
    )


def _random(seed: int, vehicles: int = 5, *, arterial: bool = False) -> pl.DataFrame:
    """Vehicles that go anywhere, either way, change lanes, and are not always seen."""
    random = np.random.default_rng(seed)
    parts = []
    for vehicle in range(1, vehicles + 1):
        frames = int(random.integers(1, 120))
        way = np.cumsum(random.normal(random.uniform(-2.0, 2.0), 1.0, frames))
        rows = driven.narrow(
            vehicle, random.uniform(-50, 50) + way, first=int(random.integers(0, 600))
        )
        seen = pl.Series(random.random(frames) < 0.9)
        parts.append(rows.filter(seen) if seen.any() else rows)
    rows = pl.concat(parts)
    lanes = pl.Series(random.integers(1, 4, rows.height) * (random.random(rows.height) < 0.95))
    directions = pl.Series(random.integers(0, 3, rows.height) if arterial else [0] * rows.height)
    return driven.points(rows).with_columns(
        lanes.cast(pl.Int32).replace(0, None).alias("lane_id"),
        directions.cast(pl.Int32).replace(0, None).alias("direction"),
    )


def _pieces(points: pl.DataFrame, gap: float = 2.0) -> tuple[float, float]:
    """Distance and time of all pieces: what every vehicle went on balance in each direction."""
    steps = points.select(
        "vehicle_id",
        direction=pl.col("direction").shift().over("vehicle_id"),
        way=pl.col("y_position").diff().over("vehicle_id"),
        time=pl.col("timestamp").diff().over("vehicle_id").dt.total_microseconds() / 1e6,
    ).filter(pl.col("time") <= gap)
    net = steps.group_by("vehicle_id", "direction").agg(pl.col("way").sum().abs())
    return net["way"].sum(), steps["time"].sum()


def test_a_platoon_has_the_flow_and_density_of_its_spacing() -> None:
    """12 m/s at 24 m: 1800 veh/h and 41.7 veh/km in every cell it fills."""
    state = traffic_state(_platoon(120, 24.0, 12.0, 1500).lazy()).collect()
    assert dict(state.schema) == dict(TRAFFIC_STATE.schema)
    # where the platoon is all of the time: behind its head, before its tail
    full = state.filter(
        (pl.col("y_start") >= 0)
        & (pl.col("y_start") <= 300)
        & pl.col("time_start").is_between(
            datetime(2005, 6, 15, 14, 51, tzinfo=UTC), datetime(2005, 6, 15, 14, 51, 30, tzinfo=UTC)
        )
    )
    assert full.height == 14
    np.testing.assert_allclose(full["speed"].to_numpy(), 12.0)
    # to within the one vehicle that a cell's borders may cut off
    np.testing.assert_allclose(full["flow"].to_numpy(), 1800.0, rtol=0.04)
    np.testing.assert_allclose(full["density"].to_numpy(), 1000.0 / 24.0, rtol=0.04)
    assert full["flow"].mean() == pytest.approx(1800.0, rel=0.005)


def test_one_vehicle_in_one_cell_is_exact() -> None:
    rows = driven.points(driven.narrow(1, 10.0 + 0.25 * np.arange(101), first=10))
    state = traffic_state(rows.lazy(), duration=60.0, cell_length=100.0).collect()
    assert state.height == 1
    row = state.row(0, named=True)
    assert (row["distance_travelled"], row["time_spent"], row["vehicles"]) == (25.0, 10.0, 1)
    # a cell of 60 s x 100 m, observed for the 10 s the recording lasts
    assert row["observed_share"] == pytest.approx(1.0 / 6.0)
    assert row["flow"] == pytest.approx(25.0 / 1000.0 * 3600.0)
    assert row["density"] == pytest.approx(10.0 / 1000.0 * 1000.0)
    assert row["speed"] == 2.5


def test_a_piece_is_split_where_it_crosses_borders() -> None:
    """From 45 to 55 m in one second, across a border in time after 0.4 s."""
    rows = driven.points(
        driven.narrow(1, np.array([45.0, 55.0])).with_columns(
            frame=pl.Series([296, 306], dtype=pl.Int32)
        )
    )
    state = traffic_state(rows.lazy()).collect()
    shares = state.select(
        pl.col("time_start").dt.second(), "y_start", "distance_travelled", "time_spent"
    )
    assert [tuple(round(x, 9) for x in row) for row in shares.rows()] == [
        (0, 0.0, 4.0, 0.4),
        (0, 50.0, 0.0, 0.0),
        (30, 0.0, 1.0, 0.1),
        (30, 50.0, 5.0, 0.5),
    ]


def test_the_lane_of_a_piece_is_that_of_its_start() -> None:
    rows = driven.points(driven.narrow(1, np.arange(4.0)), lane_id=pl.col("frame") - 99)
    state = traffic_state(rows.lazy()).collect()
    assert dict(state.select("lane_id", "distance_travelled").rows()) == {1: 1.0, 2: 1.0, 3: 1.0}


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(0.3, 60.0), st.floats(0.7, 200.0), st.booleans())
def test_nothing_is_lost_and_speed_is_flow_over_density(
    seed: int, duration: float, length: float, arterial: bool
) -> None:
    points = _random(seed, arterial=arterial)
    state = traffic_state(points.lazy(), duration=round(duration, 3), cell_length=length).collect()
    way, time = _pieces(points)
    assert state["distance_travelled"].sum() == pytest.approx(way, abs=1e-6)
    assert state["time_spent"].sum() == pytest.approx(time, abs=1e-9)
    seen = state.filter(pl.col("time_spent") > 0)
    np.testing.assert_allclose(
        (seen["flow"] / 3600.0).to_numpy(),
        (seen["density"] / 1000.0 * seen["speed"]).to_numpy(),
        rtol=1e-9,
        atol=1e-12,
    )
    assert (
        state.filter(pl.col("time_spent") == 0)["speed"].null_count() == state.height - seen.height
    )
    assert (seen["vehicles"] > 0).all()


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(0.5, 90.0), st.floats(0.5, 300.0), st.booleans())
def test_cells_hold_every_unit_of_every_trajectory(
    seed: int, duration: float, length: float, arterial: bool
) -> None:
    """To the nanosecond and to the 2^-30 m: not a rounding error is lost at any border."""
    points = _random(seed, vehicles=3, arterial=arterial)
    sums = accumulate(points.lazy(), duration=round(duration, 6), cell_length=length).collect()
    distance, time = 0, 0
    for vehicle in points.partition_by("vehicle_id"):
        net: dict[int | None, float] = {}
        units: dict[int | None, int] = {}
        rows = vehicle.select("timestamp", "y_position", "direction").rows()
        for (t0, y0, direction), (t1, y1, _) in itertools.pairwise(rows):
            if (t1 - t0).total_seconds() > 2.0:
                continue
            size = math.floor(abs(y1 - y0) * 2.0**30 + 0.5)
            net[direction] = net.get(direction, 0.0) + (y1 - y0)
            units[direction] = units.get(direction, 0) + (size if y1 > y0 else -size)
            time += round((t1 - t0).total_seconds() * 1e6) * 1000
        distance += sum(-units[way] if net[way] < 0.0 else units[way] for way in units)
    assert sums["distance_units"].sum() == distance
    assert sums["nanoseconds"].sum() == time


@settings(max_examples=30, deadline=None)
@given(seeds, st.booleans())
def test_parts_add_up_to_the_whole_and_order_does_not_matter(seed: int, arterial: bool) -> None:
    points = _random(seed, arterial=arterial)
    whole = traffic_state(points.lazy()).collect()
    shuffled = points.sample(fraction=1.0, shuffle=True, seed=seed)
    assert traffic_state(shuffled.lazy()).collect().equals(whole)
    parts = [accumulate(part.lazy()) for part in points.partition_by("vehicle_id")]
    assert merge(parts).collect().equals(whole)


def test_rows_of_one_moment_may_come_in_any_order() -> None:
    points = _random(5)
    twice = pl.concat([points, points.with_columns(pl.col("y_position") + 0.5)])
    whole = traffic_state(twice.lazy()).collect()
    for seed in range(3):
        shuffled = twice.sample(fraction=1.0, shuffle=True, seed=seed)
        assert traffic_state(shuffled.lazy()).collect().equals(whole)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_directions_do_not_share_cells(seed: int) -> None:
    points = _random(seed, arterial=True)
    state = traffic_state(points.lazy()).collect()
    place = ("lane_id", "direction", "time_start", "y_start")
    assert state.select(place).n_unique() == state.height
    for direction in (None, 1, 2):
        of_one = pl.col("direction").eq_missing(direction)
        seen = state.filter(of_one, pl.col("time_spent") > 0)
        assert seen.height <= state.filter(of_one).height
        assert seen.is_empty() or points.filter(of_one).height > 0
    assert state.select(place).equals(state.select(place).sort(place))


def test_traffic_both_ways_does_not_cancel() -> None:
    up = driven.points(driven.narrow(1, 10.0 + np.arange(30.0)), direction=2)
    down = driven.points(driven.narrow(2, 40.0 - np.arange(30.0)), direction=4)
    state = traffic_state(pl.concat([up, down]).lazy()).collect()
    assert dict(state.select("direction", "distance_travelled").rows()) == {2: 29.0, 4: 29.0}
    assert (state["speed"] == 10.0).all()


def test_noise_of_standing_vehicles_is_no_flow() -> None:
    """A queue that stands, measured with 0.3 m of noise, stands."""
    random = np.random.default_rng(3)
    queue = driven.points(
        pl.concat(
            driven.narrow(i + 1, 45.0 - 7.0 * i + 0.3 * random.standard_normal(600))
            for i in range(6)
        )
    )
    state = traffic_state(queue.lazy()).collect()
    assert abs(state["distance_travelled"].sum()) < 6 * 2.0
    fine = traffic_state(queue.lazy(), duration=5.0, cell_length=1.0).collect()
    assert (fine["flow"] < 0.0).any()
    assert fine["distance_travelled"].sum() == pytest.approx(state["distance_travelled"].sum())


def test_the_first_and_the_last_cells_have_the_flow_of_the_traffic() -> None:
    """Observed from 14:51:50 to 14:53:25, from 20 to 220 m: 30 s x 50 m cells begin within."""
    seen = (
        (pl.col("y_position") >= 20.0)
        & (pl.col("y_position") <= 220.0)
        & pl.col("frame").is_between(1100, 2050)
    )
    points = _platoon(210, 12.0, 12.0, 3000).filter(seen)
    state = traffic_state(points.lazy()).collect()
    assert (state["observed_share"] < 1.0).sum() > 10
    # 10 s of 30, 20 m of 50
    assert state["observed_share"].min() == pytest.approx(1.0 / 3.0 * 0.4, rel=0.03)
    # vehicles are 12 m apart: one more or less is seen in 20 m
    np.testing.assert_allclose(state["flow"], 3600.0, rtol=0.1)
    np.testing.assert_allclose(state["density"], 1000.0 / 12.0, rtol=0.1)
    whole = state.select(
        pl.col("time_spent").sum()
        / (pl.col("duration") * pl.col("cell_length") * pl.col("observed_share")).sum()
    ).item()
    assert 1000.0 * whole == pytest.approx(1000.0 / 12.0, rel=0.01)


@pytest.mark.parametrize("direction", [None, 2])
def test_places_are_observed_from_the_first_vehicle_on(direction: int | None) -> None:
    """Vehicles 12 m apart, each followed from 0 to 600 m: the last place sees them 50 s later."""
    points = _platoon(240, 12.0, 12.0, 3000).filter(pl.col("y_position").is_between(0.0, 599.9))
    points = points.with_columns(direction=pl.lit(direction, dtype=pl.Int32))
    state = traffic_state(points.lazy()).collect()
    unseen = state.filter(pl.col("observed_share") < 0.01)
    if direction is not None:  # a signal may have held them back
        assert unseen.is_empty()
        return
    assert unseen.height > 2
    assert unseen["observed_share"].min() == LEAST_SHARE  # less would be stored as 0
    assert (unseen["flow"] == 0.0).all()
    told = state.filter(pl.col("observed_share") > 0.5)
    assert told.height > 0.75 * state.height
    # but for two cells that are empty for less than five headways, which may happen
    assert ((told["flow"] / 3600.0 - 1.0).abs() > 0.15).sum() <= 2
    assert told["flow"].mean() == pytest.approx(3600.0, rel=0.02)
    parts = [accumulate(part.lazy()) for part in points.partition_by("vehicle_id")]
    assert merge(parts).collect().equals(state)


def test_a_border_within_a_cell_is_not_believed_too_much() -> None:
    """One vehicle standing a millimetre over a border makes no jam of a million a km."""
    standing = driven.points(driven.narrow(1, np.full(600, 50.001)))
    driving = driven.points(driven.narrow(2, np.linspace(0.0, 50.0, 600)))
    state = traffic_state(pl.concat([standing, driving]).lazy()).collect()
    throughout = state.filter(pl.col("time_start").dt.second() == 30)
    assert throughout["observed_share"].to_list() == pytest.approx([1.0, LEAST_LENGTH / 50.0])
    assert throughout["density"].to_list() == pytest.approx([20.0, 1000.0 / LEAST_LENGTH])
    alone = traffic_state(standing.lazy()).collect()
    assert alone["density"].to_list() == pytest.approx([20.0] * alone.height)


def test_empty_cells_between_seen_ones_are_zero() -> None:
    rows = pl.concat(
        [
            driven.points(driven.narrow(1, 5.0 + np.arange(10.0)), lane_id=1),
            driven.points(driven.narrow(2, 205.0 + np.arange(10.0), first=700), lane_id=3),
        ]
    )
    state = traffic_state(rows.lazy()).collect()
    assert state.select("lane_id", "time_start", "y_start").n_unique() == state.height == 2 * 3 * 5
    empty = state.filter(pl.col("vehicles") == 0)
    assert empty.height == 28
    assert (empty["flow"] == 0).all()
    assert (empty["density"] == 0).all()
    assert empty["speed"].null_count() == 28


def test_cells_start_at_multiples() -> None:
    state = traffic_state(_random(4).lazy(), duration=20.0, cell_length=30.0).collect()
    assert (state["time_start"].dt.epoch("s") % 20 == 0).all()
    assert (state["y_start"] % 30.0 == 0.0).all()
    assert (state["duration"] == 20.0).all()
    assert (state["cell_length"] == 30.0).all()


def test_long_gaps_are_not_driven_through() -> None:
    rows = driven.points(driven.narrow(1, np.arange(100.0))).filter(
        ~pl.col("frame").is_between(130, 160)
    )
    assert traffic_state(rows.lazy()).collect()["distance_travelled"].sum() == pytest.approx(67.0)
    joined = traffic_state(rows.lazy(), gap=5.0).collect()
    assert joined["distance_travelled"].sum() == pytest.approx(99.0)


def test_recordings_are_kept_apart() -> None:
    rows = _random(2)
    other = rows.with_columns(recording=pl.lit("2005-06-15T0805"))
    both = traffic_state(pl.concat([rows, other]).lazy()).collect()
    alone = traffic_state(rows.lazy()).collect()
    assert both.filter(pl.col("recording") != "2005-06-15T0805").equals(alone)
    assert both.height == 2 * alone.height


def test_nothing_and_nearly_nothing() -> None:
    points = _random(1)
    empty = traffic_state(points.clear().lazy()).collect()
    assert empty.height == 0
    assert dict(empty.schema) == dict(TRAFFIC_STATE.schema)
    assert traffic_state(points.head(1).lazy()).collect().height == 0


def test_a_grid_over_all_memory_is_refused() -> None:
    with pytest.raises(GridTooFine, match="longer duration"):
        traffic_state(_random(1).lazy(), duration=0.001, cell_length=0.001).collect()


@pytest.mark.parametrize(
    ("duration", "length"), [(0.0, 50.0), (-1.0, 50.0), (30.0, 0.0), (math.nan, 50.0), (30.0, 1e-9)]
)
def test_cells_without_extent_are_refused(duration: float, length: float) -> None:
    with pytest.raises(NoSuchCell, match="at least"):
        traffic_state(_random(1).lazy(), duration=duration, cell_length=length)


def test_one_cell_can_hold_a_whole_recording() -> None:
    points = _platoon(20, 24.0, 12.0, 300)
    state = traffic_state(points.lazy(), duration=86_400.0, cell_length=1e6).collect()
    assert state.height == 2  # positions on both sides of 0
    assert state["time_spent"].sum() == pytest.approx(20 * 29.9)
    assert (state["vehicles"] > 0).all()


def test_cleaned_points_give_the_traffic_of_the_validated_ones() -> None:
    random = np.random.default_rng(1)
    rows = _platoon(30, 24.0, 12.0, 600).with_columns(
        pl.col("y_position") + pl.Series(0.2 * random.standard_normal(30 * 600))
    )
    before = traffic_state(rows.lazy()).collect()
    after = traffic_state(clean(rows.lazy(), US_101)).collect()
    for summed in ("distance_travelled", "time_spent"):
        assert after[summed].sum() == pytest.approx(before[summed].sum(), rel=2e-3)
    both = before.join(after, on=["lane_id", "time_start", "y_start"], suffix="_after")
    full = both.filter(pl.col("vehicles") >= 10)
    assert full.height > 10
    np.testing.assert_allclose(
        full["density_after"].to_numpy(), full["density"].to_numpy(), rtol=0.02
    )
    assert math.isclose(float(full["speed_after"].mean()), 12.0, rel_tol=0.005)  # type: ignore[arg-type]
