"""Lines that were made to break a reader: none raises, none grows, none is lost.

What is read here goes all the way to judged rows, since a value that a reader lets through breaks
whatever comes after it.
"""

from __future__ import annotations

import base64
import json
import tracemalloc
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ngsim_assets.f1.clock import clock_of
from ngsim_assets.f1.errors import BadSessionKey, NotAFeed, SessionUnknown
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading import feed_lines, openf1, recordings
from ngsim_assets.f1.reading.content import LARGEST_LITERAL
from ngsim_assets.f1.reading.messages import Message, Reading
from ngsim_assets.f1.sessions import of_messages
from ngsim_assets.f1.timing.session import SessionFold, fold_session, quarantined, raw_messages
from ngsim_assets.f1.validate import (
    validated_laps,
    validated_race_control,
    validated_track_status,
    validated_weather,
)
from ngsim_assets_tests.f1.feeds import RACE_ORIGIN

_TIME = "2024-10-26T17:16:16.692Z"
_DIGITS = "1" * 5_000  # Python refuses to make a number of more than 4,300


def _recording(*lines: str | bytes) -> Reading:
    return recordings.read_lines(_bytes(lines, "\n"), "session", "recording.txt")


def _topic(topic: str, *lines: str | bytes) -> Reading:
    return feed_lines.read_lines(_bytes(lines, "\r\n"), "session", topic, f"{topic}.jsonStream")


def _bytes(lines: tuple[str | bytes, ...], end: str) -> list[bytes]:
    return [line if isinstance(line, bytes) else f"{line}{end}".encode() for line in lines]


def _all_the_way(reading: Reading, origin: Origin = RACE_ORIGIN) -> None:
    """Fold, judge and save what was read; nothing is lost on the way."""
    account = reading.account
    assert account.lines == account.lines_accounted
    clock = clock_of(reading.messages)
    tables, folded = fold_session(reading.messages, origin, clock=clock)
    assert folded.complete
    for judged in (
        validated_laps(tables.laps, race=True),
        validated_weather(tables.weather, circuit=None),
        validated_track_status(tables.track_status),
        validated_race_control(tables.race_control),
    ):
        assert judged.complete
    assert raw_messages(reading.messages, origin).height == len(reading.messages)
    aside = [*reading.aside, *folded.aside]
    assert quarantined(aside, origin, "reading").height == len(aside)
    fold = SessionFold(origin, clock=clock)
    fold.take(reading.messages)
    SessionFold.restored(origin, json.loads(json.dumps(fold.state())), clock=clock)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(f"['WeatherData', {{'a': '1'}}, '{time}']", "no_time", id=time)
        for time in (
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+05:00",
            "9999-12-31T23:59:59-05:00",
            "9999-12-31T23:59:59Z",
            "10000-01-01T00:00:00Z",
        )
    ]
    + [
        pytest.param(line, "damaged_json", id=name)
        for name, line in {
            "half a character": rf"['RaceControlMessages', {{'Message': '\ud800'}}, '{_TIME}']",
            "half a one in a frame": rf"{{'M': [{{'A': ['SPFeed', '\ud800', '{_TIME}']}}]}}",
            "numbers as keys": f"['TimingData', {{1: {{'a': 2}}}}, '{_TIME}']",
            "numbers as topics": "{'R': {1: {'a': 1}, 'TimingData': {'x': 1}}}",
            "keys of all kinds": "{1: 2, 'a': 3}",
            "a set": f"{{'M': [{{'A': ['TimingData', {{'a': {{1}}}}, '{_TIME}']}}]}}",
            "bytes": f"['TimingData', {{'a': b'x'}}, '{_TIME}']",
            "a complex number": f"['TimingData', {{'a': 1j}}, '{_TIME}']",
            "an ellipsis": f"['TimingData', {{'a': ...}}, '{_TIME}']",
            "a tuple": f"('TimingData', {{'a': 1}}, '{_TIME}')",
            "an expression": f"['TimingData', {{'a': __import__('os')}}, '{_TIME}']",
            "a number of 5,000 digits": f"['TimingData', {{'a': {_DIGITS}, 'b': ''}}, '{_TIME}']",
            "100,000 lists": "[" * 100_000,
            "100,000 objects": '{"a":' * 100_000,
            "100,000 signs": "-" * 100_000 + "1",
            "100,000 sums": "1" + "+1j" * 100_000,
        }.items()
    ]
    + [
        pytest.param(f"['x', {'1,' * LARGEST_LITERAL}]", "too_large", id="a literal of 2 MB"),
    ],
)
def test_a_line_that_would_break_a_reader_is_set_aside(line: str, reason: str) -> None:
    reading = _recording(line, f"['WeatherData', {{'AirTemp': '16.9'}}, '{_TIME}']")
    assert [item.reason for item in reading.aside] == [reason]
    assert [message.topic for message in reading.messages] == ["WeatherData"]
    _all_the_way(reading)


def test_seven_digits_of_a_second_are_read_to_the_microsecond() -> None:
    (message,) = _recording("['WeatherData', {'a': '1'}, '2024-10-26T17:15:49.3337638Z']").messages
    assert message.utc == datetime(2024, 10, 26, 17, 15, 49, 333_763, tzinfo=UTC)


_LAP = '00:0{}:00.000{{"Lines":{{"4":{{"Sectors":{{"{}":{{"Value":"{}"}}}}{}}}}}}}'


@pytest.mark.parametrize("count", [2**31 - 1, 10**12, -5, 1_001])
@pytest.mark.parametrize("sector", ["30.1", "99:999:999999.9"])
def test_a_count_of_laps_or_a_time_that_nobody_drives_is_none(count: int, sector: str) -> None:
    reading = _topic(
        "TimingData",
        '00:00:01.000{"Lines":{"4":{"InPit":false,"NumberOfLaps":0}}}',
        *(_LAP.format(index + 1, index, sector, "") for index in range(2)),
        _LAP.format(3, 2, sector, f',"LastLapTime":{{"Value":""}},"NumberOfLaps":{count}'),
        *(_LAP.format(index + 4, index, "30.2", "") for index in range(3)),
        '00:09:00.000{"Lines":{"1000000000000":{"NumberOfLaps":3}}}',
    )
    _all_the_way(reading)
    laps = fold_session(reading.messages, RACE_ORIGIN)[0].laps
    assert laps["lap_number"].to_list() in ([1, 2], [1])
    assert laps["driver_number"].unique().to_list() == [4]


@pytest.mark.parametrize(
    ("topic", "first", "change"),
    [
        ("TimingData", '{"Lines":{"4":{"Sectors":[{}]}}}', '{"Lines":{"4":{"Sectors":{"%s":1}}}}'),
        ("RaceControlMessages", '{"Messages":[{"Message":"A"}]}', '{"Messages":{"%s":{}}}'),
        ("TimingAppData", '{"Lines":{"4":{"Stints":[{}]}}}', '{"Lines":{"4":{"Stints":{"%s":1}}}}'),
    ],
)
@pytest.mark.parametrize("index", [_DIGITS, "9999", "-1"])
def test_no_element_is_added_far_behind_an_array(
    topic: str, first: str, change: str, index: str
) -> None:
    told = f"00:00:02.000{change % index}"
    reading = _topic(topic, f"00:00:01.000{first}", told)
    _all_the_way(reading)
    _, folded = fold_session(reading.messages, RACE_ORIGIN)
    assert [item.reason for item in folded.aside] == ["unfoldable"]
    _all_the_way(_topic(topic, told))  # no array to compare with


def _bomb(inflated: int) -> str:
    engine = zlib.compressobj(9, wbits=-15)
    packed = engine.compress(b"{" + b" " * inflated + b"}") + engine.flush()
    return f'"{base64.b64encode(packed).decode()}"'


def test_small_bombs_take_no_more_memory_than_one() -> None:
    bomb = _bomb(4_000_000)
    tracemalloc.start()
    reading = _topic("CarData.z", *(f"00:00:{second:02}.000{bomb}" for second in range(60)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reading.account.aside == {"too_large": 60}
    assert most < 8_000_000


def test_what_is_beyond_a_line_is_not_kept() -> None:
    endless = [b"x" * (16 * 1024 * 1024 + 1)] * 4  # one object: the test holds one line
    tracemalloc.start()
    reading = feed_lines.read_lines(endless, "session", "TimingData", "f")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reading.account.aside == {"too_large": 4}
    assert held < 100_000
    assert {len(item.content) for item in reading.aside} == {1_000}
    binary = recordings.read_lines(endless, "session", "f")
    assert binary.account.aside == {"too_large": 4}


def test_a_response_of_any_length_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ngsim_assets.f1.reading.openf1.LARGEST_RESPONSE", 1_000)
    path = tmp_path / "laps.json"
    path.write_text("[" + " " * 2_000 + "]")
    with pytest.raises(NotAFeed, match="1,000 bytes"):
        openf1.read_file(path, "session", "laps")


def _info(**told: str) -> str:
    described = {
        "Meeting": {"Name": told.pop("meeting", "Miami Grand Prix")},
        "Name": "Race",
        "StartDate": "2025-05-04T16:00:00",
        "GmtOffset": "-04:00:00",
        **told,
    }
    return f"00:00:01.000{json.dumps(described)}"


@pytest.mark.parametrize(
    "told",
    [
        {"StartDate": "9999-12-31T23:59:59"},
        {"StartDate": "0001-01-01T00:00:00", "GmtOffset": "05:00:00"},
        {"StartDate": "0000-01-01T00:00:00"},
        {"meeting": "m" * 100_000},
        {"meeting": "大奖赛"},
    ],
)
def test_a_session_that_cannot_be_is_told_by_name_and_passed_over(told: dict[str, str]) -> None:
    damaged = _topic("SessionInfo", _info(**told)).messages
    with pytest.raises(SessionUnknown):
        of_messages(damaged)
    found = of_messages([*damaged, *_topic("SessionInfo", _info()).messages])
    assert found is not None
    assert str(found.key) == "2025-05-04_miami_race"


@pytest.mark.parametrize("offset", ["²:00", f"{_DIGITS}:00", "999999999:00", "", "x", "24"])
def test_an_offset_that_is_none_moves_nothing(offset: str) -> None:
    found = of_messages(_topic("SessionInfo", _info(GmtOffset=offset)).messages)
    assert found is not None
    assert found.start == datetime(2025, 5, 4, 16, tzinfo=UTC)


def test_a_key_fits_into_the_name_of_a_file() -> None:
    with pytest.raises(BadSessionKey, match="longer than 120"):
        SessionKey.parse(f"2025-05-04_{'m' * 120}_race")


def test_one_wrong_clock_does_not_move_the_session() -> None:
    beats = [f'00:0{m}:00.000{{"Utc":"2025-05-04T19:0{m}:00Z"}}' for m in range(1, 6)]
    wrong = '00:06:00.000{"Utc":"2098-12-31T23:59:59Z"}'
    clock = clock_of(_topic("Heartbeat", *beats, wrong).messages)
    assert clock is not None
    assert clock.start == datetime(2025, 5, 4, 19, tzinfo=UTC)
    _all_the_way(_topic("Heartbeat", '00:00:01.000{"Utc":"0001-01-01T00:00:00.1Z"}'))


def test_many_messages_that_do_not_agree_on_the_clock_are_asked_once_each() -> None:
    def said(place: int) -> Message:
        utc = f"{1990 + place % 100}-01-01T{place % 24:02}:{place % 60:02}:00"
        return Message("s", "RaceControlMessages", place, None, {"Utc": utc}, "", "f", place)

    assert clock_of(said(place) for place in range(20_000)) is None
