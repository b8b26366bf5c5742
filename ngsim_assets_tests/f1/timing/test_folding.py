"""The deep merge: one by one is as in groups, twice is as once, and nothing shines through."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.timing.folding import Unfoldable, at, combine, elements, fold, fold_all

KEYS = st.sampled_from(["a", "b", "c"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.sampled_from(["", "x"]))
INDEX = st.sampled_from(["0", "1", "2", "5"])


def _changes(depth: int) -> st.SearchStrategy[Any]:
    """Changes in which a key may be a value now, an object then; `l...` are always arrays."""
    if depth == 0:
        return st.dictionaries(KEYS, SCALARS, max_size=3)
    inner = st.one_of(SCALARS, _changes(depth - 1))
    objects = st.dictionaries(KEYS, inner, max_size=3)
    arrays = st.one_of(
        st.lists(_changes(depth - 1), max_size=3),
        st.dictionaries(INDEX, _changes(depth - 1), max_size=2),
    )
    return st.builds(
        lambda plain, listed, deleted, key_frame: {
            **plain,
            **listed,
            **({"_deleted": deleted} if deleted else {}),
            **({"_kf": True} if key_frame else {}),
        },
        objects,
        st.dictionaries(st.sampled_from(["l1", "l2"]), arrays, max_size=2),
        st.lists(KEYS, max_size=2),
        st.booleans(),
    )


CHANGES = _changes(2)


@given(st.lists(CHANGES, max_size=6), st.integers(0, 6))
@settings(max_examples=200)
def test_folding_in_groups_is_folding_one_by_one(changes: list[Json], split: int) -> None:
    one_by_one = fold_all(None, copy.deepcopy(changes))
    grouped: Json = None
    for group in (changes[:split], changes[split:]):
        together: Json = {}
        for change in copy.deepcopy(group):
            together = combine(together, change)
        grouped = fold(grouped, together)
    assert (grouped or {}) == (one_by_one or {})


@given(st.lists(CHANGES, max_size=5), CHANGES)
def test_the_same_change_again_changes_nothing(changes: list[Json], last: Json) -> None:
    once = fold(fold_all(None, copy.deepcopy(changes)), last)
    again = fold(copy.deepcopy(once), last)
    assert again == once


@given(st.lists(CHANGES, min_size=1, max_size=5))
def test_changes_are_left_as_they_are(changes: list[Json]) -> None:
    before = copy.deepcopy(changes)
    fold_all(None, changes)
    assert changes == before


def test_numbers_as_keys_change_elements_of_an_array() -> None:
    state = fold(None, {"Sectors": [{"Value": ""}, {"Value": ""}, {"Value": ""}]})
    state = fold(state, {"Sectors": {"1": {"Value": "36.475"}}})
    assert state == {"Sectors": [{"Value": ""}, {"Value": "36.475"}, {"Value": ""}]}
    state = fold(state, {"Sectors": {"4": {"Value": "x"}}})
    assert at(state, "Sectors", "4", "Value") == "x"
    assert at(state, "Sectors", "3") is None


def test_an_object_of_numbers_without_an_array_stays_one_and_is_in_order() -> None:
    state = fold(None, {"Messages": {"10": {"n": 10}, "9": {"n": 9}}})
    assert [index for index, _ in elements(at(state, "Messages"))] == [9, 10]


def test_what_is_deleted_goes_and_marks_of_the_feed_are_no_state() -> None:
    state = fold(None, {"Best": {"Value": "1:20.0", "Lap": 3}, "_kf": True})
    assert fold(state, {"Best": {"Value": "", "_deleted": ["Lap"]}}) == {"Best": {"Value": ""}}


def test_an_array_replaces_an_array() -> None:
    assert fold({"Stints": [{"New": "true"}]}, {"Stints": []}) == {"Stints": []}


@pytest.mark.parametrize("change", [{"x": 1}, {"10000000000": 1}, {"0": 1, "_deleted": ["0"]}])
def test_what_does_not_fit_an_array_is_refused(change: Json) -> None:
    with pytest.raises(Unfoldable):
        fold([{"a": 1}], change)
