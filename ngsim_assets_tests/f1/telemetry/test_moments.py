"""A moment of a car is new once, whatever parts rows come in."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.f1.telemetry.moments import Moments


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 7))
def test_parts_tell_the_same_as_the_whole(keys: list[int], size: int) -> None:
    whole = Moments().again(pl.Series(keys, dtype=pl.Int64)).to_list()
    moments = Moments()
    parts: list[bool] = []
    for start in range(0, len(keys), size):
        part = pl.Series(keys[start : start + size], dtype=pl.Int64)
        parts += moments.again(part).to_list()
    assert parts == whole
    assert sum(not again for again in whole) == len(set(keys))


@pytest.mark.parametrize("size", [0, 1])
def test_no_rows_are_no_moments(size: int) -> None:
    assert Moments().again(pl.Series([5] * size, dtype=pl.Int64)).to_list() == [False] * size
