"""Values as the feeds write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.f1.formats import duration, number, session_time, text, truth, whole
from ngsim_assets_tests.f1.feeds import written


@pytest.mark.parametrize(
    ("told", "ms"),
    [
        ("00:08:29.940", 509_940),
        ("01:51:57.5579", 6_717_557),
        ("00:00:00", 0),
        ("0:8:29", None),
        ("00:61:00.000", None),
        ("", None),
        ("٠٠:٠٨:٢٩.٩٤٠", None),
    ],
)
def test_session_times(told: str, ms: int | None) -> None:
    assert session_time(told) == ms


@pytest.mark.parametrize(
    ("told", "ms"),
    [
        ("1:42.105", 102_105),
        ("26.702", 26_702),
        ("+0.404", 404),
        ("18:29.171", 1_109_171),
        ("75.053", 75_053),
        ("1:02:03.004", 3_723_004),
        ("LAP 1", None),
        ("1L", None),
        ("", None),
        ("-1.0", None),
    ],
)
def test_durations(told: str, ms: int | None) -> None:
    assert duration(told) == ms


@given(st.integers(0, 5_999_999))
def test_a_duration_written_reads_back(ms: int) -> None:
    assert duration(written(ms)) == ms


def test_numbers_and_truths_are_told_as_text_too() -> None:
    assert [whole("12"), whole(12), whole(12.0), whole("-3")] == [12, 12, 12, -3]
    assert [whole(value) for value in (True, None, "1.5", 1.5, "", "²", [])] == [None] * 7
    assert [whole(9e99), whole("9" * 30), whole(10**9 + 1), whole(10**9)] == [None] * 3 + [10**9]
    assert [number("16.9"), number(3), number("nan"), number("1e999"), number(True)] == [
        16.9,
        3.0,
        None,
        None,
        None,
    ]
    assert [truth("true"), truth(True), truth("0"), truth(2), truth(None)] == [
        True,
        True,
        False,
        None,
        None,
    ]
    assert [text(" SOFT "), text("  "), text(5)] == ["SOFT", None, None]
