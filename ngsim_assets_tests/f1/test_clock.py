"""The clock of a feed: found from what its messages tell, and used both ways."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.f1.clock import SessionClock, clock_of
from ngsim_assets.f1.formats import Json
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.sessions import of_feed
from ngsim_assets_tests.f1.conftest import RealSession

START = datetime(2025, 5, 4, 19, 0, 0, 250_000, tzinfo=UTC)


def told(topic: str, time: int | None, payload: Json, moment: datetime | None = None) -> Message:
    return Message("s", topic, time, moment, payload, "", "f", 1)


def race_control(time: int, moment: datetime) -> Message:
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return told("RaceControlMessages", time, {"Messages": {"1": {"Utc": stamp}}})


@given(st.integers(0, 2**32))
def test_many_messages_to_the_second_tell_the_start_to_a_fraction_of_it(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    # told up to 80 ms after it happened, with the time of happening cut to the second
    messages = [
        race_control(at + chance.randint(0, 80), START + timedelta(milliseconds=at))
        for at in (chance.randint(0, 7_000_000) for _ in range(60))
    ]
    messages += [race_control(at, START - timedelta(minutes=5)) for at in (5, 500)]
    clock = clock_of(messages)
    assert clock is not None
    assert timedelta(seconds=-0.2) < clock.start - START <= timedelta(seconds=0.08)
    assert clock.known_from == "race control"


def test_times_inside_messages_are_exact_and_the_latest_start_is_the_true_one() -> None:
    stamps = [(t, START + timedelta(milliseconds=t - late)) for t, late in ((900, 300), (1900, 20))]
    messages = [
        told("CarData.z", t, f'{{"Entries":[{{"Utc":"{m.isoformat()}"}}]}}') for t, m in stamps
    ]
    clock = clock_of(messages)
    assert clock == SessionClock(START - timedelta(milliseconds=20), 1, "times inside messages")


def test_a_recording_starts_with_its_first_message_and_a_bare_feed_as_scheduled() -> None:
    first = told("TrackStatus", None, {"Status": "1"}, START)
    clock = clock_of([first])
    assert clock is not None
    assert clock.place(first).session_time == 0
    info = of_feed(
        {
            "Meeting": {"Name": "Miami Grand Prix"},
            "Name": "Race",
            "StartDate": "2025-05-04T16:00:00",
            "GmtOffset": "-04:00:00",
        },
        "f",
    )
    scheduled = clock_of([told("SessionStatus", 600_000, {"Status": "Started"})], info)
    assert scheduled is not None
    assert scheduled.start == datetime(2025, 5, 4, 19, 50, tzinfo=UTC)
    assert clock_of([told("TrackStatus", 5, {"Status": "1"})]) is None


@given(st.integers(0, 10_000_000))
def test_session_time_and_utc_are_each_other(time: int) -> None:
    clock = SessionClock(START, 1, "")
    assert clock.session_time(clock.utc(time)) == time


def test_real_clocks_agree_with_the_schedule(real_sessions: dict[str, RealSession]) -> None:
    for key, session in real_sessions.items():
        assert session.clock is not None
        assert session.clock.precision_ms <= 50
        (started, *_) = session.tables.session_status.filter(status="Started")["timestamp"]
        # races start after the formation lap; that of Melbourne 2025 was broken off and repeated
        late = started - session.info.start
        assert timedelta(minutes=-1) < late < timedelta(minutes=20), key
