"""Waves of known speed are found again, and where there are none, none are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ngsim_assets.highway.flow.waves import WAVE_GRID, wave_speed
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.traffic import traffic_state
from ngsim_assets_tests.highway import driven, newell


def _state(points: pl.DataFrame, duration: float = 5.0, length: float = 20.0) -> pl.DataFrame:
    return traffic_state(points.lazy(), duration=duration, cell_length=length).collect()


def _congested(wave: float, **options: float) -> pl.DataFrame:
    leader = newell.stop_and_go_leader(600.0, 14.0, seed=3)
    return newell.traffic(leader, wave=wave, spacing=7.0, **options)


@pytest.mark.parametrize("wave", [3.0, 4.0, 5.5, 7.0])
def test_waves_of_newell_traffic_are_found_within_a_twentieth(wave: float) -> None:
    found = wave_speed(_state(_congested(wave)))
    assert found.reason == ""
    assert found.speed == pytest.approx(-wave, rel=0.05)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.speed <= found.high < 0.0


@pytest.mark.parametrize(("duration", "length"), [(1.0, 5.0), (10.0, 25.0), (15.0, 50.0)])
def test_the_grid_hardly_matters(duration: float, length: float) -> None:
    found = wave_speed(_state(_congested(4.0), duration, length))
    assert found.speed == pytest.approx(-4.0, rel=0.05)
    assert found.duration <= max(duration, WAVE_GRID["duration"])


def test_noise_of_positions_hardly_matters() -> None:
    found = wave_speed(_state(_congested(4.5, noise=1.0)))
    assert found.speed == pytest.approx(-4.5, rel=0.05)


def test_free_traffic_has_no_waves() -> None:
    steady = newell.traffic(np.arange(300.0) * 25.0, wave=4.5, spacing=7.0, noise=0.3)
    found = wave_speed(_state(steady))
    assert (found.speed, found.low, found.high) == (None, None, None)
    assert "against" in found.reason


def test_patterns_that_drive_along_are_no_waves() -> None:
    """Fast and slow vehicles on a free road: speeds travel with those who drive them."""
    random = np.random.default_rng(2)
    parts = []
    for vehicle in range(1, 200):
        y = random.uniform(18.0, 30.0) * np.arange(0.0, 40.0)
        parts.append(driven.narrow(vehicle, y[y < 600.0], first=0))
        parts[-1] = parts[-1].with_columns(
            frame=pl.int_range(pl.len(), dtype=pl.Int32) * 10 + 30 * vehicle
        )
    found = wave_speed(_state(driven.points(pl.concat(parts))))
    assert found.speed is None
    assert found.reason


def test_simulated_congestion_has_waves_and_simulated_free_flow_none() -> None:
    for congestion, wavy in (("congested", True), ("free", False)):
        simulation = simulate(Scenario(minutes=5.0, congestion=congestion))
        rows = simulation.truth.rename({"frame_id": "frame"}).filter(pl.col("lane_id") <= 5)
        found = wave_speed(_state(driven.points(rows, lane_id=pl.col("lane_id"))))
        assert (found.speed is not None) is wavy
        # FlowState read 10.6 to 19.0 km/h off us-101
        assert not wavy or -20.0 / 3.6 < found.speed < -9.0 / 3.6  # type: ignore[operator]


def test_both_directions_of_an_arterial_show_the_same_waves() -> None:
    """Traffic that goes down the positions is looked at the other way round."""
    northbound = _congested(4.0).with_columns(direction=pl.lit(2, dtype=pl.Int32))
    southbound = northbound.with_columns(
        pl.col("vehicle_id") + 100_000,
        y_position=600.0 - pl.col("y_position"),
        direction=pl.lit(4, dtype=pl.Int32),
    )
    one, both = (
        wave_speed(_state(points)) for points in (southbound, pl.concat([northbound, southbound]))
    )
    assert one.speed == pytest.approx(-4.0, rel=0.05)
    assert both.speed == pytest.approx(-4.0, rel=0.05)
    crossing = northbound.with_columns(direction=pl.lit(1, dtype=pl.Int32))
    assert wave_speed(_state(crossing)).reason == "nobody drove along the section"


def test_what_cannot_show_waves_says_why() -> None:
    points = _congested(4.0)
    assert wave_speed(_state(points).clear()).speed is None
    coarse = wave_speed(_state(points, duration=60.0))
    assert "longer than 30 s" in coarse.reason
    short = points.filter(pl.col("y_position") < 100.0)
    assert "less than 120 m" in wave_speed(_state(short)).reason
    brief = points.filter(pl.col("frame") < 300)
    assert wave_speed(_state(brief)).reason == "the recording is too short"
    standing = driven.points(driven.narrow(1, np.full(3000, 40.0)))
    assert wave_speed(_state(standing)).speed is None


def test_recordings_are_taken_together_without_mixing() -> None:
    first = _congested(4.0)
    later = first.with_columns(
        pl.col("timestamp") + pl.duration(days=30), recording=pl.lit("2005-07-15T0750")
    )
    alone, together = (wave_speed(_state(rows)) for rows in (first, pl.concat([first, later])))
    assert together.speed == pytest.approx(alone.speed, rel=1e-6)
