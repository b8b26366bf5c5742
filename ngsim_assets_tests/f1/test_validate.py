"""Rules: rows in are rows believed and rows quarantined, and every rule is broken by something."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from ngsim_assets.f1.circuits import circuit
from ngsim_assets.f1.errors import SeveralSessions
from ngsim_assets.f1.model import F1_LAPS, F1_QUARANTINE, F1_WEATHER
from ngsim_assets.f1.origin import frame
from ngsim_assets.f1.validate import (
    Validated,
    validated_laps,
    validated_race_control,
    validated_track_status,
    validated_weather,
)
from ngsim_assets.f1.validation_rules import rules_by_table
from ngsim_assets.f1.weather import Forecast, forecast
from ngsim_assets.quality.rules import markdown
from ngsim_assets_tests.f1.conftest import RealSession
from ngsim_assets_tests.f1.feeds import RACE_ORIGIN

NOW = datetime(2025, 5, 4, 21, 0, tzinfo=UTC)


def lap(number: int, **told: object) -> dict[str, object]:
    """A green racing lap of 90 s."""
    return {
        **RACE_ORIGIN.columns,
        "driver_number": 4,
        "lap_number": number,
        "lap_time_ms": 90_000 + number % 3 * 100,
        "sector1_ms": 30_000,
        "sector2_ms": 40_000,
        "sector3_ms": 20_000 + number % 3 * 100,
        "lap_start_ms": number * 91_000,
        "lap_end_ms": number * 91_000 + 90_500,
        "track_status": "1",
        "compound": "SOFT",
        "deleted": False,
        "accurate": True,
        "source": "livetiming",
        "simulated": True,
        "source_file": "f",
        "source_row": number,
        "flags": [],
        **told,
    }


def judged_lap(**told: object) -> tuple[list[str], list[str]]:
    """Reasons and flags of lap 15 of twenty that are as they should be but for `told`."""
    rows = [lap(number, **(told if number == 15 else {})) for number in range(1, 21)]
    judged = validated_laps(frame(F1_LAPS, rows), race=True, now=NOW)
    assert judged.complete
    return sorted(judged.reasons), sorted(judged.flags)


@pytest.mark.parametrize(
    ("told", "reasons", "flags"),
    [
        ({}, [], []),
        ({"lap_time_ms": 90_099, "sector3_ms": 20_000}, [], []),
        ({"sector3_ms": 20_101}, ["sectors_do_not_sum"], []),
        ({"lap_number": 14}, ["lap_twice"], ["lap_before_is_missing"]),
        ({"lap_end_ms": 15 * 91_000}, ["lap_ends_before_it_starts"], []),
        ({"timestamp": NOW + timedelta(minutes=2)}, ["lap_in_the_future"], []),
        ({"timestamp": NOW + timedelta(seconds=59)}, [], []),
        ({"speed_st": 111.5}, ["trap_speed_impossible"], []),
        ({"speed_st": 104.0}, [], ["trap_speed_high"]),
        ({"driver_number": None}, ["driver_number_missing"], ["lap_before_is_missing"]),
        ({"lap_time_ms": -1, "sector3_ms": None}, ["lap_time_ms_below"], []),
        ({"source": "hearsay"}, ["source_unknown"], []),
        ({"lap_time_ms": None}, [], ["racing_lap_untimed"]),
        ({"compound": "TEST"}, [], ["compound_unknown"]),
        ({"lap_start_ms": 14 * 91_000 + 85_000}, [], ["lap_starts_before_last_ended"]),
        (
            {"lap_time_ms": 160_000, "sector3_ms": 90_000},
            [],
            ["racing_lap_out_of_range", "racing_lap_outlier"],
        ),
        ({"lap_time_ms": 97_000, "sector3_ms": 27_000}, [], ["racing_lap_outlier"]),
        # the same lap is nothing special behind the safety car, or into the pits
        ({"lap_time_ms": 160_000, "sector3_ms": 90_000, "track_status": "4"}, [], []),
        ({"lap_time_ms": 160_000, "sector3_ms": 90_000, "pit_in_ms": 1_400_000}, [], []),
    ],
)
def test_rules_of_laps(told: dict[str, object], reasons: list[str], flags: list[str]) -> None:
    found_reasons, found_flags = judged_lap(**told)
    assert found_reasons == reasons
    assert found_flags == flags


def test_a_slow_field_behind_the_safety_car_is_no_outlier_and_nor_is_the_lap_after() -> None:
    rows = [
        lap(
            n,
            **(
                {"lap_time_ms": 140_000, "sector3_ms": 70_000, "track_status": "4"}
                if 8 < n < 12
                else {}
            ),
        )
        for n in range(1, 21)
    ]
    rows[11] = lap(12, lap_time_ms=105_000, sector3_ms=35_000)
    judged = validated_laps(frame(F1_LAPS, rows), race=True, now=NOW)
    assert (judged.reasons, judged.flags) == ({}, {})


def test_quarantine_keeps_the_row_its_place_and_all_reasons() -> None:
    rows = [lap(1), lap(2, sector3_ms=1, timestamp=NOW + timedelta(days=1), source_row=77)]
    judged = validated_laps(frame(F1_LAPS, rows), race=True, now=NOW)
    assert judged.quarantined.schema == F1_QUARANTINE.schema
    (row,) = judged.quarantined.iter_rows(named=True)
    assert row["reasons"] == ["sectors_do_not_sum", "lap_in_the_future"]
    assert (row["stage"], row["table"], row["source_row"]) == ("validated", "f1_laps", 77)
    assert json.loads(row["content"])["sector3_ms"] == 1
    assert judged.valid["lap_number"].to_list() == [1]


def weather(minute: int, **told: object) -> dict[str, object]:
    moment = NOW - timedelta(hours=2) + timedelta(minutes=minute)
    return {
        **RACE_ORIGIN.columns,
        "kind": "observation",
        "source": "livetiming",
        "simulated": True,
        "issue_time": moment,
        "valid_time": moment,
        "air_temperature": 21.0,
        "track_temperature": 35.0,
        "humidity": 50.0,
        "pressure": 784.0,
        "wind_speed": 1.0,
        "wind_direction": 180.0,
        "rainfall": False,
        "source_file": "f",
        "source_row": minute + 1,
        "flags": [],
        **told,
    }


def judged_weather(*rows: dict[str, object], place: str | None = "Mexico City") -> Validated:
    table = frame(F1_WEATHER, [*(weather(minute) for minute in range(10)), *rows])
    judged = validated_weather(table, circuit=circuit(place) if place else None, now=NOW)
    assert judged.complete
    return judged


@pytest.mark.parametrize(
    ("told", "reasons", "flags"),
    [
        ({}, [], []),
        ({"air_temperature": 36.0}, [], ["temperature_jump", "track_cooler_than_air"]),
        ({"track_temperature": 18.5}, [], ["temperature_jump", "track_cooler_than_air"]),
        ({"air_temperature": 75.0}, ["air_temperature_above"], []),
        ({"humidity": -1.0}, ["humidity_below"], []),
        ({"pressure": None}, [], ["observation_incomplete"]),
        ({"pressure": 1013.0}, ["pressure_impossible_there"], []),
        ({"pressure": 820.0}, [], ["pressure_unusual_there"]),
        ({"valid_time": None}, ["valid_time_missing"], []),
        ({"issue_time": NOW + timedelta(hours=1)}, ["weather_in_the_future"], []),
    ],
)
def test_rules_of_weather(told: dict[str, object], reasons: list[str], flags: list[str]) -> None:
    judged = judged_weather(weather(10, **told), weather(11), weather(12))
    assert sorted(judged.reasons) == reasons
    if not reasons:
        assert sorted(judged.flags) == flags


def test_pressure_is_judged_by_the_altitude_of_the_circuit() -> None:
    assert "pressure_impossible_there" in judged_weather(place="Monza").reasons
    assert judged_weather(place=None).reasons == {}


def test_gaps_and_repetitions_of_weather() -> None:
    judged = judged_weather(weather(9, source_row=99), weather(13))
    assert judged.reasons == {"weather_twice": 1}
    assert judged.flags == {"weather_gap": 1}


def test_forecasts_are_of_the_future_and_know_no_track() -> None:
    told = Forecast(NOW, NOW + timedelta(hours=3), 22.0, 40.0, 783.0, 2.0, 10.0, 0.4, 30.0)
    past = Forecast(NOW, NOW - timedelta(hours=3), 22.0, 40.0, 783.0, 2.0, 10.0, None, None)
    rows = [forecast(RACE_ORIGIN, one, "https://host/forecast", 1) for one in (told, past)]
    judged = judged_weather(*rows)
    assert judged.reasons == {}
    assert judged.flags == {"forecast_of_the_past": 1}
    assert judged.valid["rainfall"].to_list()[-2:] == [True, None]


def test_rows_of_several_sessions_are_refused() -> None:
    rows = [lap(1), {**lap(1), "session": "2025-05-03_miami_sprint"}]
    with pytest.raises(SeveralSessions):
        validated_laps(frame(F1_LAPS, rows), race=True, now=NOW)


def test_every_real_row_is_believed_or_quarantined(
    real_sessions: dict[str, RealSession],
) -> None:
    reasons: dict[str, int] = {}
    rows = 0
    for session in real_sessions.values():
        tables = session.tables
        for judged in (
            validated_laps(tables.laps, race=session.info.kind == "race"),
            validated_weather(tables.weather, circuit=session.info.circuit),
            validated_track_status(tables.track_status),
            validated_race_control(tables.race_control),
        ):
            assert judged.complete
            assert judged.valid["flags"].null_count() == 0
            rows += judged.rows
            reasons.update(judged.reasons)
    # one lap of 2,040 whose sectors do not add up, as it was delivered
    assert (rows, reasons) == (3_532, {"sectors_do_not_sum": 1})


def test_statuses_and_messages_out_of_the_ordinary(
    real_sessions: dict[str, RealSession],
) -> None:
    session = real_sessions["2020-08-30_belgian_race"]
    status = session.tables.track_status
    assert validated_track_status(status).flags == {"status_unchanged": 1}
    odd = pl.concat([status, status.head(1), status.tail(1).with_columns(code=pl.lit("3"))])
    judged = validated_track_status(odd)
    assert judged.complete
    assert judged.reasons == {"code_unknown": 1, "status_twice": 1}
    told = session.tables.race_control
    assert validated_race_control(pl.concat([told, told.head(2)])).reasons == {"message_twice": 2}
    early = session.info.start - timedelta(days=1)
    assert validated_race_control(told, now=early).valid.height == 0


def test_rules_have_names_of_their_own_a_meaning_and_a_source() -> None:
    for table, rules in rules_by_table(NOW).items():
        names = [rule.name for rule in rules]
        assert len(set(names)) == len(names), table
        assert all(rule.description and rule.source for rule in rules)
    assert "racing_lap_outlier" in markdown(rules_by_table(NOW)["f1_laps"])
