"""The deep merge: one by one is as in groups, twice is as once, and nothing shines through."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.timing.folding import Unfoldable, at, combine, elements, fold, fold_all


def made_up(chance: random.Random, depth: int = 2) -> dict[str, Json]:
    """A change in which a key may be a value now and an object then; `l...` are always arrays."""
    change: dict[str, Json] = {}
    for key in chance.sample("abc", chance.randint(0, 3)):
        inner = depth > 0 and chance.random() < 0.5
        change[key] = made_up(chance, depth - 1) if inner else chance.choice([None, 0, 1, "", "x"])
    if depth > 0 and chance.random() < 0.6:
        items = [made_up(chance, depth - 1) for _ in range(chance.randint(0, 3))]
        places = chance.sample("0125", len(items))
        name = chance.choice(["l1", "l2"])
        change[name] = (
            list(items) if chance.random() < 0.4 else dict(zip(places, items, strict=True))
        )
    if chance.random() < 0.3:
        change["_deleted"] = [*chance.sample("abc", chance.randint(1, 2))]
    if chance.random() < 0.2:
        change["_kf"] = True
    return change


def several(seed: int) -> list[Json]:
    """Up to six changes."""
    chance = random.Random(seed)  # noqa: S311
    return [made_up(chance) for _ in range(chance.randint(1, 6))]


SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.integers(0, 6))
@settings(max_examples=150)
def test_folding_in_groups_is_folding_one_by_one(seed: int, split: int) -> None:
    changes = several(seed)
    one_by_one = fold_all(None, copy.deepcopy(changes))
    grouped: Json = None
    for group in (changes[:split], changes[split:]):
        together: Json = {}
        for change in copy.deepcopy(group):
            together = combine(together, change)
        grouped = fold(grouped, together)
    assert (grouped or {}) == (one_by_one or {})


@given(SEEDS)
@settings(max_examples=150)
def test_the_same_change_again_changes_nothing(seed: int) -> None:
    changes = several(seed)
    once = fold_all(None, changes)
    again = fold(copy.deepcopy(once), changes[-1])
    assert again == once


@given(SEEDS)
def test_changes_are_left_as_they_are(seed: int) -> None:
    changes = several(seed)
    fold_all(None, changes)
    assert changes == several(seed)


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
