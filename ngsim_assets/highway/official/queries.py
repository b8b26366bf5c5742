"""Queries that return whole tables piece by piece, though a reached limit is not told.

Belongs here: which queries give which rows, and how many each must bring. Does not belong here:
asking them (paging.py).

The portal cuts an answer at its limit without a word, and a deep offset costs it as much as all
the rows before. So it is asked first how many rows each vehicle has; ranges of vehicles are then
fetched of which the number of rows is known. Ranges are halves of halves of all ids: where rows
are added to one vehicle, the ranges of the others stay what they were, and are not fetched again.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from ngsim_assets.highway.official.errors import TruncatedAnswer, UnreadableAnswer

PAGE_ROWS = 49_999
"""Rows of a page at most: one less than the portal gives, so that one too many is seen."""

GROUPS = 50_000
"""Vehicles that one answer can tell of."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What the portal counts of a vehicle.

    Attributes:
        vehicle_id: None for rows without one. rows: in number. changed: when any of them was last
            written; that differs wherever one of them does.
    """

    vehicle_id: int | None
    rows: int
    changed: str


@dataclass(frozen=True, slots=True)
class Page:
    """One query for rows.

    Attributes:
        name: for people. condition: that its rows meet. offset: rows of them before it. rows: it
            must bring. fingerprint: differs wherever its rows do.
    """

    name: str
    condition: str
    offset: int
    rows: int
    fingerprint: str

    @property
    def limit(self) -> int:
        """Asked for: one row more than there should be, which tells if there are more."""
        return self.rows + 1


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows are wanted: of a site, and narrowed by a condition in the portal's language."""

    location: str
    narrowed: str = ""

    @property
    def condition(self) -> str:
        """As a condition of the portal."""
        site = f"location={quoted(self.location)}"
        return f"{site} AND ({self.narrowed})" if self.narrowed else site

    def count(self) -> dict[str, str]:
        """How many rows there are."""
        return {"$select": "count(*) as n", "$where": self.condition}

    def vehicles(self, *, timed: bool = True) -> dict[str, str]:
        """How many there are of each vehicle and, if `timed`, when they were last written."""
        changed = ",max(:updated_at) as changed" if timed else ""
        return {
            "$select": f"vehicle_id,count(*) as n{changed}",
            "$where": self.condition,
            "$group": "vehicle_id",
            "$order": "vehicle_id",
            "$limit": str(GROUPS),
        }

    def page(self, page: Page) -> dict[str, str]:
        """The rows of a page, in an order that stays."""
        asked = {
            "$where": f"{self.condition} AND {page.condition}",
            "$order": ":id",
            "$limit": str(page.limit),
        }
        return {**asked, "$offset": str(page.offset)} if page.offset else asked


def quoted(text: str) -> str:
    """`text` as a constant of the portal's language."""
    return "'" + text.replace("'", "''") + "'"


def counted(document: object, url: str) -> int:
    """The number in the answer to a query for one. Raises UnreadableAnswer."""
    rows = _rows(document, url)
    if len(rows) != 1:
        raise UnreadableAnswer(url, f"{len(rows)} rows in answer to a count")
    return _number(rows[0], "n", url)


ROWS_BY_LOCATION = {
    "$select": "location,count(*) as n",
    "$group": "location",
    "$order": "location",
    "$limit": str(GROUPS),
}
"""How many rows there are of each site."""


def rows_by_location(document: object, url: str) -> dict[str, int]:
    """The answer to ROWS_BY_LOCATION. Raises UnreadableAnswer."""
    return {str(row.get("location")): _number(row, "n", url) for row in _rows(document, url)}


def vehicles_of(document: object, url: str, changed: str = "") -> list[Vehicle]:
    """The answer to `Selection.vehicles`, by id. Raises UnreadableAnswer, TruncatedAnswer.

    `changed` stands for when rows were written, where the answer does not say it.
    """
    rows = _rows(document, url)
    if len(rows) >= GROUPS:
        raise TruncatedAnswer(url, "the list of vehicles", GROUPS)
    found = [
        Vehicle(
            None if row.get("vehicle_id") is None else _number(row, "vehicle_id", url),
            _number(row, "n", url),
            str(row.get("changed", changed)),
        )
        for row in rows
    ]
    if len({vehicle.vehicle_id for vehicle in found}) != len(found):
        raise UnreadableAnswer(url, "a vehicle is counted twice")
    return sorted(found, key=lambda vehicle: (vehicle.vehicle_id is None, vehicle.vehicle_id or 0))


def fingerprint(*parts: object) -> str:
    """A name for what all of `parts` say."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def pages_of(
    vehicles: Sequence[Vehicle], *, basis: str, page_rows: int = PAGE_ROWS
) -> tuple[Page, ...]:
    """Queries that give every row of `vehicles` once, none of more than `page_rows`.

    Args:
        basis: what the rows depend on beside the vehicles: the selection, the columns.
    """
    named = [(v.vehicle_id, v) for v in vehicles if v.vehicle_id is not None]
    nameless = [v for v in vehicles if v.vehicle_id is None]
    pages: list[Page] = []
    if named:
        ids = [number for number, _ in named]
        width = 1
        while width <= max(abs(ids[0]), abs(ids[-1])):
            width *= 2
        low = -width if ids[0] < 0 else 0
        known = [vehicle for _, vehicle in named]
        pages.extend(_split(ids, known, low, width - low, basis, page_rows))
    if nameless:
        pages.extend(_sliced("no vehicle", "vehicle_id IS NULL", nameless, basis, page_rows))
    return tuple(pages)


def _split(
    ids: Sequence[int],
    vehicles: Sequence[Vehicle],
    low: int,
    width: int,
    basis: str,
    page_rows: int,
) -> Iterator[Page]:
    """Pages of the vehicles from `low` on, halved until they fit."""
    if not vehicles:
        return
    last = low + width - 1
    if width == 1:
        yield from _sliced(f"vehicle {low}", f"vehicle_id={low}", vehicles, basis, page_rows)
    elif sum(vehicle.rows for vehicle in vehicles) <= page_rows:
        name = f"vehicles {ids[0]} to {ids[-1]}"
        condition = f"vehicle_id BETWEEN {low} AND {last}"
        yield from _sliced(name, condition, vehicles, basis, page_rows)
    else:
        middle = low + width // 2
        cut = bisect_left(ids, middle)
        yield from _split(ids[:cut], vehicles[:cut], low, width // 2, basis, page_rows)
        yield from _split(ids[cut:], vehicles[cut:], middle, width - width // 2, basis, page_rows)


def _sliced(
    name: str, condition: str, vehicles: Sequence[Vehicle], basis: str, page_rows: int
) -> Iterator[Page]:
    """One page, or several by offset where a single vehicle has too many rows for one."""
    rows = sum(vehicle.rows for vehicle in vehicles)
    said = [(vehicle.vehicle_id, vehicle.rows, vehicle.changed) for vehicle in vehicles]
    for offset in range(0, rows, page_rows):
        part = min(page_rows, rows - offset)
        named = name if rows <= page_rows else f"{name}, from row {offset + 1}"
        yield Page(
            named, condition, offset, part, fingerprint(basis, condition, offset, part, said)
        )


def _rows(document: object, url: str) -> list[Mapping[str, object]]:
    if not isinstance(document, list):
        raise UnreadableAnswer(url, "no list of rows")
    rows = cast("list[object]", document)
    if not all(isinstance(row, dict) for row in rows):
        raise UnreadableAnswer(url, "a row that is none")
    return cast("list[Mapping[str, object]]", rows)


def _number(row: Mapping[str, object], name: str, url: str) -> int:
    value = row.get(name)
    try:
        number = Decimal(str(value))
        if number == number.to_integral_value():
            return int(number)
    except ArithmeticError:  # no number, or none of this world
        pass
    raise UnreadableAnswer(url, f"{name} is {value!r}, which is no whole number")
