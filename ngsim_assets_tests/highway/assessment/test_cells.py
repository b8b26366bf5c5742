"""Edie's cells: distance goes where it was driven, and none is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.assessment.cells import Grid, edie_cells
from ngsim_assets_tests.highway.assessment.tracks import tracks_of

GRID = Grid(
    first_frame=0,
    frames=60,
    cell_frames=10,
    y_low=0.0,
    y_high=100.0,
    cell_length=10.0,
    longest_step=5,
)


def _quarters(steps: int) -> float:
    """Numbers that no border is missed by a rounding of."""
    return steps / 4


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(-120, 120).map(_quarters), st.integers(0, 2)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([-1.0, 1.0]),
)
def test_distance_is_split_where_cells_meet(
    steps: list[tuple[int, float, int]], direction: float
) -> None:
    """Against the definition: what of a step lies between the borders of a cell."""
    frame = np.cumsum([step for step, _, _ in steps])
    y = np.cumsum([50.0, *(moved for _, moved, _ in steps[1:])])
    lane = np.array([number for _, _, number in steps], np.int32)
    tracks, [along, lanes] = tracks_of([frame.tolist()], y=y, lane=lane)
    found = edie_cells(tracks, np.array([direction]), along, lanes, GRID)

    distance, time = np.zeros(GRID.shape), np.zeros(GRID.shape)
    borders = np.arange(0.0, 101.0, 10.0)
    borders[[0, -1]] = -np.inf, np.inf
    for i in range(1, len(frame)):
        t = min(int(frame[i - 1]) // 10, GRID.shape[1] - 1)
        for s in range(10):
            there, before = (np.clip(y[k], borders[s], borders[s + 1]) for k in (i, i - 1))
            distance[lane[i - 1], t, s] += (there - before) * direction
            share = (there - before) / (y[i] - y[i - 1]) if y[i] != y[i - 1] else 0.0
            time[lane[i - 1], t, s] += share * 0.1 * (frame[i] - frame[i - 1])
        if y[i] == y[i - 1]:
            place = int(np.clip(np.floor(y[i - 1] / 10), 0, 9))
            time[lane[i - 1], t, place] += 0.1 * (frame[i] - frame[i - 1])
    assert np.allclose(found.distance, distance, atol=1e-9)
    assert np.allclose(found.time, time)
    assert found.distance.sum() == pytest.approx((y[-1] - y[0]) * direction, abs=1e-9)


def test_long_gaps_are_not_bridged_and_unknown_lanes_are_together() -> None:
    lane = np.array([3, 3, 99, -1, 3], np.int32)
    tracks, [y, lanes] = tracks_of([[0, 1, 2, 3, 30]], y=[5.0, 6.0, 7.0, 9.0, 60.0], lane=lane)
    found = edie_cells(tracks, np.ones(1), y, lanes, GRID)
    assert found.distance[3].sum() == pytest.approx(2.0)
    assert found.distance[-1].sum() == pytest.approx(2.0)
    assert found.time.sum() == pytest.approx(0.3)


def test_speeds_are_of_lanes_that_somebody_was_in() -> None:
    lane = np.array([1, 1, 1], np.int32)
    tracks, [y, lanes] = tracks_of([[0, 1, 2]], y=[15.0, 17.0, 19.0], lane=lane)
    speeds = edie_cells(tracks, np.ones(1), y, lanes, GRID).speeds()
    assert speeds.shape == (1, 6, 10)
    assert speeds[0, 0, 1] == pytest.approx(20.0)
    assert np.isnan(speeds).sum() == speeds.size - 1
