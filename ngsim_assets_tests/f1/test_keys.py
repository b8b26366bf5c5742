"""Session keys: three parts, always, and the same from every feed."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.f1.errors import BadSessionKey
from ngsim_assets.f1.keys import SessionKey, check_session, slug


@pytest.mark.parametrize(
    ("meeting", "session", "key"),
    [
        ("Miami Grand Prix", "Sprint", "2025-05-03_miami_sprint"),
        ("Mexico City Grand Prix", "Practice 1", "2025-05-03_mexico-city_practice-1"),
        ("São Paulo Grand Prix", "Sprint Qualifying", "2025-05-03_sao-paulo_sprint-qualifying"),
        ("Pre-Season Testing", "Day 2", "2025-05-03_pre-season-testing_day-2"),
    ],
)
def test_names_of_the_feeds_become_keys(meeting: str, session: str, key: str) -> None:
    made = SessionKey.of(date(2025, 5, 3), meeting, session)
    assert str(made) == key
    assert SessionKey.parse(key) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-05-03_miami",
        "2025-05-03_Miami_sprint",
        "2025-05-33_miami_sprint",
        "2025-05-03_miami_sprint_",
        "2025-05-03_../x_sprint",
        "2025-05-03_miami_sprint\n",
        "2025-05-03_mexico_city_race",
    ],
)
def test_what_is_no_key_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(BadSessionKey, match="write it 2025-05-03_miami_sprint"):
        check_session(text)


@given(st.text(min_size=1), st.text(min_size=1), st.dates())
def test_a_key_of_any_names_reads_back_or_is_refused(meeting: str, session: str, day: date) -> None:
    try:
        key = SessionKey.of(day, meeting, session)
    except BadSessionKey:
        return
    assert SessionKey.parse(str(key)) == key
    assert str(key).isascii()
    assert not set(str(key)) & set("/\\. ")


def test_a_name_without_letters_has_no_slug() -> None:
    with pytest.raises(BadSessionKey):
        slug("--")
