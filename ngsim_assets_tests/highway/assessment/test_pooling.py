"""Pooled figures by definition, and null where there is nothing to pool."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.highway.assessment import pooling
from ngsim_assets.highway.assessment.completeness import covered, gap_classes, longest_run
from ngsim_assets_tests.highway.assessment.tracks import tracks_of

NUMBERS = st.one_of(st.floats(-100, 100, width=32), st.just(math.nan))


@given(st.lists(NUMBERS, max_size=30))
def test_quantiles_are_those_of_known_values(values: list[float]) -> None:
    array = np.array(values, np.float32)
    shares = [0.0, 0.05, 0.5, 0.95, 1.0]
    found = pooling.quantiles(array, shares)
    known = array[~np.isnan(array)].astype(np.float64)
    if len(known):
        assert found == pytest.approx(np.quantile(known, shares).tolist(), abs=1e-6)
    else:
        assert found == [None] * 5
    assert np.array_equal(array, np.array(values, np.float32), equal_nan=True)


@given(
    st.lists(st.tuples(st.integers(-5, 25), st.integers(0, 10)), max_size=12),
)
def test_covered_length_is_that_of_the_union(intervals: list[tuple[int, int]]) -> None:
    starts = np.array([low for low, _ in intervals], np.float64)
    ends = np.array([low + length for low, length in intervals], np.float64)
    units = {k for low, length in intervals for k in range(low, low + length)}
    assert covered(starts, ends, -np.inf, np.inf) == len(units)
    assert covered(starts, ends, 0.0, 20.0) == len(units & set(range(20)))


def test_gaps_fall_into_their_classes() -> None:
    """Steps of 2, 3, 6, 7, 11, 12, 51 and 52 frames miss one frame less than that."""
    steps = [1, 2, 3, 6, 7, 11, 12, 51, 52, 1]
    tracks, _ = tracks_of([np.cumsum(steps).tolist(), [5], [7, 9]], a=np.zeros(13))
    assert gap_classes(tracks, (1, 5, 10, 20, 50)).tolist() == [2, 2, 2, 1, 1, 1]


def test_a_run_ends_with_its_trajectory() -> None:
    marks = [False, True, True, True, False, True, False, True]
    tracks, [marked] = tracks_of([range(3), range(5)], marked=marks)
    assert longest_run(tracks, marked) == 2
    nothing, [none] = tracks_of([], marked=np.empty(0, np.bool_))
    assert longest_run(nothing, none) == 0


def test_mean_share_weighs_trajectories_alike() -> None:
    found = pl.DataFrame({"part": [1.0, 0.0, 0.0], "whole": [2.0, 100.0, 0.0]})
    assert pooling.mean_share(found, "part", "whole") == 25
    assert pooling.mean_share(found.tail(1), "part", "whole") is None
