"""OpenF1's rows in the tables of the feeds."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.openf1 import endpoint_of, read_file
from ngsim_assets.f1.sessions import of_messages
from ngsim_assets.f1.timing.openf1 import tables_of_openf1
from ngsim_assets.f1.timing.session import Folded, SessionTables
from ngsim_assets.f1.validate import validated_laps
from ngsim_assets_tests.f1.feeds import RACE_ORIGIN


@pytest.fixture(scope="module")
def practice(f1_data: Path) -> tuple[SessionTables, Folded]:
    messages: list[Message] = []
    for path in sorted(f1_data.glob("openf1/spain_*.json")):
        messages += read_file(path, "s", endpoint_of(path.name) or "", name=path.name).messages
    info = of_messages(messages)
    assert info is not None
    return tables_of_openf1(messages, Origin(info.key, "openf1"))


def test_every_row_is_accounted_for(practice: tuple[SessionTables, Folded]) -> None:
    tables, account = practice
    assert account.complete
    assert account.aside == []
    assert (tables.laps.height, tables.weather.height, tables.race_control.height) == (586, 85, 52)


def test_a_run_of_a_driver_as_it_was(practice: tuple[SessionTables, Folded]) -> None:
    russell = practice[0].laps.filter(driver="RUS").sort("lap_number")
    rows = russell.select("lap_number", "lap_time_ms", "stint", "compound", "tyre_life").rows()
    assert rows[0] == (1, None, 1, "MEDIUM", 1)
    assert rows[2] == (3, 75_945, 1, "MEDIUM", 3)
    # the time of an out lap counts the stay in the garage
    assert rows[4] == (5, None, 2, "MEDIUM", 5)
    assert rows[7] == (8, None, 3, "SOFT", 1)
    into, out = russell["pit_in_ms"][3], russell["pit_out_ms"][4]
    assert out - into == 336_700
    assert russell.filter(pl.col("deleted"))["lap_number"].to_list() == [2, 11, 22]
    assert russell["personal_best"][8]


def test_status_is_told_from_race_control(practice: tuple[SessionTables, Folded]) -> None:
    tables, _ = practice
    codes = tables.track_status["code"].to_list()
    assert codes[:5] == ["1", "2", "1", "2", "6"]
    assert codes[-1] == "1"
    assert tables.session_status["status"].to_list() == ["Started", "Finished"]


def test_laps_are_judged_like_those_of_the_feeds(
    practice: tuple[SessionTables, Folded],
) -> None:
    judged = validated_laps(practice[0].laps, race=False)
    assert judged.complete
    assert judged.valid.height >= 585


def test_rows_of_other_feeds_and_without_a_lap_are_set_aside() -> None:
    def row(topic: str, payload: dict[str, int]) -> Message:
        return Message("s", topic, None, None, {**payload}, "{}", "f", 1)

    tables, account = tables_of_openf1(
        [
            row("openf1/laps", {"driver_number": 4}),
            row("openf1/car_data", {"driver_number": 4}),
            row("TimingData", {}),
        ],
        RACE_ORIGIN,
    )
    assert account.complete
    assert account.passed_on == 1
    assert [item.reason for item in account.aside] == ["not_a_message", "unknown_topic"]
    assert tables.laps.height == 0
