"""Traffic of a known triangle gives the triangle back; what it does not show stays unknown."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ngsim_assets.highway.flow.cells import coarser, main_lanes
from ngsim_assets.highway.flow.diagram import FundamentalDiagram, fundamental_diagram
from ngsim_assets.highway.flow.waves import WAVE_GRID, wave_speed
from ngsim_assets.highway.sites import I_80, US_101
from ngsim_assets.highway.traffic import traffic_state
from ngsim_assets_tests.highway import newell

FREE, WAVE, SPACING = 25.0, 4.5, 6.5


def _diagram(points: pl.DataFrame) -> FundamentalDiagram:
    wave = wave_speed(traffic_state(points.lazy(), **WAVE_GRID).collect())
    return fundamental_diagram(traffic_state(points.lazy()).collect(), wave)


@pytest.fixture(scope="module")
def congested() -> pl.DataFrame:
    leader = newell.stop_and_go_leader(900.0, 12.0, seed=1)
    return newell.traffic(leader, wave=WAVE, spacing=SPACING, noise=0.3)


@pytest.fixture(scope="module")
def sparse() -> pl.DataFrame:
    """Vehicles at their free speed, 500 veh/h: every fifth of a platoon."""
    platoon = newell.traffic(FREE * np.arange(900.0), wave=WAVE, spacing=SPACING)
    return platoon.filter(pl.col("vehicle_id") % 4 == 0)


def test_jam_density_is_one_over_the_spacing_in_a_jam(congested: pl.DataFrame) -> None:
    jam = _diagram(congested).jam_density
    assert jam.value == pytest.approx(1000.0 / SPACING, rel=0.03)
    assert jam.low is not None
    assert jam.high is not None
    assert jam.low < jam.value < jam.high


def test_capacity_is_the_flow_of_vehicles_closing_up(congested: pl.DataFrame) -> None:
    """At 12 m/s Newell's drivers are 6.5 / 4.5 + 6.5 / 12 s apart."""
    capacity = _diagram(congested).capacity
    assert capacity.value == pytest.approx(3600.0 / (SPACING / WAVE + SPACING / 12.0), rel=0.05)
    assert capacity.cells > 100


def test_free_speed_is_that_of_thin_traffic(sparse: pl.DataFrame) -> None:
    found = _diagram(sparse)
    assert found.free_speed.value == pytest.approx(FREE, rel=1e-6)
    assert found.capacity.value is None
    assert "no congestion" in found.capacity.reason
    assert found.jam_density.reason
    assert found.critical_density.reason == "no capacity"


def test_both_sides_together_make_a_triangle(sparse: pl.DataFrame, congested: pl.DataFrame) -> None:
    other_lane = sparse.with_columns(
        pl.col("vehicle_id") + 50_000, lane_id=pl.lit(2, dtype=pl.Int32)
    )
    found = _diagram(pl.concat([congested, other_lane]))
    assert found.free_speed.value == pytest.approx(FREE, rel=1e-6)
    assert found.critical_density.value == pytest.approx(
        found.capacity.value / (3.6 * FREE)  # type: ignore[operator]
    )


def test_an_excerpt_of_a_jam_has_no_free_speed(congested: pl.DataFrame) -> None:
    few = _diagram(congested.filter(pl.col("vehicle_id") % 20 == 0))
    assert few.free_speed.value is None
    assert "vehicles must be missing" in few.free_speed.reason


def test_what_is_not_shown_is_none_and_says_why(congested: pl.DataFrame) -> None:
    state = traffic_state(congested.lazy()).collect()
    without_wave = fundamental_diagram(state)
    assert without_wave.jam_density.reason == "no wave speed"
    assert without_wave.free_speed.value is None
    for rows, reason in (
        (state.clear(), "fewer than 20 cells"),
        (state.head(10), "fewer than 20 cells"),
        (state.with_columns(direction=pl.lit(2, dtype=pl.Int32)), "signals"),
    ):
        found = fundamental_diagram(rows)
        for estimate in (found.free_speed, found.capacity, found.jam_density):
            assert estimate.value is None
            assert reason in estimate.reason


def test_joined_cells_are_those_of_the_larger_grid(congested: pl.DataFrame) -> None:
    fine = traffic_state(congested.lazy(), duration=2.0, cell_length=10.0).collect()
    large = traffic_state(congested.lazy(), duration=30.0, cell_length=50.0).collect()
    joined = coarser(fine, 31.0, 59.0)
    both = joined.join(large, on=["lane_id", "time_start", "y_start"], how="inner", suffix="_large")
    inner = both.filter(pl.col("observed_share_large") == 1.0)
    assert inner.height > 200
    for name in ("distance_travelled", "time_spent", "flow", "density", "speed"):
        np.testing.assert_allclose(inner[name], inner[f"{name}_large"], rtol=1e-9)
    # borders known to within a cell are known better by smaller cells
    np.testing.assert_allclose(both["observed_share"], both["observed_share_large"], atol=0.1)
    assert coarser(large, 5.0, 5.0).height == large.height


def test_main_lanes_lead_through() -> None:
    assert main_lanes(US_101) == [1, 2, 3, 4, 5]
    assert main_lanes(I_80) == [1, 2, 3, 4, 5, 6]
