"""Files that were damaged, or made to do damage: taken in and stored, or refused, and all told."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.f1.model import F1_QUARANTINE
from ngsim_assets.f1.platform import F1Platform, identity, open_f1
from ngsim_assets.f1.simulation.wire import write_feed, write_recording
from ngsim_assets.f1.stages import Stored, store_session
from ngsim_assets_tests.f1.stored import (
    SCENARIO,
    SESSION,
    assert_accounted,
    settings_at,
    simulated,
    taken,
)

_BOM = b"\xef\xbb\xbf"


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("feed")
    write_feed(simulated().messages, folder)
    return folder


@pytest.fixture
def dropped(feed: Path, tmp_path: Path) -> Path:
    """A copy of the feed that a test may damage."""
    folder = tmp_path / "dropped"
    folder.mkdir()
    for path in feed.glob("*.jsonStream"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def _stored(data: Path, *paths: Path) -> tuple[F1Platform, Stored]:
    assert [item.session for item in taken(data, *paths)] == [SESSION] * len(paths)
    platform = open_f1(settings_at(data))
    stored = store_session(platform, SESSION)
    assert_accounted(stored)
    return platform, stored


def _reasons(platform: F1Platform) -> dict[str, int]:
    rows = platform.lake.scan(F1_QUARANTINE, identity(SESSION)).collect()
    counted = rows.explode("reasons").group_by("reasons").len().sort("reasons")
    return dict(counted.iter_rows())


def test_files_cut_anywhere_and_bytes_changed_anywhere_are_accounted_for(
    dropped: Path, tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311
    for number, path in enumerate(sorted(dropped.iterdir())):
        content = bytearray(path.read_bytes())
        if path.name.startswith("SessionInfo"):
            continue
        if number % 2:
            del content[chance.randrange(len(content) // 2, len(content)) :]
        for _ in range(len(content) // 500 if number % 3 else 0):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
    platform, stored = _stored(tmp_path / "data", dropped)
    assert {"cut_short", "not_text"} <= _reasons(platform).keys()
    assert (
        stored.account["set_aside"]
        == stored.rows["f1_quarantine"]
        - sum(
            commit.provenance.rows.get("quarantined", 0)
            + commit.provenance.rows.get("unread", 0)
            + commit.provenance.rows.get("rejected", 0)
            for commit in stored.commits.values()
        )
        - stored.account["unfoldable"]
    )


def test_a_file_is_not_left_out_for_its_first_line(dropped: Path, tmp_path: Path) -> None:
    weather, status = (dropped / f"{name}.jsonStream" for name in ("WeatherData", "TrackStatus"))
    lines = weather.read_bytes().removeprefix(_BOM).splitlines(keepends=True)
    weather.write_bytes(b"".join([b"\0\0\0\0", *lines]))
    status.write_bytes(
        _BOM * 2 + status.read_bytes().removeprefix(_BOM).replace(b"\n", b"\n" + _BOM)
    )
    platform, stored = _stored(tmp_path / "data", dropped)
    assert _reasons(platform) == {"no_time": 2}
    assert stored.rows["f1_weather"] == len(lines) - 1


def test_what_is_no_file_is_no_feed(dropped: Path, tmp_path: Path) -> None:
    (dropped / "Heartbeat.jsonStream").unlink(missing_ok=True)
    (dropped / "Heartbeat.jsonStream").mkdir()
    (dropped / "LapCount.jsonStream").unlink(missing_ok=True)
    (dropped / "LapCount.jsonStream").symlink_to(dropped / "LapCount.jsonStream")
    (dropped / "loop").symlink_to(dropped)
    (dropped / "gone.txt").symlink_to(tmp_path / "absent.txt")
    os.mkfifo(dropped / "endless.txt")
    os.mkfifo(dropped / "TeamRadio.jsonStream")
    for name in ("..jsonStream", ".jsonStream", "a\nb.jsonStream", "Topic9.jsonStream"):
        (dropped / name).write_bytes(b'00:00:01.000{"a":1}\r\n')
    (dropped / os.fsdecode(b"\xff.jsonStream")).write_bytes(b'00:00:01.000{"a":1}\r\n')
    platform, _ = _stored(tmp_path / "data", dropped)
    # names that can be kept are topics nobody knows; the others are told by name
    assert _reasons(platform)["unknown_topic"] >= 1
    (item,) = taken(tmp_path / "again", dropped)
    assert any("cannot be kept" in warning for warning in item.warnings)


def test_a_recorder_that_was_left_on_tells_of_one_session(tmp_path: Path) -> None:
    recording = tmp_path / "one.txt"
    messages = [message for message in simulated().messages if not message.topic.endswith(".z")]
    write_recording(messages, SCENARIO.feed_start, recording)
    lines = recording.read_text().splitlines(keepends=True)
    told = next(line for line in lines if "SessionInfo" in line)
    last = lines[-1].rsplit(",", 1)[1]
    name = SESSION.session.capitalize()
    assert f"'{name}'" in told
    other = told.rsplit(",", 1)[0].replace(f"'Name': '{name}'", "'Name': 'Practice 1'") + "," + last
    after = [f"['WeatherData', {{'AirTemp': '{degrees}'}},{last}" for degrees in (51, 52, 53)]
    back = told.rsplit(",", 1)[0] + "," + last
    recording.write_text("".join([*lines, other, *after, back]))
    platform, stored = _stored(tmp_path / "data", recording)
    assert _reasons(platform)["other_session"] == 1 + len(after)
    assert stored.account["lines"] == len(lines) + 5


def test_a_line_without_end_costs_no_more_than_a_long_one(
    dropped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("content", "feed_lines", "recordings"):
        monkeypatch.setattr(f"ngsim_assets.f1.reading.{module}.LARGEST_LINE", 20_000)
    with (dropped / "WeatherData.jsonStream").open("ab") as file:
        file.write(b"x" * 90_000 + b"\r\n01:00:00.000" + b'{"a":' * 5_000 + b"\r\n")
    platform, stored = _stored(tmp_path / "data", dropped)
    assert _reasons(platform)["too_large"] >= 4
    assert stored.rows["f1_weather"] > 0


def test_responses_of_any_content_are_refused_or_accounted_for(tmp_path: Path) -> None:
    folder = tmp_path / "openf1"
    folder.mkdir()
    info = {
        "session_key": 11,
        "session_name": "Practice 2",
        "session_type": "Practice",
        "location": "Barcelona",
        "date_start": "2026-06-12T15:00:00+00:00",
    }
    late = "9999-12-31T23:59:59-01:00"
    row = {"session_key": 11, "driver_number": 10**12, "date": late, "date_start": late}
    weird = [row, row, 5, None, {}, [], {"session_key": 12}, {**row, "lap_number": 2**31 - 1}]
    for name, content in {
        "a_sessions": json.dumps([info]),
        **{f"a_{name}": json.dumps(weird) for name in ("laps", "weather", "pit", "stints")},
        **{f"a_{name}": json.dumps(weird) for name in ("race_control", "car_data", "location")},
        "b_laps": "[" * 100_000,
        "c_sessions": json.dumps([{**info, "session_key": 13, "date_start": late}]),
        "d_sessions": json.dumps([{**info, "session_key": 14, "location": "m" * 10_000}]),
        "e_sessions": json.dumps([{**info, "session_key": 15, "location": "大"}]),
    }.items():
        (folder / f"{name}.json").write_text(content)
    found = taken(tmp_path / "data", folder)
    assert [str(item.session) for item in found if item.taken] == [
        "2026-06-12_barcelona_practice-2"
    ]
    assert len([item for item in found if not item.taken]) >= 3
    platform = open_f1(settings_at(tmp_path / "data"))
    (kept,) = (item.session for item in found if item.taken)
    assert kept is not None
    stored = store_session(platform, kept)
    assert_accounted(stored)
    quarantined = platform.lake.scan(F1_QUARANTINE, identity(kept)).select(pl.len()).collect()
    assert quarantined.item() == stored.rows["f1_quarantine"] > 0
