"""Files of this machine reach the store; what tells no session is refused, and the others go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ngsim_assets.f1.delivered import sessions_held
from ngsim_assets.f1.errors import FeedUnreadable, NotAFeed, SessionUnknown
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.platform import open_f1
from ngsim_assets.f1.simulation.wire import write_feed, write_recording
from ngsim_assets_tests.f1.stored import SCENARIO, SESSION, settings_at, simulated, taken

OTHER = SessionKey.parse("2026-06-12_barcelona_practice-2")
ROW = {
    "session_key": 11,
    "session_name": "Practice 2",
    "session_type": "Practice",
    "location": "Barcelona",
    "meeting_key": 5,
    "date_start": "2026-06-12T15:00:00+00:00",
}


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as people fill it."""
    folder = tmp_path_factory.mktemp("dropped")
    messages = simulated().messages
    write_feed(messages, folder / "archive" / "race")
    write_recording(messages[40:], SCENARIO.feed_start, folder / f"{SESSION}.txt")
    write_recording(messages, SCENARIO.feed_start, folder / "recordings" / "one.txt")
    for name in ("notes.txt", "archive/race/Index.json", "archive/race/.hidden.txt"):
        (folder / name).write_text("not a feed\nat all\n")
    (folder / "archive" / "race" / "Heartbeat.jsonStream").write_bytes(b"")
    responses = folder / "openf1"
    responses.mkdir()
    for name, told in {
        "fp2_sessions": [ROW],
        "fp2_laps": [{"session_key": 11, "driver_number": 1, "lap_number": 1}],
        "fp2_intervals": [],
        "other_weather": [{"session_key": 12, "date": "2026-06-12T15:00:00+00:00"}],
        "schedule": [{"year": 2026}],
    }.items():
        (responses / f"{name}.json").write_text(json.dumps(told))
    (responses / "fp2_pit.json").write_text('[{"session_key": 11,')
    return folder


def test_everything_below_a_folder_is_found_and_named(dropped: Path, tmp_path: Path) -> None:
    found = taken(tmp_path, dropped)
    told = sorted((item.path.name, item.kind, str(item.session), item.status) for item in found)
    assert told == [
        (f"{SESSION}.txt", "recording", str(SESSION), "fetched"),
        ("notes.txt", "recording", "None", "refused"),
        ("one.txt", "recording", str(SESSION), "fetched"),
        ("openf1", "responses", str(OTHER), "fetched"),
        ("openf1", "responses", "None", "refused"),
        ("race", "topics", str(SESSION), "fetched"),
    ]
    refused = [item.error for item in found if not item.taken]
    assert sorted(type(error).__name__ for error in refused) == ["NotAFeed", "SessionUnknown"]
    warnings = [text for item in found for text in item.warnings]
    assert any("Heartbeat.jsonStream is left out" in text for text in warnings)
    assert any("fp2_pit.json is left out" in text for text in warnings)
    assert sessions_held(open_f1(settings_at(tmp_path)).store) == [OTHER, SESSION]
    again = [item for item in taken(tmp_path, dropped) if item.taken]
    assert {item.status for item in again if item.kind != "responses"} == {"unchanged"}
    assert json.loads(json.dumps(again[0].summary()))["session"] == str(SESSION)


def test_a_topic_file_stands_for_its_folder(dropped: Path, tmp_path: Path) -> None:
    one = dropped / "archive" / "race" / "WeatherData.jsonStream"
    found = taken(tmp_path, one, one.with_name("TrackStatus.jsonStream"))
    assert [(item.path.name, item.kind, item.session) for item in found] == [
        ("race", "topics", SESSION)
    ]


def test_a_session_that_is_named_counts(dropped: Path, tmp_path: Path) -> None:
    weather = dropped / "openf1" / "other_weather.json"
    (found,) = taken(tmp_path, weather, session=OTHER)
    assert (found.session, found.kind, found.status) == (OTHER, "responses", "fetched")
    assert sessions_held(open_f1(settings_at(tmp_path)).store) == [OTHER]


def test_what_is_not_there_or_holds_nothing_is_refused(dropped: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "absent", tmp_path / "empty", dropped / "notes.txt"]
    found = taken(tmp_path / "data", *paths)
    kinds = [type(item.error) for item in found]
    assert kinds == [FeedUnreadable, NotAFeed, NotAFeed]
    assert all(item.error is not None and item.error.fix for item in found)


def test_a_recording_that_tells_no_session_has_to_be_named(f1_data: Path, tmp_path: Path) -> None:
    path = next((f1_data / "recordings").glob("*.txt"))
    (found,) = taken(tmp_path, path)
    assert isinstance(found.error, SessionUnknown)
    folder = tmp_path / "2024-10-26_mexico-city_practice-3"
    folder.mkdir()
    (folder / "recording.txt").symlink_to(path)
    (found,) = taken(tmp_path / "data", folder)
    assert str(found.session) == folder.name
