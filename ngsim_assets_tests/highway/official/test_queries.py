"""Queries that give every row of a table once, whatever the table looks like."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.official.errors import TruncatedAnswer, UnreadableAnswer
from ngsim_assets.highway.official.queries import (
    GROUPS,
    Page,
    Selection,
    Vehicle,
    counted,
    pages_of,
    vehicles_of,
)

PAGE = 100
URL = "https://portal/resource/x.json"


def covers(page: Page, vehicle_id: int | None) -> bool:
    """Whether rows of a vehicle meet the condition of `page`."""
    words = page.condition.replace("=", " ").split()
    if "NULL" in words:
        return vehicle_id is None
    if vehicle_id is None:
        return False
    if "BETWEEN" in words:
        return int(words[2]) <= vehicle_id <= int(words[4])
    return int(words[1]) == vehicle_id


vehicles = st.dictionaries(
    st.one_of(st.none(), st.integers(-5, 3000)), st.integers(1, 3 * PAGE), max_size=60
).map(
    lambda found: sorted(
        (Vehicle(number, rows, "then") for number, rows in found.items()),
        key=lambda vehicle: (vehicle.vehicle_id is None, vehicle.vehicle_id or 0),
    )
)


@settings(max_examples=50)
@given(vehicles)
def test_every_row_is_on_one_page_and_no_page_is_too_large(found: list[Vehicle]) -> None:
    pages = pages_of(found, basis="us-101", page_rows=PAGE)
    assert all(1 <= page.rows <= PAGE for page in pages)
    assert sum(page.rows for page in pages) == sum(vehicle.rows for vehicle in found)
    assert len({page.fingerprint for page in pages}) == len(pages)
    for vehicle in found:
        on = [page for page in pages if covers(page, vehicle.vehicle_id)]
        assert {page.condition for page in on} == {on[0].condition}
        offsets = [page.offset for page in on]
        assert offsets == [place * PAGE for place in range(len(on))]
        together = [other for other in found if covers(on[0], other.vehicle_id)]
        assert sum(page.rows for page in on) == sum(other.rows for other in together)


@settings(max_examples=50)
@given(vehicles.filter(bool), st.data())
def test_a_vehicle_that_changes_leaves_the_pages_of_the_others_alone(
    found: list[Vehicle], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(found) - 1))
    old = found[place]
    new = Vehicle(old.vehicle_id, old.rows, "now")
    before = pages_of(found, basis="us-101", page_rows=PAGE)
    after = pages_of([*found[:place], new, *found[place + 1 :]], basis="us-101", page_rows=PAGE)
    assert len(before) == len(after)
    for was, now in zip(before, after, strict=True):
        assert (was == now) is not covers(was, old.vehicle_id)


def test_a_selection_names_its_rows_in_the_language_of_the_portal() -> None:
    (page,) = pages_of([Vehicle(7, 5, "")], basis="x")
    assert Selection("us-101").page(page) == {
        "$where": "location='us-101' AND vehicle_id BETWEEN 0 AND 7",
        "$order": ":id",
        "$limit": "6",
    }
    narrowed = Selection("o'hare", "lane_id=1 OR lane_id=2").count()
    assert narrowed["$where"] == "location='o''hare' AND (lane_id=1 OR lane_id=2)"


def test_another_selection_or_other_columns_are_other_pages() -> None:
    (one,) = pages_of([Vehicle(7, 5, "")], basis="us-101")
    (other,) = pages_of([Vehicle(7, 5, "")], basis="i-80")
    assert one.fingerprint != other.fingerprint


def test_figures_are_read_as_the_portal_writes_them() -> None:
    assert counted([{"n": "4802933"}], URL) == 4802933
    found = vehicles_of([{"vehicle_id": "12.0", "n": 3, "changed": "a"}, {"n": "4"}], URL)
    assert found == [Vehicle(12, 3, "a"), Vehicle(None, 4, "")]


@pytest.mark.parametrize(
    "answer",
    [
        {"error": True},
        [],
        [{}],
        [{"n": "many"}],
        [{"n": "1.5"}],
        [{"n": "NaN"}],
        [3],
        [{"n": "inf"}],
    ],
)
def test_an_answer_that_is_no_count_is_named(answer: object) -> None:
    with pytest.raises(UnreadableAnswer, match="not as documented"):
        counted(answer, URL)


def test_a_list_of_vehicles_that_ends_at_the_limit_is_not_believed() -> None:
    with pytest.raises(TruncatedAnswer, match="50,000"):
        vehicles_of([{"vehicle_id": str(number), "n": "1"} for number in range(GROUPS)], URL)
    with pytest.raises(UnreadableAnswer, match="counted twice"):
        vehicles_of([{"vehicle_id": "1", "n": "1"}] * 2, URL)
