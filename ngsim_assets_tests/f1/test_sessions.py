"""Sessions as every feed describes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ngsim_assets.f1.errors import SessionUnknown
from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.sessions import kind_of, of_feed, of_openf1
from ngsim_assets_tests.f1.conftest import RealSession

TOLD: dict[str, Json] = {
    "Meeting": {
        "Key": 1124,
        "Name": "Bahrain Grand Prix",
        "Location": "Sakhir",
        "Country": {"Name": "Bahrain"},
        "Circuit": {"ShortName": "Sakhir"},
    },
    "Key": 6993,
    "Type": "Race",
    "Name": "Race",
    "StartDate": "2022-03-21T01:00:00",
    "EndDate": "2022-03-21T03:00:00",
    "GmtOffset": "03:00:00",
    "Path": "2022/x/",
}


def test_local_times_become_utc_and_the_key_keeps_the_local_date() -> None:
    info = of_feed(TOLD, "SessionInfo.jsonStream, line 1")
    assert str(info.key) == "2022-03-21_bahrain_race"
    assert info.start == datetime(2022, 3, 20, 22, 0, tzinfo=UTC)
    assert (info.kind, info.offset, info.session_number) == ("race", timedelta(hours=3), 6993)
    assert info.circuit is not None
    assert info.circuit.key == "sakhir"


def test_openf1_says_its_zone() -> None:
    info = of_openf1(
        {
            "circuit_short_name": "Catalunya",
            "date_start": "2026-06-12T15:00:00+00:00",
            "gmt_offset": "02:00:00",
            "location": "Barcelona",
            "session_key": 11301,
            "session_name": "Practice 2",
            "session_type": "Practice",
        },
        "f",
    )
    assert str(info.key) == "2026-06-12_barcelona_practice-2"
    assert (info.kind, info.start.hour) == ("practice", 15)


@pytest.mark.parametrize("missing", ["Name", "StartDate", "Meeting"])
def test_what_does_not_describe_a_session_is_refused(missing: str) -> None:
    told = {key: value for key, value in TOLD.items() if key != missing}
    with pytest.raises(SessionUnknown, match="does not tell its session"):
        of_feed(told, "f")
    with pytest.raises(SessionUnknown, match="start reads 'noon'"):
        of_feed({**TOLD, "StartDate": "noon"}, "f")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Race", "race"),
        ("sprint", "race"),
        ("Sprint Shootout", "qualifying"),
        ("sprint-qualifying", "qualifying"),
        ("Qualifying", "qualifying"),
        ("Practice 3", "practice"),
        ("Day 1", "practice"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_real_sessions_have_keys_and_circuits(real_sessions: dict[str, RealSession]) -> None:
    assert len(real_sessions) == 10
    circuits = {key: session.info.circuit for key, session in real_sessions.items()}
    assert all(circuits.values())
    assert "2021-11-06_mexico-city_qualifying" in circuits
