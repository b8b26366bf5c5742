"""Content hashes: the same rows agree however they come, other rows do not."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.tallying import ContentTally

Cells = Sequence[tuple[int | None, ...]]

COLUMNS = ("a", "b", "c")
cell = st.one_of(st.none(), st.integers(-(2**31) + 1, 2**31 - 1))
rows = st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=60)


def frame(cells: Cells, dtype: pl.DataType | None = None) -> pl.DataFrame:
    return pl.DataFrame(cells, schema=dict.fromkeys(COLUMNS, dtype or pl.Int32()), orient="row")


def content_of(*frames: pl.DataFrame, columns: tuple[str, ...] = COLUMNS) -> Content:
    tally = ContentTally(columns)
    for part in frames:
        tally.add(part, np.zeros(part.height, np.int32))
    return tally.content(np.array([0]))


@settings(deadline=None)
@given(rows, st.randoms(use_true_random=False), st.integers(0, 60))
def test_order_and_division_do_not_matter(cells: Cells, random: Random, cut: int) -> None:
    shuffled = random.sample(cells, len(cells))
    expected = content_of(frame(cells))
    assert content_of(frame(shuffled)) == expected
    assert content_of(frame(cells[:cut]), frame(cells[cut:])) == expected
    assert content_of(frame(cells[:cut])) + content_of(frame(cells[cut:])) == expected


@settings(deadline=None)
@given(rows)
def test_integer_width_and_column_order_do_not_matter(cells: Cells) -> None:
    expected = content_of(frame(cells))
    assert content_of(frame(cells, pl.Int64())) == expected
    assert content_of(frame(cells), columns=("c", "a", "b")) == expected


@settings(deadline=None)
@given(rows, st.data())
def test_one_other_cell_is_another_content(cells: Cells, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(cells) - 1))
    column = data.draw(st.integers(0, 2))
    value = data.draw(cell.filter(lambda new: new != cells[row][column]))
    changed = [list(each) for each in cells]
    changed[row][column] = value
    assert content_of(frame([tuple(each) for each in changed])) != content_of(frame(cells))


def test_values_in_other_columns_are_another_content() -> None:
    assert content_of(frame([(1, 2, None)])) != content_of(frame([(2, 1, None)]))
    assert content_of(frame([(1, None, None)])) != content_of(frame([(None, 1, None)]))
    assert content_of(frame([(0, 0, 0)])) != content_of(frame([(None, None, None)]))


def test_a_repeated_row_counts() -> None:
    once, twice = content_of(frame([(1, 2, 3)])), content_of(frame([(1, 2, 3)] * 2))
    assert twice == once + once
    assert twice.digest != once.digest


def test_a_column_of_nulls_is_no_column() -> None:
    cells = [(1, 2, None), (3, 4, None)]
    assert content_of(frame(cells)) == content_of(frame(cells), columns=("a", "b"))


def test_groups_are_kept_apart() -> None:
    cells = [(number, 1, 2) for number in range(40_000)]
    groups = np.array([number % 3 for number in range(40_000)], np.int32)
    tally = ContentTally(COLUMNS)
    tally.add(frame(cells), groups)
    for group in range(3):
        assert tally.content(np.array([group])) == content_of(frame(cells[group::3]))
    assert tally.content(np.array([0, 1, 2, 99])) == content_of(frame(cells))
    assert tally.content(np.array([], np.int64)) == Content()


def test_the_hash_is_the_same_for_ever() -> None:
    assert content_of(frame([(1, -2, None), (2147483647, 0, 5)])).digest == (
        "42dda5640464e76c7459844ffeef891d"
    )
