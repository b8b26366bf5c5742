"""Stable orders by small integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.acquisition.ordering import stable_order

key = st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1), st.integers(65_530, 65_540))


@settings(deadline=None)
@given(st.lists(key, max_size=80))
def test_it_is_the_stable_sort(keys: list[int]) -> None:
    values = np.array(keys, np.uint64)
    assert stable_order(values).tolist() == np.argsort(values, kind="stable").tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(key, key), max_size=80))
def test_minor_first_then_major_sorts_by_both(keys: list[tuple[int, int]]) -> None:
    major = np.array([pair[0] for pair in keys], np.uint64)
    minor = np.array([pair[1] for pair in keys], np.uint64)
    order = stable_order(major, stable_order(minor))
    assert order.tolist() == np.lexsort((minor, major)).tolist()
