"""A session folded: tables, account, restarts, and feeds that are not as they should be."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ngsim_assets.f1.clock import clock_of
from ngsim_assets.f1.errors import BadState
from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import F1_MESSAGES
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.recordings import read_file
from ngsim_assets.f1.timing.session import (
    SessionFold,
    fold_session,
    in_order_of_time,
    quarantined,
    raw_messages,
)
from ngsim_assets_tests.f1.conftest import RealSession
from ngsim_assets_tests.f1.feeds import CLOCK, RACE, RACE_ORIGIN, message, race_laps

LAPS = [(31_000, 40_000, 20_000), (30_000, 39_500, 19_500), (30_000, 39_400, 19_600)]


def race(*, until: int = 10**9) -> list[Message]:
    """A race of two cars, with tyres, statuses and messages."""
    drivers = {"4": {"Tla": "NOR", "TeamName": "McLaren"}, "44": {"Tla": "HAM"}}
    stints = {"4": {"Stints": [{"Compound": "SOFT", "New": "true", "StartLaps": 0}]}}
    text = "CAR 4 (NOR) TIME 1:29.000 DELETED - TRACK LIMITS AT TURN 3 LAP 2 17:09:26"
    told = [
        message("DriverList", 500, drivers),
        message("TimingAppData", 600, {"Lines": stints}),
        message("TrackStatus", 700, {"Status": "1", "Message": "AllClear"}),
        message("SessionStatus", 99_000, {"Status": "Started"}),
        message("TrackStatus", 300_000, {"Status": "2", "Message": "Yellow"}, 2),
        message("TrackStatus", 310_000, {"Status": "1", "Message": "AllClear"}, 3),
        message("WeatherData", 60_000, {"AirTemp": "25.7", "Rainfall": "0"}),
        message("WeatherData", 120_000, {"Rainfall": "1"}, 2),
        message("RaceControlMessages", 290_000, {"Messages": [{"Message": text, "Lap": 2}]}),
    ]
    for car_number, start in ((4, 100_000), (44, 101_000)):
        laps = race_laps(car_number, LAPS, start)
        told += [message("TimingData", time, change) for time, change in laps]
    told.sort(key=lambda one: one.session_time or 0)
    lines: dict[str, int] = {}
    numbered: list[Message] = []
    for one in told:
        lines[one.topic] = lines.get(one.topic, 0) + 1
        numbered.append(message(one.topic, one.session_time or 0, one.payload, lines[one.topic]))
    return [one for one in numbered if (one.session_time or 0) <= until]


def test_laps_are_seen_with_tyres_flags_deletions_and_places() -> None:
    tables, account = fold_session(race(), RACE_ORIGIN, clock=CLOCK)
    assert account.complete
    laps = tables.laps
    assert laps.height == 6
    norris = laps.filter(driver_number=4)
    assert norris["driver"].to_list() == ["NOR"] * 3
    assert norris["lap_time_ms"].to_list() == [91_000, 89_000, 89_000]
    assert norris["tyre_life"].to_list() == [1, 2, 3]
    assert norris["compound"].to_list() == ["SOFT"] * 3
    assert norris["position"].to_list() == [1, 1, 1]
    assert norris["track_status"].to_list() == ["1", "1", "12"]
    assert norris["deleted"].to_list() == [False, True, False]
    assert norris["deleted_reason"][1] == "TRACK LIMITS AT TURN 3 LAP 2"
    assert norris["accurate"].to_list() == [True, True, True]
    assert norris["speed_fl"][0] == pytest.approx(300 / 3.6)
    assert norris["timestamp"][0] == CLOCK.utc(191_000)
    hamilton = laps.filter(driver_number=44)
    assert hamilton["position"].to_list() == [2, 2, 2]
    assert hamilton["compound"].to_list() == [None] * 3
    assert laps["simulated"].all()


def test_weather_keeps_what_was_told_before() -> None:
    tables, _ = fold_session(race(), RACE_ORIGIN, clock=CLOCK)
    assert tables.weather["air_temperature"].to_list() == [25.7, 25.7]
    assert tables.weather["rainfall"].to_list() == [False, True]
    assert tables.weather["valid_time"][0] == CLOCK.utc(60_000)


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_with_a_reader_that_begins_anew_tells_no_row_twice(seed: int) -> None:
    messages = race()
    chance = random.Random(seed)  # noqa: S311
    whole, _ = fold_session(messages, RACE_ORIGIN, clock=CLOCK)
    stops = sorted(chance.sample(range(len(messages)), 3))
    session = SessionFold(RACE_ORIGIN, clock=CLOCK)
    weather: list[pl.DataFrame] = []
    closed = 0
    for stop in [*stops, len(messages)]:
        # the reader begins at the first line again every time
        closed += len(session.take(messages[:stop]))
        weather.append(session.drain().weather)
        assert session.account.complete
        state = json.loads(json.dumps(session.state()))
        session = SessionFold.restored(RACE_ORIGIN, state, clock=CLOCK)
    closed += len(session.finish())
    assert closed == 6
    assert_frame_equal(session.drain().laps, whole.laps)
    assert_frame_equal(pl.concat(weather), whole.weather)


def test_what_was_folded_before_is_set_aside_as_such() -> None:
    messages = race()
    session = SessionFold(RACE_ORIGIN, clock=CLOCK)
    session.take(messages)
    session.take(messages)
    account = session.account
    assert account.complete
    assert {item.reason for item in account.aside} == {"duplicate"}
    assert len(account.aside) == account.folded.total() - 0 == len(messages)


def test_a_feed_that_dies_leaves_the_lap_under_way() -> None:
    tables, account = fold_session(race(until=275_000), RACE_ORIGIN, clock=CLOCK)
    assert account.complete
    assert tables.laps["lap_number"].to_list() == [1, 1]


def test_a_session_that_never_starts_has_rows_and_no_lap() -> None:
    tables, account = fold_session(race(until=50_000), RACE_ORIGIN, clock=CLOCK)
    assert account.complete
    assert (tables.laps.height, tables.track_status.height) == (0, 1)


def test_what_cannot_be_folded_is_set_aside_and_quarantined() -> None:
    broken = [
        message("TimingData", 400_000, {"Lines": [{"x": 1}]}, 50),
        message("TimingData", 400_001, {"Lines": {"x": 1}}, 51),
        Message(str(RACE), "TimingData", None, None, {"Lines": {}}, "content", "f", 7),
    ]
    tables, account = fold_session([*race(), *broken], RACE_ORIGIN, clock=CLOCK)
    assert account.complete
    assert sorted(item.reason for item in account.aside) == ["no_time", "unfoldable"]
    assert tables.laps.height == 6
    rows = quarantined(account.aside, RACE_ORIGIN, "folding")
    assert rows["reasons"].to_list() == [[item.reason] for item in account.aside]
    assert rows["content"].null_count() == 0


def test_a_state_of_another_session_is_refused() -> None:
    state = SessionFold(RACE_ORIGIN).state()
    assert isinstance(state, dict)
    for wrong in ({**state, "session": "2025-05-03_miami_sprint"}, {**state, "version": 0}, {}):
        with pytest.raises(BadState):
            SessionFold.restored(RACE_ORIGIN, wrong)


def test_every_real_message_is_accounted_for(real_sessions: dict[str, RealSession]) -> None:
    lines = 0
    aside: list[str] = []
    for session in real_sessions.values():
        for reading in session.readings.values():
            assert reading.account.complete
            lines += reading.lines
            aside += [item.reason for item in reading.aside]
        assert session.folded.complete
        assert session.folded.messages == len(session.messages)
        assert session.folded.aside == []
    assert (lines, aside) == (64_308, ["duplicate"])


def test_a_real_session_survives_a_restart_in_the_middle(
    real_sessions: dict[str, RealSession],
) -> None:
    session = real_sessions["2019-09-07_italian_qualifying"]
    messages = list(in_order_of_time(session.messages, session.clock))
    half = SessionFold(session.origin, clock=session.clock)
    half.take(messages[: len(messages) // 2])
    state = json.loads(json.dumps(half.state()))
    rest = SessionFold.restored(session.origin, state, clock=session.clock)
    rest.take(messages)
    rest.finish()
    assert rest.account.complete
    assert_frame_equal(rest.drain().laps, session.tables.laps)


def test_a_state_without_a_time_keeps_its_place_in_the_recording() -> None:
    def told(line: int, second: int | None, status: str) -> Message:
        moment = None if second is None else CLOCK.utc(second * 1000)
        topic = "TrackStatus"
        snapshot = moment is None
        return Message("s", topic, None, moment, {"Status": status}, "", "r", line, snapshot)

    taken = [told(1, None, "1"), told(2, 5, "2"), told(3, None, "4"), told(4, 9, "1")]
    assert [one.line for one in in_order_of_time(taken, CLOCK)] == [1, 2, 3, 4]


def test_a_state_told_on_subscription_stands_where_its_recording_begins_or_goes_on() -> None:
    def told(file: str, line: int, second: int | None, *, snapshot: bool = False) -> Message:
        moment = None if second is None else CLOCK.utc(second * 1000)
        status: Json = {"Status": "1"}
        return Message("s", "TrackStatus", None, moment, status, "", file, line, snapshot)

    first = [told("a", 1, 1), told("a", 2, 6)]
    joined = [told("b", 1, None, snapshot=True), told("b", 2, 5), told("b", 3, 7)]
    again = [told("b", 4, 6, snapshot=True), told("b", 5, 8)]
    ordered = in_order_of_time([*first, *joined, *again], CLOCK)
    assert [(one.file, one.line) for one in ordered] == [
        ("a", 1),
        *(("b", line) for line in (1, 2)),
        ("a", 2),
        *(("b", line) for line in (3, 4, 5)),
    ]


def test_a_status_told_on_subscription_holds_for_the_laps_that_follow() -> None:
    def state(topic: str, payload: Json) -> Message:
        return Message(str(RACE), topic, None, None, payload, "", "r", 1, snapshot=True)

    session = SessionFold(RACE_ORIGIN, clock=CLOCK)
    shown: Json = {"NumberOfLaps": 1, "InPit": False, "Sectors": [{"Value": ""}] * 3}
    early = [one for one in race() if (one.session_time or 0) <= 191_020]
    session.take([one for one in early if one.topic == "WeatherData"])
    session.take(
        [
            state("TrackStatus", {"Status": "4"}),
            state("SessionStatus", {"Status": "Started"}),
            state("TimingData", {"Lines": {"4": shown}}),
        ]
    )
    session.take([one for one in race() if (one.session_time or 0) > 192_100])
    session.finish()
    laps = session.drain().laps.filter(driver_number=4)
    assert session.account.complete
    assert laps["lap_number"].to_list() == [2, 3]
    assert laps["track_status"].to_list() == ["4", "421"]


def test_messages_are_kept_as_they_were_delivered(
    real_sessions: dict[str, RealSession],
) -> None:
    session = real_sessions["2019-09-07_italian_qualifying"]
    told = [message for message in session.messages if message.topic == "TimingAppData"]
    kept = raw_messages(told, session.origin)
    assert kept.height == len(told) == 401
    assert kept.schema == F1_MESSAGES.schema
    path = session.folder / "TimingAppData.jsonStream"
    lines = path.read_text("utf-8-sig").splitlines()
    assert [line[12:] for line in lines] == kept["content"].to_list()


def test_the_real_recording_folds_without_a_loss(f1_data: Path) -> None:
    path = next(f1_data.glob("recordings/*.txt"))
    messages = read_file(path, "s").messages
    origin = Origin(SessionKey.parse("2024-10-26_mexico-city_practice-3"), "signalr")
    tables, account = fold_session(messages, origin, clock=clock_of(messages))
    assert account.complete
    assert account.aside == []
    assert (account.messages, account.passed_on) == (2_116, 1_904)
    assert tables.track_status["code"].to_list() == ["1", "2", "1"]
    assert (tables.weather.height, tables.race_control.height) == (16, 10)
    # it ends two minutes after the start: nobody ended a lap
    assert tables.laps.height == 0
