"""Recordings of the hub: all forms of a line, and nothing is ever evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ngsim_assets.f1.reading.compressed import deflate
from ngsim_assets.f1.reading.messages import Reading
from ngsim_assets.f1.reading.recordings import read_file, read_lines, utc

WEATHER = "['WeatherData', {'AirTemp': '16.9', '_kf': True}, '2024-10-26T17:16:16.692Z']\n"


def read(*lines: str) -> Reading:
    return read_lines([line.encode() for line in lines], "s", "recording.txt")


def reasons(reading: Reading) -> list[str]:
    return [item.reason for item in reading.aside]


def test_python_literals_and_json_are_the_same_message() -> None:
    as_json = json.dumps(["WeatherData", {"AirTemp": "16.9"}, "2024-10-26T17:17:16.692Z"])
    reading = read("\ufeff" + WEATHER, as_json + "\n")
    assert [message.topic for message in reading.messages] == ["WeatherData", "WeatherData"]
    first = reading.messages[0]
    assert first.payload == {"AirTemp": "16.9", "_kf": True}
    assert first.utc == utc("2024-10-26T17:16:16.692+00:00")
    assert (first.session_time, first.snapshot) == (None, False)


def test_a_line_of_the_whole_state_becomes_a_message_per_topic() -> None:
    state = {
        "Heartbeat": {"Utc": "2026-03-08T03:00:00.1234567Z"},
        "TimingData": {"Lines": {"4": {"NumberOfLaps": 3}}},
        "CarData.z": deflate(b'{"Entries":[]}'),
        "Gossip": {"x": 1},
        "TrackStatus": {},
    }
    reading = read(json.dumps({"R": state, "I": "1"}) + "\n", str({"R": state}) + "\n")
    assert reading.lines == 2
    assert reading.account.complete
    assert len(reading.messages) == 6
    assert reasons(reading) == ["unknown_topic", "empty_message"] * 2
    assert all(message.snapshot for message in reading.messages)
    assert {message.utc for message in reading.messages} == {utc("2026-03-08T03:00:00.123456Z")}
    assert all(len(message.content) < 120 for message in reading.messages)


def test_states_that_recorders_write_down_have_json_as_text_and_no_time() -> None:
    reading = read(
        str(["TimingData", json.dumps({"Lines": {}, "x": 1}), ""]) + "\n",
        str(["CarData.z", json.dumps(deflate(b'{"Entries":[]}')), ""]) + "\n",
        str(["TimingData", '{"Lines"', ""]) + "\n",
        str(["TimingData", "text", ""]) + "\n",
    )
    assert [(m.topic, m.snapshot) for m in reading.messages] == [
        ("TimingData", True),
        ("CarData.z", True),
    ]
    assert reasons(reading) == ["damaged_json", "no_time"]


def test_frames_of_the_hub_may_hold_several_messages_and_signs_of_life_none() -> None:
    def feed(status: str) -> list[object]:
        return ["TrackStatus", {"Status": status}, "2024-10-26T17:19:01.028Z"]

    frame = {"C": "x", "M": [{"H": "Streaming", "M": "feed", "A": feed(s)} for s in "12"]}
    core = {"type": 1, "target": "feed", "arguments": feed("4")}
    reading = read(
        json.dumps(frame) + "\n",
        json.dumps(core) + "\n",
        "{}\n",
        '{"type":6}\n',
        '{"weather":1}\n',
        "7\n",
    )
    assert [(m.line, m.part, m.payload) for m in reading.messages] == [
        (1, 0, {"Status": "1"}),
        (1, 1, {"Status": "2"}),
        (2, 0, {"Status": "4"}),
    ]
    assert reasons(reading) == [
        "empty_message",
        "empty_message",
        "not_a_message",
        "not_a_message",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("__import__('os').system('true')\n", "damaged_json"),
        ("['TrackStatus', open('/etc/passwd'), '2024-10-26T17:19:01Z']\n", "damaged_json"),
        ("(" * 300_000 + "\n", "damaged_json"),
        ("['TrackStatus', {'Status': '1'}, '2024-10", "cut_short"),
        ("['TrackStatus', {'Status': '1'}]\n", "not_a_message"),
        ("['TrackStatus', {'Status': '1'}, 'noon']\n", "no_time"),
        ("['TrackStatus', {'Status': '1'}, 12]\n", "not_a_message"),
        ("['Gossip', {'x': '1'}, '2024-10-26T17:19:01Z']\n", "unknown_topic"),
        (WEATHER, "duplicate"),
        (WEATHER.replace("17:16", "17:15"), "out_of_order"),
    ],
)
def test_a_line_that_is_no_message_says_why(line: str, reason: str) -> None:
    reading = read(WEATHER, line)
    assert reasons(reading) == [reason]
    assert reading.account.complete


def test_the_real_recording_is_read_without_a_loss(f1_data: Path) -> None:
    path = next(f1_data.glob("recordings/*.txt"))
    account = read_file(path, "2024-10-26_mexico-city_practice-3").account
    assert account.complete
    assert account.aside == {}
    assert (account.lines, account.messages) == (2116, 2116)
    assert (account.topics["CarData.z"], account.topics["Position.z"]) == (952, 952)
