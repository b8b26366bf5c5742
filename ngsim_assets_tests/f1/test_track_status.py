"""Codes in force during a lap."""

from __future__ import annotations

import pytest

from ngsim_assets.f1.track_status import codes_between

STATUSES = [(0, "1"), (100, "2"), (200, "4"), (300, "1")]


@pytest.mark.parametrize(
    ("start", "end", "codes"),
    [
        (10, 90, "1"),
        (10, 100, "12"),
        (100, 150, "12"),
        (101, 199, "2"),
        (50, 250, "124"),
        (150, 400, "241"),
        (301, 900, "1"),
        (250, 301, "41"),
    ],
)
def test_codes_are_told_in_the_order_they_came_each_once(start: int, end: int, codes: str) -> None:
    assert codes_between(STATUSES, start, end) == codes


def test_before_the_first_code_nothing_is_known() -> None:
    assert codes_between([(100, "2")], 0, 50) == ""
