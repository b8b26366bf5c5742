"""FastF1's tables in the columns of ours."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ngsim_assets.f1 import fastf1_tables
from ngsim_assets.f1.errors import NotAFeed
from ngsim_assets.f1.model import F1_LAPS
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.timing.comparison import compare, fastf1_laps
from ngsim_assets.f1.validate import (
    validated_laps,
    validated_race_control,
    validated_track_status,
    validated_weather,
)
from ngsim_assets_tests.f1.conftest import RealSession
from ngsim_assets_tests.f1.feeds import CLOCK, RACE_ORIGIN

KEY = "2021-11-06_mexico-city_qualifying"
NAME = "2021_Mexico_City_Grand_Prix_Qualifying"


def table(folder: Path, kind: str) -> pl.DataFrame:
    return pl.read_csv(folder / "fastf1_laps" / f"{NAME}.{kind}.csv.gz", infer_schema=False)


def test_laps_of_a_real_table_are_those_of_the_feed(
    f1_data: Path, real_sessions: dict[str, RealSession]
) -> None:
    session = real_sessions[KEY]
    origin = Origin(session.info.key, "fastf1")
    told = fastf1_tables.laps(table(f1_data, "laps"), origin, "laps.csv", session.clock)
    assert told.frame.schema == F1_LAPS.schema
    assert told.rows == told.frame.height + told.made_up == 311
    path = f1_data / "fastf1_laps" / f"{NAME}.laps.csv.gz"
    assert compare(told.frame, fastf1_laps(path)).differences.height == 0
    same = ["driver_number", "lap_number", "driver", "team", "lap_time_ms", "sector1_ms"]
    same += ["sector2_ms", "sector3_ms", "pit_in_ms", "pit_out_ms", "stint", "compound"]
    same += ["tyre_life", "fresh_tyre", "personal_best", "deleted", "accurate"]
    assert_frame_equal(
        told.frame.select(same).sort("driver_number", "lap_number"),
        session.tables.laps.select(same),
    )
    judged = validated_laps(told.frame, race=False)
    assert (judged.complete, judged.reasons) == (True, {})


def test_the_other_tables_are_those_of_the_feed(
    f1_data: Path, real_sessions: dict[str, RealSession]
) -> None:
    session = real_sessions[KEY]
    assert session.clock is not None
    origin = Origin(session.info.key, "fastf1")

    weather = fastf1_tables.weather(
        table(f1_data, "weather_data"), origin, "weather.csv", session.clock
    ).frame
    same = ["session_time_ms", "air_temperature", "track_temperature", "pressure", "rainfall"]
    assert_frame_equal(weather.select(same), session.tables.weather.select(same))
    assert validated_weather(weather, circuit=session.info.circuit).complete

    status = fastf1_tables.track_status(
        table(f1_data, "track_status"), origin, "status.csv", session.clock
    ).frame
    same = ["session_time_ms", "code", "message", "timestamp"]
    assert_frame_equal(status.select(same), session.tables.track_status.select(same))
    assert validated_track_status(status).complete

    told = fastf1_tables.race_control(
        table(f1_data, "race_control_messages"), origin, "messages.csv", session.clock
    ).frame
    same = ["number", "category", "flag", "scope", "sector", "message"]
    assert_frame_equal(
        told.select(same),
        session.tables.race_control.select(same).with_columns(pl.col("message").str.strip_chars()),
    )
    apart = (told["timestamp"] - session.tables.race_control["timestamp"]).abs()
    assert apart.median() < timedelta(seconds=2)  # pyright: ignore[reportOperatorIssue]
    assert validated_race_control(told).complete

    statuses = fastf1_tables.session_status(
        table(f1_data, "session_status"), origin, "statuses.csv"
    ).frame
    assert statuses["status"].to_list() == session.tables.session_status["status"].to_list()


def test_durations_and_numbers_are_read_as_text_is() -> None:
    told = {name: [None] for name in _COLUMNS}
    columns = {
        **told,
        "DriverNumber": ["4", "44"],
        "LapNumber": [2.0, 3.0],
        "LapTime": [timedelta(milliseconds=90_123), None],
        "Time": [timedelta(seconds=200), timedelta(seconds=300)],
        "SpeedST": [300.0, float("nan")],
        "FreshTyre": [True, None],
        "FastF1Generated": [False, True],
    }
    frame = pl.DataFrame(
        {name: values if len(values) == 2 else values * 2 for name, values in columns.items()},
        strict=False,
    )
    made = fastf1_tables.laps(frame, RACE_ORIGIN, "session.laps", CLOCK)
    assert (made.rows, made.made_up) == (2, 1)
    (row,) = made.frame.iter_rows(named=True)
    assert (row["driver_number"], row["lap_number"], row["lap_time_ms"]) == (4, 2, 90_123)
    assert row["speed_st"] == pytest.approx(300 / 3.6)
    assert (row["fresh_tyre"], row["timestamp"]) == (True, CLOCK.utc(200_000))


def test_another_table_is_no_feed() -> None:
    with pytest.raises(NotAFeed, match="without DriverNumber"):
        fastf1_tables.laps(pl.DataFrame({"LapNumber": [1]}), RACE_ORIGIN, "x.csv")


_COLUMNS = [
    "Time",
    "Driver",
    "DriverNumber",
    "LapTime",
    "LapNumber",
    "Stint",
    "PitOutTime",
    "PitInTime",
    "Sector1Time",
    "Sector2Time",
    "Sector3Time",
    "Sector1SessionTime",
    "Sector2SessionTime",
    "Sector3SessionTime",
    "SpeedI1",
    "SpeedI2",
    "SpeedFL",
    "SpeedST",
    "IsPersonalBest",
    "Compound",
    "TyreLife",
    "FreshTyre",
    "Team",
    "LapStartTime",
    "TrackStatus",
    "Position",
    "Deleted",
    "DeletedReason",
    "FastF1Generated",
    "IsAccurate",
]
