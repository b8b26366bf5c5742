"""Status, race control and lap times together: who confirms what, and the real sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import F1_RACE_CONTROL, F1_SESSION_STATUS, F1_TRACK_STATUS
from ngsim_assets.f1.neutralisations.detector import detect
from ngsim_assets.f1.neutralisations.evidence import (
    Evidence,
    LeaderLap,
    laps_of,
    leader_of,
    of_messages,
    of_tables,
)
from ngsim_assets.f1.neutralisations.messages import Told
from ngsim_assets.f1.neutralisations.model import Neutralisation
from ngsim_assets.f1.neutralisations.phases import Change, Moment
from ngsim_assets.f1.neutralisations.table import neutralisations, share_under
from ngsim_assets.f1.reading.feed_lines import read_file
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets_tests.f1.neutralisations.races import race

_SESSION = SessionKey.parse("2025-05-04_miami_race")
_NOON = datetime(2025, 5, 4, 12, tzinfo=UTC)
_RACE = race(40, 15, lambda lap: 1.5 if 10 <= lap <= 13 else 1.0)
_START, _END = (_RACE.filter(pl.col("lap_number") == lap)["lap_start_ms"].min() for lap in (10, 14))


def _change(code: str, at: object) -> Change:
    assert isinstance(at, int)
    return Change(Moment(at), code)


def _says(text: str, at: object) -> Told:
    assert isinstance(at, int)
    return Told(Moment(at), text)


_STATUS = [_change("4", _START), _change("1", _END)]


def test_all_three_agree() -> None:
    told = [_says("SAFETY CAR DEPLOYED", _START), _says("TRACK CLEAR", _END)]
    told.insert(1, _says("SAFETY CAR IN THIS LAP", int(str(_END)) - 90_000))
    found = neutralisations(_SESSION, Evidence(_STATUS, told, None, leader_of(_RACE), _RACE))
    (row,) = found.frame.iter_rows(named=True)
    Neutralisation.model_validate(row)
    assert (row["kind"], row["evidence"], row["confirmed"]) == ("safety_car", "status", True)
    assert (row["seen_in_laps"], row["confidence"]) == (True, 1.0)
    assert (row["start_lap"], row["end_lap"]) == (9, 14)  # it starts and ends on the line
    assert row["ending_ms"] == row["end_ms"] - 90_000
    assert row["flags"] == []


def test_a_phase_race_control_is_silent_of_is_flagged() -> None:
    row = neutralisations(_SESSION, Evidence(_STATUS, told=[])).frame.row(0, named=True)
    assert (row["confirmed"], row["flags"]) == (False, ["not_confirmed"])
    unknown = neutralisations(_SESSION, Evidence(_STATUS)).frame.row(0, named=True)
    assert (unknown["confirmed"], unknown["seen_in_laps"]) == (None, None)


def test_a_phase_the_status_is_silent_of_comes_from_race_control() -> None:
    told = [_says("SAFETY CAR DEPLOYED", _START), _says("TRACK CLEAR", _END)]
    row = neutralisations(_SESSION, Evidence([], told)).frame.row(0, named=True)
    assert (row["evidence"], row["flags"]) == ("race_control", ["not_in_status"])
    assert row["confidence"] == 0.9


def test_a_phase_only_lap_times_show_is_told_with_its_confidence() -> None:
    row = neutralisations(_SESSION, Evidence([], [], laps=_RACE)).frame.row(0, named=True)
    assert (row["evidence"], row["flags"]) == ("lap_times", ["only_in_lap_times"])
    assert (row["start_lap"], row["end_lap"], row["laps"]) == (10, 13, 4)
    assert 0.9 < row["confidence"] < 1


def test_a_phase_lap_times_do_not_show_says_so() -> None:
    green = race(40, 15, lambda _: 1.0)
    found = neutralisations(_SESSION, Evidence(_STATUS, None, None, leader_of(green), green))
    assert found.frame["seen_in_laps"].to_list() == [False]


def test_laps_of_qualifying_are_nobodys_lead() -> None:
    apart = pl.col("driver_number") * 200_000
    moved = _RACE.with_columns(pl.col("lap_start_ms") + apart, pl.col("lap_end_ms") + apart)
    red = [_change("5", _START), _change("1", _END)]
    found = neutralisations(_SESSION, Evidence(red, None, None, leader_of(moved), moved))
    row = found.frame.row(0, named=True)
    assert (row["kind"], row["start_lap"], row["seen_in_laps"]) == ("red_flag", None, None)


def test_rows_of_tables_say_the_same_as_messages() -> None:
    base = {"session": "s", "session_time_ms": 0, "timestamp": None, "source_row": 1}

    def rows(table_schema: pl.Schema, *changes: dict[str, object]) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {k: v for k, v in {**base, **change}.items() if k in table_schema}
                for change in changes
            ],
            schema_overrides=table_schema,
        )

    known = of_tables(
        rows(F1_TRACK_STATUS.schema, {"session_time_ms": 5_000, "code": "6"}),
        rows(
            F1_RACE_CONTROL.schema,
            {"session_time_ms": 5_100, "message": "VSC DEPLOYED", "flag": None}
            | dict.fromkeys(("scope", "status", "mode")),
        ),
        rows(F1_SESSION_STATUS.schema, {"session_time_ms": 60_000, "status": "Finished"}),
    )
    row = neutralisations(_SESSION, known, simulated=True).frame.row(0, named=True)
    assert (row["kind"], row["start_ms"], row["end_ms"]) == ("virtual_safety_car", 5_000, 60_000)
    assert (row["confirmed"], row["simulated"]) == (True, True)
    assert row["flags"] == ["ended_with_session"]


def _message(topic: str, payload: Json, time: int | None, *, snapshot: bool = False) -> Message:
    moment = None if time is None else _NOON + timedelta(milliseconds=time)
    return Message("s", topic, time, moment, payload, "", "f", 1, snapshot)


def test_who_joins_late_learns_from_the_snapshot_when_it_began() -> None:
    before = {"Utc": "2025-05-04T12:01:00", "Message": "SAFETY CAR DEPLOYED"}
    messages = [
        _message("TrackStatus", {"Status": 4, "Message": "SCDeployed"}, 90_000, snapshot=True),
        _message("RaceControlMessages", {"Messages": [before]}, 90_000, snapshot=True),
        _message("TrackStatus", {"Status": "1"}, 200_000),
        _message("RaceControlMessages", {"Messages": {"1": {"Message": "TRACK CLEAR"}}}, 199_900),
    ]
    known = of_messages(messages)
    assert known.told is not None
    assert [told.at.session_time for told in known.told] == [60_000, 199_900]
    row = neutralisations(_SESSION, known).frame.row(0, named=True)
    # the status is known from the snapshot on, what race control said reaches back
    assert (row["start_ms"], row["end_ms"], row["confirmed"]) == (60_000, 200_000, True)
    assert row["flags"] == ["start_from_race_control"]


def test_openf1_tells_phases_by_race_control_alone() -> None:
    def says(text: str, at: int) -> Message:
        payload: Json = {"message": text, "flag": None, "scope": None}
        moment = _NOON + timedelta(seconds=at)
        return Message("s", "openf1/race_control", None, moment, payload, "", "f", at)

    known = of_messages(
        [says("VSC DEPLOYED", 60), says("VSC ENDING", 90), says("TRACK CLEAR", 100)]
    )
    row = neutralisations(_SESSION, known).frame.row(0, named=True)
    assert (row["kind"], row["evidence"]) == ("virtual_safety_car", "race_control")
    assert (row["start_ms"], row["start_timestamp"]) == (None, _NOON + timedelta(seconds=60))
    assert row["end_timestamp"] == _NOON + timedelta(seconds=100)


def test_share_of_a_lap() -> None:
    assert share_under(LeaderLap(1, 0, 100), 50, 500) == 0.5
    assert share_under(LeaderLap(1, 0, 100), 150, 500) == 0
    assert share_under(LeaderLap(1, 0, None), 0, 500) == 0


# kind, start and end in s, laps of the leader, whether lap times show it: TrackStatus of each
_REAL = {
    "2018-04-29_Azerbaijan_Grand_Prix/2018-04-29_Race": [
        ("safety_car", 511.311, 1255.542, (1, 5), True),
        ("safety_car", 5030.402, 6243.406, (40, 47), True),
    ],
    "2019-09-08_Italian_Grand_Prix/2019-09-07_Qualifying": [
        ("red_flag", 1706.118, 1873.910, None, None),
        ("red_flag", 4284.930, 4859.472, None, None),
    ],
    "2020-08-30_Belgian_Grand_Prix/2020-08-30_Race": [
        ("safety_car", 3139.307, 3801.213, (11, 14), True)
    ],
    "2020-10-25_Portuguese_Grand_Prix/2020-10-25_Race": [],
    "2021-11-07_Mexico_City_Grand_Prix/2021-11-06_Qualifying": [
        ("red_flag", 1322.820, 2616.232, None, None)
    ],
    "2021-12-05_Saudi_Arabian_Grand_Prix/2021-12-05_Race": [
        ("safety_car", 4570.264, 5092.688, (10, 13), True),
        ("red_flag", 5092.688, 5661.474, (13, 14), True),
        ("red_flag", 6502.569, 7234.203, (15, 16), None),
        ("virtual_safety_car", 8590.025, 8709.931, (23, 24), True),
        ("virtual_safety_car", 9007.808, 9058.271, (27, 28), None),
        ("virtual_safety_car", 9182.530, 9623.767, (29, 33), True),
        ("virtual_safety_car", 9892.318, 9939.453, (36, 36), None),
    ],
    "2022-03-20_Bahrain_Grand_Prix/2022-03-20_Race": [
        ("virtual_safety_car", 8239.828, 8259.726, (46, 46), None),
        ("safety_car", 8259.726, 8934.157, (46, 50), True),
    ],
    "2023-04-30_Azerbaijan_Grand_Prix/2023-04-28_Qualifying": [
        ("red_flag", 1332.907, 2120.851, None, None),
        ("red_flag", 2473.254, 2934.780, None, None),
    ],
    "2024-06-23_Spanish_Grand_Prix/2024-06-22_Qualifying": [],
    "2025-03-16_Australian_Grand_Prix/2025-03-16_Race": [
        ("safety_car", 4328.954, 5270.163, (1, 7), True),
        ("safety_car", 7667.268, 8702.727, (34, 41), True),
        ("safety_car", 9223.734, 9835.069, (47, 51), True),
    ],
}


@pytest.mark.parametrize("name", _REAL)
def test_real_sessions_have_the_phases_of_their_status_and_race_control_confirms_all(
    f1_data: Path, name: str
) -> None:
    known = of_messages(_messages(f1_data, name))
    found = neutralisations(_SESSION, known).frame
    assert found["evidence"].unique().to_list() in ([], ["status"])
    assert all(found["confirmed"])
    assert [
        (
            row["kind"],
            row["start_ms"] / 1000,
            row["end_ms"] / 1000,
            row["start_lap"] and (row["start_lap"], row["end_lap"]),
            row["seen_in_laps"],
        )
        for row in found.iter_rows(named=True)
    ] == _REAL[name]


def test_the_detector_finds_95_percent_of_real_neutralised_laps_and_few_others(
    f1_data: Path,
) -> None:
    under = found = free = false = 0
    for name, phases in _REAL.items():
        if not name.endswith("Race"):
            continue
        leader = of_messages(_messages(f1_data, name)).leader
        laps = laps_of(leader)
        if "2018" in name:
            laps = _fastf1(f1_data / "fastf1_laps/2018_Azerbaijan_Grand_Prix_Race.laps.csv.gz")
        called = dict(detect(laps).laps.select("lap_number", "neutralised").iter_rows())
        for lap in leader:
            share = sum(
                share_under(lap, round(start * 1000), round(end * 1000))
                for _, start, end, _, _ in phases
            )
            under += share >= 0.5
            found += share >= 0.5 and called[lap.number]
            free += share == 0
            false += share == 0 and called.get(lap.number, False)
    assert under == 48
    assert found / under >= 0.95
    assert free > 260
    assert false / free <= 0.02


def _messages(f1_data: Path, name: str) -> list[Message]:
    folder = f1_data / "livetiming" / name[:4] / name
    wanted = ("TrackStatus", "RaceControlMessages", "SessionStatus", "LapCount")
    paths = [folder / f"{topic}.jsonStream" for topic in wanted]
    return [
        message for path in paths if path.is_file() for message in read_file(path, "s").messages
    ]


def _fastf1(path: Path) -> pl.DataFrame:
    names = {
        "LapTime": "lap_time_ms",
        "LapStartTime": "lap_start_ms",
        "Time": "lap_end_ms",
        "PitInTime": "pit_in_ms",
        "PitOutTime": "pit_out_ms",
    }
    return pl.read_csv(path, infer_schema_length=None).select(
        pl.col("DriverNumber").cast(pl.Int32).alias("driver_number"),
        pl.col("LapNumber").cast(pl.Int32).alias("lap_number"),
        *((pl.col(a) * 1000).round().cast(pl.Int64).alias(b) for a, b in names.items()),
    )
